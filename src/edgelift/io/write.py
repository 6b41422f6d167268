"""Writing pictures strip by strip: an encoder thread works while the next rows come, and the file appears at the end.

Rows go through a `Feed` to libvips, which encodes into a hidden file beside the target. It takes the target's name
when it is complete and on the disk; until then, and after any error, nothing under that name changes.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyvips
from numpy.typing import NDArray

from edgelift.core.errors import OutputError, RequestError
from edgelift.io.feed import Feed
from edgelift.io.formats import FORMATS, PictureFormat, format_of_suffix
from edgelift.io.metadata import describe
from edgelift.io.read import PictureReader
from edgelift.io.vips import call, vips_errors

__all__ = ["PictureWriter", "create_picture"]

HUGE_BYTES = 4_000_000_000
"""Raw samples from which the 32-bit offsets of a plain TIFF might not reach."""


class PictureWriter:
    """A picture that is written in rows from the top; a context manager, made by `create_picture`.

    Leaving the block normally completes the file and gives it its name; leaving it with an exception leaves nothing.
    """

    path: Path
    height: int
    width: int

    def __init__(
        self,
        path: Path,
        height: int,
        width: int,
        like: PictureReader,
        kind: PictureFormat,
        *,
        overwrite: bool,
        quality: int,
    ) -> None:
        self.path, self.height, self.width = path, height, width
        self._like, self._kind, self._overwrite, self._quality = like, kind, overwrite, quality
        self._channels = (1 if like.grey else 3) + like.alpha
        self._written = 0
        self._error: BaseException | None = None
        # Cut, since a name has at most 255 bytes and the target's may need them all.
        self._temporary = path.with_name(f".{path.name[:40]}.edgelift-{secrets.token_hex(4)}.tmp")
        self._file = -1

    def __enter__(self) -> Self:
        self._feed = Feed(self.height, self.width, self._channels, 8 * self._like.dtype.itemsize)
        self._thread = Thread(target=self._encode, name="edgelift-encoder", daemon=True)
        try:
            # Readable too, because the TIFF encoder goes back to what it wrote.
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            self._file = os.open(self._temporary, flags, 0o666)
        except OSError as exc:
            raise self._failed(exc) from exc
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
            if self._file >= 0:
                os.close(self._file)
            with suppress(OSError):  # it has its final name, or its folder is gone
                self._temporary.unlink()

    def _check(self, colour: NDArray[Any], alpha: NDArray[Any] | None) -> None:
        rows, dtype = len(colour), self._like.dtype
        if colour.shape != (rows, self.width, 3) or colour.dtype != dtype:
            raise RequestError(
                f"{self.path}: expected colour of (rows, {self.width}, 3) {dtype}, got {colour.shape} {colour.dtype}"
            )
        if (alpha is not None) != self._like.alpha:
            raise RequestError(f"{self.path}: alpha must be {'given' if self._like.alpha else 'None'}, as it was read")
        if alpha is not None and (alpha.shape != colour.shape[:2] or alpha.dtype != dtype):
            raise RequestError(
                f"{self.path}: expected alpha of {colour.shape[:2]} {dtype}, got {alpha.shape} {alpha.dtype}"
            )
        if self._written + rows > self.height:
            raise RequestError(f"{self.path}: got {self._written + rows} rows, and the picture has {self.height}")

    def _encode(self) -> None:
        """In the encoder's thread: from the first row to the last byte."""
        try:
            with vips_errors(OutputError, f"{self.path}: cannot be written", "check the disk's space"):
                image = describe(self._feed.image(), self._like.metadata)
                target = pyvips.Target.new_to_descriptor(self._file)  # which duplicates the descriptor
                call(self._kind.saver, image, target, **self._saver_options())
        except BaseException as exc:
            self._error = exc
        finally:
            self._feed.stop()

    def _saver_options(self) -> dict[str, Any]:
        options = dict(self._kind.options)
        if self._kind.quality is not None:
            options[self._kind.quality] = self._quality
        if self.height * self.width * self._channels * self._like.dtype.itemsize >= HUGE_BYTES:
            options.update(self._kind.huge)
        metadata = self._like.metadata
        if not metadata.has("exif-data") and (self._kind.density or metadata.resolution is None):
            options["keep"] = "xmp|iptc|icc|other"  # libvips would make up an EXIF block that says nothing
        return options

    def _finish(self) -> None:
        if self._written < self.height:
            raise OutputError(
                f"{self.path}: got {self._written} of {self.height} rows, so no file was made; write all rows"
            )
        self._thread.join()
        if self._error is not None:
            self._raise_error()
        try:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1
            _require_absent(self.path, self._overwrite)  # it may have appeared meanwhile
            os.replace(self._temporary, self.path)
        except OSError as exc:
            raise self._failed(exc) from exc

    def _raise_error(self) -> None:
        if isinstance(self._error, OutputError):
            raise self._error
        reason = f"{self.path}: the encoder stopped early ({self._error!r}); please report this"
        raise OutputError(reason) from self._error

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(f"{self.path}: cannot be written ({error.strerror}); check the folder and the disk's space")


