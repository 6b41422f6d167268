"""Of a picture, the little that is looked at: patches as they are, and the whole of it made small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.image import PEAK

__all__ = ["Sample", "sample_of"]

SIDE = 64
"""Of a patch; its place is a multiple of 8, as that of JPEG's blocks."""
ACROSS = 8
"""Patches in a row of them, and rows of them, at most."""
LONGEST = 384
"""Of the small picture's sides, about: small enough that noise and the traces of compression are mostly gone from it."""
DENSITY = 4
"""Rows and columns, of those that make one pixel of the small picture, that are read."""
LEAST = 16
"""Pixels that a side must have for patches to say anything."""


@dataclass(frozen=True)
class Sample:
    """What is looked at."""

    patches: NDArray[np.uint8]
    """N × side × side × 3; N is 0 for pictures that are too small."""
    small: NDArray[np.float32]
    """h × w × 3, levels 0 … 255."""


def sample_of(rows: Callable[[int, int], NDArray[Any]], height: int, width: int) -> Sample:
    """The sample of a picture whose rows `start` … `stop` - 1 are what `rows` gives (rows × width × 3), asked for from above."""
    side = min(SIDE, height // 8 * 8, width // 8 * 8)
    step = max(1, -(-max(height, width) // LONGEST))
    tops, lefts = (_places(n, side) if side >= LEAST else [] for n in (height, width))
    high = max(side, step) // step * step  # rows that are read at once: whole rows of the small picture
    patches: list[NDArray[np.uint8]] = []
    small: list[NDArray[np.float32]] = []
    held = np.empty((0, width, 3), np.uint8)
    begin = 0
    for start in range(0, height, high):
        strip = _levels(rows(start, min(start + high, height)))
        if len(strip) >= step or not small:
            small.append(_reduced(strip, step))
        held, begin = np.concatenate([held[-side:], strip]), start - min(len(held), side)
        while tops and tops[0] + side <= begin + len(held):
            top = tops.pop(0) - begin
            patches += [held[top : top + side, left : left + side] for left in lefts]
    shape = (0, LEAST, LEAST, 3)
    return Sample(np.stack(patches) if patches else np.empty(shape, np.uint8), np.concatenate(small))


def _places(length: int, side: int) -> list[int]:
    """Where patches begin: evenly spread multiples of 8; in small pictures they overlap rather than miss something."""
    count = min(ACROSS, -(-length // side))
    return sorted({int(at) // 8 * 8 for at in np.linspace(0, length - side, count)})


def _levels(rows: NDArray[Any]) -> NDArray[np.uint8]:
    if rows.dtype == np.uint8:
        return rows
    return np.asarray(np.rint(np.clip(rows.astype(np.float32) * (255 / PEAK[rows.dtype.name]), 0, 255)), np.uint8)


def _reduced(strip: NDArray[np.uint8], step: int) -> NDArray[np.float32]:
    """Means of `step` × `step` pixels, or of the `DENSITY` × `DENSITY` evenly spread ones among them."""
    count = min(step, DENSITY)
    places = [(2 * k + 1) * step // (2 * count) for k in range(count)]
    height, width = (max(1, side // step) for side in strip.shape[:2])
    rows = np.zeros((height, strip.shape[1], 3), np.uint16)
    for at in places:
        rows += strip[min(at, strip.shape[0] - 1) :: step][:height]
    both = np.zeros((height, width, 3), np.uint16)
    for at in places:
        both += rows[:, min(at, strip.shape[1] - 1) :: step][:, :width]
    return both.astype(np.float32) / np.float32(count * count)
