"""A picture with each region tinted by the variant that it went through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelift.core.image import PEAK
from edgelift.evaluate.files import ROUTE_MAP, write_png
from edgelift.io.pictures import open_picture
from edgelift.tiling.routes import Routes

__all__ = ["TINTS", "tinted", "write_map"]

TINTS = ((51, 102, 204), (0, 158, 115), (240, 200, 40), (213, 60, 20), (150, 40, 140))
"""From interpolation to the widest variant: cold to hot. Beyond them the last stands for all."""
STRENGTH = 0.4
"""Share of the tint; the rest is the picture in grey."""
LINE = 0.55
"""How bright the first row and column of each region are: a line between neighbours."""
LONGEST = 2048
"""Pixels that a side of the map has at most; of larger pictures every second, third … pixel is shown."""


def tinted(picture: NDArray[np.uint8], routes: Routes, step: int = 1) -> NDArray[np.uint8]:
    """`picture` (height × width × 3, every `step`-th pixel of the one that was routed) with its regions tinted."""
    grey = picture.astype(np.float32).mean(axis=2, keepdims=True)
    out = np.repeat(grey, 3, axis=2)
    for window in (window for row in routes.windows() for window in row):
        rows, columns = (
            slice(-(-keep.start // step), -(-keep.stop // step)) for keep in (window.keep_rows, window.keep_columns)
        )
        region = out[rows, columns]
        region *= 1 - STRENGTH
        region += STRENGTH * np.array(TINTS[min(window.variant, len(TINTS) - 1)], np.float32)
        region[:1] *= LINE
        region[1:, :1] *= LINE
    return np.asarray(np.rint(out).clip(0, 255), np.uint8)


def write_map(source: Path, routes: Routes, path: Path) -> None:
    """Write the map of the picture file `source` to `path` as PNG. Raises `InputError`, `OutputError`."""
    step = -(-max(routes.height, routes.width) // LONGEST)
    with open_picture(source) as reader:
        parts = []
        for start in range(0, reader.height, 64 * step):
            rows = reader.rows(start, min(start + 64 * step, reader.height))[0][::step, ::step]
            parts.append(np.asarray(rows * (255 / PEAK[rows.dtype.name])).astype(np.uint8))
    write_png(tinted(np.concatenate(parts), routes, step), path, called=ROUTE_MAP)
