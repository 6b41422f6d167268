"""Reading pictures strip by strip: the decoder runs from the top down once, and memory depends on the strip.

Exceptions, where a file cannot be decoded in order: interlaced PNG, progressive JPEG and WebP are held by their
decoders as a whole; pictures that EXIF turns or mirrors upside down are decoded at once, beyond 100 MB into a
temporary file.
"""

from __future__ import annotations

import os
import stat
from contextlib import AbstractContextManager
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyvips
from numpy.typing import NDArray

from edgelift.core.errors import InputError, RequestError
from edgelift.io.formats import FORMATS, PictureFormat, format_of_bytes
from edgelift.io.metadata import CONVERTED, Metadata, metadata_of
from edgelift.io.strips import Rows, Strip, with_hidden_filled
from edgelift.io.vips import Image, call, vips_errors

__all__ = ["DEFAULT_MAX_PIXELS", "PictureReader", "open_picture"]

DEFAULT_MAX_PIXELS = 2_000_000_000
"""Height × width beyond which `open_picture` refuses a file unless told otherwise."""

_HEAD_BYTES = 65_536
_ANIMATION_CHUNK = b"\0\0\0\x08acTL"  # of PNG, always before the first IDAT

_PLAIN = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb16": 3}
"""libvips' names of the colour spaces that are passed through, and their number of colour channels."""


class PictureReader:
    """A picture whose rows are read in order; a context manager, made by `open_picture`."""

    path: Path
    height: int
    """After the EXIF orientation was applied, as `width`."""
    width: int
    dtype: np.dtype[Any]
    """uint8 or uint16, straight from the file."""
    grey: bool
    """Stored as one colour channel."""
    alpha: bool
    """Has transparency."""
    metadata: Metadata

    def __init__(self, path: Path, image: Image, metadata: Metadata) -> None:
        self.path, self.metadata = path, metadata
        self.height, self.width = image.height, image.width
        self.dtype = np.dtype(np.uint8 if image.format == "uchar" else np.uint16)
        self.grey, self.alpha = image.bands < 3, image.bands in (2, 4)
        self._image: Image = image
        self._asked = (0, 0)
        self._rows = Rows(self._decode)
        if self.alpha:
            self._rows = with_hidden_filled(self._rows, self.height)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def rows(self, start: int, stop: int) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Rows `start … stop - 1`: colour (rows × width × 3, RGB; grey replicated) and alpha (rows × width) or None.

        Requests may overlap, but neither bound may decrease from call to call. Alpha is straight; below fully
        transparent pixels the colour is that of the visible neighbourhood. The arrays are read-only. Raises
        `InputError` where the file is damaged and `RequestError` for rows that do not exist or were passed.
        """
        if self._image is None:
            raise RequestError(f"{self.path}: the reader is closed; open the picture again")
        if not 0 <= start < stop <= self.height or start < self._asked[0] or stop < self._asked[1]:
            wanted = f"rows {start} to {stop} after rows {self._asked[0]} to {self._asked[1]}"
            raise RequestError(f"{self.path}: {wanted} of {self.height} cannot be read; ask from the top down")
        self._asked = (start, stop)
        strip = self._rows.get(start, stop)
        colour = strip[..., : 1 if self.grey else 3]
        colour = np.repeat(colour, 3, axis=2) if self.grey else np.ascontiguousarray(colour)
        alpha = np.ascontiguousarray(strip[..., -1]) if self.alpha else None
        for array in (colour, alpha):
            if array is not None:
                array.flags.writeable = False  # they may share the reader's own rows
        return colour, alpha

    def close(self) -> None:
        """Let go of the file; calling it again does nothing."""
        self._image = None
        self._rows = Rows(self._decode)

    def _decode(self, start: int, stop: int) -> Strip:
        with _decoding(self.path):
            # A region belongs to the thread that made it, and the caller's thread may change between strips.
            data = pyvips.Region.new(self._image).fetch(0, start, self.width, stop - start)
        return np.frombuffer(data, self.dtype).reshape(stop - start, self.width, -1)


def open_picture(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> PictureReader:
    """Open a PNG, JPEG, WebP or TIFF picture, known by its content, not by its name.

    Orientation in EXIF is applied. Grey and RGB samples stay as they are and keep their ICC profile; CMYK and Lab are
    converted to sRGB. Raises `InputError` for what is missing, damaged, not a single picture of 8 or 16 bits a channel,
    or larger than `max_pixels`; damage may show only when its rows are read, and JPEG and WebP, which have no check
    sums, may hide it.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise InputError(f"{path}: is {what}; name one picture file")
        with FileIO(path) as file, _decoding(path):
            return _open(path, file, max_pixels)
    except OSError as exc:
        raise InputError(f"{path}: cannot be read ({exc.strerror}); check the name and the permissions") from exc


