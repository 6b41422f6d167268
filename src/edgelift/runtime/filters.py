"""Sharpening filters for the end of the line: `edge`, `sharpen` and `unsharp`, as Pillow's filters of these names.

On 8 bits they are Pillow's EDGE_ENHANCE, SHARPEN and UnsharpMask to the bit; on 16 bits the same on that scale, and on
floats the same without rounding. They work on colours only: alpha passes through.

A filter needs some rows above and below those that it fills. `Filtered` keeps them between strips, so that the result
does not depend on where strips are cut.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.core.image import PEAK
from edgelift.runtime.rows import Rows, Target

__all__ = ["FILTERS", "Filter", "Filtered", "Kernel", "Unsharp", "filtered", "parse_filter"]

FILTERS = ("edge", "sharpen", "unsharp[:radius,percent,threshold]")
SAMPLES = 1 << 16
"""Samples that are worked on at once: what a step leaves is still in the cache for the next."""
MAX_RADIUS = 100.0
MAX_PERCENT = 1000

_TYPES: dict[str, tuple[Any, Any, Any]] = {
    "uint8": (np.int16, np.uint32, np.float32),
    "uint16": (np.int32, np.uint64, np.float64),
    "float32": (np.float32, np.float32, np.float32),
}
"""What holds, for each sample type: sums of a 3 × 3 kernel; a sample times 2^24; a sample times a percentage."""


class Filter(Protocol):
    """What turns pixels into sharper ones of the same type."""

    @property
    def reach(self) -> int:
        """How many rows above and below a row its result depends on."""

    def fill(self, out: NDArray[Any], rows: NDArray[Any], start: int) -> None:
        """Fill `out` with the result for the rows from `start` of `rows`, both rows × width × 3 and of one type.

        `rows` hold `reach` rows above and below those filled, or end where the picture does.
        """


def _slices(count: int, size: int) -> list[slice]:
    """`count` lines of `size` samples in groups that fit the cache."""
    step = max(1, SAMPLES // max(1, size))
    return [slice(k, min(k + step, count)) for k in range(0, count, step)]


# -- three by three


@dataclass(frozen=True)
class Kernel:
    """(`centre` · pixel - the sum of the 3 × 3 pixels around and including it) / 2^`shift`, rounded half up.

    The outermost pixels of the picture stay as they are.
    """

    centre: int
    shift: int
    reach: int = 1

    def fill(self, out: NDArray[Any], rows: NDArray[Any], start: int) -> None:
        """See `Filter.fill`."""
        if out.shape[1] < 3:
            out[...] = rows[start : start + len(out)]
            return
        for at in _slices(len(out), out.shape[1] * 3):
            self._block(out[at], rows, start + at.start)

    def _block(self, out: NDArray[Any], rows: NDArray[Any], start: int) -> None:
        out[...] = rows[start : start + len(out)]  # for the border
        low, high = max(start, 1), min(start + len(out), len(rows) - 1)
        if low >= high:
            return
        wide = rows[low - 1 : high + 1].astype(_TYPES[rows.dtype.name][0]).reshape(high - low + 2, -1)
        around = wide[:-2] + wide[1:-1]
        around += wide[2:]
        result = wide[1:-1, 3:-3]
        result *= self.centre
        for left in (0, 3, 6):
            result -= around[:, left : left + result.shape[1]]
        self._scale(result, PEAK[rows.dtype.name])
        np.copyto(out[low - start : high - start, 1:-1], result.reshape(high - low, -1, 3), casting="unsafe")

    def _scale(self, result: NDArray[Any], peak: float) -> None:
        if result.dtype.kind == "f":
            result *= result.dtype.type(0.5**self.shift)
        else:
            result += 1 << self.shift >> 1
            result >>= self.shift
        np.clip(result, 0, result.dtype.type(peak), out=result)


# -- unsharp masking


@dataclass(frozen=True)
class Unsharp:
    """Adds `percent` % of the difference to a blurred copy wherever it is above `threshold`, in levels of 255.

    The blur is a Gaussian of standard deviation `radius` pixels, made of three extended box blurs (Gwosdek et al. 2011,
    equations 7 and 11 to 14), each rounded; beyond the border the outermost pixel is repeated, each time anew.
    """

    radius: float = 2.0
    percent: int = 150
    threshold: int = 3

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("radius", self.radius, 0.0, MAX_RADIUS),
            ("percent", self.percent, 0, MAX_PERCENT),
            ("threshold", self.threshold, 0, 255),
        ):
            if not low <= value <= high:
                raise RequestError(f"unsharp takes a {name} from {low:g} to {high:g}, got {value:g}")

    @cached_property
    def _box(self) -> tuple[int, np.float32]:
        """Whole pixels on each side of a box, and the box's length; in single precision, as Pillow counts."""
        variance = np.float32(self.radius) * np.float32(self.radius) / np.float32(3)
        length = np.float32(math.sqrt(12.0 * float(variance) + 1.0))
        whole = np.float32(math.floor((float(length) - 1.0) / 2.0))
        part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance)
        part /= 6 * (variance - (whole + 1) * (whole + 1))
        return int(whole + part), np.float32((whole + part) * 2 + 1)

    @property
    def reach(self) -> int:
        """See `Filter.reach`."""
        return 3 * (self._box[0] + 1)

    def fill(self, out: NDArray[Any], rows: NDArray[Any], start: int) -> None:
        """See `Filter.fill`."""
        first = max(0, start - self.reach)
        samples = rows[first : start + len(out) + self.reach].reshape(-1, out.shape[1] * 3)
        level = np.empty_like(samples)
        for at in _slices(*samples.shape):
            level[at] = self._blur_thrice(samples[at].T, 3).T
        inner = slice(start - first, start - first + len(out))
        target = out.reshape(len(out), -1)
        for at in _slices(*reversed(samples.shape)):
            blurred = self._blur_thrice(level[:, at], 1)
            self._sharpen(target[:, at], samples[inner, at], blurred[inner])

    def _sharpen(self, out: NDArray[Any], samples: NDArray[Any], blurred: NDArray[Any]) -> None:
        kind = samples.dtype.name
        real = _TYPES[kind][2]
        change = samples.astype(real)
        change -= blurred
        change *= np.abs(change) > self.threshold * PEAK[kind] / 255
        change *= self.percent
        change /= 100
        if kind != "float32":
            np.trunc(change, out=change)
        change += samples
        np.clip(change, 0, real(PEAK[kind]), out=change)
        np.copyto(out, change, casting="unsafe")

    def _blur_thrice(self, lines: NDArray[Any], apart: int) -> NDArray[Any]:
        lines = lines.astype(_TYPES[lines.dtype.name][1])
        for _ in range(3):
            lines = self._blur(lines, apart)
        return lines

    def _blur(self, lines: NDArray[Any], apart: int) -> NDArray[Any]:
        """One box blur along the first axis, where neighbours in the picture are `apart`."""
        whole, length = self._box
        count, ends = len(lines), (whole + 1, 1)
        padded = np.concatenate([np.tile(lines[:apart], ends), lines, np.tile(lines[-apart:], ends)])
        far = padded[:count] + padded[2 * (whole + 1) * apart :]
        near = _running(padded[apart : len(padded) - apart], 2 * whole + 1, apart)
        if lines.dtype.kind == "f":
            weight = 1 / length
            near *= weight
            far *= (1 - (2 * whole + 1) * weight) / 2
            near += far
            return near
        unit = 1 << 24
        share = int(np.float32(unit) / length)
        near *= lines.dtype.type(share)
        far *= lines.dtype.type((unit - (2 * whole + 1) * share) // 2)
        near += far
        near += lines.dtype.type(unit // 2)
        near >>= lines.dtype.type(24)
        return near


def _running(lines: NDArray[Any], count: int, apart: int) -> NDArray[Any]:
    """Sums of `count` neighbours, `apart` each, along the first axis; by doubling, so that equal places of different
    arrays add floats in the same order."""
    length = len(lines) - (count - 1) * apart
    total, power, size, offset = None, lines, 1, 0
    while True:
        if count & size:
            part = power[offset * apart : offset * apart + length]
            total = part.copy("K") if total is None else np.add(total, part, out=total)
            offset += size
        if offset == count:
            return total  # type: ignore[return-value]  # count is at least 1
        power = power[: -size * apart] + power[size * apart :]
        size *= 2


# -- strips


class Filtered:
    """A `Target` that sharpens what it is given, and hands it on to another one.

    `shape` (layers, height, width) and `dtype` are those of the result. Strips may be asked for ahead; they are to be
    done in order.
    """

    def __init__(self, sharpen: Filter, target: Target, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
        self._filter, self._target, self._dtype = sharpen, target, dtype
        self._layers, self._height, self._width = shape
        self._rooms: deque[tuple[int, Rows]] = deque()
        self._last: Rows | None = None
        self._done = 0

    def room(self, start: int, stop: int) -> Rows:
        """Fresh memory, which has room for the rows needed above."""
        before = min(start, 2 * self._filter.reach)
        buffer = np.empty((self._layers, before + stop - start, self._width, 3), self._dtype)
        self._rooms.append((start, buffer))
        return buffer[:, before:]

    def done(self, strip: Rows) -> None:
        """Filter and hand on all rows whose surroundings are there."""
        start, buffer = self._rooms.popleft()
        before, stop = buffer.shape[1] - strip.shape[1], start + strip.shape[1]
        if self._last is not None:
            buffer[:, :before] = self._last[:, self._last.shape[1] - before :]
        self._last = buffer
        ready = stop if stop == self._height else max(self._done, stop - self._filter.reach)
        if ready > self._done:
            at = self._done - (start - before)
            out = self._target.room(self._done, ready)
            self._filter.fill(out[0], buffer[0], at)
            out[1:] = buffer[1:, at : at + ready - self._done]
            self._target.done(out)
            self._done = ready


# -- by name


def parse_filter(text: str | None) -> Filter | None:
    """The filter that `text` names (see `FILTERS`), or None for None and "none".

    Raises `RequestError` for another name, and for values that the filter cannot have.
    """
    if text is None or text == "none":
        return None
    name, colon, values = text.partition(":")
    if name == "unsharp":
        return _unsharp(values) if colon else Unsharp()
    if text in _KERNELS:
        return _KERNELS[text]
    raise RequestError(f"filter must be none, {', '.join(FILTERS)}, got {text!r}")


_KERNELS = {"edge": Kernel(11, 1), "sharpen": Kernel(17, 3)}


def _unsharp(values: str) -> Unsharp:
    parts = values.split(",")
    try:
        return Unsharp(float(parts[0]), *(int(part) for part in parts[1:]))
    except (ValueError, TypeError) as exc:
        if isinstance(exc, RequestError):
            raise
        raise RequestError(
            f"unsharp takes radius,percent,threshold such as unsharp:2,150,3 (the last two whole), got {values!r}"
        ) from exc


def filtered(sharpen: Filter | None, target: Target, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> Target:
    """`target` behind that filter; see `Filtered`."""
    return target if sharpen is None else Filtered(sharpen, target, shape, dtype)
