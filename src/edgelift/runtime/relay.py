"""Two stages in a row: what one writes, the next reads, in bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from edgelift.runtime.rows import Rows, Source, Target

__all__ = ["Relay", "run_stages"]

WAITING_STRIPS = 2
"""Strips that may wait in a relay beyond those that the reader asked for."""


class _Cancelled(Exception):
    """The reader has gone: the writer's thread ends quietly."""


class Relay:
    """A `Target` for one thread and a `Source` for another; rows that no later call can ask for are dropped."""

    def __init__(self, height: int, width: int, layers: int, dtype: np.dtype[Any]) -> None:
        self.height, self.width, self.layers, self.dtype = height, width, layers, dtype
        self._strips: deque[Rows] = deque()
        self._first = self._end = self._wanted = 0
        self._error: BaseException | None = None
        self._closed = False
        self._changed = threading.Condition()

    def room(self, start: int, stop: int) -> Rows:
        """Fresh memory."""
        return np.empty((self.layers, stop - start, self.width, 3), self.dtype)

    def done(self, strip: Rows) -> None:
        """Hand over a strip; waits while the reader is behind, but after the last: the writer then has its own end to come to."""
        with self._changed:
            self._strips.append(strip)
            self._end += strip.shape[1]
            self._changed.notify_all()
            if self._end == self.height:
                return
            self._changed.wait_for(lambda: self._closed or self._needed() or len(self._strips) <= WAITING_STRIPS)
            if self._closed:
                raise _Cancelled

    def _needed(self) -> bool:
        return self._wanted > self._end

    def rows(self, start: int, stop: int) -> Rows:
        """Rows `start` … `stop` - 1, once they are there. Raises the writer's error."""
        with self._changed:
            self._wanted = max(self._wanted, stop)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._error is not None or self._end >= stop)
            if self._error is not None:
                raise self._error
            while self._strips and self._first + self._strips[0].shape[1] <= start:
                self._first += self._strips.popleft().shape[1]
            self._changed.notify_all()
            held, first = list(self._strips), self._first
        if len(held) == 1:
            return held[0][:, start - first : stop - first]
        parts = []
        for strip in held:
            parts.append(strip[:, max(0, start - first) : max(0, stop - first)])
            first += strip.shape[1]
        return np.concatenate(parts, axis=1)

    def fail(self, error: BaseException) -> None:
        """Give the reader `error` in place of rows."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def close(self) -> None:
        """The reader needs no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def run_stages(first: Callable[[Target], None], second: Callable[[Source], None], relay: Relay) -> None:
    """Run `first` into `relay` in a thread of its own, and `second` from it here. The first error wins."""

    def produce() -> None:
        try:
            first(relay)
        except _Cancelled:
            pass
        except BaseException as exc:
            relay.fail(exc)

    thread = threading.Thread(target=produce, name="edgelift-stage", daemon=True)
    thread.start()
    try:
        second(relay)
    finally:
        relay.close()
        thread.join()
