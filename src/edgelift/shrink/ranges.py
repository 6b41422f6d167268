"""From what a tensor was seen to hold to the range that its grid covers: histograms, and three ways to choose.

`minmax` covers all that was seen. `percentile` leaves out the rarest values at both ends. `entropy` takes the range whose
grid tells least less than the values did (least Kullback-Leibler divergence; Migacz 2017, "8-bit inference with TensorRT").
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["METHODS", "Seen", "range_of"]

BINS = 4096
METHODS = {
    "minmax": 1.0, "percentile 99.9999": 0.999999, "percentile 99.999": 0.99999, "percentile 99.99": 0.9999, "entropy": 0.0,
}  # fmt: skip
"""Ways to choose a range; of percentiles the share of values that lies inside, counted from each end."""
LEVELS = 256
SHRINKS = tuple(np.linspace(0.3, 1.0, 36).tolist())
"""Shares of the whole range that `entropy` tries."""


@dataclass
class Seen:
    """What one tensor was seen to hold: ends first, then, between them, how often what came."""

    channels: NDArray[np.float64]
    """Greatest absolute value of each channel."""
    low: float
    high: float
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    @classmethod
    def first(cls, values: NDArray[np.float32]) -> Seen:
        """Of values N × c × h × w."""
        peaks = np.abs(values).max(axis=(0, *range(2, values.ndim))).astype(np.float64)
        return cls(peaks, float(values.min()), float(values.max()))

    def widen(self, values: NDArray[np.float32]) -> None:
        """Take the ends of more values into account; before any are counted."""
        other = Seen.first(values)
        self.channels = np.maximum(self.channels, other.channels)
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    def count(self, values: NDArray[np.float32]) -> None:
        """Count values, all of them between the ends."""
        if self.high > self.low:
            self.counts += np.histogram(values, BINS, (self.low, self.high))[0]


def range_of(seen: Seen, method: str) -> tuple[float, float]:
    """Ends of the range for a tensor, by one of `METHODS`; 0 lies between them."""
    if not seen.counts.any():
        return min(seen.low, 0.0), max(seen.high, 0.0)
    if method == "entropy":
        return _least_divergence(seen)
    share = METHODS[method]
    edges = np.linspace(seen.low, seen.high, BINS + 1)
    inside = np.cumsum(seen.counts) / seen.counts.sum()
    upper = edges[min(int(np.searchsorted(inside, share)) + 1, BINS)]
    lower = edges[int(np.searchsorted(inside, 1 - share, side="right"))]
    return min(float(lower), 0.0), max(float(upper), 0.0)


def _least_divergence(seen: Seen) -> tuple[float, float]:
    """The whole range, or the same part of both its sides, whose 256 levels keep most of the distribution."""
    edges = np.linspace(seen.low, seen.high, BINS + 1)
    middles, counts = (edges[:-1] + edges[1:]) / 2, seen.counts.astype(np.float64)
    found = []
    for share in SHRINKS:
        low, high = min(seen.low, 0.0) * share, max(seen.high, 0.0) * share
        first, last = np.searchsorted(middles, (low, high))
        if last - first >= LEVELS:
            found.append((_divergence(middles[first:last], counts, first, (high - low) / (LEVELS - 1)), low, high))
    return min(found)[1:] if found else (min(seen.low, 0.0), max(seen.high, 0.0))


def _divergence(middles: NDArray[np.float64], counts: NDArray[np.float64], first: int, step: float) -> float:
    """Of the counts clipped to the bins `middles` (from number `first` on) from what levels `step` apart keep of them."""
    inside = counts[first : first + len(middles)]
    clipped = inside.copy()
    clipped[0] += counts[:first].sum()
    clipped[-1] += counts[first + len(middles) :].sum()
    level = np.rint((middles - middles[0]) / step).astype(int)
    filled = inside > 0
    members = np.maximum(np.bincount(level, filled.astype(float)), 1)
    kept = np.where(filled, (np.bincount(level, inside) / members)[level], 0.0)
    p, q = clipped / clipped.sum(), np.maximum(kept / max(float(kept.sum()), 1.0), 1e-12)
    there = p > 0
    return float(np.sum(p[there] * np.log(p[there] / q[there])))
