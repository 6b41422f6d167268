"""Anchor-based plain network, ABPN (Du et al., Mobile AI workshop 2021): plain 3×3 convolutions and an anchor.

The anchor is the input repeated scale² times, added to the features before the pixel shuffle: nearest-neighbour residual
learning for the price of one concat and one add. `residual` keeps the other forms of the paper for comparison.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgelift.nets.network import Network, conv
from edgelift.nets.reparam import block_of

__all__ = ["ABPN", "RESIDUALS"]

RESIDUALS = ("anchor", "image", "feature", "none")


class ABPN(Network):
    """conv(3→c)+ReLU · `layers` × [conv(c→c)+ReLU] · conv(c→3s²)+ReLU · conv(3s²→3s²) · + residual.

    `residual`: `anchor`, `image` (the same sum, made after a pixel shuffle in PyTorch's order of channels, with a
    nearest-neighbour resize), `feature` (the first features added before the last two layers) or `none`. `block`: how
    all convolutions but the last are trained, `plain`, `reparam` or `norm` (see `nets.reparam`).
    """

    architecture = "abpn"

    def __init__(
        self,
        scale: int = 3,
        channels: int = 28,
        layers: int = 4,
        residual: str = "anchor",
        block: str = "plain",
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        if residual not in RESIDUALS:
            raise ValueError(f"residual must be one of {', '.join(RESIDUALS)}, got {residual!r}")
        self.config = {
            "scale": scale, "channels": channels, "layers": layers, "residual": residual, "block": block,
            "padding": padding,
        }  # fmt: skip
        self.scale, self.padding, self.residual = scale, padding, residual
        self.shuffle = 1 if residual == "image" else scale
        self.halo = layers + 3
        out = 3 * scale**2
        self.head = block_of(block, 3, channels, padding)
        self.trunk = nn.ModuleList(block_of(block, channels, channels, padding) for _ in range(layers))
        self.widen = block_of(block, channels, out, padding)
        self.tail = conv(out, out, 3, padding, relu=False)
        with torch.no_grad():
            self.tail.weight.mul_(0.1)  # start near the anchor: plain nearest-neighbour enlargement

    def core(self, x: Tensor) -> Tensor:
        """Blocks of the larger picture."""
        first = functional.relu(self.head(x))
        h = first
        for layer in self.trunk:
            h = functional.relu(layer(h))
        if self.residual == "feature":
            h = h + first
        out: Tensor = self.tail(functional.relu(self.widen(h)))
        if self.residual == "anchor":
            out = out + torch.cat([x] * self.scale**2, dim=1)
        elif self.residual == "image":
            out = functional.pixel_shuffle(out, self.scale)
            out = out + functional.interpolate(x, scale_factor=self.scale, mode="nearest")
        return out
