"""Noise and the traces of JPEG in a picture, by the cosine transform of its 8 × 8 blocks.

**JPEG** leaves coefficients on multiples of the steps of its tables. For each quality the likelihood of the coefficients under
that comb is weighed against that under none (as in Fan and de Queiroz 2003, "Identification of bitmap compression history",
but with the steps of all low frequencies bound together by one quality). **Noise** is what the high frequencies of the
smoothest blocks hold (as in Ponomarenko et al. 2007, "An automatic approach to lossy compression of AVIRIS images").
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgelift.core.jpeg import luma_table
from edgelift.runtime.look.blocks import GREY, phase, transformed

__all__ = ["CLEAN", "Faults", "Traces", "faults_of", "lit", "traces_of"]

Floats = NDArray[np.float32]

CLEAN = 100
"""The quality of pictures that bear no traces of JPEG."""
QUALITIES = range(5, 97)
LOW = [(i, j) for i in range(5) for j in range(5) if 0 < i + j <= 4]
"""Frequencies whose steps are looked for."""
HIGH = [(i, j) for i in range(8) for j in range(8) if i + j >= 8]
"""Frequencies that hold little but noise."""
SPREAD = 0.5
"""By which coefficients miss a multiple of their step, after rounding to whole levels: standard deviation."""
OTHERWISE = 0.1
"""Share of coefficients that do not keep to it, as where levels were clipped."""
BINS, BIN = 1024, 0.25
"""Of the histogram of a frequency's magnitudes, and how wide they are."""
ENOUGH = 30
"""Coefficients that are needed to be sure."""
LEAST = 0.08
"""Gain in log-likelihood a coefficient from which a comb is believed."""
MIDDLE, FINE = 3, 12
"""Of compressed pictures: least frequency, down and across together, and greatest step of coefficients that tell of noise."""
TO_MEAN = 1.15
"""Root mean square of noise in a block, for the least of a quarter of all blocks, about."""
SMOOTH = 8
"""One block in so many, the smoothest, tells of noise."""
DARK, BRIGHT = 6, 249
"""Mean levels of blocks that may be clipped, and so hide noise."""
OF_LUMA = 1 / float(np.sqrt((GREY**2).sum()))
"""Noise of a colour for that of luma, where colours have noise of their own."""


@dataclass(frozen=True)
class Faults:
    """What was found."""

    noise: float
    """Standard deviation of a colour's noise in levels of 255, about."""
    jpeg: int
    """Quality of JPEG, 5 … 96, whose traces are left; `CLEAN` where there are none."""


@dataclass(frozen=True)
class Traces:
    """What was found, and where."""

    faults: Faults
    gain: float
    """Of the likeliest quality over none: log-likelihood for a coefficient."""
    at: tuple[int, int]
    """Row and column of a patch at which its blocks begin."""
    blocks: Floats
    """Coefficients of those blocks: number × 8 × 8."""


def faults_of(patches: NDArray[np.uint8]) -> Faults:
    """Noise and JPEG of patches (N × side × side × 3) whose places are multiples of 8; none in none."""
    if not len(patches):
        return Faults(0.0, CLEAN)
    return traces_of(patches.astype(np.float32) @ GREY).faults


def traces_of(luma: Floats) -> Traces:
    """The same for the luma of one patch or more (N × side × side), and what else was found on the way."""
    best: tuple[float, int, tuple[int, int], Floats] | None = None
    for at in sorted({(row, column) for row in (0, phase(luma, 1)) for column in (0, phase(luma, 2))}):
        blocks = transformed(luma, *at)
        quality, gain = _comb(blocks)
        if best is None or gain > best[0]:
            best = gain, quality, at, blocks
    assert best is not None
    gain, quality, at, blocks = best
    found = quality if gain > LEAST else CLEAN
    return Traces(Faults(_noise(blocks, found), found), gain, at, blocks)


def _comb(blocks: Floats) -> tuple[int, float]:
    """The likeliest quality, and its gain over none for a coefficient that is not near 0."""
    gains, counted = _gains()
    low = np.abs(np.stack([blocks[:, i, j] for i, j in LOW]))
    bins = np.minimum((low / BIN + 0.5).astype(np.int64), BINS - 1)
    histograms = np.stack([np.bincount(row, minlength=BINS) for row in bins])
    steps = _steps()
    total, count = histograms @ gains.T, histograms @ counted.T  # frequency × step
    frequencies = np.arange(len(LOW))[:, None]
    mean = total[frequencies, steps].sum(0) / np.maximum(count[frequencies, steps].sum(0), ENOUGH)
    best = int(mean.argmax())
    return QUALITIES[best], float(mean[best])


@lru_cache(maxsize=1)
def _steps() -> NDArray[np.int64]:
    """Step of each frequency of `LOW` at each quality."""
    return np.array([[luma_table(quality)[at] for quality in QUALITIES] for at in LOW])


@lru_cache(maxsize=1)
def _gains() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each step and bin: log-likelihood over none of a magnitude there, 0 for those near 0; and which count."""
    step = np.arange(1, 256)[:, None].astype(np.float64)
    magnitude = np.arange(BINS)[None] * BIN
    off = magnitude - step * np.rint(magnitude / step)
    peak = step / (SPREAD * np.sqrt(2 * np.pi)) * np.exp(-0.5 * (off / SPREAD) ** 2)
    counted = (magnitude > step / 2) & (magnitude < (BINS - 1) * BIN)
    gains = np.where(counted & (step >= 2), np.log((1 - OTHERWISE) * peak + OTHERWISE), 0.0)
    first = np.zeros((1, BINS))  # no step is 0
    return np.concatenate([first, gains]), np.concatenate([first, counted])


def _noise(blocks: Floats, quality: int) -> float:
    """By high frequencies, or by those whose steps JPEG of `quality` left fine enough for noise to survive."""
    blocks = blocks[lit(blocks)]
    band = HIGH if quality == CLEAN else _surviving(quality)
    if not band:
        return 0.0
    inside = np.stack([blocks[:, i, j] for i, j in band], axis=1)
    least = min(i + j for i, j in band)
    below = np.stack([blocks[:, i, j] for i in range(8) for j in range(8) if 0 < i + j < least], axis=1)
    smoothest = inside[np.argsort((below**2).sum(axis=1))[: max(1, len(blocks) // SMOOTH)]]
    if quality == CLEAN:
        return float(np.median(np.abs(smoothest)) / 0.6745 * OF_LUMA)
    least_quarter = np.quantile(np.sqrt((smoothest**2).mean(axis=1)), 0.25)  # texture is in some of them, noise in all
    return float(least_quarter * TO_MEAN * OF_LUMA)


def lit(blocks: Floats) -> NDArray[np.bool_]:
    """Which blocks (coefficients, number × 8 × 8) are not clipped, by their mean level; all, where few are left."""
    mean = blocks[:, 0, 0] / 8
    inside = (mean > DARK) & (mean < BRIGHT)
    return inside if np.count_nonzero(inside) >= SMOOTH else np.ones(len(mean), bool)


def _surviving(quality: int) -> list[tuple[int, int]]:
    steps = luma_table(quality)
    return [(i, j) for i in range(8) for j in range(8) if i + j >= MIDDLE and steps[i, j] <= FINE]
