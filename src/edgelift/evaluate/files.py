"""Files that appear complete or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import OutputError
from edgelift.io.places import FilePlace, fill
from edgelift.io.vips import Image, call, vips_errors

__all__ = ["check_place", "file_name", "write_png", "write_whole"]

_KINDS = ("uchar", "ushort")


def check_place(path: Path) -> None:
    """Raise `OutputError` where no file can be at `path`: to be asked before long work."""
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist; create it first")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder {path.parent} cannot be written to; choose another")


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` beside `path` and give it that name; a file that is there is replaced.

    Raises `OutputError` where that is not possible; what was under that name then still is.
    """
    check_place(path)
    fill((FilePlace(path, overwrite=True), data))


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
