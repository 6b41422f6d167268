"""The choice of tiles: both published definitions as literal cases, and the least predicted time over many pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.tiling import choose as module
from edgelift.tiling.candidates import candidates
from edgelift.tiling.choose import (
    REDUNDANCY_C,
    Choice,
    choose,
    least_price,
    least_redundant,
    redundancy,
    redundant_work,
    windows,
)
from edgelift.tiling.cost import CostModel, Measured
from edgelift.tiling.plan import auto_tile, axis, plan

# Seconds, batch, height, width: the table of the tiled upscaling entry to CCF BDCI 2023.
PUBLISHED = CostModel(
    tuple(
        Measured(batch, height, width, seconds)
        for seconds, batch, height, width in [
            (0.00386, 1, 128, 128), (0.00768, 2, 128, 128), (0.01180, 1, 192, 256), (0.01543, 4, 128, 128),
            (0.01616, 1, 256, 256), (0.02342, 2, 192, 256), (0.02457, 1, 256, 384), (0.05305, 4, 192, 256),
            (0.06987, 1, 512, 512), (0.13496, 2, 512, 512), (0.26931, 4, 512, 512),
        ]
    )
)  # fmt: skip
TILES = [(128, 128), (192, 256), (256, 256), (256, 384), (512, 512)]
COMMON = [  # width, height
    (480, 320), (510, 340), (512, 384), (640, 480), (720, 480), (768, 512),
    (800, 600), (960, 540), (1024, 768), (1280, 720), (1280, 960), (1920, 1080),
]  # fmt: skip
FLAT = CostModel((Measured(1, 64, 64, 4096e-8), Measured(1, 512, 512, 512 * 512e-8)))
"""Time in proportion to pixels."""


# -- counting


@settings(max_examples=200)
@given(st.integers(1, 3000), st.integers(1, 600), st.integers(0, 40), st.integers(1, 16), st.booleans())
def test_windows_are_counted_as_they_are_planned(length: int, tile: int, halo: int, multiple: int, odd: bool) -> None:
    shared = 2 * halo + odd
    tile = -(-max(tile, shared + multiple) // multiple) * multiple
    assert windows(length, tile, shared, multiple) == len(axis(length, tile, None, multiple, shared))


# -- the two definitions


def test_the_least_price_of_the_published_table() -> None:
    overall, single = least_price(PUBLISHED), least_price(PUBLISHED, batch=1)
    assert (overall.batch, overall.height, overall.width) == (2, 128, 128)
    assert (single.batch, single.height, single.width) == (1, 128, 128)
    with pytest.raises(RequestError, match="no prices were measured for variant 1 in batches of 3"):
        least_price(PUBLISHED, batch=3)


@pytest.mark.parametrize(
    ("constant", "best"),
    [(16, (512, 512)), (39, (192, 256)), (REDUNDANCY_C, (192, 256)), (49, (192, 256)), (64, (128, 128))],
)
def test_the_least_redundant_of_the_published_tiles(constant: float, best: tuple[int, int]) -> None:
    """What the value of C rests on: over common pictures, with the entry's halo of 4, it gives the published tile."""

    def work(tile: tuple[int, int]) -> float:
        return sum(redundant_work(height, width, 4, tile, constant=constant) for width, height in COMMON)

    assert min(TILES, key=work) == best


@pytest.mark.parametrize(
    ("height", "width", "best"),
    [(480, 640, (256, 384)), (340, 510, (512, 512)), (540, 960, (192, 256)), (512, 512, (512, 512))],
)
def test_least_redundant(height: int, width: int, best: tuple[int, int]) -> None:
    assert least_redundant(height, width, 4, TILES) == best
    assert least_redundant(height, width, 4, reversed(TILES)) == best


def test_redundancy() -> None:
    assert redundancy(100, 100, 0, (50, 50)) == 0
    assert redundancy(100, 100, 0, (80, 100)) == pytest.approx(1 - 100 / 160)
    assert redundancy(10, 10, None, (20, 20)) == 0.75
    assert redundancy(100, 100, 4, (60, 100), overlap=20) == pytest.approx(1 - 100 / 120)
    assert redundant_work(100, 100, 0, (80, 100), constant=3) == pytest.approx((1 - 100 / 160) * 5)


def test_tiles_without_room_for_the_halo_are_no_candidates() -> None:
    assert least_redundant(100, 100, 30, [(60, 60), (80, 80)]) == (80, 80)
    with pytest.raises(RequestError, match="room for a halo of 30"):
        least_redundant(100, 100, 30, [(60, 60)])


# -- the choice


