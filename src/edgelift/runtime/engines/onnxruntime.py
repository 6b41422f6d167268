"""ONNX Runtime: runs anywhere its wheels do; on GPUs through its CUDA, DirectML or CoreML providers."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import tempfile
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, EngineMissingError, RequestError
from edgelift.io.blocks import blocks_model
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import Availability, Device, Limits, Options, check_form, check_run, engine_error
from edgelift.runtime.probe import NodeTime

__all__ = ["ONNXRuntimeEngine", "open_exact"]

MISSING = "not installed; pip install 'edgelift[onnxruntime]'"
PROVIDERS = {
    "CPU": "CPUExecutionProvider",
    "CUDA": "CUDAExecutionProvider",
    "DML": "DmlExecutionProvider",
    "COREML": "CoreMLExecutionProvider",
}


@cache
def _gpus() -> tuple[str, ...]:
    """Names of NVIDIA's GPUs as the driver gives them; none where it does not."""
    found = []
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        with contextlib.suppress(OSError):
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return tuple(dict.fromkeys(found))


@cache
def _errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: classes of its own that have nothing in common but `Exception`."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (RuntimeError, MemoryError, *own)


def open_exact(model: onnx.ModelProto) -> Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """`model`, of one input, operator by operator as it is written: on one thread, no operators joined or replaced.

    So the values of a quantised graph are those that its text says, in floats, on any machine. What comes back takes a
    batch and gives the graph's outputs. Raises `EngineMissingError`, and `EngineError` for what cannot be loaded or run.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise EngineMissingError(f"onnxruntime, which calibration runs on: {MISSING}")
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3  # errors come as exceptions
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    except _errors() as exc:
        raise engine_error(f"ONNX Runtime cannot load {model.graph.name}: {exc}", exc) from exc
    name = model.graph.input[0].name

    def run(batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        try:
            return list(session.run(None, {name: batch}))
        except _errors() as exc:
            raise engine_error(f"ONNX Runtime failed on {batch.shape}: {exc}", exc) from exc

    return run


class ONNXRuntimeEngine:
    """See the module's text. Options: `device` is cpu, cuda, dml or coreml."""

    name: ClassVar[str] = "onnxruntime"
    forms: ClassVar[tuple[str, ...]] = ("onnx",)

    def __init__(self, bundle: Bundle, options: Options) -> None:
        found = self.available()
        if found.problem:
            raise EngineMissingError(f"onnxruntime: {found.problem}")
        import onnxruntime

        self.spec, self.limits, self._samples = bundle.spec, Limits(), options.samples
        self.device = "CPU" if options.device == "auto" else options.device.upper()
        if self.device not in [d.name for d in found.devices]:
            names = ", ".join(d.name for d in found.devices)
            raise RequestError(f"ONNX Runtime has no device {self.device!r} here; it has {names}")
        check_form(bundle.spec, options)
        self.precision = bundle.spec.bits if bundle.spec.bits not in ("float", "fp16") else "f32"
        if options.precision not in ("auto", self.precision):
            raise RequestError(f"ONNX Runtime runs a float bundle in f32, not {options.precision}")
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.log_severity_level = 3  # errors come as exceptions
        self._bundle, self._settings, self._lock, self._closed = bundle, settings, threading.Lock(), False
        self._sessions: dict[int, Any] = {}
        self._session(self.spec.widest)

    @classmethod
    def available(cls) -> Availability:
        """Installed, and with which providers."""
        if importlib.util.find_spec("onnxruntime") is None:
            return Availability(cls.name, problem=MISSING)
        try:
            import onnxruntime
        except (ImportError, OSError) as exc:
            return Availability(cls.name, problem=f"installed, but does not start ({exc})")
        there = set(onnxruntime.get_available_providers())
        titles = {"CUDA": _gpus()}
        devices = tuple(
            Device(name, " ".join([*titles.get(name, ()), provider]), ("f32",), "f32")
            for name, provider in PROVIDERS.items()
            if provider in there
        )
        return Availability(cls.name, onnxruntime.__version__, devices)

    def _session(self, variant: int) -> Any:
        """The session for `variant`, made when it is first asked for."""
        import onnxruntime

        with self._lock:
            if self._closed:
                raise EngineError("this engine has been closed")
            if variant not in self._sessions:
                graph = blocks_model(self._bundle, self._samples, variant).SerializeToString()
                provider = PROVIDERS[self.device]
                try:
                    session = onnxruntime.InferenceSession(graph, self._settings, providers=[provider])
                except _errors() as exc:
                    raise engine_error(f"ONNX Runtime cannot load {self.spec.name}: {exc}", exc) from exc
                if provider not in session.get_providers():  # it falls back to the CPU and says so in its log only
                    raise EngineError(
                        f"ONNX Runtime could not start its {provider}, whose libraries may be missing or of another version; "
                        "use another device"
                    )
                session.disable_fallback()
                self._sessions[variant] = session
            return self._sessions[variant]

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        """See `Engine.run`."""
        check_run(self, batch, variant, out, self._samples)
        session = self._session(variant)
        try:
            (blocks,) = session.run(None, {"image": batch})
        except _errors() as exc:
            raise engine_error(f"ONNX Runtime failed on windows of {batch.shape}: {exc}", exc) from exc
        if blocks.size != out.size:
            raise EngineError(f"{self.spec.name} gave blocks of {blocks.shape}, its facts state {out.shape}")
        out.reshape(blocks.shape)[...] = blocks

    def close(self) -> None:
        """Release the sessions."""
        with self._lock:
            self._closed = True
            self._sessions.clear()

    def probe(self, graph: bytes, inputs: Mapping[str, NDArray[Any]], *, count: bool = False) -> _Probe:
        """See `runtime.probe.Probing`."""
        return _Probe(graph, inputs, PROVIDERS[self.device], self._settings.intra_op_num_threads, count)


