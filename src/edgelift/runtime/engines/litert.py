"""LiteRT (TensorFlow Lite): runs what `edgelift compile --target litert` made, and others' files, on the CPU, as phones do.

An interpreter runs one call at a time and has one shape at a time: there is one for each thread and shape that comes. Of
float files bytes are widened before, and clipped and rounded behind; whole numbers differ from bytes by their grid. What
another tool made may run in the size that it names alone, and what white is for a float one is tried (see `runtime.ends`).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import threading
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, EngineMissingError, RequestError
from edgelift.io.bundle import Bundle
from edgelift.io.tflite import read_graph
from edgelift.runtime.ends import End, white_of
from edgelift.runtime.engine import (
    Availability,
    Device,
    Limits,
    Options,
    blocks_shape,
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
UNUSED: tuple[int, ...] = ()
"""Stands for the shape of an interpreter that has run none."""
ERRORS = (RuntimeError, ValueError, MemoryError, TypeError, IndexError)
"""What the interpreter raises."""
TYPES = (np.float32, np.uint8, np.int8, np.int16)
"""Of samples, at both ends."""
PROBE = 48
"""Side of the picture with which it is tried what white is, times what sides must be a multiple of."""


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
        self._foreign = "imported" in bundle.spec.training and "compiled" not in bundle.spec.training
        self._lock, self._closed = threading.Lock(), False
        self._idle: list[tuple[tuple[int, ...], Any]] = []
        first = self._opened()
        self._given, self._made = (
            self._end(end) for end in (first.get_input_details()[0], first.get_output_details()[0])
        )
        self._idle.append((UNUSED, first))
        if self._foreign or any(op.kind == "TRANSPOSE_CONV" for op in read_graph(bundle.data).operators):
            self.limits = self._found_limits(tuple(int(side) for side in first.get_input_details()[0]["shape"]))
        if options.samples == "float32" and self._made.dtype != np.float32:
            raise RequestError(f"{bundle.spec.name} gives pictures of 8 bits; it cannot run those of 16 bits")
        if not (self._given.white and self._made.white):
            self._settle_white(bundle)

    @property
    def white(self) -> float:
        """What white is in the file, 1 or 255, at its first end."""
        return self._given.white

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
        side = self.limits.shapes[0] if self.limits.shapes else (self.spec.multiple_of,) * 2
        used = self._take((1, *side, 3))
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
        if len(ends) != 2 or any(len(end["shape"]) != 4 or 3 not in end["shape"][[1, 3]] for end in ends):
            raise EngineError(f"{self.spec.name}: expected one picture in and one out (n × h × w × 3)")
        if any(end["dtype"] not in TYPES for end in ends):
            raise EngineError(f"{self.spec.name}: expected samples of {', '.join(t.__name__ for t in TYPES)}")
        return made

    def _end(self, details: dict[str, Any]) -> End:
        """That end, as far as the file and its facts tell."""
        scale, zero = details["quantization"]
        stated = self.spec.training["imported"].get("white", 0) if self._foreign else 255
        try:
            return End(
                np.dtype(details["dtype"]), float(scale), int(zero), float(stated), bool(details["shape"][3] != 3)
            )
        except EngineError as exc:
            raise EngineError(f"{self.spec.name}: {exc}") from exc

    def _found_limits(self, stated: tuple[int, ...]) -> Limits:
        """What a file runs that names sizes somewhere inside: any, any of one picture at a time, or the one it names."""
        m = self.spec.multiple_of
        trials = [(1, 32 * m, 48 * m, 3), (1, 33 * m, 47 * m, 3)]
        if not all(self._allocates(shape) for shape in trials):
            height, width = stated[2:] if self._given.planes else stated[1:3]
            return Limits(((height, width),), 1)
        return Limits() if self._allocates((2, 32 * m, 48 * m, 3)) else Limits(max_batch=1)

    def _allocates(self, shape: tuple[int, int, int, int]) -> bool:
        """Whether windows of that shape become pictures as the facts state."""
        try:
            larger = self._sized(self._opened(), shape).get_output_details()[0]["shape"]
        except ERRORS:
            return False
        n, height, width, colours = shape
        wanted = (n, self.spec.scale * height, self.spec.scale * width, colours)
        return tuple(larger) == (_planes_of(wanted) if self._made.planes else wanted)

    def _sized(self, interpreter: Any, shape: tuple[int, ...]) -> Any:
        entering = interpreter.get_input_details()[0]
        shape = _planes_of(shape) if self._given.planes else shape
        if tuple(entering["shape"]) != shape:
            interpreter.resize_tensor_input(entering["index"], shape)
        interpreter.allocate_tensors()
        return interpreter

    def _settle_white(self, bundle: Bundle) -> None:
        """Find what white is for a float end where nothing says it: as at the other end, or by trying."""
        known = self._given.white or self._made.white
        ends = self._given, self._made

        def enlarged(small: NDArray[np.uint8], white: float) -> NDArray[np.uint8]:
            self._given, self._made = (replace(end, white=end.white or white) for end in ends)
            out = np.empty(blocks_shape(self.spec, (1, *small.shape)), np.uint8)
            self._run(small[None], out)
            return np.asarray(out.transpose(0, 1, 3, 2, 4, 5).reshape(picture_shape(out.shape))[0])

        if not known:
            side = self.limits.shapes[0] if self.limits.shapes else (PROBE * self.spec.multiple_of,) * 2
            try:
                known = white_of(enlarged, self.spec.scale, side)
            except EngineError as exc:
                raise EngineError(f"{bundle.source}: {exc}; say it: edgelift import FILE --white 1 or 255") from exc
        self._given, self._made = (replace(end, white=end.white or known) for end in ends)

    def _take(self, shape: tuple[int, ...]) -> Any:
        """An interpreter for that shape that nobody else uses."""
        with self._lock:
            if self._closed:
                raise EngineError("this engine has been closed")
            known = [held for held, _ in self._idle]
            at = next((known.index(wanted) for wanted in (shape, UNUSED) if wanted in known), None)
            held, found = self._idle.pop(at) if at is not None else (UNUSED, None)
            if found is None and len(self._idle) >= MAX_IDLE:
                self._idle.pop(0)
        return found if held == shape else self._sized(found or self._opened(), shape)

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        """See `Engine.run`."""
        check_run(self, batch, variant, out, self._samples)
        if not variant:
            raise EngineError(f"{self.spec.name}: a compiled file has no variant 0, which is interpolation")
        self._run(batch, out)

    def _run(self, batch: NDArray[Any], out: NDArray[Any]) -> None:
        try:
            used = self._take(batch.shape)
            used.set_tensor(used.get_input_details()[0]["index"], self._given.entering(batch))
            used.invoke()
            larger = self._made.leaving(used.get_tensor(used.get_output_details()[0]["index"]), out.dtype)
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


def _planes_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """N × h × w × 3 as N × 3 × h × w."""
    return (shape[0], shape[3], shape[1], shape[2])


def _cores() -> int:
    """What this process may use; the interpreter's own default is one."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _line(exc: BaseException) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return lines[-1] if lines else type(exc).__name__
