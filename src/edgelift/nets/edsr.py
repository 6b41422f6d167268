"""EDSR's baseline (Lim et al. 2017): the residual network SRResNet (Ledig et al. 2017) without batch normalisation.

The paper enlarges in steps of two and convolves the large picture once more; here the trunk gives the blocks at once,
as in `nets.plain`, so that all work stays at the low resolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgelift.nets.network import Network, conv

__all__ = ["EDSR"]


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x)))."""

    def __init__(self, channels: int, padding: str) -> None:
        super().__init__()
        self.first = conv(channels, channels, 3, padding)
        self.second = conv(channels, channels, 3, padding, relu=False)
        with torch.no_grad():
            self.second.weight.mul_(0.1)  # a deep stack of unscaled residuals grows too fast to start from

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(functional.relu(self.first(x)))
        return out


class EDSR(Network):
    """conv(3→c) · `layers` × residual block · conv(c→c) · + head · conv(c→3s²) · + the input, repeated s² times."""

    architecture = "edsr"

    def __init__(self, scale: int = 4, channels: int = 64, layers: int = 16, padding: str = "zeros") -> None:
        super().__init__()
        self.config = {"scale": scale, "channels": channels, "layers": layers, "padding": padding}
        self.scale = self.shuffle = scale
        self.padding = padding
        self.halo = 2 * layers + 3
        self.head = conv(3, channels, 3, padding, relu=False)
        self.trunk = nn.ModuleList(ResidualBlock(channels, padding) for _ in range(layers))
        self.body = conv(channels, channels, 3, padding, relu=False)
        self.tail = conv(channels, 3 * scale**2, 3, padding, relu=False)
        with torch.no_grad():
            self.tail.weight.mul_(0.1)  # start near the anchor: plain nearest-neighbour enlargement

    def core(self, x: Tensor) -> Tensor:
        """Blocks of the larger picture."""
        head = self.head(x)
        h = head
        for block in self.trunk:
            h = block(h)
        out: Tensor = self.tail(head + self.body(h))
        return out + torch.cat([x] * self.scale**2, dim=1)
