"""OpenVINO: the default engine on CPUs, and the one for Intel GPUs and NPUs.

One model with free shapes serves every window; a shape that comes often is compiled for itself, which is about a tenth
faster and gives the same bits. Compiled models are kept in the user's cache folder.
"""

from __future__ import annotations

import importlib.util
import queue
import sys
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, EngineMissingError, RequestError
from edgelift.core.spec import ModelSpec
from edgelift.io.blocks import blocks_model
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import (
    Availability,
    Device,
    Limits,
    Options,
    check_form,
    check_run,
    engine_error,
    fill_from_picture,
    picture_shape,
)
from edgelift.runtime.hardware import cache_folder, prefers_bf16
from edgelift.runtime.probe import NodeTime

__all__ = ["OpenVINOEngine"]

MISSING = "not installed; pip install 'edgelift[openvino]'"
OFTEN = 3
"""Runs of one shape after which it is compiled for itself."""
MAX_STATIC = 8
"""Shapes that are compiled for themselves. A further one takes the place of one that was not run meanwhile."""
MAX_POOLS = 12
"""Shapes for which a compiled model keeps memory of their own."""
_COMPILING = threading.Lock()
"""OpenVINO sets the process's locale while it compiles, and sets it back: of two at once the second would leave it changed."""
HINTS = {"f32": "f32", "bf16": "bf16", "f16": "f16"}


@cache
def _core() -> Any:
    # OpenVINO reports its use over the network from a forked process, which can hang; without that package it does not.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None means: not to be imported
    import openvino

    core = openvino.Core()
    folder = cache_folder() / "openvino"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        core.set_property({"CACHE_DIR": str(folder)})
    except OSError:
        pass  # a read-only home costs time, nothing else
    return core


def _device(core: Any, name: str) -> Device:
    capable = {str(c) for c in core.get_property(name, "OPTIMIZATION_CAPABILITIES")}
    precisions = tuple(p for p, c in (("f32", "FP32"), ("bf16", "BF16"), ("f16", "FP16")) if c in capable)
    if name == "CPU":
        default = "bf16" if prefers_bf16() and "bf16" in precisions else "f32"
    else:
        default = "f16" if "f16" in precisions else "f32"
    return Device(name, str(core.get_property(name, "FULL_DEVICE_NAME")), precisions, default)


def _precision(spec: ModelSpec, options: Options, device: Device) -> str:
    """What `options` mean for this model there."""
    check_form(spec, options)
    if spec.bits not in ("float", "fp16"):
        return spec.bits
    precision = device.default if options.precision == "auto" else options.precision
    if options.precision == "auto" and options.samples == "float32":
        precision = "f32"
    if precision not in device.precisions:
        raise RequestError(f"{device.name} runs {', '.join(device.precisions)} in OpenVINO, not {precision}")
    return precision


class _Compiled:
    """A compiled model with a pool of requests, one for each thread that runs it at once.

    A request keeps its memory, and one that meets another shape gives it back and asks for other, which takes a third of a
    narrow network's time: with `many` shapes each of the last ones has a pool of its own.
    """

    def __init__(self, model: Any, many: bool = False) -> None:
        self.model, self._many = model, many
        self.used = 0
        """The engine's run in which it was last asked for."""
        self._pools: dict[tuple[int, ...], queue.SimpleQueue[Any]] = {}
        self._lock = threading.Lock()

    def _pool(self, shape: tuple[int, ...]) -> queue.SimpleQueue[Any]:
        with self._lock:
            key = shape if self._many else ()
            pool = self._pools.pop(key, None)
            if pool is None and len(self._pools) >= MAX_POOLS:
                del self._pools[next(iter(self._pools))]
            self._pools[key] = pool or queue.SimpleQueue()  # the last, since it was used last
            return self._pools[key]

    def run(self, batch: NDArray[Any], out: NDArray[Any]) -> None:
        from openvino import Tensor

        pool = self._pool(batch.shape)
        try:
            request = pool.get_nowait()
        except queue.Empty:
            request = self.model.create_infer_request()
        batch = np.require(batch, requirements=["C", "W"])  # kept until the end: the tensor does not keep it
        request.set_input_tensor(Tensor(batch, shared_memory=True))
        request.set_output_tensor(Tensor(out, shared_memory=True))
        request.infer()
        pool.put(request)


