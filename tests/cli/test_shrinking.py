"""`edgelift train --quantize`, `prune` and `ablate`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgelift.evaluate.profile.synthetic import scene, write_png
from edgelift.runtime.engines import availability

pytest.importorskip("torch", reason="PyTorch is not installed")
HERE = [found.engine for found in availability() if not found.problem]
pytestmark = pytest.mark.skipif("onnxruntime" not in HERE, reason="the results are run by ONNX Runtime")
RECIPE = """
[network]
architecture = "abpn"
scale = 2
channels = 6
layers = 1
[data]
patch = 8
batch = 2
validation = 1
[train]
steps = 10
validate_every = 5
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for k in range(3):
        write_png(scene(64 + k, 70), folder / f"{k}.png")
    return folder


def test_from_a_recipe_to_an_int8_file(
    edgelift: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    said = edgelift("train", "tiny.toml", "--quantize", "--data", data)
    assert said.code == 8
    assert "tiny-qat starts from tiny, but runs/tiny/best.pt is not there; train that first or give --start" in said.err
    assert edgelift("train", "tiny.toml", "--data", data).code == 0
    said = edgelift("train", "tiny.toml", "--quantize", "--data", data)
    assert said.code == 0, said.err
    assert "dB from float; equalised by" in said.err
    assert edgelift("export", "runs/tiny-qat/best.pt", "-o", "qat.onnx").code == 0
    said = edgelift("quantize", "qat.onnx", "-o", "int8.onnx", "--force")
    assert said.code == 0
    assert said.err == "ranges as they were learnt in training\n"
    assert said.out.startswith("int8.onnx: tiny-qat-int8, ")
    write_png(scene(40, 50), tmp_path / "p.png")
    assert edgelift("upscale", "p.png", "-m", "int8.onnx", "-o", "o.png").code == 0
    said = edgelift("train", "tiny.toml", "--quantize", "--data", data, "--start", "qat.onnx", "--run", "r")
    assert said.code == 0, "a float bundle gives its weights, too"
    assert json.loads((tmp_path / "r" / "last.json").read_text())["started_from"] == "tiny-qat"
    said = edgelift("train", "tiny.toml", "--quantize", "--data", data, "--start", "int8.onnx", "--run", "s")
    assert said.code == 5
    assert "its weights are int8" in said.err
    said = edgelift("prune", "runs/tiny/best.pt", "--share", "0.7", "--steps", "2", "--multiple", "1", "--data", data,
                    "-o", "small.onnx")  # fmt: skip
    assert said.code == 0, said.err
    assert "% of the multiply-adds" in said.out
    assert " times as long" in said.out
    assert (tmp_path / "runs" / "small" / "best.pt").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (
            ("prune", "abpn-x3", "--data", "D", "-o", "x.onnx"),
            2,
            "say how small: --share of the multiply-adds, or --ms",
        ),
        (("prune", "abpn-x3", "--share", "2", "--data", "D", "-o", "x.onnx"), 2, "between 0 and 1, got 2"),
        (
            ("prune", "abpn-x3", "--share", "0.5", "--saliency", "luck", "--data", "D", "-o", "x.onnx"),
            2,
            "saliency must be",
        ),
        (("prune", "abpn-x3", "--ms", "1", "--size", "7", "--data", "D", "-o", "x.onnx"), 2, "a size is HEIGHTxWIDTH"),
        (("prune", "abpn-x3", "--share", "0.5", "--data", "absent", "-o", "x.onnx"), 8, "absent: no such folder"),
        (("ablate", "--data", "D", "--variant", "magic"), 2, "there is no variant 'magic'"),
        (("ablate", "--data", "absent"), 8, "absent: no such folder"),
    ],
)
def test_bad_requests(
    edgelift: Any,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = edgelift(*(data if word == "D" else word for word in words))
    assert said.code == code
    assert says in said.err
    assert list(tmp_path.iterdir()) == []
