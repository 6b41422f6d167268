"""Patches cut on the device are those cut out of arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgelift.training.data import Pair, Patches
from edgelift.training.degrade.pool import Pool
from edgelift.training.resident import ResidentPatches

CPU = torch.device("cpu")


def _pair(height: int, width: int, scale: int, seed: int) -> Pair:
    rng = np.random.default_rng(seed)
    low, high = (rng.integers(0, 256, (height * s, width * s, 3), dtype=np.uint8) for s in (1, scale))
    return Pair("noise", low, high)


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("fields", [{}, {"texture": 1.0}, {"permute": True}])
def test_the_device_gives_the_batches_that_the_arrays_give(scale: int, fields: dict[str, float]) -> None:
    pairs = [_pair(9, 7, scale, 1), _pair(7, 12, scale, 2), _pair(30, 8, scale, 3)]
    if scale == 1:
        pairs = [Pair("", pair.high, pair.high) for pair in pairs]
    there = Patches(pairs, 5, 24, 3, **fields)  # type: ignore[arg-type]  # the fields' types differ
    here = ResidentPatches(pairs, 5, 24, 3, CPU, **fields)  # type: ignore[arg-type]
    for step in range(6):
        for expected, got in zip(there(step), here(step), strict=True):
            assert torch.equal(expected, got)
            assert fields.get("permute") or got.is_contiguous(memory_format=torch.channels_last)


def _group(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs that tell their group, their number in it and the place in a pair: 4 of 6 × 6 and 12 × 12 pixels."""
    y, x = torch.meshgrid(torch.arange(6), torch.arange(6), indexing="ij")
    low = torch.stack(
        [torch.stack([torch.full_like(y, number % 64), 6 * y + x, torch.full_like(y, k)]) for k in range(4)]
    )
    low = low.to(torch.uint8)
    return low, low.repeat_interleave(2, 2).repeat_interleave(2, 3)


def _pool(make=_group) -> Pool:  # type: ignore[no-untyped-def]
    return Pool(make, groups=3, together=4, batch=8, reuse=2, patch=4, scale=2, seed=5)


def test_a_pool_mixes_its_groups_and_keeps_low_and_high_together() -> None:
    pool = _pool()
    seen = set()
    for step in range(200):
        low, high = pool(step)
        assert low.shape == (8, 3, 4, 4)
        assert torch.equal(low.repeat_interleave(2, 2).repeat_interleave(2, 3), high)
        groups = set(low[:, 0].flatten().tolist())
        assert groups <= {(step + k) % 64 for k in range(3)}  # 8 a batch, shown twice: one new group of 4 a step
        seen |= {tuple(row) for row in low[:, 1, ::3, ::3].flatten(1).tolist()}
    corners = {tuple(sorted(row)) for row in seen}
    assert len(corners) == 9  # every place of a patch in a pair
    assert len(seen) == 9 * 8  # in every orientation


def test_a_pool_depends_on_seed_and_number_alone() -> None:
    asked: list[int] = []

    def make(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(number)
        return _group(number)

    forwards, later, backwards = _pool(make), _pool(), _pool()
    batches = [forwards(step) for step in range(12)]
    assert asked == list(range(14))
    assert torch.equal(later(11)[1], batches[11][1])
    for step in reversed(range(12)):
        assert torch.equal(backwards(step)[0], batches[step][0])
