"""Dead units: found, drawn afresh, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from edgelift.core.errors import RecipeError
from edgelift.nets import zoo
from edgelift.training.checkpoint import Checkpoint
from edgelift.training.loop import train
from edgelift.training.recipe import recipe_from
from edgelift.training.wake import wake

LOW = torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def _network(architecture: str = "plain", **config: object) -> nn.Module:
    torch.manual_seed(0)
    return zoo.build(architecture, **({"scale": 2, "channels": 8, "layers": 2} | config))


@torch.no_grad()
def _kill(layer: nn.Conv2d, *units: int) -> None:
    layer.bias[list(units)] = -100.0


def test_dead_units_begin_anew_and_the_result_stays() -> None:
    network = _network()
    _kill(network.head, 2, 5)
    _kill(network.trunk[1], 0)
    before = network(LOW)
    assert wake(network, LOW) == 3
    assert torch.allclose(network(LOW), before, atol=1e-5)
    h = torch.relu(network.head(LOW))
    assert (h.amax((0, 2, 3)) > 0).all()
    assert not network.trunk[0].weight[:, [2, 5]].any()
    assert not network.tail.weight[:, 0].any()
    assert wake(network, LOW) == 0


def test_they_learn_again() -> None:
    network = _network()
    _kill(network.head, 2)
    wake(network, LOW)
    network(LOW).square().sum().backward()
    assert network.trunk[0].weight.grad[:, 2].any()  # what reads it learns first


def test_a_network_without_dead_units_is_not_touched() -> None:
    network = _network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert wake(network, LOW) == 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_unit_below_zero_that_something_follows_from_is_kept() -> None:
    """With tanh a unit that is always below 0 speaks all the same."""
    network = zoo.build("espcn", scale=2, activation="tanh")
    with torch.no_grad():
        network.first.bias[3] = -100.0
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert wake(network, LOW) == 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("architecture", ["abpn", "espcn", "fsrcnn", "edsr", "carn", "slim-plain"])
def test_it_never_changes_what_a_network_does(architecture: str) -> None:
    torch.manual_seed(1)
    network = zoo.build(architecture, scale=2)
    for module in network.modules():
        if (
            isinstance(module, nn.Conv2d)
            and module.bias is not None
            and module.bias.requires_grad
            and module.out_channels > 4
        ):
            _kill(module, 1)
    with torch.no_grad():
        before = network(LOW)
        wake(network, LOW)
        assert torch.allclose(network(LOW), before, atol=1e-4)


def test_a_recipe_asks_for_it(waves: Callable[[Path, int], Path], tmp_path: Path) -> None:
    data = waves(tmp_path / "waves", 3)
    network = _network(channels=4, layers=1)
    _kill(network.head, 1)
    start = tmp_path / "start.pt"
    Checkpoint(network.state_dict(), {"step": 0}).save(start)
    recipe = recipe_from({
        "name": "woken", "network": {"architecture": "plain", "scale": 2, "channels": 4, "layers": 1},
        "data": {"patch": 8, "batch": 4, "validation": 1}, "train": {"steps": 2, "lr": 1e-9, "wake": True},
    })  # fmt: skip
    said: list[str] = []
    best = train(recipe, [data], tmp_path / "run", start=start, say=said.append)
    assert any("1 units that did nothing begin anew" in line for line in said)
    assert best.weights["head.bias"][1].abs() < 1


def test_whole_numbers_are_refused(waves: Callable[[Path, int], Path], tmp_path: Path) -> None:
    recipe = recipe_from({
        "name": "woken", "network": {"architecture": "plain", "scale": 2}, "train": {"wake": True, "quantize": "int8"},
    })  # fmt: skip
    with pytest.raises(RecipeError, match="'wake' is for training in floats"):
        train(recipe, [waves(tmp_path / "waves", 3)], tmp_path / "run", say=lambda line: None)
    assert not (tmp_path / "run").exists()