class _Probe:
    """See `runtime.probe.Probe`. ONNX Runtime writes its counters to a file, which lies in a temporary folder."""

    def __init__(
        self, graph: bytes, inputs: Mapping[str, NDArray[Any]], provider: str, threads: int, count: bool
    ) -> None:
        import onnxruntime

        self._folder = tempfile.TemporaryDirectory(prefix="edgelift-") if count else None
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.log_severity_level = 3  # errors come as exceptions
        if self._folder is not None:
            settings.enable_profiling = True
            settings.profile_file_prefix = str(Path(self._folder.name) / "run")
        self._session: Any = None
        self._bound: Any = None
        try:
            self._session = onnxruntime.InferenceSession(graph, settings, providers=[provider])
            self._bound = self._session.io_binding()
            for name, values in inputs.items():
                self._bound.bind_cpu_input(name, values)
            for output in self._session.get_outputs():
                self._bound.bind_output(output.name)
        except _errors() as exc:
            self.close()
            raise engine_error(f"ONNX Runtime cannot load this graph: {exc}", exc) from exc

    def run(self) -> None:
        """See `Probe.run`."""
        if self._session is None:
            raise EngineError("this probe has been closed")
        try:
            self._session.run_with_iobinding(self._bound)
        except _errors() as exc:
            raise engine_error(f"ONNX Runtime failed on a graph that was probed: {exc}", exc) from exc

    def counted(self) -> list[list[NodeTime]]:
        """See `Probe.counted`."""
        if self._session is None or self._folder is None:
            return []
        file = Path(self._session.end_profiling())
        return _runs(json.loads(file.read_text(encoding="utf-8")))

    def close(self) -> None:
        """Release the session and remove the file."""
        self._session = self._bound = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _runs(events: list[dict[str, Any]]) -> list[list[NodeTime]]:
    """Operators by run: in a trace they stand before the event of the run that they belong to."""
    runs, here = list[list[NodeTime]](), list[NodeTime]()
    for event in events:
        if event.get("name") == "model_run":
            runs.append(here)
            here = []
        elif event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            origin = name.removesuffix("_nchwc")  # convolutions in blocked layout are called so
            here.append(NodeTime(name, event["args"]["op_name"], event["dur"] / 1e6, (origin,)))
    return runs
