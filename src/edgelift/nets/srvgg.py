"""The compact plain network of Real-ESRGAN (Wang et al. 2021, "SRVGGNetCompact"): 3×3 convolutions and PReLU.

The defaults are the form of `realesr-general-x4v3`; that of `realesr-animevideov3` has 16 layers. The published sum with
the picture enlarged by nearest neighbour is made before the pixel shuffle: it is the same sum.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgelift.nets.network import Network, conv

__all__ = ["SRVGG"]


class SRVGG(Network):
    """conv(3→c)+PReLU · `layers` × [conv(c→c)+PReLU] · conv(c→3s²) · + the input, repeated s² times."""

    architecture = "srvgg"

    def __init__(self, scale: int = 4, channels: int = 64, layers: int = 32, padding: str = "zeros") -> None:
        super().__init__()
        self.config = {"scale": scale, "channels": channels, "layers": layers, "padding": padding}
        self.scale = self.shuffle = scale
        self.padding = padding
        self.halo = layers + 2
        self.layers = nn.ModuleList(conv(channels if k else 3, channels, 3, padding) for k in range(layers + 1))
        self.slopes = nn.ModuleList(nn.PReLU(channels) for _ in range(layers + 1))
        self.tail = conv(channels, 3 * scale**2, 3, padding, relu=False)
        with torch.no_grad():
            self.tail.weight.mul_(0.1)  # start near the anchor: plain nearest-neighbour enlargement

    def core(self, x: Tensor) -> Tensor:
        """Blocks of the larger picture."""
        h = x
        for layer, slope in zip(self.layers, self.slopes, strict=True):
            h = slope(layer(h))
        out: Tensor = self.tail(h)
        return out + torch.cat([x] * self.scale**2, dim=1)
