"""Tile and batch for a picture, by measured prices where there are some or where they are worth a second.

A picture of a few seconds is never delayed: its tile comes from prices that are kept already, or from `auto_tile`.
Networks without an exact halo always run in the tile of `auto_tile`, since their result depends on it; those with one
give the same result for every tile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

from edgelift.core.errors import RequestError
from edgelift.io.activations import activation_bytes
from edgelift.io.bundle import Bundle
from edgelift.runtime import prices
from edgelift.runtime.engine import Engine, Options
from edgelift.runtime.ensemble import Ensemble
from edgelift.runtime.footprint import Footprint, resident_bytes
from edgelift.tiling.candidates import Candidate, candidates
from edgelift.tiling.choose import Choice, choose
from edgelift.tiling.cost import CostModel
from edgelift.tiling.plan import auto_tile

__all__ = ["AUTO_BATCHES", "LONG_RUN", "Planner"]

AUTO_BATCHES = (1, 2, 4)
"""Among which `auto` chooses."""
LONG_RUN = 5.0
"""Predicted seconds of a picture from which measuring, about one second, may pay."""
MEASURED_MEMORY = 1e9
"""Bytes that an engine may need while it is measured."""

COMFORT = 200_000_000
"""Bytes that a run on a large picture had better add at most where no limit is set: its strips are less tall, as long as that
costs little time."""
LARGE_PICTURE = 8_000_000
"""Pixels from which a picture is large in that sense; below, the fastest tile is taken."""


class Planner:
    """Chooses for one engine, and measures it at most once; may be used from several threads.

    `batch`: `auto`, or the number of windows in each call. `memory`: bytes that the process may hold in all; what it
    holds when this is made counts. `workers`, `ahead`, `behind`, `blended` and `reach`: see `Footprint`. `measure` is
    `prices.measure` but in tests.
    """

    def __init__(
        self,
        bundle: Bundle | Ensemble,
        engine: Engine,
        options: Options,
        *,
        batch: int | str = "auto",
        memory: int | None = None,
        workers: int = 1,
        ahead: int = 1,
        behind: int = 0,
        blended: bool = False,
        reach: int = 0,
        measure: Callable[..., prices.Measurement] | None = None,
    ) -> None:
        self.spec, self._bundle, self._engine, self._options = bundle.spec, bundle, engine, options
        self.batches = (AUTO_BATCHES if engine.limits.max_batch > 1 else (1,)) if isinstance(batch, str) else (batch,)
        if max(self.batches) > engine.limits.max_batch:
            raise RequestError(f"this engine runs at most {engine.limits.max_batch} windows in a batch, got {batch}")
        self.memory, self._measure = memory, measure or prices.measure
        self._stated: CostModel | None = getattr(engine, "stated", None)
        """Prices that the file states."""
        self._simulated = self._stated is not None and getattr(engine, "simulated", False)
        self._held: dict[str, Any] = {
            "workers": workers, "ahead": ahead, "behind": behind, "blended": blended, "reach": reach
        }  # fmt: skip
        self.resident = resident_bytes()
        """Bytes that the process held when this was made."""
        self._lock = threading.Lock()
        self._known: CostModel | None = None
        self._looked = False
        self.steady = True
        """Not where prices were measured while the machine was busy."""

    @cached_property
    def assumed(self) -> CostModel:
        """The guess that serves until something is measured."""
        return prices.assumed(self.spec, self._engine.device)

    @property
    def samples(self) -> str:
        """The type of the windows."""
        return self._options.samples

    @cached_property
    def activations(self) -> float:
        """Bytes for each pixel of a window; see `io.activations`."""
        if isinstance(self._bundle, Ensemble):
            return self._bundle.activations(self._options.samples)
        return activation_bytes(self._bundle, self._options.samples)

    @cached_property
    def key(self) -> prices.Key:
        """What the prices are kept under."""
        return prices.key_of(self._bundle, self._engine, self._options)

    def known(self, *, measure: bool = False, again: bool = False) -> CostModel | None:
        """Prices that were measured here or are in the cache; with `measure`, measured now where there are none.

        `again` measures in any case.
        """
        with self._lock:
            if self._simulated:  # by a simulator's own time nothing could be planned
                return self._stated
            if not self._looked:
                self._known, self._looked = prices.load(self.key) or self._stated, True
            if again or (self._known is None and measure):
                most = int(MEASURED_MEMORY / self.footprint(1, 1).per_pixel)
                many: dict[str, Any] = {}
                if self._options.many_shapes:
                    seconds = prices.MANY_SECONDS * len(prices.priced(self.spec))
                    many = {"rounds": prices.MANY_ROUNDS, "budget": seconds}
                found = self._measure(self._engine, self._options.samples, most=most, **many)
                self._known, self.steady = found.model, found.spread <= prices.STEADY
                if self.steady:
                    prices.store(self.key, self._known)
            return self._known

    def footprint(self, height: int, width: int, layers: int = 1, itemsize: int = 1) -> Footprint:
        """What a picture of that size takes in memory."""
        beside = self._bundle.beside if isinstance(self._bundle, Ensemble) else 0.0
        return Footprint(
            self.spec, width, self.activations, layers, itemsize, self.resident, beside=beside, **self._held
        )

    def tile(
        self,
        height: int,
        width: int,
        *,
        overlap: int | None = None,
        layers: int = 1,
        itemsize: int = 1,
        fixed: bool = False,
    ) -> tuple[int, int]:
        """The tile of `choice`, at once where nothing is known of the engine and no limit is set."""
        if self.memory is None and not self._engine.limits.shapes and self._model(height, width, fixed) is None:
            return auto_tile(height, width, self.spec.halo, self.spec.multiple_of, overlap=overlap)
        return self.choice(height, width, overlap=overlap, layers=layers, itemsize=itemsize, fixed=fixed).tile

    def choice(
        self,
        height: int,
        width: int,
        *,
        tile: tuple[int, int] | None = None,
        overlap: int | None = None,
        layers: int = 1,
        itemsize: int = 1,
        fixed: bool = False,
    ) -> Choice:
        """What to take for a picture of that size, with the seconds of one layer and the memory of all `layers`.

        `tile`: one that can be run, where it is settled already. `fixed`: the result depends on the tile, as it does
        where windows are blended, so that neither prices nor memory may choose it. Raises `RequestError` where nothing
        fits the engine or the memory.
        """
        spec, shapes, model = self.spec, self._engine.limits.shapes, self._model(height, width, fixed)
        common: dict[str, Any] = {"multiple_of": spec.multiple_of, "overlap": overlap, "variant": spec.widest}
        if tile is None and (fixed or spec.halo is None):
            if shapes:
                tile = choose(height, width, spec.halo, self.assumed, shapes=shapes, **common).tile
            else:
                tile = auto_tile(height, width, spec.halo, spec.multiple_of, overlap=overlap)
        elif tile is None and not shapes and model is None and self.memory is None:
            tile = auto_tile(height, width, spec.halo, spec.multiple_of, overlap=overlap)
        known = self.known() or self.assumed
        common |= {"shapes": shapes if tile is None else (tile,), "batches": self.batches}
        need = self.footprint(height, width, layers, itemsize)
        easy = self.memory is None and height * width > LARGE_PICTURE
        comfort = self.resident + COMFORT if easy else None
        return choose(height, width, spec.halo, known, **common, limit=self.memory, comfort=comfort, need=need)

    def _model(self, height: int, width: int, fixed: bool) -> CostModel | None:
        """Prices to choose by: measured where the picture is expected to take long, None where they must not matter.

        What was measured on a busy machine says how long things take on it, and not which tile is the best.
        """
        if fixed or self.spec.halo is None:
            return None
        seconds = self.assumed.seconds(1, 512, 512, self.spec.widest) * height * width / 512**2
        known = self.known(measure=seconds >= LONG_RUN)
        return known if self.steady else None

    def candidates(
        self, height: int, width: int, chosen: Choice, *, overlap: int | None = None, layers: int = 1, itemsize: int = 1
    ) -> list[Candidate]:
        """`tiling.candidates` for a picture of that size, by the prices there are or those assumed."""
        return candidates(
            height, width, self.spec.halo, self.known() or self.assumed, chosen, multiple_of=self.spec.multiple_of,
            overlap=overlap, shapes=self._engine.limits.shapes, need=self.footprint(height, width, layers, itemsize),
            variant=self.spec.widest,
        )  # fmt: skip