@pytest.mark.parametrize(
    ("height", "width", "halo", "multiple", "tile", "count"),
    [
        (360, 640, 7, 1, (360, 640), 1),  # whole where it fits
        (1, 1, 7, 1, (1, 1), 1),
        (1360, 2040, 7, 1, (463, 521), 12),
        (10_000, 7, 7, 1, (10_000, 7), 1),
        (1001, 999, 5, 8, (512, 512), 4),
        (1000, 1000, None, 1, (1000, 1000), 1),  # sees the whole picture
        (1001, 10, None, 4, (1004, 12), 1),
    ],
)
def test_choices_where_time_is_in_proportion_to_pixels(
    height: int, width: int, halo: int | None, multiple: int, tile: tuple[int, int], count: int
) -> None:
    choice = choose(height, width, halo, FLAT, multiple_of=multiple)
    assert (choice.tile, choice.windows, choice.batch, choice.memory) == (tile, count, 1, 0)
    assert choice.seconds == pytest.approx(count * tile[0] * tile[1] * 1e-8)


def test_a_device_with_cheap_small_windows_gets_them() -> None:
    falls_out_of_caches = CostModel((Measured(1, 128, 128, 1e-3), Measured(1, 512, 512, 64e-3)))
    choice = choose(2000, 2000, 4, falls_out_of_caches)
    assert choice.tile[0] * choice.tile[1] < 200 * 200


def test_a_device_with_dear_calls_gets_large_windows() -> None:
    dear = CostModel((Measured(1, 128, 128, 1.0), Measured(1, 2048, 2048, 1.1)))
    assert choose(2000, 2000, 4, dear).tile == (2000, 2000)


sizes = st.integers(1, 4000)


@settings(max_examples=150)
@given(sizes, sizes, st.integers(0, 60), st.sampled_from([1, 2, 3, 8, 16]))
def test_a_choice_can_be_planned_and_wastes_no_more_than_auto(h: int, w: int, halo: int, multiple: int) -> None:
    choice = choose(h, w, halo, FLAT, multiple_of=multiple)
    made = plan(h, w, choice.tile, halo, multiple)
    assert len(made) == choice.windows
    assert choice.seconds == pytest.approx(made.pixels * 1e-8)
    fixed = plan(h, w, auto_tile(h, w, halo, multiple), halo, multiple)
    assert made.pixels <= fixed.pixels * 1.03
    assert choice == choose(h, w, halo, FLAT, multiple_of=multiple)


