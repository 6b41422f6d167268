"""Prices of an engine on this machine: measured once in about a second, then kept in the user's cache folder.

A file holds one table (`tiling.cost`) and the key that it belongs to: bundle, engine and its version, device,
precision, samples, threads, machine, and whether a budget routes windows. Files that are damaged, foreign or of another
version are as good as missing; a folder that cannot be written to costs the second each time, nothing else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgelift.core.errors import EngineError
from edgelift.core.spec import ModelSpec
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import Engine, Options, blocks_shape
from edgelift.runtime.ensemble import Ensemble, EnsembleEngine
from edgelift.runtime.hardware import cache_folder
from edgelift.tiling.cost import MAX_TEXT, CostModel, Measured

__all__ = [
    "BUDGET",
    "STEADY",
    "Key",
    "Measurement",
    "assumed",
    "guessed",
    "key_of",
    "load",
    "measure",
    "priced",
    "prices_folder",
    "store",
]

BUDGET = 1.0
"""Seconds that measuring takes at most, about, unless a single small window takes longer."""
SHAPES = ((64, 64), (128, 128), (192, 256), (256, 256), (360, 640), (512, 512), (1024, 1024))
"""(height, width) of the windows, one at a time: from what a call costs to what falls out of caches."""
BATCHES = (2, 4)
BATCH_SHAPE = (128, 128)
"""Of which batches are measured, to learn whether the device runs them at once."""
RUNS = 3
"""Of a shape: one to warm up and two timed. No more, because OpenVINO compiles a shape for itself at the fourth."""
MANY_ROUNDS, MANY_SECONDS = 6, 0.7
"""Rounds, and seconds for each variant, where variants are chosen by their prices: the least of more runs is less noisy."""
STEADY = 1.15
"""A measurement whose `spread` is above this was disturbed: it serves for now, and is not kept."""
ASSUMED_RATE = {"CPU": 5e10}
"""Multiply-adds a second where nothing was measured: two laptop cores in f32. Tells seconds from minutes, no more."""
ASSUMED_FAST = 2e12
"""The same for any other device."""
INTERPOLATION = 700
"""Multiply-adds that a pixel of the result is taken to need at least. Interpolation does a tenth of them, and was measured
to take as long as so many of a network's: it is memory that it waits for."""
ASSUMED_CALL = 1e-3
"""Seconds of a call whatever its window."""
VERSION = 1

Clock = Callable[[], float]
Shape = tuple[int, int, int]
"""Batch, height and width."""


@dataclass(frozen=True)
class Measurement:
    """What measuring gave."""

    model: CostModel
    spread: float
    """The second shortest time of a shape over its shortest, in the middle of all shapes: 1 on a machine that does nothing
    else."""


@dataclass(frozen=True)
class Key:
    """What prices depend on."""

    bundle: str
    """SHA-256 of its file; of an ensemble those of all files."""
    engine: str
    """Name and version."""
    device: str
    """Name and full title."""
    precision: str
    samples: str
    threads: int
    """As asked for: 0 means all cores."""
    machine: str
    """Processor and cores, since engines call different ones alike."""
    many_shapes: bool = False
    """Whether windows of many shapes are to come, as a budget routes them: engines prepare for that."""

    @property
    def file(self) -> str:
        """Name of the file in the cache folder."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32] + ".json"


def key_of(bundle: Bundle | Ensemble, engine: Engine, options: Options) -> Key:
    """The key for `engine`, made of `bundle` with `options`; that of an ensemble holds those of its parts."""
    if isinstance(engine, EnsembleEngine):
        return _key_of_parts(engine, options)
    assert isinstance(bundle, Bundle)
    name = getattr(engine, "name", type(engine).__name__)
    found = getattr(type(engine), "available", lambda: None)()
    version = found.version if found else ""
    titles = [device.title for device in found.devices if device.name == engine.device] if found else []
    return Key(
        hashlib.sha256(bundle.data).hexdigest(), f"{name} {version}", " ".join([engine.device, *titles]),
        engine.precision, options.samples, options.threads, f"{_processor()}, {_cores()} cores",
        options.many_shapes,
    )  # fmt: skip


def _key_of_parts(engine: EnsembleEngine, options: Options) -> Key:
    keys = [key_of(p.bundle, p.engine, dataclasses.replace(options, samples=p.samples)) for p in engine.parts]
    return dataclasses.replace(
        keys[0],
        bundle=" ".join(key.bundle for key in keys),
        engine=f"{len(engine.turns)} orientations of " + ", ".join(f"{key.engine} {key.samples}" for key in keys),
        device=", ".join(key.device for key in keys),
        precision=", ".join(key.precision for key in keys),
        samples=options.samples,
    )


def _processor() -> str:
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def assumed(spec: ModelSpec, device: str = "CPU") -> CostModel:
    """A guess from the network's multiply-adds, for an engine that was not measured."""
    rate = ASSUMED_RATE.get(device, ASSUMED_FAST)
    rows = []
    for variant in priced(spec):
        work = max(spec.macs_of(variant), INTERPOLATION * spec.scale**2) / rate
        rows += [Measured(1, side, side, ASSUMED_CALL + side * side * work, variant) for side in (64, 512)]
    return CostModel(tuple(rows))


def priced(spec: ModelSpec) -> tuple[int, ...]:
    """The variants that have prices: of a supernet interpolation too, which is number 0."""
    return tuple(range(0 if spec.widest > 1 and spec.interpolates else 1, spec.widest + 1))


