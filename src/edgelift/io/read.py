"""Reading pictures strip by strip: the decoder runs from the top down once, and memory depends on the strip.

Exceptions, where a file cannot be decoded in order: interlaced PNG, progressive JPEG, WebP, GIF, AVIF and HEIC are held
by their decoders as a whole, of an animation one frame; pictures that EXIF turns or mirrors upside down are decoded at
once, beyond 100 MB into a temporary file.
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
from edgelift.io.codecs import require_decoder
from edgelift.io.depth import widen
from edgelift.io.formats import FORMATS, PictureFormat, format_of_bytes
from edgelift.io.gif import is_whole_gif
from edgelift.io.metadata import CONVERTED, Metadata, Timing, metadata_of, timing_of
from edgelift.io.png import colours_of_png
from edgelift.io.standard import HEAD_BYTES, STANDARD, input_name, standard_input
from edgelift.io.strips import Rows, Strip, with_hidden_filled
from edgelift.io.texts import with_texts
from edgelift.io.vips import Image, call, vips_errors

__all__ = ["DEFAULT_MAX_PIXELS", "PictureReader", "open_picture", "opened_file"]

DEFAULT_MAX_PIXELS = 2_000_000_000
"""Height × width × frames beyond which `open_picture` refuses a file unless told otherwise."""

_ANIMATION_CHUNK = b"\0\0\0\x08acTL"  # of PNG, always before the first IDAT
_ANIMATION_BRAND = b"ftypavis"  # of AVIF, of which libvips would read a still picture

_SEVERAL = (
    "holds several pages or frames, and only single pictures can be read, or animated GIF and WebP; split it first"
)
_PLAIN = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb16": 3}
"""libvips' names of the colour spaces that are passed through, and their number of colour channels."""


_Decoded = tuple[Image, Metadata, Timing | None, int]
"""The last three are those of `PictureReader`."""


