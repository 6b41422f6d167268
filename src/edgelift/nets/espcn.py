"""Efficient sub-pixel convolution network, ESPCN (Shi et al., CVPR 2016), with ReLU as in its ImageNet variant."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from edgelift.nets.luma import LumaNetwork
from edgelift.nets.network import Network, conv

__all__ = ["ESPCN", "ESPCNRGB"]

HALO = 2 + 1 + 1


class ESPCN(LumaNetwork):
    """conv5(1→64)+ReLU · conv3(64→32)+ReLU · conv3(32→s²), on Y; colour by bicubic."""

    architecture = "espcn"

    def __init__(self, scale: int = 3, padding: str = "zeros") -> None:
        super().__init__()
        self.config = {"scale": scale, "padding": padding}
        self.padding, self.halo = padding, HALO
        self.set_scale(scale)
        self.first = conv(1, 64, 5, padding)
        self.second = conv(64, 32, 3, padding)
        self.last = conv(32, scale**2, 3, padding, relu=False)

    def blocks_of(self, y: Tensor) -> Tensor:
        """Blocks of the larger luma."""
        h = functional.relu(self.second(functional.relu(self.first(y))))
        out: Tensor = self.last(h)
        return out


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
