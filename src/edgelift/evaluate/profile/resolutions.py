"""Seconds of one call against the size of its window: what a pixel costs, and where that jumps.

A pixel of a small window is dear, since the call itself costs something; from there on the price should stay what it is.
Where it does not, a cache is full, memory is short or the engine takes another way: such points are marked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgelift.core.errors import EngineError, EngineMemoryError
from edgelift.evaluate.profile.bench import SETTLE, Bench, check_size
from edgelift.evaluate.profile.timing import Clock, Timing, timed

__all__ = ["JUMP", "POINTS", "Curve", "Point", "curve", "jumps", "latency", "sizes_up_to"]

POINTS = 10
JUMP = 0.15
"""Share by which the price of a pixel has to differ from that of the neighbours to be marked; see `jumps`."""
LEAST_SIDE = 32

Report = Callable[[str, float], None]


@dataclass(frozen=True)
class Point:
    """One size."""

    height: int
    width: int
    timing: Timing
    """Of one call with one window."""
    mark: str = ""
    """`step`: dearer than the size before; `peak`: dearer than both neighbours; `dip`: cheaper than both."""

    @property
    def price(self) -> float:
        """Seconds for a pixel of the input."""
        return self.timing.seconds / (self.height * self.width)


@dataclass(frozen=True)
class Curve:
    """Sizes from small to large."""

    points: tuple[Point, ...]
    problem: str = ""
    """Why larger ones are missing."""


def sizes_up_to(size: tuple[int, int], points: int = POINTS, multiple: int = 1) -> list[tuple[int, int]]:
    """Sizes of the form of `size` = (height, width), about equally far from each other in the logarithm, rising to it.

    The least has a shorter side of 32 pixels, or an eighth of that of `size` where that is less.
    """
    short = min(size)
    least = min(LEAST_SIDE / short, 1.0) if short > 2 * LEAST_SIDE else 1 / 8
    shares = np.geomspace(least, 1.0, points)
    found = [tuple(max(1, round(side * share / multiple)) * multiple for side in size) for share in shares]
    return [(height, width) for height, width in dict.fromkeys(found)]


def latency(bench: Bench, size: tuple[int, int], *, rounds: int = 5, clock: Clock = time.perf_counter) -> Point:
    """One call with one window of `size`, after the engine has got used to it. Raises `EngineError`."""
    window = bench.window(*check_size(size))
    return Point(window.height, window.width, timed(window, rounds, warm=SETTLE, clock=clock))


def curve(
    bench: Bench,
    size: tuple[int, int] = (360, 640),
    *,
    points: int = POINTS,
    rounds: int = 5,
    report: Report = lambda name, done: None,
    clock: Clock = time.perf_counter,
) -> Curve:
    """Time windows from small to `size`. Where the memory is too small the larger ones are left out, and the curve says so.

    Marked points and their neighbours are timed a second time, and the lesser counts: what else runs on the machine is
    unlikely to meet one size twice. Raises `EngineError` where not even the smallest can be run, `RequestError` for a
    size out of range.
    """

    def point(height: int, width: int) -> Point:
        window = bench.window(height, width)
        return Point(window.height, window.width, timed(window, rounds, warm=SETTLE, clock=clock))

    found: list[Point] = []
    problem = ""
    sizes = sizes_up_to(check_size(size), points, bench.spec.multiple_of)
    for k, (height, width) in enumerate(sizes):
        report(f"{height}×{width}", k / len(sizes))
        try:
            found.append(point(height, width))
        except (EngineMemoryError, MemoryError) as exc:
            if not found:
                raise EngineError(f"not even a window of {height}×{width} fits: {exc}") from exc
            problem = f"no memory for {height}×{width} and more: {exc}"
            break
    marked = [k for k, each in enumerate(jumps(found)) if each.mark]
    for k in sorted({m + near for m in marked for near in (-1, 0, 1)} & set(range(len(found)))):
        report(f"{sizes[k][0]}×{sizes[k][1]} again", 1.0)
        found[k] = min(found[k], point(*sizes[k]), key=lambda each: each.timing.seconds)
    return Curve(jumps(found), problem)


def jumps(points: Sequence[Point], share: float = JUMP) -> tuple[Point, ...]:
    """`points`, from small to large, with their marks.

    Two prices differ where one is above the other by more than `share` of the lesser and the quarters of their
    measurements do not overlap. A price that falls from one size to the next is no jump, since the cost of the call
    is shared by more pixels: only a dip, with dearer neighbours on both sides, is marked.
    """

    def dearer(a: Point, b: Point) -> bool:
        timings = (p.timing.scaled(1 / (p.height * p.width)) for p in (a, b))
        return a.price > b.price * (1 + share) and next(timings).apart(next(timings))

    def mark(k: int) -> str:
        here, before = points[k], points[k - 1] if k else None
        after = points[k + 1] if k + 1 < len(points) else None
        if before and after and dearer(before, here) and dearer(after, here):
            return "dip"
        if before and dearer(here, before):
            return "peak" if after and dearer(here, after) else "step"
        return ""

    return tuple(Point(point.height, point.width, point.timing, mark(k)) for k, point in enumerate(points))
