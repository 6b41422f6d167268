"""How much detail the parts of a picture have: its Laplacian over blocks.

ARM (Chen et al., ECCV 2022) takes the mean absolute Laplacian of the 8-bit grey picture, saturated at 255. The mean
square of the same Laplacian tells better what a wide network gains (`edgelift edge-table` prints both rank correlations),
since it is squared errors that PSNR counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.image import PEAK
from edgelift.runtime.rows import Rows, Source

__all__ = ["BLOCK", "EdgeScores", "edge_scores"]

BLOCK = 16
"""Side of a block in input pixels; those at the right and lower edge may be cut off."""
STRIP = 1 << 16
"""Pixels that are scored at once: their Laplacian stays in the cache."""
GREY = 4
"""Sum of the weights (1, 2, 1) of red, green and blue: near those of luma, and exact in small integers."""

WHITE = 255.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EdgeScores:
    """Of each block of a picture (rows × columns), in 8-bit levels."""

    absolute: Floats
    """Mean absolute Laplacian, each saturated at 255: the published score."""
    square: Floats
    """Mean squared Laplacian."""


def edge_scores(source: Source) -> EdgeScores:
    """The scores of a picture whose rows may be read again; of several layers (alpha) the greater counts."""
    blocks = (-(-source.height // BLOCK), -(-source.width // BLOCK))
    found = np.zeros((2, *blocks))
    unit = GREY * PEAK[source.dtype.name] / WHITE
    step = max(1, STRIP // (source.width * BLOCK)) * BLOCK
    for start in range(0, source.height, step):
        stop = min(start + step, source.height)
        above, below = max(0, start - 1), min(stop + 1, source.height)
        rows = source.rows(above, below)
        at = slice(start // BLOCK, -(-stop // BLOCK))
        for layer in rows:
            grey = _grey(layer, start == 0, stop == source.height)
            found[:, at] = np.maximum(found[:, at], _means(_laplacian(grey), unit))
    return EdgeScores(found[0], found[1])


def _grey(layer: Rows, first: bool, last: bool) -> NDArray[Any]:
    """`GREY` times the grey picture, int16 or float32, with one more pixel around: its own rows, and beyond it its last."""
    height, width, _ = layer.shape
    grey = np.empty((height + first + last, width + 2), np.int16 if layer.dtype == np.uint8 else np.float32)
    inner = grey[int(first) : int(first) + height, 1:-1]
    np.add(layer[:, :, 0], layer[:, :, 2], out=inner, dtype=grey.dtype)
    inner += layer[:, :, 1]
    inner += layer[:, :, 1]
    grey[:, 0], grey[:, -1] = grey[:, 1], grey[:, -2]
    if first:
        grey[0] = grey[1]
    if last:
        grey[-1] = grey[-2]
    return grey


def _laplacian(grey: NDArray[Any]) -> NDArray[Any]:
    """Second differences down and across: height - 2 × width - 2."""
    out = grey[:-2, 1:-1] + grey[2:, 1:-1]
    out += grey[1:-1, :-2]
    out += grey[1:-1, 2:]
    out -= 4 * grey[1:-1, 1:-1]
    return np.asarray(out)


def _means(laplacian: NDArray[Any], unit: float) -> Floats:
    """Absolute and squared means over blocks, 2 × rows × columns; `unit` is the value of one 8-bit level."""
    height, width = laplacian.shape
    size = np.abs(laplacian)
    down, across = np.arange(0, height, BLOCK), np.arange(0, width, BLOCK)
    pixels = np.minimum(BLOCK, height - down)[:, None] * np.minimum(BLOCK, width - across)
    kind = np.int32 if size.dtype == np.int16 else np.float64
    capped = np.minimum(size, size.dtype.type(255 * unit))
    square = np.square(size, dtype=np.float32)
    sums = [
        np.add.reduceat(np.add.reduceat(part, down, axis=0, dtype=here), across, axis=1)
        for part, here in ((capped, kind), (square, np.float32))
    ]
    return np.stack([sums[0] / (pixels * unit), sums[1] / (pixels * unit**2)])
