"""Drawings made up by chance."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("PIL")

from edgelift.training.scenes import scene  # after the skip


@pytest.mark.parametrize("side", [16, 33, 96])
def test_a_scene_is_a_picture_of_its_size(side: int) -> None:
    made = scene(3, 5, side)
    assert (made.shape, made.dtype) == ((side, side, 3), np.uint8)


def test_scenes_depend_on_their_numbers_alone() -> None:
    first, again, next_, other = scene(0, 1, 48), scene(0, 1, 48), scene(0, 2, 48), scene(1, 1, 48)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, next_)
    assert not np.array_equal(first, other)


def test_they_have_flat_areas_and_edges() -> None:
    flat = edges = 0.0
    for number in range(8):
        luma = scene(0, number, 96).astype(np.float32).mean(axis=2)
        steps = np.abs(np.diff(luma, axis=1))
        flat += float((steps < 1).mean()) / 8
        edges += float((steps > 24).mean()) / 8
    assert flat > 0.4  # photographs have a fifth or less
    assert edges > 0.01
