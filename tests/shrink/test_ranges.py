"""Ranges by what was seen."""

from __future__ import annotations

import numpy as np
import pytest

from edgelift.shrink.ranges import METHODS, Seen, range_of


def seen(*parts: np.ndarray) -> Seen:
    found = Seen.first(parts[0])
    for part in parts[1:]:
        found.widen(part)
    for part in parts:
        found.count(part)
    return found


def batch(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).reshape(1, 1, 1, -1)


def test_minmax_covers_all_that_was_seen_in_all_batches() -> None:
    found = seen(batch(np.array([1.0, 2])), batch(np.array([-3.0, 1])), batch(np.array([0.0, 9])))
    low, high = range_of(found, "minmax")
    assert low == pytest.approx(-3, abs=0.01)
    assert high == pytest.approx(9, abs=0.01)
    assert found.counts.sum() == 6


def test_percentiles_leave_out_what_is_rare() -> None:
    values = np.concatenate([np.linspace(0, 1, 100_000), [50.0]])
    found = seen(batch(values))
    assert range_of(found, "minmax")[1] == pytest.approx(50, abs=0.1)
    assert range_of(found, "percentile 99.99")[1] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_every_range_has_0_in_it_and_lies_in_what_was_seen(method: str) -> None:
    rng = np.random.default_rng(0)
    for values in (rng.normal(5, 1, 5000), rng.normal(-5, 1, 5000), rng.exponential(2, 5000), np.zeros(10)):
        low, high = range_of(seen(batch(values)), method)
        assert min(values.min(), 0) - 0.01 <= low <= 0 <= high <= max(values.max(), 0) + 0.01


def test_entropy_cuts_a_long_tail() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(0, 1, 100_000), [400.0]])
    low, high = range_of(seen(batch(values)), "entropy")
    assert high < 300, "a quarter of the range and more is given up for one value in 100,000"
    assert low > -10


def test_channels_are_told_apart() -> None:
    values = np.zeros((2, 3, 4, 4), np.float32)
    values[0, 1] = -7
    values[1, 2] = 3
    assert seen(values[:1], values[1:]).channels.tolist() == [0, 7, 3]
