"""How near a result is to the truth: PSNR and SSIM by the protocol of the published super-resolution tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.core.image import luma, shave

__all__ = ["psnr", "psnr_y", "ssim"]


def psnr(result: NDArray[Any], truth: NDArray[Any], *, peak: float = 255.0) -> float:
    """10 · log10(peak² / mean squared error) in dB; infinite where the two are equal. Shapes must match."""
    if result.shape != truth.shape:
        raise RequestError(f"PSNR compares pictures of one shape, got {result.shape} and {truth.shape}")
    error = float(np.mean((result.astype(np.float64) - truth.astype(np.float64)) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))


def psnr_y(result: NDArray[Any], truth: NDArray[Any], border: int) -> float:
    """PSNR on Y of two RGB pictures (H × W × 3, white = 255), `border` pixels (the scale, by custom) cut away."""
    return psnr(shave(luma(result), border), shave(luma(truth), border))


def _blur(plane: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    for axis in (0, 1):
        views = np.lib.stride_tricks.sliding_window_view(plane, len(window), axis=axis)
        plane = views @ window
    return plane


def ssim(result: NDArray[Any], truth: NDArray[Any], *, peak: float = 255.0) -> float:
    """Structural similarity of two planes (H × W): 11 × 11 Gaussian window, sigma 1.5 (Wang et al. 2004).

    Raises `RequestError` for sides under 11 pixels, where the window does not fit.
    """
    if result.shape != truth.shape or result.ndim != 2 or min(result.shape) < 11:
        raise RequestError(
            f"SSIM compares two planes of one shape, at least 11×11, got {result.shape} and {truth.shape}"
        )
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window /= window.sum()
    a, b = result.astype(np.float64), truth.astype(np.float64)
    mean_a, mean_b = _blur(a, window), _blur(b, window)
    var_a, var_b = _blur(a * a, window) - mean_a**2, _blur(b * b, window) - mean_b**2
    covariance = _blur(a * b, window) - mean_a * mean_b
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float(np.mean(above / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))))
