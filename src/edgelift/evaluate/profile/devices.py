"""Profiles of several devices side by side: quality × latency × device.

A file is one that `document` describes. It comes from elsewhere, so it is read strictly: limits are constants, every
value that is used is checked, and what is wrong with it is said.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from edgelift.core.errors import InputError, RequestError
from edgelift.evaluate.profile.document import VERSION, Device, Model

__all__ = ["Comparison", "Latency", "Row", "merge", "read_profile"]

MAX_FILES = 64
MAX_BYTES = 8 << 20
MAX_TEXT = 300
"""Characters of a name."""
MAX_SCALE = 8
MAX_SIDE = 1 << 14
MAX_COUNT = 1 << 62
MAX_DECIBELS = 1000

T = TypeVar("T", Model, Device)


@dataclass(frozen=True)
class Latency:
    """What is compared of one profile."""

    model: Model
    device: Device
    height: int
    width: int
    """Of the window that was run."""
    seconds: float
    low: float
    high: float

    @property
    def per_megapixel(self) -> float:
        """Seconds for a million pixels of the result."""
        return self.seconds / (self.height * self.width * self.model.scale**2) * 1e6


@dataclass(frozen=True)
class Row:
    """A network on all devices."""

    model: Model
    cells: tuple[Latency | None, ...]
    """One for each device, None where the network was not profiled on it."""

    def psnr(self, name: str) -> float | None:
        """PSNR-Y in dB on the set of that name, from the card."""
        found = self.model.quality.get(name)
        value = found.get("psnr_y") if isinstance(found, dict) else None
        return float(value) if isinstance(value, int | float) and abs(value) < MAX_DECIBELS else None


@dataclass(frozen=True)
class Comparison:
    """Networks × devices."""

    devices: tuple[Device, ...]
    rows: tuple[Row, ...]
    """By scale, then by the time for a million pixels on the first device that has it."""
    size: tuple[int, int]
    """Height and width at which most of them were measured: the reference size."""

    @property
    def scales(self) -> dict[int, list[Row]]:
        """Rows by scale: only networks of one scale have comparable PSNR and latency."""
        return {
            scale: [row for row in self.rows if row.model.scale == scale]
            for scale in sorted({r.model.scale for r in self.rows})
        }

    def at_reference(self, cell: Latency | None) -> float | None:
        """Its seconds, where it was measured at the reference size."""
        return cell.seconds if cell and (cell.height, cell.width) == self.size else None


def read_profile(path: Path) -> Latency:
    """Read the profile at `path`. Raises `InputError` that says what is wrong with it."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"{path}: {size} bytes; profiles of at most {MAX_BYTES} are read")
        plain = json.loads(path.read_bytes())
    except OSError as exc:
        raise InputError(
            f"{path}: cannot be read ({exc.strerror or exc}); name profiles, written by 'edgelift profile -o'"
        ) from exc
    except (ValueError, RecursionError) as exc:
        raise InputError(f"{path}: not a profile: it is no JSON ({exc})") from exc
    try:
        return _latency(plain)
    except InputError as exc:
        raise InputError(f"{path}: {exc}") from exc


def merge(paths: Sequence[Path]) -> Comparison:
    """Put the profiles in `paths` side by side.

    Raises `InputError` for a file that is no profile, and `RequestError` for two of one network on one device, for
    different networks of one name, and for none or too many files.
    """
    if not 1 <= len(paths) <= MAX_FILES:
        raise RequestError(f"1 to {MAX_FILES} profiles are merged, got {len(paths)}")
    found = [(path, read_profile(path)) for path in paths]
    _refuse_twins(found)
    cells = [cell for _, cell in found]
    devices = tuple(dict.fromkeys(cell.device for cell in cells))
    models = {cell.model.name: cell.model for cell in cells}
    places = {(cell.model.name, cell.device): cell for cell in cells}
    rows = [Row(model, tuple(places.get((name, device)) for device in devices)) for name, model in models.items()]
    sizes = [(cell.height, cell.width) for cell in cells]
    return Comparison(devices, tuple(sorted(rows, key=_order)), max(sizes, key=sizes.count))


def _order(row: Row) -> tuple[int, float]:
    return row.model.scale, next(cell.per_megapixel for cell in row.cells if cell)


def _refuse_twins(found: Sequence[tuple[Path, Latency]]) -> None:
    models: dict[str, tuple[Path, str]] = {}
    places: dict[tuple[str, Device], Path] = {}
    for path, cell in found:
        name, place = cell.model.name, (cell.model.name, cell.device)
        if place in places:
            raise RequestError(
                f"{places[place]} and {path} are both of {name} on {cell.device.words}; give one of them"
            )
        other, digest = models.setdefault(name, (path, cell.model.sha256))
        if digest != cell.model.sha256:
            raise RequestError(f"{other} and {path} are of different networks called {name}; profile one of them anew")
        places[place] = path


# -- reading


def _latency(plain: Any) -> Latency:
    if not isinstance(plain, dict) or "profile" not in plain:
        raise InputError("not a profile; make one with 'edgelift profile MODEL -o FILE.json'")
    version = plain["profile"]
    if type(version) is not int or version != VERSION:
        raise InputError(
            f"a profile of version {version!r:.20}; this edgelift reads {VERSION}, "
            f"{'a newer one may read it' if type(version) is int and version > VERSION else 'make it anew'}"
        )
    model, device = _filled(Model, plain.get("model"), "model"), _filled(Device, plain.get("device"), "device")
    if not 1 <= model.scale <= MAX_SCALE:
        raise InputError(f"'model' states a scale of {model.scale}; it is 1 to {MAX_SCALE}")
    reference = plain.get("reference")
    if not isinstance(reference, dict):
        raise InputError("'reference', a measured window, is missing")
    sides = [_whole(reference.get(name), f"reference.{name}") for name in ("height", "width")]
    times = [_seconds(reference.get(name), f"reference.{name}") for name in ("seconds", "low", "high")]
    return Latency(model, device, sides[0], sides[1], *times)


def _filled(kind: type[T], plain: Any, where: str) -> T:
    """An object of `kind` from a JSON object with exactly its fields."""
    names = {f.name: str(f.type) for f in fields(kind)}
    if not isinstance(plain, dict) or set(plain) != set(names):
        raise InputError(f"{where!r} is an object of {', '.join(names)}; this one is not")
    for name, stated in names.items():
        value, wanted = plain[name], {"str": str, "int": int}.get(stated, dict)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise InputError(f"'{where}.{name}' must be {wanted.__name__}, got {value!r:.40}")
        if isinstance(value, str) and not 0 < len(value) <= MAX_TEXT:
            raise InputError(f"'{where}.{name}' has {len(value)} characters; 1 to {MAX_TEXT} are read")
        if isinstance(value, int) and not 0 <= value <= MAX_COUNT:
            raise InputError(f"'{where}.{name}' must be 0 to {MAX_COUNT}, got {value!r:.40}")
    return kind(**plain)


def _whole(value: Any, where: str) -> int:
    if type(value) is not int or not 1 <= value <= MAX_SIDE:
        raise InputError(f"{where!r} must be a whole number of 1 to {MAX_SIDE}, got {value!r:.40}")
    return value


def _seconds(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:  # NaN is neither
        raise InputError(f"{where!r} must be seconds above 0, got {value!r:.40}")
    return float(value)
