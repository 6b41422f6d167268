"""Memory: sizes as people write them, and what a run is going to take.

All of it is 'about': what the process holds already is read from the system, strips and windows are counted, and the
engine's share is a bound from the network's graph (see `io.activations`) times what engines were measured to add.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.core.spec import ModelSpec

__all__ = ["Footprint", "parse_size", "resident_bytes", "show_size"]

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
ENGINE_FACTOR = 3.0
"""Engine memory for each byte of `activation_bytes`. Measured on abpn-x3: 2.4 with OpenVINO, which keeps room in the
model of free shapes and in that of the shape at hand, and 2.9 with ONNX Runtime, whose room grows by doubling."""
ENGINE_FIXED = 20_000_000
"""Bytes that an engine takes for compiling a shape, whatever its size; 5 to 15 million were measured."""
STRIPS_IN = 3
"""Strips of the picture at once, besides those read ahead: in use, and twice in the reader while it joins rows."""
STRIPS_OUT = 3
"""Strips of the result at once: being filled, copied for the encoder, and waiting for it."""
FILTER_STRIPS = 2
"""Strips of the result at once on top of those, of a filter: before it, and half done. Each has its reach above and below."""
LINES = 1000
"""Rows of the result that libvips holds for reading and writing files, whatever the strip; measured at widths from 500 to
12,000 pixels of the picture."""
SAFETY = 1.1
"""So much more than counted is reckoned with: a limit that is kept matters more than a close guess."""
UNKNOWN_RESIDENT = 200_000_000
"""What the process is taken to hold where the system does not say."""


def parse_size(text: str) -> int:
    """Bytes of "500M", "2G", "1.5GiB" or "750000": K, M, G, T are powers of 1000, Ki, Mi, Gi, Ti of 1024.

    Raises `RequestError` for anything else, and for less than one byte.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?", text.strip().upper(), re.ASCII)
    if found is None or len(text) > 30 or float(found[1]) * UNITS[found[2] or ""] < 1:
        raise RequestError(
            f"a size is a number with K, M, G, T (or KiB, MiB, GiB, TiB), such as 500M or 2G; got {text!r}"
        )
    return int(float(found[1]) * UNITS[found[2] or ""])


def show_size(size: float) -> str:
    """`size` bytes in the largest unit of 1000 that leaves at least one, such as "1.3 GB"."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= 0.9995 * factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size:.0f} bytes"


def resident_bytes() -> int:
    """What this process holds in memory now; where only its highest point is known, that."""
    try:
        import resource

        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * resource.getpagesize()
    except ImportError:
        return UNKNOWN_RESIDENT  # Windows
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


@dataclass(frozen=True)
class Footprint:
    """Bytes that a run takes at its highest point, for any tile; what `tiling.choose` calls `Need`."""

    spec: ModelSpec
    width: int
    """Of the picture, in pixels."""
    activations: float
    """Bytes for a pixel of a window; see `io.activations`."""
    layers: int = 1
    """2 where the picture has transparency."""
    itemsize: int = 1
    """Bytes of a sample of the picture."""
    resident: int = 0
    """Bytes that the process held before the run."""
    workers: int = 1
    """Calls of the engine at once."""
    ahead: int = 1
    """Strips that are read ahead."""
    behind: int = 0
    """Strips that may wait to be written, besides those of the encoder."""
    beside: float = 0.0
    """Bytes for a pixel of a window that are held beside the engine, as an ensemble does."""
    blended: bool = False
    """Whether results of windows are summed where they overlap."""
    reach: int = 0
    """Rows above and below those that a filter fills; 0 where there is no filter."""

    def __call__(self, heights: NDArray[np.int64], widths: NDArray[np.int64], batch: int) -> NDArray[np.float64]:
        """In all, for tiles of `heights` × `widths`, element by element."""
        added = self.engine(heights, widths, batch) + self.strips(heights, widths)
        return np.asarray(self.resident + SAFETY * added, float)

    @property
    def per_pixel(self) -> float:
        """Bytes for a pixel of a window: inside the engine, and of what goes in and comes out."""
        sample = 1 if self.itemsize == 1 else 4
        return ENGINE_FACTOR * self.activations + 3 * sample * (1 + self.spec.scale**2) + self.beside

    def engine(self, heights: Any, widths: Any, batch: int) -> Any:
        """For the calls at once with `batch` windows of each layer."""
        return ENGINE_FIXED + self.per_pixel * heights * widths * (batch * self.layers * self.workers)

    def strips(self, heights: Any, widths: Any) -> Any:
        """Rows of the picture and of the result: what a row of windows reads and makes, and what files need."""
        row = 3 * self.itemsize * self.layers * np.maximum(self.width, widths)
        scale = self.spec.scale
        strips = STRIPS_IN + self.ahead + (STRIPS_OUT + self.behind + FILTER_STRIPS * (self.reach > 0)) * scale**2
        sums = 4 / self.itemsize * scale**2 * self.blended  # of floats
        return row * ((strips + sums) * heights + (LINES + FILTER_STRIPS * 2 * self.reach) * scale)
