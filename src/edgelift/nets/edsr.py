"""EDSR's baseline (Lim et al. 2017): the residual network SRResNet (Ledig et al. 2017) without batch normalisation.

The paper takes the mean colour off, enlarges in steps and convolves the large picture once more: that is `tail = "steps"`,
into which its weights fit. With `direct` the trunk gives the blocks at once, as in `nets.plain`, so that all work stays at
the low resolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgelift.nets.network import Network, conv
from edgelift.nets.steps import DIV2K_MEAN, Enlarge, Shift, check_tail, halo_of_steps, steps_of

__all__ = ["EDSR"]


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x)))."""

    def __init__(self, channels: int, padding: str) -> None:
        super().__init__()
        self.first = conv(channels, channels, 3, padding)
        self.second = conv(channels, channels, 3, padding, relu=False)
        with torch.no_grad():
            self.second.weight.mul_(0.1)  # a deep stack of unscaled residuals grows too fast to start from

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(functional.relu(self.first(x)))
        return out


class EDSR(Network):
    """conv(3→c) · `layers` × residual block · conv(c→c) · + head · the tail.

    `tail`: `direct`: conv(c→3s²) · + the input, repeated s² times; or `steps`, as published, but for the factor 0.1 of the
    residuals of the large EDSR (256 channels, 32 blocks), which is in the weights here.
    """

    architecture = "edsr"

    def __init__(
        self, scale: int = 4, channels: int = 64, layers: int = 16, tail: str = "direct", padding: str = "zeros"
    ) -> None:
        super().__init__()
        in_steps = check_tail(tail) == "steps"
        self.config = {"scale": scale, "channels": channels, "layers": layers, "tail": tail, "padding": padding}
        self.scale, self.padding = scale, padding
        self.shuffle = 1 if in_steps else scale
        self.halo = 2 * layers + 2 + (halo_of_steps(steps_of(scale), after=1) if in_steps else 1)
        self.mean = Shift([-value for value in DIV2K_MEAN]) if in_steps else None
        self.head = conv(3, channels, 3, padding, relu=False)
        self.trunk = nn.ModuleList(ResidualBlock(channels, padding) for _ in range(layers))
        self.body = conv(channels, channels, 3, padding, relu=False)
        self.enlarge = Enlarge(channels, scale, padding, relu=False) if in_steps else None
        self.tail = conv(channels, 3 if in_steps else 3 * scale**2, 3, padding, relu=False)
        with torch.no_grad():
            self.tail.weight.mul_(0.1)  # start near the mean colour, or near the anchor
            if in_steps:
                self.tail.get_parameter("bias").copy_(torch.tensor(DIV2K_MEAN))

    def core(self, x: Tensor) -> Tensor:
        """Blocks of the larger picture; the picture itself where the tail is in steps."""
        head = self.head(x if self.mean is None else self.mean(x))
        h = head
        for block in self.trunk:
            h = block(h)
        h = head + self.body(h)
        out: Tensor = self.tail(h if self.enlarge is None else self.enlarge(h))
        return out if self.enlarge is not None else out + torch.cat([x] * self.scale**2, dim=1)
