"""Dead units: found, drawn afresh, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edgelift.core.errors import RecipeError
from edgelift.nets import zoo
from edgelift.training import loop
from edgelift.training.batches import Batches, batches_of
from edgelift.training.checkpoint import Checkpoint
from edgelift.training.loop import train
from edgelift.training.recipe import recipe_from
from edgelift.training.wake import wake

LOW = torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def _network(architecture: str = "plain", **config: object) -> nn.Module:
    torch.manual_seed(0)
    return zoo.build(architecture, **({"scale": 2, "channels": 8, "layers": 2} | config))


def _supernet() -> nn.Module:
    torch.manual_seed(0)
    return zoo.build("slim-plain", scale=2, widths=[4, 8], layers=2).eval()


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


def test_many_patches_are_run_a_few_at_a_time() -> None:
    network, seen = _network(), list[int]()
    _kill(network.head, 2)
    with torch.no_grad():
        network.head.weight[5], network.head.bias[5] = 1.0, -26.0  # it speaks in the last patch alone
    network.register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
    low = torch.cat([LOW.repeat(20, 1, 1, 1), torch.full((1, 3, 12, 12), 1.0)])
    assert wake(network, low) == 1
    assert max(seen) <= 32


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


def _subnets(network: nn.Module) -> torch.Tensor:
    return torch.stack([network.subnet(variant)(LOW) for variant in range(1, len(network.variants) + 1)])


@torch.no_grad()
def test_all_subnets_of_a_supernet_stay_what_they_were() -> None:
    network = _supernet()
    _kill(network.full.head, 6, 7)  # of the widest one only
    before = _subnets(network)
    assert wake(network, LOW) == 2
    assert torch.allclose(_subnets(network), before, atol=1e-5)
    assert network.active == 2


@torch.no_grad()
def test_a_unit_that_a_narrow_subnet_uses_is_kept() -> None:
    network = _supernet()
    head, reader = network.full.head, network.full.trunk[0]
    head.weight[4], head.bias[4] = 0.0, 1.0  # always 1, and seen by the widest subnet alone
    reader.weight[0], reader.bias[0] = 0.0, 1.0
    reader.weight[0, 4] = -1.0
    before = _subnets(network)
    assert not torch.relu(reader(torch.relu(head(LOW))))[:, 0].any()
    assert wake(network, LOW) == 0
    assert torch.equal(_subnets(network), before)


@torch.no_grad()
def test_each_branch_is_looked_at() -> None:
    network = zoo.build("branched-plain", scale=2, widths=[4, 8], layers=[1, 1]).eval()
    for variant, units in ((1, [2]), (2, [0, 5])):
        _kill(network.branch(variant).head, *units)
    before = _subnets(network)
    assert wake(network, LOW) == 3
    assert torch.allclose(_subnets(network), before, atol=1e-5)


@pytest.mark.parametrize("architecture", ["abpn", "espcn", "fsrcnn", "edsr", "carn", "slim-plain", "branched-plain"])
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


@pytest.mark.parametrize("dead", [0, 2])
def test_the_end_of_a_run_names_units_that_do_nothing(
    dead: int, waves: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    data = waves(tmp_path / "waves", 3)
    network = _network(channels=4, layers=1)
    with torch.no_grad():
        network.head.bias.fill_(1.0)
    _kill(network.head, *range(dead))
    start = tmp_path / "start.pt"
    Checkpoint(network.state_dict(), {"step": 0}).save(start)
    recipe = recipe_from({
        "name": "idle", "network": {"architecture": "plain", "scale": 2, "channels": 4, "layers": 1},
        "data": {"patch": 8, "batch": 4, "validation": 1}, "train": {"steps": 2, "lr": 1e-9, "final_lr": 1e-9},
    })  # fmt: skip
    said: list[str] = []
    best = train(recipe, [data], tmp_path / "run", start=start, say=said.append)
    assert [line.split(" ", 1)[0] for line in said if "do nothing any more" in line] == ([str(dead)] if dead else [])
    assert torch.equal(best.weights["head.bias"] < -50, network.head.bias < -50)  # what is kept is as it was trained


def test_the_batches_after_the_last_step_say_which_do_nothing(
    waves: Callable[[Path, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool of degraded pairs that is asked for an early batch makes all of its pairs again."""
    asked: list[int] = []

    def noted(*given: Any) -> Batches:
        batch = batches_of(*given)
        return lambda number: asked.append(number) or batch(number)  # type: ignore[func-returns-value]

    monkeypatch.setattr(loop, "batches_of", noted)
    recipe = recipe_from({
        "name": "idle", "network": {"architecture": "plain", "scale": 2, "channels": 4, "layers": 1},
        "data": {"patch": 8, "batch": 64, "validation": 1}, "train": {"steps": 3},
    })  # fmt: skip
    train(recipe, [waves(tmp_path / "waves", 3)], tmp_path / "run", say=lambda line: None)
    assert asked == [0, 1, 2, 3, 4, 5, 6]


def test_whole_numbers_are_refused(waves: Callable[[Path, int], Path], tmp_path: Path) -> None:
    recipe = recipe_from({
        "name": "woken", "network": {"architecture": "plain", "scale": 2}, "train": {"wake": True, "quantize": "int8"},
    })  # fmt: skip
    with pytest.raises(RecipeError, match="'wake' is for training in floats"):
        train(recipe, [waves(tmp_path / "waves", 3)], tmp_path / "run", say=lambda line: None)
    assert not (tmp_path / "run").exists()
