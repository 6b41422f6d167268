"""Two stages in a row: order, bounded memory, and errors of either side."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgelift.runtime.relay import WAITING_STRIPS, Relay, run_stages
from edgelift.runtime.rows import Source, Target

HEIGHT, WIDTH = 40, 3


def picture() -> np.ndarray:
    return np.arange(HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(1, HEIGHT, WIDTH, 3)


def writer(cuts: list[int]):
    def write(target: Target) -> None:
        for start, stop in pairwise(cuts):
            strip = target.room(start, stop)
            strip[...] = picture()[:, start:stop]
            target.done(strip)

    return write


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(1, HEIGHT - 1)), st.lists(st.tuples(st.integers(0, HEIGHT - 1), st.integers(1, HEIGHT))))
def test_reader_gets_the_writers_rows(inner: set[int], asked: list[tuple[int, int]]) -> None:
    starts, stops = sorted(a for a, _ in asked), sorted(b for _, b in asked)
    ranges = [(a, b) for a, b in zip(starts, stops, strict=True) if a < b]
    relay = Relay(HEIGHT, WIDTH, 1, np.dtype(np.uint8))
    got = []
    run_stages(writer([0, *sorted(inner), HEIGHT]), lambda s: got.extend(s.rows(*r).copy() for r in ranges), relay)
    assert len(got) == len(ranges)
    for (start, stop), rows in zip(ranges, got, strict=True):
        np.testing.assert_array_equal(rows, picture()[:, start:stop])


def test_writer_waits_for_a_slow_reader() -> None:
    relay = Relay(HEIGHT, WIDTH, 1, np.dtype(np.uint8))
    written: list[int] = []
    second_read = threading.Event()

    def write(target: Target) -> None:
        for start in range(HEIGHT):
            target.done(target.room(start, start + 1))
            written.append(start)

    def read(source: Source) -> None:
        source.rows(0, 1)
        held = list(
            written
        )  # one strip was asked for; beyond it at most the allowance, and one that is being handed over
        assert len(held) <= 1 + WAITING_STRIPS + 1
        second_read.set()
        source.rows(0, HEIGHT)

    run_stages(write, read, relay)
    assert second_read.is_set()
    assert len(written) == HEIGHT


def test_writer_ends_though_the_reader_is_done_at_once() -> None:
    """A reader that asked for all rows leaves more strips behind than may wait."""
    ended = threading.Event()

    def write(target: Target) -> None:
        writer(list(range(0, HEIGHT + 1, 5)))(target)
        ended.set()

    run_stages(write, lambda source: source.rows(0, HEIGHT), Relay(HEIGHT, WIDTH, 1, np.dtype(np.uint8)))
    assert ended.is_set()


def test_error_of_the_writer_reaches_the_reader() -> None:
    def write(target: Target) -> None:
        target.done(target.room(0, 5))
        raise OSError("the first stage broke")

    with pytest.raises(OSError, match="the first stage broke"):
        run_stages(write, lambda source: source.rows(0, HEIGHT), Relay(HEIGHT, WIDTH, 1, np.dtype(np.uint8)))


def test_error_of_the_reader_ends_the_writer() -> None:
    before = threading.active_count()

    def read(source: Source) -> None:
        source.rows(0, 1)
        raise ValueError("the second stage broke")

    with pytest.raises(ValueError, match="the second stage broke"):
        run_stages(writer(list(range(HEIGHT + 1))), read, Relay(HEIGHT, WIDTH, 1, np.dtype(np.uint8)))
    assert threading.active_count() == before
