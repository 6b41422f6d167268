"""Pictures as arrays: height × width × 3, RGB, `uint8` (0 … 255), `uint16` (0 … 65535) or `float32` (0 … 255)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import RequestError

__all__ = ["PEAK", "Picture", "check_image", "luma", "round_to", "shave"]

Picture = NDArray[Any]
"""An H × W × 3 array as `check_image` accepts it."""

PEAK = {"uint8": 255.0, "uint16": 65535.0, "float32": 255.0}
"""The value of white for each sample type."""

# ITU-R BT.601 as MATLAB's rgb2ycbcr scales it: Y in 16 … 235 for RGB in 0 … 255.
_LUMA = np.array([65.481, 128.553, 24.966]) / 255.0


def check_image(image: object) -> Picture:
    """Return `image` if it is an H × W × 3 array of a known sample type with both sides at least 1, in the machine's byte order.

    Raises `RequestError` that names the shape and type which came.
    """
    if not isinstance(image, np.ndarray):
        raise RequestError(f"expected a numpy array (height × width × 3), got {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise RequestError(
            f"expected an array of shape (height, width, 3) with both sides at least 1, got {image.shape}"
        )
    if image.dtype.name not in PEAK:
        raise RequestError(f"expected uint8, uint16 or float32 samples, got {image.dtype}")
    return image if image.dtype.isnative else image.astype(image.dtype.newbyteorder("="))


def luma(rgb: Picture) -> NDArray[np.float64]:
    """Y of `rgb` (H × W × 3, white = 255) in the range 16 … 235, not rounded; MATLAB's `rgb2ycbcr`."""
    return np.asarray(rgb.astype(np.float64) @ _LUMA + 16.0)


def shave(image: NDArray[Any], border: int) -> NDArray[Any]:
    """`image` without `border` pixels on each side; raises `RequestError` where nothing would be left."""
    if border < 0:
        raise RequestError(f"a border is at least 0 pixels, got {border}")
    if border == 0:
        return image
    if min(image.shape[:2]) <= 2 * border:
        raise RequestError(
            f"a picture of {image.shape[1]}×{image.shape[0]} has nothing left without a border of {border} pixels"
        )
    return image[border:-border, border:-border]


def round_to(image: NDArray[Any], dtype: np.dtype[Any]) -> Picture:
    """`image` (float, already on the scale of `dtype`) clipped and, for integer types, rounded half up."""
    if dtype.name not in PEAK:
        raise RequestError(f"expected uint8, uint16 or float32 samples, got {dtype}")
    if dtype.kind == "f":
        return np.asarray(np.clip(image, 0.0, PEAK[dtype.name]), dtype)
    shifted = image + 0.5
    np.clip(shifted, 0, PEAK[dtype.name], out=shifted)
    return shifted.astype(dtype)  # cuts the fraction off, which is the floor of what is not below 0
