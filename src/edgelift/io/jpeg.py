"""The quality that a JPEG file states, by its table of quantisation; only the headers before the first scan are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgelift.core.jpeg import quality_of_table
from edgelift.io.read import opened_file

__all__ = ["jpeg_quality"]

_TABLES, _SCAN, _END = 0xDB, 0xDA, 0xD9
MOST_SEGMENTS = 1000


def jpeg_quality(path: Path) -> int | None:
    """About the quality (1 … 100) at which the file was last saved; None for what is no JPEG file, or has no such table."""
    with opened_file(path) as file:
        if file.read(2) != b"\xff\xd8":
            return None
        for _ in range(MOST_SEGMENTS):
            head = file.read(4)
            if len(head) < 4 or head[0] != 0xFF or head[1] in (_SCAN, _END):
                return None
            length = int.from_bytes(head[2:], "big") - 2
            if head[1] != _TABLES:
                file.seek(max(length, 0), 1)
            elif (found := _luma_steps(file.read(max(length, 0)))) is not None:
                return quality_of_table(found)
    return None


def _luma_steps(tables: bytes) -> np.ndarray[tuple[int], np.dtype[np.int64]] | None:
    """The 64 steps of table 0, which is that of luma, among those of one segment."""
    at = 0
    while at < len(tables):
        wide, number = tables[at] >> 4, tables[at] & 15
        size = 128 if wide else 64
        values = tables[at + 1 : at + 1 + size]
        if len(values) < size:
            return None
        if number == 0:
            return np.frombuffer(values, ">u2" if wide else "u1").astype(np.int64)
        at += 1 + size
    return None
