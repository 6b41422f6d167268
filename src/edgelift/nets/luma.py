"""Networks that see only luma: colour is interpolated beside them, inside the same graph.

With Y' the luma that the network makes and Y the input's, BT.601 gives the result in RGB as
`bicubic(RGB) + (Y' - bicubic(Y))` on each channel, with full-range luma Y = 0.299 R + 0.587 G + 0.114 B.
Bicubic interpolation by a whole factor is a fixed 5×5 convolution to blocks; the colour path (bicubic RGB less bicubic Y)
and the spreading of Y' are therefore two fixed convolutions.

Most published weights were trained on luma from 16 to 235, 16 + 219 Y of 255, as MATLAB's `rgb2ycbcr` gives it. With
`luma = "limited"` the network sees that, and its results are stretched again; its last bias takes the 16 off.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgelift.core.resize import taps
from edgelift.nets.network import Network
from edgelift.nets.steps import Shift

__all__ = ["FOOT", "LUMAS", "LumaNetwork"]

LUMAS = ("full", "limited")
FOOT, SPAN = 16 / 255, 219 / 255
"""Of limited luma: what black is, and how far white is from it."""

LUMA = (0.299, 0.587, 0.114)


def _bicubic_blocks(scale: int) -> np.ndarray:
    """Weights (scale, scale, 5, 5) of bicubic interpolation: one 5×5 filter for each place in a block."""
    middle = taps(5, 5 * scale)
    line = np.zeros((scale, 5), np.float32)
    for i in range(scale):
        row = 2 * scale + i
        np.add.at(line[i], middle.index[row], middle.weight[row])
    return np.asarray(np.einsum("ia,jb->ijab", line, line))


class FixedConv(nn.Conv2d):
    """A convolution whose weights are constants: not trained, not counted as parameters, not in the state dict."""

    def __init__(self, weight: np.ndarray) -> None:
        out, into, size, _ = weight.shape
        super().__init__(into, out, size, bias=False)
        del self.weight
        self.register_buffer("weight", torch.from_numpy(np.ascontiguousarray(weight, np.float32)), persistent=False)


class LumaNetwork(Network):
    """Base of networks on Y; a subclass implements `blocks_of` and calls `set_scale`."""

    colour = "y"

    def set_scale(self, scale: int, luma: str = "full") -> None:
        """Make the fixed layers for `scale` and that range of luma."""
        if luma not in LUMAS:
            raise ValueError(f"luma must be one of {', '.join(LUMAS)}, got {luma!r}")
        span = SPAN if luma == "limited" else 1.0
        self.foot = Shift([FOOT]) if luma == "limited" else None
        self.scale = self.shuffle = scale
        rgb_less_y = np.eye(3) - np.array(LUMA)
        blocks = np.einsum("ijab,oc->ijocab", _bicubic_blocks(scale), rgb_less_y)
        self.to_luma = FixedConv(span * np.array(LUMA).reshape(1, 3, 1, 1))
        self.colours = FixedConv(blocks.reshape(-1, 3, 5, 5))
        self.spread = FixedConv(np.repeat(np.eye(scale**2) / span, 3, axis=0)[:, :, None, None])

    def blocks_of(self, y: Tensor) -> Tensor:
        """Blocks N × scale² × h × w of the larger luma for `y` (N × 1 × h × w)."""
        raise NotImplementedError

    def core(self, x: Tensor) -> Tensor:
        """Blocks of the larger picture."""
        colours = self.colours(functional.pad(x, (2, 2, 2, 2), mode="replicate"))
        y = self.to_luma(x)
        blocks: Tensor = self.spread(self.blocks_of(y if self.foot is None else self.foot(y))) + colours
        return blocks
