"""Channel attention: factors between 0 and 1, one for each channel, made of averages over the picture or a part of it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from edgelift.nets.network import Gate, conv

__all__ = ["ChannelGate", "ContrastGate", "LocalGate"]


class ChannelGate(Gate):
    """x · sigmoid(conv1(ReLU(conv1(what `pooled` makes of x)))); "squeeze and excitation" (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = conv(channels, squeezed, 1, "zeros")
        self.excite = conv(squeezed, channels, 1, "zeros", relu=False)

    def pooled(self, x: Tensor) -> Tensor:
        """Averages of `x`, in proportion to it: N × c × a smaller grid."""
        raise NotImplementedError

    def spread(self, factors: Tensor, like: Tensor) -> Tensor:
        """The factors of the smaller grid for every pixel of `like`, or what broadcasts to it."""
        return factors

    def forward(self, x: Tensor) -> Tensor:
        """`x` with every channel weighted."""
        factors = torch.sigmoid(self.excite(functional.relu(self.squeeze(self.pooled(x)))))
        return x * self.spread(factors, x)

    @torch.no_grad()
    def take_range(self, factor: float) -> None:
        """See `Gate.take_range`."""
        self.squeeze.weight.div_(factor)


class ContrastGate(ChannelGate):
    """Contrast-aware attention (Hui et al. 2019): mean and standard deviation over the whole picture."""

    def pooled(self, x: Tensor) -> Tensor:
        """See `ChannelGate.pooled`."""
        mean = x.mean(dim=(2, 3), keepdim=True)
        return mean + (x - mean).square().mean(dim=(2, 3), keepdim=True).sqrt()


class LocalGate(ChannelGate):
    """Means of 31 × 31 pixels around every 16th, each of which weights the 16 × 16 pixels that begin there.

    The grid begins at the picture's corner: what a pixel depends on is near it, but depends on its place too.
    """

    STRIDE = 16

    def pooled(self, x: Tensor) -> Tensor:
        """See `ChannelGate.pooled`."""
        reach = self.STRIDE - 1
        return functional.avg_pool2d(x, 2 * reach + 1, self.STRIDE, reach, count_include_pad=False)

    def spread(self, factors: Tensor, like: Tensor) -> Tensor:
        """See `ChannelGate.spread`."""
        larger = functional.interpolate(factors, scale_factor=self.STRIDE, mode="nearest")
        return larger[:, :, : like.shape[2], : like.shape[3]]
