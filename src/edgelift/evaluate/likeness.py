"""How near a result is to the truth, by all measures that a table of models shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.core.image import Picture, luma, shave
from edgelift.core.metrics import psnr, ssim

__all__ = ["Likeness", "compare", "luma_or_grey", "on_255"]

LEAST_SIDE = 11
"""Pixels that the window of SSIM needs."""


@dataclass(frozen=True)
class Likeness:
    """How near a result is to the truth."""

    psnr_y: float
    """dB; infinite where nothing differs, as `psnr_rgb`."""
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float
    """The mean over the channels."""


def on_255(picture: Picture) -> NDArray[np.float64]:
    """The samples of a uint8, uint16 or float32 picture as float64 with white at 255."""
    return picture.astype(np.float64) / (257.0 if picture.dtype == np.uint16 else 1.0)


def luma_or_grey(picture: Picture, grey: bool) -> NDArray[np.float64]:
    """The plane that is compared: Y, or of `grey` pictures the green channel, which is the one that is written for them."""
    return on_255(picture[..., 1]) if grey else luma(on_255(picture))


def compare(result: Picture, truth: Picture, border: int, *, grey: bool = False) -> Likeness:
    """How near `result` is to `truth` (both H × W × 3, each of its own type), `border` pixels cut away.

    Of `grey` pictures one channel is compared (see `luma_or_grey`), for Y and RGB alike. Raises `RequestError` for two
    shapes, and where less than 11 × 11 pixels are left.
    """
    if result.shape != truth.shape or min(result.shape[:2]) - 2 * border < LEAST_SIDE:
        raise RequestError(
            f"PSNR and SSIM compare pictures of one shape with at least {LEAST_SIDE}×{LEAST_SIDE} pixels inside a border "
            f"of {border}; got {result.shape} and {truth.shape}"
        )
    result, truth = shave(result, border), shave(truth, border)
    y, y_truth = luma_or_grey(result, grey), luma_or_grey(truth, grey)
    decibels, similar = psnr(y, y_truth), ssim(y, y_truth)
    if grey:
        return Likeness(decibels, similar, decibels, similar)
    a, b = on_255(result), on_255(truth)
    return Likeness(decibels, similar, psnr(a, b), float(np.mean([ssim(a[..., k], b[..., k]) for k in range(3)])))
