"""The picture formats as one table: how each is known, read and written, and what it holds. A new one is a new row."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgelift.core.errors import RequestError
from edgelift.io.standard import STANDARD

__all__ = ["COORDINATE_LIMIT", "FORMATS", "SUFFIXES", "PictureFormat", "format_of_bytes", "format_of_suffix", "usual"]


@dataclass(frozen=True)
class PictureFormat:
    """One row of the table."""

    name: str
    """The word used in messages."""
    suffixes: tuple[str, ...]
    """Lower case, with the dot; the first is the usual one."""
    start: re.Pattern[bytes]
    """What a file of it begins with."""
    loader: str
    """The libvips operation that reads it from a source."""
    saver: str | None
    """The libvips operation that writes it to a target; None for formats that are only read."""
    max_side: int
    """The longest side that the encoder takes, in pixels."""
    depth: int
    """The most bits a channel."""
    alpha: bool
    """Holds transparency."""
    grey: bool
    """Holds a single colour channel; without it the encoder replicates grey."""
    density: bool
    """Says the resolution itself; others, as libvips writes them, need EXIF for it."""
    options: Mapping[str, Any]
    """Fixed options of `saver`."""
    quality: int | None = None
    """Of lossy formats that have one, 1 … 100, where nothing else is asked for."""
    level: Callable[[int], Mapping[str, Any]] | None = None
    """From a level of compression, 0 … 9, to options of `saver`, for formats that have one."""
    lossless: Mapping[str, Any] | None = None
    """The options that make `saver` lossless: none where it always is, None where it never is."""
    profile: bool = True
    """Holds an ICC profile; without it colours become sRGB."""
    full_colour: bool = True
    """Holds every colour; else 256 of them, one of which may be transparent."""
    animated: bool = False
    """Holds frames with their timing."""
    usual: bool = True
    """libvips as it is usually built reads and writes it."""
    room: Mapping[str, int] = field(default_factory=dict)
    """Bytes of metadata, by libvips' names, that are written at most, where not any number is."""
    huge: Mapping[str, Any] = field(default_factory=dict)
    """Further options of `saver` where the raw samples need about 4 GiB or more."""


COORDINATE_LIMIT = 10_000_000  # of libvips before 8.16; later ones allow more

