"""Where the time of one picture goes, from file to file.

Nothing is rebuilt for the measurement: `upscale_file` runs with its own reader, plan, pipeline, filter and writer. Around
them stand objects that pass everything on and look at the clock, so that each moment of the calling thread belongs to
exactly one stage and the stages add up. Reading ahead and encoding run in threads beside it: a stage counts what the
run waited for them, and `alone` says what they take with nothing else to do.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import InputError
from edgelift.evaluate.profile.bench import SETTLE, Bench
from edgelift.evaluate.profile.synthetic import scene, write_png
from edgelift.evaluate.profile.timing import Clock, Timing, of_rounds, timed
from edgelift.io.pictures import create_picture, open_picture
from edgelift.runtime.anytime.run import NOW, Terms
from edgelift.runtime.engine import Engine
from edgelift.runtime.files import Job, upscale_file
from edgelift.runtime.filters import Filter, filtered, parse_filter
from edgelift.runtime.pipeline import Report, run_plan
from edgelift.runtime.rows import Rows, Source, Target
from edgelift.tiling.plan import Plan, plan

__all__ = ["NAMES", "Stage", "Stages", "stages"]

NAMES = {
    "open": "read the header, make the result",
    "plan": "choose the tile",
    "decode": "read rows",
    "preprocess": "cut windows; the graph converts them to floats",
    "inference": "the engine's calls",
    "postprocess": "clip and round: part of the graph",
    "merge": "crop, shuffle and paste: one strided copy",
    "filter": "sharpen the result",
    "encode": "write rows, close the file",
}
"""The stages in their order, and what each does."""
INSIDE = "postprocess"
"""The stage that has no time of its own."""
MAX_ALONE = 1 << 30
"""Bytes of a result that are held to time the encoder alone."""


@dataclass(frozen=True)
class Stage:
    """One stage of the round that took the median time."""

    name: str
    seconds: float | None
    """That the run spent in it or waited for it; None for what happens inside another stage."""
    alone: Timing | None = None
    """The same work with nothing beside it, where it runs in a thread of its own."""


@dataclass(frozen=True)
class Stages:
    """What a picture took."""

    picture: str
    size_in: tuple[int, int]
    """Height and width."""
    size_out: tuple[int, int]
    samples: str
    """Type of the picture's samples."""
    tile: tuple[int, int]
    windows: int
    batch: int
    filter: str
    first: float
    """Seconds of the first run, which compiles and fills caches."""
    whole: Timing
    """From opening one file to closing the other."""
    stages: tuple[Stage, ...]
    """Of the round that took the median time (the longer of the middle two): with `rest` they add up to `total`."""
    total: float
    """Seconds of that round."""

    @property
    def rest(self) -> float:
        """Seconds of that round that no stage accounts for."""
        return self.total - sum(stage.seconds or 0.0 for stage in self.stages)


class _Laps:
    """Seconds by stage; `lap` gives all time since the last one to a stage."""

    def __init__(self, clock: Clock) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._clock, self._last = clock, clock()

    def lap(self, stage: str) -> None:
        now = self._clock()
        self.spent[stage] += now - self._last
        self._last = now


class _TimedEngine:
    """An engine whose calls are inference, and what comes before them preprocessing. Runs the widest variant."""

    def __init__(self, engine: Engine, laps: _Laps) -> None:
        self.spec, self.limits, self.device, self.precision = (
            engine.spec, engine.limits, engine.device, engine.precision,
        )  # fmt: skip
        self._engine, self._laps = engine, laps
        self.shapes: Counter[tuple[int, ...]] = Counter()

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        self._laps.lap("preprocess")
        self._engine.run(batch, self.spec.widest, out)
        self._laps.lap("inference")
        self.shapes[batch.shape] += 1

    def close(self) -> None:
        """The engine is the bench's."""


@dataclass(frozen=True)
class _TimedTarget:
    """A target: `before` gets the time up to its calls, `within` that in `done`. Room is asked for when rows are there."""

    target: Target
    laps: _Laps
    before: tuple[str, str]
    """For `room` and for `done`."""
    within: str

    def room(self, start: int, stop: int) -> Rows:
        self.laps.lap(self.before[0])
        room = self.target.room(start, stop)
        self.laps.lap(self.before[1])
        return room

    def done(self, strip: Rows) -> None:
        self.laps.lap(self.before[1])
        self.target.done(strip)
        self.laps.lap(self.within)


