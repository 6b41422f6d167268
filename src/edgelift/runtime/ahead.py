"""Threads beside the engine: rows read ahead, windows in flight, strips written behind. All of them bounded.

Each is used in a `with` block. Where the block ends with an error or an interruption, what has not begun is dropped, and
what runs is waited for: nothing touches a source, an engine or a target afterwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from edgelift.runtime.rows import Rows, Source, Target

__all__ = ["in_order", "read_ahead", "write_behind"]

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def _pool(threads: int, name: str) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(threads, name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def read_ahead(source: Source, ranges: Sequence[tuple[int, int]], strips: int = 1) -> Iterator[Iterator[Rows]]:
    """The rows of each range in turn, up to `strips` of them being read while one is used."""
    if len(ranges) == 1:
        yield iter([source.rows(*ranges[0])])
        return
    with _pool(1, "edgelift-read") as pool:
        yield _ahead(pool, source, ranges, strips)


def _ahead(pool: ThreadPoolExecutor, source: Source, ranges: Sequence[tuple[int, int]], strips: int) -> Iterator[Rows]:
    left = iter(ranges)
    coming: deque[Future[Rows]] = deque()
    for _, span in zip(range(strips), left, strict=False):
        coming.append(pool.submit(source.rows, *span))
    while coming:
        rows = coming.popleft().result()
        if (following := next(left, None)) is not None:
            coming.append(pool.submit(source.rows, *following))
        yield rows


@contextmanager
def in_order(work: Callable[[T], R], tasks: Iterable[T], workers: int = 1) -> Iterator[Iterator[tuple[T, R]]]:
    """Each task with the result of `work`, in the order of `tasks`; `workers` are worked on at once, one more waits.

    With one worker everything happens in this thread, and a task is taken when the one before it is done with.
    """
    if workers == 1:
        yield ((task, work(task)) for task in tasks)
        return
    with _pool(workers, "edgelift-window") as pool:
        yield _flight(pool, work, tasks, workers)


def _flight(
    pool: ThreadPoolExecutor, work: Callable[[T], R], tasks: Iterable[T], workers: int
) -> Iterator[tuple[T, R]]:
    flying: deque[tuple[T, Future[R]]] = deque()
    for task in tasks:
        flying.append((task, pool.submit(work, task)))
        if len(flying) > workers:
            first, future = flying.popleft()
            yield first, future.result()
    while flying:
        first, future = flying.popleft()
        yield first, future.result()


class _Behind:
    """A `Target` whose strips are handed on by another thread, in order; `waiting` of them may wait for it."""

    def __init__(self, pool: ThreadPoolExecutor, target: Target, waiting: int) -> None:
        self._pool, self._target, self._waiting = pool, target, waiting
        self._coming: deque[Future[None]] = deque()

    def room(self, start: int, stop: int) -> Rows:
        """See `Target.room`."""
        return self._target.room(start, stop)

    def done(self, strip: Rows) -> None:
        """Queue the strip; raises what the target raised for an earlier one."""
        self._coming.append(self._pool.submit(self._target.done, strip))
        self.settle(self._waiting)

    def settle(self, waiting: int) -> None:
        """Wait until no more than that many strips are left."""
        while len(self._coming) > waiting:
            self._coming.popleft().result()


@contextmanager
def write_behind(target: Target, strips: int = 0) -> Iterator[Target]:
    """`target`, or with `strips` above 0 one before it that takes up to so many while the one before them is written."""
    if strips < 1:
        yield target
        return
    with _pool(1, "edgelift-write") as pool:
        behind = _Behind(pool, target, strips)
        yield behind
        behind.settle(0)
