"""Placing windows' blocks into strips, against a loop over every pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgelift.tiling.merge import crop_into, runs
from edgelift.tiling.plan import plan
from edgelift.tiling.window import Span, Window

TYPES = ("uint8", "uint16", "float32")


def _noise(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    if dtype == "float32":
        return rng.uniform(0, 255, shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def _slow(strip: NDArray[Any], blocks: NDArray[Any], window: Window, grid: int) -> None:
    side = blocks.shape[2]
    for y in range(len(window.keep_rows) * grid * side):
        for x in range(len(window.keep_columns) * grid * side):
            at_y = y + (window.keep_rows.start - window.rows.start) * grid * side  # in the window's result
            at_x = x + (window.keep_columns.start - window.columns.start) * grid * side
            pixel = blocks[at_y // side, at_x // side, at_y % side, at_x % side]
            strip[y, x + window.keep_columns.start * grid * side] = pixel


def test_a_case_by_hand() -> None:
    """One row of two input pixels, blocks of 2 × 2: channels of a block become two rows of the strip."""
    blocks = np.arange(1 * 2 * 2 * 2 * 3, dtype=np.uint8).reshape(1, 2, 2, 2, 3)
    strip = np.zeros((2, 4, 3), np.uint8)
    crop_into(strip, blocks, Window(Span(0, 1), Span(0, 2), Span(0, 1), Span(0, 2)), 1)
    assert strip[:, :, 0].tolist() == [[0, 3, 12, 15], [6, 9, 18, 21]]
    assert strip[0, 0].tolist() == [0, 1, 2]


@settings(max_examples=150)
@given(st.data(), st.integers(1, 4), st.integers(1, 4), st.sampled_from(TYPES))
def test_a_window_is_placed_as_the_loop_places_it(data: st.DataObject, side: int, grid: int, dtype: str) -> None:
    spans = []
    for _ in range(2):
        read = sorted(data.draw(st.lists(st.integers(0, 8), min_size=2, max_size=2, unique=True)))
        keep = sorted(data.draw(st.lists(st.integers(read[0], read[1]), min_size=2, max_size=2, unique=True)))
        spans.append((Span(*read), Span(*keep)))
    window = Window(spans[0][0], spans[1][0], spans[0][1], spans[1][1])
    rng = np.random.default_rng(0)
    blocks = _noise(rng, (len(window.rows) * grid, len(window.columns) * grid, side, side, 3), dtype)
    before = _noise(rng, (len(window.keep_rows) * grid * side, 8 * grid * side, 3), dtype)
    fast, slow = before.copy(), before.copy()
    crop_into(fast, blocks, window, grid)
    _slow(slow, blocks, window, grid)
    assert np.array_equal(fast, slow), "what is kept is placed, and nothing else is touched"


@settings(max_examples=60)
@given(
    st.integers(1, 25),
    st.integers(1, 25),
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(TYPES),
)
def test_a_whole_plan_gives_the_picture_back(
    height: int, width: int, halo: int, side: int, grid: int, dtype: str
) -> None:
    """Blocks cut from a larger picture and merged are that picture, window by window and strip by strip."""
    made = plan(height, width, (min(2 * halo + 3, height), min(2 * halo + 4, width)), halo)
    each = side * grid
    picture = _noise(np.random.default_rng(1), (height * each, width * each, 3), dtype)
    blocks = picture.reshape(height * grid, side, width * grid, side, 3).transpose(0, 2, 1, 3, 4)
    merged = np.zeros_like(picture)
    for row in made.windows():
        keep = row[0].keep_rows
        for window in reversed(row):  # in any order
            rows, columns = window.rows, window.columns
            part = blocks[rows.start * grid : rows.stop * grid, columns.start * grid : columns.stop * grid]
            crop_into(merged[keep.start * each : keep.stop * each], np.ascontiguousarray(part), window, grid)
    assert np.array_equal(merged, picture)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_runs_are_a_view(side: int, dtype: str) -> None:
    strip = np.zeros((2 * side, 5 * side, 3), dtype)
    view = runs(strip, side)
    assert view.shape == (2, side, 5)
    assert np.shares_memory(view, strip)
    assert view.itemsize == side * 3 * strip.itemsize


@pytest.mark.parametrize(
    "bend",
    [
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a.transpose(1, 0, 2),
        lambda a: a[:, ::-1],
        lambda a: a[..., ::-1],
        lambda a: np.concatenate([a, a[..., :1]], axis=2)[..., :3],
        np.asfortranarray,
    ],
    ids=["every second column", "transposed", "mirrored", "BGR", "colours of RGBA", "Fortran order"],
)
def test_a_strip_that_no_view_can_reach_is_refused(bend: Any) -> None:
    """Filling a copy in silence would lose the picture."""
    strip = bend(np.zeros((8, 8, 3), np.uint8))
    window = Window(Span(0, 4), Span(0, 4), Span(0, 4), Span(0, 4))
    with pytest.raises((ValueError, AttributeError)):
        crop_into(strip, np.ones((4, 4, 2, 2, 3), np.uint8), window, 1)


@pytest.mark.parametrize("shape", [(7, 8, 3), (6, 8, 3), (8, 7, 3), (8, 6, 3)])
def test_a_strip_of_another_size_is_refused(shape: tuple[int, int, int]) -> None:
    window = Window(Span(0, 4), Span(0, 4), Span(0, 4), Span(0, 4))
    with pytest.raises(ValueError, match=r"reshape|broadcast|divisor"):
        crop_into(np.zeros(shape, np.uint8), np.ones((4, 4, 2, 2, 3), np.uint8), window, 1)


def test_a_strip_may_be_part_of_a_wider_array() -> None:
    """Rows need not follow one another in memory, as long as each row does."""
    wide = np.zeros((8, 20, 3), np.uint8)
    crop_into(wide[:, 4:12], np.ones((4, 4, 2, 2, 3), np.uint8), Window(*[Span(0, 4)] * 4), 1)
    assert (wide[:, 4:12] == 1).all()
    assert wide.sum() == 8 * 8 * 3
