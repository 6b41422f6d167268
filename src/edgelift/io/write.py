"""Writing pictures strip by strip: an encoder thread works while the next rows come, and the file appears at the end.

Rows go through a `Feed` to libvips, which encodes into a hidden file beside the target. It takes the target's name
when it is complete and on the disk; until then, and after any error, nothing under that name changes.

The encoders of WebP, AVIF and HEIC hold the picture as a whole, that of GIF a frame; of animated WebP a frame and what
is encoded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyvips
from numpy.typing import NDArray

from edgelift.core.errors import OutputError, RequestError
from edgelift.io.depth import narrow
from edgelift.io.encoding import encoder_options
from edgelift.io.feed import Feed
from edgelift.io.formats import COORDINATE_LIMIT, PictureFormat, format_of_suffix, usual
from edgelift.io.metadata import Metadata, animate, describe
from edgelift.io.places import Place, place_for, write_failed
from edgelift.io.read import PictureReader
from edgelift.io.standard import output_name
from edgelift.io.texts import leave_room, put_texts, texts_for
from edgelift.io.vips import Image, call, vips_errors

__all__ = ["PictureWriter", "check_picture", "create_picture"]

HUGE_BYTES = 4_000_000_000
"""Raw samples from which the 32-bit offsets of a plain TIFF might not reach."""
_BLOCKS = {"exif-data": "EXIF", "xmp-data": "XMP", "iptc-data": "IPTC"}
"""libvips' names of metadata that not every format holds."""


