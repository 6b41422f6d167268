"""The picture formats as one table: how each is known, read and written, and what it holds. A new one is a new row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgelift.core.errors import RequestError

__all__ = ["FORMATS", "SUFFIXES", "PictureFormat", "format_of_bytes", "format_of_suffix"]


@dataclass(frozen=True)
class PictureFormat:
    """One row of the table."""

    name: str
    """The word used in messages."""
    suffixes: tuple[str, ...]
    """Lower case, with the dot; the first is the usual one."""
    starts: tuple[tuple[int, bytes], ...]
    """Each `(offset, bytes)` marks the format on its own."""
    loader: str
    """The libvips operation that reads it from a source."""
    saver: str
    """The libvips operation that writes it to a target."""
    max_side: int
    """The longest side that the encoder takes, in pixels."""
    deep: bool
    """Holds 16 bits a channel."""
    alpha: bool
    """Holds transparency."""
    grey: bool
    """Holds a single colour channel; without it the encoder replicates grey."""
    density: bool
    """Says the resolution itself; others, as libvips writes them, need EXIF for it."""
    options: Mapping[str, Any]
    """Fixed options of `saver`."""
    quality: str | None = None
    """The option of `saver` that takes 1 … 100, for lossy formats."""
    huge: Mapping[str, Any] = field(default_factory=dict)
    """Further options of `saver` where the raw samples need about 4 GiB or more."""


_COORDINATE_LIMIT = 10_000_000  # of libvips before 8.16; later ones allow more

FORMATS: tuple[PictureFormat, ...] = (
    PictureFormat(
        name="PNG",
        suffixes=(".png",),
        starts=((0, b"\x89PNG\r\n\x1a\n"),),
        loader="pngload_source",
        saver="pngsave_target",
        max_side=_COORDINATE_LIMIT,
        deep=True,
        alpha=True,
        grey=True,
        density=True,
        # Level 2 makes photographs a quarter smaller than 1; 6 would save 2 % more and take a fifth longer.
        options={"compression": 2, "filter": "up"},
    ),
    PictureFormat(
        name="JPEG",
        suffixes=(".jpg", ".jpeg"),
        starts=((0, b"\xff\xd8\xff"),),
        loader="jpegload_source",
        saver="jpegsave_target",
        max_side=65_500,  # JPEG_MAX_DIMENSION of libjpeg; the format itself ends at 65535
        deep=False,
        alpha=False,
        grey=True,
        density=False,
        options={"subsample_mode": "off"},
        quality="Q",
    ),
    PictureFormat(
        name="WebP",
        suffixes=(".webp",),
        starts=((8, b"WEBP"),),
        loader="webpload_source",
        saver="webpsave_target",
        max_side=16_383,
        deep=False,
        alpha=True,
        grey=False,
        density=False,
        options={},
        quality="Q",
    ),
    PictureFormat(
        name="TIFF",
        suffixes=(".tif", ".tiff"),
        starts=((0, b"II*\0"), (0, b"MM\0*"), (0, b"II+\0"), (0, b"MM\0+")),
        loader="tiffload_source",
        saver="tiffsave_target",
        max_side=_COORDINATE_LIMIT,
        deep=True,
        alpha=True,
        grey=True,
        density=True,
        options={"compression": "deflate", "predictor": "horizontal"},
        huge={"bigtiff": True},
    ),
)

SUFFIXES: dict[str, PictureFormat] = {suffix: row for row in FORMATS for suffix in row.suffixes}
"""Lower-case suffix with its dot -> format, for reading and writing."""


def format_of_bytes(head: bytes) -> PictureFormat | None:
    """The format of a file that begins with `head` (at least 12 bytes), whatever its name says."""
    for row in FORMATS:
        if any(head.startswith(mark, offset) for offset, mark in row.starts):
            return row
    return None


def format_of_suffix(path: Path, asked: str | None = None) -> PictureFormat:
    """The format to write: `asked` ("png" or ".png") where given, else from the suffix of `path`; case does not matter.

    Raises `RequestError` that lists the known suffixes.
    """
    suffix = path.suffix if asked is None else f".{asked.removeprefix('.')}"
    row = SUFFIXES.get(suffix.lower())
    if row is None:
        came = f"the suffix {suffix!r}" if suffix else "a name without a suffix"
        raise RequestError(f"{path}: cannot write {came}; choose one of {', '.join(SUFFIXES)}")
    return row
