"""Where a finished picture goes: a file that appears complete or not at all, or standard output likewise."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from edgelift.core.errors import OutputError, RequestError
from edgelift.io.standard import OUTPUT, STANDARD, output_name, require_output

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed anyway
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "FilePlace", "Place", "StandardOutput", "clear_leftovers", "fill", "make_folder", "place_for", "require_free",
    "require_place", "require_possible", "write_all", "write_failed",
]  # fmt: skip

_CHUNK = 1 << 20


class Place(Protocol):
    """`open`, then perhaps `keep`, then `close`. All raise `OutputError`."""

    name: str
    """What messages call it."""

    def open(self) -> int:
        """A descriptor to write to and to read from, of a file that nobody else sees."""

    def keep(self) -> None:
        """What was written is complete: put it where it belongs."""

    def close(self) -> None:
        """Let go; what was not kept is gone. Calling it again does nothing."""


class FilePlace:
    """A file at `path`. Until it is kept it has a hidden name beside it, and nothing under `path` changes.

    What replaces a file gets its permissions, and stands where a link points.
    """

    def __init__(self, path: Path, overwrite: bool) -> None:
        self.name, self._overwrite = str(path), overwrite
        self._path = path = Path(os.path.realpath(path)) if overwrite and path.is_symlink() else path
        # Cut, since a name has at most 255 bytes and the target's may need them all.
        self._temporary = path.with_name(f".{path.name[:40]}.edgelift-{secrets.token_hex(4)}.tmp")
        self._file = -1

    def open(self) -> int:
        """Make the hidden file."""
        try:
            # Readable too, because the TIFF encoder goes back to what it wrote.
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            self._file = os.open(self._temporary, flags, 0o666)
        except OSError as exc:
            raise write_failed(self.name, exc) from exc
        if self._overwrite:
            with suppress(OSError):  # nothing is replaced, or the file system has no permissions
                os.chmod(self._temporary, self._path.stat().st_mode & 0o777)
        _lock(self._file)  # which ends with the process, however that ends
        return self._file

    def keep(self) -> None:
        """Give the file its name, once it is on the disk."""
        try:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1
            require_free(self._path, self._overwrite)  # it may have appeared meanwhile
            os.replace(self._temporary, self._path)
        except OSError as exc:
            raise write_failed(self.name, exc) from exc

    def close(self) -> None:
        """Remove the hidden file, if it is still there."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        with suppress(OSError):  # it has its final name, or its folder is gone
            self._temporary.unlink()


class StandardOutput:
    """Standard output, which gets the picture when it is complete; until then it lies in a file without a name."""

    name = output_name(STANDARD)

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None

    def open(self) -> int:
        """Make the file without a name."""
        try:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # `close` closes it
        except OSError as exc:
            raise write_failed(self.name, exc) from exc
        return self._file.fileno()

    def keep(self) -> None:
        """Send it all."""
        assert self._file is not None
        try:
            self._file.seek(0)
            while chunk := self._file.read(_CHUNK):
                write_all(OUTPUT, chunk)
        except OSError as exc:
            if exc.errno == errno.EPIPE:
                raise OutputError(f"{self.name}: what reads it stopped before the picture was complete") from exc
            raise write_failed(self.name, exc) from exc

    def close(self) -> None:
        """Remove the file without a name."""
        if self._file is not None:
            self._file.close()
            self._file = None


def place_for(path: Path, source: os.stat_result | None, overwrite: bool) -> Place:
    """The place that `path` names, `-` being standard output; `source` is of the file that is being read, if one is.

    Raises `OutputError` where no file can be made there, where it is the source or where standard output is closed, and
    `RequestError` where that is a terminal.
    """
    if path == STANDARD:
        require_output()
        if os.isatty(OUTPUT):
            raise RequestError("standard output is a terminal; send it to a file or a program, or name a file")
        return StandardOutput()
    require_place(path)
    if source is not None and os.path.exists(path) and os.path.samestat(path.stat(), source):
        raise OutputError(f"{path}: is the picture being read, which is never overwritten; choose another name")
    require_free(path, overwrite)
    return FilePlace(path, overwrite)


def require_possible(path: Path, source: os.stat_result | None, overwrite: bool) -> None:
    """Raise what `make_folder` for its folder and then `place_for` would; nothing is made."""
    folder = path.parent
    if path == STANDARD or os.path.isdir(folder):
        place_for(path, source, overwrite)
        return
    while not os.path.lexists(folder):
        folder = folder.parent
    if not os.path.isdir(folder):
        raise OutputError(f"{folder}: is not a folder, so that none can be made in it; choose another")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: the folder cannot be written to; choose another or change its permissions")


def require_place(path: Path) -> None:
    """Raise `OutputError` where no file can be at `path`: to be asked before long work."""
    folder = path.parent
    if not os.path.isdir(folder):  # unlike `Path.is_dir`, no error for a name that no file can have
        raise OutputError(f"{path}: the folder {folder} does not exist; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder {folder} cannot be written to; choose another or change its permissions")
    if os.path.isdir(path):
        raise OutputError(f"{path}: is a folder; name a file")
    if os.path.exists(path) and not os.path.isfile(path):  # a device or pipe, which must not be replaced
        raise OutputError(f"{path}: is not a regular file; name one, or - for standard output")


def clear_leftovers(folder: Path) -> int:
    """Remove the hidden files that killed programs left in `folder`, but none that is being written; their number."""
    count = 0
    for leftover in folder.glob(".*.edgelift-*.tmp") if os.path.isdir(folder) else ():
        with suppress(OSError):  # gone, or not ours to remove
            file = os.open(leftover, os.O_RDWR)
            try:
                abandoned = _lock(file)
            finally:
                os.close(file)
            if abandoned:
                leftover.unlink()
                count += 1
    return count


def write_all(descriptor: int, data: bytes) -> None:
    """Write `data` where the descriptor stands, however many calls that takes. Raises `OSError`."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _lock(file: int) -> bool:
    """Mark an open file as being written; False where another one holds that mark."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks: all files count as abandoned there
            pass
    return True


def make_folder(path: Path) -> None:
    """Make the folder `path` and those above it. Raises `OutputError`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OutputError(f"{path}: the folder cannot be made ({exc.strerror}); choose another") from exc


def fill(*contents: tuple[Place, bytes]) -> None:
    """Make the bytes the whole of what is at each place; all are complete before the first is kept. Raises `OutputError`."""
    try:
        for place, data in contents:
            try:
                with os.fdopen(os.dup(place.open()), "wb") as file:
                    file.write(data)
            except OSError as exc:
                raise write_failed(place.name, exc) from exc
        for place, _ in contents:
            place.keep()
    finally:
        for place, _ in contents:
            place.close()


def require_free(path: Path, overwrite: bool, *sources: str | Path) -> None:
    """Raise `OutputError` where `path` exists, unless `overwrite` is set, or is one of `sources`, files that are read."""
    if any(os.path.exists(path) and os.path.exists(source) and os.path.samefile(path, source) for source in sources):
        raise OutputError(f"{path}: is the file being read, which is never overwritten; choose another name")
    if not overwrite and os.path.lexists(path):
        raise OutputError(f"{path}: exists already; choose another name, or say --overwrite (overwrite=True)")


def write_failed(name: str, error: OSError) -> OutputError:
    """What is said where a system call failed for the output called `name`."""
    return OutputError(f"{name}: cannot be written ({error.strerror}); check the folder and the disk's space")
