"""Folders of pictures: what lies below them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from edgelift.core.errors import InputError
from edgelift.io.formats import SUFFIXES

__all__ = ["NO_PICTURES", "outside", "pictures_below", "unreadable"]

NO_PICTURES = f"no pictures in this folder ({', '.join(sorted(SUFFIXES))})"


def unreadable(error: OSError) -> str:
    """What is said of a folder that cannot be listed."""
    return f"{error.filename}: the folder cannot be read ({error.strerror}); check its permissions"


def _refuse(error: OSError) -> None:
    raise InputError(unreadable(error)) from error


def pictures_below(folder: Path, problem: Callable[[OSError], None] = _refuse) -> list[Path]:
    """Files below `folder` with a suffix of pictures, sorted, but for hidden ones and what lies in hidden folders.

    `problem` hears of folders that cannot be listed; else they raise `InputError`.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=problem):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(place, name) for name in names if not name.startswith(".")]
        found += [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]
    return sorted(found)


def outside(paths: Iterable[Path], folder: Path, output: Path) -> list[Path]:
    """`paths`, which lie below `folder`, but for those in `output`, where that too is a folder below it."""
    away = Path(os.path.realpath(output))  # unlike `resolve`, it does not fail for links in a circle
    if Path(os.path.realpath(folder)) not in away.parents:
        return list(paths)
    return [path for path in paths if away not in path.resolve().parents]
