"""Pictures for training: pairs of a sharp picture and its MATLAB-compatible bicubic reduction, cut into random patches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgelift.core.errors import TrainingError
from edgelift.core.resize import resize
from edgelift.training.pictures import UNREADABLE, read_rgb

__all__ = ["Pair", "Patches", "load_pairs", "mean_gradient"]

Bytes = NDArray[np.uint8]

CANDIDATES = 4
"""Places drawn for a patch, of which one is taken, where texture counts."""


@dataclass(frozen=True)
class Pair:
    """A picture and its reduction, both H × W × 3 uint8 RGB."""

    name: str
    low: Bytes
    high: Bytes


def _pair(name: str, high: Bytes, scale: int) -> Pair:
    h, w = high.shape[0] // scale, high.shape[1] // scale
    high = np.ascontiguousarray(high[: h * scale, : w * scale])
    low = high if scale == 1 else resize(high, h, w)
    return Pair(name, low, high)


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
    pairs = []
    skipped = 0
    for path in paths:
        try:
            high = read_rgb(path)
            pair = _pair(path.stem, high, scale)
        except UNREADABLE as exc:
            report(f"skipped {path}: {exc}")
            skipped += 1
            continue
        if min(pair.low.shape[:2]) < least:
            report(f"skipped {path}: {pair.high.shape[1]}×{pair.high.shape[0]} is smaller than a patch")
            skipped += 1
            continue
        more = [factor for factor in factors if min(high.shape[:2]) * factor >= (least + 1) * scale]
        pairs += [pair, *(_pair(path.stem, _smaller(high, factor), scale) for factor in more)]
    if not pairs:
        raise TrainingError(f"none of {len(paths)} pictures can be used")
    if skipped:
        report(f"{skipped} of {len(paths)} pictures skipped, as named above")
    return pairs


class Patches:
    """Random patches: position uniform over all pixels of all pictures, flipped and turned at random.

    `texture` above 0 draws several places for a patch and takes one of them, with a chance in proportion to its mean
    gradient to that power; `permute` lets the three colours change places. Batch k depends on (`seed`, k) alone, so that
    a resumed run sees what an undisturbed one would have seen.
    """

    def __init__(
        self, pairs: Sequence[Pair], patch: int, batch: int, seed: int, *, texture: float = 0.0, permute: bool = False
    ) -> None:
        self.pairs, self.patch, self.batch, self.seed = pairs, patch, batch, seed
        self.texture, self.permute = texture, permute
        places = np.array([(p.low.shape[0] - patch + 1) * (p.low.shape[1] - patch + 1) for p in pairs], np.float64)
        self.share = places / places.sum()

    def _cut(self, rng: np.random.Generator, pair: Pair) -> tuple[Bytes, Bytes]:
        size, scale = self.patch, pair.high.shape[0] // pair.low.shape[0]
        y = int(rng.integers(pair.low.shape[0] - size + 1))
        x = int(rng.integers(pair.low.shape[1] - size + 1))
        high = pair.high[y * scale : (y + size) * scale, x * scale : (x + size) * scale]
        return pair.low[y : y + size, x : x + size], high

    def _one(self, rng: np.random.Generator, chosen: NDArray[np.int64]) -> tuple[Bytes, Bytes]:
        cuts = [self._cut(rng, self.pairs[k]) for k in chosen]
        low, high = cuts[0]
        if len(cuts) > 1:
            gradients = np.array([mean_gradient(low) for low, _ in cuts])
            chances = (gradients / gradients.max()) ** self.texture
            low, high = cuts[rng.choice(len(cuts), p=chances / chances.sum())]
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        low, high = np.rot90(low, turns), np.rot90(high, turns)
        if flip:
            low, high = low[:, ::-1], high[:, ::-1]
        if self.permute:
            order = rng.permutation(3)
            low, high = low[:, :, order], high[:, :, order]
        return low, high

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Batch number `step` as uint8 tensors N × 3 × h × w (channels last in memory): low, high."""
        rng = np.random.default_rng([self.seed, step])
        each = CANDIDATES if self.texture > 0 else 1
        chosen = rng.choice(len(self.pairs), self.batch * each, p=self.share).reshape(self.batch, each)
        low, high = zip(*(self._one(rng, row) for row in chosen), strict=True)
        return tuple(torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2) for part in (low, high))  # type: ignore[return-value]  # mypy cannot count a generator


def mean_gradient(pixels: Bytes) -> float:
    """Mean absolute difference between neighbours of the green channel (H × W × 3), in levels; above 0 for flat ones too."""
    green = pixels[:, :, 1].astype(np.int16)
    return 1e-3 + sum(float(np.abs(np.diff(green, axis=axis)).mean()) for axis in (0, 1) if green.shape[axis] > 1)
