"""What NIQE looks at in a picture: 36 numbers a block of 96 × 96, from the statistics of normalised luma at two scales.

Mittal, Soundararajan and Bovik, "Making a 'completely blind' image quality analyzer", IEEE Signal Processing Letters 20,
2013. The details are those of BasicSR, by which figures of super-resolution are mostly counted, and but for luma and
precision those of the authors' MATLAB program, which takes `rgb2gray` in 0 … 255 and counts in double precision:

- luma in 16 … 235 (ITU-R BT.601), in whole levels, and the picture cut to whole blocks from its top left corner;
- means and squares are held in single precision, so that a flat place is exactly 0, not a rounding error with a sign: how
  many samples are below and above 0 matters to the result;
- a neighbour beyond the edge of a block is taken from the block's other side;
- the half-size picture is the antialiased bicubic one, mirrored at its border.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.core.image import PEAK, Picture, check_image, luma

__all__ = ["BLOCK", "FEATURES", "WINDOW", "Aggd", "Blocks", "blocks_of", "fit_aggd", "half_size", "luma_levels"]

BLOCK = 96
"""Side of a block in pixels."""
FEATURES = 36
"""Numbers a block: 18 at each scale."""

_REACH = 3
_SIDE = np.exp(-(np.arange(-_REACH, _REACH + 1) ** 2) / (2 * (7 / 6) ** 2))
_SIDE /= _SIDE.sum()
WINDOW: NDArray[np.float64] = np.outer(_SIDE, _SIDE)
"""The 7 × 7 Gaussian, of standard deviation 7/6, under which mean and deviation are local."""

_HALF_TAPS, _HALF_UNIT = (111, 29, -9, -3), 256
"""The bicubic kernel (a = -0.5), widened twice, at 0.25, 0.75, 1.25 and 1.75: to both sides the weights of a half-size
sample. As whole numbers, since they are exact then, in any order."""

_NEIGHBOURS = ((1, 0), (0, 1), (0, 0), (0, 2))
"""Where a neighbour's picture begins in a block with a row above it and a column on both sides: left of a sample, above
it, above to the left, above to the right."""

Plane = NDArray[Any]
Table = NDArray[np.float64]


@dataclass(frozen=True)
class Blocks:
    """The blocks of one picture, row by row."""

    features: Table
    """Shape (blocks, 36). NaN where a block has no such number: a flat one, above all."""
    sharpness: Table
    """Shape (blocks,): the mean local deviation of luma, in levels."""


# -- luma


def luma_levels(picture: Picture) -> NDArray[np.uint8]:
    """Luma of `picture` in whole levels, H × W.

    `picture`: H × W × 3 RGB as `core.image.check_image` takes it, whose luma is in 16 … 235 (ITU-R BT.601); or H × W,
    which is luma already. 16 bits are brought to 8. Raises `RequestError` for other shapes and types, and for samples
    that are not finite.
    """
    if isinstance(picture, np.ndarray) and picture.ndim == 2:
        return _levels(check_image(picture[..., None].repeat(3, axis=2))[..., 0] * _unit(picture))
    picture = check_image(picture)
    levels = np.empty(picture.shape[:2], np.uint8)
    for start in range(0, len(picture), BLOCK):  # a strip at a time: luma itself takes eight bytes a sample
        strip = picture[start : start + BLOCK]
        levels[start : start + BLOCK] = _levels(luma(strip if strip.dtype == np.uint8 else strip * _unit(strip)))
    return levels


def _unit(picture: Picture) -> float:
    return 255.0 / PEAK[picture.dtype.name]


def _levels(samples: NDArray[Any]) -> NDArray[np.uint8]:
    if not np.isfinite(samples).all():
        raise RequestError("the picture holds samples that are not finite; NIQE takes numbers from 0 to 255")
    return np.asarray(np.rint(samples).clip(0, 255), np.uint8)


# -- from a plane to features


def blocks_of(levels: NDArray[np.uint8], *, threads: int | None = None) -> Blocks:
    """Features and sharpness of all whole blocks of `levels` (H × W); there may be none.

    `threads`: how many rows of blocks are counted at once; all cores where none is given.
    """
    rows, columns = (side // BLOCK for side in levels.shape)
    if rows * columns == 0:
        return Blocks(np.empty((0, FEATURES)), np.empty(0))
    levels = levels[: rows * BLOCK, : columns * BLOCK]
    smaller = half_size(levels)

    def one(row: int) -> tuple[Table, Table]:
        fine, sharpness = _row_of_blocks(levels, row, BLOCK)
        coarse, _ = _row_of_blocks(smaller, row, BLOCK // 2)
        return np.concatenate([fine, coarse], axis=1), sharpness

    _table()  # before there are threads, which would all make it
    with ThreadPoolExecutor(threads or os.cpu_count(), "edgelift-niqe") as pool:
        found = list(pool.map(one, range(rows)))
    return Blocks(np.concatenate([features for features, _ in found]), np.concatenate([sharp for _, sharp in found]))


def half_size(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`levels`, whose sides are even, half as large: antialiased bicubic, mirrored at the border, not rounded."""
    plane = _halved(levels.astype(np.int32))
    return (_halved(plane.T).T / np.float32(_HALF_UNIT**2)).astype(np.float32)


