"""Pictures to calibrate on and to prove with: tiles as a network meets them, and what they should become."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import InputError, RequestError
from edgelift.core.image import round_to
from edgelift.core.resize import resize
from edgelift.core.spec import ModelSpec
from edgelift.evaluate.pairs import find_pairs, load_pair
from edgelift.evaluate.profile.synthetic import scene
from edgelift.io.pictures import SUFFIXES, open_picture

__all__ = ["LEAST_TILES", "TILE", "Proof", "calibration_tiles", "proofs"]

TILE = 64
"""Side of a calibration tile, in pixels that the network sees."""
LEAST_TILES = 8
"""Fewer say too little about what tensors hold."""
PROOF = 128
"""Longest side of a tile to prove with, in pixels that the network sees."""
DRAWN = 4
"""Scenes that are drawn where there are no pictures."""


@dataclass(frozen=True)
class Proof:
    """One tile: what goes in, and what should come out."""

    name: str
    small: NDArray[np.uint8]
    truth: NDArray[np.uint8]


def calibration_tiles(folder: Path, spec: ModelSpec, count: int) -> NDArray[np.float32]:
    """The middles of up to `count` sharp pictures, evenly spread over `folder` with all folders inside it, reduced by the
    scale: N × 3 × TILE × TILE, 0 … 255.

    Raises `InputError` where fewer than `LEAST_TILES` are large enough, and `RequestError` for such a `count`.
    """
    if count < LEAST_TILES:
        raise RequestError(f"at least {LEAST_TILES} pictures are needed to calibrate on, got a count of {count}")
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; name one with pictures to calibrate on")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    side, tiles, small = -(-TILE // spec.multiple_of) * spec.multiple_of, list[NDArray[np.float32]](), list[Path]()
    chosen = [found[k * len(found) // min(count, len(found))] for k in range(min(count, len(found)))]
    for path in chosen:
        tile = _middle(path, side, spec.scale)
        if tile is None:
            small.append(path)
        else:
            tiles.append(tile)
    if len(tiles) < LEAST_TILES:
        need = side * spec.scale
        short = f"; {len(small)} are smaller than {need}×{need} pixels, such as {small[0]}" if small else ""
        raise InputError(
            f"{folder}: {len(tiles)} of {len(chosen)} pictures can be calibrated on, at least {LEAST_TILES} are needed{short}; "
            "add pictures of the kind that will be enlarged, 100 or more"
        )
    return np.stack(tiles)


def _middle(path: Path, side: int, scale: int) -> NDArray[np.float32] | None:
    """The reduced middle of a picture; None where it is too small."""
    need = side * scale
    with open_picture(path) as reader:
        if min(reader.height, reader.width) < need:
            return None
        top, left = (reader.height - need) // 2, (reader.width - need) // 2
        rows = reader.rows(0, top + need)[0][top:, left : left + need]
    part = _bytes(rows)
    reduced = part if scale == 1 else resize(part, side, side)
    return np.ascontiguousarray(reduced.transpose(2, 0, 1), np.float32)


def _bytes(picture: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    return np.asarray(picture if picture.dtype == np.uint8 else round_to(picture / 257.0, np.dtype(np.uint8)))


def proofs(folder: Path | None, spec: ModelSpec, count: int, exact: tuple[int, int] | None = None) -> list[Proof]:
    """Tiles of up to `count` pictures of `folder`, evenly spread, or of drawn scenes where there is none.

    A picture is the truth, and its reduction by the scale what goes in; of large pictures the middle is taken. `exact`: the
    height and width of every tile, where only these can be run; smaller pictures are left out. Raises `InputError` where a
    folder holds no picture that is large enough.
    """
    if folder is None:
        return [_drawn(number, spec, exact) for number in range(min(count, DRAWN) if exact else DRAWN)]
    pairs = find_pairs(folder, None, spec.scale)[0] if spec.scale > 1 else []
    if spec.scale == 1:
        raise InputError(f"{folder}: a model of scale 1 restores; leave --pictures out, drawn scenes are used")
    if exact is not None:
        pairs = [pair for pair in pairs if _may_hold(pair.truth, exact, spec.scale)]
    made = []
    for k in range(min(count, len(pairs))):
        loaded = load_pair(pairs[k * len(pairs) // min(count, len(pairs))], spec.scale)
        height, width = (min(side, PROOF) // spec.multiple_of * spec.multiple_of for side in loaded.small.shape[:2])
        height, width = exact or (height, width)
        if min(height, width) < 1:
            continue
        top, left = (loaded.small.shape[0] - height) // 2, (loaded.small.shape[1] - width) // 2
        s = spec.scale
        truth = loaded.truth[top * s : (top + height) * s, left * s : (left + width) * s]
        small = loaded.small[top : top + height, left : left + width]
        made.append(Proof(loaded.pair.name, np.ascontiguousarray(_bytes(small)), _bytes(truth)))
    if not made:
        least = [side * spec.scale for side in exact or (spec.multiple_of, spec.multiple_of)]
        raise InputError(
            f"{folder}: no picture is large enough to compare with; expected {least[0]}×{least[1]} pixels or more"
        )
    return made


def _may_hold(path: Path, size: tuple[int, int], scale: int) -> bool:
    """Whether a picture, reduced, is as large; True for one that cannot be read, which is said when it is."""
    try:
        with open_picture(path) as reader:
            return reader.height // scale >= size[0] and reader.width // scale >= size[1]
    except InputError:
        return True


def _drawn(number: int, spec: ModelSpec, exact: tuple[int, int] | None = None) -> Proof:
    """A scene, drawn twice as large as its truth and reduced, so that its edges are as soft as a photograph's."""
    side = PROOF // spec.multiple_of * spec.multiple_of
    height, width = exact or (side, side)
    large = scene(2 * spec.scale * height + 2 * number, 2 * spec.scale * width)[2 * number :]
    truth = resize(large, spec.scale * height, spec.scale * width)
    small = truth if spec.scale == 1 else resize(truth, height, width)
    return Proof(f"drawn {number + 1}", np.ascontiguousarray(small), truth)
