"""Standard input and standard output in the place of files: both are called `-`."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from edgelift.core.errors import RequestError

__all__ = ["HEAD_BYTES", "INPUT", "OUTPUT", "STANDARD", "input_name", "output_name", "standard_input"]

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


def standard_input(wanted: Callable[[bytes], bool]) -> FileIO:
    """Standard input as an open file that can be read from any place.

    That is the file itself where one was redirected. A pipe is copied into a temporary file without a name, since
    decoders step back and a picture that EXIF turns is read from its end; where its beginning is not `wanted`, only
    that. Raises `RequestError` where it is a terminal and `OSError` where it is closed.
    """
    if os.isatty(INPUT):
        raise RequestError("standard input is a terminal; send a picture through a pipe, or name a file instead of -")
    given = FileIO(os.dup(INPUT))
    try:
        if given.tell() == 0:
            return given
    except OSError:
        pass  # a pipe
    with given:
        return _copied(given, wanted)


def _copied(pipe: FileIO, wanted: Callable[[bytes], bool]) -> FileIO:
    with tempfile.TemporaryFile() as copy:
        head = b""
        while len(head) < HEAD_BYTES and (more := pipe.read(HEAD_BYTES - len(head))):
            head += more
        copy.write(head)
        if wanted(head):
            shutil.copyfileobj(pipe, copy)
        copy.seek(0)
        return FileIO(os.dup(copy.fileno()), "r+")
