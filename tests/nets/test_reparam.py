"""Blocks of several branches: what they sum to, written out here branch by branch, is what one convolution gives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgelift.nets import zoo
from edgelift.nets.network import conv, parameters
from edgelift.nets.reparam import EDGES, EdgeConv, block_of


def _drawn(into: int, out: int, padding: str) -> EdgeConv:
    """With branches that all weigh alike: new ones hardly do."""
    torch.manual_seed(3)
    block = EdgeConv(into, out, padding)
    with torch.no_grad():
        for value in block.parameters():
            value.normal_(std=0.5)
    return block


def _branches(block: EdgeConv, x: Tensor) -> Tensor:
    """Each branch by itself, layer after layer, every 3 × 3 convolution padded where it stands."""
    mode = "replicate" if block.padding == "replicate" else "constant"

    def three(h: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
        return functional.conv2d(functional.pad(h, (1, 1, 1, 1), mode=mode), weight, groups=groups)

    total = three(x, block.kernel) + block.bias[:, None, None]
    total = total + three(functional.conv2d(x, block.expand[:, :, None, None]), block.squeeze)
    for edge, mix, gains in zip(EDGES, block.mix, block.gains, strict=True):
        mixed = functional.conv2d(x, mix[:, :, None, None])
        each = torch.tensor(edge).expand(len(gains), 1, 3, 3)
        total = total + gains[:, None, None] * three(mixed, each, groups=len(gains))
    return total + x if block.keeps else total


@pytest.mark.parametrize("padding", ["zeros", "replicate"])
@pytest.mark.parametrize(("into", "out"), [(3, 5), (5, 5), (6, 2)])
def test_all_branches_together_are_one_convolution(into: int, out: int, padding: str) -> None:
    block = _drawn(into, out, padding)
    x = torch.rand(2, into, 7, 9)
    with torch.no_grad():
        wanted = _branches(block, x)
        folded = block.as_conv()
        assert isinstance(folded, nn.Conv2d)
        assert folded.weight.shape == (out, into, 3, 3)
        assert torch.allclose(block(x), wanted, rtol=0, atol=1e-5)
        assert torch.allclose(folded(x), wanted, rtol=0, atol=1e-5)
    assert block.keeps == (into == out)


def test_every_branch_is_trained() -> None:
    block = _drawn(4, 4, "zeros")
    block(torch.rand(1, 4, 5, 5)).square().sum().backward()
    for name, value in block.named_parameters():
        assert value.grad is not None, name
        assert value.grad.abs().max() > 0, name


def test_a_new_block_keeps_the_spread_of_a_plain_convolution() -> None:
    torch.manual_seed(0)
    x = torch.relu(torch.randn(4, 32, 16, 16))
    with torch.no_grad():
        spreads = [float(layer(x).std()) for layer in (EdgeConv(32, 32, "zeros"), conv(32, 32, 3, "zeros"))]
    assert spreads[0] == pytest.approx(spreads[1], rel=0.25)


@pytest.mark.parametrize("name", ["abpn", "plain"])
def test_the_network_that_runs_is_the_one_without(name: str) -> None:
    """The same layers under the same names: a bundle of one cannot be told from a bundle of the other."""
    plain, block = zoo.build(name, channels=8, layers=2), zoo.build(name, channels=8, layers=2, block="reparam")
    assert parameters(block) > 2 * parameters(plain)
    assert block.macs_per_pixel() == plain.macs_per_pixel()
    block.fold()
    shapes = [{key: tuple(value.shape) for key, value in n.state_dict().items()} for n in (plain, block)]
    assert shapes[0] == shapes[1]
    assert [type(m) for m in plain.modules()] == [type(m) for m in block.modules()]


def test_another_block_is_refused() -> None:
    with pytest.raises(ValueError, match="block must be one of plain, reparam, norm, got 'dense'"):
        block_of("dense", 3, 3, "zeros")
