"""Patches of a picture in blocks of 8 × 8 samples, as JPEG has them, and the cosine transform of these."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["GREY", "phase", "transformed"]

Floats = NDArray[np.float32]

GREY = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of red, green and blue in luma."""


def phase(luma: Floats, axis: int) -> int:
    """Where blocks begin along `axis`: where neighbours differ most."""
    steps = np.abs(np.diff(luma, axis=axis)).mean(axis=tuple(k for k in range(3) if k != axis))
    return int(np.argmax([steps[at - 1 if at else 7 :: 8].mean() for at in range(8)]))


def transformed(luma: Floats, row: int, column: int) -> Floats:
    """Coefficients (blocks × 8 × 8) of the blocks that begin at those pixels of each patch."""
    side = (luma.shape[1] - max(row, column)) // 8
    kept = luma[:, row : row + side * 8, column : column + side * 8]
    blocks = kept.reshape(len(luma), side, 8, side, 8).transpose(0, 1, 3, 2, 4).reshape(-1, 64)
    return (blocks @ _transform()).reshape(-1, 8, 8)


@lru_cache(maxsize=1)
def _transform() -> Floats:
    """The orthonormal cosine transform of 8 × 8 samples, as one matrix that is multiplied from the right."""
    k, n = np.arange(8)[:, None], np.arange(8)[None]
    basis = np.cos((2 * n + 1) * k * (np.pi / 16)) * np.where(k, 0.5, np.sqrt(0.125))
    return np.asarray(np.kron(basis, basis).T, np.float32)
