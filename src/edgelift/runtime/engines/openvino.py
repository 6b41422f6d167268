"""OpenVINO: the default engine on CPUs, and the one for Intel GPUs and NPUs.

One model with free shapes serves every window; a shape that comes often is compiled for itself, which is about a tenth
faster and gives the same bits. Compiled models are kept in the user's cache folder.
"""

from __future__ import annotations

import importlib.util
import queue
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, EngineMissingError, RequestError
from edgelift.io.blocks import blocks_model
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import Availability, Device, Limits, Options, check_run, engine_error
from edgelift.runtime.hardware import cache_folder, prefers_bf16
from edgelift.runtime.probe import NodeTime

__all__ = ["OpenVINOEngine"]

MISSING = "not installed; pip install 'edgelift[openvino]'"
OFTEN = 3
"""Runs of one shape after which it is compiled for itself."""
MAX_STATIC = 8
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


class _Compiled:
    """A compiled model with a pool of requests, one for each thread that runs it at once."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.requests: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run(self, batch: NDArray[Any], out: NDArray[Any]) -> None:
        from openvino import Tensor

        try:
            request = self.requests.get_nowait()
        except queue.Empty:
            request = self.model.create_infer_request()
        batch = np.require(batch, requirements=["C", "W"])  # kept until the end: the tensor does not keep it
        request.set_input_tensor(Tensor(batch, shared_memory=True))
        request.set_output_tensor(Tensor(out, shared_memory=True))
        request.infer()
        self.requests.put(request)


class OpenVINOEngine:
    """See the module's text. Options: `device` as OpenVINO names it (CPU, GPU, NPU …)."""

    name: ClassVar[str] = "openvino"

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
        self.precision = known.default if options.precision == "auto" else options.precision
        if options.precision == "auto" and options.samples == "float32":
            self.precision = "f32"
        if self.precision not in known.precisions:
            raise RequestError(f"{self.device} runs {', '.join(known.precisions)} in OpenVINO, not {self.precision}")
        self._config = {"INFERENCE_PRECISION_HINT": HINTS[self.precision], "PERFORMANCE_HINT": "LATENCY"}
        if options.threads and self.device == "CPU":
            self._config["INFERENCE_NUM_THREADS"] = str(options.threads)
        self._bundle, self._many_shapes = bundle, options.many_shapes
        self._lock = threading.Lock()
        self._seen: Counter[tuple[int, ...]] = Counter()
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
            model = _core().read_model(self._graph(variant))
            if shape is not None:
                model.reshape(list(shape))
            return _Compiled(_core().compile_model(model, self.device, self._config))
        except (RuntimeError, MemoryError) as exc:
            raise engine_error(
                f"OpenVINO cannot compile {self.spec.name} for {self.device}: {_line(exc)}", exc
            ) from exc

    def _graph(self, variant: int) -> bytes:
        return bytes(blocks_model(self._bundle, self._samples, variant).SerializeToString())

    def _model_for(self, variant: int, shape: tuple[int, ...]) -> _Compiled:
        key = (variant, *shape)
        with self._lock:
            if self._closed:
                raise EngineError("this engine has been closed")
            self._seen[key] += 1
            if key in self._static:
                return self._static[key]
            if self._seen[key] <= OFTEN or self._many_shapes:
                if variant not in self._free:
                    self._free[variant] = self._compile(variant, None)
                return self._free[variant]
            if len(self._static) == MAX_STATIC:
                del self._static[next(iter(self._static))]
            return self._static.setdefault(key, self._compile(variant, shape))

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        """See `Engine.run`."""
        check_run(self, batch, variant, out, self._samples)
        compiled = self._model_for(variant, batch.shape)
        flat = out.reshape(*out.shape[:3], -1)
        try:
            compiled.run(batch, flat)
        except (RuntimeError, MemoryError) as exc:
            raise engine_error(f"OpenVINO failed on windows of {batch.shape}: {_line(exc)}", exc) from exc

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
