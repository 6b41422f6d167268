"""Validation: the pictures that are set aside, and how near a network comes to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from edgelift.core.image import shave
from edgelift.core.metrics import psnr, psnr_y
from edgelift.nets.family import Family
from edgelift.nets.network import Network
from edgelift.training.data import Pair, load_pairs
from edgelift.training.degrade.files import degraded
from edgelift.training.degrade.pictures import sharpened
from edgelift.training.recipe import Recipe

__all__ = ["VALIDATION_SIDE", "Score", "load_checks", "middle", "validate", "validate_all"]

VALIDATION_SIDE = 512
"""Validation pictures are cut to at most this many pixels a side, from their middle: enough to rank two checkpoints."""


class Score(NamedTuple):
    """How near a network comes to the truth, in dB. Luma ranks runs, as it ranks published networks; it does not see colours."""

    psnr_y: float
    psnr_rgb: float


def load_checks(recipe: Recipe, paths: Sequence[Path], scale: int, say: Callable[[str], None]) -> list[Pair]:
    """The pairs that a run is validated with, degraded where the recipe says so, always alike; see `load_pairs`."""
    pairs = [middle(pair, VALIDATION_SIDE) for pair in load_pairs(paths, scale, 16, say)]
    return [_degraded(pair, recipe, scale) for pair in pairs] if recipe.degrade else pairs


def _degraded(pair: Pair, recipe: Recipe, scale: int) -> Pair:
    assert recipe.degrade is not None
    high = sharpened(pair.high, recipe.degrade.sharpen)
    return Pair(pair.name, degraded(high, recipe.degrade, scale, recipe.train.seed, pair.name)[0], high)


def middle(pair: Pair, side: int) -> Pair:
    """The middle of `pair`, at most `side` pixels of the sharp picture a side."""
    scale = pair.high.shape[0] // pair.low.shape[0]
    size = [min(n, side // scale) for n in pair.low.shape[:2]]
    y, x = ((n - s) // 2 for n, s in zip(pair.low.shape[:2], size, strict=True))
    high = pair.high[y * scale : (y + size[0]) * scale, x * scale : (x + size[1]) * scale]
    return Pair(pair.name, pair.low[y : y + size[0], x : x + size[1]], high)


def validate_all(network: Network, pairs: Sequence[Pair], device: torch.device) -> list[Score]:
    """`validate` of each subnet, narrowest first; of the network itself where it is one."""
    if not isinstance(network, Family):
        return [validate(network, pairs, device)]
    return [validate(network, pairs, device) for _ in network.in_turn()]


@torch.no_grad()
def validate(network: Network, pairs: Sequence[Pair], device: torch.device) -> Score:
    """Means for the network's rounded results over `pairs`, `scale` border pixels cut away."""
    scores, border = [], network.scale
    for pair in pairs:
        x = torch.from_numpy(pair.low.copy()).to(device).permute(2, 0, 1)[None].float() / 255
        y = (network(x)[0].permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        scores.append((psnr_y(y, pair.high, border), psnr(shave(y, border), shave(pair.high, border))))
    luma, colour = np.mean(scores, axis=0)
    return Score(float(luma), float(colour))
