"""Standard input and standard output in the place of files: both are called `-`."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from edgelift.core.errors import OutputError, RequestError

__all__ = [
    "HEAD_BYTES", "INPUT", "OUTPUT", "STANDARD", "input_name", "output_name", "require_output", "standard_input",
]  # fmt: skip

STANDARD = Path("-")
"""The name of both; a file that is really called so is named by its whole path."""
HEAD_BYTES = 65_536
"""From which it is known whether standard input is a picture."""
INPUT, OUTPUT = 0, 1
"""File descriptors, which stay what they are where Python's `sys.stdin` and `sys.stdout` are replaced."""


def input_name(path: Path) -> str:
    """What messages call a source."""
    return "standard input" if path == STANDARD else str(path)


def output_name(path: Path) -> str:
    """What messages call a target."""
    return "standard output" if path == STANDARD else str(path)


def require_output() -> None:
    """Raise `OutputError` where standard output was closed when the program began, whatever has its number now."""
    if sys.__stdout__ is None:
        raise OutputError("standard output is closed; send it to a file or a program, or name a file")


def standard_input(wanted: Callable[[bytes], bool]) -> FileIO:
    """Standard input as an open file that can be read from any place; another call gives it once more, from its beginning.

    That is the file itself where one was redirected. A pipe is copied into a temporary file without a name, since
    decoders step back and a picture that EXIF turns is read from its end; where its beginning is not `wanted`, only
    that. Only one of the files that were given is to be read at a time, for they share their place. Raises `RequestError`
    where it is a terminal and `OSError` where it is closed.
    """
    global _given
    if os.isatty(INPUT):
        raise RequestError("standard input is a terminal; send a picture through a pipe, or name a file instead of -")
    about = os.fstat(INPUT)
    if _given is None or _given[:2] != (about.st_dev, about.st_ino):
        if _given is not None:
            os.close(_given[2])
        _given = (about.st_dev, about.st_ino, _whole(wanted))
    again = FileIO(os.dup(_given[2]), "r")
    again.seek(0)
    return again


_given: tuple[int, int, int] | None = None
"""Device and inode of what standard input is, and a descriptor of its whole content, which the program keeps to its end."""


def _whole(wanted: Callable[[bytes], bool]) -> int:
    with FileIO(os.dup(INPUT)) as given, tempfile.TemporaryFile() as copy:
        with contextlib.suppress(OSError):  # a pipe has no place
            if given.tell() == 0:
                return os.dup(INPUT)
        head = b""
        while len(head) < HEAD_BYTES and (more := given.read(HEAD_BYTES - len(head))):
            head += more
        copy.write(head)
        if wanted(head):
            shutil.copyfileobj(given, copy)
        copy.flush()
        return os.dup(copy.fileno())
