"""All that a picture's time can buy: for several cuts into rows, and for each worth of a second, the best windows.

Rows, lengths of windows and variants are chosen together, on measured prices (`tiling.routes`). What depends on the
engine's state comes on top: the first window of a shape costs more than those that follow it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edgelift.runtime.anytime.scores import BLOCK
from edgelift.tiling.cost import CostModel
from edgelift.tiling.routes import Layout, Routed, Solution, layouts, placed, solve

__all__ = ["CELL", "Ways", "mixed", "ways"]

CELL = 2 * BLOCK
"""Length of a cell in input pixels: the least that a window keeps of a row."""
LENGTHS = (1, 4, 8, 16)
"""Of windows, in cells, beside the whole row. Few, because engines prepare each new shape once."""
MOST_PIXELS = 1 << 18
"""Of a window: larger ones fall out of caches, where narrow variants take half as long again, and take memory."""
STRIP_PIXELS = 1 << 19
"""Of what a row of windows keeps: strips of the result stay small however large the picture is."""
WORTHS = np.geomspace(2e-3, 1e2, 32)
"""What a second is worth, in shares of the widest variant's error for its whole time."""
CALL = 1.2e-4
"""Seconds of a window beside its engine's price: it is cut, its blocks are placed."""
FINER = 12
"""Worths beyond the one that all rows can afford that single rows are tried with."""
NEVER = 1e9
"""Seconds of a window that must not be taken."""

Floats = NDArray[np.float64]
Shape = tuple[int, int, int]
"""Variant, height and width of windows."""


@dataclass(frozen=True)
class Ways:
    """What `ways` found. Errors are sums of squared errors, relative to the whole picture through the widest variant."""

    height: int
    width: int
    halo: int
    layouts: tuple[Layout, ...]
    lengths: tuple[int, ...]
    """Of windows, in cells."""
    solution: Solution
    """Of the rows of all layouts, one after the other."""
    spans: tuple[slice, ...]
    """The rows of each layout in it."""
    widest: float
    """Predicted sum of squared errors of the widest variant."""

    def errors(self) -> Floats:
        """Predicted, worths × layouts."""
        return np.stack([self.solution.errors[:, span].sum(axis=1) for span in self.spans], 1) / self.widest

    def spent(self) -> Floats:
        """Predicted seconds of warm windows, worths × layouts × variants."""
        return np.stack([self.solution.spent[:, span].sum(axis=1) for span in self.spans], 1)

    def used(self) -> NDArray[np.bool_]:
        """Whether each of the `shapes` of a layout occurs: worths × layouts × shapes."""
        taken = [(self.solution.counts[:, span] > 0).any(axis=1).reshape(len(WORTHS), -1) for span in self.spans]
        return np.stack(taken, 1)

    def shapes(self, layout: int) -> list[Shape]:
        """The shapes of windows that a layout may have."""
        variants, tall = range(self.solution.counts.shape[2]), self.layouts[layout].tall
        return [(v, tall, self.long(n)) for v in variants for n in self.lengths]

    def long(self, cells: int) -> int:
        """Width in pixels of a window that keeps so many cells."""
        return min(cells * CELL + 2 * self.halo, self.width)

    def row(self, layout: int, worth: int, row: int) -> tuple[Routed, ...]:
        """The windows of a row of that layout."""
        pieces = self.solution.pieces(worth, self.spans[layout].start + row)
        return placed(pieces, self.lengths, CELL, self.halo, self.width)


def ways(height: int, width: int, halo: int, errors: Floats, model: CostModel, layers: int = 1) -> Ways:
    """Solve a picture of that size.

    `errors`: predicted squared error of a sample of each block, variants (interpolation first) × rows × columns. `halo`:
    input pixels around what a window keeps. `layers` of the picture run each window as a batch.
    """
    cut = layouts(height, width, halo, STRIP_PIXELS)
    whole = -(-width // CELL)
    lengths = (*(n for n in LENGTHS if n < whole), whole)
    sums = _cells(errors, height, width)
    parts = [_rows(sums, layout) for layout in cut]
    seconds = np.concatenate([_seconds(layout, lengths, halo, width, model, len(errors), layers) for layout in cut])
    stacked = np.concatenate(parts, axis=1)
    widest = float(max(parts[0][-1].sum(), 1e-9))
    price = float(model.seconds_of(min(height * width, MOST_PIXELS), layers, len(errors) - 1))
    full = price * max(1.0, height * width / MOST_PIXELS)
    ends = np.cumsum([0, *(len(layout.rows) for layout in cut)]).tolist()
    spans = tuple(slice(a, b) for a, b in pairwise(ends))
    solution = solve(stacked, seconds, lengths, list(WORTHS * widest / full))
    return Ways(height, width, halo, tuple(cut), lengths, solution, spans, widest)


def mixed(seconds: Floats, errors: Floats, limit: float) -> NDArray[np.int64]:
    """A worth for each row so that all take at most `limit` seconds, with little error; the quickest where none does.

    Both are worths × rows. One worth for all rows leaves time over where many regions are alike, since they change their
    variant at once: what is left makes single rows better, the best bargains first.
    """
    totals = seconds.sum(axis=1)
    fits = np.flatnonzero(totals <= limit)
    base = int(fits[0]) if len(fits) else int(totals.argmin())
    chosen = np.full(seconds.shape[1], base)
    left = limit - float(totals[base])
    rows = np.arange(seconds.shape[1])
    for better in range(base - 1, max(-1, base - 1 - FINER), -1):
        if left <= 0:
            break
        extra = seconds[better] - seconds[chosen, rows]
        gain = errors[chosen, rows] - errors[better]
        for row in np.argsort(-gain / np.maximum(extra, 1e-12), kind="stable"):
            if gain[row] > 0 and extra[row] <= left:
                chosen[row] = better
                left -= float(extra[row])
    return chosen


def _cells(errors: Floats, height: int, width: int) -> Floats:
    """Sums of squared errors over blocks' rows and cells' columns, variants × rows × columns."""
    down = np.minimum(BLOCK, height - BLOCK * np.arange(errors.shape[1]))
    across = np.minimum(BLOCK, width - BLOCK * np.arange(errors.shape[2]))
    total = errors * down[:, None] * across
    return np.asarray(np.add.reduceat(total, np.arange(0, total.shape[2], CELL // BLOCK), axis=2))


def _rows(sums: Floats, layout: Layout) -> Floats:
    """`sums` over what each row of windows keeps; a block that two rows share is divided between them."""
    before = np.concatenate([np.zeros_like(sums[:, :1]), np.cumsum(sums, axis=1)], axis=1)
    edges = np.array([0, *(keep.stop for _, keep in layout.rows)])
    low = np.minimum(edges // BLOCK, before.shape[1] - 2)
    tall = np.minimum(BLOCK, edges[-1] - BLOCK * low)  # of a block: the last may be cut off
    part = ((edges - BLOCK * low) / tall)[:, None]
    at = before[:, low] * (1 - part) + before[:, low + 1] * part
    return np.asarray(np.diff(at, axis=1))


def _seconds(
    layout: Layout, lengths: Iterable[int], halo: int, width: int, model: CostModel, variants: int, layers: int
) -> Floats:
    """Of a window, rows × variants × lengths."""
    areas = np.array([layout.tall * min(n * CELL + 2 * halo, width) for n in lengths])
    table = CALL + np.stack([model.seconds_of(areas, layers, variant) for variant in range(variants)])
    table[:, 1:][:, areas[1:] > MOST_PIXELS] = NEVER  # the shortest may always be taken
    return np.broadcast_to(table, (len(layout.rows), *table.shape))
