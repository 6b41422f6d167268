"""Running windows: cut from rows, in memory that is used again, and in smaller parts where the engine's memory is short."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import EngineMemoryError
from edgelift.runtime.engine import Engine, blocks_shape
from edgelift.runtime.rows import Rows
from edgelift.tiling.plan import plan
from edgelift.tiling.window import Window

__all__ = ["Scratch", "Warn", "WindowRunner"]

Warn = Callable[[str], None]
"""Called with a sentence for the user."""
WORTH = 0.75
"""Share of a window's side that half of it, with its halo, may have at most: beyond, splitting costs more than it saves."""


class Scratch:
    """Memory for one thread, the same for every window of a shape."""

    def __init__(self) -> None:
        self._held: dict[str, NDArray[Any]] = {}

    def array(self, use: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array with any contents; what was given for that use before is lost."""
        held = self._held.get(use)
        if held is None or held.shape != shape or held.dtype != dtype:
            held = self._held[use] = np.empty(shape, dtype)
        return held


class WindowRunner:
    """Runs windows of one picture of one type; `run` may be called from several threads at once, each with its scratch.

    Where the engine runs out of memory, a batch is run in halves, and then a window, cut along its longer side so that
    each part keeps its halo: the result is the same. `warn` is told, once for each size that fails.
    """

    def __init__(self, engine: Engine, warn: Warn) -> None:
        self._engine, self._spec, self._warn = engine, engine.spec, warn
        self._failed = float("inf")
        """Pixels in the smallest call that found too little memory."""
        self._lock = threading.Lock()

    def run(self, rows: Rows, windows: Sequence[Window], scratch: Scratch) -> list[NDArray[Any]]:
        """The blocks of each window (layers × …, see `Merge.add`), in the memory of `scratch`.

        `rows` start where the windows, all of one row, shape and variant, start. Raises `EngineError`.
        """
        batch = self._cut(rows, windows, scratch)
        out = scratch.array("out", blocks_shape(self._spec, batch.shape), batch.dtype)
        self._run(batch, windows[0].variant, out)
        return [out[k : k + len(rows)] for k in range(0, len(out), len(rows))]

    def _cut(self, rows: Rows, windows: Sequence[Window], scratch: Scratch) -> NDArray[Any]:
        """What the windows read, as engines take it: 16-bit values go to the float range 0 … 255."""
        height, width = len(windows[0].rows), len(windows[0].columns)
        part = _columns(rows, windows[0])
        # Engines share the memory, and OpenVINO wants it writable.
        ready = part.flags.c_contiguous and part.flags.writeable and part.shape[1:3] == (height, width)
        if ready and len(windows) == 1 and part.dtype != np.uint16:
            return part
        dtype = np.dtype(np.float32) if rows.dtype == np.uint16 else rows.dtype
        batch = scratch.array("in", (len(windows) * len(rows), height, width, 3), dtype)
        for k, window in enumerate(windows):
            _fill(batch[k * len(rows) : (k + 1) * len(rows)], _columns(rows, window))
        return batch

    def _run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        most, count = self._engine.limits.max_batch, len(batch)
        if count > most:
            for k in range(0, count, most):
                self._run(batch[k : k + most], variant, out[k : k + most])
            return
        smaller = self._smaller(batch.shape)
        if smaller is None or batch[..., 0].size < self._failed:
            try:
                self._engine.run(batch, variant, out)
                return
            except EngineMemoryError as exc:
                if smaller is None:
                    raise EngineMemoryError(f"{exc}; give a smaller tile, or close other programs") from exc
                self._tell(batch.shape, smaller)
        self._in_parts(batch, variant, out, smaller)

    def _smaller(self, shape: tuple[int, ...]) -> tuple[int, int, int] | None:
        """Number, height and width of the windows to try in place of such a batch; None where none give the same result."""
        count, height, width, _ = shape
        if count > 1:
            return count // 2, height, width
        halo, multiple = self._spec.halo, self._spec.multiple_of
        if halo is None or self._engine.limits.shapes:
            return None
        half = [-(-(-(-side // 2) + halo) // multiple) * multiple for side in (height, width)]
        for axis in (0, 1) if height >= width else (1, 0):
            if half[axis] <= WORTH * shape[1 + axis] and half[axis] >= 2 * halo + multiple:
                return (1, half[0], width) if axis == 0 else (1, height, half[1])
        return None

    def _in_parts(self, batch: NDArray[Any], variant: int, out: NDArray[Any], smaller: tuple[int, int, int]) -> None:
        count, height, width = smaller
        if count < len(batch):
            for k in range(0, len(batch), count):
                self._run(batch[k : k + count], variant, out[k : k + count])
            return
        grid = self._spec.grid
        _, tall, wide, _ = batch.shape
        parts = plan(tall, wide, (height, width), self._spec.halo, self._spec.multiple_of)
        for window in (window for row in parts.windows() for window in row):
            rows, columns = window.rows, window.columns
            part = np.ascontiguousarray(batch[:, rows.start : rows.stop, columns.start : columns.stop])
            blocks = np.empty(blocks_shape(self._spec, part.shape), out.dtype)
            self._run(part, variant, blocks)
            here, there = (
                [slice(s.start * grid, s.stop * grid) for s in (slice(k.start, k.stop), k.within(r))]
                for k, r in ((window.keep_rows, rows), (window.keep_columns, columns))
            )
            out[:, here[0], there[0]] = blocks[:, here[1], there[1]]

    def _tell(self, shape: tuple[int, ...], smaller: tuple[int, int, int]) -> None:
        """Remember what failed, so that no window as large is tried again, and say so the first time."""
        count, height, width, _ = shape
        with self._lock:
            first, self._failed = count * height * width < self._failed, min(self._failed, count * height * width)
        if first:
            self._warn(
                f"the engine has too little memory for {_words(count, height, width)}; going on with {_words(*smaller)}, "
                "which gives the same result"
            )


def _words(count: int, height: int, width: int) -> str:
    return f"{count} windows of {height}×{width}" if count > 1 else f"a window of {height}×{width}"


def _columns(rows: Rows, window: Window) -> Rows:
    return rows[:, :, window.columns.start : window.columns.stop]


def _fill(batch: NDArray[Any], part: Rows) -> None:
    """Copy `part` into `batch`, layers × rows × columns × 3 both; beyond `part` its last pixel is repeated."""
    height, width = part.shape[1:3]
    if part.dtype == np.uint16:
        np.multiply(part, np.float32(1 / 257), out=batch[:, :height, :width], dtype=np.float32)
    else:
        batch[:, :height, :width] = part
    batch[:, :height, width:] = batch[:, :height, width - 1 : width]
    batch[:, height:] = batch[:, height - 1 : height]
