"""Equal windows over a picture: the rules at the top of `tiling.plan`, first as literal cases, then over many sizes."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgelift.core.errors import RequestError
from edgelift.tiling.plan import DEFAULT_AREA, Plan, auto_tile, axis, plan
from edgelift.tiling.window import Span, Window

Axis = list[tuple[Span, Span]]
MANY = settings(max_examples=1500)


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


# (length, tile, halo, multiple_of) -> (read, keep) of each window
LITERAL: list[tuple[tuple[int, int, int | None, int], list[tuple[tuple[int, int], tuple[int, int]]]]] = [
    ((1, 1, 0, 1), [((0, 1), (0, 1))]),
    ((10, 10, 3, 1), [((0, 10), (0, 10))]),  # as long as the picture: one window, however large the halo
    ((10, 10, None, 1), [((0, 10), (0, 10))]),
    ((10, 64, 3, 1), [((0, 64), (0, 10))]),  # a fixed shape: read beyond the picture, keep the picture
    ((10, 5, 0, 1), [((0, 5), (0, 5)), ((5, 10), (5, 10))]),
    ((11, 5, 0, 1), [((0, 5), (0, 5)), ((5, 10), (5, 6)), ((6, 11), (6, 11))]),  # the last one ends with the picture
    ((10, 6, 2, 1), [((0, 6), (0, 4)), ((2, 8), (4, 6)), ((4, 10), (6, 10))]),
    ((10, 7, 2, 1), [((0, 7), (0, 5)), ((3, 10), (5, 10))]),
    ((10, 5, 2, 1), [((k, k + 5), (k + 2 * (k > 0), k + 3 + 2 * (k == 5))) for k in range(6)]),  # a step of one pixel
    ((12, 8, 1, 4), [((0, 8), (0, 5)), ((4, 12), (5, 12))]),  # 6 inside the halo, 4 is the multiple below
    ((13, 8, 1, 4), [((0, 8), (0, 5)), ((4, 12), (5, 9)), ((8, 16), (9, 13))]),  # extended to 16
    ((13, 16, 6, 4), [((0, 16), (0, 13))]),  # as long as the extended picture
]


@pytest.mark.parametrize(("given_", "expected"), LITERAL, ids=[str(given_) for given_, _ in LITERAL])
def test_literal_cases(
    given_: tuple[int, int, int | None, int], expected: list[tuple[tuple[int, int], tuple[int, int]]]
) -> None:
    assert [((r.start, r.stop), (k.start, k.stop)) for r, k in axis(*given_)] == expected


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ((10, 9, None, 1), "sees the whole picture"),
        ((10, 6, 3, 1), "leaves nothing inside a halo of 3; take at least 7"),
        ((10, 1, 3, 1), "take at least 7"),
        ((100, 16, 7, 4), "leaves nothing inside a halo of 7"),  # two pixels are left, fewer than the multiple
        ((10, 6, 0, 4), "a tile side of 6 is not a multiple of 4"),
        ((10, 18, 0, 4), "a tile side of 18 is not a multiple of 4"),  # one window or not
        ((10, 13, None, 8), "a tile side of 13 is not a multiple of 8"),
    ],
)
def test_what_cannot_be_planned_is_refused(given_: tuple[int, int, int | None, int], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        axis(*given_)


@given(halo=st.integers(0, 40), multiple=st.integers(1, 16), below=st.integers(0, 100))
def test_the_side_that_a_refusal_names_would_do(halo: int, multiple: int, below: int) -> None:
    """ "Take at least n": n itself, or the next multiple of it that the network takes, is accepted."""
    tile = (
        2 * halo + multiple - 1
    ) // multiple * multiple - below // multiple * multiple  # the largest that is too small
    if tile < 1:
        return
    with pytest.raises(RequestError) as caught:
        axis(1000, tile, halo, multiple)
    named = int(str(caught.value).rpartition(" ")[2])
    assert tile < named
    axis(1000, -(-named // multiple) * multiple, halo, multiple)


@pytest.mark.parametrize(("height", "width"), [(0, 5), (5, 0), (-1, 5)])
def test_an_empty_picture_is_refused(height: int, width: int) -> None:
    with pytest.raises(RequestError, match="at least one pixel"):
        plan(height, width, (4, 4), 0)


# -- properties
@st.composite
def axes(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """(length, tile, halo, multiple_of) that can be planned."""
    multiple, halo = draw(st.integers(1, 16)), draw(st.integers(0, 40))
    smallest = -(-(2 * halo + multiple) // multiple)
    tile = multiple * draw(st.one_of(st.just(smallest), st.integers(smallest, smallest + 40)))
    length = draw(st.one_of(st.integers(1, 50), st.integers(1, 3000), st.integers(max(1, tile - 20), tile + 20)))
    return length, tile, halo, multiple


def _check_axis(windows: Axis, length: int, tile: int, halo: int | None, multiple: int) -> None:
    """The rules of `tiling.plan` for one axis, written a second time and from the other end: as what must hold."""
    extended = max(-(-length // multiple) * multiple, tile if len(windows) == 1 else 0)
    starts = [read.start for read, _ in windows]
    assert {len(read) for read, _ in windows} == {tile}, "all windows are of one length"
    assert starts[0] == 0
    assert windows[-1][0].stop == extended, "the last window ends with the (extended) picture"
    if len(starts) > 1:
        step = starts[1]
        assert starts[:-1] == [k * step for k in range(len(starts) - 1)], "0, s, 2s, …"
        assert 0 < starts[-1] - starts[-2] <= step, "… n - t"
    assert not any(start % multiple for start in starts)
    edge = 0
    for read, keep in windows:
        assert keep.start == edge, "kept parts follow one another without gap or overlap"
        assert len(keep) > 0
        edge = keep.stop
        assert read.start <= keep.start
        assert keep.stop <= read.stop
        if halo is None:
            assert len(windows) == 1
            continue
        assert read.start == 0 or keep.start - read.start >= halo, "far enough from an edge that the picture has not"
        assert read.stop == extended or read.stop - keep.stop >= halo
    assert edge == length


@MANY
@given(axes())
@example((1, 1, 0, 1))
@example((73, 73, 36, 1))
@example((74, 73, 36, 1))
@example((3000, 24, 8, 8))
def test_every_axis_obeys_the_rules(case: tuple[int, int, int, int]) -> None:
    _check_axis(axis(*case), *case)


@given(axes())
def test_no_axis_has_more_windows_than_it_needs(case: tuple[int, int, int, int]) -> None:
    length, tile, halo, multiple = case
    extended, step = -(-length // multiple) * multiple, (tile - 2 * halo) // multiple * multiple
    assert len(axis(*case)) == (1 if tile >= length else -(-(extended - tile) // step) + 1)


@given(
    st.integers(1, 200), st.integers(1, 200), st.integers(0, 9), st.integers(1, 8), st.integers(1, 9), st.integers(1, 9)
)
def test_a_plan_is_the_product_of_its_axes(
    height: int, width: int, halo: int, multiple: int, taller: int, wider: int
) -> None:
    least = _up(2 * halo + multiple, multiple)
    tile = (least + taller * multiple, least + wider * multiple)
    made = plan(height, width, tile, halo, multiple)
    flat = [window for row in made.windows() for window in row]
    assert len(made) == len(flat)
    assert made.pixels == sum(len(w.rows) * len(w.columns) for w in flat)
    assert sum(len(w.keep_rows) * len(w.keep_columns) for w in flat) == height * width
    rows, columns = axis(height, tile[0], halo, multiple), axis(width, tile[1], halo, multiple)
    by_hand = [Window(r, c, kept_r, kept_c) for r, kept_r in rows for c, kept_c in columns]
    assert flat == by_hand, "in rows from the top, and from the left in a row"


@settings(max_examples=50)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 5), st.integers(1, 3), st.integers(0, 8), st.integers(0, 8)
)
def test_every_pixel_is_kept_once(height: int, width: int, halo: int, multiple: int, taller: int, wider: int) -> None:
    """Counted pixel by pixel, so that it does not rest on how the other tests add things up."""
    least = -(-(2 * halo + multiple) // multiple)
    made = plan(height, width, ((least + taller) * multiple, (least + wider) * multiple), halo, multiple)
    kept = [[0] * width for _ in range(height)]
    for row in made.windows():
        for window in row:
            for y in range(window.keep_rows.start, window.keep_rows.stop):
                for x in range(window.keep_columns.start, window.keep_columns.stop):
                    kept[y][x] += 1
    assert all(count == 1 for line in kept for count in line)


# -- the tile where none is asked for
def _check_plan(made: Plan, halo: int | None, multiple: int) -> None:
    _check_axis(list(made.rows), made.height, made.tile[0], halo, multiple)
    _check_axis(list(made.columns), made.width, made.tile[1], halo, multiple)


@settings(max_examples=200)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(3, 36), st.integers(1, 8))
@example(3000, 3000, 36, 8)
@example(3000, 1, 36, 7)
@example(1, 3000, 3, 8)
def test_the_automatic_tile_fits_and_can_be_planned(height: int, width: int, halo: int, multiple: int) -> None:
    tile = auto_tile(height, width, halo, multiple)
    assert tile[0] * tile[1] <= DEFAULT_AREA, "a halo of 36 leaves room for it in every picture"
    assert tile[0] <= _up(height, multiple)
    assert tile[1] <= _up(width, multiple)
    _check_plan(plan(height, width, tile, halo, multiple), halo, multiple)


@pytest.mark.parametrize("halo", [0, 1, 2])
@pytest.mark.parametrize("size", [(700, 701), (1, 3000), (3000, 1), (3000, 89), (1023, 257)])
def test_the_automatic_tile_of_a_small_halo(size: tuple[int, int], halo: int) -> None:
    for multiple in (1, 3, 8):
        tile = auto_tile(*size, halo, multiple)
        assert tile[0] * tile[1] <= DEFAULT_AREA
        _check_plan(plan(*size, tile, halo, multiple), halo, multiple)


@settings(max_examples=300)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 12), st.integers(1, 8), st.integers(1, 1 << 14))
@example(225, 19, 5, 8, 1000)  # a halo that is no multiple: 2h + 1 rounded up leaves less than one step
@example(237, 38, 16, 5, 1000)
@example(14_000, 19, 5, 8, DEFAULT_AREA)
def test_the_automatic_tile_of_any_area(height: int, width: int, halo: int, multiple: int, area: int) -> None:
    """Small areas: those of devices with little memory. Where not even the least tile fits, it may be larger."""
    tile = auto_tile(height, width, halo, multiple, area)
    least = _up(2 * halo + multiple, multiple)
    assert tile[0] * tile[1] <= max(area, 4 * least * least)
    _check_plan(plan(height, width, tile, halo, multiple), halo, multiple)


def test_a_picture_that_fits_is_one_window() -> None:
    assert auto_tile(512, 512, 7) == (512, 512)
    assert auto_tile(509, 510, 7, 4) == (512, 512)
    assert auto_tile(5000, 4000, None, 8) == (5000, 4000)  # seen whole: no choice
    assert auto_tile(5001, 4001, None, 8) == (5008, 4008)


@settings(max_examples=60)
@given(st.integers(200, 3000), st.integers(200, 3000), st.integers(3, 20))
def test_the_automatic_tile_runs_little_more_than_the_picture(height: int, width: int, halo: int) -> None:
    """Square tiles of half the side that the area allows are a plain choice; the planner must not be worse."""
    chosen = plan(height, width, auto_tile(height, width, halo), halo)
    side = int(DEFAULT_AREA**0.5) // 2
    plain = plan(height, width, (min(side, height), min(side, width)), halo)
    assert chosen.pixels <= plain.pixels


@pytest.mark.parametrize(("size", "halo"), [((3000, 3000), 0), ((20_000, 20_000), 7)])
def test_planning_a_large_picture_takes_no_time_worth_waiting_for(size: tuple[int, int], halo: int) -> None:
    """Far below a second even on a busy machine: the picture itself takes seconds."""
    began = time.perf_counter()
    tile = auto_tile(*size, halo)
    plan(*size, tile, halo)
    assert time.perf_counter() - began < 0.5
