"""The facade: a model, an engine and a plan behind one call."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgelift.core.errors import EngineError, RequestError
from edgelift.core.image import Picture, check_image
from edgelift.core.spec import ModelSpec
from edgelift.io.bundle import Bundle
from edgelift.runtime.ahead import write_behind
from edgelift.runtime.anytime.account import Account
from edgelift.runtime.anytime.budget import Budget, parse_budget
from edgelift.runtime.anytime.run import NOW, AnyTime, Terms
from edgelift.runtime.choice import AUTO, pick
from edgelift.runtime.engine import Engine, Options
from edgelift.runtime.engines import open_engine
from edgelift.runtime.ensemble import Ensemble, ensemble_of
from edgelift.runtime.filters import filtered, parse_filter
from edgelift.runtime.footprint import parse_size
from edgelift.runtime.models import Interpolation, anytime_models, resolve
from edgelift.runtime.pipeline import Report, interpolate, run_plan
from edgelift.runtime.planner import Planner
from edgelift.runtime.rows import ArraySource, ArrayTarget, Source, Target
from edgelift.runtime.windows import Warn
from edgelift.tiling.candidates import Candidate
from edgelift.tiling.choose import Choice
from edgelift.tiling.merge import sharing
from edgelift.tiling.plan import Plan, auto_tile, plan

__all__ = ["Upscaler", "log_warning", "refuse_choice"]

NO_BUDGET = "a budget chooses among the variants of one network; leave tta and blend out, or the budget and routes"
CHOSEN_LATE = "content 'auto' is chosen for each picture; use edgelift.SuitedUpscaler, or name the content"


def refuse_choice(model: object, blend: object, budget: object) -> None:
    """Raise `RequestError` where networks are to be chosen, and something names them or chooses too."""
    for given, what in ((model, f"the model {model}"), (blend, f"the blend {blend}"), (budget, "a budget")):
        if given is not None:
            raise RequestError(
                f"quality, content and denoise choose the network, and so does {what}; leave one of them out"
            )


def log_warning(text: str) -> None:
    """What hears of warnings where nothing else is named."""
    logging.getLogger("edgelift").warning(text)


class Upscaler:
    """Enlarges pictures by one model; made once, used for many.

    `model`: a bundled name, a bundle file, or `nearest`, `bilinear`, `bicubic`, `lanczos` (any scale, no engine);
    None takes the best bundled network for `scale`. `tile`: `auto`, or (height, width) of the windows in input pixels;
    the result does not depend on it. 16-bit pictures run in f32 unless another precision is asked for. `batch`: `auto`,
    or how many windows go into one call of the engine. `memory`: what the process may hold in all, such as "2G" or a
    number of bytes; it limits the tile. See `runtime.planner` for what `auto` means.

    `merge`: `crop`, `feather`, `average` or `naive` (see `tiling.merge`); only with `crop` and an exact halo is the result
    free of the tile. `overlap`: input pixels that neighbouring windows share. `filter`: `edge`, `sharpen` or
    `unsharp[:radius,percent,threshold]`, over the result's colours (see `runtime.filters`). `workers`: calls of the engine
    at once; `ahead`, `behind`: strips that are read before and may wait behind them. `warn` hears of windows that had to
    be halved, since the engine's memory was short; it logs where none is given.

    `budget`: what a picture may take, for supernets: seconds (2.5, "40ms"), a share of the widest variant's time ("40%") or
    "auto" (see `runtime.anytime`); it may be changed between calls. A call counts from its beginning to the finished array.
    None runs the widest variant, and the result is the same every time.

    `tta` runs each picture in its 8 orientations and gives the mean, in 8 times the time. `blend` names two models or more of
    one scale with their weights, "abpn-x2:0.7,other.onnx:0.3" or a mapping, in place of `model`, and gives the weighted mean
    of their results. See `runtime.ensemble`.

    `quality` (`fast`, `balanced`, `best`), `content` (`photo`, `drawn`, `clean`) and `denoise` (0 … 1, how much of a network
    that removes noise and the traces of compression) choose among the bundled networks in place of `model`; see
    `runtime.choice`. What could not be had as asked goes to `warn`. `content="auto"` is `runtime.suited.SuitedUpscaler`.

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
        batch: str | int = "auto",
        memory: str | int | None = None,
        merge: str = "crop",
        overlap: int | None = None,
        filter: str | None = None,
        workers: int = 1,
        ahead: int = 1,
        behind: int = 0,
        warn: Warn = log_warning,
        budget: str | float | Budget | None = None,
        tta: bool = False,
        blend: str | Mapping[Any, float] | None = None,
        quality: str | None = None,
        content: str | None = None,
        denoise: float | None = None,
    ) -> None:
        if (quality, content, denoise) != (None, None, None):
            refuse_choice(model, blend, budget)
            if content == AUTO:
                raise RequestError(CHOSEN_LATE)
            picked = pick(scale or 2, content or "clean", quality, denoise)
            for note in picked.notes:
                warn(note)
            tta = tta or picked.tta
            model, blend = (picked.models[0][0], None) if len(picked.models) == 1 else (None, dict(picked.models))
        ensemble = tta or blend is not None
        if ensemble and budget is not None:
            raise RequestError(NO_BUDGET)
        self._budget = parse_budget(budget)
        self._asked = Options(device, precision, threads=threads, many_shapes=budget is not None)
        if tile != "auto" and not _is_size(tile):
            raise RequestError(f"a tile is 'auto' or (height, width) of at least one pixel each, got {tile!r}")
        if batch != "auto" and (isinstance(batch, str) or batch < 1):
            raise RequestError(f"a batch is 'auto' or at least one window, got {batch!r}")
        self._batch, self._memory = batch, parse_size(str(memory)) if memory is not None else None
        self.model: Bundle | Ensemble | Interpolation = (
            ensemble_of(model, scale, tta=tta, blend=blend)
            if ensemble
            else resolve(model, scale, anytime=budget is not None)
        )
        self.scale: float = self.model.scale if isinstance(self.model, Interpolation) else self.model.spec.scale
        self._engine_name, self._tile = engine, tile
        self._merge, self._overlap, self._filter = merge, overlap, parse_filter(filter)
        self._workers, self._ahead, self._behind, self._warn = workers, ahead, behind, warn
        if min(workers, ahead) < 1 or behind < 0:
            raise RequestError(f"workers and ahead are at least 1, behind at least 0, got {workers}, {ahead}, {behind}")
        if not isinstance(self.model, Interpolation):
            sharing(merge, overlap, self.model.spec.halo)
        elif (tile, merge, overlap, workers, batch) != ("auto", "crop", None, 1, "auto"):
            raise RequestError(
                f"{self.name} is an interpolation and needs no tiles; leave tile, merge, overlap, batch, workers (--jobs) out"
            )
        elif (engine, device, precision) != ("auto", "auto", "auto"):
            raise RequestError(f"{self.name} is an interpolation; leave engine, device and precision out")
        self._own_windows = (tile, batch, memory, merge, overlap, workers) == ("auto", "auto", None, "crop", None, 1)
        self._engines: dict[str, Engine] = {}
        self._planners: dict[str, Planner] = {}
        self._anytimes: dict[str, AnyTime] = {}
        self.account: Account | None = None
        """Of the last picture that was finished within a budget."""
        self._lock = threading.Lock()
        self._closed = False
        if not isinstance(self.model, Interpolation):
            self._engine("uint8")  # so that what cannot run is known now
        if self._budget is not None:
            self._anytime("uint8")

    @property
    def budget(self) -> Budget | None:
        """What a picture may take; text and seconds are understood as by the constructor."""
        return self._budget

    @budget.setter
    def budget(self, given: str | float | Budget | None) -> None:
        budget = parse_budget(given)
        if budget is not None:
            self._anytime("uint8")  # so that what has none keeps to what it had
            if not self._asked.many_shapes:
                self._expect_many_shapes()
        self._budget = budget

    @property
    def spec(self) -> ModelSpec | None:
        """The facts of the network; None for an interpolation."""
        return None if isinstance(self.model, Interpolation) else self.model.spec

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.kernel if isinstance(self.model, Interpolation) else self.model.spec.name

    @property
    def runs_on(self) -> str:
        """Engine, device and precision in words, as reports print them."""
        if isinstance(self.model, Interpolation):
            return "interpolation"
        engine = self._engine("uint8")
        return f"{getattr(engine, 'name', self._engine_name)} {engine.device} {engine.precision}"

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The result's (height, width) for a picture of that size."""
        if isinstance(self.model, Interpolation):
            return self.model.size(height, width)
        return height * self.model.spec.scale, width * self.model.spec.scale

    def plan(self, height: int, width: int, *, layers: int = 1, dtype: np.dtype[Any] | type = np.uint8) -> Plan:
        """The windows for a picture of that size, with so many layers of that type.

        Raises `RequestError` for interpolations, unfit tiles and where the memory is too small.
        """
        if isinstance(self.model, Interpolation):
            raise RequestError(f"{self.name} needs no windows")
        planner, multiple = self.planner(dtype), self.model.spec.multiple_of
        halo, overlap = sharing(self._merge, self._overlap, self.model.spec.halo)
        kind = self._kind(layers, dtype)
        shapes = self._engine("uint8").limits.shapes
        if shapes and not isinstance(self._tile, str):
            if tuple(self._tile) not in shapes:
                able = ", ".join(f"{tall}×{wide}" for tall, wide in shapes)
                raise RequestError(
                    f"{self.name} runs windows of {able} only, not of {self._tile[0]}×{self._tile[1]}; leave the tile out"
                )
            return replace(plan(height, width, self._tile, halo, multiple, overlap), variant=self.model.spec.widest)
        if shapes or (isinstance(self._tile, str) and self._merge == "crop"):
            tile = planner.tile(height, width, **kind, fixed=self._merge != "crop")
            return replace(plan(height, width, tile, halo, multiple, overlap), variant=self.model.spec.widest)
        if isinstance(self._tile, str):  # blended results depend on the tile, which must not depend on measurements
            tile = auto_tile(height, width, halo, multiple, overlap=overlap)
        else:  # one larger than the picture is the whole picture
            whole = tuple(-(-n // multiple) * multiple for n in (height, width))
            tile = (min(self._tile[0], whole[0]), min(self._tile[1], whole[1]))
        made = replace(plan(height, width, tile, halo, multiple, overlap), variant=self.model.spec.widest)
        if self._memory is not None:
            planner.choice(height, width, tile=tile, **kind)
        return made

    def choice(self, height: int, width: int, *, layers: int = 1, dtype: np.dtype[Any] | type = np.uint8) -> Choice:
        """The tile of `plan`, and the seconds and memory that it is expected to take; errors as there."""
        made = self.plan(height, width, layers=layers, dtype=dtype)
        return self.planner(dtype).choice(height, width, tile=made.tile, **self._kind(layers, dtype))

    def candidates(
        self, height: int, width: int, *, layers: int = 1, dtype: np.dtype[Any] | type = np.uint8
    ) -> list[Candidate]:
        """What else could be taken beside `choice`; see `tiling.candidates`."""
        chosen = self.choice(height, width, layers=layers, dtype=dtype)
        return self.planner(dtype).candidates(height, width, chosen, **self._kind(layers, dtype))

    def _kind(self, layers: int, dtype: np.dtype[Any] | type) -> dict[str, Any]:
        halo = self.spec.halo if self.spec else None
        overlap = sharing(self._merge, self._overlap, halo)[1]
        return {"overlap": overlap, "layers": layers, "itemsize": np.dtype(dtype).itemsize}

    def planner(self, dtype: np.dtype[Any] | type = np.uint8) -> Planner:
        """What chooses tiles and knows prices, for pictures of that type."""
        if isinstance(self.model, Interpolation):
            raise RequestError(f"{self.name} needs no windows")
        samples = _samples(dtype)
        engine = self._engine(samples)
        with self._lock:
            if samples not in self._planners:
                options = replace(self._asked, samples=samples)
                self._planners[samples] = Planner(
                    self.model, engine, options, batch=self._batch, memory=self._memory,
                    workers=self._workers, ahead=self._ahead, behind=self._behind,
                    blended=self._merge in ("feather", "average"), reach=self._filter.reach if self._filter else 0,
                )  # fmt: skip
            return self._planners[samples]

    def run(
        self, source: Source, target: Target, report: Report = lambda done: None, terms: Terms = NOW
    ) -> Account | None:
        """Upscale `source` into `target`, strip by strip; with a budget or routes, what became of them."""
        size = self.size(source.height, source.width)
        account, budget = None, self._budget  # which another thread may change
        with write_behind(target, self._behind) as written:
            into = filtered(self._filter, written, (source.layers, *size), source.dtype)
            if budget is not None or terms.routes is not None:
                account = self._anytime(_samples(source.dtype)).run(
                    source, into, report, budget=budget, terms=terms, warn=self._warn, ahead=self._ahead
                )
                self.account = account
            elif isinstance(self.model, Interpolation):
                interpolate(self.model.kernel, size, source, into, report, ahead=self._ahead)
            else:
                self._run_windows(source, into, report)
        return account

    def _anytime(self, samples: str) -> AnyTime:
        """What runs pictures of that type within a budget. Raises `RequestError` where this model has none."""
        if isinstance(self.model, Ensemble):
            raise RequestError(NO_BUDGET)
        if not isinstance(self.model, Bundle) or self.model.spec.widest < 2:
            known = ", ".join(anytime_models())
            raise RequestError(f"{self.name} has no variants to choose from by a budget; those that do are {known}")
        if not self._own_windows:
            raise RequestError(
                "a budget chooses its own windows; leave tile, batch, memory, merge, overlap, workers (--jobs) out"
            )
        planner, engine = self.planner(np.uint8 if samples == "uint8" else np.float32), self._engine(samples)
        with self._lock:
            if samples not in self._anytimes:
                self._anytimes[samples] = AnyTime(self.model, engine, planner)
            return self._anytimes[samples]

    def _expect_many_shapes(self) -> None:
        """Open engines anew, for windows as a budget routes them; pictures that run now keep theirs."""
        with self._lock:
            self._asked = replace(self._asked, many_shapes=True)
            self._engines.clear()
            self._planners.clear()
            self._anytimes.clear()
        self._anytime("uint8")

    def _run_windows(self, source: Source, target: Target, report: Report) -> None:
        engine = self._engine(_samples(source.dtype))
        windows = self.plan(source.height, source.width, layers=source.layers, dtype=source.dtype)
        batch = self._batch if isinstance(self._batch, int) else self._best_batch(windows, source)
        run_plan(
            engine, windows, source, target, report,
            merge=self._merge, batch=batch, workers=self._workers, ahead=self._ahead, warn=self._warn,
        )  # fmt: skip

    def _best_batch(self, windows: Plan, source: Source) -> int:
        if len(windows.columns) == 1:  # a batch is of one row
            return 1
        kind = self._kind(source.layers, source.dtype)
        return self.planner(source.dtype).choice(source.height, source.width, tile=windows.tile, **kind).batch

    def __call__(self, picture: Picture) -> Picture:
        """The enlarged picture: H × W × 3 RGB in, uint8, uint16 or float32 (0 … 255); the same type out."""
        terms = Terms(time.perf_counter())
        picture = check_image(picture)
        target = ArrayTarget(*self.size(*picture.shape[:2]), picture.dtype)
        self.run(ArraySource(picture), target, terms=terms)
        return target.picture

    def _engine(self, samples: str) -> Engine:
        with self._lock:
            if self._closed:
                raise EngineError("this upscaler has been closed; make another")
            if samples not in self._engines:
                assert not isinstance(self.model, Interpolation)
                self._engines[samples] = self._opened(self.model, replace(self._asked, samples=samples))
            return self._engines[samples]

    def _opened(self, model: Bundle | Ensemble, options: Options) -> Engine:
        if isinstance(model, Ensemble):
            return model.open(self._opened, options)
        return open_engine(model, self._engine_name, options)

    def close(self) -> None:
        """Release the engines."""
        with self._lock:
            self._anytimes.clear()
            for engine in self._engines.values():
                engine.close()
            self._engines.clear()
            self._closed = True

    def __enter__(self) -> Upscaler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _samples(dtype: np.dtype[Any] | type) -> str:
    """The type in which engines take pictures of that type."""
    return "uint8" if dtype == np.uint8 else "float32"


def _is_size(tile: object) -> bool:
    """Whether that is a pair of whole numbers of at least 1."""
    pair = isinstance(tile, tuple) and len(tile) == 2
    return pair and all(isinstance(side, int) and side >= 1 for side in tile)  # type: ignore[attr-defined]  # a pair now
