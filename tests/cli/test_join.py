"""`edgelift join`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgelift import Upscaler  # noqa: E402  # after the skip
from edgelift.io.bundle import read_bundle  # noqa: E402
from edgelift.nets import zoo  # noqa: E402
from edgelift.training.checkpoint import Checkpoint  # noqa: E402


def _save(path: Path, **network: Any) -> Path:
    torch.manual_seed(network["channels"])
    network = {"scale": 2, **network}
    weights = zoo.build("plain", **network).state_dict()
    recipe = {"name": path.stem, "network": {"architecture": "plain", **network}}
    Checkpoint(weights, {"step": 5, "recipe": recipe}).save(path)
    return path


def test_networks_become_a_bundle_of_as_many_variants_the_last_of_which_runs(edgelift, tmp_path: Path) -> None:
    narrow = _save(tmp_path / "narrow.pt", channels=4, layers=1)
    wide = _save(tmp_path / "wide.pt", channels=6, layers=2)
    said = edgelift("join", wide, narrow, "-o", tmp_path / "both.pt")
    assert said.code == 0, said.err
    assert said.out.strip() == f"{tmp_path / 'both.pt'}: widths [4, 6], layers [1, 2]; validation PSNR-Y –, – dB"
    for name in ("both", "wide"):
        assert edgelift("export", tmp_path / f"{name}.pt", "-o", tmp_path / f"{name}.onnx").code == 0
    spec = read_bundle(tmp_path / "both.onnx").spec
    assert (spec.name, spec.variants, len(spec.routing["macs"])) == ("both", ("w4", "w6"), 2)
    assert [row["recipe"]["name"] for row in spec.training["joined_from"]] == ["narrow", "wide"]
    picture = np.random.default_rng(0).integers(0, 256, (21, 34, 3), np.uint8)
    results = []
    for name in ("both", "wide"):
        with Upscaler(tmp_path / f"{name}.onnx") as upscaler:
            results.append(upscaler(picture))
    assert np.array_equal(*results)


def test_wrong_requests(edgelift, tmp_path: Path) -> None:
    one = _save(tmp_path / "one.pt", channels=4, layers=1)
    two = _save(tmp_path / "two.pt", channels=6, layers=1)
    assert edgelift("join", one, "-o", tmp_path / "m.pt").code == 2
    assert edgelift("join", one, two, "-o", tmp_path / "m.onnx").code == 2
    assert edgelift("join", one, two, "-o", two, "--overwrite").code == 4
    assert edgelift("join", one, tmp_path / "absent.pt", "-o", tmp_path / "m.pt").code == 8
    assert not (tmp_path / "m.pt").exists()
    assert edgelift("join", one, two, "-o", tmp_path / "m.pt", "--name", "another").code == 0
    assert Checkpoint.load(tmp_path / "m.pt").meta["recipe"]["name"] == "another"
