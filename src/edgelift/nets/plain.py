"""A plain network of 3×3 convolutions and ReLU with an anchor, all of whose work is as wide as its `channels`.

ABPN (Du et al. 2021) ends in a convolution from 3s² to 3s² channels, which at ×4 takes a third of its multiply-adds
whatever its width is; here the trunk gives the blocks at once. That is what a narrow network needs to be cheap.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgelift.nets.network import Network, conv
from edgelift.nets.reparam import block_of

__all__ = ["Plain"]


class Plain(Network):
    """conv(3→c)+ReLU · `layers` × [conv(c→c)+ReLU] · conv(c→3s²) · + the input, repeated s² times.

    `block`: how all convolutions but the last are trained, `plain`, `reparam` or `norm` (see `nets.reparam`).
    """

    architecture = "plain"

    def __init__(
        self, scale: int = 3, channels: int = 32, layers: int = 5, block: str = "plain", padding: str = "zeros"
    ) -> None:
        super().__init__()
        self.config = {"scale": scale, "channels": channels, "layers": layers, "block": block, "padding": padding}
        self.scale = self.shuffle = scale
        self.padding = padding
        self.halo = layers + 2
        self.head = block_of(block, 3, channels, padding)
        self.trunk = nn.ModuleList(block_of(block, channels, channels, padding) for _ in range(layers))
        self.tail = conv(channels, 3 * scale**2, 3, padding, relu=False)
        with torch.no_grad():
            self.tail.weight.mul_(0.1)  # start near the anchor: plain nearest-neighbour enlargement

    def core(self, x: Tensor) -> Tensor:
        """Blocks of the larger picture."""
        h = functional.relu(self.head(x))
        for layer in self.trunk:
            h = functional.relu(layer(h))
        out: Tensor = self.tail(h)
        return out + torch.cat([x] * self.scale**2, dim=1)
