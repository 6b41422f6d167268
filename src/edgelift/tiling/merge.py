"""Putting results of windows into strips of the picture.

Engines give blocks: for each position of their grid a b × b square of pixels, one after the other in memory. Cutting
the halo away, the pixel shuffle and the placing are then one strided copy of runs of b pixels.

Where windows overlap, `crop` and `naive` take each pixel from the one window that keeps it; `average` and `feather`
take a weighted mean of all that cover it. Windows are the product of two axes, and so are the weights: they are made
once an axis, and sum to 1 there. `feather` weighs by a Gaussian of the distance into the overlap: 1 where the overlap
ends and further inside, falling to 1 % at the window's edge. Its sigma is a third of the overlap and not a share of
the window: around a wide window's centre it would still be high at the edge, which would show as a seam.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.core.image import PEAK, round_to
from edgelift.tiling.plan import Plan
from edgelift.tiling.window import Planned, Span, Window

__all__ = ["MERGES", "OVERLAP", "Blend", "Crop", "Merge", "crop_into", "merge_of", "runs", "sharing", "weights"]

MERGES = ("crop", "feather", "average", "naive")
OVERLAP = 16
"""Pixels that blended windows share where the halo does not say: enough to hide most seams."""
SAMPLES = 1 << 16
"""Samples that are weighed at once: they stay in the cache between the steps."""
WHITE = 255.0
"""Of what engines give, uint8 or float32."""
SIGMA = 1 / 3
"""Of the feathering Gaussian, as a share of the overlap."""


def sharing(merge: str, overlap: int | None, halo: int | None) -> tuple[int | None, int | None]:
    """The (halo, overlap) that `tiling.plan` takes for `merge`, of a network with that halo and the overlap asked for.

    Raises `RequestError` for an unknown merge, and for an overlap that it cannot have.
    """
    if merge not in MERGES:
        raise RequestError(f"merge must be one of {', '.join(MERGES)}, got {merge!r}")
    if merge == "crop":
        return halo, overlap
    if merge == "naive":
        if overlap:
            raise RequestError(f"naive pastes disjoint tiles and has no overlap, got {overlap}; use feather or average")
        return None, 0
    if overlap is not None and overlap < 1:
        raise RequestError(
            f"{merge} needs windows that share at least 1 pixel, got an overlap of {overlap}; or use naive"
        )
    return None, overlap or 2 * (halo or 0) or OVERLAP


# -- from blocks to pixels


def runs(strip: NDArray[Any], side: int) -> NDArray[np.void]:
    """A view of `strip` (rows × columns × 3, C order) as (grid row, row in block, grid column) of runs of `side` pixels."""
    rows, columns, colours = strip.shape
    if not strip[:1].flags.c_contiguous:  # a reshape would copy, and what is written to the copy would be lost
        raise ValueError(f"expected rows of {columns} × {colours} samples in C order, got strides {strip.strides}")
    run = np.dtype((np.void, side * colours * strip.itemsize))
    return strip.reshape(rows // side, side, columns * colours).view(run)


def _place(target: NDArray[np.void], blocks: NDArray[Any], rows: slice, columns: slice, grid: int) -> None:
    """Copy `rows` × `columns` (input pixels) of a window's blocks to `target`, which `runs` made and is that large."""
    inner = blocks[rows.start * grid : rows.stop * grid, columns.start * grid : columns.stop * grid]
    run = np.dtype((np.void, blocks.shape[2] * blocks.shape[4] * blocks.itemsize))
    flat = inner.reshape(*inner.shape[:2], blocks.shape[2], -1).view(run)[..., 0]
    target[...] = flat.transpose(0, 2, 1)


def crop_into(strip: NDArray[Any], blocks: NDArray[Any], window: Window, grid: int) -> None:
    """Place what `window` keeps of its result into `strip`, the rows of the picture that its row of windows keeps.

    `blocks`: (rows · grid, columns · grid, b, b, 3) of the window, C order. `strip`: (kept rows · grid · b,
    picture width · grid · b, 3), C order, of the same type.
    """
    keep = window.keep_columns
    target = runs(strip, blocks.shape[2])[:, :, keep.start * grid : keep.stop * grid]
    _place(target, blocks, window.keep_rows.within(window.rows), keep.within(window.columns), grid)


