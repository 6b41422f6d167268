"""An engine with a clock: what its calls took, beside what they were expected to take."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from edgelift.runtime.anytime.ways import Shape
from edgelift.runtime.engine import Engine
from edgelift.tiling.cost import CostModel

__all__ = ["Meter"]

KEEP = 0.6
"""Weight of what was known of a variant's pace when another second as long as the last row comes."""


class Meter:
    """Runs an engine for one picture and learns its pace: see `Engine`. `warm` are the shapes that it has run before."""

    def __init__(
        self, engine: Engine, model: CostModel, warm: set[Shape], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.spec, self.limits = engine.spec, engine.limits
        self.device, self.precision = engine.device, engine.precision
        self._engine, self._model, self._clock = engine, model, clock
        self.warm = warm
        self.seconds = 0.0
        """Spent in the engine."""
        self.fresh = model.fresh
        """Seconds that the first window of a shape takes on top of its price."""
        self._paces: dict[int, float] = {}
        self._rows: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        """See `Engine.run`."""
        shape = (variant, batch.shape[1], batch.shape[2])
        expected = self._model.seconds(len(batch), shape[1], shape[2], variant)
        began = self._clock()
        self._engine.run(batch, variant, out)
        taken = self._clock() - began
        self.seconds += taken
        if shape in self.warm:
            self._rows[variant][0] += taken
            self._rows[variant][1] += expected
        else:
            self.fresh = 0.5 * (self.fresh + max(0.0, taken - expected * self.pace(variant)))
            self.warm.add(shape)

    def settle(self) -> None:
        """Learn from what was run since the last call."""
        for variant, (taken, expected) in self._rows.items():
            here = taken / expected
            self._paces[variant] = KEEP * self._paces.get(variant, here) + (1 - KEEP) * here
        self._rows.clear()

    def pace(self, variant: int) -> float:
        """Seconds of a variant over those expected; of one that was not seen yet, the mean of the others."""
        if variant in self._paces:
            return self._paces[variant]
        return sum(self._paces.values()) / len(self._paces) if self._paces else 1.0

    def close(self) -> None:
        """The engine stays open."""
