"""Files that appear complete or not at all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import OutputError
from edgelift.io.places import fill, place_for
from edgelift.io.vips import Image, call, vips_errors

__all__ = ["file_name", "write_png", "write_whole"]

_KINDS = ("uchar", "ushort")


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` beside `path` and give it that name; a file that is there is replaced.

    Raises `OutputError` where that is not possible; what was under that name then still is.
    """
    fill((place_for(path, None, overwrite=True), data))


def write_png(samples: NDArray[Any], path: Path) -> None:
    """Write H × W (grey) or H × W × 3 (RGB) uint8 or uint16 samples as PNG; else as `write_whole`."""
    deep, grey = samples.dtype == np.uint16, samples.ndim == 2
    height, width = samples.shape[:2]
    image = Image.new_from_memory(np.ascontiguousarray(samples), width, height, 1 if grey else 3, _KINDS[deep])
    image = image.copy(interpretation=("grey16" if deep else "b-w") if grey else ("rgb16" if deep else "srgb"))
    with vips_errors(OutputError, str(path), "cannot be encoded", "check the memory at hand"):
        data = bytes(call("pngsave_buffer", image, compression=2))
    write_whole(path, data)


def file_name(text: str) -> str:
    """`text` as the name of a file or folder that any system takes and that names nothing above it."""
    return re.sub(r"[^\w.+ ()-]", "_", text).strip(". ") or "_"
