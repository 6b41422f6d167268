"""Windows of several lengths and variants over a picture: for each part of it the network that it is worth.

A picture is cut into rows of windows as by `tiling.plan`, all of one height, and each row into cells of equal length. A
window keeps one cell or more, through one variant. Its length in cells comes from a short menu, since engines prepare each
new shape once. Which windows tile a row is solved exactly, by dynamic programming over its cells: the least

    sum of errors + worth · sum of seconds

where the error of a cell through a variant is given, and the seconds of a window are a measured price. `worth` is what a
second is worth in errors: a large one buys the cheapest windows, 0 the best. ARM (Chen et al., ECCV 2022) chooses
each fixed tile alone by `eta · PSNR - cost`; here the lengths are chosen together with the variants, because a window's
price has a part that does not depend on its area, and its halo is paid at its ends only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.tiling.window import Span, Window

__all__ = ["Routed", "Routes", "Solution", "placed", "solve"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Solution:
    """The best windows of each row, for each worth of a second."""

    seconds: Floats
    """Predicted, worths × rows."""
    errors: Floats
    """The same of the errors."""
    _choices: NDArray[np.int32]
    """What ends before each cell's end in the best tiling up to there: worths × rows × cells, see `pieces`."""
    _lengths: tuple[int, ...]

    def pieces(self, worth: int, row: int) -> list[tuple[int, int, int]]:
        """(first cell, cell after the last, variant) of each window of a row, from the left."""
        found = []
        end = self._choices.shape[2]
        while end > 0:
            variant, length = divmod(int(self._choices[worth, row, end - 1]), len(self._lengths))
            start = max(0, end - self._lengths[length])
            found.append((start, end, variant))
            end = start
        return found[::-1]


def solve(errors: Floats, seconds: Floats, lengths: Sequence[int], worths: Sequence[float]) -> Solution:
    """The best tiling of each row by windows.

    `errors`: of each cell, variants × rows × cells. `seconds`: of one window, variants × lengths. `lengths`: in cells. A
    window at the left end of a row may keep fewer cells than its length. Raises `RequestError` where the shapes differ.
    """
    variants, rows, cells = errors.shape
    if seconds.shape != (variants, len(lengths)) or not lengths or min(lengths) < 1:
        raise RequestError(
            f"seconds are needed for {variants} variants and {len(lengths)} lengths, got a table of {seconds.shape}"
        )
    worth = np.asarray(worths, np.float64)
    before = np.concatenate([np.zeros((variants, rows, 1)), np.cumsum(errors, axis=2)], axis=2)
    best = np.zeros((cells + 1, len(worth), rows))
    choices = np.zeros((len(worth), rows, cells), np.int32)
    fixed = worth[:, None, None] * seconds.reshape(1, 1, -1)
    for end in range(1, cells + 1):
        starts = np.maximum(0, end - np.asarray(lengths))
        gained = before[:, :, end, None] - before[:, :, starts]  # variants × rows × lengths
        gained = gained.transpose(1, 0, 2).reshape(1, rows, -1)
        earlier = best[starts].transpose(1, 2, 0)  # worths × rows × lengths
        total = fixed + gained + np.tile(earlier, (1, 1, variants))
        choices[:, :, end - 1] = total.argmin(axis=2)
        best[end] = np.take_along_axis(total, choices[:, :, end - 1, None], axis=2)[:, :, 0]
    return Solution(*_sums(choices, before, seconds, lengths), choices, tuple(lengths))


def _sums(choices: NDArray[np.int32], before: Floats, seconds: Floats, lengths: Sequence[int]) -> tuple[Floats, Floats]:
    """Seconds and errors of the chosen windows, worths × rows: both are followed from the right end together."""
    worths, rows, cells = choices.shape
    spent, missed = np.zeros((worths, rows)), np.zeros((worths, rows))
    end = np.full((worths, rows), cells)
    at, row = np.arange(worths)[:, None], np.arange(rows)[None, :]
    while (live := end > 0).any():
        chosen = choices[at, row, np.maximum(end - 1, 0)]
        variant, length = np.divmod(chosen, len(lengths))
        start = np.maximum(0, end - np.asarray(lengths)[length])
        spent += np.where(live, seconds[variant, length], 0.0)
        missed += np.where(live, before[variant, row, end] - before[variant, row, start], 0.0)
        end = np.where(live, start, 0)
    return spent, missed


@dataclass(frozen=True)
class Routed:
    """A window's place in its row: which columns it reads and keeps, through which variant."""

    read: Span
    keep: Span
    variant: int


@dataclass(frozen=True)
class Routes:
    """All windows of a picture, as `tiling.plan.Plan` has them, but each row with its own."""

    height: int
    width: int
    rows: tuple[tuple[Span, Span], ...]
    """(read, keep) of each row of windows."""
    routed: tuple[tuple[Routed, ...], ...]
    """The windows of each row, from the left."""

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.routed):
            raise RequestError(f"{len(self.rows)} rows need as many lists of windows, got {len(self.routed)}")
        for row in self.routed:
            ends = [0, *(one.keep.stop for one in row)]
            if [one.keep.start for one in row] != ends[:-1] or ends[-1] != self.width:
                raise RequestError(f"the windows of a row keep each column from 0 to {self.width} once, got {row}")

    def __len__(self) -> int:
        return sum(map(len, self.routed))

    def windows(self) -> Iterator[tuple[Window, ...]]:
        """Rows of windows, from the top: each row finishes a strip of the result."""
        for (read, keep), row in zip(self.rows, self.routed, strict=True):
            yield tuple(Window(read, one.read, keep, one.keep, one.variant) for one in row)

    def shares(self) -> dict[int, float]:
        """Share of the picture's pixels that each variant makes."""
        found: dict[int, int] = {}
        for (_, keep), row in zip(self.rows, self.routed, strict=True):
            for one in row:
                found[one.variant] = found.get(one.variant, 0) + len(keep) * len(one.keep)
        return {variant: pixels / (self.height * self.width) for variant, pixels in sorted(found.items())}


def placed(
    pieces: Sequence[tuple[int, int, int]], lengths: Sequence[int], cell: int, halo: int, width: int
) -> tuple[Routed, ...]:
    """The windows of a row of `width` pixels that keep `pieces` (see `Solution.pieces`), of cells `cell` pixels long.

    A window keeps its cells and reads `halo` pixels on both sides. It has the length of the least of `lengths` that holds
    them: where it would reach beyond the picture it is moved inside, and one longer than the picture is the picture. So a
    row has no more shapes of windows than there are lengths.
    """
    found = []
    for start, stop, variant in pieces:
        keep = Span(start * cell, min(stop * cell, width))
        cells = min((n for n in lengths if n >= stop - start), default=stop - start)
        long = min(cells * cell + 2 * halo, width)
        first = min(max(0, keep.start - halo), width - long)
        found.append(Routed(Span(first, first + long), keep, variant))
    return tuple(found)
