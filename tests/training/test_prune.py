"""Which channels go: saliencies, and plans that keep to a share of the multiply-adds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from edgelift.core.errors import RequestError
from edgelift.nets import zoo
from edgelift.nets.narrow import groups_of
from edgelift.nets.network import Network
from edgelift.training.prune import LEAST, SALIENCIES, planned, pruned, saliency


def network(name: str = "abpn", **config: Any) -> Network:
    torch.manual_seed(0)
    return zoo.build(name, **{"scale": 2, "channels": 16, "layers": 2, **config}).eval().requires_grad_(False)


def batch(number: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(number)
    low = torch.rand(2, 3, 8, 8)
    return low, functional.interpolate(low, scale_factor=2, mode="bicubic")


@pytest.mark.parametrize("kind", SALIENCIES)
def test_a_channel_that_does_nothing_goes_first(kind: str) -> None:
    made = network()
    layer, reader = made.get_submodule("trunk.0"), made.get_submodule("trunk.1")
    for value in layer.parameters():
        value[5] = 0
    reader.get_parameter("weight")[:, 5] = 0
    if kind == "median":  # that measure looks for channels which others can stand in for
        layer.get_parameter("weight")[5] = layer.get_parameter("weight").mean(0)
    scores = saliency(made, kind, batch, functional.l1_loss)
    assert set(scores) == set(groups_of(made))
    assert int(scores["trunk.0"].argmin()) == 5
    assert all((values >= 0).all() for values in scores.values())
    assert not any(value.requires_grad for value in made.parameters())


def test_the_first_order_change_is_that_of_the_loss() -> None:
    made = network(layers=0)
    scores = saliency(made, "taylor", lambda number: batch(0), functional.mse_loss)["head"] / 32
    low, high = batch(0)
    whole = functional.mse_loss(made(low), high)
    channel = int(scores.argmin())
    small = 1e-3
    for value in made.get_submodule("head").parameters():
        value[channel] *= 1 - small
    changed = float((functional.mse_loss(made(low), high).double() - whole.double()) / small)
    assert changed**2 == pytest.approx(float(scores[channel]), rel=0.2, abs=1e-10)


@pytest.mark.parametrize("multiple", [1, 4])
@pytest.mark.parametrize("share", [0.85, 0.5])
@pytest.mark.parametrize("name", ["abpn", "fsrcnn", "edsr"])
def test_a_plan_keeps_to_its_share_and_no_less_than_it_must(name: str, share: float, multiple: int) -> None:
    whole = network(name)
    scores = saliency(whole, "l1", batch, functional.l1_loss)
    plan = planned(whole, scores, share, multiple)
    made = pruned(whole, plan)
    assert plan.share <= share
    assert made.macs_per_pixel() / whole.macs_per_pixel() == pytest.approx(plan.share, abs=2e-3)
    assert all(width % multiple == 0 and width >= LEAST for width in plan.widths.values())
    assert planned(whole, scores, plan.share + 1e-9, multiple) == plan
    for group, numbers in plan.kept.items():
        gone = set(range(groups_of(whole)[group].channels)) - set(numbers)
        assert scores[group][list(gone)].max() <= scores[group][numbers].min()


def test_what_is_kept_is_what_was_there() -> None:
    whole = network()
    plan = planned(whole, saliency(whole, "l1", batch, functional.l1_loss), 0.7, 4)
    made = pruned(whole, plan)
    for name, numbers in plan.kept.items():
        bias = whole.get_submodule(name).get_parameter("bias")
        assert torch.equal(made.get_submodule(name).get_parameter("bias"), bias[numbers])


def test_too_small_a_share_and_networks_without_channels_to_spare_are_refused() -> None:
    whole = network()
    with pytest.raises(RequestError, match=r"1% cannot be reached; with 4 channels a layer \d+% are left"):
        planned(whole, saliency(whole, "l1", batch, functional.l1_loss), 0.01, 4)
    with pytest.raises(RequestError, match="has no channels that could go"):
        planned(network(block="reparam"), {}, 0.5, 4)
    with pytest.raises(RequestError, match="saliency must be one of taylor, l1, median, got 'luck'"):
        saliency(whole, "luck", batch, functional.l1_loss)
