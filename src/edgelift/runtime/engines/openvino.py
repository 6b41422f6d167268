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
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, EngineMissingError, RequestError
from edgelift.io.blocks import blocks_model
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import Availability, Device, Limits, Options, check_run, engine_error
from edgelift.runtime.hardware import cache_folder, has_amx

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
        default = "bf16" if has_amx() and "bf16" in precisions else "f32"
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
        self._graph = blocks_model(bundle, options.samples).SerializeToString()
        self._lock = threading.Lock()
        self._seen: Counter[tuple[int, ...]] = Counter()
        self._static: dict[tuple[int, ...], _Compiled] = {}
        self._free: _Compiled | None = self._compile(None)

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

    def _compile(self, shape: tuple[int, ...] | None) -> _Compiled:
        try:
            model = _core().read_model(self._graph)
            if shape is not None:
                model.reshape(list(shape))
            return _Compiled(_core().compile_model(model, self.device, self._config))
        except (RuntimeError, MemoryError) as exc:
            raise engine_error(
                f"OpenVINO cannot compile {self.spec.name} for {self.device}: {_line(exc)}", exc
            ) from exc

    def _model_for(self, shape: tuple[int, ...]) -> _Compiled:
        with self._lock:
            if self._free is None:
                raise EngineError("this engine has been closed")
            self._seen[shape] += 1
            if shape in self._static:
                return self._static[shape]
            if self._seen[shape] <= OFTEN:
                return self._free
            if len(self._static) == MAX_STATIC:
                del self._static[next(iter(self._static))]
            return self._static.setdefault(shape, self._compile(shape))

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        """See `Engine.run`."""
        check_run(self, batch, variant, out, self._samples)
        compiled = self._model_for(batch.shape)
        flat = out.reshape(*out.shape[:3], -1)
        try:
            compiled.run(batch, flat)
        except (RuntimeError, MemoryError) as exc:
            raise engine_error(f"OpenVINO failed on windows of {batch.shape}: {_line(exc)}", exc) from exc

    def close(self) -> None:
        """Release the compiled models."""
        with self._lock:
            self._free = None
            self._static.clear()


def _line(exc: BaseException) -> str:
    """The last line of a message that says something: OpenVINO puts source places before it."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return lines[-1] if lines else type(exc).__name__
