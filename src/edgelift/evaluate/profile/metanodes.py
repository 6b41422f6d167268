"""What single operators cost on a device: the "meta-node latency" of the anchor-based plain net (ABPN, Du et al. 2021).

Networks for a device are best built of operators that it likes, and which these are only measuring tells. Each row of
`META_NODES` is a network of that one operator on planes of some size and some channels. A call of the engine costs
something by itself: one with an operator that does nothing, on planes of one pixel, is measured as well, and taken off.
(On planes of the full size an identity is a copy: a row of its own, and what the others' memory traffic compares with.)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, RequestError
from edgelift.evaluate.profile.bench import Bench
from edgelift.evaluate.profile.macs import Work, work_of
from edgelift.evaluate.profile.metagraphs import COPY, META_NODES, REFERENCE, MetaNode, model_of
from edgelift.evaluate.profile.timing import Clock, Timing, of_rounds, timed
from edgelift.runtime.probe import Probing

__all__ = ["CHANNELS", "MetaNodes", "MetaTime", "meta_nodes"]

CHANNELS = 32
"""Of the planes, where no number is given: near what small networks have, and what devices pack into one register."""
MAX_BYTES = 1 << 30
"""Of the largest tensor."""
WARM = 2
COUNTED = 3
"""Runs for the engine's own counters."""

Report = Callable[[str, float], None]
"""Called with the operator's name and the share that is done."""


@dataclass(frozen=True)
class MetaTime:
    """What one operator took, or why it could not be run."""

    name: str
    whole: Timing | None
    """Of a call, with going in and out; None where the engine cannot run it."""
    seconds: float
    """Of the operator: `whole` less what a call with nothing to do takes; 0 where that is not the longer one."""
    certain: bool
    """Whether the call took longer than an empty one by more than both scatter."""
    inside: float | None
    """Seconds of the operator by the engine's own counters, without what the engine adds before and after it."""
    macs: int
    bytes: int
    """Of the tensors that come in and go out, in f32."""
    problem: str = ""

    @property
    def computes(self) -> bool:
        """Whether it has at least one multiply-add for each byte: else moving memory is what it does."""
        return self.macs >= self.bytes

    @property
    def rate(self) -> float:
        """Multiply-adds a second where it computes, else bytes a second: inside where that is known.

        0 where its time is not certain.
        """
        seconds = self.inside or (self.seconds if self.certain else 0.0)
        return (self.macs if self.computes else self.bytes) / seconds if seconds else 0.0


@dataclass(frozen=True)
class MetaNodes:
    """All operators on planes of one size."""

    height: int
    width: int
    channels: int
    empty: Timing
    """Of a call with nothing to do."""
    rows: tuple[MetaTime, ...]

    def ratio(self, row: MetaTime) -> float | None:
        """The time of `row` over that of the 3 × 3 convolution; None where one of the two is not certain."""
        seconds = next((r.seconds for r in self.rows if r.name == REFERENCE and r.certain), 0.0)
        return row.seconds / seconds if seconds and row.certain else None

    def ratio_inside(self, row: MetaTime) -> float | None:
        """The same of the times inside."""
        seconds = next((r.inside for r in self.rows if r.name == REFERENCE), None)
        return row.inside / seconds if seconds and row.inside is not None else None


def meta_nodes(
    bench: Bench,
    size: tuple[int, int] = (360, 640),
    channels: int = CHANNELS,
    *,
    rounds: int = 5,
    nodes: Iterable[MetaNode] = META_NODES,
    report: Report = lambda name, done: None,
    clock: Clock = time.perf_counter,
) -> MetaNodes:
    """Time each of `nodes` on the engine of `bench`, with its device, precision and threads.

    An operator that the engine cannot run is a row that says so. Raises `RequestError` where the engine runs bundles
    only, for channels that an operator cannot have and for planes that are too large.
    """
    engine = bench.probing()
    if engine is None:
        name = getattr(bench.engine(), "name", type(bench.engine()).__name__)
        raise RequestError(f"the engine {name} runs networks only; single operators need openvino or onnxruntime")
    if math.prod(size) * channels * 8 * 4 > MAX_BYTES:  # ×2 on both sides, and two of them
        raise RequestError(f"{channels} planes of {size[0]}x{size[1]} are more than is measured; give a smaller size")
    models = [(node, model_of(node, channels)) for node in nodes]
    measure = _Measure(engine, size, channels, rounds, clock)
    empty = replace(measure, size=(1, 1)).whole(COPY, model_of(COPY, channels))
    rows = []
    for k, (node, model) in enumerate(models):
        report(node.name, k / len(models))
        rows.append(measure.row(node, model, empty))
    return MetaNodes(*size, channels, empty, tuple(rows))


@dataclass(frozen=True)
class _Measure:
    engine: Probing
    size: tuple[int, int]
    channels: int
    rounds: int
    clock: Clock

    def inputs(self, node: MetaNode) -> dict[str, NDArray[np.float32]]:
        shape = (1, *self.size, self.channels) if node.nhwc else (1, self.channels, *self.size)
        values = np.linspace(-1, 1, 1021, dtype=np.float32)  # a prime, so that no two rows are alike
        return {name: np.resize(values, shape) for name in node.inputs}

    def row(self, node: MetaNode, model: onnx.ModelProto, empty: Timing) -> MetaTime:
        work = work_of(model, {name: value.shape for name, value in self.inputs(node).items()})
        size = sum(math.prod(work.shapes.get(name, (0,))) for name in (*node.inputs, *node.outputs)) * 4
        try:
            whole, inside = self.whole(node, model), self.inside(node, model, work)
        except EngineError as exc:
            return MetaTime(node.name, None, 0.0, False, None, sum(work.macs.values()), size, str(exc))
        seconds = max(0.0, whole.seconds - empty.seconds)
        certain = seconds > 0 and whole.apart(empty)
        return MetaTime(node.name, whole, seconds, certain, inside, sum(work.macs.values()), size)

    def whole(self, node: MetaNode, model: onnx.ModelProto) -> Timing:
        probe = self.engine.probe(model.SerializeToString(), self.inputs(node))
        try:
            return timed(probe.run, self.rounds, warm=WARM, clock=self.clock)
        finally:
            probe.close()

    def inside(self, node: MetaNode, model: onnx.ModelProto, work: Work) -> float | None:
        """Median seconds of what carries out the graph's nodes; None where the counters name none of them."""
        probe = self.engine.probe(model.SerializeToString(), self.inputs(node), count=True)
        try:
            for _ in range(WARM + COUNTED):
                probe.run()
            runs = probe.counted()[WARM:]
        finally:
            probe.close()
        sums = [sum(row.seconds for row in run if work.find(row.origin)) for run in runs]
        return of_rounds(sums).seconds if any(sums) else None
