"""Pictures for training: pairs of a sharp picture and its MATLAB-compatible bicubic reduction, cut into random patches."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgelift.core.errors import TrainingError
from edgelift.core.resize import resize
from edgelift.training.pictures import UNREADABLE, read_rgb

__all__ = ["Pair", "Patches", "Place", "load_pairs", "mean_gradient"]

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

CANDIDATES = 4
"""Places drawn for a patch, of which one is taken, where texture counts."""


@dataclass(frozen=True)
class Pair:
    """A picture and its reduction, both H × W × 3 uint8 RGB."""

    name: str
    low: Bytes
    high: Bytes
    folder: str = ""
    """That the picture lies in."""


def _pair(path: Path, high: Bytes, scale: int) -> Pair:
    h, w = high.shape[0] // scale, high.shape[1] // scale
    high = np.ascontiguousarray(high[: h * scale, : w * scale])
    low = high if scale == 1 else resize(high, h, w)
    return Pair(path.stem, low, high, path.parent.name)


def _smaller(high: Bytes, factor: float) -> Bytes:
    return resize(high, *(max(1, round(side * factor)) for side in high.shape[:2]))


def load_pairs(
    paths: Sequence[Path],
    scale: int,
    least: int = 1,
    report: Callable[[str], None] = print,
    *,
    factors: Sequence[float] = (),
) -> list[Pair]:
    """Pairs for all of `paths` that can be read and whose reduction has at least `least` pixels a side.

    Those that cannot are named through `report`, and counted; raises `TrainingError` where none is left. `factors` add, for each
    picture, pairs of the picture made smaller by each, where that is still large enough.
    """
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = list(pool.map(lambda path: _pairs_of(path, scale, least, factors), paths))
    pairs = []
    for path, of_one in zip(paths, found, strict=True):
        if isinstance(of_one, str):
            report(f"skipped {path}: {of_one}")
        else:
            pairs += of_one
    if not pairs:
        raise TrainingError(f"none of {len(paths)} pictures can be used")
    if skipped := sum(isinstance(of_one, str) for of_one in found):
        report(f"{skipped} of {len(paths)} pictures skipped, as named above")
    return pairs


def _pairs_of(path: Path, scale: int, least: int, factors: Sequence[float]) -> list[Pair] | str:
    """The pairs of one file, or why there are none."""
    try:
        high = read_rgb(path)
        pair = _pair(path, high, scale)
    except UNREADABLE as exc:
        return str(exc)
    if min(pair.low.shape[:2]) < least:
        return f"{pair.high.shape[1]}×{pair.high.shape[0]} is smaller than a patch"
    more = [factor for factor in factors if min(high.shape[:2]) * factor >= (least + 1) * scale]
    return [pair, *(_pair(path, _smaller(high, factor), scale) for factor in more)]


@dataclass(frozen=True)
class Place:
    """Where a patch lies and how it is turned: quarter turns to the left, then columns reversed, then colours in `order`."""

    number: int
    """Of the pair."""
    y: int
    """First row in the reduction."""
    x: int
    turns: int
    flip: bool
    order: tuple[int, ...] | None


def _groups(folders: Sequence[str], shares: Mapping[str, float]) -> list[str | None]:
    """Which share each picture belongs to, by its folder; None for what the shares leave over."""
    return [folder if folder in shares else None for folder in folders]


def _shared(places: Floats, folders: Sequence[str], shares: Mapping[str, float]) -> Floats:
    """The chance of each picture: by its places, within the share of its folder; of folders without any the others share it."""
    shares = {folder: share for folder, share in shares.items() if folder in folders}
    if not shares:
        return np.asarray(places / places.sum())
    groups = _groups(folders, shares)
    given: dict[str | None, float] = {None: 1 - math.fsum(shares.values())}
    given.update(shares)
    chances = np.zeros_like(places)
    for group in set(groups):
        inside = np.array([one == group for one in groups])
        chances[inside] = places[inside] / places[inside].sum() * given[group]
    return np.asarray(chances / chances.sum())


def _beside(chances: Floats, folders: Sequence[str], shares: Mapping[str, float]) -> list[Floats]:
    """For each picture the chances of those that may compete with it for a patch: between folders texture decides nothing."""
    if not shares:
        return []
    groups, within = _groups(folders, shares), {}
    for group in set(groups):
        inside = chances * np.array([one == group for one in groups])
        within[group] = np.asarray(inside / max(inside.sum(), 1e-300))  # none of a share of 0 is ever drawn
    return [within[group] for group in groups]


class Patches:
    """Random patches: position uniform over all pixels of all pictures, flipped and turned at random.

    `shares` gives the pictures of a folder, by its name, a share of their own; that of a folder without any goes to the others.
    `texture` above 0 draws several places for a patch, from one share, and takes one of them, with a chance in proportion
    to its mean gradient to that power; `permute` lets the three colours change places. Batch k depends on (`seed`, k)
    alone, so that a resumed run sees what an undisturbed one would have seen.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        patch: int,
        batch: int,
        seed: int,
        *,
        texture: float = 0.0,
        permute: bool = False,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        self.pairs, self.patch, self.batch, self.seed = pairs, patch, batch, seed
        self.texture, self.permute = texture, permute
        places = np.array([(p.low.shape[0] - patch + 1) * (p.low.shape[1] - patch + 1) for p in pairs], np.float64)
        self.share = _shared(places, [pair.folder for pair in pairs], shares or {})
        self.beside = _beside(self.share, [pair.folder for pair in pairs], shares or {})

    def _window(self, rng: np.random.Generator, number: int) -> tuple[int, int, int]:
        height, width = self.pairs[number].low.shape[:2]
        return number, int(rng.integers(height - self.patch + 1)), int(rng.integers(width - self.patch + 1))

    def _gradient(self, number: int, y: int, x: int) -> float:
        return mean_gradient(self.pairs[number].low[y : y + self.patch, x : x + self.patch])

    def _place(self, rng: np.random.Generator, chosen: NDArray[np.int64]) -> Place:
        windows = [self._window(rng, int(number)) for number in chosen]
        taken = 0
        if len(windows) > 1:
            gradients = np.array([self._gradient(*window) for window in windows])
            chances = (gradients / gradients.max()) ** self.texture
            taken = int(rng.choice(len(windows), p=chances / chances.sum()))
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        order = tuple(int(colour) for colour in rng.permutation(3)) if self.permute else None
        return Place(*windows[taken], turns, flip, order)

    def places(self, step: int) -> list[Place]:
        """What batch number `step` consists of."""
        rng = np.random.default_rng([self.seed, step])
        each = CANDIDATES if self.texture > 0 else 1
        chosen = rng.choice(len(self.pairs), self.batch * each, p=self.share).reshape(self.batch, each)
        for row in chosen if self.beside and each > 1 else ():
            row[1:] = rng.choice(len(self.pairs), each - 1, p=self.beside[row[0]])
        return [self._place(rng, row) for row in chosen]

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Batch number `step` as uint8 tensors N × 3 × h × w (channels last in memory): low, high."""
        cuts = [self._cut(place) for place in self.places(step)]
        return tuple(torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2) for part in zip(*cuts, strict=True))  # type: ignore[return-value]  # mypy cannot count a generator

    def _cut(self, place: Place) -> tuple[Bytes, Bytes]:
        pair = self.pairs[place.number]
        scale = pair.high.shape[0] // pair.low.shape[0]
        return _piece(pair.low, place, self.patch, 1), _piece(pair.high, place, self.patch, scale)


def _piece(pixels: Bytes, place: Place, side: int, scale: int) -> Bytes:
    y, x, side = place.y * scale, place.x * scale, side * scale
    piece = np.rot90(pixels[y : y + side, x : x + side], place.turns)
    if place.flip:
        piece = piece[:, ::-1]
    return piece if place.order is None else piece[:, :, place.order]


def mean_gradient(pixels: Bytes) -> float:
    """Mean absolute difference between neighbours of the green channel (H × W × 3), in levels; above 0 for flat ones too."""
    green = pixels[:, :, 1].astype(np.int16)
    return 1e-3 + sum(float(np.abs(np.diff(green, axis=axis)).mean()) for axis in (0, 1) if green.shape[axis] > 1)
