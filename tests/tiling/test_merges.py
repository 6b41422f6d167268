"""Blended merges: weights that sum to 1, and strips against a picture-wide mean written the slow way."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.tiling.merge import MERGES, OVERLAP, Blend, Crop, merge_of, sharing, weights
from edgelift.tiling.plan import Plan, auto_tile, axis, plan
from edgelift.tiling.window import Span

BLENDED = ("feather", "average")


# -- which overlap goes with which merge


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (("crop", None, 7), (7, None)),
        (("crop", 20, 7), (7, 20)),
        (("crop", 20, None), (None, 20)),
        (("naive", None, 7), (None, 0)),
        (("naive", 0, None), (None, 0)),
        (("feather", None, 7), (None, 14)),
        (("feather", 3, 7), (None, 3)),
        (("average", None, None), (None, OVERLAP)),
        (("average", None, 0), (None, OVERLAP)),
    ],
    ids=str,
)
def test_what_a_merge_asks_of_the_plan(
    given_: tuple[str, int | None, int | None], expected: tuple[int | None, int | None]
) -> None:
    assert sharing(*given_) == expected


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (("glue", None, 7), "merge must be one of crop, feather, average, naive, got 'glue'"),
        (("naive", 4, 7), "naive pastes disjoint tiles and has no overlap, got 4"),
        (("feather", 0, 7), "feather needs windows that share at least 1 pixel, got an overlap of 0"),
        (("average", -1, None), "got an overlap of -1"),
    ],
)
def test_an_overlap_that_a_merge_cannot_have(given_: tuple[str, int | None, int | None], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        sharing(*given_)


def test_a_merge_by_an_unknown_name() -> None:
    with pytest.raises(RequestError, match="merge must be one of"):
        merge_of("glue", plan(4, 4, (4, 4), 0), 1, 1, 1)


# -- plans with an overlap


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ((10, 6, 1, 1, 2), [((0, 6), (0, 5)), ((4, 10), (5, 10))]),  # as without
        ((10, 6, 1, 1, 4), [((0, 6), (0, 4)), ((2, 8), (4, 6)), ((4, 10), (6, 10))]),  # cut in the middle
        ((10, 6, 0, 1, 3), [((0, 6), (0, 4)), ((3, 9), (4, 5)), ((4, 10), (5, 10))]),
        ((10, 5, None, 1, 0), [((0, 5), (0, 5)), ((5, 10), (5, 10))]),
        ((10, 6, None, 1, 2), [((0, 6), (0, 5)), ((4, 10), (5, 10))]),
        ((10, 10, None, 1, 2), [((0, 10), (0, 10))]),
    ],
    ids=str,
)
def test_literal_overlaps(
    given_: tuple[int, int, int | None, int, int], expected: list[tuple[tuple[int, int], tuple[int, int]]]
) -> None:
    assert [((r.start, r.stop), (k.start, k.stop)) for r, k in axis(*given_)] == expected


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ((40, 20, 7, 1, 13), "an overlap of 13 is less than .* halo of 7 .* show seams; use feather, or leave it out"),
        ((40, 20, 7, 1, 20), "a tile side of 20 leaves nothing beyond an overlap of 20; take at least 21"),
        ((40, 20, None, 1, -1), "an overlap is at least 0 pixels, got -1"),
        ((40, 20, None, 1, None), "sees the whole picture .* or give an overlap"),
    ],
)
def test_overlaps_that_cannot_be_planned(given_: tuple[int, int, int | None, int, int | None], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        axis(*given_)


@st.composite
def overlapping(draw: st.DrawFn) -> tuple[int, int, int, int, int]:
    """(length, tile, halo, multiple_of, overlap) that can be planned."""
    multiple, halo = draw(st.integers(1, 8)), draw(st.integers(0, 9))
    overlap = draw(st.integers(2 * halo, 2 * halo + 40))
    least = -(-(overlap + multiple) // multiple)
    tile = multiple * draw(st.integers(least, least + 20))
    return draw(st.integers(1, 300)), tile, halo, multiple, overlap


@settings(max_examples=500)
@given(overlapping())
def test_kept_parts_stay_inside_the_halo_with_any_overlap(case: tuple[int, int, int, int, int]) -> None:
    length, tile, halo, multiple, overlap = case
    windows = axis(*case)
    edge = 0
    for read, keep in windows:
        assert keep.start == edge
        assert len(keep) > 0
        assert len(read) == tile
        assert read.start % multiple == 0
        assert read.start == 0 or keep.start - read.start >= halo
        assert read.stop >= length or read.stop - keep.stop >= halo
        edge = keep.stop
    assert edge == length
    assert all(b.start <= a.stop - overlap for (a, _), (b, _) in pairwise(windows))


@settings(max_examples=100)
@given(st.integers(1, 500), st.integers(1, 500), st.integers(0, 30), st.integers(1, 8), st.integers(64, 1 << 14))
def test_the_automatic_tile_has_room_for_the_overlap(
    height: int, width: int, overlap: int, multiple: int, area: int
) -> None:
    tile = auto_tile(height, width, None, multiple, area, overlap)
    made = plan(height, width, tile, None, multiple, overlap)
    assert tile[0] * tile[1] <= max(area, 4 * (overlap + multiple) ** 2) or len(made) == 1


# -- weights


def _reads(length: int, tile: int, overlap: int, multiple: int = 1) -> list[Span]:
    return [read for read, _ in axis(length, tile, None, multiple, overlap)]


@settings(max_examples=300)
@given(overlapping(), st.integers(1, 4), st.sampled_from(BLENDED))
@example((10, 8, 0, 1, 7), 1, "feather")  # a step of one: eight windows over a pixel
def test_weights_sum_to_one(case: tuple[int, int, int, int, int], scale: int, merge: str) -> None:
    length, tile, _, multiple, overlap = case
    reads = _reads(length, tile, overlap, multiple)
    made = weights(reads, length, scale, merge)
    total = np.zeros(length * scale)
    for read, weight in zip(reads, made, strict=True):
        assert weight.dtype == np.float32
        assert weight.min() > 0
        assert len(weight) == (min(read.stop, length) - read.start) * scale
        total[read.start * scale : min(read.stop, length) * scale] += weight
    assert np.abs(total - 1).max() < 1e-6


def test_an_average_by_hand() -> None:
    first, second = weights(_reads(10, 6, 2), 10, 1, "average")
    assert first.tolist() == [1, 1, 1, 1, 0.5, 0.5]
    assert second.tolist() == [0.5, 0.5, 1, 1, 1, 1]


def test_feathering_passes_smoothly_from_one_window_to_the_next() -> None:
    """Whatever the window's size: no step at the end of the overlap, where a seam would be seen."""
    for tile in (40, 400):
        first, second = weights(_reads(2 * tile - 16, tile, 16), 2 * tile - 16, 3, "feather")
        assert (first[: -16 * 3] == 1).all()
        band = first[-16 * 3 :]
        assert (np.diff(band) < 0).all()
        assert 0.985 < band[0] < 1
        assert 0 < band[-1] < 0.015
        assert np.abs(np.diff(band)).max() < 0.06
        assert np.allclose(band, second[: 16 * 3][::-1])
        assert np.allclose(band[23:25].mean(), 0.5)


