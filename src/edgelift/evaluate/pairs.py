"""References and their low-resolution partners: found by name in two folders, or made, and read one pair at a time.

Both folders are read without their subfolders. A partner is called as its reference, with or without `xN` or `_xN`
behind the stem, N being the scale; the extension does not matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgelift.core.errors import EdgeliftError, InputError, RequestError
from edgelift.core.image import Picture
from edgelift.core.resize import resize
from edgelift.io.pictures import SUFFIXES, open_picture

__all__ = ["Loaded", "Pair", "find_pairs", "load_pair", "pair_of", "read_picture"]


@dataclass(frozen=True)
class Pair:
    """A reference and where its low-resolution partner is."""

    name: str
    """The reference's stem."""
    truth: Path
    small: Path | None
    """None where it is to be made."""


@dataclass(frozen=True)
class Loaded:
    """The pictures of a pair: H × W × 3, uint8 or uint16, grey replicated."""

    pair: Pair
    truth: Picture
    """The part of the reference that a result is compared with: `scale` times as large as `small`."""
    small: Picture
    grey: bool
    """The reference has one channel."""


def find_pairs(truth: Path, small: Path | None, scale: int) -> tuple[list[Pair], list[EdgeliftError]]:
    """The pairs, sorted by name, and what is wrong with the pictures that make none.

    `truth` and `small`: folders, or one file each. Without `small` every reference is a pair. Raises `InputError` where
    a folder is missing or holds no pictures, and `RequestError` for scale 1 without `small`.
    """
    references, problems = _by_name({path: path.stem for path in _pictures(truth)}, "references")
    if small is None:
        if scale == 1:
            raise RequestError("a model of scale 1 restores pictures; give the degraded ones (--lr)")
        return [Pair(name, path, None) for name, path in references.items()], problems
    names = {path: _reference_of(path.stem, set(references), scale) for path in _pictures(small)}
    partners, twins = _by_name({path: name for path, name in names.items() if name is not None}, "partners")
    problems += twins
    problems += [
        InputError(f"{path}: no reference in {truth} is called {path.stem}, with or without _x{scale} behind it")
        for path, name in names.items()
        if name is None
    ]
    paired = set(names.values())
    problems += [
        InputError(f"{path}: has no partner in {small}; expected {name}, {name}x{scale} or {name}_x{scale}")
        for name, path in references.items()
        if name not in paired
    ]
    return [Pair(name, path, partners[name]) for name, path in references.items() if name in partners], problems


def pair_of(small: Path, truth: Path, scale: int) -> Pair:
    """The pair of one low-resolution picture and its reference in the folder `truth`. Raises `InputError` without one."""
    references = {path.stem: path for path in _pictures(truth)}
    name = _reference_of(small.stem, set(references), scale)
    if name is None:
        raise InputError(
            f"{small}: no reference in {truth} is called {small.stem}, with or without _x{scale} behind it"
        )
    return Pair(name, references[name], small)


def load_pair(pair: Pair, scale: int) -> Loaded:
    """Read `pair`; a partner that is to be made is the MATLAB-compatible bicubic reduction of the reference.

    The reference is cut at its right and bottom to a multiple of the scale, or to `scale` times its partner. Alpha is
    left aside. Raises `InputError` for what cannot be read and for partners of another size.
    """
    truth, grey = read_picture(pair.truth)
    height, width = (side // scale for side in truth.shape[:2])
    if min(height, width) < 1:
        size = f"{truth.shape[1]}×{truth.shape[0]}"
        raise InputError(f"{pair.truth}: {size} pixels are too few for scale {scale}; leave it out")
    if pair.small is None:
        cut = truth[: height * scale, : width * scale]
        return Loaded(pair, cut, resize(cut, height, width), grey)
    small = read_picture(pair.small)[0]
    if small.shape[:2] != (height, width):
        raise InputError(_misfit(pair, truth.shape, small.shape, scale))
    return Loaded(pair, truth[: height * scale, : width * scale], small, grey)


def _pictures(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    try:
        found = [path for path in sorted(place.iterdir()) if path.suffix.lower() in SUFFIXES]
    except OSError as exc:
        raise InputError(f"{place}: cannot be read ({exc.strerror}); name a folder of pictures") from exc
    found = [path for path in found if path.is_file() and not path.name.startswith(".")]
    if not found:
        raise InputError(f"{place}: no pictures in this folder ({', '.join(sorted(SUFFIXES))})")
    return found


def _by_name(names: dict[Path, str], what: str) -> tuple[dict[str, Path], list[EdgeliftError]]:
    """Name -> file, without those names that several files have, which are errors."""
    groups: defaultdict[str, list[Path]] = defaultdict(list)
    for path, name in names.items():
        groups[name].append(path)
    problems: list[EdgeliftError] = [
        InputError(f"{_listed(paths)}: {len(paths)} {what} are called {name}; keep one of them")
        for name, paths in groups.items()
        if len(paths) > 1
    ]
    return {name: paths[0] for name, paths in sorted(groups.items()) if len(paths) == 1}, problems


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(map(str, paths))


def _reference_of(stem: str, references: set[str], scale: int) -> str | None:
    candidates = (stem, stem.removesuffix(f"_x{scale}"), stem.removesuffix(f"x{scale}"))
    return next((name for name in candidates if name in references), None)


def read_picture(path: Path) -> tuple[Picture, bool]:
    """The samples of a picture file (H × W × 3, grey replicated), and whether it is grey. Raises `InputError`."""
    with open_picture(path) as reader:
        return reader.rows(0, reader.height)[0], reader.grey


def _misfit(pair: Pair, truth: Sequence[int], small: Sequence[Any], scale: int) -> str:
    other = truth[0] // small[0]
    fits = other > 0 and (truth[0] // other, truth[1] // other) == tuple(small[:2])
    looks = f", which looks like scale {other}" if fits else ""
    return (
        f"{pair.small}: {small[1]}×{small[0]} pixels do not fit the reference {pair.truth.name} of {truth[1]}×{truth[0]}: "
        f"for scale {scale} expected {truth[1] // scale}×{truth[0] // scale}{looks}"
    )
