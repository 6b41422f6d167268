"""From rows to rows: a plan's windows through an engine, or an interpolation, strip by strip.

Memory is bounded by a few strips and windows: strips are read ahead while others run, and several windows can be in
flight. How many changes the speed, never the result.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.resize import Resizer
from edgelift.runtime.ahead import in_order, read_ahead
from edgelift.runtime.engine import Engine
from edgelift.runtime.rows import Rows, Source, Target
from edgelift.runtime.windows import Scratch, Warn, WindowRunner
from edgelift.tiling.merge import Merge, merge_of
from edgelift.tiling.window import Planned, Window

__all__ = ["Report", "interpolate", "run_plan"]

Report = Callable[[float], None]
"""Called with the share of the picture that is done, 0 … 1."""
STRIP_PIXELS = 1 << 20
"""Pixels in a strip of an interpolation, of the result and of the rows that it comes from."""


@dataclass(frozen=True)
class _Task:
    """Windows that go to the engine together."""

    row: int
    """Of windows, from the top."""
    windows: tuple[Window, ...]
    rows: Rows
    strip: Rows
    """Of the result, that the row of windows fills."""
    last: bool
    """Whether no window of the row follows."""
    done: float
    """Share of the picture that is done when this is."""


def _tasks(plan: Planned, batch: int, strips: Iterable[Rows], merge: Merge, target: Target) -> Iterator[_Task]:
    for k, (row, rows) in enumerate(zip(plan.windows(), strips, strict=True)):
        strip = target.room(merge.spans[k].start, merge.spans[k].stop)
        finished = 0
        for group in _groups(row, batch):
            finished += len(group)
            done = (k * len(row) + finished) / (len(row) * len(plan.rows))
            yield _Task(k, group, rows, strip, finished == len(row), done)


def _groups(row: tuple[Window, ...], batch: int) -> Iterator[tuple[Window, ...]]:
    """Neighbours of one variant, at most `batch` of them."""
    start = 0
    for stop in range(1, len(row) + 1):
        if stop == len(row) or stop - start == batch or row[stop].variant != row[start].variant:
            yield row[start:stop]
            start = stop


class _Worker:
    """What threads do with a task: run its windows and, where their order does not matter, merge them."""

    def __init__(self, runner: WindowRunner, merge: Merge) -> None:
        self._runner, self._merge = runner, merge
        self._free: queue.SimpleQueue[Scratch] = queue.SimpleQueue()

    def work(self, task: _Task) -> tuple[Scratch, list[NDArray[Any]]]:
        """Run the windows of a task; what comes back is for `settle`."""
        try:
            scratch = self._free.get_nowait()
        except queue.Empty:
            scratch = Scratch()
        blocks = self._runner.run(task.rows, task.windows, scratch)
        if not self._merge.in_order:
            self._add(task, blocks)
        return scratch, blocks

    def settle(self, task: _Task, scratch: Scratch, blocks: list[NDArray[Any]]) -> None:
        """Merge what is to be merged in order; called for one task after the other."""
        if self._merge.in_order:
            self._add(task, blocks)
        self._free.put(scratch)

    def _add(self, task: _Task, blocks: list[NDArray[Any]]) -> None:
        for window, result in zip(task.windows, blocks, strict=True):
            self._merge.add(task.strip, window, result)


def run_plan(
    engine: Engine,
    plan: Planned,
    source: Source,
    target: Target,
    report: Report = lambda done: None,
    *,
    merge: str = "crop",
    batch: int = 1,
    workers: int = 1,
    ahead: int = 1,
    warn: Warn = lambda text: None,
) -> None:
    """Run all windows of `plan` on `source` and fill `target`, strip after strip.

    `source` must be of the plan's size, and the plan as `tiling.merge.sharing` says for `merge`. `batch`: windows in one
    call of the engine. `workers`: calls at once, each in a thread; the rooms of as many strips may then be asked for
    before the first is done. `ahead`: strips that are read meanwhile. `warn` hears of windows that had to be halved.

    Errors of either side and of the engine pass through unchanged: the first in the plan's order wins.
    """
    merging = merge_of(merge, plan, engine.spec.grid, engine.spec.shuffle, source.layers)
    worker = _Worker(WindowRunner(engine, warn), merging)
    ranges = [(read.start, min(read.stop, plan.height)) for read, _ in plan.rows]
    with (
        read_ahead(source, ranges, ahead) as strips,
        in_order(worker.work, _tasks(plan, batch, strips, merging, target), workers) as results,
    ):
        for task, (scratch, blocks) in results:
            worker.settle(task, scratch, blocks)
            if task.last:
                merging.finish(task.strip, task.row)
                target.done(task.strip)
            report(task.done)


def interpolate(
    kernel: str,
    size: tuple[int, int],
    source: Source,
    target: Target,
    report: Report = lambda done: None,
    *,
    ahead: int = 1,
) -> None:
    """Resize `source` to `size` = (height, width) by `kernel` (see `core.resize`) into `target`."""
    resizer = Resizer((source.height, source.width), size, kernel)
    height, width = size
    step = max(1, min(STRIP_PIXELS // width, STRIP_PIXELS * height // (source.height * source.width)))
    strips = [(top, min(top + step, height)) for top in range(0, height, step)]
    with read_ahead(source, [resizer.reach(*s) for s in strips], ahead) as parts:
        for (start, stop), rows in zip(strips, parts, strict=True):
            strip = target.room(start, stop)
            strip[...] = np.moveaxis(resizer.strip(np.moveaxis(rows, 0, 2), start, stop), 2, 0)
            target.done(strip)
            report(stop / height)
