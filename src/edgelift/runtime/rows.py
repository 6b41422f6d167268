"""Pictures as rows that come and go: what the pipeline reads from and writes to.

A picture is a stack of layers: its colours, and its alpha (repeated three times) where it has one. Every layer is
upscaled alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArraySource", "ArrayTarget", "CallbackTarget", "Rows", "Source", "Target"]

Rows = NDArray[Any]
"""Rows of a picture: layers × rows × width × 3, uint8, uint16 or float32."""


class Source(Protocol):
    """Where rows come from."""

    height: int
    width: int
    layers: int
    dtype: np.dtype[Any]

    def rows(self, start: int, stop: int) -> Rows:
        """Rows `start` … `stop` - 1. Both never go down from one call to the next."""


class Target(Protocol):
    """Where strips of the result go, from the top."""

    def room(self, start: int, stop: int) -> Rows:
        """Memory for the rows `start` … `stop` - 1, C order in each layer."""

    def done(self, strip: Rows) -> None:
        """`strip`, which `room` gave, is filled."""


class ArraySource:
    """An H × W × 3 array."""

    def __init__(self, picture: NDArray[Any]) -> None:
        self.height, self.width, self.layers, self.dtype = picture.shape[0], picture.shape[1], 1, picture.dtype
        self._picture = picture[None]

    def rows(self, start: int, stop: int) -> Rows:
        """A view of the array."""
        return self._picture[:, start:stop]


class ArrayTarget:
    """An H × W × 3 array that is filled in place."""

    def __init__(self, height: int, width: int, dtype: np.dtype[Any]) -> None:
        self.picture = np.empty((height, width, 3), dtype)

    def room(self, start: int, stop: int) -> Rows:
        """A view of the array."""
        return self.picture[None, start:stop]

    def done(self, strip: Rows) -> None:
        """Nothing is left to do."""


@dataclass(frozen=True)
class CallbackTarget:
    """Strips in fresh memory, each handed to `take`."""

    layers: int
    width: int
    dtype: np.dtype[Any]
    take: Callable[[Rows], None]

    def room(self, start: int, stop: int) -> Rows:
        """Fresh memory."""
        return np.empty((self.layers, stop - start, self.width, 3), self.dtype)

    def done(self, strip: Rows) -> None:
        """Hand it on."""
        self.take(strip)
