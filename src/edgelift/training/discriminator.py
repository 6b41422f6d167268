"""The U-Net discriminator of Real-ESRGAN (Wang et al. 2021): says for every pixel how real it looks.

Spectral normalisation (Miyato et al. 2018) holds all layers but the first and the last.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["MULTIPLE", "UNetDiscriminator"]

MULTIPLE = 8
"""Sides of a picture must be a multiple of this: it is halved three times."""


def _held(into: int, out: int, size: int, stride: int = 1) -> nn.Module:
    return spectral_norm(nn.Conv2d(into, out, size, stride, padding=1, bias=False))


def _leaky(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2)


class UNetDiscriminator(nn.Module):
    """N × 3 × h × w in 0 … 1 to N × 1 × h × w, higher where it looks real.

    `channels` at full resolution, twice as many wherever the resolution is halved.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        wide = [channels * factor for factor in (1, 2, 4, 8)]
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        pairs = list(itertools.pairwise(wide))
        self.down = nn.ModuleList(_held(few, many, 4, 2) for few, many in pairs)
        self.up = nn.ModuleList(_held(many, few, 3) for few, many in reversed(pairs))
        self.last = nn.ModuleList(_held(channels, channels, 3) for _ in range(2))
        self.tail = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """The verdict on every pixel, not bounded."""
        h = _leaky(self.head(x))
        kept = []
        for layer in self.down:
            kept.append(h)
            h = _leaky(layer(h))
        for layer, skipped in zip(self.up, reversed(kept), strict=True):
            larger = functional.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
            h = _leaky(layer(larger)) + skipped
        for layer in self.last:
            h = _leaky(layer(h))
        verdict: Tensor = self.tail(h)
        return verdict
