"""Networks side by side: which one runs, and which cannot stand together."""

from __future__ import annotations

import pytest
import torch

from edgelift.core.errors import RequestError
from edgelift.nets import zoo
from edgelift.nets.branched import Branched, BranchedPlain
from edgelift.nets.network import parameters
from edgelift.nets.ninasr import NinaSR
from edgelift.nets.plain import Plain

LOW = torch.rand(1, 3, 9, 11, generator=torch.Generator().manual_seed(0))


def _network() -> BranchedPlain:
    torch.manual_seed(0)
    return BranchedPlain(2, [4, 6, 8], [2, 1, 1])


@torch.no_grad()
def test_the_active_branch_runs_and_its_copy_gives_the_same() -> None:
    network = _network()
    assert network.variants == ("w4", "w6", "w8")
    assert torch.equal(network(LOW), network.branch(3)(LOW))
    for variant in (1, 2, 3):
        network.active = variant
        assert torch.equal(network(LOW), network.branch(variant)(LOW))
        copy = network.subnet(variant)
        assert torch.equal(copy(LOW), network(LOW))
        copy.tail.bias.add_(1.0)
        assert not torch.equal(copy(LOW), network(LOW))


def test_no_weight_is_shared_and_the_halo_is_the_farthest() -> None:
    network = _network()
    assert parameters(network) == sum(parameters(network.branch(k)) for k in (1, 2, 3))
    assert network.halo == 4
    assert network.costs == tuple(network.branch(k).macs_per_pixel() for k in (1, 2, 3))
    assert network.macs_per_pixel() == network.costs[-1]


def test_only_the_active_branch_learns() -> None:
    network = _network()
    network.active = 2
    network(LOW).sum().backward()
    assert all(p.grad is not None for p in network.branch(2).parameters())
    assert all(p.grad is None for k in (1, 3) for p in network.branch(k).parameters())


@pytest.mark.parametrize(
    ("widths", "layers", "reason"),
    [
        ([4], [1], "at least two branches"),
        ([8, 4], [1, 1], "widths must rise"),
        ([4, 4], [1, 2], "widths must rise"),
        ([4, 8], [1], "layers be as many"),
        ([4, 6], [9, 0], "branches cost more from one to the next"),
    ],
)
def test_what_cannot_stand_side_by_side(widths: list[int], layers: list[int], reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        zoo.build("branched-plain", scale=2, widths=widths, layers=layers)


def test_skips_and_linears_are_as_many_as_widths() -> None:
    with pytest.raises(RequestError, match="linears must be as many as widths"):
        zoo.build("branched-plain", scale=2, widths=[4, 8], layers=[1, 1], linears=[5])
    with pytest.raises(RequestError, match="odd side of a convolution up to 7, got 4"):
        zoo.build("plain", linear=4)


def test_a_branch_that_sees_the_whole_picture_makes_the_halo_that() -> None:
    config = {"scale": 2}
    network = Branched([Plain(2, 4, 1), NinaSR(2, 4, 2)], ["small", "large"], config)
    assert network.halo is None
