"""A stock of degraded pairs from which batches are drawn, so that each pair made is shown several times.

Making pairs is dearer than training a small network on them. A group of pairs shares sizes and the order of steps; the
stock mixes groups, so that a batch is more varied than a group (Real-ESRGAN, Wang et al. 2021, keeps one for that).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from edgelift.training.resident import Cutter

__all__ = ["Pool"]

Group = Callable[[int], tuple[Tensor, Tensor]]
"""Number of a group -> its pairs with their margins, uint8 tensors N × 3 × side × side on one device: low, high."""


class Pool:
    """Batches out of a stock of the last `groups` groups that `make` made.

    `together` pairs a group, `batch` pairs a batch; a pair is shown `reuse` times on average before another takes its
    place. Patches of `patch` pixels (`scale` times as many in the sharp one) are cut anywhere in a pair, and turned.
    Batch k depends on (`seed`, k) alone: what is missing of the stock is made when a batch is asked for.
    """

    def __init__(
        self, make: Group, groups: int, together: int, batch: int, reuse: float, patch: int, scale: int, seed: int
    ) -> None:
        self.make, self.groups, self.together, self.batch, self.reuse = make, groups, together, batch, reuse
        self.patch, self.scale, self.seed = patch, scale, seed
        self.made = 0
        """Number after that of the newest group in the stock."""
        self.stock: tuple[Tensor, Tensor] | None = None
        self.cutters: tuple[Cutter, Cutter] | None = None

    def _fill(self, until: int) -> tuple[Tensor, Tensor]:
        """Make what is missing of the groups before number `until`; the stock, each N × side × side × 3."""
        if until < self.made:  # an earlier batch than the last one: its groups have been overwritten
            self.made = 0
        for number in range(max(self.made, until - self.groups), until):
            pairs = self.make(number)
            if self.stock is None or self.cutters is None:
                kept = [
                    torch.empty((self.groups * self.together, *p.shape[2:], 3), dtype=p.dtype, device=p.device)
                    for p in pairs
                ]
                self.stock = (kept[0], kept[1])
                self.cutters = (Cutter(self.patch, kept[0].device), Cutter(self.patch * self.scale, kept[0].device))
            at = number % self.groups * self.together
            for kept_part, part in zip(self.stock, pairs, strict=True):
                kept_part[at : at + self.together] = part.permute(0, 2, 3, 1)
        self.made = until
        assert self.stock is not None
        return self.stock

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Batch number `step` as uint8 tensors N × 3 × h × w on the device: low, high."""
        low, high = self._fill(self.groups + int(step * self.batch / (self.reuse * self.together)))
        assert self.cutters is not None
        rng = np.random.default_rng([self.seed, step, 3])
        side, sharp = low.shape[1], high.shape[1]
        number = rng.integers(len(low), size=self.batch)
        y, x = rng.integers(side - self.patch + 1, size=(2, self.batch))
        small = number * side * side + y * side + x
        large = number * sharp * sharp + (y * sharp + x) * self.scale
        facts = np.stack([small, large, rng.integers(8, size=self.batch)])
        first, beside, oriented = torch.from_numpy(facts).to(low.device, non_blocking=True)
        return (
            self.cutters[0](low.view(-1, 3), first, torch.full_like(first, side), oriented),
            self.cutters[1](high.view(-1, 3), beside, torch.full_like(first, sharp), oriented),
        )
