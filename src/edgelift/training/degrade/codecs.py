"""Compression by the real codecs, through Pillow, in memory."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["jpeg", "webp"]

Bytes = NDArray[np.uint8]


def jpeg(picture: Bytes, quality: int, *, halved: bool) -> Bytes:
    """`picture` (H × W × 3) after JPEG of `quality` 1 … 100; `halved`: chroma at half the resolution (4:2:0)."""
    return _through(picture, format="JPEG", quality=quality, subsampling=2 if halved else 0)


def webp(picture: Bytes, quality: int) -> Bytes:
    """`picture` (H × W × 3) after lossy WebP of `quality` 1 … 100."""
    return _through(picture, format="WEBP", quality=quality, method=2)


def _through(picture: Bytes, **options: int | str) -> Bytes:
    packed = io.BytesIO()
    Image.fromarray(picture).save(packed, **options)  # type: ignore[arg-type]  # Pillow types its first options only
    with Image.open(packed) as opened:
        return np.asarray(opened.convert("RGB"))
