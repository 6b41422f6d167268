"""Routes: the best tiling is the best of all tilings, and windows cover what they keep with their halo."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgelift.core.errors import RequestError
from edgelift.tiling.routes import Routed, Routes, layouts, placed, solve
from edgelift.tiling.window import Span


def tilings(cells: int, lengths: tuple[int, ...]) -> Iterator[list[tuple[int, int, int]]]:
    """(start, end, index of the length) of every tiling; the first window may be cut off."""
    if cells == 0:
        yield []
        return
    for k, length in enumerate(lengths):
        start = max(0, cells - length)
        for rest in tilings(start, lengths):
            yield [*rest, (start, cells, k)]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cells=st.integers(1, 5), worth=st.floats(0, 30))
def test_no_tiling_is_better(seed: int, cells: int, worth: float) -> None:
    rng = np.random.default_rng(seed)
    lengths = (1, 2, 4)
    errors, seconds = rng.random((3, 2, cells)), rng.random((3, 3))
    found = solve(errors, seconds, lengths, [worth])
    for row in range(2):
        least = min(
            sum(errors[v, row, a:b].sum() + worth * seconds[v, k] for v, (a, b, k) in zip(vs, tiling, strict=True))
            for tiling in tilings(cells, lengths)
            for vs in itertools.product(range(3), repeat=len(tiling))
        )
        assert found.errors[0, row] + worth * found.seconds[0, row] == pytest.approx(least)
        pieces = found.pieces(0, row)
        assert [a for a, _, _ in pieces] == [0, *(b for _, b, _ in pieces[:-1])]
        assert pieces[-1][1] == cells
        assert sum(errors[v, row, a:b].sum() for a, b, v in pieces) == pytest.approx(found.errors[0, row])


def test_rows_are_solved_apart_in_little_memory() -> None:
    """What is held beside the result does not grow with the rows."""
    rng = np.random.default_rng(0)
    errors, seconds, worths = rng.random((3, 1200, 60)), rng.random((1200, 3, 3)), np.geomspace(0.01, 10, 32).tolist()
    tracemalloc.start()
    found = solve(errors, seconds, (1, 2, 4), worths)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # all rows at once took 126 MB
    for row in (0, 700, 1199):
        alone = solve(errors[:, row : row + 1], seconds[row : row + 1], (1, 2, 4), worths)
        np.testing.assert_array_equal(alone.errors[:, 0], found.errors[:, row])
        np.testing.assert_array_equal(alone.counts[:, 0], found.counts[:, row])
        assert alone.pieces(9, 0) == found.pieces(9, row)


def test_dearer_seconds_buy_fewer_and_more_errors() -> None:
    rng = np.random.default_rng(0)
    base = rng.random((1, 4, 9))
    errors = np.concatenate([base * 3, base * 2, base])
    seconds = np.array([[1.0, 1.5, 2.5], [2, 3, 5], [4, 7, 12]])
    found = solve(errors, seconds, (1, 2, 4), [0, 0.01, 0.1, 1, 10])
    spent, missed = found.seconds.sum(axis=1), found.errors.sum(axis=1)
    assert (np.diff(spent) <= 0).all()
    assert (np.diff(missed) >= 0).all()
    assert spent[0] > spent[-1]
    assert {v for row in range(4) for _, _, v in found.pieces(0, row)} == {2}
    assert {v for row in range(4) for _, _, v in found.pieces(4, row)} == {0}


def test_prices_for_every_variant_and_length_are_needed() -> None:
    with pytest.raises(RequestError, match="3 variants and 2 lengths"):
        solve(np.zeros((3, 1, 4)), np.zeros((3, 3)), (1, 2), [1])


@given(cells=st.integers(1, 12), cut=st.integers(0, 15), halo=st.integers(0, 9), seed=st.integers(0, 99))
def test_windows_hold_what_they_keep_and_its_halo(cells: int, cut: int, halo: int, seed: int) -> None:
    cell, lengths = 16, (1, 2, 4)
    width = cells * cell - cut
    rng = np.random.default_rng(seed)
    pieces = solve(rng.random((2, 1, cells)), rng.random((2, 3)), lengths, [1.0]).pieces(0, 0)
    row = placed(pieces, lengths, cell, halo, width)
    for one in row:
        assert one.read.start >= 0
        assert one.read.stop <= width
        assert one.read.start <= max(0, one.keep.start - halo)
        assert one.read.stop >= min(width, one.keep.stop + halo)
        assert len(one.read) in {min(width, n * cell + 2 * halo) for n in lengths}
    routes = Routes(30, width, ((Span(0, 30), Span(0, 30)),), (row,))
    assert len(routes) == len(row)
    assert sum(routes.shares().values()) == pytest.approx(1)
    assert [len(windows) for windows in routes.windows()] == [len(row)]


@pytest.mark.parametrize("keeps", [[(0, 4)], [(0, 4), (5, 9)], [(1, 9)], []])
def test_a_row_that_leaves_columns_out_is_refused(keeps: list[tuple[int, int]]) -> None:
    row = tuple(Routed(Span(0, 9), Span(*keep), 1) for keep in keeps)
    with pytest.raises(RequestError, match="each column from 0 to 9 once"):
        Routes(4, 9, ((Span(0, 4), Span(0, 4)),), (row,))


@pytest.mark.parametrize(("height", "width"), [(1000, 100_000), (4000, 16_000), (40, 30_000), (1, 10**7), (63, 63)])
def test_rows_of_wide_pictures_are_no_mere_halos(height: int, width: int) -> None:
    for layout in layouts(height, width, 5, 1 << 19):
        assert len(layout.rows) * layout.tall <= 1.2 * height
