"""The cost model: the published price table as literal rows, and the rules of interpolation over drawn tables."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelift.core.errors import RequestError
from edgelift.tiling.cost import CostModel, Measured

# The table of the tiled upscaling entry to CCF BDCI 2023: seconds, batch, height, width, price as published.
PUBLISHED = [
    (0.00386, 1, 128, 128, 7.870e-8),
    (0.00768, 2, 128, 128, 7.817e-8),
    (0.01180, 1, 192, 256, 8.007e-8),
    (0.01543, 4, 128, 128, 7.852e-8),
    (0.01616, 1, 256, 256, 8.223e-8),
    (0.02342, 2, 192, 256, 7.943e-8),
    (0.02457, 1, 256, 384, 8.333e-8),
    (0.05305, 4, 192, 256, 8.994e-8),
    (0.06987, 1, 512, 512, 8.885e-8),
    (0.13496, 2, 512, 512, 8.581e-8),
    (0.26931, 4, 512, 512, 8.561e-8),
]


def published() -> CostModel:
    return CostModel(tuple(Measured(batch, height, width, s) for s, batch, height, width, _ in PUBLISHED))


@pytest.mark.parametrize(("seconds", "batch", "height", "width", "price"), PUBLISHED)
def test_prices_of_the_published_table(seconds: float, batch: int, height: int, width: int, price: float) -> None:
    row = Measured(batch, height, width, seconds)
    assert row.price == pytest.approx(price, rel=2.5e-3)  # the published seconds are rounded
    assert published().seconds(batch, height, width) == pytest.approx(seconds)
    assert row.shape == f"{batch}×3×{height}×{width}"


def test_rows_come_in_the_order_of_their_seconds() -> None:
    model = CostModel(tuple(reversed(published().rows)))
    assert [(row.seconds, row.batch) for row in model.prices()] == [(row[0], row[1]) for row in PUBLISHED]
    assert model.prices(variant=2) == []
    assert (model.largest(), model.largest(2)) == (512 * 512, 0)


def test_a_fixed_cost_and_a_price_are_found_again() -> None:
    """Time that is linear in the area is predicted as it is, between the rows and below them."""
    model = CostModel(tuple(Measured(1, side, side, 0.002 + 3e-8 * side * side) for side in (64, 128, 512)))
    for height, width in ((64, 64), (100, 200), (511, 513), (8, 8), (1, 1)):
        assert model.seconds(1, height, width) == pytest.approx(0.002 + 3e-8 * height * width)


def test_beyond_the_largest_row_its_price_holds() -> None:
    assert published().seconds(1, 1024, 2048) == pytest.approx(0.06987 * 8)


def test_below_the_least_row_time_stays_above_zero() -> None:
    """Where the price of a pixel rises, the line through the first rows would cross zero."""
    model = CostModel((Measured(1, 10, 10, 1.0), Measured(1, 20, 20, 100.0)))
    assert model.seconds(1, 5, 10) == pytest.approx(0.5)
    assert 0 < model.seconds(1, 1, 1) == pytest.approx(0.01)


def test_what_takes_longer_for_less_is_pooled() -> None:
    model = CostModel(tuple(Measured(1, 1, n, s) for n, s in ((10, 1.0), (20, 3.0), (30, 2.0), (40, 4.0))))
    assert [model.seconds(1, 1, n) for n in (10, 20, 30, 40)] == [1.0, 2.5, 2.5, 4.0]


def test_equal_areas_are_averaged() -> None:
    model = CostModel((Measured(1, 10, 40, 1.0), Measured(1, 20, 20, 3.0)))
    assert model.seconds(1, 40, 10) == 2.0


def test_batches() -> None:
    model = CostModel((Measured(1, 10, 10, 1.0), Measured(1, 20, 20, 4.0), Measured(4, 10, 10, 2.0)))
    assert model.seconds(1, 10, 10) == 1.0
    assert model.seconds(2, 10, 10) == pytest.approx(1 + 1 / 3)  # a third of the way from 1 to 4
    assert model.seconds(8, 10, 10) == 4.0  # a window costs what it does in a batch of 4
    assert model.seconds(4, 20, 20) == 14.0  # not measured: as at 10 × 10, two seconds are saved
    assert model.seconds(4, 5, 10) == 1.0  # and below, half the time
    dear = CostModel((*model.rows[:2], Measured(4, 10, 10, 5.0)))
    assert dear.seconds(4, 20, 20) == 20.0  # what a batch costs more goes on in proportion
    assert CostModel((Measured(4, 10, 10, 2.0),)).seconds(1, 10, 10) == 0.5


def test_variants_have_prices_of_their_own() -> None:
    model = CostModel((Measured(1, 10, 10, 1.0), Measured(1, 10, 10, 3.0, variant=2)))
    assert model.seconds(1, 10, 10, variant=2) == 3.0
    with pytest.raises(RequestError, match="variant 3 has no measured prices; there are those of 1, 2"):
        model.seconds(1, 10, 10, variant=3)


# -- over many tables

ROWS = st.builds(
    Measured, st.integers(1, 8), st.integers(1, 600), st.integers(1, 600), st.floats(1e-6, 1e3), st.just(1)
)
TABLES = st.lists(ROWS, min_size=1, max_size=12, unique_by=lambda row: (row.batch, row.height, row.width)).map(
    lambda rows: CostModel(tuple(rows))
)
SHAPES = st.tuples(st.integers(1, 20), st.integers(1, 2000), st.integers(1, 2000))


@given(TABLES, SHAPES, SHAPES)
def test_more_never_costs_less(model: CostModel, shape: tuple[int, int, int], more: tuple[int, int, int]) -> None:
    larger = [a + b for a, b in zip(shape, more, strict=True)]
    less, greater = model.seconds(*shape), model.seconds(larger[0], larger[1], larger[2])
    assert 0 < less < math.inf
    assert less <= greater * (1 + 1e-9)


@given(TABLES, st.integers(1, 20))
def test_time_does_not_jump(model: CostModel, batch: int) -> None:
    """Times on both sides of every measured area are alike."""
    steepest = batch * max(row.seconds for row in model.rows)
    for row in model.rows:
        near = model.seconds_of(np.array([row.area * (1 - 1e-13), row.area * (1 + 1e-13)]).clip(1), batch)
        assert near[1] - near[0] <= 1e-2 * steepest + 1e-6 * near[1]  # steep tables make large values, and they round


@given(TABLES)
def test_many_areas_at_once_are_the_same(model: CostModel) -> None:
    areas = np.array([[1, 77], [1000, 10**7]])
    assert model.seconds_of(areas, 3).tolist() == [[model.seconds(3, 1, int(a)) for a in row] for row in areas]


@given(TABLES)
def test_json_round_trip(model: CostModel) -> None:
    assert CostModel.from_json(model.to_json()) == model


# -- what is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is JSON, and this is not"),
        ("[" * 100_000, "is JSON, and this is not"),
        ("[]", "is a JSON object"),
        ('{"rows": []}', "is a JSON object"),
        ('{"prices": 2, "rows": []}', "version 2; this edgelift reads 1"),
        ('{"prices": true, "rows": []}', "version True"),
        ('{"prices": 1, "rows": 3}', "'rows' is a list"),
        ('{"prices": 1, "rows": [[1, 2, 3]]}', "'rows' is a list"),
        ('{"prices": 1, "rows": []}', "has 1 to 4096 rows, got 0"),
        ('{"prices": 1, "rows": [[1, 8, 8, NaN, 1]]}', "above 0 and finite, got nan"),
        ('{"prices": 1, "rows": [[1, 8, 8, Infinity, 1]]}', "above 0 and finite, got inf"),
        ('{"prices": 1, "rows": [[1, 8, 8, -1, 1]]}', "above 0 and finite, got -1"),
        ('{"prices": 1, "rows": [[1, 8, 8, "1", 1]]}', "are a number, got '1'"),
        ('{"prices": 1, "rows": [[1, 8, 8, true, 1]]}', "are a number, got True"),
        ('{"prices": 1, "rows": [[0, 8, 8, 1, 1]]}', "whole numbers from 1"),
        ('{"prices": 1, "rows": [[1, 8.5, 8, 1, 1]]}', "whole numbers from 1"),
        ('{"prices": 1, "rows": [[1, true, 8, 1, 1]]}', "whole numbers from 1"),
        ('{"prices": 1, "rows": [[1, 8, 9999999, 1, 1]]}', "whole numbers from 1"),
        ('{"prices": 1, "rows": [[1, 8, 8, 1, 1], [1, 8, 8, 2, 1]]}', "this one has two"),
        (" " * (1 << 20) + "{}", "at most 1048576 characters"),
    ],
)
def test_garbage_is_refused(text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        CostModel.from_json(text)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda part: st.lists(part, max_size=6)))
def test_any_rows_are_a_table_or_refused(rows: Any) -> None:
    with contextlib.suppress(RequestError):
        assert CostModel.from_json(json.dumps({"prices": 1, "rows": rows})).rows


@pytest.mark.parametrize(("batch", "height"), [(0, 8), (1, 0)])
def test_nothing_costs_nothing(batch: int, height: int) -> None:
    with pytest.raises(RequestError, match="at least one"):
        published().seconds(batch, height, 8)
