"""NinaSR (Gouvine 2021, the torchSR project): narrow and deep, residual blocks with local channel attention.

The defaults are NinaSR-B0; B1 has 32 channels and 26 layers, B2 56 and 84. The published factors around the convolutions of
a block (its input divided by the spread that it will have, its result multiplied by 8 / layers) are in the weights here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgelift.nets.attention import LocalGate
from edgelift.nets.network import Network, conv
from edgelift.nets.steps import DIV2K_MEAN, Shift

__all__ = ["NinaSR", "block_factors"]

EXPANSION, SQUEEZE = 2, 4


def block_factors(layers: int) -> list[tuple[float, float]]:
    """For each block, what its first and its second convolution are multiplied by."""
    out = 4 / max(layers, 1)
    return [(1 / math.sqrt(1 + k * out**2), 2 * out) for k in range(layers)]


class GatedBlock(nn.Module):
    """x + conv3(gate(ReLU(conv3(x))))."""

    def __init__(self, channels: int, padding: str, before: float, after: float) -> None:
        super().__init__()
        wide = EXPANSION * channels
        self.first = conv(channels, wide, 3, padding)
        self.gate = LocalGate(wide, max(1, wide // SQUEEZE))
        self.second = conv(wide, channels, 3, padding, bias=False)
        with torch.no_grad():
            self.first.weight.mul_(before)
            self.second.weight.mul_(after)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(self.gate(functional.relu(self.first(x))))
        return out


class NinaSR(Network):
    """mean colour off · conv3(3→c) · `layers` × gated block · + head · conv3(c→3s²) · mean colour on."""

    architecture = "ninasr"

    def __init__(self, scale: int = 4, channels: int = 16, layers: int = 10, padding: str = "zeros") -> None:
        super().__init__()
        self.config = {"scale": scale, "channels": channels, "layers": layers, "padding": padding}
        self.scale = self.shuffle = scale
        self.padding, self.halo = padding, None
        self.mean = Shift([-value for value in DIV2K_MEAN])
        self.head = conv(3, channels, 3, padding, relu=False, bias=False)
        self.trunk = nn.ModuleList(GatedBlock(channels, padding, *factors) for factors in block_factors(layers))
        self.tail = conv(channels, 3 * scale**2, 3, padding, relu=False)
        with torch.no_grad():
            self.tail.weight.mul_(0.1)  # start near the mean colour
            self.tail.get_parameter("bias").copy_(torch.tensor(DIV2K_MEAN * scale**2))

    def core(self, x: Tensor) -> Tensor:
        """Blocks of the larger picture."""
        head = self.head(self.mean(x))
        h = head
        for block in self.trunk:
            h = block(h)
        out: Tensor = self.tail(head + h)
        return out
