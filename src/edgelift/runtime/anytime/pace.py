"""Which way is taken, by the clock: chosen for the whole picture before it starts, and corrected before each row.

A row takes the least worth of a second (the best windows) at which it and all rows below are expected to be done in time,
by the measured prices times the pace that this run has shown so far.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgelift.runtime.anytime.meter import PRIOR, Meter
from edgelift.runtime.anytime.ways import Ways, mixed
from edgelift.tiling.routes import Routed, Routes
from edgelift.tiling.window import Span, Window

__all__ = ["KNEE_DB", "KNEE_SHARE", "Pace", "Pick", "knee", "pick"]

OUTSIDE = 1.5e-9
"""Seconds for a sample of the result that are not the engine's: windows are cut, blocks placed. Corrected by what is seen."""
VARIANT = 0.03
"""Seconds to prepare a variant that was not run before: engines compile it, or read it from their cache."""
KNEE_DB = 0.005
"""PSNR in dB that `auto` gives up without a need, by prediction: single pictures lose several times as much."""
KNEE_SHARE = 0.48
"""Share of the widest variant's predicted time that `auto` takes at most."""
ROWS = 4
"""Rows of windows that a picture has at least where there is a clock to keep: what went wrong in one is made good below."""
MARGIN = 0.03
"""Share of the time left that is kept for what cannot be foreseen."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pick:
    """A cut into rows with a worth of a second for each of them, and what that is expected to give."""

    layout: int
    worths: tuple[int, ...]
    seconds: float
    """From the first row to the last, the engine's and all around it."""
    error: float
    """Sum of squared errors, relative to the widest variant's."""
    late: bool = False
    """Whether it takes too long, as all ways do: it is the quickest."""


def _paces(found: Ways, meter: Meter) -> Floats:
    return np.array([meter.pace(variant) for variant in range(found.solution.counts.shape[2])])


def _table(found: Ways, meter: Meter, outside: float) -> Floats:
    """Expected seconds from now on, worths × layouts."""
    paces = _paces(found, meter)
    used = found.used()
    cold = np.array([[s not in meter.warm for s in found.shapes(layout)] for layout in range(len(found.layouts))])
    known = {variant for variant, _, _ in meter.warm}
    lengths = len(found.lengths)
    new = np.array([v not in known for v in range(len(paces))])
    opened = (used.reshape(*used.shape[:2], -1, lengths).any(axis=3) & new).sum(axis=2)
    fresh = meter.fresh * (used & cold).sum(axis=2) + VARIANT * opened
    return np.asarray(found.spent() @ paces + fresh + outside)


def pick(found: Ways, meter: Meter, outside: float, limit: float) -> Pick:
    """The way with the least error that is expected to take at most `limit` seconds, or the quickest where none is.

    `outside`: seconds that are not the engine's. Ways of few rows are left out where there are others.
    """
    seconds, errors = _table(found, meter, outside), found.errors()
    many = np.array([len(layout.rows) >= ROWS for layout in found.layouts])
    allowed = np.broadcast_to(many if many.any() else np.arange(len(many)) == len(many) - 1, seconds.shape)
    fits = allowed & (seconds <= limit)
    late = not fits.any()
    allowed = allowed & (seconds == seconds[allowed].min()) if late else fits
    at = np.lexsort((seconds.ravel(), np.where(allowed, errors, np.inf).ravel()))[0]
    worth, layout = (int(k) for k in np.unravel_index(at, seconds.shape))
    span = found.spans[layout]
    spent = found.solution.spent[:, span] @ _paces(found, meter)
    beside = seconds[worth, layout] - spent[worth].sum()  # new shapes, and what is not the engine's
    chosen = mixed(spent, found.solution.errors[:, span], limit - beside)
    return replace(_rows(found, layout, chosen, spent, float(beside)), late=late)


def _rows(found: Ways, layout: int, chosen: NDArray[np.int64], spent: Floats, beside: float) -> Pick:
    """A worth for each row; `spent`: seconds, worths × rows."""
    rows = np.arange(spent.shape[1])
    error = found.solution.errors[:, found.spans[layout]][chosen, rows].sum() / found.widest
    return Pick(layout, tuple(chosen.tolist()), float(spent[chosen, rows].sum() + beside), float(error))


