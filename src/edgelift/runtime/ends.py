"""What goes into a compiled file and comes out of it, as samples 0 … 255: types, grids, order of sides, and what white is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import EngineError
from edgelift.core.metrics import psnr
from edgelift.core.resize import resize

__all__ = ["End", "probe_picture", "white_of"]

WHITES = (1.0, 255.0)
"""What white may be."""
BETWEEN = 16.0
"""A grid that ends below is one of 0 … 1: the geometric mean of the two whites."""
LEAST_DB = 15.0
"""PSNR that a network reaches at least on the picture it is tried with."""
SIDE = 48


@dataclass(frozen=True)
class End:
    """One end of a file: real value = scale × (number - zero), and white is `white`. A scale of 0 says that there is no grid."""

    dtype: np.dtype[Any]
    scale: float = 0.0
    zero: int = 0
    white: float = 0.0
    """0 where it is not known."""
    planes: bool = False
    """Whether the colours stand before the rows."""

    def __post_init__(self) -> None:
        if self.dtype.kind in "iu" and not self.scale:  # no grid is stated: bytes are samples
            object.__setattr__(self, "scale", 1.0)
            object.__setattr__(self, "zero", -128 if self.dtype == np.int8 else 0)
        if self.scale and not self.white:
            limits = np.iinfo(self.dtype)
            least, most = (self.scale * (float(edge) - self.zero) for edge in (limits.min, limits.max))
            if self.dtype != np.int16 and least < -most / 4:
                raise EngineError(
                    f"its numbers stand for {least:.3g} to {most:.3g}; files for which black is 0 are run"
                )
            object.__setattr__(self, "white", WHITES[0] if most < BETWEEN else WHITES[1])

    def entering(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Samples 0 … 255 (N × h × w × 3, uint8 or float32) as the file takes them."""
        if self.planes:
            batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        if self.scale and batch.dtype == np.uint8 and self.dtype.itemsize == 1:
            return self._through(self._codes(np.arange(256)).view(np.uint8), batch).view(self.dtype)
        if self.scale:
            return self._codes(batch)
        return (
            batch.astype(np.float32) * np.float32(self.white / 255) if self.white != 255 else batch.astype(np.float32)
        )

    def leaving(self, larger: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """What the file gives as samples 0 … 255 of type `dtype`: clipped, and for uint8 rounded half to even."""
        if self.planes:
            larger = larger.transpose(0, 2, 3, 1)
        if self.scale and dtype == np.uint8 and self.dtype.itemsize == 1:
            return self._through(
                _bytes(self._samples(np.arange(256, dtype=np.uint8).view(self.dtype))), larger.view(np.uint8)
            )
        samples = self._samples(larger)
        return _bytes(samples) if dtype == np.uint8 else np.clip(samples, 0, 255)

    def _codes(self, batch: NDArray[Any]) -> NDArray[Any]:
        limits = np.iinfo(self.dtype)
        codes = np.rint(batch * (self.white / 255 / self.scale)) + self.zero
        return np.asarray(np.clip(codes, limits.min, limits.max), self.dtype)

    def _samples(self, larger: NDArray[Any]) -> NDArray[np.float32]:
        real = (larger.astype(np.float32) - self.zero) * self.scale if self.scale else larger
        return np.asarray(real * (255 / self.white) if self.white != 255 else real, np.float32)

    @staticmethod
    def _through(table: NDArray[np.uint8], values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`values` by `table`, which for most files changes nothing or one bit."""
        whole = np.arange(256, dtype=np.uint8)
        if np.array_equal(table, whole):
            return np.asarray(values)
        return np.asarray(values ^ 0x80 if np.array_equal(table, whole ^ 0x80) else table[values])


def _bytes(samples: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(np.clip(samples, 0, 255)), np.uint8)


def probe_picture(height: int, width: int) -> NDArray[np.uint8]:
    """Shading and slanted edges, height × width × 3, from black to white."""
    y, x = np.mgrid[:height, :width][..., None] / max(height, width)
    tint = np.array([1.0, 0.7, 0.4])
    shading = 120 + 90 * np.sin(5 * x + tint) * np.cos(4 * y - tint)
    edges = 70 * ((7 * x * tint + 5 * y) % 2 > 1.3)
    return np.asarray(np.clip(np.rint(shading + edges - 20), 0, 255), np.uint8)


Try = Callable[[NDArray[np.uint8], float], NDArray[np.uint8]]
"""What a network makes of a picture where that is white."""


def white_of(network: Try, scale: int, side: tuple[int, int] = (SIDE, SIDE)) -> float:
    """What white is for a float network: that with which it restores a reduced picture better.

    Raises `EngineError` where neither gives anything like the picture.
    """
    truth = resize(probe_picture(2 * scale * side[0], 2 * scale * side[1]), scale * side[0], scale * side[1])
    small = truth if scale == 1 else resize(truth, *side)
    found = {white: psnr(network(small, white), truth) for white in WHITES}
    best = max(found, key=lambda white: (found[white], -white))
    if math.isnan(found[best]) or found[best] < LEAST_DB:
        shown = ", ".join(f"{value:.1f} dB where white is {white:g}" for white, value in found.items())
        raise EngineError(
            f"it gives nothing like the picture that goes in ({shown}): neither order of colours, nor what black and white "
            "are, can be told"
        )
    return best
