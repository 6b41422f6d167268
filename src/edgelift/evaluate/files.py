"""Files that appear complete or not at all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from edgelift.core.errors import EdgeliftError, OutputError
from edgelift.io.metadata import TEXT
from edgelift.io.pictures import open_picture
from edgelift.io.places import fill, place_for
from edgelift.io.vips import Image, call, vips_errors

__all__ = ["ROUTE_MAP", "file_name", "is_called", "write_png", "write_whole"]

ROUTE_MAP = "edgelift: a map of variants"
"""What maps of routes call themselves."""

_KINDS = ("uchar", "ushort")


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` beside `path` and give it that name; a file that is there is replaced.

    Raises `OutputError` where that is not possible; what was under that name then still is.
    """
    fill((place_for(path, None, overwrite=True), data))


def write_png(samples: NDArray[Any], path: Path, *, called: str = "") -> None:
    """Write H × W (grey) or H × W × 3 (RGB) uint8 or uint16 samples as PNG; else as `write_whole`.

    `called`, in ASCII, stands in the file as what it is, for `is_called`.
    """
    deep, grey = samples.dtype == np.uint16, samples.ndim == 2
    height, width = samples.shape[:2]
    image = Image.new_from_memory(np.ascontiguousarray(samples), width, height, 1 if grey else 3, _KINDS[deep])
    image = image.copy(interpretation=("grey16" if deep else "b-w") if grey else ("rgb16" if deep else "srgb"))
    if called:
        image.set_type(pyvips.GValue.gstr_type, f"{TEXT}0-Software", called)
    with vips_errors(OutputError, str(path), "cannot be encoded", "check the memory at hand"):
        data = bytes(call("pngsave_buffer", image, compression=2))
    write_whole(path, data)


def is_called(path: Path, words: str) -> bool:
    """Whether `path` is a picture that `write_png` has called so."""
    try:
        with open_picture(path) as reader:
            return any(name.startswith(TEXT) and value == words for name, _, value in reader.metadata.fields)
    except EdgeliftError:
        return False


def file_name(text: str) -> str:
    """`text` as the name of a file or folder that any system takes and that names nothing above it."""
    return re.sub(r"[^\w.+ ()-]", "_", text).strip(". ") or "_"
