"""What a run is shown, by its recipe: batches of clean or of degraded pairs, on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgelift.training.data import Pair, Patches, load_pairs
from edgelift.training.degrade.batches import MARGIN, DegradedPatches, groups_of
from edgelift.training.degrade.pictures import sharpened
from edgelift.training.degrade.pool import Pool
from edgelift.training.recipe import Recipe
from edgelift.training.resident import ResidentPatches

__all__ = ["Batches", "batches_of"]

Batches = Callable[[int], tuple[Tensor, Tensor]]
"""Number of a step -> low and high patches, N × 3 × h × w in 0 … 1, channels last; by the recipe's seed and the number alone."""


def batches_of(
    recipe: Recipe, paths: Sequence[Path], scale: int, device: torch.device, say: Callable[[str], None]
) -> Batches:
    """The batches of a run on the pictures `paths`. Raises `TrainingError` where none of them can be used.

    Folders that are to give a share and have no picture are named through `say`; the others give their share.
    """
    if absent := sorted(set(recipe.data.shares) - {path.parent.name for path in paths}):
        say(f"no pictures of {', '.join(absent)}; the other folders give the patches that {recipe.name} asks of them")
    drawn = (_degraded if recipe.degrade is not None else _clean)(recipe, paths, scale, device, say)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        low, high = (
            part.to(device, torch.float32, memory_format=torch.channels_last) / 255 for part in drawn(step)
        )  # two parts
        return low, high

    return batch


def _clean(
    recipe: Recipe, paths: Sequence[Path], scale: int, device: torch.device, say: Callable[[str], None]
) -> Batches:
    part = recipe.data
    return _patches(
        recipe, load_pairs(paths, scale, part.patch, say, factors=part.rescale), part.patch, part.batch, device
    )


def _degraded(
    recipe: Recipe, paths: Sequence[Path], scale: int, device: torch.device, say: Callable[[str], None]
) -> Batches:
    settings, part = recipe.degrade, recipe.data
    assert settings is not None
    side = (part.patch + 2 * MARGIN) * scale
    found = load_pairs(paths, 1, side, say, factors=part.rescale)
    crisp = [sharpened(pair.high, settings.sharpen) for pair in found]
    pairs = [Pair("", picture, picture, pair.folder) for pair, picture in zip(found, crisp, strict=True)]
    patches = _patches(recipe, pairs, side, settings.together if settings.pool else part.batch, device)

    def sharp(number: int) -> Tensor:
        return patches(number)[1]

    seed = recipe.train.seed
    if not settings.pool:
        return DegradedPatches(sharp, settings, scale, part.patch, seed, device)
    make = groups_of(sharp, settings, scale, seed, device)
    return Pool(make, settings.pool, settings.together, part.batch, settings.reuse, part.patch, scale, seed)


def _patches(recipe: Recipe, pairs: Sequence[Pair], side: int, batch: int, device: torch.device) -> Patches:
    part, seed = recipe.data, recipe.train.seed
    options: dict[str, Any] = {"texture": part.texture, "permute": part.permute, "shares": part.shares}
    if device.type == "cpu":
        return Patches(pairs, side, batch, seed, **options)
    return ResidentPatches(pairs, side, batch, seed, device, **options)
