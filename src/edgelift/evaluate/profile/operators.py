"""Where the time of a network goes, operator by operator, from the engine's own counters.

The graph is the one that the engine runs for windows (`io.blocks`). Engines join operators (a convolution and its
activation) and add some of their own (`Reorder`: another order of values in memory); what is printed is what ran.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgelift.core.errors import RequestError
from edgelift.evaluate.profile.bench import Bench, noise
from edgelift.evaluate.profile.macs import Work, named, work_of
from edgelift.evaluate.profile.timing import Clock, Timing, of_rounds, timed
from edgelift.io.blocks import blocks_model
from edgelift.runtime.probe import NodeTime, Probe

__all__ = ["Kind", "Node", "Operators", "operators", "summarise"]

WARM = 2
"""Runs before those that count."""
SLOW = 0.5
"""A node is slow that does fewer multiply-adds a second than this share of the network's mean, and takes more than …"""
SLOW_SHARE = 0.05
"""… this share of the time."""

OpenProbe = Callable[[bool], Probe]
"""Makes a probe, with counters or without."""


@dataclass(frozen=True)
class Node:
    """An operator that ran."""

    name: str
    kind: str
    """In the engine's words."""
    time: Timing
    macs: int
    """Multiply-adds that it carries out; 0 where it has none, or where it cannot be told what it carries out."""
    carries: tuple[str, ...] = ()
    """Operators of the graph that were joined in it, such as Conv and Relu; none where the engine added it."""

    @property
    def rate(self) -> float:
        """Multiply-adds a second."""
        return self.macs / self.time.seconds if self.time.seconds else 0.0


@dataclass(frozen=True)
class Kind:
    """All operators of one kind."""

    kind: str
    count: int
    seconds: float
    macs: int


@dataclass(frozen=True)
class Operators:
    """The operators of one run on a window."""

    height: int
    width: int
    nodes: tuple[Node, ...]
    """In the order in which they ran."""
    counted: Timing
    """Of a whole run with counters."""
    plain: Timing
    """And without: counting takes time as well."""

    @property
    def seconds(self) -> float:
        """Of all operators; the rest of `counted` is what a call costs around them."""
        return sum(node.time.seconds for node in self.nodes)

    @property
    def macs(self) -> int:
        """Of all operators."""
        return sum(node.macs for node in self.nodes)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Summed by kind, the longest first."""
        groups: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            groups[node.kind].append(node)
        found = (
            Kind(kind, len(rows), sum(row.time.seconds for row in rows), sum(row.macs for row in rows))
            for kind, rows in groups.items()
        )
        return tuple(sorted(found, key=lambda row: -row.seconds))

    def slow(self, node: Node) -> bool:
        """Whether `node` does much less a second than the network's multiply-adds on the whole; see `SLOW`."""
        busy = sum(row.time.seconds for row in self.nodes if row.macs)
        long = node.time.seconds > SLOW_SHARE * self.seconds
        return bool(node.macs) and long and node.rate < SLOW * self.macs / busy


def operators(
    bench: Bench, size: tuple[int, int] = (360, 640), *, rounds: int = 5, clock: Clock = time.perf_counter
) -> Operators:
    """Count the operators of the widest network of `bench` on one window of `size` = (height, width).

    Raises `RequestError` where the engine has no counters, `EngineError`.
    """
    engine = bench.probing()
    if engine is None:
        raise RequestError(f"{type(bench.engine()).__name__} has no counters; use openvino, onnxruntime or torch")
    window = bench.window(*size)
    model = named(blocks_model(bench.bundle, "uint8"))
    graph, inputs = model.SerializeToString(), {"image": noise(window.height, window.width)[None]}

    def probe(count: bool) -> Probe:
        return engine.probe(graph, inputs, count=count)

    work = work_of(model, {"image": (1, window.height, window.width, 3)})
    return summarise(probe, work, (window.height, window.width), rounds, clock)


def summarise(
    probe: OpenProbe, work: Work, size: tuple[int, int], rounds: int, clock: Clock = time.perf_counter
) -> Operators:
    """Run what `probe` makes, and put its counters together with `work`: medians over `rounds`."""
    plain = _watch(probe(False), rounds, clock)[0]
    counted, runs = _watch(probe(True), rounds, clock)
    return Operators(*size, _nodes(runs[-rounds:], work), counted, plain)


def _watch(probe: Probe, rounds: int, clock: Clock) -> tuple[Timing, list[list[NodeTime]]]:
    try:
        timing = timed(probe.run, rounds, warm=WARM, clock=clock)
        return timing, probe.counted()
    finally:
        probe.close()


def _nodes(runs: Sequence[Sequence[NodeTime]], work: Work) -> tuple[Node, ...]:
    """One row for each operator of any run; runs are alike, but engines leave out what took no microsecond."""
    seconds = [{row.name: row.seconds for row in run} for run in runs]
    longest = max(runs, key=len, default=())
    firsts = {row.name: row for run in (longest, *runs) for row in reversed(run)}
    order = dict.fromkeys([row.name for row in longest] + list(firsts))
    rows, taken = [], set[str]()
    for first in (firsts[name] for name in order):
        own = [name for name in work.find(first.origin) if name not in taken]  # each counts where it is first named
        taken.update(own)
        macs = first.macs or sum(work.macs.get(name, 0) for name in own)
        timing = of_rounds([run.get(first.name, 0.0) for run in seconds])
        kinds = tuple(work.nodes[name].op_type for name in own)
        rows.append(Node(first.name, first.kind, timing, macs, kinds))
    return tuple(rows)
