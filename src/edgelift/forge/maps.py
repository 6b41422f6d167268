"""Error maps: what two models make of a tile, side by side, and where they differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import OutputError
from edgelift.evaluate.crops import error_map
from edgelift.evaluate.files import file_name, write_png
from edgelift.forge.tiles import Proof
from edgelift.io.places import make_folder

__all__ = ["WHITE", "Maps"]

WHITE = 12
"""Levels of Y by which two pictures differ where the map is white: far more than quantisation should cost anywhere."""


class Maps:
    """Writes a PNG for each tile that it is shown: one model's picture, the other's, and the map of their difference.

    Files that are in `folder` under these names are replaced, so it must not be where `pictures` are, the folder (or file) that
    the tiles are from. Raises `OutputError`.
    """

    def __init__(self, folder: Path, white: int = WHITE, pictures: Path | None = None) -> None:
        make_folder(folder)
        read = pictures if pictures is None or pictures.is_dir() else pictures.parent
        if read is not None and read.exists() and read.samefile(folder):
            raise OutputError(f"{folder}: maps there would replace the pictures; choose another folder")
        self._folder, self.white = folder, white
        self.written: list[Path] = []

    def __call__(self, tile: Proof, made: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> None:
        """Write one."""
        path = self._folder / f"{file_name(tile.name)}.png"
        write_png(np.concatenate([made, wanted, error_map(made, wanted, self.white)], axis=1), path)
        self.written.append(path)