class OpenVINOEngine:
    """See the module's text. Options: `device` as OpenVINO names it (CPU, GPU, NPU …)."""

    name: ClassVar[str] = "openvino"
    forms: ClassVar[tuple[str, ...]] = ("onnx", "openvino")

    def __init__(self, bundle: Bundle, options: Options) -> None:
        if (problem := self.available().problem) != "":
            raise EngineMissingError(f"openvino: {problem}")
        self.spec, self.limits, self._samples = bundle.spec, Limits(), options.samples
        core = _core()
        self.device = "CPU" if options.device == "auto" else options.device.upper()
        if not any(d == self.device or d.startswith(self.device + ".") for d in core.available_devices):
            raise RequestError(
                f"OpenVINO has no device {self.device!r} here; it has {', '.join(core.available_devices)}"
            )
        known = _device(core, self.device)
        if bundle.form == "openvino" and options.samples == "float32":
            raise RequestError(
                f"{bundle.spec.name} as OpenVINO IR takes pictures of 8 bits; run those of 16 bits with its ONNX bundle"
            )
        self.precision = _precision(bundle.spec, options, known)
        hint = HINTS.get(self.precision, "f32")  # what is left of a quantised model between its whole numbers
        self._config = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
        if options.threads and self.device == "CPU":
            self._config["INFERENCE_NUM_THREADS"] = str(options.threads)
        self._bundle, self._many_shapes = bundle, options.many_shapes
        self._lock = threading.Lock()
        self._runs = 0
        self._seen: dict[tuple[int, ...], tuple[int, int]] = {}
        """Of shapes without a model of their own: how often they were run, and in which run counting began."""
        self._static: dict[tuple[int, ...], _Compiled] = {}
        self._free: dict[int, _Compiled] = {}
        self._closed = False
        self._free[bundle.spec.widest] = self._compile(bundle.spec.widest, None)

    @classmethod
    def available(cls) -> Availability:
        """Installed, and which devices it finds."""
        if importlib.util.find_spec("openvino") is None:
            return Availability(cls.name, problem=MISSING)
        try:
            core = _core()
            devices = tuple(_device(core, name) for name in core.available_devices)
        except (ImportError, OSError, RuntimeError) as exc:
            return Availability(cls.name, problem=f"installed, but does not start ({_line(exc)})")
        from openvino import get_version

        return Availability(cls.name, get_version(), devices, "" if devices else "installed, but finds no device")

    def _compile(self, variant: int, shape: tuple[int, ...] | None) -> _Compiled:
        try:
            model = self._model(variant)
            if shape is not None:
                model.reshape(list(shape))
            with _COMPILING:
                return _Compiled(_core().compile_model(model, self.device, self._config), self._many_shapes)
        except (RuntimeError, MemoryError) as exc:
            raise engine_error(
                f"OpenVINO cannot compile {self.spec.name} for {self.device}: {_line(exc)}", exc
            ) from exc

    def _model(self, variant: int) -> Any:
        if self._bundle.form == "openvino":
            if not variant:
                raise EngineError(f"{self.spec.name}: a compiled file has no variant 0, which is interpolation")
            return _core().read_model(self._bundle.data, self._bundle.weights)
        return _core().read_model(blocks_model(self._bundle, self._samples, variant).SerializeToString())

    def _model_for(self, variant: int, shape: tuple[int, ...]) -> _Compiled:
        key = (variant, *shape)
        with self._lock:
            if self._closed:
                raise EngineError("this engine has been closed")
            self._runs += 1
            if key in self._static:
                self._static[key].used = self._runs
                return self._static[key]
            if self._many_shapes or not self._earned(key):
                if variant not in self._free:
                    self._free[variant] = self._compile(variant, None)
                return self._free[variant]
        compiled = self._compile(variant, shape)  # while other threads run
        with self._lock:
            if not self._closed:
                self._keep(key, compiled)
        return compiled

    def _earned(self, key: tuple[int, ...]) -> bool:
        """Whether a shape is to get a model of its own, having come more than `OFTEN` times; counts this time.

        Where there is no place left, none of those must have come since in whose place it would be: counting begins anew then,
        since shapes that take turns would be compiled for ever.
        """
        count, began = self._seen.get(key, (0, self._runs))
        if count < OFTEN:
            self._seen[key] = (count + 1, began)
            return False
        del self._seen[key]
        return len(self._static) < MAX_STATIC or min(held.used for held in self._static.values()) < began

    def _keep(self, key: tuple[int, ...], compiled: _Compiled) -> None:
        """Hold that model, in the place of the one that was not used for longest where there is none left."""
        if key not in self._static and len(self._static) >= MAX_STATIC:
            del self._static[min(self._static, key=lambda held: self._static[held].used)]
        compiled.used = self._runs
        self._static[key] = compiled

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        """See `Engine.run`."""
        check_run(self, batch, variant, out, self._samples)
        compiled = self._model_for(variant, batch.shape)
        picture = self._bundle.form == "openvino"  # IR gives pictures, not blocks
        room = np.empty(picture_shape(out.shape), out.dtype) if picture else out.reshape(*out.shape[:3], -1)
        try:
            compiled.run(batch, room)
        except (RuntimeError, MemoryError) as exc:
            raise engine_error(f"OpenVINO failed on windows of {batch.shape}: {_line(exc)}", exc) from exc
        if picture:
            fill_from_picture(out, room)

    def close(self) -> None:
        """Release the compiled models."""
        with self._lock:
            self._closed = True
            self._free.clear()
            self._static.clear()

    def probe(self, graph: bytes, inputs: Mapping[str, NDArray[Any]], *, count: bool = False) -> _Probe:
        """See `runtime.probe.Probing`."""
        return _Probe(graph, inputs, self.device, {**self._config, "PERF_COUNT": "YES" if count else "NO"})


