"""A profile as a JSON document: everything that was measured, on what, and what could not be.

    {"profile": 1, "edgelift": …, "machine": {…}, "model": {…}, "device": {…}, "reference": {…}, "parts": {…}, "problems": […]}

`reference` is one call with one window of the size that was asked for: what profiles of several devices are compared by
(see `devices`). `parts` holds those of stages, operators, nodes, curve and prices that were asked for; seconds and pixels
everywhere. `VERSION` changes when a reader of the old form would go wrong.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from edgelift import __version__
from edgelift.core.errors import EdgeliftError, RequestError
from edgelift.evaluate.machine import machine
from edgelift.evaluate.profile.bench import Bench, check_size
from edgelift.evaluate.profile.metanodes import CHANNELS, MetaNodes, meta_nodes
from edgelift.evaluate.profile.operators import Operators, operators
from edgelift.evaluate.profile.resolutions import Curve, Point, curve, latency
from edgelift.evaluate.profile.stages import Stages, stages
from edgelift.evaluate.profile.tiles import Prices, prices
from edgelift.evaluate.profile.timing import MAX_ROUNDS, Clock
from edgelift.io.pictures import STANDARD
from edgelift.runtime.filters import parse_filter

__all__ = ["PARTS", "VERSION", "Device", "Model", "Parts", "Profile", "Request", "measure", "parts_of"]

VERSION = 1
Report = Callable[[str, float], None]


@dataclass(frozen=True)
class Model:
    """The network of a profile."""

    name: str
    scale: int
    parameters: int
    macs: int
    """Multiply-adds for a pixel of the input."""
    sha256: str
    """Of the bundle."""
    quality: dict[str, Any]
    """From its card: name of a set -> {"psnr_y": dB …}."""


@dataclass(frozen=True)
class Device:
    """Where it ran. Two profiles with equal devices were made on the same one."""

    engine: str
    """Name and version."""
    device: str
    """Name and full title."""
    precision: str
    threads: int
    """As asked for: 0 means all cores."""
    machine: str
    """Processor and cores."""

    @property
    def words(self) -> str:
        """On one line."""
        engine = self.engine.partition("-")[0]  # of OpenVINO's version only the number
        threads = f", {self.threads} threads" if self.threads else ""
        return f"{engine}, {self.device}, {self.precision}{threads}; {self.machine}"


@dataclass(frozen=True)
class Request:
    """What to measure, and how."""

    only: tuple[str, ...] = ()
    """Of `PARTS`; all that the engine has where none is named."""
    size: tuple[int, int] = (360, 640)
    """Height and width: of the made picture, of windows and planes, and at the end of the curve."""
    picture: Path | None = None
    filter: str | None = None
    channels: int = CHANNELS
    rounds: int = 5

    def __post_init__(self) -> None:
        check_size(self.size)
        if not 1 <= self.rounds <= MAX_ROUNDS:
            raise RequestError(f"rounds are 1 to {MAX_ROUNDS}, got {self.rounds}")
        parse_filter(self.filter)
        if self.picture == STANDARD:
            raise RequestError("a picture is read once for each round, and standard input only once; name a file")
        if self.only and "stages" not in self.only and (self.picture or self.filter):
            raise RequestError(
                f"a picture and a filter are for the stages, which are not among {', '.join(self.only)}; add stages"
            )


@dataclass(frozen=True)
class Parts:
    """What was measured; None where it was not asked for, or failed."""

    stages: Stages | None = None
    operators: Operators | None = None
    nodes: MetaNodes | None = None
    curve: Curve | None = None
    prices: Prices | None = None


PARTS = tuple(f.name for f in fields(Parts))


@dataclass(frozen=True)
class Profile:
    """A profile of one network on one device."""

    model: Model
    device: Device
    reference: Point
    parts: Parts
    machine: dict[str, object] = field(default_factory=machine)
    problems: tuple[tuple[str, EdgeliftError], ...] = ()
    """(part, what went wrong)"""

    def plain(self) -> dict[str, Any]:
        """The JSON document."""
        timing = self.reference.timing
        reference = {"height": self.reference.height, "width": self.reference.width, **asdict(timing)}
        return {
            "profile": VERSION,
            "edgelift": __version__,
            "machine": self.machine,
            "model": asdict(self.model),
            "device": asdict(self.device),
            "reference": reference,
            "parts": {name: PLAIN[name](part) for name in PARTS if (part := getattr(self.parts, name)) is not None},
            "problems": [{"part": part, "message": str(e), "code": e.exit_code} for part, e in self.problems],
        }


def parts_of(text: str | None) -> tuple[str, ...]:
    """The parts that `text`, such as "stages,curve", names; none for None. Raises `RequestError` for others."""
    if text is None:
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if wrong := [name for name in names if name not in PARTS]:
        raise RequestError(f"a profile has the parts {', '.join(PARTS)}; got {wrong[0]!r}")
    return names


def measure(
    bench: Bench,
    request: Request = Request(),
    *,
    operators_of: Callable[[tuple[int, int], int], Operators] | None = None,
    report: Report = lambda words, done: None,
    clock: Clock = time.perf_counter,
) -> Profile:
    """Measure what is asked for. What fails is among the problems of the profile, and the rest still measured.

    `operators_of` counts operators (size, rounds) for an engine that `runtime.probe` does not reach. Parts that the engine
    cannot give are left out where none was named. `clock`: of an engine that states its time instead of taking it; then
    there are no stages. Raises `EngineError` where not even one window can be run.
    """
    reference = latency(bench, request.size, rounds=request.rounds, clock=clock)
    wanted = request.only or _possible(bench, operators_of is not None, clock is time.perf_counter)
    found: dict[str, Any] = {}
    problems: list[tuple[str, EdgeliftError]] = []
    for k, name in enumerate(wanted):

        def tell(words: str, done: float, name: str = name, k: int = k) -> None:
            report(f"{name} {words}".strip(), (k + done) / len(wanted))

        tell("", 0.0)
        try:
            found[name] = _part(name, bench, request, operators_of, tell, clock)
        except EdgeliftError as exc:
            problems.append((name, exc))
    return Profile(_model(bench), _device(bench), reference, Parts(**found), machine(), tuple(problems))


def _possible(bench: Bench, counts: bool, runs: bool) -> Sequence[str]:
    able = {"operators": counts or bench.probing() is not None, "nodes": bench.probing() is not None, "stages": runs}
    return [name for name in PARTS if able.get(name, True)]


def _part(
    name: str,
    bench: Bench,
    request: Request,
    operators_of: Callable[[tuple[int, int], int], Operators] | None,
    report: Report,
    clock: Clock,
) -> object:
    size, rounds = request.size, request.rounds
    if name == "stages":
        if clock is not time.perf_counter:
            raise RequestError("stages are those of a run, and this device is only predicted; leave them out")
        return stages(bench, request.picture, size, filter=request.filter, rounds=rounds)
    if name == "operators":
        return operators_of(size, rounds) if operators_of else operators(bench, size, rounds=rounds, clock=clock)
    if name == "nodes":
        return meta_nodes(bench, size, request.channels, rounds=rounds, report=report, clock=clock)
    if name == "curve":
        return curve(bench, size, rounds=rounds, report=report, clock=clock)
    return prices(bench)


def _model(bench: Bench) -> Model:
    spec = bench.spec
    digest = hashlib.sha256(bench.bundle.data).hexdigest()
    return Model(spec.name, spec.scale, spec.parameters, spec.macs, digest, dict(spec.quality))


def _device(bench: Bench) -> Device:
    key = bench.key()
    return Device(key.engine, key.device, key.precision, key.threads, key.machine)


# -- parts as JSON: their fields, and what follows from them


def _stages(found: Stages) -> dict[str, Any]:
    return {**asdict(found), "rest": found.rest}


def _operators(found: Operators) -> dict[str, Any]:
    rows = [{**asdict(node), "rate": node.rate, "slow": found.slow(node)} for node in found.nodes]
    return {**asdict(found), "nodes": rows, "kinds": [asdict(kind) for kind in found.kinds], "seconds": found.seconds}


def _nodes(found: MetaNodes) -> dict[str, Any]:
    rows = [
        {**asdict(row), "rate": row.rate, "ratio": found.ratio(row), "ratio_inside": found.ratio_inside(row)}
        for row in found.rows
    ]
    return {**asdict(found), "rows": rows}


def _curve(found: Curve) -> dict[str, Any]:
    return {**asdict(found), "points": [{**asdict(point), "price": point.price} for point in found.points]}


def _prices(found: Prices) -> dict[str, Any]:
    rows = [{**asdict(row), "shape": row.shape, "price": row.price} for row in found.rows]
    return {"rows": rows, "steady": found.steady}


PLAIN: dict[str, Callable[[Any], dict[str, Any]]] = {
    "stages": _stages, "operators": _operators, "nodes": _nodes, "curve": _curve, "prices": _prices,
}  # fmt: skip
