"""What running windows costs on a device: a table of measured times, and what it says of shapes in between.

The rules:
- a row is one measurement: `batch` windows of height × width pixels through `variant` took `seconds` in one call;
- only the area of a window counts, not its form; rows of equal area are averaged, and what is longer for a smaller
  area (noise) is pooled with its neighbours, so that more pixels never cost less;
- between two measured areas time is linear in the area: a fixed cost of the call and a price of each pixel. Below the
  least the line of the first two goes on, its fixed cost held between nothing and all of the first time; above the
  largest the price of a pixel stays what it is there;
- between two measured batches time is linear in the batch, and a larger batch never costs less; outside them a window
  costs what it costs at the nearest measured batch;
- areas that were not measured in a batch go on from the next smaller one: in proportion, but what a batch saves does not
  grow beyond the largest area it was measured with, since calls are what it saves.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgelift.core.errors import RequestError

__all__ = ["CostModel", "Measured"]

VERSION = 1
"""Of the JSON form; changes when a reader of the old one would go wrong."""
MAX_TEXT = 1 << 20
"""Characters of JSON that a reader accepts."""
MAX_ROWS = 4096
MAX_SIDE = 1 << 20
"""Pixels along a window, and windows in a batch, that a row may state."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """One row of the table. Raises `RequestError` for values that cannot have been measured."""

    batch: int
    height: int
    width: int
    seconds: float
    """Of one call with the whole batch."""
    variant: int = 1

    def __post_init__(self) -> None:
        whole = (self.batch, self.height, self.width, self.variant + 1 if type(self.variant) is int else self.variant)
        if not all(type(n) is int and 1 <= n <= MAX_SIDE for n in whole):
            given = (self.batch, self.height, self.width, self.variant)
            raise RequestError(
                f"batch, height and width are whole numbers from 1 to {MAX_SIDE}, variant from 0, got {given}"
            )
        if isinstance(self.seconds, bool) or not isinstance(self.seconds, int | float):
            raise RequestError(f"seconds are a number, got {self.seconds!r}")
        if not 1e-12 < self.seconds < 1e9:  # NaN is neither
            raise RequestError(f"seconds are above 0 and finite, got {self.seconds!r}")

    @property
    def area(self) -> int:
        """Pixels of one window."""
        return self.height * self.width

    @property
    def price(self) -> float:
        """Seconds for one sample: seconds / (batch · 3 · height · width)."""
        return self.seconds / (self.batch * 3 * self.area)

    @property
    def shape(self) -> str:
        """As tables print it: batch × 3 × height × width."""
        return f"{self.batch}×3×{self.height}×{self.width}"


@dataclass(frozen=True)
class CostModel:
    """Seconds for a batch of windows of one shape on one device. See the module's text for what is assumed.

    Raises `RequestError` for a table without rows, or with two rows of one shape.
    """

    rows: tuple[Measured, ...]
    fresh: float = 0.0
    """Seconds that the first window of a shape takes on top, since engines prepare each."""

    def __post_init__(self) -> None:
        if isinstance(self.fresh, bool) or not isinstance(self.fresh, int | float) or not 0 <= self.fresh < 1e9:
            raise RequestError(f"the seconds of a new shape are at least 0 and finite, got {self.fresh!r}")
        if not 1 <= len(self.rows) <= MAX_ROWS:
            raise RequestError(f"a table of prices has 1 to {MAX_ROWS} rows, got {len(self.rows)}")
        shapes = [(row.variant, row.batch, row.height, row.width) for row in self.rows]
        if len(set(shapes)) < len(shapes):
            raise RequestError("a table of prices has one row for a shape, batch and variant; this one has two")

    def seconds(self, batch: int, height: int, width: int, variant: int = 1) -> float:
        """Predicted time of one call, above 0; never less for more pixels, more windows or both."""
        return float(self.seconds_of(height * width, batch, variant))

    def seconds_of(self, area: ArrayLike, batch: int = 1, variant: int = 1) -> Floats:
        """`seconds` for windows of `area` pixels, many areas at once.

        Raises `RequestError` for a variant that was not measured and for batches or areas under 1.
        """
        areas = np.asarray(area, np.float64)
        if batch < 1 or areas.size == 0 or areas.min() < 1:
            raise RequestError(f"a batch has at least one window of at least one pixel, got {batch} of {area!r}")
        if variant not in self._curves:
            known = ", ".join(map(str, sorted(self._curves)))
            raise RequestError(f"variant {variant} has no measured prices; there are those of {known}")
        return _along_batches(self._curves[variant], areas, batch)

    def prices(self, variant: int | None = None) -> list[Measured]:
        """The rows (of one variant where it is given), in the order of their seconds as published tables have them."""
        chosen = (row for row in self.rows if variant in (None, row.variant))
        return sorted(chosen, key=lambda row: (row.seconds, row.variant, row.batch, row.height, row.width))

    def largest(self, variant: int = 1) -> int:
        """Pixels of the largest window that was measured; predictions beyond it are guesses."""
        return max((row.area for row in self.rows if row.variant == variant), default=0)

    def to_json(self) -> str:
        """The table as text; `from_json` gives an equal model."""
        rows = [astuple(row) for row in self.rows]
        return json.dumps({"prices": VERSION, "rows": rows, "fresh": self.fresh})

    @classmethod
    def from_json(cls, text: str) -> CostModel:
        """Read what `to_json` wrote. Raises `RequestError` that says what is wrong with `text`."""
        if len(text) > MAX_TEXT:
            raise RequestError(f"a table of prices has at most {MAX_TEXT} characters, got {len(text)}")
        try:
            plain = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise RequestError(f"a table of prices is JSON, and this is not: {exc}") from exc
        return cls.from_plain(plain)

    @classmethod
    def from_plain(cls, plain: Any) -> CostModel:
        """Read the parsed form of `to_json`, such as a part of a larger document; errors as `from_json`."""
        if not isinstance(plain, dict) or {"prices", "rows"} - set(plain) or set(plain) - {"prices", "rows", "fresh"}:
            raise RequestError("a table of prices is a JSON object of 'prices' (its version), 'rows' and 'fresh'")
        if plain["prices"] != VERSION or isinstance(plain["prices"], bool):
            raise RequestError(f"a table of prices of version {plain['prices']!r:.20}; this edgelift reads {VERSION}")
        rows = plain["rows"]
        if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == 5 for row in rows):
            raise RequestError("'rows' is a list of [batch, height, width, seconds, variant]")
        return cls(tuple(Measured(*row) for row in rows), plain.get("fresh", 0.0))

    @cached_property
    def _curves(self) -> dict[int, dict[int, tuple[Floats, Floats]]]:
        """variant -> batch -> (areas, seconds), both rising."""
        groups: dict[int, dict[int, list[Measured]]] = defaultdict(lambda: defaultdict(list))
        for row in self.rows:
            groups[row.variant][row.batch].append(row)
        return {v: {b: _curve(rows) for b, rows in sorted(batches.items())} for v, batches in groups.items()}


def _curve(rows: Iterable[Measured]) -> tuple[Floats, Floats]:
    times: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        times[row.area].append(row.seconds)
    areas = sorted(times)
    return np.array(areas, np.float64), _rising([math.fsum(times[a]) / len(times[a]) for a in areas])


def _rising(values: list[float]) -> Floats:
    """The nearest sequence (least squares) that never falls: pool adjacent violators (Ayer et al. 1955)."""
    pools: list[tuple[float, int]] = []
    for value in values:
        pools.append((value, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (b, m), (a, n) = pools.pop(), pools.pop()
            pools.append(((a * n + b * m) / (n + m), n + m))
    return np.repeat([mean for mean, _ in pools], [n for _, n in pools])


def _along_areas(curve: tuple[Floats, Floats], area: Floats) -> Floats:
    areas, seconds = curve
    first, start = areas[0], seconds[0]
    slope = (seconds[1] - start) / (areas[1] - first) if len(areas) > 1 else start / first
    fixed = max(0.0, start - slope * first)
    below = fixed + (start - fixed) * area / first
    above = seconds[-1] * area / areas[-1]
    inside = np.interp(area, areas, seconds)
    return np.where(area < first, below, np.where(area > areas[-1], above, inside))


def _along_batches(curves: dict[int, tuple[Floats, Floats]], area: Floats, batch: int) -> Floats:
    """`curves` by batch, smallest first."""
    # The ends of every curve come along as further points: beyond them a curve goes on as the one below it does.
    ends = [end for areas, _ in curves.values() for end in (areas[0], areas[-1])]
    points = np.append(area.ravel(), ends)
    below, fewer = np.zeros(0), 0
    for k, (measured, curve) in enumerate(curves.items()):
        here = (
            _along_areas(curve, points) if k == 0 else _over(curve, points, below, measured / fewer, area.size + 2 * k)
        )
        if batch <= measured or k == len(curves) - 1:
            break
        below, fewer = here, measured
    if fewer and batch <= measured:
        here = below + (here - below) * ((batch - fewer) / (measured - fewer))
    else:
        here = here * (batch / measured)
    return here[: area.size].reshape(area.shape)


def _over(curve: tuple[Floats, Floats], points: Floats, below: Floats, ratio: float, first: int) -> Floats:
    """A curve at `points`, where the one of a batch `ratio` times smaller has the times `below`.

    Item `first` of `points` is the curve's least area, and the next its largest.
    """
    areas, seconds = curve
    calls = below * ratio  # what it takes in smaller batches
    start, end = seconds[0] / calls[first], seconds[-1] / calls[first + 1]
    beyond = np.maximum(calls * end, calls + (seconds[-1] - calls[first + 1]))
    outside = np.where(points < areas[0], calls * start, beyond)
    inside = (points >= areas[0]) & (points <= areas[-1])
    own = np.where(inside, np.interp(points, areas, seconds), outside)
    return np.asarray(np.maximum(own, below))  # noise must not make a larger batch the quicker one
