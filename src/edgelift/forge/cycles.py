"""A chip that is not here as an engine to be profiled: what a call takes is what the vendor's compiler says.

Nothing is run. Each shape is compiled when it first comes, and its predicted time passes on a clock that only this engine
moves: what measures an engine (curves, prices, operators, single operators) plans for a chip in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import onnx
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, RequestError
from edgelift.evaluate.profile.bench import Bench
from edgelift.io.blocks import core_model
from edgelift.io.bundle import Bundle
from edgelift.runtime import prices
from edgelift.runtime.engine import Availability, Device, Limits, Options, check_run
from edgelift.runtime.probe import NodeTime
from edgelift.targets.base import Source
from edgelift.targets.sophon import Compiler, planned
from edgelift.targets.sophon_graph import static_model
from edgelift.tiling.cost import CostModel
from edgelift.toolchain.cycles import Cycles
from edgelift.toolchain.sophon import SOPHON

__all__ = ["DEVICE", "CycleEngine", "cycle_bench", "cycle_prices"]

DEVICE = "bm1684x"
BITS = {"f32": "float", "bf16": "bf16", "f16": "fp16", "int8": "int8"}
"""Precision -> what the target calls it. Of `auto` it is f16."""


class CycleEngine:
    """One network on the BM1684X, by tpu-mlir's cycle model. Options: `precision` is f16 (auto), f32, bf16 or int8."""

    name: ClassVar[str] = "tpu_mlir"
    forms: ClassVar[tuple[str, ...]] = ("onnx",)

    def __init__(self, bundle: Bundle, options: Options) -> None:
        if bundle.spec.widest > 1:
            raise RequestError(
                f"{bundle.spec.name} is a supernet; its networks are planned one by one: edgelift compile --target onnx --variant"
            )
        if bundle.spec.bits not in ("float", "fp16"):
            raise RequestError(
                f"{bundle.spec.name} is {bundle.spec.bits}; plan with its float parent and --precision int8"
            )
        if options.samples != "uint8":
            raise RequestError("a .bmodel takes and gives pictures of 8 bits")
        self.spec, self.limits, self.device = bundle.spec, Limits(), DEVICE.upper()
        self.precision = "f16" if options.precision == "auto" else options.precision
        self._core, self._whole = core_model(bundle), bundle.graph()
        self._compiler = Compiler()
        self._known: dict[tuple[int, int], Cycles] = {}
        self._now = 0.0

    @classmethod
    def available(cls) -> Availability:
        """Where the tool chain is installed."""
        state = SOPHON.state()
        if state.kind != "ready":
            return Availability(cls.name, problem=state.words)
        device = Device(DEVICE.upper(), "SOPHON, by the compiler's cycle model", tuple(BITS), "f16")
        return Availability(cls.name, SOPHON.versions()["tpu_mlir"], (device,))

    def clock(self) -> float:
        """Predicted seconds so far."""
        return self._now

    def pass_on(self, seconds: float) -> None:
        """Move the clock."""
        self._now += seconds

    def graph(self, height: int, width: int) -> onnx.ModelProto:
        """What the compiler is given for windows of that size."""
        source = Source(self.spec, self._whole, self._core, ((height, width),))
        return static_model(source, (height, width)).graph

    def cycles(self, height: int, width: int) -> Cycles:
        """Of a window of that size; compiled once. Raises `EngineError`."""
        if (height, width) not in self._known:
            self._known[height, width] = self.plan(self.graph(height, width))
        return self._known[height, width]

    def plan(self, graph: onnx.ModelProto, ends: str = "bytes") -> Cycles:
        """Of any static graph; `ends`: see `targets.sophon.planned`. Raises `EngineError`."""
        return planned(self._compiler, graph, BITS[self.precision], ends)

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        """Let the time of `batch` pass; `out` is left as it is. The chip runs one window after the other."""
        check_run(self, batch, variant, out, "uint8")
        self._now += len(batch) * self.cycles(batch.shape[1], batch.shape[2]).seconds

    def probe(self, graph: bytes, inputs: Mapping[str, NDArray[Any]], *, count: bool = False) -> _Probe:
        """See `runtime.probe.Probing`. A graph that takes an `image` is the network; others have planes at both ends."""
        if "image" in inputs:
            _, height, width, _ = inputs["image"].shape
            return _Probe(self, self.cycles(height, width), count)
        model = _static(graph, inputs)
        if all(node.op_type == "Identity" for node in model.graph.node):  # nothing is left for the chip to do
            return _Probe(self, Cycles(0.0, 0, ()), count)
        return _Probe(self, self.plan(model, "own"), count)

    def close(self) -> None:
        """End the compiler."""
        self._compiler.close()


def _static(graph: bytes, inputs: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """`graph` for the shapes of `inputs`; names are made fit for the compiler's tables by the operators' own."""
    model = onnx.load_model_from_string(graph)
    for value in model.graph.input:
        for dimension, side in zip(value.type.tensor_type.shape.dim, inputs[value.name].shape, strict=True):
            dimension.dim_value = side
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError as exc:
        raise EngineError(f"the shapes of this graph do not fit together: {exc}") from exc
    known = {value.name: value for value in inferred.graph.output}
    del model.graph.output[:]
    model.graph.output.extend(known.values())
    return model


class _Probe:
    """See `runtime.probe.Probe`."""

    def __init__(self, engine: CycleEngine, cycles: Cycles, count: bool) -> None:
        self._engine, self._cycles, self._count, self._runs = engine, cycles, count, 0

    def run(self) -> None:
        """Let the time pass."""
        self._engine.pass_on(self._cycles.seconds)
        self._runs += 1

    def counted(self) -> list[list[NodeTime]]:
        """The operations of each run, with their shares of it."""
        return [_times(self._cycles)] * self._runs if self._count else []

    def close(self) -> None:
        """Nothing is held."""


def _times(cycles: Cycles) -> list[NodeTime]:
    """Moves carry out nothing of the graph, even where they are called after what they move."""
    return [
        NodeTime(
            op.name, op.kind, op.seconds,
            () if op.kind in ("Load", "Store", "Cast") else tuple(name.rpartition("_")[0] for name in op.tensors),
        )
        for op in cycles.operations
    ]  # fmt: skip


class _CycleBench(Bench):
    """A bench whose planner measures by the engine's own clock."""

    def __init__(self, bundle: Bundle, options: Options) -> None:
        super().__init__(bundle, options, open=CycleEngine)

    def planner(self, samples: str = "uint8") -> Any:
        """See `Bench.planner`; what is found is not kept among measured prices."""
        engine = self.engine(samples)
        assert isinstance(engine, CycleEngine)
        return _CyclePlanner(engine)


class _CyclePlanner:
    """As much of a planner as a profile asks."""

    steady = True

    def __init__(self, engine: CycleEngine) -> None:
        self._engine = engine

    def known(self, *, measure: bool = False, again: bool = False) -> CostModel:
        """See `Planner.known`."""
        return cycle_prices(self._engine)


def cycle_prices(engine: CycleEngine) -> CostModel:
    """The table of prices of `engine`, of the shapes that are measured of others."""
    found = prices.measure(engine, budget=float("inf"), clock=engine.clock).model
    return CostModel(found.rows)  # a shape costs nothing the first time, once it is compiled


def cycle_bench(bundle: Bundle, options: Options) -> Bench:
    """`bundle` on the chip's cycle model, to be profiled. Raises `EngineMissingError` without the tool chain."""
    SOPHON.demand()
    return _CycleBench(bundle, options)
