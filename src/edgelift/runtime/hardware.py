"""What this machine is, as far as engines need to know it before they start."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path

from edgelift.core.folders import user_folder

__all__ = ["cache_folder", "cpu_flags", "has_amx", "prefers_bf16", "process_age"]


@cache
def _cpu() -> dict[str, str]:
    """The first block of /proc/cpuinfo; empty where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def cpu_flags() -> frozenset[str]:
    """Feature names of the first processor as Linux lists them; empty where they cannot be read."""
    return frozenset(_cpu().get("flags", _cpu().get("Features", "")).split())


def has_amx() -> bool:
    """Whether the CPU multiplies bf16 matrices in hardware tiles."""
    return "amx_bf16" in cpu_flags()


def prefers_bf16() -> bool:
    """Whether networks run faster in bf16 than in f32 on this CPU: with AMX, or where AMD has AVX512-BF16.

    An Intel CPU without AMX was measured to be slower in bf16; `benchmarks/speed.py` compares them.
    """
    return has_amx() or ("avx512_bf16" in cpu_flags() and _cpu().get("vendor_id") == "AuthenticAMD")


def cache_folder() -> Path:
    """The user's cache folder for edgelift (not made); `EDGELIFT_CACHE` overrides it."""
    chosen = os.environ.get("EDGELIFT_CACHE")
    return Path(chosen) if chosen else user_folder("cache")


def process_age() -> float:
    """Seconds since this process was started, where the system says so; else those that it has computed for."""
    try:
        after_name = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        started = int(after_name[19]) / os.sysconf("SC_CLK_TCK")  # field 22 of proc(5), of which two stand before
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    except (OSError, ValueError, IndexError, AttributeError):
        return time.process_time()