class _Timed:
    """What `upscale_file` runs: the pipeline on a bench, with a clock between its parts."""

    def __init__(self, bench: Bench, sharpen: Filter | None, clock: Clock) -> None:
        self._bench, self._filter, self._clock = bench, sharpen, clock
        self.plan: Plan | None = None
        self.batch, self.settled = 1, False
        self.laps = _Laps(clock)

    def restart(self) -> None:
        """Forget the last picture."""
        self.laps = _Laps(self._clock)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """See `Upscaling.size`."""
        return height * self._bench.spec.scale, width * self._bench.spec.scale

    def run(self, source: Source, target: Target, report: Report = lambda done: None, terms: Terms = NOW) -> None:
        """See `Upscaling.run`; with the choices of `Upscaler.run` without a budget."""
        laps = self.laps
        laps.lap("open")
        samples = "uint8" if source.dtype == np.uint8 else "float32"
        engine = _TimedEngine(self._bench.engine(samples), laps)
        self.plan, self.batch = self._choose(source, samples)
        laps.lap("plan")

        def tell(done: float) -> None:
            laps.lap("merge")
            report(done)

        run_plan(engine, self.plan, source, self._target(source, target), tell, batch=self.batch)
        laps.lap("rest")
        self.settled = min(engine.shapes.values()) >= SETTLE

    def _choose(self, source: Source, samples: str) -> tuple[Plan, int]:
        spec, planner = self._bench.spec, self._bench.planner(samples)
        height, width, layers, itemsize = source.height, source.width, source.layers, source.dtype.itemsize
        tile = planner.tile(height, width, layers=layers, itemsize=itemsize)
        chosen = planner.choice(height, width, tile=tile, layers=layers, itemsize=itemsize)
        return plan(height, width, tile, spec.halo, spec.multiple_of), chosen.batch

    def _target(self, source: Source, target: Target) -> Target:
        shape = (source.layers, *self.size(source.height, source.width))
        if self._filter is None:
            return _TimedTarget(target, self.laps, ("decode", "merge"), "encode")
        written = _TimedTarget(target, self.laps, ("filter", "filter"), "encode")
        sharpened = filtered(self._filter, written, shape, source.dtype)
        return _TimedTarget(sharpened, self.laps, ("decode", "merge"), "filter")


def stages(
    bench: Bench,
    picture: Path | None = None,
    size: tuple[int, int] = (360, 640),
    *,
    filter: str | None = None,
    rounds: int = 5,
    clock: Clock = time.perf_counter,
) -> Stages:
    """Upscale `picture`, or a made one of `size` = (height, width), `rounds` times, into a temporary folder as PNG.

    Raises `InputError` for a picture that cannot be read and for animations, `RequestError` for an unknown filter,
    `EngineError`.
    """
    sharpen = parse_filter(filter)
    with _files(picture, size) as job:
        with open_picture(job.source, animated=True) as reader:
            if reader.frames > 1:
                raise InputError(f"{job.source}: an animation of {reader.frames} frames; give a single picture")
            samples = reader.dtype.name
        run = _Timed(bench, sharpen, clock)
        first = _round(run, job, clock)[0]
        for _ in range(SETTLE):
            if not run.settled:
                _round(run, job, clock)
        found = sorted((_round(run, job, clock) for _ in range(rounds)), key=lambda row: row[0])
        total, spent = found[len(found) // 2]
        seconds = {name: None if name == INSIDE else spent.get(name, 0.0) for name in _present(sharpen)}
        assert run.plan is not None
        alone = {"decode": _decode_alone(job, run.plan, rounds, clock), "encode": _encode_alone(job, rounds, clock)}
        size_in = run.plan.height, run.plan.width
    return Stages(
        picture.name if picture else "a made picture", size_in, run.size(*size_in), samples, run.plan.tile,
        len(run.plan), run.batch, filter or "none", first, of_rounds([seconds for seconds, _ in found]),
        tuple(Stage(name, taken, alone.get(name)) for name, taken in seconds.items()), total,
    )  # fmt: skip


def _present(sharpen: Filter | None) -> Sequence[str]:
    return [name for name in NAMES if name != "filter" or sharpen is not None]


@contextmanager
def _files(picture: Path | None, size: tuple[int, int]) -> Iterator[Job]:
    """The picture, made where none is given, and a place for the result."""
    with tempfile.TemporaryDirectory(prefix="edgelift-") as name:
        folder = Path(name)
        if picture is None:
            write_png(scene(*size), folder / "made.png")
        yield Job(picture or folder / "made.png", folder / "result.png")


def _round(run: _Timed, job: Job, clock: Clock) -> tuple[float, dict[str, float]]:
    """Seconds of one picture in all, and by stage."""
    began = clock()
    run.restart()
    upscale_file(run, job, overwrite=True)
    run.laps.lap("encode")
    return clock() - began, dict(run.laps.spent)


def _decode_alone(job: Job, made: Plan, rounds: int, clock: Clock) -> Timing:
    """Reading the strips of the plan, with opening."""

    def read() -> None:
        with open_picture(job.source) as reader:
            for span, _ in made.rows:
                reader.rows(span.start, min(span.stop, made.height))

    return timed(read, rounds, clock=clock)


def _encode_alone(job: Job, rounds: int, clock: Clock) -> Timing | None:
    """Writing the result again, from memory; None where it is too large to be held."""
    with open_picture(job.target) as result:
        height, width = result.height, result.width
        if height * width * 4 * result.dtype.itemsize > MAX_ALONE:
            return None
        colour, alpha = result.rows(0, height)

    def write() -> None:
        place = job.target.with_name("again.png")
        with open_picture(job.source) as like, create_picture(place, height, width, like, overwrite=True) as writer:
            for start in range(0, height, 256):
                part = slice(start, start + 256)
                writer.write(colour[part], alpha[part] if alpha is not None else None)

    return timed(write, rounds, clock=clock)
