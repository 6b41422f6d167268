"""ONNX Runtime: runs anywhere its wheels do; on GPUs through its CUDA, DirectML or CoreML providers."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any, ClassVar

from numpy.typing import NDArray

from edgelift.core.errors import EngineError, EngineMissingError, RequestError
from edgelift.io.blocks import blocks_model
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import Availability, Device, Limits, Options, check_run, engine_error

__all__ = ["ONNXRuntimeEngine"]

MISSING = "not installed; pip install 'edgelift[onnxruntime]'"
PROVIDERS = {
    "CPU": "CPUExecutionProvider",
    "CUDA": "CUDAExecutionProvider",
    "DML": "DmlExecutionProvider",
    "COREML": "CoreMLExecutionProvider",
}


@cache
def _errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: classes of its own that have nothing in common but `Exception`."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (RuntimeError, MemoryError, *own)


class ONNXRuntimeEngine:
    """See the module's text. Options: `device` is cpu, cuda, dml or coreml."""

    name: ClassVar[str] = "onnxruntime"

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
        self.precision = "f32" if options.precision == "auto" else options.precision
        if self.precision != "f32":
            raise RequestError(f"ONNX Runtime runs a float bundle in f32, not {self.precision}")
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.log_severity_level = 3  # errors come as exceptions
        graph = blocks_model(bundle, options.samples).SerializeToString()
        self._session: Any
        try:
            self._session = onnxruntime.InferenceSession(graph, settings, providers=[PROVIDERS[self.device]])
        except _errors() as exc:
            raise engine_error(f"ONNX Runtime cannot load {self.spec.name}: {exc}", exc) from exc

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
        devices = tuple(Device(name, p, ("f32",), "f32") for name, p in PROVIDERS.items() if p in there)
        return Availability(cls.name, onnxruntime.__version__, devices)

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        """See `Engine.run`."""
        check_run(self, batch, variant, out, self._samples)
        if self._session is None:
            raise EngineError("this engine has been closed")
        try:
            (blocks,) = self._session.run(None, {"image": batch})
        except _errors() as exc:
            raise engine_error(f"ONNX Runtime failed on windows of {batch.shape}: {exc}", exc) from exc
        if blocks.size != out.size:
            raise EngineError(f"{self.spec.name} gave blocks of {blocks.shape}, its facts state {out.shape}")
        out.reshape(blocks.shape)[...] = blocks

    def close(self) -> None:
        """Release the session."""
        self._session = None