def _native(blocks: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Blocks as an engine gives them (uint8, or float32 in 0 … 255) as samples of the picture's type."""
    if blocks.dtype == dtype:
        return blocks
    return round_to(blocks * np.float32(PEAK[dtype.name] / WHITE), dtype)


# -- what weighs how much


def weights(reads: Sequence[Span], length: int, scale: int, merge: str) -> list[NDArray[np.float32]]:
    """For the windows along one axis, in order: how much each pixel of their results counts (`feather` or `average`).

    `reads` are what they read of a picture of `length` pixels, all equally long; an array has `scale` weights, all
    above 0, for each pixel of it that lies in the picture. At every pixel the weights of all windows sum to 1.
    """
    size = len(reads[0]) * scale
    shared = (reads[0].stop - reads[1].start) * scale if len(reads) > 1 else 0
    shape = _feather(size, shared) if merge == "feather" else np.ones(size)
    total = np.zeros(length * scale)
    places = [slice(read.start * scale, min(read.stop, length) * scale) for read in reads]
    for at in places:
        total[at] += shape[: at.stop - at.start]
    return [np.asarray(shape[: at.stop - at.start] / total[at], np.float32) for at in places]


def _feather(size: int, shared: int) -> NDArray[np.float64]:
    """The Gaussian of the module's text over a window of `size` pixels that shares `shared` with each neighbour."""
    centre = np.arange(size) + 0.5
    missing = np.maximum(shared - np.minimum(centre, size - centre), 0.0)
    return np.asarray(np.exp(-0.5 * (missing / (SIGMA * max(shared, 1))) ** 2))


@dataclass(frozen=True)
class _Place:
    """One window along one axis, in input pixels of the picture."""

    read: Span
    """What it reads, without what lies beyond the picture."""
    solo: Span
    """Where no other window reads; empty at the end of `read` where there is no such place."""
    weights: NDArray[np.float32]


def _places(reads: Sequence[Span], length: int, scale: int, merge: str) -> list[_Place]:
    made = []
    before = [0, *(read.stop for read in reads[:-1])]
    behind = [*(read.start for read in reads[1:]), length]
    for read, start, stop, weight in zip(reads, before, behind, weights(reads, length, scale, merge), strict=True):
        inside = Span(read.start, min(read.stop, length))
        solo = Span(start, stop) if start < stop else Span(inside.stop, inside.stop)
        made.append(_Place(inside, solo, weight))
    return made


# -- the merges


class Merge(Protocol):
    """Takes the results of a plan's windows, row after row, and gives strips.

    The pixels of row k are complete when all its windows were added and `finish(strip, k)` returned: these are the
    result's rows `spans[k]`.
    """

    spans: list[Span]
    """For each row of windows the rows of the result that it completes."""
    in_order: bool
    """Whether windows must be added one at a time and in the plan's order; else in any order, and at the same time."""

    def add(self, strip: NDArray[Any], window: Window, blocks: NDArray[Any]) -> None:
        """Take the blocks of a window: layers × (rows · grid) × (columns · grid) × b × b × 3, as engines give them.

        `strip` is that of the window's row: layers × rows × width × 3. Blocks are uint8 for uint8, else float32.
        """

    def finish(self, strip: NDArray[Any], row: int) -> None:
        """Complete the strip of that row."""


class Crop:
    """`crop` and `naive`: each pixel comes from the one window that keeps it, by one copy."""

    in_order = False

    def __init__(self, plan: Planned, grid: int, side: int) -> None:
        self._grid, scale = grid, grid * side
        self.spans = [Span(keep.start * scale, keep.stop * scale) for _, keep in plan.rows]

    def add(self, strip: NDArray[Any], window: Window, blocks: NDArray[Any]) -> None:
        """See `Merge.add`."""
        for layer, part in zip(strip, _native(blocks, strip.dtype), strict=True):
            crop_into(layer, part, window, self._grid)

    def finish(self, strip: NDArray[Any], row: int) -> None:
        """Nothing is left to do."""


class Blend:
    """`feather` and `average`: the weighted mean of all windows, summed in float32 and rounded once.

    Where only one window reads, its result is copied as it is. Sums are held for one row of windows.
    """

    in_order = True  # a sum of floats depends on the order of its terms

    def __init__(self, plan: Plan, grid: int, side: int, layers: int, merge: str) -> None:
        self._grid, self._scale = grid, grid * side
        reads = [[read for read, _ in axis] for axis in (plan.rows, plan.columns)]
        self._rows = _places(reads[0], plan.height, self._scale, merge)
        self._columns = _places(reads[1], plan.width, self._scale, merge)
        self._at = [{place.read.start: place for place in places} for places in (self._rows, self._columns)]
        starts = [*(place.read.start * self._scale for place in self._rows), plan.height * self._scale]
        self.spans = [Span(a, b) for a, b in pairwise(starts)]
        self._sums = np.zeros((layers, plan.tile[0] * self._scale, plan.width * self._scale * 3), np.float32)

    def add(self, strip: NDArray[Any], window: Window, blocks: NDArray[Any]) -> None:
        """See `Merge.add`."""
        y, x = self._at[0][window.rows.start], self._at[1][window.columns.start]
        if len(y.solo) and len(x.solo):
            self._copy(strip, y, x, blocks)
        for rows, columns in _around(y, x):
            step = max(1, SAMPLES // (len(columns) * self._scale**2 * 3))
            for start in range(rows.start, rows.stop, step):
                self._sum(Span(start, min(start + step, rows.stop)), columns, y, x, blocks)

    def finish(self, strip: NDArray[Any], row: int) -> None:
        """See `Merge.finish`."""
        place, count = self._rows[row], strip.shape[1]
        first = min((place.solo.start - place.read.start) * self._scale, count)
        self._round(strip, slice(0, first), slice(0, strip.shape[2]))
        edge = 0
        for column in self._columns:
            if len(column.solo):
                self._round(strip, slice(first, count), slice(edge, column.solo.start * self._scale))
                edge = column.solo.stop * self._scale
        self._round(strip, slice(first, count), slice(edge, strip.shape[2]))
        self._shift(count)

    def _shift(self, count: int) -> None:
        """Move the sums up by `count` rows, with zeros below: in place, since two such arrays are much memory."""
        tall = self._sums.shape[1]
        for start in range(0, tall - count, count):
            stop = min(start + count, tall - count)
            self._sums[:, start:stop] = self._sums[:, start + count : stop + count]
        self._sums[:, tall - count :] = 0

    def _copy(self, strip: NDArray[Any], y: _Place, x: _Place, blocks: NDArray[Any]) -> None:
        """What only this window reads."""
        rows, columns = self._scaled(y.solo, y.read), slice(x.solo.start * self._grid, x.solo.stop * self._grid)
        for layer, part in zip(strip, _native(blocks, strip.dtype), strict=True):
            target = runs(layer[rows], part.shape[2])[:, :, columns]
            _place(target, part, y.solo.within(y.read), x.solo.within(x.read), self._grid)

    def _sum(self, rows: Span, columns: Span, y: _Place, x: _Place, blocks: NDArray[Any]) -> None:
        """Add the weighted results in that part of the window."""
        down = y.weights[self._scaled(rows, y.read), None]
        across = np.repeat(x.weights[self._scaled(columns, x.read)], 3)
        at = slice(columns.start * self._scale * 3, columns.stop * self._scale * 3)
        pixels = np.empty((len(rows) * self._scale, len(columns) * self._scale, 3), blocks.dtype)
        weighted = np.empty((len(pixels), len(across)), np.float32)
        for sums, part in zip(self._sums, blocks, strict=True):
            _place(runs(pixels, part.shape[2]), part, rows.within(y.read), columns.within(x.read), self._grid)
            np.multiply(pixels.reshape(weighted.shape), across, out=weighted)
            weighted *= down
            sums[self._scaled(rows, y.read), at] += weighted

    def _round(self, strip: NDArray[Any], rows: slice, columns: slice) -> None:
        """Give `strip` the sums in that part of it, all windows having been added there."""
        if columns.start == columns.stop:
            return
        step = max(1, SAMPLES // (3 * (columns.stop - columns.start)))
        for start in range(rows.start, rows.stop, step):
            at = slice(start, min(start + step, rows.stop))
            part = strip[:, at, columns]
            sums = self._sums[:, at, 3 * columns.start : 3 * columns.stop].reshape(part.shape)
            part[...] = round_to(sums * np.float32(PEAK[strip.dtype.name] / WHITE), strip.dtype)

    def _scaled(self, span: Span, outer: Span) -> slice:
        """`span` as a slice of results that start where `outer` starts."""
        inner = span.within(outer)
        return slice(inner.start * self._scale, inner.stop * self._scale)


def _around(y: _Place, x: _Place) -> Iterator[tuple[Span, Span]]:
    """The rectangles (rows, columns) of a window outside the part that it alone reads; none of them is empty."""
    for rows, columns in (
        (Span(y.read.start, y.solo.start), x.read),
        (y.solo, Span(x.read.start, x.solo.start)),
        (y.solo, Span(x.solo.stop, x.read.stop)),
        (Span(y.solo.stop, y.read.stop), x.read),
    ):
        if len(rows) and len(columns):
            yield rows, columns


def merge_of(merge: str, plan: Planned, grid: int, side: int, layers: int) -> Merge:
    """The merge of that name for one picture: `grid` and `side` as `ModelSpec` has them, `layers` as `runtime.rows`.

    Raises `RequestError` for an unknown one, and where windows that are not the product of two axes would be blended.
    """
    if merge not in MERGES:
        raise RequestError(f"merge must be one of {', '.join(MERGES)}, got {merge!r}")
    if merge in ("crop", "naive"):
        return Crop(plan, grid, side)
    if not isinstance(plan, Plan):
        raise RequestError(f"{merge} blends equal windows only; use crop")
    return Blend(plan, grid, side, layers, merge)
