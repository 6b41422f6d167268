"""SRResNet (Ledig et al., CVPR 2017): residual blocks with batch normalisation, PReLU, enlargement in steps.

A normalisation after a convolution is a part of it once training is over: exported bundles have plain convolutions.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from edgelift.nets.network import Network, conv
from edgelift.nets.reparam import NormedConv
from edgelift.nets.steps import halo_of_steps, steps_of

__all__ = ["SRResNet"]


class ResidualBlock(nn.Module):
    """x + normed conv(PReLU(normed conv(x)))."""

    def __init__(self, channels: int, padding: str) -> None:
        super().__init__()
        self.first = NormedConv(channels, channels, padding, relu=True)
        self.slopes = nn.PReLU(channels)
        self.second = NormedConv(channels, channels, padding, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(self.slopes(self.first(x)))
        return out


class SRResNet(Network):
    """conv9(3→c)+PReLU · `layers` × residual block · normed conv · + head · steps of conv3, shuffle, PReLU · conv9(c→3)."""

    architecture = "srresnet"

    def __init__(self, scale: int = 4, channels: int = 64, layers: int = 16, padding: str = "zeros") -> None:
        super().__init__()
        self.config = {"scale": scale, "channels": channels, "layers": layers, "padding": padding}
        self.scale, self.shuffle, self.padding = scale, 1, padding
        self.steps = steps_of(scale)
        self.halo = 4 + 2 * layers + 1 + halo_of_steps(self.steps, after=4)
        self.head = conv(3, channels, 9, padding)
        self.trunk = nn.ModuleList(ResidualBlock(channels, padding) for _ in range(layers))
        self.body = NormedConv(channels, channels, padding, relu=False)
        self.enlarge = nn.ModuleList(conv(channels, channels * step**2, 3, padding) for step in self.steps)
        self.slopes = nn.ModuleList(nn.PReLU(channels) for _ in range(1 + len(self.steps)))
        self.tail = conv(channels, 3, 9, padding, relu=False)

    def core(self, x: Tensor) -> Tensor:
        """The larger picture."""
        head = self.slopes[0](self.head(x))
        h = head
        for block in self.trunk:
            h = block(h)
        h = head + self.body(h)
        for layer, slope, step in zip(self.enlarge, self.slopes[1:], self.steps, strict=True):
            h = slope(functional.pixel_shuffle(layer(h), step))
        out: Tensor = self.tail(h)
        return out
