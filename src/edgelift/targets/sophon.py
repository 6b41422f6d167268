"""SOPHON BM1684X: a `.bmodel` for the vendor's cards, made by tpu-mlir in its own environment (`edgelift toolchain`).

It takes uint8 pictures, 1 × h × w × 3, and gives uint8 blocks, 1 × H × W × 3b², as an engine does. It holds one network for
each size of window; the chip runs no other. Precisions: float is F32, fp16 is F16, bf16 is BF16, int8 is INT8 in the
ranges of the graph. The facts, with what each window takes by the compiler's cycle model, stand behind the vendor's part.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import tempfile
import threading
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import onnx

from edgelift.core.errors import EngineError, RequestError
from edgelift.core.spec import ModelSpec
from edgelift.targets.base import Files, Source
from edgelift.targets.sophon_graph import MAX_OPSET, static_model
from edgelift.toolchain.bmodel import undated, with_facts
from edgelift.toolchain.cycles import Cycles, parse_cycles
from edgelift.toolchain.sophon import SOPHON, tool
from edgelift.toolchain.worker import Worker

__all__ = ["Built", "Compiler", "SophonTarget", "built", "planned"]

QUANTIZE = {"float": "F32", "bf16": "BF16", "fp16": "F16", "int8": "INT8"}
ENDS = ("bytes", "own", "float32")
"""What goes in and out: uint8; the type in which the chip computes; floats, which the chip converts."""
KEPT = 4
"""Files that are kept to be made again with other facts."""


class SophonTarget:
    """See the module's text."""

    name: ClassVar[str] = "bm1684x"
    suffix: ClassVar[str] = ".bmodel"
    static: ClassVar[bool] = True
    precisions: ClassVar[tuple[str, ...]] = tuple(QUANTIZE)
    about: ClassVar[str] = "SOPHON BM1684X (.bmodel), one network for each size of window"

    @classmethod
    def missing(cls) -> str:
        """See `Target.missing`."""
        state = SOPHON.state()
        return "" if state.kind == "ready" else f"{SOPHON.title}: {state.words}"

    @classmethod
    def problems(cls, source: Source) -> list[str]:
        """See `Target.problems`."""
        found = []
        if source.spec.halo is None:
            found.append("it sees the whole picture, and a .bmodel has windows of fixed sizes")
        if (opset := max(each.version for each in source.core.opset_import)) > MAX_OPSET:
            found.append(f"its graph is of opset {opset}, the compiler reads up to {MAX_OPSET}")
        return found  # which operators it takes the compiler says itself

    @classmethod
    def compile(cls, source: Source) -> Files:
        """See `Target.compile`. Raises `RequestError` where `problems` has something to say, `EngineMissingError`."""
        SOPHON.demand()
        if found := cls.problems(source):
            raise RequestError(f"bm1684x cannot take {source.spec.name}: {'; '.join(found)}")
        made = built(source)
        return {cls.suffix: with_facts(made.model, _with_cycles(source, made.cycles).metadata())}


def _with_cycles(source: Source, cycles: tuple[Cycles, ...]) -> ModelSpec:
    """The facts with sizes of windows, and seconds and bytes of each."""
    spec = source.spec
    windows = [[*size, each.seconds] for size, each in zip(source.sizes, cycles, strict=True)]
    stated = {**spec.training.get("compiled", {}), "windows": windows}
    return replace(spec, training={**spec.training, "compiled": stated})


@dataclass(frozen=True)
class Built:
    """What the compiler gave."""

    model: bytes
    cycles: tuple[Cycles, ...]
    """Of each size, in their order."""


def built(source: Source) -> Built:
    """`source` compiled, without facts: all its sizes in one file. Raises `EngineError` with the compiler's reason."""
    quantised: dict[str, Any] = source.spec.training.get("quantised", {})
    options = _options(source.spec.bits, symmetric=bool(quantised.get("symmetric")))
    models = [static_model(source, size) for size in source.sizes]
    return _built(tuple((m.name, m.graph.SerializeToString(deterministic=True), m.ranges) for m in models), options)


def _options(bits: str, *, symmetric: bool = True, ends: str = "bytes") -> tuple[str, ...]:
    """Arguments of model_deploy.py; `ends` is one of `ENDS`."""
    found = ["--quantize", QUANTIZE[bits], "--processor", "bm1684x"]
    if ends != "float32":
        found += ["--quant_input", "--quant_output"]
    if ends == "bytes" and bits != "int8":
        found += ["--quant_input_int8", "--quant_output_int8"]
    if bits == "int8" and not symmetric:
        found += ["--asymmetric"]
    return tuple(found)


