"""The facts of the machine that a reader needs to place measured numbers."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgelift import __version__
from edgelift.runtime.hardware import cpu_flags, has_amx

__all__ = ["machine"]

PACKAGES = {
    "numpy": ("numpy",),
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "litert": ("ai-edge-litert",),
    "opencv": ("opencv-python-headless", "opencv-python"),
    "pillow": ("pillow",),
    "pyvips": ("pyvips",),
    "torch": ("torch",),
}
"""What is called so in the facts -> the packages that may bring it, the first that is installed counts."""


def machine(info: Path = Path("/proc/cpuinfo")) -> dict[str, object]:
    """The processor, its cores, hardware threads and matrix units, Python, and versions; `info` is for tests.

    `cores` are physical ones, None where they cannot be told; `threads` those that this process may use. Packages that
    are not installed are left out.
    """
    text = info.read_text(encoding="utf-8", errors="replace") if info.is_file() else ""
    flags = cpu_flags()
    return {
        "cpu": _name(text),
        "cores": _cores(text),
        "threads": _threads(),
        "amx": has_amx(),
        "bf16": "avx512_bf16" in flags,
        "vnni": bool(flags & {"avx512_vnni", "avx_vnni"}),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "edgelift": __version__,
        **_versions(),
    }


def _values(text: str, key: str) -> list[str]:
    """What stands behind `key` in each of the blocks of /proc/cpuinfo."""
    parts = (line.partition(":") for line in text.splitlines())
    return [value.strip() for name, _, value in parts if name.strip() == key]


def _name(text: str) -> str:
    names = _values(text, "model name")
    return names[0] if names else platform.processor() or platform.machine() or "unknown"


def _cores(text: str) -> int | None:
    chips, cores = _values(text, "physical id"), _values(text, "core id")
    return len(set(zip(chips, cores, strict=False))) or None


def _threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # pragma: no cover  # not on Linux


def _versions() -> dict[str, str]:
    found = {}
    for name, packages in PACKAGES.items():
        for package in packages:
            try:
                found[name] = version(package)
                break
            except PackageNotFoundError:
                continue
    return found
