"""Picture files for training: which there are, which of them validate, and their pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from edgelift.core.errors import TrainingError

__all__ = ["SUFFIXES", "UNREADABLE", "find_pictures", "read_rgb", "split"]

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for files that are damaged, no pictures, or far too large."""


def find_pictures(folders: Sequence[Path]) -> list[Path]:
    """All picture files under `folders`, sorted. Raises `TrainingError` for a folder that is missing or has none."""
    found: list[Path] = []
    for folder in folders:
        inside = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
        if not inside:
            raise TrainingError(f"{folder}: no such folder, or no pictures in it ({', '.join(sorted(SUFFIXES))})")
        found += inside
    return found


def split(paths: Sequence[Path], count: int, folder: str = "") -> tuple[list[Path], list[Path]]:
    """(training, validation): the `count` pictures whose names hash lowest validate; of those in `folder`, where it is named.

    Ranks depend on names alone: pictures that are added may take the place of others in validation, but none moves
    from training into validation.
    """
    able = [p for p in paths if folder in ("", p.parent.name)]
    if count > len(able) or count >= len(paths):
        where = f", of which {len(able)} lie in {folder!r}," if folder else ""
        raise TrainingError(
            f"{len(paths)} pictures{where} cannot give {count} to validation and keep any to train with"
        )
    held = set(sorted(able, key=lambda p: hashlib.sha256(f"{p.parent.name}/{p.name}".encode()).digest())[:count])
    return [p for p in paths if p not in held], [p for p in paths if p in held]


def read_rgb(path: Path, *, upright: bool = False) -> NDArray[np.uint8]:
    """The picture in a file as H × W × 3 uint8 RGB; `upright`: turned as EXIF says. Raises one of `UNREADABLE`."""
    with Image.open(path) as opened:
        picture = ImageOps.exif_transpose(opened) if upright else opened
        if picture.mode == "F":
            raise ValueError("holds fractions; save it with whole numbers of 8 or 16 bits a channel")
        if not picture.mode.startswith("I"):
            return np.asarray(picture.convert("RGB"))
        # Grey of 16 bits, which Pillow would cut off at 255.
        levels = np.clip(np.rint(np.asarray(picture) / 257), 0, 255)
        return np.repeat(levels.astype(np.uint8)[..., None], 3, axis=2)
