"""What the libvips at hand can read and write, which depends on how it was built."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pyvips

from edgelift.core.errors import InputError, OutputError
from edgelift.io.formats import FORMATS, PictureFormat, usual
from edgelift.io.standard import output_name
from edgelift.io.vips import call

__all__ = ["known_options", "require_decoder", "require_encoder"]


def require_decoder(name: str, kind: PictureFormat) -> None:
    """Raise `InputError` where this libvips has no loader of that format; `name` is the picture's.

    A loader may still lack a codec inside, such as HEVC, which shows when rows are read.
    """
    if not _exists(kind.loader):
        others = ", ".join(row.name for row in usual() if _exists(row.loader))
        raise InputError(f"{name}: is {kind.name}, which the libvips at hand does not read; convert it to {others}")


def require_encoder(path: Path, kind: PictureFormat) -> None:
    """Raise `OutputError` where this libvips cannot write that format to `path`."""
    if not _encodes(kind.name):
        others = " or ".join(row.suffixes[0] for row in usual() if _encodes(row.name))
        raise OutputError(f"{output_name(path)}: the libvips at hand does not write {kind.name}; choose {others}")


def known_options(saver: str, options: dict[str, Any]) -> dict[str, Any]:
    """Those of `options` that this libvips knows; for preferences, which older ones may ignore."""
    return {name: value for name, value in options.items() if name in _optional(saver)}


@cache
def _optional(operation: str) -> frozenset[str]:
    return frozenset(pyvips.voperation.Introspect.get(operation).optional_input)


def _exists(operation: str | None) -> bool:
    return operation is not None and pyvips.type_find("VipsOperation", operation) != 0


@cache
def _encodes(name: str) -> bool:
    """Found out with a picture of one pixel, since a saver may be there without the codec inside."""
    (kind,) = (row for row in FORMATS if row.name == name)
    if kind.saver is None or not _exists(kind.saver):
        return False
    pixel = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    try:
        call(kind.saver, pixel, pyvips.Target.new_to_memory(), **known_options(kind.saver, dict(kind.options)))
    except pyvips.Error:
        return False
    return True
