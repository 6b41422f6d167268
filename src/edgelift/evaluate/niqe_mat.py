"""Matrices of numbers in MATLAB's level 5 files (`save -v6` and `-v7`), as far as a NIQE model needs them.

After "MAT-File Format", The MathWorks: a head of 128 bytes, then elements, each with its type and length in front.
Elements may be compressed. What holds no real numbers (text, cells, structures, sparse matrices) is passed over.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["is_mat", "read_mat"]

_HEAD = 128
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Of numbers as they are stored: doubles that are whole numbers may take one byte each."""
_REAL_CLASSES = range(6, 16)
_COMPLEX = 0x08
MAX_MATRICES = 100
MAX_SIDES = 8


def is_mat(data: bytes) -> bool:
    """Whether those bytes begin as a MATLAB file of any level from 5 on."""
    return data.startswith(b"MATLAB ")


def read_mat(data: bytes, *, max_bytes: int) -> dict[str, NDArray[Any]]:
    """All real numeric matrices by their names. At most `max_bytes` are unpacked in all.

    Raises `ValueError` for damage, for what is beyond the limits, and for level 7.3, which is another format.
    """
    if data.startswith(b"MATLAB 7.3"):
        raise ValueError("a MATLAB 7.3 file; save it by save(..., '-v7')")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:_HEAD])
    if order is None:
        raise ValueError("the head of the MATLAB file is damaged")
    found: dict[str, NDArray[Any]] = {}
    for count, (kind, content) in enumerate(_elements(data[_HEAD:], order)):
        if count == MAX_MATRICES:
            raise ValueError(f"more than {MAX_MATRICES} matrices")
        if kind == _COMPRESSED:
            content = _unpacked(content, max_bytes)
            max_bytes -= len(content)
            kind, content = next(_elements(content, order), (0, b""))
        if kind == _MATRIX and (matrix := _matrix(content, order)) is not None:
            found[matrix.name] = matrix.values
    return found


@dataclass(frozen=True)
class _Matrix:
    name: str
    values: NDArray[Any]


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """(type, content) of the elements in `data`; each begins at a multiple of 8 bytes but after compressed ones."""
    at = 0
    while at + 8 <= len(data):
        kind, length = (int(n) for n in np.frombuffer(data, order + "u4", 2, at))
        if kind >> 16:  # a small element: both are in the first four bytes, the content in the next four
            kind, length, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        else:
            start = at + 8
            end = start + length if kind == _COMPRESSED else start + -(-length // 8) * 8
        if start + length > len(data) or (start == at + 4 and length > 4):
            raise ValueError("an element is longer than what holds it")
        yield kind, data[start : start + length]
        at = end


def _unpacked(content: bytes, limit: int) -> bytes:
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(content, max(1, limit))
    if not unpacking.eof:
        raise ValueError(f"a compressed element is cut short, or unpacks to more than {limit} bytes")
    return unpacked


def _matrix(content: bytes, order: str) -> _Matrix | None:
    """The matrix whose elements are in `content`; None where it is not of real numbers."""
    parts = list(_elements(content, order))
    if len(parts) < 4 or len(parts[0][1]) != 8:
        return None
    flags = int(np.frombuffer(parts[0][1], order + "u4", 1)[0])
    if flags & 0xFF not in _REAL_CLASSES or flags >> 8 & _COMPLEX:
        return None
    sides = [int(n) for n in np.frombuffer(_whole(parts[1][1], 4), order + "i4")]
    kind, stored = parts[3]
    if kind not in _TYPES or not 1 <= len(sides) <= MAX_SIDES or min(sides) < 0:
        raise ValueError("a matrix has no usable sides or an unknown type")
    values = np.frombuffer(_whole(stored, int(_TYPES[kind][1])), order + _TYPES[kind])
    if values.size != math.prod(sides):
        raise ValueError(f"a matrix of {sides} has {values.size} numbers")
    return _Matrix(parts[2][1].decode("ascii", "replace"), values.reshape(sides, order="F"))


def _whole(content: bytes, size: int) -> bytes:
    if len(content) % size:
        raise ValueError("an element ends within a number")
    return content