def _decoding(path: Path) -> AbstractContextManager[None]:
    problem = f"{path}: cannot be decoded and may be damaged or cut short"
    return vips_errors(InputError, problem, "get an intact copy or save it anew as PNG")


def _open(path: Path, file: FileIO, max_pixels: int) -> PictureReader:
    kind = _identify(path, file)
    image = _load(file, kind, "sequential")
    if image.width * image.height > max_pixels:
        size = f"{image.width}×{image.height} = {image.width * image.height} pixels"
        raise InputError(f"{path}: has {size}, more than max_pixels = {max_pixels}; raise max_pixels to read it")
    _require_single(path, _field(image, "n-pages", 1))
    orientation = _field(image, "orientation", 1)
    if orientation in range(3, 9):  # 2 mirrors each row and can stream
        image = _load(file, kind, "random")
    turned = orientation in range(2, 9)
    if turned:
        image = image.autorot()
    return PictureReader(path, _plain(path, image), metadata_of(image, turned))


def _identify(path: Path, file: FileIO) -> PictureFormat:
    head = file.read(_HEAD_BYTES)
    if not head:
        raise InputError(f"{path}: is empty (0 bytes); get an intact copy")
    kind = format_of_bytes(head)
    if kind is None:
        known = ", ".join(row.name for row in FORMATS)
        raise InputError(f"{path}: is not a picture that can be read (starts with {head[:8]!r}); use one of {known}")
    _require_single(path, 2 if _ANIMATION_CHUNK in head.partition(b"IDAT")[0] else 1)
    return kind


def _require_single(path: Path, pages: int) -> None:
    if pages > 1:
        raise InputError(f"{path}: holds several pages or frames, and single pictures can be read; split it first")


def _load(file: FileIO, kind: PictureFormat, access: str) -> Image:
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    source = pyvips.Source.new_from_descriptor(file.fileno())  # which duplicates the descriptor
    return call(kind.loader, source, access=access, fail_on="error")


def _field(image: Image, name: str, default: int) -> int:
    return int(image.get(name)) if image.get_typeof(name) else default


def _plain(path: Path, image: Image) -> Image:
    """`image` as 1 … 4 channels of grey or RGB and alpha, 8 or 16 bits each."""
    if image.interpretation in CONVERTED:
        image = _to_srgb(image)
    if image.format not in ("uchar", "ushort"):
        raise InputError(f"{path}: holds {image.format} samples; save it with whole numbers of 8 or 16 bits a channel")
    colours = _PLAIN.get(image.interpretation, 0)
    if image.bands - colours not in (0, 1):
        what = f"{image.bands} channels of colour space {image.interpretation}"
        raise InputError(f"{path}: holds {what}; save it as grey, RGB, CMYK or Lab with at most one alpha channel")
    return image


def _to_srgb(image: Image) -> Image:
    deep = image.format in ("ushort", "short")
    if image.interpretation == "cmyk" and image.get_typeof("icc-profile-data"):
        return image.icc_transform("srgb", embedded=True, input_profile="cmyk", depth=16 if deep else 8)
    return image.colourspace("rgb16" if deep else "srgb")
