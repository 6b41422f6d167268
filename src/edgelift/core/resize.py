"""Interpolation as MATLAB's `imresize` does it, the resize behind the published super-resolution benchmarks.

A pixel's centre lies at k + 0.5. When a picture gets smaller the kernel is stretched by the reduction, so that it also
removes what the smaller grid cannot hold (antialiasing). Beyond the border the outermost pixel is repeated, and integer
pictures are rounded after each axis: both as in the files of the published benchmarks, which are met to the bit.
Kernels: cubic convolution with a = -0.5 (Keys 1981), triangle, Lanczos with three lobes, nearest neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edgelift.core.errors import RequestError
from edgelift.core.image import Picture, round_to

__all__ = ["KERNELS", "Resizer", "Taps", "apply_taps", "resize", "taps"]

Weights = NDArray[np.float64]

BLOCK = 1 << 17
"""Samples that are summed up together: their sums and one tap's products fit a core's cache."""


def _cubic(x: Weights) -> Weights:
    x = np.abs(x)
    inner = (1.5 * x - 2.5) * x * x + 1.0
    outer = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x <= 1, inner, np.where(x <= 2, outer, 0.0))


def _triangle(x: Weights) -> Weights:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _lanczos3(x: Weights) -> Weights:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


def _box(x: Weights) -> Weights:
    return np.where((x >= -0.5) & (x < 0.5), 1.0, 0.0)


KERNELS: dict[str, tuple[Callable[[Weights], Weights], float]] = {
    "nearest": (_box, 1.0),
    "bilinear": (_triangle, 2.0),
    "bicubic": (_cubic, 4.0),
    "lanczos": (_lanczos3, 6.0),
}
"""Name of the interpolation -> its kernel and the kernel's width in source pixels."""


@dataclass(frozen=True)
class Taps:
    """Which source samples, with which weights, make each sample along one axis."""

    index: NDArray[np.intp]
    """Source positions, shape (length out, taps), already held inside 0 … length in - 1."""
    weight: NDArray[np.float32]
    """Weights of the same shape; each row sums to 1."""

    def reach(self, start: int, stop: int) -> tuple[int, int]:
        """The half-open source range that the samples `start` … `stop` - 1 read."""
        rows = self.index[start:stop]
        return int(rows.min()), int(rows.max()) + 1

    def part(self, start: int, stop: int) -> Taps:
        """The taps of the samples `start` … `stop` - 1."""
        return Taps(self.index[start:stop], self.weight[start:stop])


def taps(length_in: int, length_out: int, kernel: str = "bicubic", *, antialias: bool = True) -> Taps:
    """The taps that turn `length_in` samples into `length_out`; the two ends of the grids coincide.

    `antialias` widens the kernel when the picture gets smaller (never for `nearest`, as in MATLAB).
    """
    if kernel not in KERNELS:
        raise RequestError(f"no interpolation is called {kernel!r}; choose from {', '.join(KERNELS)}")
    if length_in < 1 or length_out < 1:
        raise RequestError(f"a picture side must be at least 1 pixel, got {length_in} -> {length_out}")
    function, width = KERNELS[kernel]
    scale = length_out / length_in
    stretch = scale if scale < 1 and antialias and kernel != "nearest" else 1.0
    width /= stretch
    centre = (np.arange(length_out) + 0.5) / scale - 0.5
    count = math.ceil(width) + 2
    index = np.floor(centre - width / 2)[:, None].astype(np.intp) + np.arange(count)
    weight = function((centre[:, None] - index) * stretch)
    weight /= weight.sum(axis=1, keepdims=True)
    used = np.any(weight != 0, axis=0)
    return Taps(np.clip(index[:, used], 0, length_in - 1), weight[:, used].astype(np.float32))


def apply_taps(image: NDArray[Any], along: Taps, axis: int, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """`image` (float32 or integer; axes: height, width, …) resampled along `axis`, 0 or 1, by `along`.

    The sums are float32; another `dtype` gets them rounded to its range. Block by block, so that they stay in the cache.
    """
    dtype = np.dtype(dtype)
    shape = list(image.shape)
    shape[axis] = len(along.index)
    out = np.empty(shape, dtype)
    lines, done = image.reshape(len(image), -1), out.reshape(len(out), -1)
    if axis == 0:
        step = max(1, BLOCK // max(1, lines.shape[1]))
        for start in range(0, len(done), step):
            done[start : start + step] = _kept(_sums(lines, along.part(start, start + step)), dtype)
        return out
    step = max(1, BLOCK // max(1, lines.shape[1], done.shape[1]))
    for start in range(0, len(lines), step):
        columns = np.ascontiguousarray(lines[start : start + step].T, np.float32)  # so that each tap reads long runs
        sums = _kept(_sums(columns.reshape(image.shape[1], -1), along), dtype)
        done[start : start + step] = sums.reshape(-1, columns.shape[1]).T
    return out


def _sums(lines: NDArray[Any], along: Taps) -> NDArray[np.float32]:
    """The first axis of `lines` (two axes) resampled; the taps are added in their order."""
    first, last = along.reach(0, len(along.index))
    lines = np.ascontiguousarray(lines[first:last], np.float32)
    out = np.zeros((len(along.index), lines.shape[1]), np.float32)
    tap = np.empty_like(out)
    for k in range(along.index.shape[1]):
        np.take(lines, along.index[:, k] - first, axis=0, out=tap, mode="clip")  # of three modes the one without a copy
        tap *= along.weight[:, k, None]
        out += tap
    return out


def _kept(sums: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    return sums if dtype == sums.dtype else round_to(sums, dtype)


class Resizer:
    """Resizes a picture of one size to another, strip by strip: any strip is what the whole result has there.

    The axis that shrinks more goes first, as in MATLAB; integer pictures are rounded after each axis.
    """

    def __init__(
        self, size_in: tuple[int, int], size_out: tuple[int, int], kernel: str = "bicubic", *, antialias: bool = True
    ) -> None:
        self._rows, self._columns = (
            taps(n_in, n_out, kernel, antialias=antialias) for n_in, n_out in zip(size_in, size_out, strict=True)
        )
        self._columns_first = size_out[1] / size_in[1] < size_out[0] / size_in[0]

    def reach(self, start: int, stop: int) -> tuple[int, int]:
        """The half-open range of source rows that the result's rows `start` … `stop` - 1 need."""
        return self._rows.reach(start, stop)

    def strip(self, rows: NDArray[Any], start: int, stop: int) -> Picture:
        """The result's rows `start` … `stop` - 1 from the source rows that `reach` names (axes: height, width, …)."""
        first = self.reach(start, stop)[0]
        vertical = Taps(self._rows.index[start:stop] - first, self._rows.weight[start:stop])
        steps = [(vertical, 0), (self._columns, 1)]
        dtype = rows.dtype
        for along, axis in reversed(steps) if self._columns_first else steps:
            rows = apply_taps(rows, along, axis, np.float32 if dtype.kind == "f" else dtype)
        return round_to(rows, dtype) if dtype.kind == "f" else rows


def resize(image: Picture, height: int, width: int, kernel: str = "bicubic", *, antialias: bool = True) -> Picture:
    """`image` (H × W × C or H × W; any type of `core.image`) with `height` × `width` pixels, in the type that came."""
    resizer = Resizer((image.shape[0], image.shape[1]), (height, width), kernel, antialias=antialias)
    first, last = resizer.reach(0, height)
    return resizer.strip(image[first:last], 0, height)