# -- strips


def _noise(shape: tuple[int, ...], dtype: str, seed: int = 0) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 255, shape).astype(np.float32) if dtype != "uint8" else rng.integers(0, 256, shape, np.uint8)


def _blocks(picture: NDArray[Any], side: int) -> NDArray[Any]:
    """A picture (layers × rows × columns × 3) in blocks."""
    layers, rows, columns, _ = picture.shape
    return np.ascontiguousarray(
        picture.reshape(layers, rows // side, side, columns // side, side, 3).transpose(0, 1, 3, 2, 4, 5)
    )


def _merged(merge: str, made: Plan, results: list[NDArray[Any]], grid: int, side: int, dtype: str) -> NDArray[Any]:
    """All strips of a plan whose windows, in order, gave `results` (layers × rows × columns × 3, as pictures)."""
    layers, scale = len(results[0]), grid * side
    merging = merge_of(merge, made, grid, side, layers)
    assert merging.spans[0].start == 0
    assert merging.spans[-1].stop == made.height * scale
    left, strips = iter(results), []
    for k, row in enumerate(made.windows()):
        strip = np.empty((layers, len(merging.spans[k]), made.width * scale, 3), dtype)
        for window in row:
            merging.add(strip, window, _blocks(next(left), side))
        merging.finish(strip, k)
        strips.append(strip)
    return np.concatenate(strips, axis=1)


def _slow(merge: str, made: Plan, results: list[NDArray[Any]], scale: int) -> NDArray[np.float64]:
    """The weighted mean, in double precision over the whole picture at once, with weights from their definition."""
    shape = (len(results[0]), made.height * scale, made.width * scale)
    total, sums = np.zeros(shape[1:]), np.zeros((*shape, 3))
    shared = [
        (axis[0][0].stop - axis[1][0].start) * scale if len(axis) > 1 else 1 for axis in (made.rows, made.columns)
    ]
    for window, result in zip([w for row in made.windows() for w in row], results, strict=True):
        depth = [np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) for n in result.shape[1:3]]
        sides = [
            np.exp(-0.5 * (np.maximum(s - d, 0) * 3 / s) ** 2) if merge == "feather" else np.ones(len(d))
            for d, s in zip(depth, shared, strict=True)
        ]
        y, x = window.rows.start * scale, window.columns.start * scale
        weight = np.outer(*sides)[: shape[1] - y, : shape[2] - x]
        tall, wide = weight.shape
        total[y : y + tall, x : x + wide] += weight
        sums[:, y : y + tall, x : x + wide] += result[:, :tall, :wide] * weight[:, :, None]
    return sums / total[:, :, None]


