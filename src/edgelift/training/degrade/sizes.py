"""Resizing as degradations do it: by area, or by bilinear and bicubic interpolation that does not guard against aliasing,
as most programs have it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgelift.core.resize import Taps, taps

__all__ = ["as_matrix", "fast_length", "side_of", "taps_of"]


def side_of(side: int, share: float) -> int:
    """`share` of a side, at least 1 pixel."""
    return max(1, round(side * share))


def taps_of(length_in: int, length_out: int, method: str) -> Taps:
    """The taps of one axis by `area`, `bilinear` or `bicubic`."""
    return _area(length_in, length_out) if method == "area" else taps(length_in, length_out, method, antialias=False)


def _area(length_in: int, length_out: int) -> Taps:
    """Means over all source samples that a sample of the result covers, wholly or in part, each counted alike."""
    edges = np.arange(length_out + 1) * length_in
    first, last = edges[:-1] // length_out, -(-edges[1:] // length_out)
    count = last - first
    steps = np.arange(int(count.max()))
    index = np.minimum(first[:, None] + steps, length_in - 1).astype(np.intp)
    return Taps(index, ((steps < count[:, None]) / count[:, None]).astype(np.float32))


def as_matrix(along: Taps, length_in: int) -> NDArray[np.float32]:
    """The same as a matrix, length out × length in."""
    matrix = np.zeros((len(along.index), length_in), np.float32)
    np.add.at(matrix, (np.arange(len(along.index))[:, None], along.index), along.weight)
    return matrix


def fast_length(least: int) -> int:
    """The next length of at least `least` whose Fourier transform is quick: no prime factors but 2, 3 and 5."""
    length = least
    while not _is_smooth(length):
        length += 1
    return length


def _is_smooth(length: int) -> bool:
    for prime in (2, 3, 5):
        while length % prime == 0:
            length //= prime
    return length == 1