def create_picture(
    path: Path,
    height: int,
    width: int,
    like: PictureReader,
    *,
    format: str | None = None,
    overwrite: bool = False,
    quality: int = 95,
) -> PictureWriter:
    """Prepare to write a picture of that size with the samples, channels and metadata of `like`.

    `format` ("png", "jpg", "webp", "tif") overrides the suffix of `path`. `quality`, 1 … 100, is for JPEG, which is
    always 4:4:4, and WebP, which is lossy. EXIF goes into all but TIFF, which libvips writes without. The disk is
    touched when the writer's `with` block begins.

    Raises `RequestError` where the format cannot hold what `like` has, and `OutputError` where the size is beyond the
    format or the target cannot be made: its folder is missing or read-only, it exists and `overwrite` is not set, or
    it is the picture being read.
    """
    path = Path(path)
    kind = format_of_suffix(path, format)
    if not 1 <= quality <= 100:
        raise RequestError(f"quality must be 1 to 100, got {quality}")
    _require_room(path, kind, like)
    if not 1 <= height <= kind.max_side or not 1 <= width <= kind.max_side:
        wide = [row.suffixes[0] for row in _able(like) if 1 <= min(height, width) <= max(height, width) <= row.max_side]
        advice = f"choose {' or '.join(wide)}" if wide else "choose another size"
        size = f"{kind.name} holds 1 to {kind.max_side} pixels a side, not {width}×{height}"
        raise OutputError(f"{path}: {size}; {advice}")
    _require_target(path, like.path, overwrite)
    return PictureWriter(path, height, width, like, kind, overwrite=overwrite, quality=quality)


def _able(like: PictureReader) -> list[PictureFormat]:
    deep = like.dtype.itemsize > 1
    return [row for row in FORMATS if row.deep >= deep and row.alpha >= like.alpha]


def _require_room(path: Path, kind: PictureFormat, like: PictureReader) -> None:
    """That the format holds the samples, channels and profile of `like`."""
    lacks = None
    if like.dtype.itemsize > 1 and not kind.deep:
        lacks = f"{kind.name} holds 8 bits a channel and {like.path} has 16"
    elif like.alpha and not kind.alpha:
        lacks = f"{kind.name} holds no transparency and {like.path} has some"
    elif like.grey and not kind.grey and like.metadata.has("icc-profile-data"):
        lacks = f"{kind.name} holds no grey and {like.path} has an ICC profile for grey"
    if lacks:
        able = [row.suffixes[0] for row in _able(like) if row.grey >= like.grey]
        raise RequestError(f"{path}: {lacks}; choose {' or '.join(able)}")


def _require_target(path: Path, source: Path, overwrite: bool) -> None:
    """That a file can be made at `path`, and that it is not the one being read."""
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{path}: the folder {folder} does not exist; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder {folder} cannot be written to; choose another or change its permissions")
    if path.exists() and source.exists() and os.path.samefile(path, source):
        raise OutputError(f"{path}: is the picture being read, which is never overwritten; choose another name")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file")
    _require_absent(path, overwrite)


def _require_absent(path: Path, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(path):
        raise OutputError(f"{path}: exists already; choose another name, or say --overwrite (overwrite=True)")
