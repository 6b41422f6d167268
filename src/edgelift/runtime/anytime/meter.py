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

__all__ = ["PRIOR", "Meter"]

KEEP = 0.7
"""Of what was seen of the pace, the share that still counts after another row."""
PRIOR = 0.04
"""Weight of the prices themselves in the pace, in shares of the picture's expected seconds: a small window that took half as
long again says little, a large one much."""


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
        self.prior = 0.0
        """Seconds that the prices count for in the pace, beside what is seen."""
        self._seen: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
        """Of each variant: seconds taken, and those expected."""
        self._row: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        """See `Engine.run`."""
        shape = (variant, batch.shape[1], batch.shape[2])
        expected = self._model.seconds(len(batch), shape[1], shape[2], variant)
        began = self._clock()
        self._engine.run(batch, variant, out)
        taken = self._clock() - began
        self.seconds += taken
        if shape in self.warm:
            self._row[variant][0] += taken
            self._row[variant][1] += expected
        else:
            self.fresh = 0.5 * (self.fresh + max(0.0, taken - expected * self.pace(variant)))
            self.warm.add(shape)

    def settle(self) -> None:
        """Learn from the row that was run since the last call."""
        for variant in {*self._seen, *self._row}:
            now, before = self._row[variant], self._seen[variant]
            self._seen[variant] = [KEEP * b + n for b, n in zip(before, now, strict=True)]
        self._row.clear()

    def pace(self, variant: int) -> float:
        """Seconds of a variant over those expected: the less of it was seen, the nearer to the mean of all, and that to 1."""
        taken, expected = (sum(part) for part in zip(*self._seen.values(), strict=True)) if self._seen else (0.0, 0.0)
        mean = (self.prior + taken) / (self.prior + expected) if self.prior + expected else 1.0
        own = self._seen.get(variant, (0.0, 0.0))
        return (self.prior * mean + own[0]) / (self.prior + own[1]) if self.prior + own[1] else mean

    def close(self) -> None:
        """The engine stays open."""
