"""The user's folders by the customs of each system (on Linux the XDG Base Directory Specification)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["user_folder"]

_CACHE = ("Caches", "XDG_CACHE_HOME", (".cache",))
_DATA = ("Application Support", "XDG_DATA_HOME", (".local", "share"))


def user_folder(kind: str) -> Path:
    """The folder for edgelift's `cache` or `data` (not made)."""
    library, variable, beneath = {"cache": _CACHE, "data": _DATA}[kind]
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / library)
    else:
        base = os.environ.get(variable) or str(Path.home().joinpath(*beneath))
    return Path(base) / "edgelift"
