"""A picture that is read once and then as often as it is asked for: in memory while it is small or is there anyway, else in a
file without a name, so that memory does not grow with the picture."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np

from edgelift.core.errors import InputError
from edgelift.runtime.rows import ArraySource, Rows, Source

__all__ = ["HELD_BYTES", "Held", "held"]

HELD_BYTES = 48 << 20
"""Of samples that are kept in memory."""
STRIP_BYTES = 4 << 20


class Held:
    """Rows of a picture, in any order; see `Source`."""

    def __init__(self, source: Source, rows: Rows | None, file: IO[bytes] | None) -> None:
        self.height, self.width = source.height, source.width
        self.layers, self.dtype = source.layers, source.dtype
        self._rows, self._file = rows, file

    def rows(self, start: int, stop: int) -> Rows:
        """Rows `start` … `stop` - 1 of all layers."""
        if self._rows is not None:
            return self._rows[:, start:stop]
        assert self._file is not None
        line = self.layers * self.width * 3 * self.dtype.itemsize
        self._file.seek(start * line)
        flat = np.frombuffer(bytearray(self._file.read((stop - start) * line)), self.dtype)
        return np.moveaxis(flat.reshape(stop - start, self.layers, self.width, 3), 1, 0)


@contextmanager
def held(source: Source, most: int = HELD_BYTES) -> Iterator[Source]:
    """`source`, read to its end: in memory where its samples take at most `most` bytes. Raises `InputError`."""
    if isinstance(source, ArraySource):
        yield source
        return
    line = source.layers * source.width * 3 * source.dtype.itemsize
    if line * source.height <= most:
        yield Held(source, source.rows(0, source.height), None)
        return
    with _temporary(source) as file:
        step = max(1, STRIP_BYTES // line)
        for start in range(0, source.height, step):
            rows = source.rows(start, min(start + step, source.height))
            _write(source, file, rows)
        yield Held(source, None, file)


def _temporary(source: Source) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(prefix="edgelift-")
    except OSError as exc:
        raise _failed(source, exc) from exc


def _write(source: Source, file: IO[bytes], rows: Rows) -> None:
    try:
        file.write(np.ascontiguousarray(np.moveaxis(rows, 0, 1)).data)
    except OSError as exc:
        raise _failed(source, exc) from exc


def _failed(source: Source, exc: OSError) -> InputError:
    return InputError(
        f"a picture of {source.width}×{source.height} is kept in a temporary file while a budget is planned, and that "
        f"failed ({exc.strerror or exc}); make room in {tempfile.gettempdir()}"
    )
