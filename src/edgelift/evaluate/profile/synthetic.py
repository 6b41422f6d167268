"""A made picture with what photographs have, as a PNG file: what stages are measured on where no picture is given."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import OutputError

__all__ = ["scene", "write_png"]


def scene(height: int, width: int) -> NDArray[np.uint8]:
    """Shading, edges, texture and grain, height × width × 3; the same for the same size."""
    rng = np.random.default_rng(height * 100_003 + width)
    y, x = np.mgrid[:height, :width][..., None].astype(np.float32) / 16
    tint = np.array([1.0, 0.8, 0.55], np.float32)
    shading = 110 + 90 * np.sin(y / 3 + tint) * np.cos(x / 4)
    texture = 40 * np.sin(7 * x + 3 * y) * (np.sin(x / 2) > 0)
    edges = 70 * ((x * tint + y) % 3 > 2.2)
    grain = rng.normal(0, 4, (height, width, 3))
    picture: NDArray[np.uint8] = np.clip(np.rint(shading + texture + edges + grain), 0, 255).astype(np.uint8)
    return picture


def write_png(picture: NDArray[np.uint8], path: Path) -> None:
    """Write height × width × 3 RGB as a PNG without filtering of lines. Raises `OutputError`."""
    height, width, _ = picture.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), picture.reshape(height, -1)], axis=1)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines.tobytes(), 6)),
        (b"IEND", b""),
    ]
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    try:
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    except OSError as exc:
        raise OutputError(f"{path}: cannot be written ({exc.strerror})") from exc
