"""Efficient sub-pixel convolution network, ESPCN (Shi et al., CVPR 2016): with ReLU, as its ImageNet variant, or with tanh."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from edgelift.nets.luma import LumaNetwork
from edgelift.nets.network import Network, conv

__all__ = ["ESPCN", "ESPCNRGB"]

HALO = 2 + 1 + 1
ACTIVATIONS = ("relu", "tanh")


class ESPCN(LumaNetwork):
    """conv5(1→64)+ReLU · conv3(64→32)+ReLU · conv3(32→s²), on Y; colour by bicubic.

    `activation` is `relu` or `tanh`; `luma` is for others' weights, see `nets.luma`.
    """

    architecture = "espcn"

    def __init__(self, scale: int = 3, activation: str = "relu", luma: str = "full", padding: str = "zeros") -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        self.config = {"scale": scale, "activation": activation, "luma": luma, "padding": padding}
        self.activation, self.padding, self.halo = activation, padding, HALO
        self.set_scale(scale, luma)
        self.first = conv(1, 64, 5, padding)
        self.second = conv(64, 32, 3, padding)
        self.last = conv(32, scale**2, 3, padding, relu=False)

    def blocks_of(self, y: Tensor) -> Tensor:
        """Blocks of the larger luma."""
        bend = torch.tanh if self.activation == "tanh" else functional.relu
        out: Tensor = self.last(bend(self.second(bend(self.first(y)))))
        return out

    def scale_range(self, factor: float) -> None:
        """See `Network.scale_range`; between two tanh values keep their range, so that the layers around them change."""
        if self.activation == "relu":
            super().scale_range(factor)
            return
        with torch.no_grad():
            self.first.weight.div_(factor)
            for value in (*self.last.parameters(), *(self.foot.parameters() if self.foot is not None else ())):
                value.mul_(factor)


class ESPCNRGB(Network):
    """The same layers on the three colours together."""

    architecture = "espcn-rgb"

    def __init__(self, scale: int = 3, padding: str = "zeros") -> None:
        super().__init__()
        self.config = {"scale": scale, "padding": padding}
        self.scale = self.shuffle = scale
        self.padding, self.halo = padding, HALO
        self.first = conv(3, 64, 5, padding)
        self.second = conv(64, 32, 3, padding)
        self.last = conv(32, 3 * scale**2, 3, padding, relu=False)

    def core(self, x: Tensor) -> Tensor:
        """Blocks of the larger picture."""
        out: Tensor = self.last(functional.relu(self.second(functional.relu(self.first(x)))))
        return out
