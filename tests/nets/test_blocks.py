"""The pixel shuffle's order and the layers that networks share."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from edgelift.nets.fsrcnn import ALIGNS, SubPixelDeconv
from edgelift.nets.network import conv, parameters, shuffle_blocks


@pytest.mark.parametrize(("side", "colours"), [(1, 3), (2, 3), (3, 3), (4, 1), (3, 2)])
def test_channels_of_a_block_are_row_then_column_then_colour(side: int, colours: int) -> None:
    blocks = torch.arange(2 * colours * side**2 * 2 * 5, dtype=torch.float32).reshape(2, -1, 2, 5)
    out = shuffle_blocks(blocks, side)
    assert out.shape == (2, colours, 2 * side, 5 * side)
    for n in range(2):
        for y in range(2 * side):
            for x in range(5 * side):
                for c in range(colours):
                    channel = (y % side * side + x % side) * colours + c
                    assert out[n, c, y, x] == blocks[n, channel, y // side, x // side]


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_sub_pixel_deconvolution_is_a_cropped_transposed_convolution(scale: int, align: str) -> None:
    torch.manual_seed(scale)
    layer = SubPixelDeconv(5, scale, "zeros", align).double()
    nn.init.constant_(layer.bias, 0.25)
    x = torch.randn(2, 5, 6, 7, dtype=torch.float64)
    whole = functional.conv_transpose2d(x, layer.weight[:, None], layer.bias, stride=scale)
    crop = whole[:, :, layer.offset :, layer.offset :][:, :, : 6 * scale, : 7 * scale]
    assert torch.allclose(shuffle_blocks(layer(x), scale), crop, rtol=0, atol=1e-12)
    padded = functional.conv_transpose2d(x, layer.weight[:, None], layer.bias, scale, 4, scale - 1)
    if align == "corner":
        assert torch.allclose(shuffle_blocks(layer(x), scale), padded, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_sub_pixel_deconvolution_is_centred_to_half_a_pixel(scale: int) -> None:
    layer = SubPixelDeconv(1, scale, "zeros")
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.weight[0, 4, 4] = 1  # the kernel's middle
    x = torch.zeros(1, 1, 3, 3)
    x[0, 0, 1, 1] = 1
    ((row, column),) = shuffle_blocks(layer(x), scale)[0, 0].nonzero().tolist()
    assert row == column
    assert abs(row + 0.5 - 1.5 * scale) <= 0.5  # the input pixel's own middle


@pytest.mark.parametrize("padding", ["zeros", "replicate"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_convolution_it_folds_to_gives_the_same_blocks(scale: int, padding: str) -> None:
    torch.manual_seed(scale)
    layer = SubPixelDeconv(5, scale, padding)
    nn.init.constant_(layer.bias, 0.25)
    x = torch.randn(1, 5, 6, 7)
    assert torch.allclose(layer.as_conv()(x), layer(x), rtol=0, atol=1e-5)


def test_conv_keeps_the_size_and_starts_with_the_stated_spread() -> None:
    torch.manual_seed(0)
    for relu, variance in ((True, 2 / (32 * 9)), (False, 1 / (32 * 9))):
        layer = conv(32, 64, 3, "zeros", relu=relu)
        assert layer.weight.var().item() == pytest.approx(variance, rel=0.05)
        assert layer.bias is not None
        assert not layer.bias.any()
        assert layer(torch.zeros(1, 32, 4, 5)).shape == (1, 64, 4, 5)


def test_padding_decides_what_lies_beyond_the_border() -> None:
    ones = torch.ones(1, 1, 3, 3)
    for padding, corner in (("zeros", 4.0), ("replicate", 9.0)):
        layer = conv(1, 1, 3, padding)
        nn.init.ones_(layer.weight)
        assert layer(ones)[0, 0, 0, 0].item() == corner
        assert layer(ones)[0, 0, 1, 1].item() == 9.0
    with pytest.raises(ValueError, match="zeros, replicate, got 'reflect'"):
        conv(1, 1, 3, "reflect")


def test_parameters_counts_trained_values_only() -> None:
    layer = nn.BatchNorm2d(4)  # two trained vectors, two measured ones and a counter
    assert parameters(layer) == 8