class PictureWriter:
    """A picture that is written in rows from the top; a context manager, made by `create_picture`.

    Leaving the block normally completes the file and gives it its name; leaving it with an exception leaves nothing.
    """

    path: Path
    height: int
    """Of one frame; of an animation as many rows are written as all frames have."""
    width: int

    def __init__(
        self,
        path: Path,
        place: Place,
        height: int,
        width: int,
        like: PictureReader,
        kind: PictureFormat,
        options: dict[str, Any],
    ) -> None:
        self.path, self.height, self.width = path, height, width
        self._place, self._like, self._kind, self._options = place, like, kind, options
        self._channels = (1 if like.grey else 3) + like.alpha
        self._rows = height * like.frames
        self._written = 0
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._feed = Feed(self._rows, self.width, self._channels, 8 * self._like.dtype.itemsize)
        self._thread = Thread(target=self._encode, args=[self._place.open()], name="edgelift-encoder", daemon=True)
        self._thread.start()
        return self

    def write(self, colour: NDArray[Any], alpha: NDArray[Any] | None) -> None:
        """The next rows: colour (rows × width × 3, RGB) and, where the picture has transparency, alpha (rows × width).

        Both have the sample type of the picture read; of a grey picture the green channel is taken. The arrays are
        copied. Waits while the encoder is behind. Raises `OutputError` where the encoder failed and `RequestError`
        for arrays that do not fit.
        """
        self._check(colour, alpha)
        samples = colour[..., 1:2] if self._like.grey else colour
        if alpha is not None:
            samples = np.concatenate([samples, alpha[..., None]], axis=2)
        if not self._feed.put(samples.tobytes()):
            self._raise_error()
        self._written += len(colour)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._feed.stop()
            self._thread.join()
            self._place.close()

    def _check(self, colour: NDArray[Any], alpha: NDArray[Any] | None) -> None:
        rows, dtype, name = len(colour), self._like.dtype, self._place.name
        if colour.shape != (rows, self.width, 3) or colour.dtype != dtype:
            raise RequestError(
                f"{name}: expected colour of (rows, {self.width}, 3) {dtype}, got {colour.shape} {colour.dtype}"
            )
        if (alpha is not None) != self._like.alpha:
            raise RequestError(f"{name}: alpha must be {'given' if self._like.alpha else 'None'}, as it was read")
        if alpha is not None and (alpha.shape != colour.shape[:2] or alpha.dtype != dtype):
            raise RequestError(f"{name}: expected alpha of {colour.shape[:2]} {dtype}, got {alpha.shape} {alpha.dtype}")
        if self._written + rows > self._rows:
            raise RequestError(f"{name}: got {self._written + rows} rows, and the picture has {self._rows}")

    def _encode(self, descriptor: int) -> None:
        """In the encoder's thread: from the first row to the last byte."""
        try:
            with vips_errors(OutputError, self._place.name, "cannot be written", "check the disk's space"):
                self._save(descriptor)
        except BaseException as exc:
            self._error = exc
        finally:
            self._feed.stop()

    def _save(self, descriptor: int) -> None:
        assert self._kind.saver is not None
        texts, metadata = texts_for(self._like.metadata) if self._kind.name == "PNG" else (b"", self._like.metadata)
        leave_room(descriptor, texts)
        target = pyvips.Target.new_to_descriptor(descriptor)  # which duplicates the descriptor
        call(self._kind.saver, self._image(metadata), target, **self._saver_options())
        if texts:
            put_texts(descriptor, texts)

    def _image(self, metadata: Metadata) -> Image:
        """The picture to come, as the saver takes it."""
        image = describe(self._feed.image(), metadata)
        if self._like.timing is not None:
            image = animate(image, self._like.timing)
        if not self._kind.profile and self._like.metadata.has("icc-profile-data"):
            image = image.icc_transform("srgb", embedded=True)
        return narrow(image, self._like.depth) if self._narrow else image

    @property
    def _narrow(self) -> bool:
        return 8 < self._like.depth < 16 and self._kind.depth < 16

    def _saver_options(self) -> dict[str, Any]:
        options = dict(self._options)
        if self._narrow:
            options["bitdepth"] = self._like.depth
        if self._rows * self.width * self._channels * self._like.dtype.itemsize >= HUGE_BYTES:
            options.update(self._kind.huge)
        metadata = self._like.metadata
        if not metadata.has("exif-data") and (self._kind.density or metadata.resolution is None):
            options["keep"] = "xmp|iptc|icc|other"  # libvips would make up an EXIF block that says nothing
        return options

    def _finish(self) -> None:
        if self._written < self._rows:
            what = f"got {self._written} of {self._rows} rows, so no file was made; write all rows"
            raise OutputError(f"{self._place.name}: {what}")
        self._thread.join()
        if self._error is not None:
            self._raise_error()
        self._place.keep()

    def _raise_error(self) -> None:
        if isinstance(self._error, OutputError):
            raise self._error
        if isinstance(self._error, OSError):  # texts are put into a PNG without libvips
            raise write_failed(self._place.name, self._error) from self._error
        reason = f"{self._place.name}: the encoder stopped early ({self._error!r}); please report this"
        raise OutputError(reason) from self._error


def create_picture(
    path: Path,
    height: int,
    width: int,
    like: PictureReader,
    *,
    format: str | None = None,
    overwrite: bool = False,
    quality: int | None = None,
    compression: int | None = None,
    lossless: bool = False,
    warn: Callable[[str], object] = lambda text: None,
) -> PictureWriter:
    """Prepare to write a picture of that size with the samples, channels, metadata and, if any, timing of `like`.

    `path` may be `-`, standard output. `format` ("png", "jpg", "webp", "tif", "avif", "gif" …) overrides its suffix.
    `quality`, 1 … 100, is for JPEG and AVIF, which are always 4:4:4, and WebP; None is the format's usual one.
    `compression`, 0 … 9, is for PNG and TIFF: more takes longer and makes smaller files. `lossless` is a mode of WebP
    and AVIF, which keep what can be seen as it is, and of PNG and TIFF the only one.

    EXIF goes into all but TIFF, which libvips writes without, and GIF, which holds no metadata; IPTC into JPEG and TIFF
    alone; and into JPEG what one of its segments holds. `warn` hears what is left out. Colours of an ICC profile become
    sRGB in GIF, which has 256 colours a frame, chosen and dithered by libvips, and either full transparency or none; its
    delays are whole hundredths of a second. WebP shows frames of up to 10 ms for 100, as browsers do. The disk is touched
    when the writer's `with` block begins.

    Raises `RequestError` where the format cannot hold what `like` has, or lacks what is asked for, and `OutputError`
    where the size is beyond the format, this libvips does not write it or the target cannot be made: its folder is
    missing or read-only, it exists and `overwrite` is not set, or it is the picture being read.
    """
    path = Path(path)
    kind = check_picture(path, height, width, like, format)
    options = encoder_options(path, kind, quality, compression, lossless)
    place = place_for(path, like.status, overwrite)
    for text in _left_out(kind, like):
        warn(text)
    return PictureWriter(path, place, height, width, like, kind, options)