def _alike(found: Ways, worth: int, layout: int, seconds: Floats, errors: Floats) -> Pick:
    """One worth for all rows."""
    rows = len(found.layouts[layout].rows)
    return Pick(layout, (worth,) * rows, float(seconds[worth, layout]), float(errors[worth, layout]))


def knee(found: Ways, outside: float, widest: float) -> Pick:
    """The quickest way that is expected to lose at most `KNEE_DB` on the widest variant, which takes `widest` seconds; the
    best one of `KNEE_SHARE` of its time where that is more. By prices alone: the same picture gives the same way."""
    seconds, errors = found.spent().sum(axis=2) + outside, found.errors()
    within = seconds <= KNEE_SHARE * widest
    good = within & (errors <= 10 ** (KNEE_DB / 10))
    if good.any():
        order = np.lexsort((errors.ravel(), np.where(good, seconds, np.inf).ravel()))
    elif within.any():
        order = np.lexsort((seconds.ravel(), np.where(within, errors, np.inf).ravel()))
    else:
        order = np.argsort(seconds.ravel())
    worth, layout = (int(k) for k in np.unravel_index(order[0], seconds.shape))
    if good.any() or not within.any():
        return _alike(found, worth, layout, seconds, errors)
    span = found.spans[layout]
    spent, missed = found.solution.spent[:, span].sum(axis=2), found.solution.errors[:, span]
    return _rows(found, layout, mixed(spent, missed, KNEE_SHARE * widest - outside), spent, outside)


class Pace:
    """The windows of a picture, row by row, as `tiling.routes.Routes` has them; each row is settled when it is its turn.

    `until`: what the clock shows when the last row must be done; None keeps to `first`.
    """

    def __init__(
        self,
        found: Ways,
        first: Pick,
        meter: Meter,
        until: float | None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._found, self._first, self._meter = found, first, meter
        self._until, self._clock = until, clock
        self.height, self.width = found.height, found.width
        self.rows: tuple[tuple[Span, Span], ...] = found.layouts[first.layout].rows
        meter.prior = PRIOR * first.seconds
        self._shapes = found.shapes(first.layout)
        self._routed: list[tuple[Routed, ...]] = []

    def windows(self) -> Iterator[tuple[Window, ...]]:
        """Rows of windows, from the top."""
        began, spent = self._clock(), self._meter.seconds
        for row, (read, keep) in enumerate(self.rows):
            worth = self._first.worths[row]
            if self._until is not None and row:
                self._meter.settle()
                done = self.rows[row - 1][1].stop / self.height
                around = (self._clock() - began - (self._meter.seconds - spent)) / done
                left = self._until - self._clock() - around * (1 - done)
                worth = self._worth(row, left * (1 - MARGIN / (len(self.rows) - row)))
            routed = self._found.row(self._first.layout, worth, row)
            self._routed.append(routed)
            yield tuple(Window(read, one.read, keep, one.keep, one.variant) for one in routed)

    def _worth(self, row: int, left: float) -> int:
        """What a second is worth in this row, so that it and those below take at most `left` seconds of the engine."""
        span = self._found.spans[self._first.layout]
        below = slice(span.start + row, span.stop)
        seconds = self._found.solution.spent[:, below] @ _paces(self._found, self._meter)
        fits = np.flatnonzero(seconds.sum(axis=1) <= left)
        base = int(fits[0]) if len(fits) else len(seconds) - 1
        kinds = (self._found.solution.counts[base, below] > 0).any(axis=0).ravel()
        cold = sum(used and shape not in self._meter.warm for used, shape in zip(kinds, self._shapes, strict=True))
        return int(mixed(seconds, self._found.solution.errors[:, below], left - cold * self._meter.fresh)[0])

    @property
    def routes(self) -> Routes:
        """What was run, when all rows were."""
        return Routes(self.height, self.width, self.rows, tuple(self._routed))
