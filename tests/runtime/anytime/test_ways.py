"""All ways to spend time: every picture is covered, and more time never predicts a larger error."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgelift.runtime.anytime.scores import BLOCK
from edgelift.runtime.anytime.ways import MOST_PIXELS, WORTHS, Ways, _cells, _rows, mixed, ways
from edgelift.tiling.cost import CostModel, Measured
from edgelift.tiling.routes import Routes, layouts

MODEL = CostModel(
    tuple(Measured(1, s, s, 1e-4 + s * s * p, v) for v, p in enumerate((1e-7, 5e-7, 2e-6)) for s in (64, 512))
)


def found(height: int, width: int, halo: int, seed: int = 0) -> Ways:
    rng = np.random.default_rng(seed)
    blocks = rng.random((-(-height // BLOCK), -(-width // BLOCK))) ** 4 * 100
    return ways(height, width, halo, np.stack([3 * blocks, 2 * blocks, blocks + 0.1]), MODEL)


@settings(max_examples=40)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 20), st.integers(0, 31))
def test_windows_cover_the_picture_with_their_halo(height: int, width: int, halo: int, worth: int) -> None:
    made = found(height, width, halo)
    for k, layout in enumerate(made.layouts):
        routes = Routes(
            height, width, layout.rows, tuple(made.row(k, worth % len(WORTHS), r) for r in range(len(layout.rows)))
        )
        seen = np.zeros((height, width), int)
        for window in (window for row in routes.windows() for window in row):
            seen[
                window.keep_rows.start : window.keep_rows.stop, window.keep_columns.start : window.keep_columns.stop
            ] += 1
            for read, keep, size in (
                (window.rows, window.keep_rows, height),
                (window.columns, window.keep_columns, width),
            ):
                assert read.start <= max(0, keep.start - halo)
                assert read.stop >= min(size, keep.stop + halo)
                assert 0 <= read.start < read.stop <= size
        assert (seen == 1).all()
        assert len({len(read) for read, _ in layout.rows}) == 1, "one height of windows"


@given(st.integers(1, 700), st.integers(1, 99))
def test_each_pixel_counts_once_in_the_errors(height: int, width: int) -> None:
    """Also those of blocks that the lower or the right edge cuts off."""
    errors = np.ones((2, -(-height // BLOCK), -(-width // BLOCK)))
    for layout in layouts(height, width, 5, 1 << 19):
        sums = _rows(_cells(errors, height, width), layout)
        kept = [len(keep) * width for _, keep in layout.rows]
        np.testing.assert_allclose(sums.sum(axis=2), [kept, kept])


def test_dearer_seconds_buy_less() -> None:
    made = found(300, 600, 5)
    assert (np.diff(made.spent().sum(axis=2), axis=0) <= 1e-12).all()
    assert (np.diff(made.errors(), axis=0) >= -1e-12).all()
    assert made.errors()[0].max() <= 1 + 1e-9  # the best is at least the widest everywhere


def test_sums_are_those_of_the_windows() -> None:
    made = found(200, 333, 4, seed=3)
    for k, layout in enumerate(made.layouts):
        for worth in (0, 15, 31):
            rows = [made.row(k, worth, r) for r in range(len(layout.rows))]
            seconds = sum(
                1.2e-4 + MODEL.seconds(1, layout.tall, len(one.read), one.variant) for row in rows for one in row
            )
            np.testing.assert_allclose(made.spent()[worth, k].sum(), seconds)


def test_large_pictures_have_small_windows() -> None:
    for height, width in ((8000, 6000), (300, 60_000)):
        cut = layouts(height, width, 7, 1 << 19)
        most = max(1 << 19, 64 * width)  # lower rows would be mostly halo
        assert all((len(layout.rows[1][1]) - 1) * width <= most for layout in cut)
    made = found(3000, 2000, 7)
    for k, layout in enumerate(made.layouts):
        for row in range(0, len(layout.rows), 5):
            assert all(len(one.read) * layout.tall <= MOST_PIXELS for one in made.row(k, 0, row))


def test_what_is_left_makes_single_rows_better() -> None:
    seconds = np.array([[4.0, 4, 4, 4], [1, 1, 1, 1]])
    errors = np.array([[1.0, 1, 1, 1], [2, 5, 3, 2]])
    assert mixed(seconds, errors, 4).tolist() == [1, 1, 1, 1]
    assert mixed(seconds, errors, 9).tolist() == [1, 0, 1, 1]
    assert mixed(seconds, errors, 10).tolist() == [1, 0, 0, 1]
    assert mixed(seconds, errors, 100).tolist() == [0, 0, 0, 0]
    assert mixed(seconds, errors, 1).tolist() == [1, 1, 1, 1]  # the quickest


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 200))
def test_mixed_rows_keep_the_limit(seed: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    seconds = np.sort(rng.random((20, 7)) * 10, axis=0)[::-1]
    errors = np.sort(rng.random((20, 7)), axis=0)
    chosen = mixed(seconds, errors, limit)
    taken = seconds[chosen, np.arange(7)].sum()
    assert taken <= max(limit, seconds.sum(axis=1).min()) + 1e-9
    one = np.flatnonzero(seconds.sum(axis=1) <= limit)
    if len(one):
        assert errors[chosen, np.arange(7)].sum() <= errors[one[0]].sum() + 1e-12