def _halved(plane: NDArray[np.int32]) -> NDArray[np.int32]:
    """`plane` with half the rows, times `_HALF_UNIT`."""
    count, reach = len(plane) // 2, len(_HALF_TAPS)
    padded = np.pad(plane, ((reach - 1, reach - 1), (0, 0)), mode="symmetric")
    out = np.zeros((count, plane.shape[1]), np.int32)
    for k, tap in enumerate(_HALF_TAPS):
        above, below = padded[reach - 1 - k :: 2][:count], padded[reach + k :: 2][:count]
        out += (above + below) * np.int32(tap)
    return out


def _row_of_blocks(plane: Plane, row: int, side: int) -> tuple[Table, Table]:
    """The 18 features (blocks × 18) and the sharpness of the blocks whose sides are `side` in that row of blocks."""
    normal, deviation = _normalised(plane, row * side, side)
    blocks = np.ascontiguousarray(normal.reshape(side, -1, side).swapaxes(0, 1))
    sharpness = deviation.reshape(side, -1, side).mean(axis=(0, 2), dtype=np.float64)
    wide = np.pad(blocks, ((0, 0), (1, 0), (1, 1)), mode="wrap")
    one = fit_aggd(blocks)
    features = [one.shape, (one.left + one.right) / 2]
    for top, start in _NEIGHBOURS:
        pair = fit_aggd(blocks * wide[:, top : top + side, start : start + side])
        features += [pair.shape, pair.mean, pair.left, pair.right]
    return np.stack(features, axis=1), sharpness


def _normalised(plane: Plane, start: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Equation 1: rows `start` … less their local mean, over the local deviation + 1; and that deviation."""
    rows = np.arange(start - _REACH, start + count + _REACH).clip(0, len(plane) - 1)
    samples = np.pad(plane[rows].astype(np.float32), ((0, 0), (_REACH, _REACH)), mode="edge")
    mean = _blurred(samples)
    deviation = np.sqrt(np.abs(_blurred(samples * samples) - mean * mean))
    return (samples[_REACH:-_REACH, _REACH:-_REACH] - mean) / (deviation + 1), deviation


def _blurred(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean under `WINDOW`, without the outermost 3 samples; summed in double precision."""
    return _summed(_summed(samples.astype(np.float64), 0), 1).astype(np.float32)


def _summed(samples: Table, axis: int) -> Table:
    count = samples.shape[axis] - 2 * _REACH

    def part(start: int) -> Table:
        return samples[start : start + count] if axis == 0 else samples[:, start : start + count]

    total = part(_REACH) * _SIDE[_REACH]
    for k in range(_REACH):
        pair = part(k) + part(2 * _REACH - k)
        pair *= _SIDE[k]
        total += pair
    return np.asarray(total)


# -- the asymmetric generalised Gaussian


@dataclass(frozen=True)
class _Shapes:
    """The shapes a that a fit may give, 0.2 to 10, and what depends on nothing else."""

    shape: Table
    ratio: Table
    """(mean of the absolute values)² / mean of the squares, increasing."""
    scale: Table
    """Scale over deviation: sqrt(Γ(1/a) / Γ(3/a))."""
    mean: Table
    """Mean over the difference of the scales: Γ(2/a) / Γ(1/a)."""


@cache
def _table() -> _Shapes:
    shape = np.asarray(0.2 + 0.001 * np.arange(9801), np.float64)
    one, two, three = (np.array([math.gamma(k / a) for a in shape]) for k in (1.0, 2.0, 3.0))
    return _Shapes(shape, two * two / (one * three), np.sqrt(one / three), two / one)


@dataclass(frozen=True)
class Aggd:
    """Asymmetric generalised Gaussians, one for each block (equation 4)."""

    shape: Table
    left: Table
    """Scale below 0."""
    right: Table
    """Scale above 0."""
    mean: Table
    """Equation 8."""


def fit_aggd(blocks: NDArray[np.float32]) -> Aggd:
    """The distribution of each of `blocks` (blocks × height × width), by matching moments (Lasmar et al. 2009).

    A block without values on both sides of 0 has no scales, which are NaN then; its shape is the smallest there is, as in
    the authors' program.
    """
    count = blocks.shape[1] * blocks.shape[2]
    above = np.maximum(blocks, 0)
    below = blocks - above
    squares_above, squares_below = _squares(above), _squares(below)
    absolute = (_sums(above) - _sums(below)) / count
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.sqrt(squares_below / _counts(blocks < 0))
        right = np.sqrt(squares_above / _counts(blocks > 0))
        skew = left / right
        ratio = absolute**2 / ((squares_above + squares_below) / count)
        ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    table = _table()
    at = _lookup(ratio)
    left, right = left * table.scale[at], right * table.scale[at]
    return Aggd(table.shape[at], left, right, (right - left) * table.mean[at])


def _lookup(ratio: Table) -> NDArray[np.intp]:
    """The places in the table whose ratios are nearest; the first for NaN."""
    known = _table().ratio
    upper = np.searchsorted(known, ratio).clip(1, len(known) - 1)
    nearer_below = ratio - known[upper - 1] <= known[upper] - ratio
    return np.where(np.isnan(ratio), 0, upper - nearer_below)


def _squares(blocks: NDArray[np.float32]) -> Table:
    return np.asarray(np.einsum("nij,nij->ni", blocks, blocks).sum(axis=1, dtype=np.float64))


def _sums(blocks: NDArray[np.float32]) -> Table:
    return np.asarray(np.einsum("nij->ni", blocks).sum(axis=1, dtype=np.float64))


def _counts(holds: NDArray[np.bool_]) -> Table:
    """How many are true in each block."""
    return np.asarray(holds.sum(axis=(1, 2), dtype=np.uint32), np.float64)
