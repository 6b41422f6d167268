"""Means of checkpoints: by hand, greedily, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from edgelift.core.errors import RequestError, TrainingError
from edgelift.nets import zoo
from edgelift.training import average as averages
from edgelift.training.average import average, average_greedily
from edgelift.training.checkpoint import Checkpoint

TINY: dict[str, Any] = {"architecture": "abpn", "scale": 2, "channels": 4, "layers": 1}


def _save(path: Path, seed: int, network: dict[str, Any] = TINY, **facts: Any) -> Checkpoint:
    torch.manual_seed(seed)
    arguments = dict(network)
    weights = zoo.build(arguments.pop("architecture"), **arguments).state_dict()
    recipe = {"name": path.parent.name, "network": network, "data": {"validation": 2}}
    checkpoint = Checkpoint(
        weights, {"step": 10 * seed, "recipe": recipe, "data": [f"set{seed}"], "psnr_y": 30.0, **facts}
    )
    checkpoint.save(path)
    return checkpoint


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noise")
    for k in range(4):
        pixels = np.random.default_rng(k).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((48, 48)).save(folder / f"{k}.png")
    return folder


def test_a_mean_counts_each_alike_and_says_where_it_comes_from(tmp_path: Path) -> None:
    paths = [tmp_path / name / "best.pt" for name in ("a", "b", "c")]
    saved = [_save(path, seed, seconds=1.5) for seed, path in enumerate(paths, 1)]
    made = average(paths)
    for name, value in made.weights.items():
        mean = sum(c.weights[name].double() for c in saved) / 3
        assert torch.allclose(value.double(), mean, atol=1e-7)
        assert value.dtype == saved[0].weights[name].dtype
    assert made.meta["averaged_from"] == [
        {"checkpoint": f"{p.parent.name}/best.pt", "recipe": p.parent.name, "step": 10 * k, "psnr_y": 30.0}
        for k, p in enumerate(paths, 1)
    ]
    assert (made.meta["step"], made.meta["seconds"], made.meta["data"]) == (30, 4.5, ["set1", "set2", "set3"])
    assert made.meta["best_psnr_y"] is None
    assert made.meta["recipe"]["name"] == "a"
    made.save(tmp_path / "mean.pt")
    assert Checkpoint.load(tmp_path / "mean.pt").meta == made.meta


def test_a_mean_of_one_checkpoint_with_itself_is_that_one(tmp_path: Path) -> None:
    saved = _save(tmp_path / "a" / "best.pt", 1)
    made = average([tmp_path / "a" / "best.pt"] * 2)
    assert all(torch.equal(made.weights[name], value) for name, value in saved.weights.items())


def test_greedily_only_what_helps_is_kept(data: Path, tmp_path: Path) -> None:
    """A network that gives its input, one that is brighter, one darker by as much, and one that is far off."""
    paths = [tmp_path / name / "best.pt" for name in ("brighter", "darker", "far")]
    for path, shift in zip(paths, (0.1, -0.1, 5.0), strict=True):
        checkpoint = _save(path, 1)
        for value in checkpoint.weights.values():
            value.zero_()
        checkpoint.weights["tail.bias"].fill_(shift)
        checkpoint.save(path)
    said: list[str] = []
    made = average_greedily(paths, [data], say=said.append)
    assert [row["recipe"] for row in made.meta["averaged_from"]] in (["brighter", "darker"], ["darker", "brighter"])
    assert torch.allclose(made.weights["tail.bias"], torch.zeros(12), atol=1e-7)
    assert [line.split(": ")[0] for line in said][2] == "with far/best.pt"
    assert said[1].endswith("kept")
    assert said[2].endswith("left out")
    assert made.meta["psnr_y"] == made.meta["best_psnr_y"] > 15


def test_greedily_the_mean_is_never_worse_than_the_best(data: Path, tmp_path: Path) -> None:
    paths = [tmp_path / str(seed) / "best.pt" for seed in range(3)]
    for seed, path in enumerate(paths):
        _save(path, seed)
    said: list[str] = []
    made = average_greedily(paths, [data], say=said.append)
    best = float(said[0].split(": ")[1].split(" ")[0])
    assert made.meta["psnr_y"] >= best - 5e-4


def test_what_has_no_mean_is_refused(data: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "a" / "best.pt", tmp_path / "b" / "best.pt"
    _save(one, 1)
    _save(other, 1, {**TINY, "channels": 5})
    with pytest.raises(RequestError, match="two checkpoints or more, got 1"):
        average([one])
    for call in (lambda paths: average(paths), lambda paths: average_greedily(paths, [data])):
        with pytest.raises(RequestError, match=r"'channels': 5.*only checkpoints of one network have a mean"):
            call([one, other])
    with pytest.raises(TrainingError, match="not a checkpoint"):
        average([one, tmp_path / "absent.pt"])
    with pytest.raises(TrainingError, match="no such folder"):
        average_greedily([one, one], [tmp_path / "absent"])


def test_what_holds_no_fractions_is_taken_from_the_first() -> None:
    member = averages._Member(Path("a"), Checkpoint({"n": torch.tensor([3])}, {}), None)  # type: ignore[arg-type]  # unused
    assert torch.equal(averages._mean([member, member])["n"], torch.tensor([3]))
