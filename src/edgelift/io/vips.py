"""The one place where libvips is set up and where its errors become ours."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyvips

from edgelift.core.errors import EdgeliftError

__all__ = ["Image", "call", "vips_errors"]

Image = pyvips.Image

# Cached operations would keep every picture of a long run and its open file alive; each is read once only.
pyvips.cache_set_max(0)

# What libvips warns of is either harmless or comes back as an error; on stderr it would only repeat itself.
if logging.getLogger("pyvips").level == logging.NOTSET:
    logging.getLogger("pyvips").setLevel(logging.ERROR)

_MISSING = re.compile(r"has not been built in|[Nn]o decoding plugin|[Uu]nsupported codec")
"""What libheif says, in this or that version, where it lacks the codec of a file."""

_NOISE = re.compile(r": bad seek to \d+$")
"""What libvips notes, without failing, when libheif looks for the end of a file."""


def call(operation: str, *args: Any, **options: Any) -> Any:
    """Run the libvips operation of that name; what it returns depends on the operation."""
    return pyvips.Operation.call(operation, *args, **options)


@contextmanager
def vips_errors(kind: type[EdgeliftError], name: str, problem: str, advice: str) -> Iterator[None]:
    """Raise `kind` instead of a libvips error: whose problem, what libvips said of it and the advice, on one line."""
    try:
        yield
    except pyvips.Error as exc:
        # An error may be kept, for a report at the end: without this, all that libvips had open would be kept by it.
        traceback.clear_frames(exc.__traceback__)
        reason = _essential(exc)
        if _MISSING.search(reason):
            problem, advice = "needs a codec that the libvips at hand lacks", "convert it by another program first"
        raise kind(f"{name}: {problem} ({reason}); {advice}") from exc


def _essential(error: pyvips.Error) -> str:
    """The first line that libvips wrote, which is the cause; the lines after it come from its callers."""
    lines = [line.strip() for line in str(error.detail or "").splitlines() if line.strip()]
    lines = [line for line in lines if not _NOISE.search(line)] or lines
    if not lines:
        return "no reason given"
    module, colon, rest = lines[0].partition(": ")
    return rest if colon and " " not in module else lines[0]
