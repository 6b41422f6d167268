"""What a PNG says of its colours without an ICC profile: a gamma and primaries, which become a profile with that meaning.

libvips passes over both chunks, and a picture saved without them is shown in other colours than before. Most state what is
assumed of files that say nothing, sRGB; pictures of old Macintoshes, and linear ones, do not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import InputError

__all__ = ["chunks_of", "colours_of_png"]

GAMMA = 1 / 2.2
"""Of sRGB, as PNG states it; within a twentieth of it nothing is to be seen (the PNG specification's own measure)."""
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290))
"""x and y of red, green, blue and white."""
NEAR = 0.005
D50 = (0.9642, 1.0, 0.8249)
"""The white of profiles, as X, Y, Z."""
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""From X, Y, Z to the responses by which white is adapted (ICC specification, annex E)."""
MOST = 4
"""Of X, Y, Z of a colour: more is no display's."""
LIKE_SRGB = ((1, 1), (1, 13))
"""Primaries and transfer of cICP (ITU-T H.273) that are shown as sRGB."""

Point = tuple[float, float]


def colours_of_png(name: str, head: bytes, grey: bool) -> bytes | None:
    """The ICC profile that says what the chunks before the picture in `head`, the beginning of a PNG, say of its colours.

    None where they say sRGB, nothing, or where the file has a profile of its own. Raises `InputError` for colours coded as
    no profile here can say, such as those of HDR.
    """
    chunks = {name: content for name, content, _ in chunks_of(head)}
    if b"iCCP" in chunks:
        return None
    coded = chunks.get(b"cICP", b"")
    if len(coded) == 4 and (coded[0], coded[1]) not in LIKE_SRGB:
        said = f"states its colours by code (cICP: primaries {coded[0]}, transfer {coded[1]})"
        raise InputError(f"{name}: {said}, which is not kept; convert it to sRGB or give it an ICC profile")
    gamma = int.from_bytes(chunks.get(b"gAMA", b""), "big") / 100_000
    if coded or b"sRGB" in chunks or not 0.1 <= gamma <= 10:
        return None
    points = _points(chunks.get(b"cHRM", b""))
    alike = all(
        abs(a - b) < NEAR for one, other in zip(points, SRGB, strict=True) for a, b in zip(one, other, strict=True)
    )
    if abs(gamma / GAMMA - 1) < 0.05 and (alike or grey):
        return None
    curve = b"curv" + struct.pack(">4xIH", 1, round(256 / gamma))
    if grey:
        return _profile(b"GRAY", {b"kTRC": curve})
    columns = _adapted(points).T
    places = {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    return _profile(b"RGB ", places | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def chunks_of(head: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Name, content and check sum of the chunks before the picture's own in `head`, the beginning of a PNG.

    Of the last one they may be cut short.
    """
    at = 8
    while at + 8 <= len(head):
        size, name = int.from_bytes(head[at : at + 4], "big"), head[at + 4 : at + 8]
        if name == b"IDAT":
            return
        yield name, head[at + 8 : at + 8 + size], head[at + 8 + size : at + 12 + size]
        at += 12 + size


def _points(data: bytes) -> tuple[Point, ...]:
    """Red, green, blue and white of a chunk cHRM, or sRGB's where it makes no sense."""
    if len(data) != 32:
        return SRGB
    white, *colours = ((x / 100_000, y / 100_000) for x, y in struct.iter_unpack(">II", data))
    points = (*colours, white)
    sane = all(0 < y <= 1 and 0 <= x <= 1 for x, y in points) and abs(np.linalg.det(_rows(colours))) > 1e-3
    return points if sane and np.abs(_adapted(points)).max() < MOST else SRGB


def _rows(points: list[Point] | tuple[Point, ...]) -> NDArray[np.float64]:
    """x, y, z of each."""
    return np.array([(x, y, 1 - x - y) for x, y in points])


def _adapted(points: tuple[Point, ...]) -> NDArray[np.float64]:
    """X, Y, Z under D50, in columns, of red, green and blue; together they are D50."""
    primaries, white = _rows(points[:3]).T, _rows(points[3:])[0] / points[3][1]
    matrix = primaries * np.linalg.solve(primaries, white)
    with np.errstate(all="ignore"):  # of what makes no sense
        change = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    return np.asarray(np.linalg.inv(BRADFORD) @ change @ BRADFORD @ matrix)


def _xyz(values: NDArray[np.float64] | tuple[float, ...]) -> bytes:
    return b"XYZ " + struct.pack(">4x3i", *(round(65536 * float(value)) for value in values))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2 for displays."""
    title = b"PNG gamma\0"
    about = b"desc" + struct.pack(">4xI", len(title)) + title + bytes(12 + 67)
    tags = {b"desc": about, b"cprt": b"text" + bytes(4) + b"CC0\0", b"wtpt": _xyz(D50), **tags}
    at, entries, content = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        entries += name + struct.pack(">II", at + len(content), len(data))
        content += data + bytes(-len(data) % 4)
    header = struct.pack(">I4xI", at + len(content), 0x02100000) + b"mntr" + space + b"XYZ "
    header += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(D50)[8:] + bytes(48)
    return header + struct.pack(">I", len(tags)) + entries + content
