"""Putting results of windows into strips of the picture.

Engines give blocks: for each position of their grid a b × b square of pixels, one after the other in memory. Cutting the
halo away, the pixel shuffle and the placing are then one strided copy of runs of b pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.tiling.window import Window

__all__ = ["crop_into", "runs"]


def runs(strip: NDArray[Any], side: int) -> NDArray[np.void]:
    """A view of `strip` (rows × columns × 3, C order) as (grid row, row in block, grid column) of runs of `side` pixels."""
    rows, columns, colours = strip.shape
    run = np.dtype((np.void, side * colours * strip.itemsize))
    view = strip.reshape(rows // side, side, columns * colours).view(run)
    view.shape = (rows // side, side, columns // side)  # raises rather than copies
    return view


def crop_into(strip: NDArray[Any], blocks: NDArray[Any], window: Window, grid: int) -> None:
    """Place what `window` keeps of its result into `strip`, the rows of the picture that its row of windows keeps.

    `blocks`: (rows · grid, columns · grid, b, b, 3) of the window, C order. `strip`: (kept rows · grid · b,
    picture width · grid · b, 3), C order, of the same type.
    """
    side = blocks.shape[2]
    rows, columns = window.keep_rows.within(window.rows), window.keep_columns.within(window.columns)
    inner = blocks[rows.start * grid : rows.stop * grid, columns.start * grid : columns.stop * grid]
    run = np.dtype((np.void, side * blocks.shape[4] * blocks.itemsize))
    flat = inner.reshape(*inner.shape[:2], side, -1).view(run)[..., 0]
    target = runs(strip, side)[:, :, window.keep_columns.start * grid : window.keep_columns.stop * grid]
    target[...] = flat.transpose(0, 2, 1)
