"""Blur kernels: square, odd, of sum 1, as float64 arrays.

Gaussian, generalised Gaussian and plateau kernels are functions of q = v' S⁻¹ v, where v is the place from the middle and
S the covariance of widths `sigma` (pixels) along two axes turned by `angle` (radians): exp(-q/2), exp(-q^beta/2) and
1/(1 + q^beta) (Liu et al. 2020, as used by Real-ESRGAN, Wang et al. 2021, section 3.1).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kernel", "anisotropic", "framed", "generalised", "isotropic", "plateau", "sinc"]

Kernel = NDArray[np.float64]


def _places(size: int) -> tuple[Kernel, Kernel]:
    if size < 1 or size % 2 == 0:
        raise ValueError(f"a kernel's size must be odd, got {size}")
    line = np.arange(size) - size // 2
    y, x = np.meshgrid(line, line, indexing="ij")
    return y.astype(np.float64), x.astype(np.float64)


def _form(size: int, sigma: tuple[float, float], angle: float) -> Kernel:
    """q at every place."""
    y, x = _places(size)
    along = math.cos(angle) * x + math.sin(angle) * y
    across = -math.sin(angle) * x + math.cos(angle) * y
    return np.asarray((along / sigma[0]) ** 2 + (across / sigma[1]) ** 2)


def _normed(kernel: Kernel) -> Kernel:
    return np.asarray(kernel / kernel.sum())


def isotropic(size: int, sigma: float) -> Kernel:
    """A Gaussian that is as wide in all directions."""
    return anisotropic(size, (sigma, sigma), 0.0)


def anisotropic(size: int, sigma: tuple[float, float], angle: float) -> Kernel:
    """A Gaussian of two widths."""
    return _normed(np.exp(-0.5 * _form(size, sigma, angle)))


def generalised(size: int, sigma: tuple[float, float], angle: float, beta: float) -> Kernel:
    """A Gaussian with another exponent: beta 1 is a Gaussian."""
    return _normed(np.exp(-0.5 * _form(size, sigma, angle) ** beta))


def plateau(size: int, sigma: tuple[float, float], angle: float, beta: float) -> Kernel:
    """Flat in the middle, with slow tails."""
    return _normed(1.0 / (1.0 + _form(size, sigma, angle) ** beta))


def sinc(size: int, cutoff: float) -> Kernel:
    """The ideal circular low-pass filter of `cutoff` (radians a pixel, up to pi), cut to `size`: edges ring."""
    y, x = _places(size)
    squares, places = np.unique(y * y + x * x, return_inverse=True)  # few distances, each costly
    radius = np.sqrt(squares[1:])
    values = [cutoff**2 / (4 * np.pi), *(cutoff * _bessel_j1(cutoff * radius) / (2 * np.pi * radius))]
    return _normed(np.array(values)[places].reshape(size, size))


def _bessel_j1(x: Kernel) -> Kernel:
    """The Bessel function of the first kind and order 1: the mean of cos(t - x sin t) over a period (Bessel's integral).

    The trapezium rule is exact to rounding while the number of points is well above x, which is below 50 here.
    """
    t = np.arange(128) * (2 * np.pi / 128)
    return np.asarray(np.cos(t - x[..., None] * np.sin(t)).mean(axis=-1))


def framed(kernel: Kernel, size: int) -> Kernel:
    """`kernel` in the middle of zeros, `size` × `size`."""
    edge = (size - len(kernel)) // 2
    return np.pad(kernel, edge)
