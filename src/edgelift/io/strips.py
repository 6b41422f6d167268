"""Rows in order: what lets a reader be asked for overlapping strips while its decoder never steps back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from edgelift.io.vips import call

__all__ = ["HIDDEN_RADIUS", "Rows", "fill_hidden", "with_hidden_filled"]

Strip = NDArray[Any]
"""Rows × width × channels."""

HIDDEN_RADIUS = 8
"""How far, in pixels, visible colour is carried below fully transparent pixels."""

_SIGMA = 3.0
_OFFSETS = np.arange(-HIDDEN_RADIUS, HIDDEN_RADIUS + 1)
_WEIGHTS = np.exp(-0.5 * (_OFFSETS / _SIGMA) ** 2)


class Rows:
    """A window that slides down a picture over `produce(start, stop)`, which is asked for each row at most once."""

    def __init__(self, produce: Callable[[int, int], Strip]) -> None:
        self._produce = produce
        self._first = self._end = 0
        self._kept: Strip | None = None

    def get(self, start: int, stop: int) -> Strip:
        """Rows `start … stop - 1` as a view that must not be written to; neither bound may ever decrease."""
        if self._kept is None or start >= self._end:  # rows that nobody asked for are skipped
            self._kept = self._produce(start, stop)
        else:
            self._kept = self._kept[start - self._first :]
            if stop > self._end:
                self._kept = np.concatenate([self._kept, self._produce(self._end, stop)])
        self._first, self._end = start, max(stop, self._end)
        return self._kept[: stop - start]


def with_hidden_filled(rows: Rows, height: int) -> Rows:
    """`rows` (last channel alpha) of a picture of that height, as `fill_hidden` changes the whole picture.

    Of several pictures below each other each is changed by itself, if requests stay within one.
    """

    def produce(start: int, stop: int) -> Strip:
        first = start // height * height
        top, bottom = max(first, start - HIDDEN_RADIUS), min(first + height, stop + HIDDEN_RADIUS)
        return fill_hidden(rows.get(top, bottom))[start - top : stop - top]

    return Rows(produce)


def fill_hidden(pixels: Strip) -> Strip:
    """Replace the colour of fully transparent pixels by a mean of the visible colours at most 8 rows and columns away.

    What is stored there is often black, and would bleed into the visible edge when the picture is enlarged. The mean
    is weighted with alpha and a Gaussian; where nothing visible is near, the stored colour stays. `pixels` is
    rows × width × channels with alpha last, uint8 or uint16, and is not changed.
    """
    hidden = pixels[..., -1] == 0
    if not hidden.any() or hidden.all():
        return pixels
    rows, width, channels = pixels.shape
    kind = "uchar" if pixels.dtype == np.uint8 else "ushort"
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(pixels).data, width, rows, channels, kind)
    alpha = image[channels - 1]
    weighted = image.extract_band(0, n=channels - 1).cast("float") * alpha
    sums = call("convsep", weighted.bandjoin(alpha.cast("float")), [_WEIGHTS.tolist()], precision="float")
    weight = sums[channels - 1]
    mean = (sums.extract_band(0, n=channels - 1) / weight).rint().cast(kind).bandjoin(alpha)
    filled = ((alpha == 0) & (weight > 0)).ifthenelse(mean, image)
    return np.frombuffer(filled.write_to_memory(), pixels.dtype).reshape(pixels.shape)
