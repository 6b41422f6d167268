"""Weights that a run begins with."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch  # after the skip

from edgelift.nets import zoo
from edgelift.training.start import begin_with


def _features(network, x, layers: int):
    h = torch.relu(network.head(x))
    for layer in network.trunk[:layers]:
        h = torch.relu(layer(h))
    return h


@pytest.mark.parametrize("block", ["plain", "reparam"])
def test_a_wider_network_keeps_the_features_of_a_narrower_one(block: str) -> None:
    torch.manual_seed(0)
    narrow = zoo.build("abpn", scale=2, channels=12, layers=3)
    wide = zoo.build("plain", scale=2, channels=16, layers=4, block=block)
    x, last = torch.rand(1, 3, 9, 11), wide.tail.weight.clone()
    assert (
        begin_with(wide, narrow.state_dict(), grow=True) == 2 * 4 + 1
    )  # the head, the trunk, the bias of the last layer
    assert torch.equal(wide.tail.weight, last)  # ABPN's reads another layer, of as many channels
    with torch.no_grad():
        features = _features(wide, x, 3)
        assert torch.allclose(features[:, :12], _features(narrow, x, 3), atol=1e-5)
        assert features[:, 12:].abs().max() > 0.01  # further ones are there, and are something


def test_the_last_layer_is_grown_where_what_it_reads_is_there() -> None:
    torch.manual_seed(0)
    narrow, wide = (zoo.build("plain", scale=2, channels=c, layers=2) for c in (8, 16))
    x = torch.rand(1, 3, 9, 11)
    assert begin_with(wide, narrow.state_dict(), grow=True) == len(narrow.state_dict())
    with torch.no_grad():
        assert torch.allclose(wide(x), narrow(x), atol=1e-5)
    deeper = zoo.build("plain", scale=2, channels=16, layers=3)
    assert begin_with(deeper, narrow.state_dict(), grow=True) == len(narrow.state_dict()) - 1


def test_without_growth_only_what_fits_is_taken() -> None:
    narrow = zoo.build("plain", scale=2, channels=12, layers=2)
    wide = zoo.build("plain", scale=2, channels=16, layers=2)
    before = {name: value.clone() for name, value in wide.state_dict().items()}
    assert begin_with(wide, narrow.state_dict()) == 1  # the bias of the last layer
    changed = [name for name, value in wide.state_dict().items() if not torch.equal(value, before[name])]
    assert set(changed) <= {"tail.bias"}


def test_a_block_that_folds_takes_a_plain_convolution() -> None:
    torch.manual_seed(1)
    plain = zoo.build("plain", scale=2, channels=8, layers=2)
    blocks = zoo.build("plain", scale=2, channels=8, layers=2, block="reparam")
    assert begin_with(blocks, plain.state_dict()) == len(plain.state_dict())
    x = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.allclose(blocks(x), plain(x), atol=1e-5)


def test_a_narrower_network_does_not_take_what_is_too_wide() -> None:
    wide, narrow = (zoo.build("plain", scale=2, channels=c, layers=1) for c in (16, 8))
    before = narrow.head.weight.clone()
    begin_with(narrow, wide.state_dict(), grow=True)
    assert torch.equal(narrow.head.weight, before)


@torch.no_grad()
def test_a_network_by_itself_takes_the_branch_of_its_form() -> None:
    torch.manual_seed(0)
    low = torch.rand(1, 3, 9, 11)
    branched = zoo.build("branched-plain", scale=2, widths=[4, 6, 8], layers=[1, 2, 1]).eval()
    for variant, (channels, layers) in enumerate([(4, 1), (6, 2), (8, 1)], 1):
        alone = zoo.build("plain", scale=2, channels=channels, layers=layers).eval()
        assert begin_with(alone, branched.state_dict()) == len(alone.state_dict())
        assert torch.equal(alone(low), branched.subnet(variant)(low))
    other = zoo.build("plain", scale=2, channels=6, layers=1)
    assert begin_with(other, branched.state_dict()) == 0


@torch.no_grad()
def test_a_network_by_itself_takes_the_subnet_of_its_width() -> None:
    torch.manual_seed(0)
    low = torch.rand(1, 3, 9, 11)
    supernet = zoo.build("slim-plain", scale=2, widths=[4, 8], layers=1).eval()
    for variant, channels in ((1, 4), (2, 8)):
        alone = zoo.build("plain", scale=2, channels=channels, layers=1).eval()
        assert begin_with(alone, supernet.state_dict()) == len(alone.state_dict())
        assert torch.equal(alone(low), supernet.subnet(variant)(low))
