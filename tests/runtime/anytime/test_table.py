"""The edge-to-PSNR table: what it predicts, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgelift.core.errors import BundleError, RequestError
from edgelift.core.spec import ModelSpec
from edgelift.runtime.anytime.scores import EdgeScores
from edgelift.runtime.anytime.table import LEAST, EdgeTable, table_of

GOOD = {"score": "square", "bins": [0.0, 1.0, 100.0], "errors": [[1.0, 2.0, 9.0], [1.0, 1.5, 5.0]]}


def test_between_bins_and_beyond_them() -> None:
    table = EdgeTable("square", (1.0, 100.0), ((2.0, 10.0), (1.0, 5.0)))
    middle = np.sqrt((1 + LEAST) * (100 + LEAST)) - LEAST
    found = table.predict(EdgeScores(np.zeros((1, 4)), np.array([[0.0, 1.0, middle, 1e6]])))
    np.testing.assert_allclose(found[0, 0], [2, 2, 6, 10])
    np.testing.assert_allclose(found[1, 0], [1, 1, 3, 5])
    np.testing.assert_allclose(table.psnr()[1], 10 * np.log10(255**2 / np.array([1, 5])))


def test_the_score_that_it_names() -> None:
    table = EdgeTable("absolute", (1.0, 2.0), ((1.0, 2.0), (0.0, 1.0)))
    assert table.predict(EdgeScores(np.array([[2.0]]), np.array([[1.0]])))[0, 0, 0] == 2.0


def test_facts_and_back(make_spec: Callable[..., ModelSpec]) -> None:
    spec = make_spec(variants=("a", "b"), routing={"table": {**GOOD, "errors": [*GOOD["errors"], [0.5, 1.0, 4.0]]}})
    assert table_of(spec).as_plain() == spec.routing["table"]


@pytest.mark.parametrize(
    "change",
    [
        {"score": "colour"},
        {"bins": [0.0]},
        {"bins": [0.0, 2.0, 1.0]},
        {"bins": [-1.0, 2.0, 3.0]},
        {"bins": [0.0, 1.0, float("nan")]},
        {"bins": None},
        {"errors": [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]},
        {"errors": [[1.0, 2.0, -3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]},
        {"errors": [[1.0, 2.0, "x"], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]},
        {"errors": []},
        {"errors": [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]},
    ],
)
def test_damaged_tables(make_spec: Callable[..., ModelSpec], change: dict[str, Any]) -> None:
    plain = {**GOOD, "errors": [*GOOD["errors"], [0.5, 1.0, 4.0]], **change}
    with pytest.raises(BundleError):
        table_of(make_spec(variants=("a", "b"), routing={"table": plain}))


def test_models_without(make_spec: Callable[..., ModelSpec]) -> None:
    with pytest.raises(RequestError, match="small has no variants to choose from"):
        table_of(make_spec())
    with pytest.raises(RequestError, match="no table of edge scores; make it with 'edgelift edge-table'"):
        table_of(make_spec(variants=("a", "b")))