def measure(
    engine: Engine,
    samples: str = "uint8",
    *,
    budget: float = BUDGET,
    most: int | None = None,
    rounds: int = 2,
    clock: Clock = time.perf_counter,
) -> Measurement:
    """Time `engine` on windows from small to large and on batches, as many as `budget` seconds allow.

    Two `rounds` or more through all shapes, so that what else runs on the machine is unlikely to meet one shape in each; the
    least time counts. Every variant gets an equal part of the budget, and its first window whatever that takes. `samples` is
    the type of the windows; those of more than `most` pixels are left out. Raises `EngineError` where not even the first
    one runs; another that does not is left out.
    """
    variants = priced(engine.spec)
    share = 2 * budget / (rounds * len(variants))
    runs = [_Runs(engine, samples, variant, clock) for variant in variants]
    firsts = [_first_round(one, share, most) for one in runs]
    times = [{shape: [seconds] for shape, seconds in found.items()} for found, _ in firsts]
    for _ in range(rounds - 1):
        for one, of in zip(runs, times, strict=True):
            _further_round(one, of)
    rows = [Measured(*s, min(t), one.variant) for one, of in zip(runs, times, strict=True) for s, t in of.items()]
    spreads = [sorted(t)[1] / min(t) for of in times for t in of.values()]
    fresh = [seconds for _, extra in firsts for seconds in extra]
    return Measurement(CostModel(tuple(rows), statistics.median(fresh) if fresh else 0.0), statistics.median(spreads))


def guessed(engine: Engine, assumed: CostModel, samples: str = "uint8", clock: Clock = time.perf_counter) -> CostModel:
    """`assumed` prices, set right by one small window through the widest variant: where there is no time to measure."""
    spec = engine.spec
    side = -(-SHAPES[0][0] // spec.multiple_of) * spec.multiple_of
    runs = _Runs(engine, samples, spec.widest, clock)
    first, second = runs.seconds((1, side, side)), runs.seconds((1, side, side))
    factor = second / assumed.seconds(1, side, side, spec.widest)
    rows = tuple(dataclasses.replace(row, seconds=row.seconds * factor) for row in assumed.rows)
    return CostModel(rows, max(0.0, first - second))


def _tasks(engine: Engine) -> list[Shape]:
    """(batch, height, width), the most telling first."""
    multiple, limits = engine.spec.multiple_of, engine.limits
    shapes = sorted(limits.shapes, key=math.prod) or [
        (-(-height // multiple) * multiple, -(-width // multiple) * multiple) for height, width in SHAPES
    ]
    middle = shapes[0] if limits.shapes else shapes[SHAPES.index(BATCH_SHAPE)]
    batches = [(batch, *middle) for batch in BATCHES if batch <= limits.max_batch]
    single = [(1, *shape) for shape in shapes]
    return list(dict.fromkeys([*single[:5], *batches, *single[5:]]))


@dataclass(frozen=True)
class _Runs:
    """Timed runs of one variant."""

    engine: Engine
    samples: str
    variant: int
    clock: Clock

    def seconds(self, shape: Shape) -> float:
        """Of one run."""
        values = np.arange(math.prod(shape) * 3) % 251
        batch = values.astype(self.samples).reshape(*shape, 3)
        out = np.empty(blocks_shape(self.engine.spec, batch.shape), batch.dtype)
        out.fill(0)  # so that no page is touched for the first time while the clock runs
        began = self.clock()
        self.engine.run(batch, self.variant, out)
        return max(self.clock() - began, 1e-9)  # a clock may be too coarse to see it


def _first_round(runs: _Runs, budget: float, most: int | None) -> tuple[dict[Shape, float], list[float]]:
    """Seconds of each shape that can be run three times within the budget, after one run to warm up; what that one took
    more, but for the first shape, for which the variant itself may have been compiled."""
    done: dict[Shape, float] = {}
    fresh: list[float] = []
    began, price = runs.clock(), 0.0
    for shape in _tasks(runs.engine):
        pixels = math.prod(shape)
        expected = runs.clock() - began + sum(done.values()) + RUNS * pixels * price
        if done and (expected > budget or pixels > (most or pixels)):
            continue
        try:
            warming = runs.seconds(shape)
            done[shape] = runs.seconds(shape)
            if len(done) > 1:
                fresh.append(max(0.0, warming - done[shape]))
        except EngineError:
            if not done:
                raise
            break  # larger ones need even more of what was not there
        price = done[shape] / pixels
    return done, fresh


def _further_round(runs: _Runs, times: dict[Shape, list[float]]) -> None:
    """Time each shape once more. One that does not run any more is left out, since memory may be short now and then; raises
    `EngineError` where none is left."""
    for shape in list(times):
        try:
            times[shape].append(runs.seconds(shape))
        except EngineError:
            del times[shape]
            if not times:
                raise


def prices_folder() -> Path:
    """Where tables are kept (not made)."""
    return cache_folder() / "prices"


def load(key: Key, folder: Path | None = None) -> CostModel | None:
    """The table kept for `key`; None where there is none that can be used."""
    path = (folder or prices_folder()) / key.file
    try:
        if path.stat().st_size > MAX_TEXT:
            return None
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain["version"] != VERSION or plain["key"] != dataclasses.asdict(key):
            return None
        return CostModel.from_plain(plain["table"])
    except (OSError, ValueError, RecursionError, LookupError, TypeError):  # RequestError is a ValueError
        return None


def store(key: Key, model: CostModel, folder: Path | None = None) -> bool:
    """Keep `model` for `key`: complete or not at all. False where the folder cannot be written to."""
    folder = folder or prices_folder()
    plain = {"version": VERSION, "key": dataclasses.asdict(key), "table": json.loads(model.to_json())}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=folder, prefix=f".{key.file[:8]}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(plain, file, indent=1)
            os.replace(scratch, folder / key.file)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(scratch)
            raise
    except OSError:
        return False
    return True