class _Probe:
    """See `runtime.probe.Probe`. Its compiled graph is not kept in the cache folder: each is needed once."""

    def __init__(self, graph: bytes, inputs: Mapping[str, NDArray[Any]], device: str, config: dict[str, str]) -> None:
        from openvino import Tensor

        self._count, self._runs = config["PERF_COUNT"] == "YES", list[list[NodeTime]]()
        self._device, self._sums = device, dict[str, float]()
        self._held = {name: np.require(values, requirements=["C", "W"]) for name, values in inputs.items()}
        try:
            model = _core().read_model(graph)
            model.reshape({name: list(values.shape) for name, values in self._held.items()})
            with _COMPILING:
                self._model: Any = _core().compile_model(model, device, {**config, "CACHE_DIR": ""})
            self._request: Any = self._model.create_infer_request()
            for name, values in self._held.items():
                self._request.set_tensor(name, Tensor(values, shared_memory=True))
            self._origins = self._origins_of_nodes() if self._count else {}
        except (RuntimeError, MemoryError) as exc:
            raise engine_error(f"OpenVINO cannot compile this graph for {device}: {_line(exc)}", exc) from exc

    def _origins_of_nodes(self) -> dict[str, tuple[str, ...]]:
        """Engine's node -> the graph's nodes that were joined in it."""
        found = {}
        for node in self._model.get_runtime_model().get_ordered_ops():
            facts = node.get_rt_info()
            if "originalLayersNames" in facts:
                names = str(facts["originalLayersNames"].astype(str)).split(",")
                found[node.get_friendly_name()] = tuple(name for name in names if name)
        return found

    def run(self) -> None:
        """See `Probe.run`."""
        if self._request is None:
            raise EngineError("this probe has been closed")
        try:
            self._request.infer()
            if self._count:
                self._runs.append(self._nodes())
        except (RuntimeError, MemoryError) as exc:
            raise engine_error(f"OpenVINO failed on a graph that was probed: {_line(exc)}", exc) from exc

    def _nodes(self) -> list[NodeTime]:
        """Of the last run; operators that were joined to another did not run by themselves and are left out.

        The CPU plugin gives whole microseconds, the mean over all runs of the compiled graph, and cannot be told to begin
        anew: the last run is what the sum has grown by, to as many microseconds as there were runs.
        """
        rows = [row for row in self._request.get_profiling_info() if row.status.name == "EXECUTED"]
        times = {row.node_name: row.real_time.total_seconds() for row in rows}
        if self._device == "CPU":
            number = len(self._runs) + 1
            sums = {name: mean * number for name, mean in times.items()}
            times = {name: max(0.0, total - self._sums.get(name, 0.0)) for name, total in sums.items()}
            self._sums = sums
        return [
            NodeTime(row.node_name, row.node_type, times[row.node_name], self._origins.get(row.node_name, ()))
            for row in rows
        ]

    def counted(self) -> list[list[NodeTime]]:
        """See `Probe.counted`."""
        return self._runs

    def close(self) -> None:
        """Release the compiled graph."""
        self._request = self._model = None


def _line(exc: BaseException) -> str:
    """The last line of a message that says something: OpenVINO puts source places before it."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return lines[-1] if lines else type(exc).__name__
