"""Repeated timing: the median counts, and the quarters around it say how far to trust it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["MAX_ROUNDS", "Clock", "Timing", "of_rounds", "timed"]

Clock = Callable[[], float]
MAX_ROUNDS = 1000


@dataclass(frozen=True)
class Timing:
    """Seconds of something that was done several times."""

    seconds: float
    """The median."""
    low: float
    """A quarter of the rounds took less …"""
    high: float
    """… and a quarter more than this."""
    rounds: int

    @property
    def spread(self) -> float:
        """Half the distance between the quarters, as a share of the median."""
        return (self.high - self.low) / 2 / self.seconds if self.seconds else 0.0

    def apart(self, other: Timing) -> bool:
        """Whether the quarters of the two do not overlap: else their difference may be noise."""
        return self.low > other.high or self.high < other.low

    def scaled(self, factor: float) -> Timing:
        """All times multiplied by `factor`, above 0."""
        return Timing(self.seconds * factor, self.low * factor, self.high * factor, self.rounds)


def of_rounds(seconds: Sequence[float]) -> Timing:
    """The timing of at least one round."""
    low, middle, high = np.quantile(np.asarray(seconds, float), (0.25, 0.5, 0.75)).tolist()
    return Timing(middle, low, high, len(seconds))


def timed(run: Callable[[], object], rounds: int, *, warm: int = 1, clock: Clock = time.perf_counter) -> Timing:
    """`run` done `warm` times untimed and `rounds` times timed. Errors of `run` pass through."""
    for _ in range(warm):
        run()
    found = []
    for _ in range(rounds):
        began = clock()
        run()
        found.append(max(clock() - began, 1e-9))  # a clock may be too coarse to see it
    return of_rounds(found)
