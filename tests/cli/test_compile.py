"""`edgelift targets`, `quantize`, `compile` and `parity`, and the files they make in `upscale`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgelift.evaluate.profile.synthetic import scene, write_png
from edgelift.runtime.engines import availability
from edgelift.targets.base import TARGETS, load_target

HERE = [found.engine for found in availability() if not found.problem]
pytestmark = pytest.mark.skipif("onnxruntime" not in HERE, reason="calibration runs on ONNX Runtime")
WITH_LITERT = pytest.mark.skipif("litert" not in HERE, reason="LiteRT is not installed")


@pytest.fixture(scope="module")
def eight(plain_bundle: Path, calibration: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgelift.cli.app import run

    path = tmp_path_factory.mktemp("eight") / "plain-int8.onnx"
    words = ["quantize", plain_bundle, "--calibration", calibration, "--bits", "int8", "-o", path, "--force"]
    assert run([str(word) for word in words]) == 0
    return path


def test_targets_are_listed_with_what_is_missing(edgelift: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said = edgelift("targets")
    assert (said.code, said.err) == (0, "")
    assert [line.split()[0] for line in said.out.splitlines()] == list(TARGETS)
    monkeypatch.setattr(
        load_target("litert"), "missing", classmethod(lambda cls: "LiteRT is not installed; pip install it")
    )
    assert "litert  cannot be made here: LiteRT is not installed; pip install it" in edgelift("targets").out


def test_quantize_says_what_it_tried_and_what_it_costs(
    edgelift: Any, plain_bundle: Path, calibration: Path, tmp_path: Path
) -> None:
    path = tmp_path / "q.onnx"
    said = edgelift("quantize", plain_bundle, "--calibration", calibration, "--count", 8, "-o", path, "--force")
    assert said.code == 0
    assert said.err.count(" dB from float\n") == 15
    assert said.out.startswith(f"{path}: plain-int8, ")
    assert "from its parent: " in said.out
    assert " times as long" in said.out
    assert (tmp_path / "q.onnx.json").exists()


@WITH_LITERT
def test_a_bundle_becomes_a_litert_file_that_upscale_runs(edgelift: Any, eight: Path, tmp_path: Path) -> None:
    path, picture = tmp_path / "m.tflite", tmp_path / "p.png"
    write_png(scene(50, 60), picture)
    said = edgelift("compile", eight, "--target", "litert", "-o", path, "--size", "32x32")
    assert (said.code, said.err) == (0, "")
    assert "XNNPACK runs all of it" in said.out
    results = []
    for number, tile in enumerate(("50x60", "20x17")):
        out = tmp_path / f"{number}.png"
        assert edgelift("upscale", picture, "-m", path, "-o", out, "--tile", tile).code == 0
        results.append(out.read_bytes())
    assert results[0] == results[1], "tile by tile it is what it is in one piece"
    shown = edgelift("models", "show", path).out
    assert "name: plain-int8" in shown
    assert "target: litert" in shown


def test_parity_compares_and_draws(edgelift: Any, eight: Path, plain_bundle: Path, tmp_path: Path) -> None:
    said = edgelift("parity", eight, plain_bundle, "--maps", tmp_path / "maps")
    assert said.code == 0
    assert "4 maps in" in said.out
    assert len(list((tmp_path / "maps").iterdir())) == 4
    write_png(scene(90, 100), tmp_path / "one.png")
    said = edgelift("parity", eight, plain_bundle, "--pictures", tmp_path, "--json")
    found = json.loads(said.out)["parity"]
    assert (found["tiles"], found["precision"], found["pictures"]) == (1, "int8", tmp_path.name)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (
            ("quantize", "MODEL", "-o", "x.onnx"),
            2,
            "int8 needs pictures that ranges are taken from (--calibration DIR)",
        ),
        (
            ("quantize", "MODEL", "--bits", "int4", "-o", "x.onnx"),
            2,
            "bits must be one of int8, int16x8, fp16, got 'int4'",
        ),
        (("quantize", "MODEL", "--calibration", "absent", "-o", "x.onnx"), 3, "absent: is no folder"),
        (("quantize", "MODEL", "--bits", "fp16", "-o", "x.tflite"), 2, "files of onnx end in .onnx"),
        (("compile", "MODEL", "--target", "toaster", "-o", "x"), 2, "no target is called 'toaster'; choose from onnx,"),
        (("compile", "MODEL", "--target", "onnx", "--size", "4", "-o", "x.onnx"), 2, "a size is HEIGHTxWIDTH"),
        (
            ("compile", "MODEL", "--target", "onnx", "--variant", "w9", "-o", "x.onnx"),
            2,
            "has no variant 'w9'; it has full",
        ),
        (("compile", "MODEL", "--target", "onnx", "-o", "MODEL"), 4, "exists already; remove it, or say --overwrite"),
        (("compile", "absent", "--target", "onnx", "-o", "x.onnx"), 2, "no model is called 'absent'"),
        (("parity", "MODEL", "abpn-x3"), 2, "compare models of one scale"),
        (("parity", "MODEL", "MODEL", "--pictures", "EMPTY"), 3, "no pictures in this folder"),
    ],
)
def test_bad_requests(
    edgelift: Any, plain_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...], code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    given = {"MODEL": plain_bundle, "EMPTY": tmp_path}
    said = edgelift(*(given.get(word, word) for word in words))
    assert said.code == code
    assert says in said.err
    assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@WITH_LITERT
def test_a_foreign_tflite_is_refused_with_the_way_out(edgelift: Any, tmp_path: Path) -> None:
    from edgelift.targets.tflite import Builder

    builder, path = Builder(), tmp_path / "theirs.tflite"
    ends = [builder.tensor(name, (1, 4, 4, 3), "float32") for name in ("in", "out")]
    builder.operator("RELU", ends[:1], ends[1], "float32")
    path.write_bytes(builder.finish(*ends, {}))
    said = edgelift("upscale", tmp_path / "p.png", "-m", path, "-o", tmp_path / "o.png")
    assert said.code == 5
    assert "theirs.tflite: no edgelift facts in it" in said.err
    assert "make one: edgelift compile" in said.err


def test_check_names_what_falls_back(edgelift: Any, plain_bundle: Path) -> None:
    said = edgelift("check", plain_bundle, "--on", "onnx-nnapi")
    assert (said.code, said.err) == (0, "")
    assert "1 Round  falls back to the CPU: not in the table" in said.out
    assert "2 Conv  runs" in said.out
    found = json.loads(edgelift("check", plain_bundle, "--json").out)
    assert set(found["accelerators"]) == {"onnx-nnapi", "onnx-coreml", "litert-gpu"}
    assert found["accelerators"]["onnx-coreml"]["read"]
    said = edgelift("check", plain_bundle, "--on", "abacus")
    assert (said.code, said.err.count("\n")) == (2, 1)
