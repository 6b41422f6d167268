"""Fake quantisation: floats that lie on grids of whole numbers, with gradients as if rounding were not there.

Weights have a grid for each filter, as `core.grids.weight_grid` says. Tensors have one each, and its ends are learnt: a
value beyond an end pulls at that end, a value between them by its rounding error (Esser et al., "Learned step size
quantization", ICLR 2020; Jain et al. 2020 for the logarithm, by which a rate of learning is a relative change).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from edgelift.core.grids import WEIGHT_PEAK, weight_grid

__all__ = ["FakeGrid", "on_pixel_grid", "weights_on_grid"]

LEVELS = 255
LEAST = 1e-4
"""Of an end, where white is 1: a tensor of zeros needs one that is not 0."""


def weights_on_grid(weight: Tensor) -> Tensor:
    """`weight` (out × …) rounded to int8, a grid for each filter."""
    scale = torch.from_numpy(weight_grid(weight.detach().float().cpu().numpy(), "int8")).to(weight.device)
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight.float(), scale, zero, 0, -WEIGHT_PEAK, WEIGHT_PEAK)


def on_pixel_grid(x: Tensor) -> Tensor:
    """`x` rounded to multiples of 1/255 and clipped to 0 … 1, as a picture is."""
    return torch.fake_quantize_per_tensor_affine(x.float(), 1 / LEVELS, 0, 0, LEVELS)


class _OnGrid(torch.autograd.Function):
    """Values on the grid between two ends. The steps of `torch.fake_quantize_per_tensor_affine`, which takes 5 times as long."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        scale = (high - low) / LEVELS
        zero = (-low / scale).round().clamp(0, LEVELS)
        made = (x * (1 / scale)).round_().clamp_(-zero, LEVELS - zero).mul_(scale)
        ctx.save_for_backward(x, made, scale, zero)
        return made

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, made, scale, zero = ctx.saved_tensors
        (slope,) = slopes
        inside = torch.where(x.clamp((-0.5 - zero) * scale, (LEVELS + 0.5 - zero) * scale) == x, slope, 0.0)
        outside = slope - inside
        over = torch.where(x > 0, outside, 0.0).sum()
        rounding = (made - x).mul_(inside).sum() / (scale * LEVELS)
        weight = 1 / math.sqrt(x.numel() * LEVELS)  # so that ends weigh no more in the gradient's norm than weights do
        return inside, weight * (outside.sum() - over - rounding), weight * (over + rounding)


class FakeGrid(nn.Module):
    """Puts a tensor on a grid of 256 levels; 0 is one of them. `signed`: whether values below 0 occur."""

    def __init__(self, signed: bool) -> None:
        super().__init__()
        self.high = nn.Parameter(torch.zeros(()))
        self.low = nn.Parameter(torch.zeros(())) if signed else None

    def ends(self) -> tuple[Tensor, Tensor]:
        """The least and the greatest value that it holds, white being 1."""
        high = self.high.exp()
        return (torch.zeros_like(high) if self.low is None else -self.low.exp()), high

    def forward(self, x: Tensor) -> Tensor:
        """`x` on the grid."""
        made: Tensor = _OnGrid.apply(x.float(), *self.ends())  # type: ignore[no-untyped-call]  # torch's lacks it
        return made

    @torch.no_grad()
    def fit(self, least: float, most: float) -> None:
        """Set the ends to values that were seen. All of them: what is rare in training patches, hard edges, is what text is
        made of, and learning draws ends in where it pays."""
        self.high.fill_(math.log(max(most, LEAST)))
        if self.low is not None:
            self.low.fill_(math.log(max(-least, LEAST)))
