"""What training makes small: means over all values of (result, truth)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from edgelift.training.recipe import TrainPart

__all__ = ["LOSSES", "charbonnier", "frequency", "goal", "gradient", "longest", "psnr"]


def charbonnier(result: Tensor, truth: Tensor, epsilon: float = 1e-3) -> Tensor:
    """A smooth L1: mean of sqrt(d² + epsilon²) (Charbonnier et al. 1994; epsilon as in LapSRN, for white = 1)."""
    return ((result - truth).square() + epsilon**2).sqrt().mean()


def psnr(result: Tensor, truth: Tensor, floor: float = 1e-4) -> Tensor:
    """Mean over the pictures of a batch of ln(MSE + floor): what a mean of PSNRs asks for, where every picture counts alike.

    The loss of Chen et al. 2021 (HINet), with a floor (40 dB for white = 1) under which a patch of nothing counts no more.
    """
    return (result - truth).square().flatten(1).mean(1).add(floor).log().mean()


def gradient(result: Tensor, truth: Tensor) -> Tensor:
    """L1 between the differences of neighbouring pixels (N × C × h × w, sides of at least 2), along both axes."""
    difference = result - truth
    return 0.5 * (difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean())


def frequency(result: Tensor, truth: Tensor) -> Tensor:
    """Mean modulus of the difference of the two spectra (Cho et al. 2021, MIMO-UNet), by an orthonormal transform.

    The transform keeps energy, so that a weight means the same for every size of patch.
    """
    spectrum: Tensor = torch.fft.rfft2(result - truth, norm="ortho")
    return torch.view_as_real(spectrum).square().sum(-1).add(1e-12).sqrt().mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": functional.l1_loss,
    "l2": functional.mse_loss,
    "charbonnier": charbonnier,
    "psnr": psnr,
}


LONGEST = {"psnr": 50.0}
"""Norm to which the gradients of a loss are clipped where that is not 1: a logarithm's are the longer the smaller the error.
Of a trained network those of `psnr` are about 2 long and those of L1 0.04, and the former should be cut no more often."""


def longest(part: TrainPart, done: float) -> float:
    """Norm to which gradients are clipped at share `done` (0 … 1) of a run."""
    return LONGEST.get(_at(part, done), 1.0)


def _at(part: TrainPart, done: float) -> str:
    """Name of the loss at share `done` of a run."""
    return part.last_loss if part.last_loss and done >= 1 - part.last_share else part.loss


def goal(part: TrainPart, done: float) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of (result, truth) at share `done` (0 … 1) of a run, by the fields of its recipe."""
    pixels = LOSSES[_at(part, done)]
    others = [(part.gradient, gradient), (part.frequency, frequency)]

    def loss(result: Tensor, truth: Tensor) -> Tensor:
        return sum((weight * other(result, truth) for weight, other in others if weight > 0), pixels(result, truth))

    return loss