FORMATS: tuple[PictureFormat, ...] = (
    PictureFormat(
        name="PNG",
        suffixes=(".png",),
        start=re.compile(rb"\x89PNG\r\n\x1a\n"),
        loader="pngload_source",
        saver="pngsave_target",
        max_side=COORDINATE_LIMIT,
        depth=16,
        alpha=True,
        grey=True,
        density=True,
        # Level 2 makes photographs a quarter smaller than 1; 6 would save 2 % more and take a fifth longer.
        options={"compression": 2, "filter": "up"},
        level=lambda level: {"compression": level},
        lossless={},
        room={"iptc-data": 0},
    ),
    PictureFormat(
        name="JPEG",
        suffixes=(".jpg", ".jpeg"),
        start=re.compile(rb"\xff\xd8\xff"),
        loader="jpegload_source",
        saver="jpegsave_target",
        max_side=65_500,  # JPEG_MAX_DIMENSION of libjpeg; the format itself ends at 65535
        depth=8,
        alpha=False,
        grey=True,
        density=False,
        options={"subsample_mode": "off"},
        quality=95,
        # One segment each, and libvips' own limit of XMP; to EXIF it adds a little.
        room={"exif-data": 65_000, "xmp-data": 60_000, "iptc-data": 65_533},
    ),
    PictureFormat(
        name="WebP",
        suffixes=(".webp",),
        start=re.compile(rb"(?s).{8}WEBP"),
        loader="webpload_source",
        saver="webpsave_target",
        max_side=16_383,
        depth=8,
        alpha=True,
        grey=False,
        density=False,
        options={},
        quality=95,
        lossless={"lossless": True},
        animated=True,
        room={"iptc-data": 0},
    ),
    PictureFormat(
        name="TIFF",
        suffixes=(".tif", ".tiff"),
        start=re.compile(rb"II[*+]\0|MM\0[*+]"),
        loader="tiffload_source",
        saver="tiffsave_target",
        max_side=COORDINATE_LIMIT,
        depth=16,
        alpha=True,
        grey=True,
        density=True,
        options={"compression": "deflate", "predictor": "horizontal"},
        level=lambda level: {"level": level} if level else {"compression": "none"},
        lossless={},
        huge={"bigtiff": True},
        room={"exif-data": 0},
    ),
    PictureFormat(
        name="AVIF",
        suffixes=(".avif",),
        start=re.compile(rb"(?s).{4}ftyp(?:avi[fs]|(?:mif1|msf1).{4}(?:.{4}){0,8}?avi[fs])"),
        loader="heifload_source",
        saver="heifsave_target",
        max_side=16_384,  # of libvips
        depth=12,
        alpha=True,
        grey=False,
        density=False,
        # Effort 2 takes an eighth of the time of libvips' own 4; files are 4 % larger and 1 dB worse.
        options={"compression": "av1", "subsample_mode": "off", "effort": 2},
        quality=90,  # a photograph in half the bytes of JPEG's 95, at the same PSNR
        lossless={"lossless": True},
        room={"iptc-data": 0},
    ),
    PictureFormat(
        name="HEIC",
        suffixes=(".heic", ".heif"),
        start=re.compile(rb"(?s).{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)"),
        loader="heifload_source",
        saver="heifsave_target",
        max_side=16_384,
        depth=10,
        alpha=True,
        grey=False,
        density=False,
        options={"compression": "hevc", "subsample_mode": "off"},
        quality=90,
        lossless={"lossless": True},
        usual=False,  # HEVC is patented: wheels of libvips come without it
        room={"iptc-data": 0},
    ),
    PictureFormat(
        name="GIF",
        suffixes=(".gif",),
        start=re.compile(rb"GIF8[79]a"),
        loader="gifload_source",
        saver="gifsave_target",
        max_side=65_535,
        depth=8,
        alpha=True,
        grey=False,
        density=False,
        options={"keep_duplicate_frames": True},
        profile=False,
        full_colour=False,
        animated=True,
        room={"exif-data": 0, "xmp-data": 0, "iptc-data": 0},
    ),
    PictureFormat(
        name="BMP",
        suffixes=(".bmp",),
        start=re.compile(rb"(?s)BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"),  # and the size of its second header
        loader="magickload_source",
        saver=None,  # ImageMagick's does not write to a target
        max_side=65_535,
        depth=8,
        alpha=True,
        grey=False,
        density=True,
        options={},
        lossless={},
        usual=False,  # only where libvips was built with ImageMagick
    ),
)

SUFFIXES: dict[str, PictureFormat] = {suffix: row for row in FORMATS for suffix in row.suffixes}
"""Lower-case suffix with its dot -> format, for reading and writing."""


def usual(*, frames: int = 1) -> list[PictureFormat]:
    """The formats that are worth advising, for single pictures or for animations."""
    return [row for row in FORMATS if row.usual and (row.animated if frames > 1 else row.full_colour)]


def format_of_bytes(head: bytes) -> PictureFormat | None:
    """The format of a file that begins with `head` (at least 64 bytes), whatever its name says."""
    return next((row for row in FORMATS if row.start.match(head)), None)


def format_of_suffix(path: Path, asked: str | None = None) -> PictureFormat:
    """The format to write: `asked` ("png" or ".png") where given, else from the suffix of `path`; case does not matter.

    Raises `RequestError` that lists the known suffixes.
    """
    known = ", ".join(suffix for suffix, row in SUFFIXES.items() if row.saver and row.usual)
    if path == STANDARD and asked is None:
        raise RequestError(f"standard output has no suffix; say --format (format=) with one of {known}")
    suffix = path.suffix if asked is None else f".{asked.removeprefix('.')}"
    row = SUFFIXES.get(suffix.lower())
    if row is None:
        came = f"the suffix {suffix!r}" if suffix else "a name without a suffix"
        raise RequestError(f"{path}: cannot write {came}; choose one of {known}")
    return row
