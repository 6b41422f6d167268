"""Networks that were trained by themselves, as the branches of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from edgelift.core.errors import RequestError, TrainingError
from edgelift.nets import zoo
from edgelift.training.checkpoint import Checkpoint, network_of
from edgelift.training.join import join

LOW = torch.rand(1, 3, 9, 11, generator=torch.Generator().manual_seed(0))


def _save(path: Path, seed: int, **network: Any) -> Path:
    torch.manual_seed(seed)
    network = {"architecture": "plain", "scale": 2, **network}
    arguments = dict(network)
    weights = zoo.build(arguments.pop("architecture"), **arguments).state_dict()
    recipe = {"name": path.stem, "network": network}
    facts = {"step": 10 * seed, "seconds": 1.5, "best_psnr_y": 30.0 + seed, "data": [f"set{seed}"], "pictures": seed}
    Checkpoint(weights, {**facts, "recipe": recipe}).save(path)
    return path


@torch.no_grad()
def test_each_branch_is_the_network_that_was_trained_narrowest_first(tmp_path: Path) -> None:
    wide = _save(tmp_path / "wide.pt", 1, channels=8, layers=1, block="reparam")
    narrow = _save(tmp_path / "narrow.pt", 2, channels=4, layers=2)
    made = join([wide, narrow], "both")
    network = network_of(made, tmp_path / "both.pt")
    for variant, path in ((1, narrow), (2, wide)):
        alone = network_of(Checkpoint.load(path), path).eval()
        network.active = variant  # type: ignore[assignment]  # a family's
        assert torch.allclose(network(LOW), alone(LOW), atol=1e-5)
    assert made.meta["recipe"] == {
        "name": "both",
        "network": {
            "architecture": "branched-plain",
            "scale": 2,
            "widths": [4, 8],
            "layers": [2, 1],
            "padding": "zeros",
            "skips": [],
            "linears": [],
        },
    }
    assert (made.meta["step"], made.meta["seconds"], made.meta["data"]) == (20, 3.0, ["set1", "set2"])
    assert [row["psnr_y"] for row in made.meta["joined_from"]] == [32.0, 31.0]
    assert made.meta["best_psnr_y"] == 31.5
    assert [row["recipe"]["name"] for row in made.meta["joined_from"]] == ["narrow", "wide"]
    made.save(tmp_path / "both.pt")
    assert Checkpoint.load(tmp_path / "both.pt").meta == made.meta


@torch.no_grad()
def test_branches_keep_what_each_has_beside_its_layers(tmp_path: Path) -> None:
    paths = [
        _save(tmp_path / "a.pt", 1, channels=4, layers=1, skip=True, linear=5),
        _save(tmp_path / "b.pt", 2, channels=8, layers=1),
    ]
    made = join(paths, "both")
    network = network_of(made, tmp_path / "both.pt")
    assert (network.config["skips"], network.config["linears"]) == ([True, False], [5, 0])
    for variant, path in enumerate(paths, 1):
        network.active = variant  # type: ignore[assignment]  # a family's
        assert torch.allclose(network(LOW), network_of(Checkpoint.load(path), path)(LOW), atol=1e-6)


def test_what_cannot_be_joined(tmp_path: Path) -> None:
    one = _save(tmp_path / "one.pt", 1, channels=4, layers=1)
    others: list[tuple[dict[str, Any], str]] = [
        ({"channels": 4, "layers": 2}, "widths must rise"),
        ({"channels": 8, "layers": 1, "scale": 3}, "×3"),
        ({"channels": 8, "layers": 1, "padding": "replicate"}, "branches are alike in both"),
        ({"architecture": "abpn", "channels": 8, "layers": 1}, "abpn; networks that are joined"),
        ({"channels": 8, "layers": 1, "pruned": {"head": 5}}, "plain, pruned; networks"),
    ]
    for number, (network, reason) in enumerate(others):
        other = _save(tmp_path / f"{number}.pt", 2, **network)
        with pytest.raises(RequestError, match=reason):
            join([one, other], "both")
    with pytest.raises(RequestError, match="at least two branches"):
        join([one], "both")
    with pytest.raises(TrainingError, match="not a checkpoint"):
        join([one, tmp_path / "absent.pt"], "both")
