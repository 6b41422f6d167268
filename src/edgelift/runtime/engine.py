"""The engine protocol: what executes a bundle's network on windows.

An engine is one verb, `run`, thread-safe, and `close`. Options go into the constructor only. It takes windows as
uint8 (0 … 255) or float32 (0 … 255) NHWC, and gives blocks in the same type: clipped, and for uint8 rounded half to even.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from numpy.typing import NDArray

from edgelift.core.errors import EngineError, EngineMemoryError, RequestError
from edgelift.core.spec import ModelSpec
from edgelift.io.bundle import Bundle

__all__ = [
    "PRECISIONS",
    "Availability",
    "Device",
    "Engine",
    "EngineKind",
    "Limits",
    "Options",
    "blocks_shape",
    "check_run",
    "engine_error",
]

PRECISIONS = ("auto", "f32", "bf16", "f16", "int8")
SAMPLES = ("uint8", "float32")
MAX_THREADS = 1024


@dataclass(frozen=True)
class Limits:
    """What an engine accepts."""

    shapes: tuple[tuple[int, int], ...] = ()
    """The (height, width) of windows, where only these can be run; empty where any can."""
    max_batch: int = 64


@dataclass(frozen=True)
class Options:
    """What an engine is asked for. `auto` leaves the choice to the engine."""

    device: str = "auto"
    precision: str = "auto"
    samples: str = "uint8"
    """Type of the windows: `uint8`, or `float32` for 16-bit pictures, which then run in f32."""
    threads: int = 0
    """0 means all cores."""
    many_shapes: bool = False
    """Windows of many shapes will come, so that none of them is worth preparing for."""

    def __post_init__(self) -> None:
        for name, value, known in (("precision", self.precision, PRECISIONS), ("samples", self.samples, SAMPLES)):
            if value not in known:
                raise RequestError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        if not 0 <= self.threads <= MAX_THREADS:
            raise RequestError(f"threads must be 0, which means all cores, to {MAX_THREADS}, got {self.threads}")


@dataclass(frozen=True)
class Device:
    """One device that an engine can use."""

    name: str
    title: str
    precisions: tuple[str, ...]
    default: str
    """The precision that `auto` means here."""


@dataclass(frozen=True)
class Availability:
    """Whether an engine can run on this machine, and where."""

    engine: str
    version: str = ""
    devices: tuple[Device, ...] = ()
    problem: str = ""
    """Why it cannot run, and what to do; empty where it can."""


class Engine(Protocol):
    """A network, ready to run."""

    spec: ModelSpec
    limits: Limits
    device: str
    precision: str

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        """Run windows (N × h × w × 3, C order) through `variant` (from 1, 0 for interpolation) and fill `out`, shaped
        `blocks_shape`.

        Raises `EngineError`, and `EngineMemoryError` where smaller windows may fit. May be called from several threads at once.
        """

    def close(self) -> None:
        """Release what the engine holds; calling it twice is allowed."""


class EngineKind(Protocol):
    """A class of engines."""

    name: ClassVar[str]

    @classmethod
    def available(cls) -> Availability:
        """What of it can run here; never raises."""

    def __call__(self, bundle: Bundle, options: Options) -> Engine:
        """Compile `bundle`. Raises `EngineError`, or `EngineMissingError` where this machine cannot."""


def blocks_shape(spec: ModelSpec, batch: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the blocks for a batch of that shape: N × h·grid × w·grid × b × b × 3."""
    n, height, width, _ = batch
    return (n, height * spec.grid, width * spec.grid, spec.shuffle, spec.shuffle, 3)


NO_MEMORY = (
    "out of memory",
    "out of host memory",
    "bad_alloc",
    "bad allocation",
    "failed to allocate",
    "out_of_resources",
)
"""Words with which engines' libraries say that memory ran out, in lower case."""


def engine_error(message: str, exc: BaseException) -> EngineError:
    """What to raise, with that message, for `exc` of an engine's library: `EngineMemoryError` where memory ran out."""
    words = str(exc).lower()
    short = isinstance(exc, MemoryError) or any(said in words for said in NO_MEMORY)
    return EngineMemoryError(message) if short else EngineError(message)


def check_run(engine: Engine, batch: NDArray[Any], variant: int, out: NDArray[Any], samples: str) -> None:
    """Raise `EngineError` where the arguments of `Engine.run` are not as the protocol says."""
    spec, limits = engine.spec, engine.limits
    if batch.ndim != 4 or batch.shape[3] != 3 or 0 in batch.shape or batch.dtype.name != samples:
        raise EngineError(
            f"expected windows of shape (n, height, width, 3) and type {samples}, got {batch.shape} {batch.dtype}"
        )
    if len(batch) > limits.max_batch:
        raise EngineError(f"at most {limits.max_batch} windows in one batch, got {len(batch)}")
    if limits.shapes and batch.shape[1:3] not in limits.shapes:
        raise EngineError(f"this engine runs windows of {limits.shapes}, got {batch.shape[1:3]}")
    if batch.shape[1] % spec.multiple_of or batch.shape[2] % spec.multiple_of:
        raise EngineError(f"window sides must be multiples of {spec.multiple_of}, got {batch.shape[1:3]}")
    least = 0 if spec.interpolates else 1
    if not least <= variant <= spec.widest:
        raise EngineError(f"{spec.name} has the variants {least} to {spec.widest}, got {variant}")
    if out.shape != blocks_shape(spec, batch.shape) or out.dtype != batch.dtype or not out.flags.carray:
        raise EngineError(
            f"expected writable room in C order for {blocks_shape(spec, batch.shape)} {samples}, "
            f"got {out.shape} {out.dtype}"
        )