class PictureReader:
    """A picture whose rows are read in order; a context manager, made by `open_picture`.

    Frames of an animation lie below each other: those of the second begin at row `height`.
    """

    path: Path
    name: str
    """What messages call it."""
    status: os.stat_result
    """Of the file that is read."""
    height: int
    """After the EXIF orientation was applied, as `width`; of one frame."""
    width: int
    timing: Timing | None
    """Of an animation; None for a single picture."""
    depth: int
    """Bits a channel in the file, 8 to 16."""
    dtype: np.dtype[Any]
    """uint8 for 8 bits and uint16, over its whole range, for more."""
    grey: bool
    """Stored as one colour channel."""
    alpha: bool
    """Has transparency."""
    metadata: Metadata

    def __init__(
        self, path: Path, status: os.stat_result, image: Image, metadata: Metadata, timing: Timing | None, depth: int
    ) -> None:
        self.path, self.name, self.status = path, input_name(path), status
        self.metadata, self.timing, self.depth = metadata, timing, depth
        self.height, self.width = image.height // self.frames, image.width
        self.dtype = np.dtype(np.uint8 if image.format == "uchar" else np.uint16)
        self.grey, self.alpha = image.bands < 3, image.bands in (2, 4)
        self._image: Image = image
        self._asked = (0, 0)
        self._rows = Rows(self._decode)
        if self.alpha:
            self._rows = with_hidden_filled(self._rows, self.height)

    @property
    def frames(self) -> int:
        """How many pictures lie below each other: 1 but for animations."""
        return len(self.timing.delays) if self.timing else 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def rows(self, start: int, stop: int) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Rows `start … stop - 1`: colour (rows × width × 3, RGB; grey replicated) and alpha (rows × width) or None.

        Requests may overlap, but neither bound may decrease from call to call; each stays within a frame. Alpha is
        straight; below fully transparent pixels the colour is that of the visible neighbourhood. The arrays are
        read-only. Raises `InputError` where the file is damaged and `RequestError` for rows that do not exist or were
        passed.
        """
        if self._image is None:
            raise RequestError(f"{self.name}: the reader is closed; open the picture again")
        if not 0 <= start < stop <= self.height * self.frames or start < self._asked[0] or stop < self._asked[1]:
            wanted = f"rows {start} to {stop} after rows {self._asked[0]} to {self._asked[1]}"
            of = f"{self.height * self.frames}"
            raise RequestError(f"{self.name}: {wanted} of {of} cannot be read; ask from the top down")
        if start // self.height != (stop - 1) // self.height:
            raise RequestError(f"{self.name}: rows {start} to {stop} are of two frames; ask for one frame at a time")
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
        with _decoding(self.name):
            # A region belongs to the thread that made it, and the caller's thread may change between strips.
            data = pyvips.Region.new(self._image).fetch(0, start, self.width, stop - start)
        return np.frombuffer(data, self.dtype).reshape(stop - start, self.width, -1)


def open_picture(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS, animated: bool = False) -> PictureReader:
    """Open a picture, known by its content, not by its name; `-` is standard input. `FORMATS` lists what can be read.

    `animated` takes GIF and WebP animations too, whose frames come fully composed. Orientation in EXIF is applied. Grey
    and RGB samples stay as they are and keep their ICC profile, unless that is none; CMYK and Lab are converted to
    sRGB. Raises `InputError` for what is missing, damaged, not a single picture of 8 or 16 bits a channel, or larger
    than `max_pixels`; damage may show only when its rows are read, and JPEG, WebP and GIF, which have no check sums,
    may hide it.
    """
    path = Path(path)
    try:
        with opened_file(path) as file, _decoding(input_name(path)):
            return _open(path, file, max_pixels, animated)
    except OSError as exc:
        raise InputError(
            f"{input_name(path)}: cannot be read ({exc.strerror}); check the name and the permissions"
        ) from exc


def opened_file(path: Path) -> FileIO:
    """A picture's file, or standard input, at its beginning. Raises `InputError` for what is no file, and `OSError`."""
    if path == STANDARD:
        return standard_input(lambda head: format_of_bytes(head) is not None)
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise InputError(f"{path}: is {what}; name one picture file")
    return FileIO(path)


def _decoding(name: str) -> AbstractContextManager[None]:
    problem = "cannot be decoded and may be damaged or cut short"
    return vips_errors(InputError, name, problem, "get an intact copy or save it anew as PNG")


def _open(path: Path, file: FileIO, max_pixels: int, animated: bool) -> PictureReader:
    name = input_name(path)
    file.seek(0)
    head = file.read(HEAD_BYTES)
    kind = _identify(name, head)
    if kind.name == "GIF" and not is_whole_gif(file):
        raise InputError(f"{name}: cannot be decoded, as it is damaged or cut short; get an intact copy")
    image = _with_colours(name, head, kind, _load(file, kind, "sequential"))
    frames = _field(image, "n-pages", 1)
    _require_room(name, image.height, image.width, frames, max_pixels)
    if frames > 1 and not (animated and kind.animated):
        raise InputError(f"{name}: {_SEVERAL}")
    decoded = _still(name, file, head, kind, image) if frames == 1 else _animation(name, file, kind, frames)
    return PictureReader(path, os.fstat(file.fileno()), *decoded)


def _still(name: str, file: FileIO, head: bytes, kind: PictureFormat, image: Image) -> _Decoded:
    orientation = _field(image, "orientation", 1)
    if orientation in range(3, 9) or kind.name == "GIF":  # 2 mirrors each row and can stream
        image = _with_colours(name, head, kind, _load(file, kind, "random"))
    if kind.name == "GIF" and image.bands == 4 and image[3].min() == 255:
        image = image[:3]  # most GIFs name a transparent colour and not all of them use it
    turned = orientation in range(2, 9)
    if turned:
        image = image.autorot()
    # libvips itself turns AVIF and HEIC, whatever EXIF and XMP say.
    metadata, depth = metadata_of(image, turned or kind.loader == "heifload_source"), _depth(image, kind)
    if kind.name == "PNG":
        metadata = with_texts(metadata, head)
    image = _plain(name, image)
    return widen(image, depth) if 8 < depth < 16 else image, metadata, None, depth


