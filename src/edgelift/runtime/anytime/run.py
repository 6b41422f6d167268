"""Run a picture through a supernet within a budget."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from edgelift.core.errors import RequestError
from edgelift.io.bundle import Bundle
from edgelift.runtime import prices
from edgelift.runtime.anytime.account import Account
from edgelift.runtime.anytime.budget import Budget
from edgelift.runtime.anytime.held import held
from edgelift.runtime.anytime.meter import Meter
from edgelift.runtime.anytime.pace import OUTSIDE, Pace, Pick, knee, pick
from edgelift.runtime.anytime.scores import edge_scores
from edgelift.runtime.anytime.table import table_of
from edgelift.runtime.anytime.ways import Shape, Ways, ways
from edgelift.runtime.engine import Engine
from edgelift.runtime.pipeline import Report, run_plan
from edgelift.runtime.planner import Planner
from edgelift.runtime.rows import Rows, Source, Target
from edgelift.runtime.windows import Warn
from edgelift.tiling.cost import CostModel
from edgelift.tiling.routes import Routes

__all__ = ["NOW", "AnyTime", "Terms"]

LONG = 20.0
"""Seconds of a budget from which prices that are missing are measured first; below, one window says how fast it is here."""


@dataclass(frozen=True)
class Terms:
    """What a caller knows of a picture's time that its rows do not say."""

    began: float | None = None
    """What `time.perf_counter` showed when the budget's seconds began; None: now."""
    after: float = 0.0
    """Seconds that are needed when the last row is done, such as the encoder's."""
    routes: Routes | None = None
    """To be run again instead of choosing."""


@dataclass
class _Timed:
    """A target with a clock, which stands still while strips are taken where these are not to `count`."""

    target: Target
    clock: Callable[[], float]
    count: bool
    waited: float = 0.0

    def now(self) -> float:
        """What the clock shows."""
        return self.clock() - self.waited

    def room(self, start: int, stop: int) -> Rows:
        """See `Target.room`."""
        return self.target.room(start, stop)

    def done(self, strip: Rows) -> None:
        """See `Target.done`."""
        began = self.clock()
        self.target.done(strip)
        self.waited += 0.0 if self.count else self.clock() - began


NOW = Terms()
"""A budget that begins when it is asked for."""


class AnyTime:
    """A supernet on one engine. Raises `RequestError` for models and engines that cannot be routed."""

    def __init__(
        self, bundle: Bundle, engine: Engine, planner: Planner, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        spec = bundle.spec
        self._table = table_of(spec)
        if spec.halo is None or spec.multiple_of != 1 or engine.limits.shapes:
            raise RequestError(
                f"{spec.name} runs whole pictures or fixed shapes here, and regions cannot be routed then"
            )
        halo = spec.routing.get("halo", spec.halo)
        self._halo = halo if isinstance(halo, int) and 0 <= halo <= spec.halo else spec.halo
        self._engine, self._planner, self._clock = engine, planner, clock
        self._quick: CostModel | None = None
        self._warm: set[Shape] = set()

    def run(
        self,
        source: Source,
        target: Target,
        report: Report,
        *,
        budget: Budget | None,
        terms: Terms,
        warn: Warn,
        ahead: int,
    ) -> Account:
        """Upscale `source` into `target` within `budget`, or by `terms.routes`."""
        began = self._clock() if terms.began is None else terms.began
        if terms.routes is not None:
            return self._replay(terms.routes, source, target, report, began, warn, ahead)
        assert budget is not None
        model = self._prices(budget)
        timed = _Timed(target, self._clock, count=budget.seconds is not None)
        with held(source) as picture:
            if budget.seconds is None:  # neither what is measured nor files are part of a share
                began = self._clock()
            errors = self._table.predict(edge_scores(picture))
            found = ways(picture.height, picture.width, self._halo, errors, model, picture.layers)
            outside = OUTSIDE * 3 * picture.height * picture.width * self._engine.spec.scale**2 * picture.layers
            widest = self._widest(picture.height, picture.width, picture.layers, model) + outside
            meter = Meter(self._engine, model, set(self._warm), self._clock)
            limit = budget.seconds if budget.share is None else budget.share * widest
            after = terms.after if budget.seconds is not None else 0.0
            until = None if limit is None else began + limit - after
            first = self._first(found, meter, outside, until, widest)
            predicted = timed.now() - began + first.seconds + after
            pace = Pace(found, first, meter, until, timed.now)
            run_plan(meter, pace, picture, timed, report, ahead=ahead, warn=warn)
        self._warm |= meter.warm  # and not while it runs: other pictures may, too
        return Account(
            budget.words, limit, predicted, timed.now() - began, widest,
            first.late, pace.routes, files=budget.seconds is not None,
        )  # fmt: skip

    def _first(self, found: Ways, meter: Meter, outside: float, until: float | None, widest: float) -> Pick:
        if until is None:
            return knee(found, outside, widest)
        return pick(found, meter, outside, max(0.0, until - self._clock()))

    def _prices(self, budget: Budget) -> CostModel:
        """Measured ones where they are kept or there is time for them, else a guess that one window sets right."""
        known = self._planner.known(measure=budget.seconds is None or budget.seconds >= LONG)
        if known is not None:
            return known
        if self._quick is None:
            self._quick = prices.guessed(self._engine, self._planner.assumed, self._planner.samples)
        return self._quick

    def _widest(self, height: int, width: int, layers: int, model: CostModel) -> float:
        """Predicted seconds of the widest variant by its own best plan; nothing is measured for that."""
        known = self._planner.known()
        choice = self._planner.choice(height, width, layers=layers, fixed=known is None)
        factor = (
            1.0
            if known is not None
            else model.seconds(1, 512, 512, self._engine.spec.widest)
            / (self._planner.assumed.seconds(1, 512, 512, self._engine.spec.widest))
        )
        return choice.seconds * factor * layers

    def _replay(
        self, routes: Routes, source: Source, target: Target, report: Report, began: float, warn: Warn, ahead: int
    ) -> Account:
        if (routes.height, routes.width) != (source.height, source.width):
            raise RequestError(
                f"these routes are of a picture of {routes.width}×{routes.height}, this one has {source.width}×{source.height}"
            )
        if max(routes.shares()) > self._engine.spec.widest:
            raise RequestError(f"these routes have variant {max(routes.shares())}; {self._engine.spec.name} has fewer")
        run_plan(self._engine, routes, source, target, report, ahead=ahead, warn=warn)
        return Account("routes", None, None, self._clock() - began, None, False, routes)
