"""Fast super-resolution convolutional network, FSRCNN(d, s, m) (Dong et al., ECCV 2016), on Y; colour by bicubic.

Its last layer is a 9×9 transposed convolution of stride `scale`. That is the same sum as a small convolution to
`scale`² channels before a pixel shuffle, which every engine runs well; the weights are kept in the published 9×9 form
(and counted so), and regrouped when the layer runs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgelift.nets.luma import LumaNetwork
from edgelift.nets.network import RunsAsConv, conv

__all__ = ["FSRCNN"]

KERNEL = 9
ALIGNS = ("centred", "corner")
"""Where the kernel's middle falls in a block: on its middle, or on its first pixel as where PyTorch's layer is padded by 4."""


class SubPixelDeconv(RunsAsConv):
    """A one-channel transposed convolution, 9×9 with stride `scale`, run as a convolution that gives blocks."""

    narrows = True

    def __init__(self, channels: int, scale: int, padding: str, align: str = "centred") -> None:
        super().__init__()
        if align not in ALIGNS:
            raise ValueError(f"align must be one of {', '.join(ALIGNS)}, got {align!r}")
        self.scale, self.padding = scale, padding
        self.weight = nn.Parameter(torch.empty(channels, KERNEL, KERNEL))
        self.bias = nn.Parameter(torch.zeros(1))
        nn.init.normal_(self.weight, std=1.0 / math.sqrt(channels * KERNEL * KERNEL / scale**2))
        self.offset = KERNEL // 2 if align == "corner" else (KERNEL - scale + 1) // 2
        # tap t of the kernel meets input row q - d for output row scale·q + i where t = i + offset + scale·d
        self.reach = max((KERNEL - 1 - self.offset) // scale, (scale - 1 + self.offset) // scale)

    def regrouped(self) -> Tensor:
        """The weights as (scale², channels, k, k) of the equal convolution."""
        s, size = self.scale, 2 * self.reach + 1
        line = torch.zeros(s, size, KERNEL, dtype=self.weight.dtype, device=self.weight.device)
        for i in range(s):
            for d in range(-self.reach, self.reach + 1):
                tap = i + self.offset + s * d
                if 0 <= tap < KERNEL:
                    line[i, self.reach - d, tap] = 1.0
        return torch.einsum("iat,jbu,ctu->ijcab", line, line, self.weight).reshape(s * s, -1, size, size)

    def narrow(self, index: Tensor) -> None:
        """See `RunsAsConv.narrow`."""
        self.weight = nn.Parameter(self.weight.detach()[index], requires_grad=self.weight.requires_grad)

    def equal(self) -> tuple[Tensor, Tensor]:
        """See `RunsAsConv.equal`."""
        return self.regrouped(), self.bias.expand(self.scale**2)

    def forward(self, x: Tensor) -> Tensor:
        """Blocks N × scale² × h × w."""
        mode = "replicate" if self.padding == "replicate" else "constant"
        x = functional.pad(x, [self.reach] * 4, mode=mode)
        return functional.conv2d(x, self.regrouped(), self.bias.expand(self.scale**2))


class FSRCNN(LumaNetwork):
    """conv5(1→d) · conv1(d→s) · m × conv3(s→s) · conv1(s→d) · deconv9(d→1), PReLU after all but the last.

    `align` and `luma` are for others' weights, see `ALIGNS` and `nets.luma`.
    """

    architecture = "fsrcnn"

    def __init__(
        self,
        scale: int = 3,
        channels: int = 56,
        shrunk: int = 12,
        layers: int = 4,
        align: str = "centred",
        luma: str = "full",
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        self.config = {
            "scale": scale, "channels": channels, "shrunk": shrunk, "layers": layers, "align": align, "luma": luma,
            "padding": padding,
        }  # fmt: skip
        self.padding = padding
        self.set_scale(scale, luma)
        shapes = [(1, channels, 5), (channels, shrunk, 1), *[(shrunk, shrunk, 3)] * layers, (shrunk, channels, 1)]
        self.layers = nn.ModuleList(conv(into, out, size, padding) for into, out, size in shapes)
        self.slopes = nn.ModuleList(nn.PReLU(out) for _, out, _ in shapes)
        self.deconv = SubPixelDeconv(channels, scale, padding, align)
        self.halo = 2 + layers + self.deconv.reach

    def blocks_of(self, y: Tensor) -> Tensor:
        """Blocks of the larger luma."""
        for layer, slope in zip(self.layers, self.slopes, strict=True):
            y = slope(layer(y))
        out: Tensor = self.deconv(y)
        return out
