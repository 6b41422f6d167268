"""Residual-in-residual dense blocks, the generator of ESRGAN (Wang et al. 2018) and Real-ESRGAN (Wang et al. 2021).

The defaults are ESRGAN's and Real-ESRGAN's ×4; Real-ESRGAN's ×2 is `scale = 2, unshuffle = 2`: the picture is folded into
half its size with four times the channels, and enlarged by four. The folding and the convolution after it are one with a
larger kernel and a stride. The published factor 0.2 after each dense block is in the weights here.

What a pixel depends on reaches 349 pixels far at ×4; where it is more than a bundle may state, as at ×2, the network counts
as one that sees the whole picture.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgelift.core.spec import MAX_HALO
from edgelift.nets.network import Network, Padding, conv
from edgelift.nets.steps import steps_of

__all__ = ["RRDB"]

SLOPE = 0.2
SHARE = 0.2
"""What is added of a block's result, and of each dense block's inside."""


class DenseBlock(nn.Module):
    """Five convolutions, each of all that came before it; x + the last."""

    def __init__(self, channels: int, growth: int, padding: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv(channels + k * growth, growth, 3, padding) for k in range(4))
        self.last = conv(channels + 4 * growth, channels, 3, padding, relu=False)
        with torch.no_grad():
            for layer in (*self.layers, self.last):
                layer.get_parameter("weight").mul_(0.1)  # as published: a stack this deep grows too fast to start from
            self.last.weight.mul_(SHARE)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for layer in self.layers:
            seen.append(functional.leaky_relu(layer(torch.cat(seen, dim=1)), SLOPE))
        out: Tensor = x + self.last(torch.cat(seen, dim=1))
        return out


class Block(nn.Module):
    """x + 0.2 · three dense blocks in a row."""

    def __init__(self, channels: int, growth: int, padding: str) -> None:
        super().__init__()
        self.parts = nn.Sequential(*(DenseBlock(channels, growth, padding) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + SHARE * self.parts(x)
        return out


def _folding(channels: int, side: int, padding: str) -> nn.Conv2d:
    """A 3×3 convolution of the picture folded into blocks of `side` × `side` pixels, without the folding."""
    layer = nn.Conv2d(3, channels, 3 * side, side, padding=side, padding_mode=cast(Padding, padding))
    nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.weight[0].numel()))
    nn.init.zeros_(layer.get_parameter("bias"))
    return layer


class RRDB(Network):
    """unshuffle and conv(→c) · `blocks` blocks · conv(c→c) · + head · steps of nearest ×2 and conv · conv · conv(c→3)."""

    architecture = "rrdb"

    def __init__(
        self,
        scale: int = 4,
        channels: int = 64,
        blocks: int = 23,
        growth: int = 32,
        unshuffle: int = 1,
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        self.config = {
            "scale": scale, "channels": channels, "blocks": blocks, "growth": growth, "unshuffle": unshuffle,
            "padding": padding,
        }  # fmt: skip
        self.steps = steps_of(scale * unshuffle)
        self.scale, self.shuffle, self.unshuffle, self.padding = scale, 1, unshuffle, padding
        self.multiple_of = unshuffle
        reach = 2  # of the last two convolutions, in pixels of the larger picture
        for step in reversed(self.steps):
            reach = -(-(reach + 1) // step)
        halo = unshuffle * (1 + 15 * blocks + 1 + reach) + unshuffle - 1
        self.halo = halo if halo <= MAX_HALO else None
        self.head = (
            conv(3, channels, 3, padding, relu=False) if unshuffle == 1 else _folding(channels, unshuffle, padding)
        )
        self.trunk = nn.ModuleList(Block(channels, growth, padding) for _ in range(blocks))
        self.body = conv(channels, channels, 3, padding, relu=False)
        self.enlarge = nn.ModuleList(conv(channels, channels, 3, padding) for _ in self.steps)
        self.large = conv(channels, channels, 3, padding)
        self.tail = conv(channels, 3, 3, padding, relu=False)

    def core(self, x: Tensor) -> Tensor:
        """The larger picture."""
        head = self.head(x)
        h = head
        for block in self.trunk:
            h = block(h)
        h = head + self.body(h)
        for layer, step in zip(self.enlarge, self.steps, strict=True):
            h = functional.leaky_relu(layer(functional.interpolate(h, scale_factor=step, mode="nearest")), SLOPE)
        out: Tensor = self.tail(functional.leaky_relu(self.large(h), SLOPE))
        return out
