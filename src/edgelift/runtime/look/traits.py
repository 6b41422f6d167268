"""What patches of a picture tell of its way here: blur, noise, compression, and changes of size after any of them.

**Spectrum**: energies of the cosine transform in bands, in the smoothest blocks and the roughest ones; blur and
 enlarging bend them down, noise fills the smoothest, and noise that was blurred or resized is not the same in all bands.
**Zeros**: shares of coefficients that rounding left near 0. **Colour**: the same bands of colour differences, of which
compression takes most. **Edges**: how much of a step's height lies between neighbours (its width), where steps are high.
**Resampling**: the mean of second differences goes up and down along rows and columns of a resized picture with the period
of its factor (as in Gallagher 2005, "Detection of linear and cubic interpolation in JPEG compressed images").
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from edgelift.runtime.look.blocks import GREY, transformed
from edgelift.runtime.look.faults import SMOOTH, Faults, lit, traces_of

__all__ = ["TRAITS", "traits_of"]

Floats = NDArray[np.float32]

BANDS = ((1,), (2,), (3,), (4,), (5, 6), (7, 8), (9, 10), (11, 12, 13, 14))
"""Frequencies, down and across together, of each band."""
COLOUR_BANDS = ((1, 2), (3, 4), (5, 6, 7), (8, 9, 10, 11, 12, 13, 14))
ACTIVE = 4
"""Bands by which blocks are called smooth or rough."""
FLOOR = 0.1
"""Added to energies before the logarithm: about what rounding to whole levels leaves."""
ZERO = 0.75
"""Magnitude below which a coefficient was 0 before its block was rounded to whole levels."""
CELL, LAGS = 10, (1, 2, 4)
"""Pixels of a cell's side in which the highest step is looked for, and the distances over which it is measured."""
HIGH = 0.75
"""Share of cells whose steps are too low to tell how wide they are."""
WIDTHS = (25, 50, 90)
"""Percentiles of the shares of steps."""
PERIODS = ((0.06, 0.2), (0.2, 0.35), (0.35, 0.51))
"""Ranges of frequencies, in 1 / pixel, in which resampling is looked for."""
GRID = 0.3
"""Frequencies nearer than this, in 1/8, to a multiple of 1/8 are left to JPEG's blocks."""
COLOURS = ((2, 0.564), (0, 0.713))
"""Channels whose differences from luma are the colour differences of JPEG, and their factors."""

GROUPS = ("smooth", "rough")
TRAITS = (
    "noise", "quality", "gain",
    *(f"{group} {band[0]}" for group in GROUPS for band in BANDS),
    *(f"zeros {band[0]}" for band in BANDS[1:]),
    *(f"colour {group} {band[0]}" for group in GROUPS for band in COLOUR_BANDS),
    *(f"step {lag} {share}" for lag in LAGS[:-1] for share in WIDTHS), "step",
    *(f"resampled {low:g}" for low, _ in PERIODS),
)  # fmt: skip


def traits_of(patches: NDArray[np.uint8]) -> tuple[Faults, NDArray[np.float64]]:
    """Noise and JPEG of one patch or more (N × side × side × 3, side at least 16), and the values of `TRAITS`."""
    samples = patches.astype(np.float32)
    luma = samples @ GREY
    traces = traces_of(luma)
    seen = lit(traces.blocks)
    blocks = traces.blocks[seen].reshape(-1, 64)
    energies = blocks**2 @ _means(BANDS)
    groups = _groups(energies[:, :ACTIVE].sum(1))
    in_colour = np.zeros((len(blocks), len(COLOUR_BANDS)), np.float32)
    for channel, factor in COLOURS:
        difference = (samples[..., channel] - luma) * np.float32(factor)
        in_colour += transformed(difference, *traces.at).reshape(-1, 64)[seen] ** 2 @ _means(COLOUR_BANDS)
    faults = traces.faults
    values = [
        np.log(faults.noise + 0.5), faults.jpeg / 100, np.clip(traces.gain, -1, 2),
        *(np.log(energies[group].mean(0) + FLOOR) for group in groups),
        ((np.abs(blocks) < ZERO).astype(np.float32) @ _means(BANDS[1:])).mean(0),
        *(np.log(in_colour[group].mean(0) + FLOOR) for group in groups),
        _steps(luma), _resampled(luma),
    ]  # fmt: skip
    return faults, np.concatenate([np.atleast_1d(value) for value in values]).astype(np.float64)


@cache
def _means(bands: tuple[tuple[int, ...], ...]) -> Floats:
    """64 × bands: what each coefficient counts in the mean of each band."""
    frequency = np.add.outer(np.arange(8), np.arange(8)).ravel()
    inside = np.stack([np.isin(frequency, band) for band in bands], axis=1)
    return np.asarray(inside / inside.sum(0), np.float32)


def _groups(activity: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The smoothest and the roughest blocks, an eighth of all each."""
    low, high = np.quantile(activity, [1 / SMOOTH, 1 - 1 / SMOOTH])
    return activity <= low, activity >= high


def _steps(luma: Floats) -> list[float]:
    """Of the highest steps, the share of their height within the shorter distances: percentiles; and how high they are."""
    side = (luma.shape[1] - LAGS[-1]) // CELL * CELL
    highest = []
    for lag in LAGS:
        down = np.abs(luma[:, lag : lag + side, :side] - luma[:, :side, :side])
        across = np.abs(luma[:, :side, lag : lag + side] - luma[:, :side, :side])
        cells = [steps.reshape(len(luma), side // CELL, CELL, side).max(2) for steps in (down, across)]
        highest.append(np.concatenate([c.reshape(-1, side // CELL, CELL).max(2).ravel() for c in cells]))
    chosen = highest[-1] >= np.quantile(highest[-1], HIGH)
    whole = highest[-1][chosen] + 1
    shares = [np.percentile((each[chosen] + 1) / whole, WIDTHS) for each in highest[:-1]]
    return [*map(float, np.concatenate(shares)), float(np.log(np.median(whole)))]


def _resampled(luma: Floats) -> list[float]:
    """For each of `PERIODS`: how far the highest peak stands out of the spectrum of mean second differences."""
    spectrum = np.zeros((luma.shape[1] - 2) // 2 + 1)
    for axis in (1, 2):
        along = np.abs(np.diff(luma, n=2, axis=axis)).mean(axis=3 - axis)
        along = along / (along.mean(1, keepdims=True) + FLOOR)
        window = np.hanning(along.shape[1])
        spectrum += (np.abs(np.fft.rfft((along - along.mean(1, keepdims=True)) * window, axis=1)) ** 2).mean(0)
    frequency = np.arange(len(spectrum)) / (luma.shape[1] - 2)
    off_grid = np.abs(frequency * 8 - np.rint(frequency * 8)) > GRID
    usual = float(np.median(spectrum[3:])) + 1e-6
    ranges = [off_grid & (frequency >= low) & (frequency < high) for low, high in PERIODS]
    return [float(np.log(spectrum[inside].max(initial=usual) / usual)) for inside in ranges]
