"""What budgets people may give."""

from __future__ import annotations

import pytest

from edgelift.core.errors import RequestError
from edgelift.runtime.anytime.budget import Budget, parse_budget


@pytest.mark.parametrize(
    ("given", "budget"),
    [
        ("2s", Budget(seconds=2.0)),
        ("40ms", Budget(seconds=0.04)),
        (" 1.5 min ", Budget(seconds=90.0)),
        ("0.5sec", Budget(seconds=0.5)),
        ("1e-1s", Budget(seconds=0.1)),
        ("40%", Budget(share=0.4)),
        ("AUTO", Budget()),
        (0.25, Budget(seconds=0.25)),
        (3, Budget(seconds=3.0)),
        (None, None),
        (Budget(share=0.1), Budget(share=0.1)),
    ],
)
def test_understood(given: object, budget: Budget | None) -> None:
    assert parse_budget(given) == budget  # type: ignore[arg-type]  # any of them


@pytest.mark.parametrize(
    "given",
    ["", "2", "two seconds", "2h", "s", "..s", "nans", "40 %%", "--3s", "1e308min", True, float("nan"), float("inf")],
)
def test_unreadable(given: object) -> None:
    with pytest.raises(RequestError, match=r"a budget is seconds \(2s, 40ms, 1.5min\).*got"):
        parse_budget(given)  # type: ignore[arg-type]  # any of them


@pytest.mark.parametrize("given", ["0s", "-2s", "0%", "1e-323ms", 0, -1.0])
def test_not_above_zero(given: object) -> None:
    with pytest.raises(RequestError, match="and above 0; got"):
        parse_budget(given)  # type: ignore[arg-type]  # any of them


def test_words() -> None:
    assert [parse_budget(b).words for b in ("40ms", "40%", "auto")] == ["0.04s", "40%", "auto"]  # type: ignore[union-attr]