def check_picture(path: Path, height: int, width: int, like: PictureReader, format: str | None = None) -> PictureFormat:
    """The format of a picture of that size at `path`. Raises as `create_picture` where it cannot hold that, or what `like`
    has; the place itself is not looked at."""
    kind = format_of_suffix(path, format)
    _require_room(path, kind, like)
    _require_size(path, kind, like, height, width)
    return kind


def _able(like: PictureReader) -> list[PictureFormat]:
    return [row for row in usual(frames=like.frames) if row.depth >= like.depth and row.alpha >= like.alpha]


def _left_out(kind: PictureFormat, like: PictureReader) -> list[str]:
    """What is said of the metadata of `like` that the format has no room for; the same of every such picture."""
    texts = []
    for name, word in _BLOCKS.items():
        size = max((len(value) for field, _, value in like.metadata.fields if field == name), default=0)
        if size > kind.room.get(name, size):
            most = f"no {word}" if not kind.room[name] else f"at most {kind.room[name]} bytes of {word}"
            able = [row.suffixes[0] for row in _able(like) if size <= row.room.get(name, size)]
            texts.append(f"{kind.name} holds {most}, and what there is of it is left out{_advice(able)}")
    return texts


def _advice(suffixes: list[str]) -> str:
    return f"; to keep it choose {' or '.join(suffixes)}" if suffixes else ""


def _require_room(path: Path, kind: PictureFormat, like: PictureReader) -> None:
    """That the format holds the frames, samples, channels and profile of `like`."""
    lacks, able = None, _able(like)
    if like.frames > 1 and not kind.animated:
        lacks = f"{kind.name} holds a single picture and {like.name} is an animation of {like.frames} frames"
    elif like.depth > kind.depth:
        lacks = f"{kind.name} holds {kind.depth} bits a channel and {like.name} has {like.depth}"
    elif like.alpha and not kind.alpha:
        lacks = f"{kind.name} holds no transparency and {like.name} has some"
    elif like.grey and kind.profile and not kind.grey and like.metadata.has("icc-profile-data"):
        lacks = f"{kind.name} holds no grey and {like.name} has an ICC profile for grey"
        able = [row for row in able if row.grey]
    if lacks:
        advice = f"choose {' or '.join(row.suffixes[0] for row in able)}, by name or --format (format=)"
        raise RequestError(f"{output_name(path)}: {lacks}; {advice}")


def _require_size(path: Path, kind: PictureFormat, like: PictureReader, height: int, width: int) -> None:
    """That the format holds a picture, or a frame, of that size, and libvips all frames below each other."""
    low, high = min(height, width), max(height, width)
    if not 1 <= low <= high <= kind.max_side:
        wide = [row.suffixes[0] for row in _able(like) if 1 <= low <= high <= row.max_side]
        advice = f"choose {' or '.join(wide)}" if wide else "choose another size"
        size = f"{kind.name} holds 1 to {kind.max_side} pixels a side, not {width}×{height}"
        raise OutputError(f"{output_name(path)}: {size}; {advice}")
    if height * like.frames > COORDINATE_LIMIT:
        what = f"{like.frames} frames of {height} rows are more than {COORDINATE_LIMIT} rows"
        raise OutputError(f"{output_name(path)}: {what}; split the animation")
