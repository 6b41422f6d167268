"""The one place where libvips is set up and where its errors become ours."""

from __future__ import annotations

import logging
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


def call(operation: str, *args: Any, **options: Any) -> Any:
    """Run the libvips operation of that name; what it returns depends on the operation."""
    return pyvips.Operation.call(operation, *args, **options)


@contextmanager
def vips_errors(kind: type[EdgeliftError], problem: str, advice: str) -> Iterator[None]:
    """Raise `kind` instead of a libvips error: the problem, what libvips said of it and the advice, on one line."""
    try:
        yield
    except pyvips.Error as exc:
        raise kind(f"{problem} ({_essential(exc)}); {advice}") from exc


def _essential(error: pyvips.Error) -> str:
    """The first line that libvips wrote, which is the cause; the lines after it come from its callers."""
    lines = [line.strip() for line in str(error.detail or "").splitlines() if line.strip()]
    if not lines:
        return "no reason given"
    module, colon, rest = lines[0].partition(": ")
    return rest if colon and " " not in module else lines[0]
