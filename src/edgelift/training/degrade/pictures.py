"""Steps carried out on one picture, by numpy and the real codecs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from edgelift.core.resize import apply_taps
from edgelift.training.degrade import codecs
from edgelift.training.degrade.sizes import fast_length, side_of, taps_of
from edgelift.training.degrade.steps import Banding, Blur, Jpeg, Noise, Resize, Step, Webp

__all__ = ["PHOTONS", "banded", "blurred", "degrade_picture", "gaussian_noise", "poisson_noise", "resized", "sharpened"]

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

PHOTONS = 256
"""Photons that white stands for where the strength of Poisson noise is 1."""

GREY = np.array([0.299, 0.587, 0.114], np.float32)


def degrade_picture(high: Bytes, steps: Sequence[Step], number: int = 0) -> Bytes:
    """The sharp picture `high` (H × W × 3) after all of `steps`, by the values of picture `number` in them."""
    size = (high.shape[0], high.shape[1])
    picture = high.astype(np.float32)
    for step in steps:
        picture = _after(picture, step, number, size)
    return to_bytes(picture)


def _after(picture: Floats, step: Step, number: int, size: tuple[int, int]) -> Floats:
    """One step on a picture of levels 0 … 255; `size` is that of the sharp one."""
    match step:
        case Blur():
            return blurred(picture, step.kernels[number])
        case Resize():
            return resized(picture, side_of(size[0], step.share), side_of(size[1], step.share), step.method)
        case Noise():
            rng = np.random.default_rng([step.seed, number])
            add = gaussian_noise if step.kind == "gaussian" else poisson_noise
            return add(picture, float(step.strength[number]), rng, grey=bool(step.grey[number]))
        case Jpeg():
            return _jpeg(picture, step, number)
        case Webp():
            return codecs.webp(to_bytes(picture), int(step.quality[number])).astype(np.float32)
        case Banding():
            return banded(picture, int(step.levels[number]))


def to_bytes(picture: Floats) -> Bytes:
    """Levels clipped to 0 … 255 and rounded."""
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)


def blurred(picture: Floats, kernel: NDArray[np.float64]) -> Floats:
    """`picture` convolved with a square odd `kernel`, edges repeated; by Fourier transform."""
    edge = len(kernel) // 2
    wide = np.pad(picture, ((edge, edge), (edge, edge), (0, 0)), mode="edge")
    shape = (fast_length(wide.shape[0]), fast_length(wide.shape[1]))
    spectrum = np.fft.rfft2(wide, shape, axes=(0, 1)) * np.fft.rfft2(kernel, shape)[:, :, None]
    whole = np.fft.irfft2(spectrum, shape, axes=(0, 1))
    return whole[2 * edge : wide.shape[0], 2 * edge : wide.shape[1]].astype(np.float32)


def resized(picture: Floats, height: int, width: int, method: str) -> Floats:
    """`picture` with other sides by `area`, `bilinear` or `bicubic` (see `sizes`)."""
    rows = apply_taps(picture, taps_of(picture.shape[0], height, method), 0)
    return np.ascontiguousarray(apply_taps(rows, taps_of(picture.shape[1], width, method), 1))


def gaussian_noise(picture: Floats, sigma: float, rng: np.random.Generator, *, grey: bool) -> Floats:
    """`picture` with noise of standard deviation `sigma` in levels, the same in all colours where `grey`."""
    noise = rng.standard_normal((*picture.shape[:2], 1 if grey else 3), np.float32)
    return np.asarray(np.clip(picture + sigma * noise, 0, 255))


def poisson_noise(picture: Floats, strength: float, rng: np.random.Generator, *, grey: bool) -> Floats:
    """`picture` with `strength` times the noise of counted photons, of its grey form where `grey`."""
    seen = np.clip(np.rint(picture), 0, 255)
    if grey:
        seen = (seen @ GREY)[:, :, None]
    photons = seen / 255 * PHOTONS
    noise = (rng.poisson(photons) - photons).astype(np.float32) / PHOTONS * 255
    return np.asarray(np.clip(picture + strength * noise, 0, 255))


def _jpeg(picture: Floats, step: Jpeg, number: int) -> Floats:
    down, right = step.shift
    moved = np.pad(to_bytes(picture), ((down, 0), (right, 0), (0, 0)), mode="edge")
    packed = codecs.jpeg(moved, int(step.quality[number]), halved=step.halved)
    return packed[down:, right:].astype(np.float32)


def banded(picture: Floats, levels: int) -> Floats:
    """Every colour rounded to `levels` levels, evenly spaced from 0 to 255."""
    step = 255 / (levels - 1)
    return np.asarray(np.rint(np.clip(picture, 0, 255) / step) * step, np.float32)


def sharpened(high: Bytes, weight: float) -> Bytes:
    """An unsharp mask (radius 8, threshold 10 levels, its edge smoothed), as Real-ESRGAN has for its sharp pictures."""
    if weight == 0:
        return high

    def smooth(levels: Bytes) -> Floats:
        return np.asarray(Image.fromarray(levels).filter(ImageFilter.GaussianBlur(8)), np.float32)

    picture = high.astype(np.float32)
    residue = picture - smooth(high)
    mask = smooth(np.where(np.abs(residue) > 10, 255, 0).astype(np.uint8)) / np.float32(255)
    crisp = np.clip(picture + np.float32(weight) * residue, 0, 255)
    return to_bytes((picture + mask * (crisp - picture)).astype(np.float32))
