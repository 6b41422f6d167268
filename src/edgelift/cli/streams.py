"""The standard streams of the program: that every name can be printed, and that nobody has to listen."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable

import typer

__all__ = ["once", "prepare", "say", "silence"]

OUTPUT, ERRORS = 1, 2


def prepare() -> None:
    """To be called when the program starts: what is closed leads nowhere, and what an encoding lacks is escaped."""
    for descriptor in (0, OUTPUT, ERRORS):
        try:
            os.fstat(descriptor)
        except OSError:  # a file that is opened later would get this number, and what is printed would go into it
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  # to the end of the program
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str, *, err: bool = False) -> None:
    """Print a line on standard output, or that for errors; where nobody reads it any more, that is no failure."""
    try:
        typer.echo(text, err=err)
    except BrokenPipeError:
        silence(ERRORS if err else OUTPUT)


def once(tell: Callable[[str], None]) -> Callable[[str], None]:
    """`tell`, but each text one time only, whichever threads have it to say."""
    said: set[str] = set()
    lock = threading.Lock()

    def tell_once(text: str) -> None:
        with lock:
            if text not in said:
                said.add(text)
                tell(text)

    return tell_once


def silence(*descriptors: int) -> None:
    """Let what is printed there from now on, and what is still to be flushed, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
