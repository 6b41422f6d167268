"""What JPEG rounds to: the example tables of ITU-T T.81, annex K, which nearly every encoder scales by its quality."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["CHROMA", "LUMA", "luma_table", "quality_of_table"]

LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
"""Table K.1: steps of the coefficients of an 8 × 8 block of luma, by rows."""
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), *((99,) * 8 for _ in range(4)),
)  # fmt: skip
"""Table K.2: those of chroma."""


def luma_table(quality: int) -> NDArray[np.int64]:
    """The steps of luma (8 × 8) for a quality of 1 … 100, scaled as libjpeg does."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.asarray(np.clip((np.array(LUMA) * scale + 50) // 100, 1, 255))


def quality_of_table(steps: NDArray[np.int64]) -> int:
    """The quality 1 … 100 whose table of luma is about as coarse as `steps` (64 values in any order)."""
    sums = [int(luma_table(quality).sum()) for quality in range(1, 101)]
    return 1 + int(np.argmin([abs(total - int(steps.sum())) for total in sums]))
