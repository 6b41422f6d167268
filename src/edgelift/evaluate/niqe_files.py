"""Picture files to be measured: which there are, and their luma, read strip by strip."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import InputError
from edgelift.evaluate.niqe_features import BLOCK, luma_levels
from edgelift.io.folders import NO_PICTURES, pictures_below
from edgelift.io.pictures import DEFAULT_MAX_PIXELS, open_picture

__all__ = ["levels_of_file", "picture_files"]


def picture_files(given: Iterable[Path]) -> list[Path]:
    """The files of `given` in order, and for folders the pictures below them, sorted, but for hidden ones and hidden folders.

    Raises `InputError` for what does not exist, and for folders without pictures or that cannot be read.
    """
    return [path for place in given for path in (_inside(place) if place.is_dir() else [_there(place)])]


def _there(path: Path) -> Path:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; check the name")
    return path


def _inside(folder: Path) -> list[Path]:
    found = pictures_below(folder)
    if not found:
        raise InputError(f"{folder}: {NO_PICTURES}")
    return found


def levels_of_file(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> NDArray[np.uint8]:
    """Luma of a picture file in whole levels (H × W), for `niqe_of_levels`; one byte a pixel is held.

    Grey files are taken as RGB with three equal channels, and transparency is left out. Raises `InputError`.
    """
    with open_picture(path, max_pixels=max_pixels) as reader:
        levels = np.empty((reader.height, reader.width), np.uint8)
        for start in range(0, reader.height, BLOCK):
            stop = min(start + BLOCK, reader.height)
            levels[start:stop] = luma_levels(reader.rows(start, stop)[0])
        return levels
