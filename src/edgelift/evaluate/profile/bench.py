"""What is profiled: a bundle on an engine with options, opened for each type of samples when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import Engine, Options, blocks_shape
from edgelift.runtime.engines import open_engine
from edgelift.runtime.models import resolve
from edgelift.runtime.planner import Planner
from edgelift.runtime.prices import Key, key_of
from edgelift.runtime.probe import Probing

__all__ = ["MAX_SIDE", "SETTLE", "Bench", "Window", "bundle_of", "check_size", "noise"]

MAX_SIDE = 1 << 14
SETTLE = 4
"""Calls with one shape after which an engine does nothing new: OpenVINO compiles a shape for itself at the fourth."""

Open = Callable[[Bundle, Options], Engine]


def bundle_of(model: str | Path) -> Bundle:
    """The network called `model`. Raises `RequestError` for an unknown one and for interpolations."""
    found = resolve(model)
    if not isinstance(found, Bundle):
        raise RequestError(
            f"{model} is an interpolation: it has no operators and runs in no engine; name a network (edgelift models)"
        )
    return found


def check_size(size: tuple[int, int]) -> tuple[int, int]:
    """`size`, or `RequestError` where it is none that is measured."""
    if not all(8 <= side <= MAX_SIDE for side in size):
        raise RequestError(f"a size is HEIGHTxWIDTH, each side 8 to {MAX_SIDE} pixels, got {size[0]}x{size[1]}")
    return size


class Bench:
    """`bundle` on the engine that `open` makes; by default the one of that name. Used in a `with` block."""

    def __init__(
        self,
        bundle: Bundle,
        options: Options = Options(),  # noqa: B008  # frozen
        engine: str = "auto",
        *,
        open: Open | None = None,
    ) -> None:
        self.bundle, self.spec, self.options = bundle, bundle.spec, options
        self._open = open or (lambda bundle, options: open_engine(bundle, engine, options))
        self._engines: dict[str, Engine] = {}
        self._planners: dict[str, Planner] = {}

    def engine(self, samples: str = "uint8") -> Engine:
        """The engine for windows of that type; the same at every call. Errors as `open_engine`."""
        if samples not in self._engines:
            self._engines[samples] = self._open(self.bundle, replace(self.options, samples=samples))
        return self._engines[samples]

    def planner(self, samples: str = "uint8") -> Planner:
        """What chooses tiles for that engine."""
        if samples not in self._planners:
            options = replace(self.options, samples=samples)
            self._planners[samples] = Planner(self.bundle, self.engine(samples), options)
        return self._planners[samples]

    def probing(self) -> Probing | None:
        """The engine, where it can be looked into."""
        engine = self.engine()
        return engine if isinstance(engine, Probing) else None

    def key(self) -> Key:
        """Engine, device and machine in words."""
        return key_of(self.bundle, self.engine(), self.options)

    def window(self, height: int, width: int) -> Window:
        """One window of about that size (sides extended as the network needs), ready to run."""
        return Window(self.engine(), *(-(-n // self.spec.multiple_of) * self.spec.multiple_of for n in (height, width)))

    def close(self) -> None:
        """Release the engines."""
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


@dataclass
class Window:
    """A window for an engine, and the room for its blocks; calling it runs the network once, in its widest variant."""

    engine: Engine
    height: int
    width: int

    def __post_init__(self) -> None:
        self.batch = noise(self.height, self.width)[None]
        self._out = np.zeros(blocks_shape(self.engine.spec, self.batch.shape), np.uint8)  # no page is new to the clock

    @property
    def pixels(self) -> int:
        """Of the input."""
        return self.height * self.width

    def __call__(self) -> None:
        """Run it."""
        self.engine.run(self.batch, self.engine.spec.widest, self._out)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    """Height × width × 3 values that no engine can take for zeros."""
    return (np.arange(height * width * 3, dtype=np.uint32) * 7 % 251).astype(np.uint8).reshape(height, width, 3)