@lru_cache(maxsize=KEPT)
def _built(job: tuple[tuple[str, bytes, str], ...], options: tuple[str, ...]) -> Built:
    with _LOCK:
        compiler = _kept()
        made = [compiler.compile(*one, options) for one in job]
        return Built(undated(compiler.joined([file for file, _ in made])), tuple(cycles for _, cycles in made))


_LOCK = threading.Lock()
_alive: list[Compiler] = []
"""The one that is kept for what comes next, since it loads for seconds; it ends with the program."""


def _kept() -> Compiler:
    while _alive and not _alive[-1].alive:
        _alive.pop().close()
    if not _alive:
        _alive.append(Compiler())
        atexit.register(_alive[-1].close)
    return _alive[-1]


class Compiler:
    """The vendor's programs in one process, which loads what they need once. Used in a `with` block."""

    def __init__(self) -> None:
        self._worker = Worker(SOPHON)
        self._scratch = tempfile.TemporaryDirectory(prefix="edgelift-")
        self._folder = Path(self._scratch.name)

    def compile(self, name: str, graph: bytes, ranges: str, options: tuple[str, ...]) -> tuple[Path, Cycles]:
        """A file of one static ONNX `graph`, and what it takes. Raises `EngineError` with the compiler's reason."""
        place = self._folder
        (place / "compiler_profile_0.txt").unlink(missing_ok=True)  # that of the graph before
        (place / f"{name}.onnx").write_bytes(graph)
        (place / "ranges").write_text(ranges, encoding="utf-8")
        self._tool("model_transform.py", "--model_name", name, "--model_def", f"{name}.onnx", "--mlir", f"{name}.mlir")
        more = ("--calibration_table", "ranges", "--model", f"{name}.bmodel")
        self._tool("model_deploy.py", "--mlir", f"{name}.mlir", *options, *more)
        try:
            profile = (place / "compiler_profile_0.txt").read_text(encoding="utf-8", errors="replace")
            places = json.loads((place / name / "tensor_location.json").read_bytes())
            tensors = {row["file-line"]: [end["name"] for end in row["results"] if end] for row in places}
        except (OSError, ValueError, LookupError, TypeError) as exc:
            raise EngineError(f"the compiler gave no profile of {name} that can be read ({exc})") from exc
        return place / f"{name}.bmodel", parse_cycles(profile, tensors)

    def _tool(self, program: str, *arguments: str) -> None:
        self._worker.ask("tool", program=tool(program), arguments=arguments, folder=str(self._folder))

    def joined(self, files: list[Path]) -> bytes:
        """One file of all of them."""
        try:
            if len(files) == 1:
                return files[0].read_bytes()
            out = self._folder / "joined.bmodel"
            command = [tool("model_tool"), "--combine", *map(str, files), "-o", str(out)]
            done = subprocess.run(
                command, env=SOPHON.environment(), cwd=self._folder, capture_output=True, text=True, check=False
            )
            if done.returncode or not out.exists():
                raise EngineError(f"model_tool cannot join windows: {(done.stderr or done.stdout).strip()[-300:]}")
            return out.read_bytes()
        except OSError as exc:
            raise EngineError(f"the compiler gave no file, and no reason ({exc.strerror})") from exc

    @property
    def alive(self) -> bool:
        """Whether it can go on."""
        return self._worker.alive

    def close(self) -> None:
        """End the process; calling it twice is allowed."""
        self._worker.close()
        self._scratch.cleanup()

    def __enter__(self) -> Compiler:
        return self

    def __exit__(self, *why: object) -> None:
        self.close()


def planned(compiler: Compiler, graph: onnx.ModelProto, bits: str, ends: str = "bytes") -> Cycles:
    """What a static `graph` takes in `bits`, without a file; `ends` is one of `ENDS`. In whole numbers every tensor has the
    same range, since time does not depend on it. Raises `EngineError` with the compiler's reason."""
    names = [value.name for value in graph.graph.input]
    names += [f"{name}_{node.op_type}" for node in graph.graph.node for name in node.output]
    ranges = "".join(f"{name} 255 {-255 if ends == 'own' else 0} 255\n" for name in names)
    return compiler.compile("planned", graph.SerializeToString(), ranges, _options(bits, ends=ends))[1]