@st.composite
def blends(draw: st.DrawFn) -> tuple[Plan, int, int]:
    """(plan, grid, side)."""
    multiple, overlap = draw(st.integers(1, 3)), draw(st.integers(1, 9))
    least = -(-(overlap + multiple) // multiple)
    tile = (multiple * draw(st.integers(least, least + 6)), multiple * draw(st.integers(least, least + 6)))
    made = plan(draw(st.integers(1, 30)), draw(st.integers(1, 30)), tile, None, multiple, overlap)
    return made, draw(st.integers(1, 2)), draw(st.integers(1, 3))


@settings(max_examples=120)
@given(blends(), st.sampled_from(BLENDED), st.sampled_from(["uint8", "uint16", "float32"]), st.integers(1, 2))
def test_strips_are_the_weighted_mean_of_all_windows(
    case: tuple[Plan, int, int], merge: str, dtype: str, layers: int
) -> None:
    made, grid, side = case
    scale = grid * side
    shape = (layers, made.tile[0] * scale, made.tile[1] * scale, 3)
    results = [_noise(shape, dtype, k) for k in range(len(made))]
    fast = _merged(merge, made, results, grid, side, dtype).astype(np.float64)
    slow = _slow(merge, made, results, scale) * (257 if dtype == "uint16" else 1)
    close = {"uint8": 0.501, "uint16": 0.52, "float32": 1e-3}[dtype]  # rounded once: never more than half a level off
    assert np.abs(fast - slow).max() <= close


@settings(max_examples=60)
@given(blends(), st.sampled_from(MERGES), st.sampled_from(["uint8", "uint16"]))
def test_windows_that_agree_give_the_picture(case: tuple[Plan, int, int], merge: str, dtype: str) -> None:
    """Every merge gives back a picture that was only cut up: to the bit, since nothing is rounded twice."""
    made, grid, side = case
    scale = grid * side
    picture = np.random.default_rng(0).integers(
        0, np.iinfo(dtype).max + 1, (1, made.height * scale, made.width * scale, 3), dtype
    )
    whole = picture if dtype == "uint8" else picture.astype(np.float32) / 257
    extended = np.pad(
        whole, ((0, 0), (0, made.tile[0] * scale), (0, made.tile[1] * scale), (0, 0)), mode="edge"
    )  # for windows that reach beyond
    results = [
        extended[:, w.rows.start * scale : w.rows.stop * scale, w.columns.start * scale : w.columns.stop * scale]
        for row in made.windows()
        for w in row
    ]
    assert np.array_equal(_merged(merge, made, results, grid, side, dtype), picture)


def test_blending_holds_no_more_than_a_row_of_windows() -> None:
    made = plan(1000, 50, (20, 20), None, 1, 4)
    merging = merge_of("feather", made, 1, 2, 1)
    assert isinstance(merging, Blend)
    assert merging._sums.size == 40 * 100 * 3
    assert merging.in_order
    assert [len(span) for span in merging.spans[:-2]] == [32] * (len(made.rows) - 2)


def test_cropping_takes_windows_in_any_order() -> None:
    assert not merge_of("crop", plan(9, 9, (5, 5), 1), 1, 1, 1).in_order
    assert isinstance(merge_of("naive", plan(9, 9, (5, 5), None, 1, 0), 1, 1, 1), Crop)


@pytest.mark.parametrize("merge", ["feather", "average"])
def test_sums_are_held_once(merge: str) -> None:
    """Also where the last row of windows overlaps much of the one before it."""
    made = plan(66, 400, (40, 400), None, overlap=16)
    blocks = np.ones((1, 40, 400, 2, 2, 3), np.float32)
    merging = merge_of(merge, made, 1, 2, 1)
    strips = [np.empty((1, len(span), 800, 3), np.float32) for span in merging.spans]
    tracemalloc.start()
    for k, (row, strip) in enumerate(zip(made.windows(), strips, strict=True)):
        for window in row:
            merging.add(strip, window, blocks)
        merging.finish(strip, k)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.8 * (4 * 3 * 80 * 800)
