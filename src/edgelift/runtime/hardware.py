"""What this machine is, as far as engines need to know it before they start."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

__all__ = ["cache_folder", "cpu_flags", "has_amx"]


@cache
def cpu_flags() -> frozenset[str]:
    """Feature names of the first processor as Linux lists them; empty where they cannot be read."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return frozenset()
    lines = (line for line in text.splitlines() if line.startswith(("flags", "Features")))
    return frozenset(next(lines, "").partition(":")[2].split())


def has_amx() -> bool:
    """Whether the CPU multiplies bf16 matrices in hardware tiles: without them bf16 is slower than f32 here."""
    return "amx_bf16" in cpu_flags()


def cache_folder() -> Path:
    """The user's cache folder for edgelift (not made); `EDGELIFT_CACHE` overrides it."""
    if chosen := os.environ.get("EDGELIFT_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "edgelift"
