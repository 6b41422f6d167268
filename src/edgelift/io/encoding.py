"""How a picture is to be encoded: what was asked for, held against what its format has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgelift.core.errors import RequestError
from edgelift.io.codecs import known_options, require_encoder
from edgelift.io.formats import FORMATS, PictureFormat, format_of_suffix
from edgelift.io.standard import output_name

__all__ = ["check_encoding", "encoder_options"]


def check_encoding(
    path: Path,
    *,
    format: str | None = None,
    quality: int | None = None,
    compression: int | None = None,
    lossless: bool = False,
) -> None:
    """That a picture can be encoded so at `path`; the arguments and errors are those of `create_picture`."""
    encoder_options(path, format_of_suffix(path, format), quality, compression, lossless)


def encoder_options(
    path: Path, kind: PictureFormat, quality: int | None, compression: int | None, lossless: bool
) -> dict[str, Any]:
    """The options of the format's saver. Raises `RequestError` for what the format lacks or what contradicts itself."""
    _require_range("quality", quality, 1, 100)
    _require_range("compression", compression, 0, 9)
    if quality is not None and kind.quality is None:
        _refuse(path, kind, "quality", [row for row in FORMATS if row.quality is not None])
    if compression is not None and kind.level is None:
        _refuse(path, kind, "compression level", [row for row in FORMATS if row.level is not None])
    if lossless and kind.lossless is None:
        _refuse(path, kind, "lossless mode", [row for row in FORMATS if row.lossless is not None])
    if lossless and quality is not None:
        raise RequestError(
            f"{output_name(path)}: a lossless picture has no quality to choose; leave one of the two out"
        )
    require_encoder(path, kind)
    assert kind.saver is not None
    options = known_options(kind.saver, dict(kind.options))
    if kind.quality is not None and not lossless:
        options["Q"] = kind.quality if quality is None else quality
    if compression is not None and kind.level is not None:
        options.update(kind.level(compression))
    return options | dict(kind.lossless or {}) if lossless else options


def _require_range(what: str, value: int | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        raise RequestError(f"{what} must be {low} to {high}, got {value}")


def _refuse(path: Path, kind: PictureFormat, what: str, able: list[PictureFormat]) -> None:
    others = " or ".join(row.suffixes[0] for row in able if row.usual)
    raise RequestError(f"{output_name(path)}: {kind.name} has no {what}; leave it out, or choose {others}")
