"""Pictures for training: pairs of a sharp picture and its MATLAB-compatible bicubic reduction, cut into random patches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from edgelift.core.errors import TrainingError
from edgelift.core.resize import resize

__all__ = ["Pair", "Patches", "find_pictures", "load_pairs", "split"]

Bytes = NDArray[np.uint8]
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True)
class Pair:
    """A picture and its reduction, both H × W × 3 uint8 RGB."""

    name: str
    low: Bytes
    high: Bytes


def find_pictures(folders: Sequence[Path]) -> list[Path]:
    """All picture files under `folders`, sorted. Raises `TrainingError` for a folder that is missing or has none."""
    found: list[Path] = []
    for folder in folders:
        inside = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
        if not inside:
            raise TrainingError(f"{folder}: no such folder, or no pictures in it ({', '.join(sorted(SUFFIXES))})")
        found += inside
    return found


def split(paths: Sequence[Path], count: int) -> tuple[list[Path], list[Path]]:
    """(training, validation): the `count` pictures whose names hash lowest validate.

    Ranks depend on names alone: pictures that are added may take the place of others in validation, but none moves
    from training into validation.
    """
    ranked = sorted(paths, key=lambda p: hashlib.sha256(f"{p.parent.name}/{p.name}".encode()).digest())
    held = set(ranked[:count])
    if len(held) >= len(paths):
        raise TrainingError(f"{len(paths)} pictures cannot give {count} to validation and keep any to train with")
    return [p for p in paths if p not in held], [p for p in paths if p in held]


def _pair(path: Path, scale: int) -> Pair:
    with Image.open(path) as picture:
        high = np.asarray(picture.convert("RGB"))
    h, w = high.shape[0] // scale, high.shape[1] // scale
    high = np.ascontiguousarray(high[: h * scale, : w * scale])
    low = high if scale == 1 else resize(high, h, w)
    return Pair(path.stem, low, high)


def load_pairs(paths: Sequence[Path], scale: int, least: int = 1, report: Callable[[str], None] = print) -> list[Pair]:
    """Pairs for all of `paths` that can be read and whose reduction has at least `least` pixels a side.

    Those that cannot are named through `report`; raises `TrainingError` where none is left.
    """
    pairs = []
    for path in paths:
        try:
            pair = _pair(path, scale)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as exc:
            report(f"skipped {path}: {exc}")
            continue
        if min(pair.low.shape[:2]) >= least:
            pairs.append(pair)
        else:
            report(f"skipped {path}: {pair.high.shape[1]}×{pair.high.shape[0]} is smaller than a patch")
    if not pairs:
        raise TrainingError(f"none of {len(paths)} pictures can be used")
    return pairs


class Patches:
    """Random patches: position uniform over all pixels of all pictures, flipped and turned at random.

    Batch k depends on (`seed`, k) alone, so that a resumed run sees what an undisturbed one would have seen.
    """

    def __init__(self, pairs: Sequence[Pair], patch: int, batch: int, seed: int) -> None:
        self.pairs, self.patch, self.batch, self.seed = pairs, patch, batch, seed
        places = np.array([(p.low.shape[0] - patch + 1) * (p.low.shape[1] - patch + 1) for p in pairs], np.float64)
        self.share = places / places.sum()

    def _one(self, rng: np.random.Generator, pair: Pair) -> tuple[Bytes, Bytes]:
        size, scale = self.patch, pair.high.shape[0] // pair.low.shape[0]
        y = int(rng.integers(pair.low.shape[0] - size + 1))
        x = int(rng.integers(pair.low.shape[1] - size + 1))
        low = pair.low[y : y + size, x : x + size]
        high = pair.high[y * scale : (y + size) * scale, x * scale : (x + size) * scale]
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        low, high = np.rot90(low, turns), np.rot90(high, turns)
        return (low[:, ::-1], high[:, ::-1]) if flip else (low, high)

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Batch number `step` as uint8 tensors N × 3 × h × w (channels last in memory): low, high."""
        rng = np.random.default_rng([self.seed, step])
        chosen = rng.choice(len(self.pairs), self.batch, p=self.share)
        low, high = zip(*(self._one(rng, self.pairs[k]) for k in chosen), strict=True)
        return tuple(torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2) for part in (low, high))  # type: ignore[return-value]  # mypy cannot count a generator
