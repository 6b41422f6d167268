"""Error maps: what two models make of a tile, side by side, and where they differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelift.evaluate.crops import error_map
from edgelift.evaluate.files import file_name, write_png
from edgelift.forge.tiles import Proof
from edgelift.io.places import make_folder

__all__ = ["WHITE", "Maps"]

WHITE = 12
"""Levels of Y by which two pictures differ where the map is white: far more than quantisation should cost anywhere."""


class Maps:
    """Writes a PNG for each tile that it is shown: one model's picture, the other's, and the map of their difference.

    Files that are in `folder` under these names are replaced. Raises `OutputError`.
    """

    def __init__(self, folder: Path, white: int = WHITE) -> None:
        make_folder(folder)
        self._folder, self.white = folder, white
        self.written: list[Path] = []

    def __call__(self, tile: Proof, made: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> None:
        """Write one."""
        path = self._folder / f"{file_name(tile.name)}.png"
        write_png(np.concatenate([made, wanted, error_map(made, wanted, self.white)], axis=1), path)
        self.written.append(path)