@pytest.mark.parametrize("halo", [0, 7, 200])
def test_few_tiles_are_tried_however_large_the_picture(halo: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A choice takes milliseconds: the number of tiles is what that depends on."""
    tried: list[int] = []
    measured = CostModel.seconds_of

    def counting(self: CostModel, area: NDArray[np.int64], *rest: int) -> NDArray[np.float64]:
        tried.append(np.size(area))
        return measured(self, area, *rest)

    monkeypatch.setattr(CostModel, "seconds_of", counting)
    choice = choose(100_000, 100_000, halo, FLAT)
    assert sum(tried) < 25_000
    assert choice.tile[0] * choice.tile[1] <= max(module.DEFAULT_AREA, (2 * halo + 1) ** 2)


def test_an_engine_with_shapes_of_its_own() -> None:
    shapes = [(64, 64), (128, 256), (512, 512)]
    assert choose(100, 200, 4, FLAT, shapes=shapes).tile == (128, 256)
    assert choose(60, 60, 4, FLAT, shapes=shapes).tile == (64, 64)
    assert choose(600, 600, 40, FLAT, shapes=shapes).tile == (512, 512)  # no room for the halo in the first
    assert choose(300, 300, None, FLAT, shapes=shapes).tile == (512, 512)  # the only one that holds it all
    with pytest.raises(RequestError, match=r"none of the engine's shapes 64×64, 128×256, 512×512 can hold the whole"):
        choose(600, 600, None, FLAT, shapes=shapes)
    with pytest.raises(RequestError, match="has room for an overlap of 600"):
        choose(1000, 1000, 300, FLAT, shapes=shapes)


def test_an_overlap_larger_than_the_halo_asks_for() -> None:
    choice = choose(900, 900, 4, FLAT, overlap=100)
    assert choice.windows == len(plan(900, 900, choice.tile, 4, overlap=100))
    assert choose(900, 900, None, FLAT, overlap=100).tile == choice.tile


# -- batches


def test_a_batch_is_taken_where_it_is_clearly_quicker() -> None:
    def model(share: float) -> CostModel:
        return CostModel((*FLAT.rows, Measured(2, 64, 64, 2 * 4096e-8 * share)))

    assert choose(2000, 2000, 4, model(0.96), batches=(1, 2)).batch == 1
    batched = choose(2000, 2000, 4, model(0.6), batches=(1, 2))
    assert batched.batch == 2
    assert choose(2000, 2000, 4, model(0.6), batches=(1,)).batch == 1
    assert batched.seconds < choose(2000, 2000, 4, FLAT).seconds * 0.85


def test_the_last_batch_may_be_smaller() -> None:
    model = CostModel((Measured(1, 10, 10, 3.0), Measured(4, 10, 10, 4.0)))
    found = choose(10, 50, 0, model, shapes=((10, 10),), batches=(4,))
    assert (found.windows, found.batch) == (5, 4)
    assert found.seconds == pytest.approx(4.0 + 3.0)


def test_a_batch_does_not_reach_beyond_a_row_of_windows() -> None:
    model = CostModel((Measured(1, 10, 10, 3.0), Measured(4, 10, 10, 4.0)))
    found = choose(50, 10, 0, model, shapes=((10, 10),), batches=(1, 4))
    assert (found.windows, found.batch) == (5, 1)
    assert found.seconds == pytest.approx(5 * 3.0)
    assert choose(30, 50, 0, model, shapes=((10, 10),), batches=(4,)).seconds == pytest.approx(3 * (4.0 + 3.0))


# -- memory


def need(heights: NDArray[np.int64], widths: NDArray[np.int64], batch: int) -> NDArray[np.float64]:
    return np.asarray(1e6 + 100.0 * heights * widths * batch)


def test_memory_limits_the_tile() -> None:
    free = choose(2000, 2000, 4, FLAT, need=need)
    assert free.memory == need(*(np.array(side) for side in free.tile), 1)
    tight = choose(2000, 2000, 4, FLAT, need=need, limit=2_000_000)
    assert tight.memory <= 2_000_000
    assert tight.tile[0] * tight.tile[1] <= 10_000
    assert tight.seconds > free.seconds


@pytest.mark.parametrize("comfort", [1_500_000, 5_000_000, 20_000_000, 10**9])
def test_less_memory_is_taken_where_it_costs_little(comfort: int) -> None:
    free = choose(2000, 2000, 4, FLAT, need=need)
    found = choose(2000, 2000, 4, FLAT, need=need, comfort=comfort)
    assert found.seconds <= module.COMFORT_COST * free.seconds
    if free.memory <= comfort:
        assert found == free
        return
    assert found.memory < free.memory
    limited = choose(2000, 2000, 4, FLAT, need=need, limit=comfort)
    if limited.seconds <= module.COMFORT_COST * free.seconds:
        assert found == limited
    else:
        assert comfort < found.memory


def test_memory_limits_the_batch() -> None:
    model = CostModel((Measured(1, 10, 10, 3.0), Measured(4, 10, 10, 4.0)))
    found = choose(10, 50, 0, model, shapes=((10, 10),), batches=(1, 4), need=need, limit=1_020_000)
    assert found.batch == 1


def test_too_little_memory_says_what_is_needed() -> None:
    with pytest.raises(RequestError, match=r"tiles of 9×9, is about 1 MB, and the limit is 1 MB; allow more memory"):
        choose(2000, 2000, 4, FLAT, need=need, limit=1_000_000)
    with pytest.raises(RequestError, match=r"tiles of 2000×2000, is about 401 MB"):
        choose(2000, 2000, None, FLAT, need=need, limit=100_000_000)


# -- side by side


def test_candidates() -> None:
    chosen = choose(540, 960, 4, PUBLISHED, batches=(1,))
    rows = candidates(540, 960, 4, PUBLISHED, chosen)
    assert [row.choice for row in rows if row.chosen] == [chosen]
    assert [(r.choice.tile, r.choice.batch) for r in rows if r.least_price] == [((128, 128), 2)]
    assert sum(row.least_redundant for row in rows) == 1
    assert len(rows) == len(PUBLISHED.rows) + 1
    assert [row.choice.seconds for row in rows] == sorted(row.choice.seconds for row in rows)
    small = next(row for row in rows if row.choice.tile == (128, 128) and row.choice.batch == 1)
    assert small.price == pytest.approx(7.853e-8, rel=1e-3)
    assert small.choice.windows == 5 * 8
    assert small.redundancy == pytest.approx(1 - 540 * 960 / (40 * 128 * 128))


def test_candidates_of_a_small_picture_are_cut_down_to_it() -> None:
    chosen = choose(100, 150, 4, PUBLISHED)
    tiles = {row.choice.tile for row in candidates(100, 150, 4, PUBLISHED, chosen)}
    assert tiles == {(100, 150), (100, 128)}


def test_candidates_leave_out_what_the_halo_forbids() -> None:
    chosen = choose(1000, 1000, 70, PUBLISHED)
    assert all(min(row.choice.tile) > 140 for row in candidates(1000, 1000, 70, PUBLISHED, chosen))
    whole = Choice((100, 100), 1, 1, 1.0, 0)
    assert {row.choice.tile for row in candidates(100, 100, None, PUBLISHED, whole)} == {(100, 100)}
