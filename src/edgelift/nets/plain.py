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

    `block`: how all convolutions but the last are trained, `plain`, `reparam` or `norm` (see `nets.reparam`). `skip` adds
    the first features to those that the last convolution reads, and `linear` above 0 a convolution of that (odd) side
    from the input to the result: what a linear filter can do, such as interpolation, the layers between need not do.
    """

    architecture = "plain"

    def __init__(
        self,
        scale: int = 3,
        channels: int = 32,
        layers: int = 5,
        block: str = "plain",
        padding: str = "zeros",
        skip: bool = False,
        linear: int = 0,
    ) -> None:
        super().__init__()
        if linear not in range(9) or (linear and linear % 2 == 0):
            raise ValueError(f"linear must be 0 or the odd side of a convolution up to 7, got {linear!r}")
        self.config = {
            "scale": scale, "channels": channels, "layers": layers, "block": block, "padding": padding,
            "skip": skip, "linear": linear,
        }  # fmt: skip
        self.scale = self.shuffle = scale
        self.padding, self.skip = padding, skip
        self.halo = max(layers + 2, linear // 2)
        self.head = block_of(block, 3, channels, padding)
        self.trunk = nn.ModuleList(block_of(block, channels, channels, padding) for _ in range(layers))
        self.tail = conv(channels, 3 * scale**2, 3, padding, relu=False)
        self.filters = conv(3, 3 * scale**2, linear, padding, relu=False, bias=False) if linear else None
        with torch.no_grad():
            self.tail.weight.mul_(0.1)  # start near the anchor: plain nearest-neighbour enlargement
            if self.filters is not None:
                self.filters.weight.zero_()

    def core(self, x: Tensor) -> Tensor:
        """Blocks of the larger picture."""
        first = functional.relu(self.head(x))
        h = first
        for layer in self.trunk:
            h = functional.relu(layer(h))
        out: Tensor = self.tail(h + first if self.skip else h)
        if self.filters is not None:
            out = out + self.filters(x)
        return out + torch.cat([x] * self.scale**2, dim=1)
