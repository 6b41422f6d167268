"""NIQE: how natural a picture looks, without another to compare it with; smaller is better.

Mittal, Soundararajan and Bovik, "Making a 'completely blind' image quality analyzer", IEEE Signal Processing Letters 20,
2013: the distance between the features of the picture's blocks and those of pristine pictures, each as a multivariate
Gaussian. Figures can be compared only where they were counted with one model; see `niqe_model`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.core.image import Picture
from edgelift.evaluate.niqe_features import BLOCK, Blocks, blocks_of, luma_levels
from edgelift.evaluate.niqe_model import NiqeModel, load_model

__all__ = ["LEAST_BLOCKS", "NotDefinedError", "distance", "niqe", "niqe_of_levels"]

LEAST_BLOCKS = 2
"""Blocks without which there is no covariance. So few give a number, but a rough one: figures that are to be compared want
pictures of 10 blocks or more."""


class NotDefinedError(RequestError):
    """The picture has no NIQE: it is too small, or too flat. No number stands for that."""


def niqe(picture: Picture, model: NiqeModel | None = None) -> float:
    """NIQE of `picture`, at least 0; smaller is better.

    `picture`: H × W × 3 RGB, uint8, uint16 or float32 (0 … 255); or H × W, which is luma already. `model`: None takes the
    one that comes with edgelift. Pixels right of the last whole block and below it do not count.

    Raises `NotDefinedError` where fewer than two blocks of 96 × 96 pixels have features (a small or a flat picture) and
    `RequestError` for another array.
    """
    return niqe_of_levels(luma_levels(picture), model)


def niqe_of_levels(levels: NDArray[np.uint8], model: NiqeModel | None = None) -> float:
    """`niqe` for a picture whose luma is known (H × W, whole levels)."""
    height, width = levels.shape
    if (height // BLOCK) * (width // BLOCK) < LEAST_BLOCKS:
        raise NotDefinedError(
            f"NIQE is not defined for {width}×{height} pixels: it needs {LEAST_BLOCKS} whole blocks of {BLOCK}×{BLOCK}"
        )
    return distance(blocks_of(levels), model or load_model())


def distance(blocks: Blocks, model: NiqeModel) -> float:
    """How far the blocks of a picture are from `model` (equation 10).

    The mean is over all features that are numbers, the covariance over the blocks that have all of theirs, as in the
    authors' program. Raises `NotDefinedError` where fewer than two have.
    """
    whole = blocks.features[~np.isnan(blocks.features).any(axis=1)]
    if len(whole) < LEAST_BLOCKS:
        raise NotDefinedError(
            f"NIQE is not defined for a flat picture: {len(whole)} of its {len(blocks.features)} blocks have texture, "
            f"and it needs {LEAST_BLOCKS}"
        )
    apart = model.mean - np.nanmean(blocks.features, axis=0)
    spread = (model.covariance + np.cov(whole, rowvar=False)) / 2
    return float(np.sqrt(max(0.0, apart @ np.linalg.pinv(spread) @ apart)))
