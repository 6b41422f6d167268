"""`edgelift average`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from edgelift.nets import zoo  # noqa: E402  # after the skip
from edgelift.training.checkpoint import Checkpoint  # noqa: E402


def _save(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    network = {"architecture": "abpn", "scale": 2, "channels": 4, "layers": 1}
    weights = zoo.build("abpn", scale=2, channels=4, layers=1).state_dict()
    Checkpoint(weights, {"step": 5, "recipe": {"name": path.stem, "network": network}}).save(path)
    return path


def test_a_mean_is_written_and_becomes_a_bundle_that_names_its_parts(edgelift, tmp_path: Path) -> None:
    paths = [_save(tmp_path / f"{seed}.pt", seed) for seed in (1, 2)]
    said = edgelift("average", *paths, "-o", tmp_path / "mean.pt")
    assert said.code == 0, said.err
    assert said.out.strip() == f"{tmp_path / 'mean.pt'}: mean of 2 of 2 checkpoints"
    assert edgelift("export", tmp_path / "mean.pt", "-o", tmp_path / "mean.onnx").code == 0
    from edgelift.io.bundle import read_bundle

    origins = read_bundle(tmp_path / "mean.onnx").spec.training["averaged_from"]
    assert [row["recipe"] for row in origins] == ["1", "2"]
    assert json.loads((tmp_path / "mean.json").read_text())["averaged_from"] == origins


def test_wrong_requests(edgelift, tmp_path: Path) -> None:
    one = _save(tmp_path / "1.pt", 1)
    assert edgelift("average", one, "-o", tmp_path / "m.pt").code == 2
    assert edgelift("average", one, one, "-o", tmp_path / "m.onnx").code == 2
    two = _save(tmp_path / "2.pt", 2)
    said = edgelift("average", one, one, "-o", two)
    assert said.code == 4
    assert "exists already" in said.err
    assert edgelift("average", one, one, "-o", two, "--overwrite").code == 0
    assert edgelift("average", one, two, "-o", two, "--overwrite").code == 4
    (tmp_path / "notes.json").write_text("mine")
    assert edgelift("average", one, two, "-o", tmp_path / "notes.pt").code == 4
    assert (tmp_path / "notes.json").read_text() == "mine"
    assert edgelift("export", one, "-o", one, "--overwrite").code == 2
    said = edgelift("export", one, "-o", tmp_path / "m.tflite")
    assert (said.code, "a bundle's name ends in .onnx" in said.err) == (2, True)
    assert edgelift("average", one, tmp_path / "absent.pt", "-o", tmp_path / "m.pt").code == 8
