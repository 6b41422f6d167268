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
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.tiling.plan import axis
from edgelift.tiling.window import Span, Window

__all__ = ["Layout", "Routed", "Routes", "Solution", "layouts", "placed", "solve"]

AT_ONCE = 1 << 18
"""Cells times worths that are solved at once, in whole rows: a large picture needs no more memory for it than a small one."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Solution:
    """The best windows of each row, for each worth of a second."""

    counts: NDArray[np.int32]
    """How many windows of each kind are taken: worths × rows × variants × lengths."""
    errors: Floats
    """Worths × rows."""
    _seconds: Floats
    """Of one window: rows × variants × lengths."""
    _choices: NDArray[np.int32]
    """What ends before each cell's end in the best tiling up to there: worths × rows × cells, see `pieces`."""
    _lengths: tuple[int, ...]

    @property
    def seconds(self) -> Floats:
        """Predicted, worths × rows."""
        return np.asarray(self.spent.sum(axis=2))

    @cached_property
    def spent(self) -> Floats:
        """Predicted seconds of each variant: worths × rows × variants."""
        return np.asarray((self.counts * self._seconds).sum(axis=3))

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

    `errors`: of each cell, variants × rows × cells. `seconds`: of one window, variants × lengths, or rows × variants ×
    lengths where rows differ. `lengths`: in cells. A window at the left end of a row may keep fewer cells than its
    length. Raises `RequestError` where the shapes differ.
    """
    variants, rows, cells = errors.shape
    kinds = (variants, len(lengths))
    if seconds.shape not in (kinds, (rows, *kinds)) or not lengths or min(lengths) < 1:
        raise RequestError(
            f"seconds are needed for {variants} variants and {len(lengths)} lengths, got a table of {seconds.shape}"
        )
    seconds, worth = np.broadcast_to(seconds, (rows, *kinds)), np.asarray(worths, np.float64)
    step = max(1, AT_ONCE // (cells * len(worth)))
    parts = [
        _solved(errors[:, k : k + step], seconds[k : k + step], lengths, worth) for k in range(0, max(rows, 1), step)
    ]
    counts, missed, choices = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
    return Solution(counts, missed, np.asarray(seconds), choices, tuple(lengths))


def _solved(
    errors: Floats, seconds: Floats, lengths: Sequence[int], worth: Floats
) -> tuple[NDArray[np.int32], Floats, NDArray[np.int32]]:
    """`counts`, `errors` and `_choices` of a `Solution` for some of its rows."""
    variants, rows, cells = errors.shape
    before = np.concatenate([np.zeros((variants, rows, 1)), np.cumsum(errors, axis=2)], axis=2)
    ends = np.arange(1, cells + 1)
    starts = [np.maximum(0, ends - length) for length in lengths]
    windows = [
        _best_variant(before[:, :, 1:] - before[:, :, start], seconds[:, :, k], worth) for k, start in enumerate(starts)
    ]
    best = np.zeros((cells + 1, rows, len(worth)))
    choices = np.zeros((cells, rows, len(worth)), np.int32)
    for end in range(1, cells + 1):
        for k, (least, variant) in enumerate(windows):
            total = best[starts[k][end - 1]] + least[end - 1]
            if k == 0:
                best[end], choices[end - 1] = total, variant[end - 1] * len(lengths)
                continue
            better = total < best[end]
            np.copyto(best[end], total, where=better)
            np.copyto(choices[end - 1], variant[end - 1] * len(lengths) + k, where=better)
    choices = np.ascontiguousarray(choices.transpose(2, 1, 0))
    counts, missed = _followed(choices, before, (variants, len(lengths)), lengths)
    return counts, missed, choices


def _best_variant(gained: Floats, seconds: Floats, worth: Floats) -> tuple[Floats, NDArray[np.int32]]:
    """Of windows of one length that end at each cell: the least of error + worth · seconds, and whose it is.

    `gained`: errors, variants × rows × cells; `seconds`: rows × variants. Both results: cells × rows × worths.
    """
    least, found = np.empty(0), np.empty(0, np.int32)
    for variant, error in enumerate(gained):
        total = error.T[:, :, None] + seconds[:, variant, None] * worth
        if variant == 0:
            least, found = total, np.zeros(total.shape, np.int32)
            continue
        better = total < least
        np.copyto(least, total, where=better)
        np.copyto(found, np.int32(variant), where=better)
    return least, found


def _followed(
    choices: NDArray[np.int32], before: Floats, kinds: tuple[int, int], lengths: Sequence[int]
) -> tuple[NDArray[np.int32], Floats]:
    """How often each kind of window is chosen, and the errors, worths × rows: all are followed from the right end at once."""
    worths, rows, cells = choices.shape
    counts, missed = np.zeros((worths, rows, kinds[0] * kinds[1]), np.int32), np.zeros((worths, rows))
    end = np.full((worths, rows), cells)
    at, row = np.arange(worths)[:, None], np.arange(rows)[None, :]
    while (live := end > 0).any():
        chosen = choices[at, row, np.maximum(end - 1, 0)]
        variant, length = np.divmod(chosen, len(lengths))
        start = np.maximum(0, end - np.asarray(lengths)[length])
        counts[at, row, chosen] += live
        missed += np.where(live, before[variant, row, end] - before[variant, row, start], 0.0)
        end = np.where(live, start, 0)
    return counts.reshape(worths, rows, *kinds), missed


@dataclass(frozen=True)
class Layout:
    """The rows of windows of a picture."""

    rows: tuple[tuple[Span, Span], ...]
    """(read, keep) of each row."""

    @property
    def tall(self) -> int:
        """Height of every window."""
        return len(self.rows[0][0])


TALL = (64, 112, 176)
"""Heights of rows in input pixels that are tried, beside the whole picture: lower ones are routed more finely, and pay for
more halos."""


def layouts(height: int, width: int, halo: int, most: int) -> list[Layout]:
    """Ways to cut a picture into rows of equal windows, fewest rows first, each keeping at most about `most` pixels.

    At least one is given, whatever `most` says: rows that are lower than the least of `TALL` would be mostly halo.
    """
    least = -(-height * width // most)
    numbers = {max(1, round(height / tall)) for tall in TALL} | {1}
    numbers = {n for n in numbers if n >= least} or {max(numbers)}
    found = {}
    for number in sorted(numbers):
        tall = max(-(-(height + (number - 1) * 2 * halo) // number), 2 * halo + 1)
        rows = axis(height, min(tall, height), halo)  # nothing beyond the picture is read
        found[len(rows)] = Layout(tuple(rows))
    return list(found.values())


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
