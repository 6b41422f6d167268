"""Narrower networks: which channels go together, and that a narrow network is the whole one with channels of 0."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from edgelift.core.errors import RequestError
from edgelift.nets import zoo
from edgelift.nets.narrow import cut, groups_of
from edgelift.nets.network import Network, parameters

CASES: list[tuple[str, dict[str, Any], int]] = [
    ("abpn", {"channels": 8, "layers": 2}, 4), ("abpn", {"channels": 8, "layers": 2, "residual": "feature"}, 3),
    ("abpn", {"channels": 8, "layers": 2, "residual": "image"}, 4), ("plain", {"channels": 8, "layers": 2}, 3),
    ("plain", {"channels": 8, "layers": 2, "skip": True, "linear": 5}, 2),
    ("fsrcnn", {"channels": 8, "shrunk": 4, "layers": 1}, 4), ("espcn", {}, 2), ("edsr", {"channels": 8, "layers": 2}, 3),
    ("carn", {"channels": 8, "blocks": 1, "layers": 1}, 4), ("srvgg", {"channels": 8, "layers": 2}, 3),
]  # fmt: skip


def built(name: str, config: dict[str, Any]) -> Network:
    torch.manual_seed(2)
    return zoo.build(name, **config).eval().requires_grad_(False)


@pytest.mark.parametrize(("name", "config", "count"), CASES)
def test_a_narrow_network_is_the_whole_one_with_channels_of_0(name: str, config: dict[str, Any], count: int) -> None:
    whole = built(name, config)
    groups = groups_of(whole)
    assert len(groups) == count
    kept = {key: list(range(0, group.channels, 2)) for key, group in groups.items()}
    made, silent = copy.deepcopy(whole), copy.deepcopy(whole)
    for key, group in groups.items():
        gone = [c for c in range(group.channels) if c not in kept[key]]
        for reader in group.readers:
            layer = silent.get_submodule(reader)
            weight = layer.get_parameter("weight")
            weight[(slice(None), gone) if isinstance(layer, nn.Conv2d) else gone] = 0
    cut(made, kept)
    x = torch.rand(1, 3, 12, 12)
    assert torch.allclose(made(x), silent(x), rtol=0, atol=1e-5)
    assert made.macs_per_pixel() < whole.macs_per_pixel()
    assert parameters(made) < parameters(whole)


@pytest.mark.parametrize(("name", "config", "count"), CASES)
def test_a_narrow_network_is_built_again_from_its_configuration(name: str, config: dict[str, Any], count: int) -> None:
    made = built(name, config)
    cut(made, {key: list(range(1, group.channels)) for key, group in groups_of(made).items()})
    assert len(made.config["pruned"]) == count
    again = zoo.build(name, **made.config)
    again.load_state_dict(made.state_dict())
    x = torch.rand(1, 3, 12, 12)
    assert torch.equal(again.eval()(x), made(x))
    assert again.config == made.config


def test_a_narrow_network_can_be_narrowed_again() -> None:
    made = built("abpn", {"channels": 8, "layers": 1})
    cut(made, {"head": range(6)})
    cut(made, {"head": [0, 5], "trunk.0": [1]})
    assert made.config["pruned"] == {"head": 2, "trunk.0": 1}
    assert zoo.build("abpn", **made.config).macs_per_pixel() == made.macs_per_pixel()


def test_new_weights_of_a_narrow_network_are_as_large_as_its_inputs_need() -> None:
    torch.manual_seed(0)
    whole = zoo.build("abpn", channels=64, layers=1)
    narrow = zoo.build("abpn", channels=64, layers=1, pruned={"head": 16})
    spreads = [float(n.get_parameter("trunk.0.weight").detach().std()) for n in (whole, narrow)]
    assert spreads[1] == pytest.approx(2 * spreads[0], rel=0.05)


def test_blocks_of_several_branches_are_not_narrowed() -> None:
    assert groups_of(zoo.build("abpn", block="reparam", layers=1)) == {}


@pytest.mark.parametrize(
    ("pruned", "says"),
    [
        ({"neck": 3}, "has no channels 'neck' to be narrowed; it has head, trunk.0, widen"),
        ({"tail": 3}, "has no channels 'tail'"),
        ({"head": 0}, "'head' can have 1 to 28 channels, got 0"),
        ({"head": 29}, "'head' can have 1 to 28 channels, got 29"),
        ({"head": 2.5}, "got 2.5"),
        ({"head": True}, "got True"),
        (7, "cannot be built"),
        ("head", "cannot be built"),
    ],
)
def test_widths_that_make_no_sense_are_refused(pruned: Any, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        zoo.build("abpn", layers=1, pruned=pruned)


@pytest.mark.parametrize("numbers", [[], [-1], [28], [0, 99]])
def test_channels_that_there_are_not_cannot_be_kept(numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="of the 28 channels of 'head' some must be kept"):
        cut(zoo.build("abpn", layers=1), {"head": numbers})
