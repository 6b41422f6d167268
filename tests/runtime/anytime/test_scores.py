"""Edge scores: by the definition, whatever the picture's type and size."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgelift.runtime.anytime import scores
from edgelift.runtime.anytime.held import held
from edgelift.runtime.anytime.scores import BLOCK, EdgeScores, edge_scores
from edgelift.runtime.rows import ArraySource


def by_definition(picture: np.ndarray) -> EdgeScores:
    """The two means over blocks, pixel by pixel."""
    grey = picture.astype(np.float64) @ [0.25, 0.5, 0.25]
    wide = np.pad(grey, 1, mode="edge")
    laplacian = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:] - 4 * grey
    blocks = [(y, x) for y in range(0, len(grey), BLOCK) for x in range(0, grey.shape[1], BLOCK)]
    parts = [laplacian[y : y + BLOCK, x : x + BLOCK] for y, x in blocks]
    shape = (-(-len(grey) // BLOCK), -(-grey.shape[1] // BLOCK))
    absolute = [np.minimum(np.abs(part), 255).mean() for part in parts]
    return EdgeScores(np.reshape(absolute, shape), np.reshape([np.square(part).mean() for part in parts], shape))


def same(a: EdgeScores, b: EdgeScores, tolerance: float = 1e-4) -> None:
    np.testing.assert_allclose(a.absolute, b.absolute, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(a.square, b.square, rtol=tolerance, atol=tolerance)


@settings(max_examples=30)
@given(
    st.integers(1, 50), st.integers(1, 50), st.integers(0, 2**32 - 1), st.sampled_from(["uint8", "uint16", "float32"])
)
def test_as_defined(height: int, width: int, seed: int, dtype: str) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    stored = picture.astype(np.uint16) * 257 if dtype == "uint16" else picture.astype(dtype)
    same(edge_scores(ArraySource(stored)), by_definition(picture))


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (150, 90, 3), np.uint8)
    whole = edge_scores(ArraySource(picture))
    monkeypatch.setattr(scores, "STRIP", 1)
    same(edge_scores(ArraySource(picture)), whole, 1e-6)


def test_flat_is_nothing_and_extremes_do_not_overflow() -> None:
    assert not edge_scores(ArraySource(np.full((40, 40, 3), 200, np.uint8))).square.any()
    board = np.indices((32, 32)).sum(axis=0) % 2 * 255
    found = edge_scores(ArraySource(np.repeat(board[..., None], 3, axis=2).astype(np.uint8)))
    assert found.absolute.max() == 255  # saturated
    assert found.square[0, 0] > 900_000  # (4 · 255)² but at the edges


class Layers:
    """Two layers: a flat picture, and an alpha with an edge."""

    height, width, layers, dtype = 32, 32, 2, np.dtype(np.uint8)

    def rows(self, start: int, stop: int) -> np.ndarray:
        both = np.zeros((2, 32, 32, 3), np.uint8)
        both[1, :, 16:] = 255
        return both[:, start:stop]


def test_the_busier_layer_counts() -> None:
    assert edge_scores(Layers()).square.min() > 0


class Read:
    """A picture whose rows are fresh each time, as those of a file are."""

    layers = 1

    def __init__(self, picture: np.ndarray) -> None:
        self.picture, self.dtype = picture, picture.dtype
        self.height, self.width, _ = picture.shape

    def rows(self, start: int, stop: int) -> np.ndarray:
        return self.picture[None, start:stop].copy()


@pytest.mark.parametrize("most", [0, 10**9])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_held_pictures_are_read_again(most: int, dtype: str) -> None:
    picture = np.random.default_rng(2).integers(0, 256, (77, 31, 3)).astype(dtype)
    with held(Read(picture), most) as kept:
        for start, stop in ((0, 77), (5, 6), (70, 77), (0, 3)):
            np.testing.assert_array_equal(kept.rows(start, stop), picture[None, start:stop])
            assert kept.rows(start, stop).flags.writeable
    with held(Layers(), most) as kept:
        np.testing.assert_array_equal(kept.rows(3, 20), Layers().rows(3, 20))


def test_what_is_in_memory_is_not_written_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    picture = np.zeros((9, 8, 3), np.uint8)
    with held(ArraySource(picture), 0) as kept:
        assert np.shares_memory(kept.rows(2, 5), picture)