def _animation(name: str, file: FileIO, kind: PictureFormat, frames: int) -> _Decoded:
    image = _load(file, kind, "sequential", n=-1)
    if _field(image, "orientation", 1) in range(2, 9):
        raise InputError(f"{name}: is an animation that EXIF turns, which is not done; save it turned")
    return _plain(name, image), metadata_of(image, False), timing_of(image, frames), 8


def _identify(name: str, head: bytes) -> PictureFormat:
    if not head:
        raise InputError(f"{name}: is empty (0 bytes); get an intact copy")
    kind = format_of_bytes(head)
    if kind is None:
        known = ", ".join(row.name for row in FORMATS if row.usual)
        raise InputError(f"{name}: is not a picture that can be read (starts with {head[:8]!r}); use one of {known}")
    if _ANIMATION_CHUNK in head.partition(b"IDAT")[0] or head.startswith(_ANIMATION_BRAND, 4):
        raise InputError(f"{name}: {_SEVERAL}")
    require_decoder(name, kind)
    return kind


def _require_room(name: str, height: int, width: int, frames: int, max_pixels: int) -> None:
    pixels = height * width * frames
    if pixels > max_pixels:
        size = f"{width}×{height}{f'×{frames} frames' if frames > 1 else ''} = {pixels} pixels"
        advice = "raise it (--max-pixels) to read the picture"
        raise InputError(f"{name}: has {size}, more than max_pixels = {max_pixels}; {advice}")


def _load(file: FileIO, kind: PictureFormat, access: str, **options: Any) -> Image:
    file.seek(0)
    source = pyvips.Source.new_from_descriptor(file.fileno())  # which duplicates the descriptor
    return call(kind.loader, source, access=access, fail_on="error", **options)


def _with_colours(name: str, head: bytes, kind: PictureFormat, image: Image) -> Image:
    """`image` with a profile for what else its file says of its colours."""
    if kind.name != "PNG":
        return image
    profile = colours_of_png(name, head, image.bands < 3)
    if profile is None:
        return image
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


def _field(image: Image, name: str, default: int) -> int:
    return int(image.get(name)) if image.get_typeof(name) else default


def _depth(image: Image, kind: PictureFormat) -> int:
    """Bits a channel; only AVIF and HEIC store other numbers than 8 and 16, and are not given as 16 by libvips."""
    if image.format == "uchar" or kind.depth == 16:
        return 8 if image.format == "uchar" else 16
    return _field(image, "bits-per-sample", _field(image, "heif-bitdepth", kind.depth))


def _plain(name: str, image: Image) -> Image:
    """`image` as 1 … 4 channels of grey or RGB and alpha, 8 or 16 bits each."""
    if image.interpretation in CONVERTED:
        image = _to_srgb(image)
    if image.format not in ("uchar", "ushort"):
        raise InputError(f"{name}: holds {image.format} samples; save it with whole numbers of 8 or 16 bits a channel")
    colours = _PLAIN.get(image.interpretation, 0)
    if image.bands - colours not in (0, 1):
        what = f"{image.bands} channels of colour space {image.interpretation}"
        raise InputError(f"{name}: holds {what}; save it as grey, RGB, CMYK or Lab with at most one alpha channel")
    return image


def _to_srgb(image: Image) -> Image:
    deep = image.format in ("ushort", "short")
    if image.interpretation == "cmyk" and image.get_typeof("icc-profile-data"):
        return image.icc_transform("srgb", embedded=True, input_profile="cmyk", depth=16 if deep else 8)
    return image.colourspace("rgb16" if deep else "srgb")
