"""LiteRT (TensorFlow Lite): runs what `edgelift compile --target litert` made, on the CPU, as phones do.

An interpreter runs one call at a time and has one shape at a time: there is one for each thread and shape that comes. Of
float files bytes are widened before, and clipped and rounded behind; whole numbers differ from bytes by their zero point.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import threading
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, EngineMissingError, RequestError
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

__all__ = ["LiteRTEngine"]

MISSING = "not installed; pip install 'edgelift[litert]'"
MAX_IDLE = 8
"""Interpreters that are kept for calls to come."""
ERRORS = (RuntimeError, ValueError, MemoryError, TypeError, IndexError)
"""What the interpreter raises."""


class LiteRTEngine:
    """See the module's text. Options: `device` is cpu."""

    name: ClassVar[str] = "litert"
    forms: ClassVar[tuple[str, ...]] = ("litert",)

    def __init__(self, bundle: Bundle, options: Options) -> None:
        if problem := self.available().problem:
            raise EngineMissingError(f"litert: {problem}")
        self.spec, self.limits, self._samples = bundle.spec, Limits(), options.samples
        if options.device.upper() not in ("AUTO", "CPU"):
            raise RequestError(f"LiteRT has no device {options.device.upper()!r} here; it has CPU")
        check_form(bundle.spec, options)
        self.device = "CPU"
        self.precision = bundle.spec.bits if bundle.spec.bits not in ("float", "fp16") else "f32"
        if options.precision not in ("auto", self.precision):
            raise RequestError(f"LiteRT runs {bundle.spec.name} in {self.precision}, not in {options.precision}")
        if options.samples == "float32" and self.precision != "f32":
            raise RequestError(
                f"{bundle.spec.name} as a LiteRT file gives pictures of 8 bits; run those of 16 bits with its ONNX bundle"
            )
        self._data, self._threads = bundle.data, options.threads or _cores()
        self._lock, self._closed = threading.Lock(), False
        self._idle: list[tuple[tuple[int, ...], Any]] = []
        self._idle.append(((), self._opened()))

    @classmethod
    def available(cls) -> Availability:
        """Installed, and the CPU."""
        if importlib.util.find_spec("ai_edge_litert") is None:
            return Availability(cls.name, problem=MISSING)
        try:
            from ai_edge_litert import interpreter  # noqa: F401  # whether it starts
        except (ImportError, OSError) as exc:
            return Availability(cls.name, problem=f"installed, but does not start ({exc})")
        device = Device("CPU", "XNNPACK and LiteRT's own operators", ("f32",), "f32")
        return Availability(cls.name, importlib.metadata.version("ai-edge-litert"), (device,))

    @property
    def remark(self) -> str:
        """How much of the model XNNPACK runs; each part costs copies at its ends."""
        shape = (1, self.spec.multiple_of, self.spec.multiple_of, 3)
        used = self._take(shape)
        larger = used.get_output_details()[0]["index"]
        operators = used._get_ops_details()
        parts = [op for op in operators if op["op_name"] == "DELEGATE"]
        made = {int(name) for op in operators if op not in parts for name in op["outputs"]}
        if len(parts) == 1 and not made.intersection(parts[0]["inputs"]) and larger in parts[0]["outputs"]:
            return "XNNPACK runs all of it"
        pieces = f"{len(parts)} piece" + "s" * (len(parts) != 1)
        return f"XNNPACK runs part of it, in {pieces}; LiteRT's own operators run the rest"

    def _opened(self) -> Any:
        """A new interpreter; its ends are checked."""
        from ai_edge_litert.interpreter import Interpreter

        try:
            made = Interpreter(model_content=self._data, num_threads=self._threads)
            ends = [*made.get_input_details(), *made.get_output_details()]
        except ERRORS as exc:
            raise engine_error(f"LiteRT cannot load {self.spec.name}: {_line(exc)}", exc) from exc
        if len(ends) != 2 or any(len(end["shape"]) != 4 or end["shape"][3] != 3 for end in ends):
            raise EngineError(f"{self.spec.name}: expected one picture in and one out (n × h × w × 3)")
        if any(end["dtype"] not in (np.float32, np.int8, np.int16) for end in ends):
            raise EngineError(f"{self.spec.name}: expected float32, int8 or int16 samples")
        return made

    def _take(self, shape: tuple[int, ...]) -> Any:
        """An interpreter for that shape that nobody else uses."""
        with self._lock:
            if self._closed:
                raise EngineError("this engine has been closed")
            at = next((k for k, (held, _) in enumerate(self._idle) if held == shape), None)
            found = self._idle.pop(at)[1] if at is not None else None
            if found is None and len(self._idle) >= MAX_IDLE:
                self._idle.pop(0)
        if found is None:
            found = self._opened()
            found.resize_tensor_input(found.get_input_details()[0]["index"], shape)
            found.allocate_tensors()
        return found

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        """See `Engine.run`."""
        check_run(self, batch, variant, out, self._samples)
        if not variant:
            raise EngineError(f"{self.spec.name}: a compiled file has no variant 0, which is interpolation")
        try:
            used = self._take(batch.shape)
            entering, leaving = used.get_input_details()[0], used.get_output_details()[0]
            used.set_tensor(entering["index"], _entering(batch, entering["dtype"]))
            used.invoke()
            larger = _leaving(used.get_tensor(leaving["index"]), out.dtype)
        except ERRORS as exc:
            raise engine_error(f"LiteRT failed on windows of {batch.shape}: {_line(exc)}", exc) from exc
        if larger.shape != picture_shape(out.shape):
            raise EngineError(
                f"{self.spec.name} gave pictures of {larger.shape}, its facts state blocks of {out.shape}"
            )
        fill_from_picture(out, larger)
        with self._lock:
            if not self._closed:
                self._idle.append((batch.shape, used))

    def close(self) -> None:
        """Release the interpreters."""
        with self._lock:
            self._closed = True
            self._idle.clear()


def _entering(batch: NDArray[Any], dtype: type) -> NDArray[Any]:
    """Samples 0 … 255 as the file takes them."""
    if dtype is np.int8:
        return np.asarray((batch ^ 0x80).view(np.int8))
    if dtype is np.int16:
        return np.rint(batch.astype(np.float32) * 128).astype(np.int16)
    return batch.astype(np.float32)


def _leaving(larger: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """What the file gives, int8 or float32, as samples 0 … 255 of type `dtype`."""
    if larger.dtype == np.int8:
        return np.asarray(larger.view(np.uint8) ^ 0x80)
    inside = np.clip(larger, 0, 255)
    return np.asarray(inside if dtype == np.float32 else np.rint(inside), dtype)


def _cores() -> int:
    """What this process may use; the interpreter's own default is one."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _line(exc: BaseException) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return lines[-1] if lines else type(exc).__name__
