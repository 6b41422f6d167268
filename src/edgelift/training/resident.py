"""Pictures that lie on the device, and patches cut there: a GPU waits for no copy of pixels.

All pixels of all pictures are one long list of colours. A patch is a list of positions in it, computed on the device from
where the patch begins, how long the picture's rows are and how the patch is turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgelift.training.data import Pair, Patches, Place

__all__ = ["Cutter", "ResidentPatches", "Shelf"]


class Cutter:
    """Cuts square patches of `side` pixels out of lists of colours, in any of the eight orientations."""

    def __init__(self, side: int, device: torch.device) -> None:
        i, j = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        rows, columns = [], []
        for flip in (False, True):
            back = side - 1 - j if flip else j
            turned = [(i, back), (back, side - 1 - i), (side - 1 - i, side - 1 - back), (side - 1 - back, i)]
            rows += [y for y, _ in turned]
            columns += [x for _, x in turned]
        self.rows, self.columns = torch.stack(rows).to(device), torch.stack(columns).to(device)

    def __call__(self, colours: Tensor, first: Tensor, width: Tensor, oriented: Tensor) -> Tensor:
        """Patches N × 3 × side × side (channels last in memory) of `colours` (P × 3).

        For each patch: the position of its first pixel before it is turned, the length of its picture's rows, and its
        orientation (quarter turns to the left, plus 4 where the columns are reversed after that); N whole numbers each.
        """
        at = self.rows[oriented] * width[:, None, None] + self.columns[oriented] + first[:, None, None]
        return colours[at].permute(0, 3, 1, 2)


class Shelf:
    """Pictures (H × W × 3, uint8) of different sizes as one list of colours on a device."""

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], device: torch.device) -> None:
        sizes = np.array([picture.shape[:2] for picture in pictures], np.int64)
        self.start = np.concatenate([[0], sizes.prod(axis=1).cumsum()])
        self.width = sizes[:, 1]
        self.colours = torch.empty(int(self.start[-1]), 3, dtype=torch.uint8, device=device)
        for picture, begin, end in zip(pictures, self.start[:-1], self.start[1:], strict=True):
            self.colours[begin:end] = torch.from_numpy(np.array(picture).reshape(-1, 3))

    def where(self, places: Sequence[Place], scale: int) -> NDArray[np.int64]:
        """Position of the first pixel and length of the rows for each of `places`, given in 1/`scale` pixels; N × 2."""
        number, y, x = np.array([(p.number, p.y * scale, p.x * scale) for p in places], np.int64).T
        width = self.width[number]
        return np.stack([self.start[number] + y * width + x, width], axis=1)


class ResidentPatches(Patches):
    """The same batches as those of `Patches`, cut on `device`, where they are."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        patch: int,
        batch: int,
        seed: int,
        device: torch.device,
        **options: Any,
    ) -> None:
        """`options` as for `Patches`."""
        super().__init__(pairs, patch, batch, seed, **options)
        self.device, self.scale = device, pairs[0].high.shape[0] // pairs[0].low.shape[0]
        self.low = Shelf([pair.low for pair in pairs], device)
        self.high = self.low if self.scale == 1 else Shelf([pair.high for pair in pairs], device)
        self.cut_low, self.cut_high = Cutter(patch, device), Cutter(patch * self.scale, device)

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Batch number `step` as uint8 tensors N × 3 × h × w (channels last in memory) on the device: low, high."""
        places = self.places(step)
        oriented = np.array([place.turns + 4 * place.flip for place in places], np.int64)[:, None]
        facts = np.concatenate([self.low.where(places, 1), self.high.where(places, self.scale), oriented], axis=1)
        numbers = torch.from_numpy(facts).to(self.device, non_blocking=True)
        low = self.cut_low(self.low.colours, numbers[:, 0], numbers[:, 1], numbers[:, 4])
        one = self.high is self.low  # a picture that is its own pair is cut once
        high = low if one else self.cut_high(self.high.colours, numbers[:, 2], numbers[:, 3], numbers[:, 4])
        if self.permute:
            order = torch.tensor([place.order for place in places]).to(self.device, non_blocking=True)[:, :, None, None]
            low, high = (part.take_along_dim(order, dim=1) for part in (low, high))
        return low, high
