"""Threads beside the engine: order, bounds, errors, and that none of them outlives its block."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edgelift.runtime.ahead import in_order, read_ahead, write_behind
from edgelift.runtime.rows import Rows


def _ours() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("edgelift-")]


# -- reading
class Source:
    """Gives its row numbers; notes what it was asked for."""

    height, width, layers, dtype = 100, 1, 1, np.dtype(np.uint8)

    def __init__(self, fail_at: int = -1) -> None:
        self.asked: list[int] = []
        self._fail_at = fail_at

    def rows(self, start: int, stop: int) -> Rows:
        self.asked.append(start)
        if start == self._fail_at:
            raise OSError("damaged")
        return np.arange(start, stop, dtype=np.uint8)[None, :, None, None]


@pytest.mark.parametrize("ahead", [1, 2, 5, 99])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_strips_come_in_order_and_not_too_early(ahead: int, count: int) -> None:
    source, ranges = Source(), [(k, k + 2) for k in range(count)]
    with read_ahead(source, ranges, ahead) as strips:
        for k, rows in enumerate(strips):
            assert rows.ravel().tolist() == [k, k + 1]
            time.sleep(0.005)
            assert len(source.asked) <= k + 1 + ahead
    assert source.asked == list(range(count))
    assert not _ours()


def test_the_next_strips_are_read_while_one_is_used() -> None:
    source = Source()
    with read_ahead(source, [(k, k + 1) for k in range(9)], 3) as strips:
        next(strips)
        end = time.monotonic() + 5
        while len(source.asked) < 4 and time.monotonic() < end:
            time.sleep(0.001)
        assert len(source.asked) == 4


def test_an_error_of_the_source_comes_in_its_turn() -> None:
    source, seen = Source(fail_at=3), []

    def read() -> None:
        with read_ahead(source, [(k, k + 1) for k in range(9)], 2) as strips:
            seen.extend(int(rows.max()) for rows in strips)

    with pytest.raises(OSError, match="damaged"):
        read()
    assert seen == [0, 1, 2]
    assert not _ours()


# -- working
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    def work(task: int) -> int:
        time.sleep(0.004 if task % 3 == 0 else 0.0)
        return task * task

    with in_order(work, range(20), workers) as results:
        assert list(results) == [(task, task * task) for task in range(20)]
    assert not _ours()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_so_many_are_worked_on_at_once_and_few_tasks_taken_early(workers: int) -> None:
    lock, running, most, taken = threading.Lock(), 0, 0, 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        for task in range(12):
            taken += 1
            yield task

    def work(task: int) -> None:
        nonlocal running, most
        with lock:
            running, most = running + 1, max(most, running + 1)
        time.sleep(0.01)
        with lock:
            running -= 1

    with in_order(work, tasks(), workers) as results:
        for k, _ in enumerate(results):
            assert taken <= k + 1 + (workers if workers > 1 else 0)
    assert most <= workers
    assert most > 1 or workers == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_the_first_error_ends_it_all(workers: int) -> None:
    begun: list[int] = []

    def work(task: int) -> int:
        begun.append(task)
        if task >= 4:
            raise ValueError(f"task {task}")
        return task

    with pytest.raises(ValueError, match="task 4"), in_order(work, range(1000), workers) as results:
        list(results)
    assert len(begun) <= 5 + workers + 1
    assert not _ours()


def test_an_interruption_waits_for_what_runs_and_drops_the_rest() -> None:
    begun, ended = [], []

    def work(task: int) -> None:
        begun.append(task)
        time.sleep(0.01)
        ended.append(task)

    def use(task: int) -> None:
        if task == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), in_order(work, range(1000), 2) as results:
        list(use(task) for task, _ in results)  # noqa: C400  # one at a time
    assert sorted(begun) == sorted(ended)
    assert len(begun) <= 8
    assert not _ours()


# -- writing
class Target:
    """Notes the first values of the strips that come, slowly."""

    def __init__(self, fail_at: int = -1) -> None:
        self.done_: list[int] = []
        self._fail_at = fail_at

    def room(self, start: int, stop: int) -> Rows:
        return np.full((1, stop - start, 1, 3), start, np.uint8)

    def done(self, strip: Rows) -> None:
        time.sleep(0.004)
        if int(strip.flat[0]) == self._fail_at:
            raise OSError("disk full")
        self.done_.append(int(strip.flat[0]))


def _write(target: Any, count: int) -> int:
    for k in range(count):
        target.done(target.room(k, k + 1))
    return count


@pytest.mark.parametrize("strips", [0, 1, 3, 50])
def test_strips_are_written_in_order_and_all_of_them(strips: int) -> None:
    target = Target()
    with write_behind(target, strips) as behind:
        assert (behind is target) == (strips == 0)
        _write(behind, 12)
        assert len(target.done_) >= 12 - strips - 1
    assert target.done_ == list(range(12))
    assert not _ours()


@pytest.mark.parametrize("strips", [1, 4, 50])
def test_an_error_of_the_target_comes_out(strips: int) -> None:
    target = Target(fail_at=3)
    with pytest.raises(OSError, match="disk full"), write_behind(target, strips) as behind:
        _write(behind, 12)
    assert target.done_[:3] == [0, 1, 2]
    assert not _ours()


def test_nothing_more_is_written_after_an_error_elsewhere() -> None:
    target = Target()
    with pytest.raises(ZeroDivisionError), write_behind(target, 9) as behind:
        _write(behind, 9) // 0
    written = len(target.done_)
    time.sleep(0.02)
    assert len(target.done_) == written < 9
    assert not _ours()
