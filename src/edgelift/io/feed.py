"""Rows that come one strip at a time, as a picture that libvips reads while they still come.

libvips pulls its input, and a producer of strips pushes. Between them stands a file that exists only in part: an
uncompressed BigTIFF whose header is made up front and whose samples are the strips, in the machine's own byte order.
libvips reads it from the top down through callbacks; nothing of it touches the disk.
"""

from __future__ import annotations

import os
import struct
import sys
from collections import deque
from threading import Condition

import numpy as np
import pyvips

from edgelift.io.vips import Image, call

__all__ = ["Feed", "tiff_header"]

DEPTH = 2
"""Strips that wait for libvips before the producer has to."""
TIFF_STRIP_ROWS = 16

_SHORT, _LONG, _LONG8 = (3, "H"), (4, "I"), (16, "Q")  # type codes of TIFF and of struct
_HEADER_BYTES, _ENTRY_BYTES = 16, 20


class Feed:
    """Between a producer, that calls `put`, and libvips, that reads `image` in another thread."""

    def __init__(self, height: int, width: int, channels: int, bits: int) -> None:
        self._header = tiff_header(height, width, channels, bits)
        self._size = len(self._header) + height * width * channels * bits // 8
        self._position = 0
        self._served = len(self._header)  # samples before this offset are gone
        self._strips: deque[memoryview] = deque()
        self._stopped = False
        self._changed = Condition()
        self._source = pyvips.SourceCustom()
        self._source.on_read(self._read)
        self._source.on_seek(self._seek)

    def image(self) -> Image:
        """The picture to come, height × width × channels; call it in the thread that consumes it."""
        return call("tiffload_source", self._source, access="sequential", fail_on="error")

    def put(self, samples: bytes) -> bool:
        """Hand over the next rows; waits while `DEPTH` strips are waiting. False once the feed was stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._strips) < DEPTH)
            if samples and not self._stopped:
                self._strips.append(memoryview(samples))
            self._changed.notify_all()
            return not self._stopped

    def stop(self) -> None:
        """Let go of both sides: `put` returns False and libvips meets the end of the file."""
        with self._changed:
            self._stopped = True
            self._strips.clear()
            self._changed.notify_all()

    def _seek(self, offset: int, whence: int) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def _read(self, length: int) -> bytes | memoryview:
        """Up to `length` bytes from the position; fewer only at the end of the header or of the file."""
        if self._position < len(self._header):
            found: bytes | memoryview = self._header[self._position : self._position + length]
        elif self._position == self._served:
            found = self._take(min(length, self._size - self._position))
            self._served += len(found)
        else:
            found = b""  # libvips stepped back, which it reports as a damaged file
        self._position += len(found)
        return found

    def _take(self, length: int) -> bytes | memoryview:
        parts: list[memoryview] = []
        with self._changed:
            while length > 0:
                self._changed.wait_for(lambda: self._stopped or bool(self._strips))
                if self._stopped:
                    break
                parts.append(self._strips[0][:length])
                self._strips[0] = self._strips[0][length:]
                length -= len(parts[-1])
                if not self._strips[0]:
                    self._strips.popleft()
                    self._changed.notify_all()
        return parts[0] if len(parts) == 1 else b"".join(parts)


def tiff_header(height: int, width: int, channels: int, bits: int) -> bytes:
    """All that stands before the samples of an uncompressed BigTIFF: grey (1), RGB (3), or these with alpha (2, 4)."""
    count = -(-height // TIFF_STRIP_ROWS)
    row_bytes = width * channels * bits // 8
    tags: list[tuple[int, tuple[int, str], int, bytes]] = []

    def tag(code: int, kind: tuple[int, str], *values: int) -> None:
        tags.append((code, kind, len(values), struct.pack(f"={len(values)}{kind[1]}", *values)))

    sizes = np.full(count, TIFF_STRIP_ROWS * row_bytes, np.uint64)
    sizes[-1] = (height - (count - 1) * TIFF_STRIP_ROWS) * row_bytes
    offsets = np.concatenate([np.zeros(1, np.uint64), np.cumsum(sizes)[:-1]])
    tag(256, _LONG, width)
    tag(257, _LONG, height)
    tag(258, _SHORT, *[bits] * channels)
    tag(259, _SHORT, 1)  # not compressed
    tag(262, _SHORT, 2 if channels > 2 else 1)  # RGB, or grey with 0 as black
    tags.append((273, _LONG8, count, offsets.tobytes()))
    tag(277, _SHORT, channels)
    tag(278, _LONG, TIFF_STRIP_ROWS)
    tags.append((279, _LONG8, count, sizes.tobytes()))
    tag(284, _SHORT, 1)  # channels side by side
    if channels in (2, 4):
        tag(338, _SHORT, 2)  # straight alpha

    # Values of at most 8 bytes stand in their entry, others behind the table.
    behind = _HEADER_BYTES + 8 + _ENTRY_BYTES * len(tags) + 8
    start = behind + sum(len(data) for _, _, _, data in tags if len(data) > 8)
    table, outside = b"", b""
    for code, kind, number, data in tags:
        if code == 273:
            data = (offsets + np.uint64(start)).tobytes()
        table += struct.pack("=HHQ", code, kind[0], number)
        table += data.ljust(8, b"\0") if len(data) <= 8 else struct.pack("=Q", behind + len(outside))
        outside += data if len(data) > 8 else b""
    order = b"II" if sys.byteorder == "little" else b"MM"
    return order + struct.pack("=HHHQQ", 43, 8, 0, _HEADER_BYTES, len(tags)) + table + struct.pack("=Q", 0) + outside
