"""What a report shows of the pictures: parts of a few, and the places where the models are furthest from the truth.

A `Gallery` looks at each picture while it is measured and keeps small parts only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgelift.core.image import Picture, luma, shave
from edgelift.core.resize import resize
from edgelift.evaluate.likeness import luma_or_grey, on_255
from edgelift.evaluate.quality import Seen

__all__ = ["WHITE", "Excerpt", "Gallery", "error_map", "furthest"]

CROP = 64
"""Side of a crop, in pixels of the result."""
LARGE = 720
"""Longest side of the parts for sliders."""
WHITE = 48
"""Levels of Y, of 255, by which a result misses the truth where an error map is white."""

Colours = NDArray[np.uint8]
"""H × W × 3 RGB."""


@dataclass(frozen=True)
class Excerpt:
    """The same rectangle of a picture in all its forms."""

    picture: str
    top: int
    left: int
    truth: Colours
    bicubic: Colours
    results: dict[str, Colours]
    """Name of a model -> what it made of it."""
    error: float
    """Root of the mean squared error on Y in it, in levels; the mean over those models that `furthest` goes by."""


class Gallery:
    """Keeps, of the pictures that `see` gets, `shown` large parts from evenly spread ones and the `worst` crops."""

    def __init__(self, *, shown: int = 3, worst: int = 4) -> None:
        self._shown, self._worst = shown, worst
        self.parts: list[Excerpt] = []
        """Of the middles of pictures, in their order."""
        self.worst: list[Excerpt] = []
        """One of a picture at most, the worst first."""

    def see(self, seen: Seen) -> None:
        """Look at one picture."""
        if not seen.results:
            return
        height, width = seen.loaded.truth.shape[:2]
        last = max(self._shown - 1, 1)
        if seen.number in {round(k * (seen.total - 1) / last) for k in range(self._shown)}:
            high, wide = min(height, LARGE), min(width, LARGE)
            self.parts.append(_excerpt(seen, (height - high) // 2, (width - wide) // 2, high, wide, 0.0))
        if self._worst:
            top, left, side, error = furthest(seen)
            if len(self.worst) < self._worst or error > self.worst[-1].error:
                self.worst.append(_excerpt(seen, top, left, side, side, error))
                self.worst = sorted(self.worst, key=lambda each: -each.error)[: self._worst]


def furthest(seen: Seen) -> tuple[int, int, int, float]:
    """(top, left, side, error) of the square, inside the border, where the squared error on Y is largest.

    It is the mean over the networks, or over the interpolations where there are no networks; `error` is its root.
    """
    truth = luma_or_grey(seen.loaded.truth, seen.loaded.grey)
    judged = [name for name in seen.results if name in seen.networks] or list(seen.results)
    total = np.zeros_like(truth)
    for name in judged:
        total += (luma_or_grey(seen.results[name], seen.loaded.grey) - truth) ** 2
    border = truth.shape[0] // seen.loaded.small.shape[0]
    inner = shave(total / len(judged), border)
    side = min(CROP, *inner.shape)
    sums = np.pad(inner, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    means = (sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]) / side**2
    top, left = map(int, np.unravel_index(np.argmax(means), means.shape))
    return top + border, left + border, side, float(np.sqrt(max(0.0, means[top, left])))


def error_map(result: Colours, truth: Colours, white: float = WHITE) -> Colours:
    """How far Y of `result` is from that of `truth`: black, red, yellow, white, the last from `white` levels on."""
    heat = 3 * np.clip(np.abs(luma(result) - luma(truth)) / white, 0, 1)
    return np.asarray(np.clip(heat[..., None] - np.arange(3), 0, 1) * 255 + 0.5, np.uint8)


def _excerpt(seen: Seen, top: int, left: int, height: int, width: int, error: float) -> Excerpt:
    box = np.s_[top : top + height, left : left + width]
    bicubic = seen.results.get("bicubic")
    if bicubic is None:
        bicubic = resize(seen.loaded.small, *seen.loaded.truth.shape[:2])
    grey = seen.loaded.grey
    results = {name: _colours(picture[box], grey) for name, picture in seen.results.items()}
    return Excerpt(
        seen.loaded.pair.name, top, left,
        _colours(seen.loaded.truth[box], grey), _colours(bicubic[box], grey), results, error,
    )  # fmt: skip


def _colours(part: Picture, grey: bool) -> Colours:
    """`part` as it would be written, on 8 bits; never a view, which would keep the whole picture."""
    part = np.repeat(part[..., 1:2], 3, axis=2) if grey else part
    return np.array(np.clip(on_255(part) + 0.5, 0, 255), np.uint8)
