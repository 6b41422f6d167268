"""The facade: a model, an engine and a plan behind one call."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType

import numpy as np

from edgelift.core.errors import RequestError
from edgelift.core.image import Picture, check_image
from edgelift.core.spec import ModelSpec
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import PRECISIONS, Engine, Options
from edgelift.runtime.engines import open_engine
from edgelift.runtime.models import resolve
from edgelift.runtime.pipeline import Report, interpolate, run_plan
from edgelift.runtime.rows import ArraySource, ArrayTarget, Source, Target
from edgelift.tiling.plan import Plan, auto_tile, plan

__all__ = ["Upscaler"]


class Upscaler:
    """Enlarges pictures by one model; made once, used for many.

    `model`: a bundled name, a bundle file, or `nearest`, `bilinear`, `bicubic`, `lanczos` (any scale, no engine);
    None takes the best bundled network for `scale`. `tile`: `auto`, or (height, width) of the windows in input pixels;
    the result does not depend on it. 16-bit pictures run in f32 unless another precision is asked for.

    Raises `RequestError` for what cannot be served, `EngineMissingError` where no engine is installed.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        scale: float | None = None,
        engine: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        tile: str | tuple[int, int] = "auto",
        threads: int = 0,
    ) -> None:
        if precision not in PRECISIONS:
            raise RequestError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
        if tile != "auto" and (isinstance(tile, str) or len(tile) != 2 or min(tile) < 1):
            raise RequestError(f"a tile is 'auto' or (height, width) of at least one pixel each, got {tile!r}")
        self.model = resolve(model, scale)
        self.scale: float = self.model.spec.scale if isinstance(self.model, Bundle) else self.model.scale
        self._engine_name, self._tile = engine, tile
        self._asked = {"device": device, "precision": precision, "threads": threads}
        self._engines: dict[str, Engine] = {}
        self._lock = threading.Lock()
        if isinstance(self.model, Bundle):
            self._engine("uint8")  # so that what cannot run is known now

    @property
    def spec(self) -> ModelSpec | None:
        """The facts of the network; None for an interpolation."""
        return self.model.spec if isinstance(self.model, Bundle) else None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.spec.name if isinstance(self.model, Bundle) else self.model.kernel

    @property
    def runs_on(self) -> str:
        """Engine, device and precision in words, as reports print them."""
        if not isinstance(self.model, Bundle):
            return "interpolation"
        engine = self._engine("uint8")
        return f"{getattr(engine, 'name', self._engine_name)} {engine.device} {engine.precision}"

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The result's (height, width) for a picture of that size."""
        if isinstance(self.model, Bundle):
            return height * self.model.spec.scale, width * self.model.spec.scale
        return self.model.size(height, width)

    def plan(self, height: int, width: int) -> Plan:
        """The windows for a picture of that size. Raises `RequestError` for interpolations and unfit tiles."""
        if not isinstance(self.model, Bundle):
            raise RequestError(f"{self.name} needs no windows")
        spec, shapes = self.model.spec, self._engine("uint8").limits.shapes
        whole = tuple(-(-n // spec.multiple_of) * spec.multiple_of for n in (height, width))
        if shapes:
            tile = min(shapes, key=lambda shape: plan(height, width, shape, spec.halo, spec.multiple_of).pixels)
        elif isinstance(self._tile, str):
            tile = auto_tile(height, width, spec.halo, spec.multiple_of)
        else:  # a tile larger than the picture is the whole picture
            tile = (min(self._tile[0], whole[0]), min(self._tile[1], whole[1]))
        return plan(height, width, tile, spec.halo, spec.multiple_of)

    def run(self, source: Source, target: Target, report: Report = lambda done: None) -> None:
        """Upscale `source` into `target`, strip by strip."""
        if isinstance(self.model, Bundle):
            engine = self._engine("uint8" if source.dtype == np.uint8 else "float32")
            run_plan(engine, self.plan(source.height, source.width), source, target, report)
        else:
            interpolate(self.model.kernel, self.size(source.height, source.width), source, target, report)

    def __call__(self, picture: Picture) -> Picture:
        """The enlarged picture: H × W × 3 RGB in, uint8, uint16 or float32 (0 … 255); the same type out."""
        picture = check_image(picture)
        target = ArrayTarget(*self.size(*picture.shape[:2]), picture.dtype)
        self.run(ArraySource(picture), target)
        return target.picture

    def _engine(self, samples: str) -> Engine:
        with self._lock:
            if samples not in self._engines:
                assert isinstance(self.model, Bundle)
                options = Options(samples=samples, **self._asked)  # type: ignore[arg-type]  # three fields of two types
                self._engines[samples] = open_engine(self.model, self._engine_name, options)
            return self._engines[samples]

    def close(self) -> None:
        """Release the engines."""
        with self._lock:
            for engine in self._engines.values():
                engine.close()
            self._engines.clear()

    def __enter__(self) -> Upscaler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
