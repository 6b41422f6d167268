"""From rows to rows: a plan's windows through an engine, or an interpolation, strip by strip.

Memory is bounded by a strip and a window; the next strip is read while this one runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.image import round_to
from edgelift.core.resize import Resizer
from edgelift.runtime.engine import Engine, blocks_shape
from edgelift.runtime.rows import Rows, Source, Target
from edgelift.tiling.merge import crop_into
from edgelift.tiling.plan import Plan
from edgelift.tiling.window import Window

__all__ = ["Report", "interpolate", "run_plan"]

Report = Callable[[float], None]
"""Called with the share of the picture that is done, 0 … 1."""
STRIP_PIXELS = 1 << 20
"""Result pixels in a strip of an interpolation."""


def _read_ahead(source: Source, ranges: Sequence[tuple[int, int]]) -> Iterator[Rows]:
    """The rows of each range, the next one being read while this one is used."""
    if len(ranges) == 1:
        yield source.rows(*ranges[0])
        return
    with ThreadPoolExecutor(1, "edgelift-read") as pool:
        coming = pool.submit(source.rows, *ranges[0])
        for following in ranges[1:]:
            rows = coming.result()
            coming = pool.submit(source.rows, *following)
            yield rows
        yield coming.result()


def _cut(rows: Rows, window: Window) -> NDArray[Any]:
    """What `window` reads, from rows that start where it starts; beyond the picture its last pixel is repeated."""
    part = rows[:, :, window.columns.start : window.columns.stop]
    missing = (len(window.rows) - part.shape[1], len(window.columns) - part.shape[2])
    if any(missing):
        part = np.pad(part, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    return part


def _to_samples(part: NDArray[Any]) -> NDArray[Any]:
    """A window as engines take it: 16-bit values go to the float range 0 … 255."""
    if part.dtype == np.uint16:
        return np.asarray(np.multiply(part, np.float32(1 / 257), dtype=np.float32))
    return np.require(part, requirements=["C", "W"])  # engines share the memory, and OpenVINO wants it writable


def _from_samples(blocks: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    return round_to(blocks * np.float32(257), dtype) if dtype == np.uint16 else blocks


def run_plan(engine: Engine, plan: Plan, source: Source, target: Target, report: Report = lambda done: None) -> None:
    """Run all windows of `plan` on `source` and fill `target`, strip after strip.

    `source` must be of the plan's size; errors of either side and of the engine pass through unchanged.
    """
    spec = engine.spec
    ranges = [(read.start, min(read.stop, plan.height)) for read, _ in plan.rows]
    blocks: dict[tuple[int, ...], NDArray[Any]] = {}
    finished = 0
    for row, rows in zip(plan.windows(), _read_ahead(source, ranges), strict=True):
        keep = row[0].keep_rows
        strip = target.room(keep.start * spec.scale, keep.stop * spec.scale)
        for window in row:
            batch = _to_samples(_cut(rows, window))
            shape = blocks_shape(spec, batch.shape)
            out = blocks.setdefault(shape, np.empty(shape, batch.dtype))
            engine.run(batch, window.variant, out)
            for layer, result in zip(strip, _from_samples(out, source.dtype), strict=True):
                crop_into(layer, result, window, spec.grid)
            finished += 1
            report(finished / len(plan))
        target.done(strip)


def interpolate(
    kernel: str, size: tuple[int, int], source: Source, target: Target, report: Report = lambda done: None
) -> None:
    """Resize `source` to `size` = (height, width) by `kernel` (see `core.resize`) into `target`."""
    resizer = Resizer((source.height, source.width), size, kernel)
    height, width = size
    step = max(1, STRIP_PIXELS // width)
    strips = [(top, min(top + step, height)) for top in range(0, height, step)]
    for (start, stop), rows in zip(strips, _read_ahead(source, [resizer.reach(*s) for s in strips]), strict=True):
        strip = target.room(start, stop)
        strip[...] = np.moveaxis(resizer.strip(np.moveaxis(rows, 0, 2), start, stop), 2, 0)
        target.done(strip)
        report(stop / height)
