"""A picture file as training sees it: sharp, then degraded."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgelift.core.errors import InputError
from edgelift.training.degrade.pictures import degrade_picture, sharpened
from edgelift.training.degrade.settings import Degradation
from edgelift.training.degrade.steps import draw
from edgelift.training.pictures import UNREADABLE, read_rgb

__all__ = ["degrade_file", "degraded", "png_of"]

Bytes = NDArray[np.uint8]


def degraded(
    high: Bytes, settings: Degradation, scale: int, seed: int, name: str
) -> tuple[Bytes, list[dict[str, Any]]]:
    """The small degraded form of `high` (H × W × 3, sides multiples of `scale`), and the parameters of each step.

    All that is drawn depends on `seed` and `name` alone.
    """
    steps = draw(settings, scale, 1, np.random.default_rng([seed, zlib.crc32(name.encode())]))
    return degrade_picture(high, steps), [step.facts(0) for step in steps]


def degrade_file(path: Path, settings: Degradation, scale: int, seed: int) -> tuple[Bytes, dict[str, Any]]:
    """The same for the picture in a file, cropped to a multiple of `scale`, and facts on it as plain values.

    Raises `InputError` for a file that cannot be read or is smaller than `scale`.
    """
    try:
        high = read_rgb(path, upright=True)  # what is written has no EXIF
    except UNREADABLE as exc:
        raise InputError(f"{path}: cannot be read ({exc})") from exc
    height, width = high.shape[0] // scale, high.shape[1] // scale
    if min(height, width) == 0:
        raise InputError(f"{path}: {high.shape[1]}×{high.shape[0]} is too small to be reduced {scale} times")
    crisp = sharpened(high[: height * scale, : width * scale], settings.sharpen)
    low, steps = degraded(crisp, settings, scale, seed, path.stem)
    return low, {"input": str(path), "height": height, "width": width, "seed": seed, "steps": steps}


def png_of(picture: Bytes) -> bytes:
    """`picture` (H × W × 3) as a PNG file."""
    packed = io.BytesIO()
    Image.fromarray(picture).save(packed, format="PNG")
    return packed.getvalue()
