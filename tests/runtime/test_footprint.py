"""Sizes as people write them, and that the memory reckoned with grows with what needs it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgelift.core.errors import RequestError
from edgelift.core.spec import ModelSpec
from edgelift.runtime.footprint import Footprint, parse_size, resident_bytes, show_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500M", 500_000_000), ("2G", 2_000_000_000), ("1.5GiB", 1_610_612_736), ("750000", 750_000), ("64 k", 64_000),
        ("8KiB", 8192), ("3B", 3), ("0.5kb", 500), (" 1T ", 10**12), ("2mib", 2 << 20),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["12parsecs", "", "M", "-5M", "0", "0.0001", "1e9", "5MM", "1,5G", "٣M", "inf", "nan", "9" * 40]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(RequestError, match="such as 500M or 2G; got"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (999_900, "1 MB"), (1.34e9, "1.34 GB"), (5e13, "50 TB")],
)
def test_sizes_in_words(size: float, words: str) -> None:
    assert show_size(size) == words


def test_this_process_holds_something() -> None:
    assert 10_000_000 < resident_bytes() < 10**11


@pytest.mark.parametrize(
    "change",
    [
        {"width": 5000}, {"layers": 2}, {"itemsize": 2}, {"workers": 2}, {"ahead": 2}, {"behind": 1}, {"blended": True},
        {"reach": 1},
    ],
)  # fmt: skip
def test_what_needs_more_memory(make_spec: Callable[..., ModelSpec], change: dict[str, Any]) -> None:
    plain = Footprint(make_spec(), width=1000, activations=300.0, resident=7)
    sides = np.array([100, 200]), np.array([100, 100])
    need = plain(*sides, 1)
    assert need.shape == (2,)
    assert need[1] > need[0] > 7
    assert (plain(*sides, 2) > need).all()
    assert (dataclasses.replace(plain, **change)(*sides, 1) > need).all()


def test_what_blending_and_filters_hold(make_spec: Callable[..., ModelSpec]) -> None:
    plain = Footprint(make_spec(), width=1000, activations=300.0, layers=2, itemsize=2)
    tall = np.array([50, 100])

    def more(**change: Any) -> list[float]:
        return (dataclasses.replace(plain, **change).strips(tall, 100) - plain.strips(tall, 100)).tolist()

    sums = 4 * 3 * 2 * 2000  # bytes in a row of floats
    assert more(blended=True) == [sums * 100, sums * 200]
    row = 2 * 3 * 2 * 2000
    assert more(reach=9) == [row * (2 * 100 + 36), row * (2 * 200 + 36)]
