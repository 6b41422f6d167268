"""When prices are measured, when they choose the tile, and when nothing but the picture's size does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgelift.core.errors import RequestError
from edgelift.core.spec import ModelSpec
from edgelift.io.bundle import Bundle, read_bundle
from edgelift.runtime.engine import Limits, Options
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.runtime.planner import LONG_RUN, Planner
from edgelift.runtime.prices import STEADY, Measurement, load
from edgelift.tiling.choose import choose
from edgelift.tiling.cost import CostModel, Measured
from edgelift.tiling.plan import auto_tile

SMALL_IS_CHEAP = CostModel((Measured(1, 64, 64, 1e-3), Measured(1, 512, 512, 1.0)))
BY_PIXELS = CostModel((Measured(1, 64, 64, 64 * 64e-6), Measured(1, 512, 512, 512 * 512e-6)))
SMALL, LARGE = (400, 500), (30_000, 30_000)


class Measuring:
    """Stands in for `prices.measure`; counts how often it is asked."""

    def __init__(self, model: CostModel = SMALL_IS_CHEAP, spread: float = 1.0) -> None:
        self.model, self.spread, self.count = model, spread, 0
        self.most = 0

    def __call__(self, engine: FakeEngine, samples: str, *, most: int) -> Measurement:
        self.count, self.most = self.count + 1, most
        return Measurement(self.model, self.spread)


Make = Callable[..., Planner]


@pytest.fixture
def make(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_spec: Callable[..., ModelSpec]
) -> Make:
    """A planner for the small bundle, with other facts where they are given, in an empty cache folder."""
    monkeypatch.setenv("EDGELIFT_CACHE", str(tmp_path / "cache"))
    data = read_bundle(small_bundle).data

    def planner(
        measuring: Measuring, *, shapes: Any = (), facts: dict[str, Any] | None = None, **options: Any
    ) -> Planner:
        bundle = Bundle(make_spec(**{"macs": 1000, **(facts or {})}), data, "here")
        engine = FakeEngine(bundle.spec, shapes=shapes)
        return Planner(bundle, engine, Options(), measure=measuring, **options)

    return planner


def test_a_small_picture_is_never_delayed(make: Make) -> None:
    measuring = Measuring()
    assert make(measuring).tile(*SMALL) == auto_tile(*SMALL, 1)
    assert measuring.count == 0


def test_a_long_picture_is_worth_measuring_once(make: Make) -> None:
    measuring = Measuring()
    planner = make(measuring)
    assert planner.assumed.seconds(1, 512, 512) * LARGE[0] * LARGE[1] / 512**2 > LONG_RUN
    tile = planner.tile(*LARGE)
    assert tile[0] * tile[1] < 100 * 100
    assert planner.tile(*LARGE) == tile
    assert measuring.count == 1
    assert 100_000 < measuring.most < 10_000_000  # within MEASURED_MEMORY


def test_prices_that_are_kept_serve_small_pictures_too(make: Make) -> None:
    measuring = Measuring()
    make(measuring).tile(*LARGE)
    again = make(measuring)
    assert again.tile(*SMALL) != auto_tile(*SMALL, 1)
    assert again.known() == SMALL_IS_CHEAP
    assert measuring.count == 1


def test_prices_can_be_asked_for(make: Make) -> None:
    measuring = Measuring()
    planner = make(measuring)
    assert planner.known() is None
    assert planner.known(measure=True) == SMALL_IS_CHEAP
    assert planner.known(measure=True) == SMALL_IS_CHEAP
    assert measuring.count == 1
    planner.known(again=True)
    assert measuring.count == 2


def test_what_a_busy_machine_measures_neither_chooses_nor_lasts(make: Make) -> None:
    planner = make(Measuring(spread=STEADY * 1.01))
    assert planner.tile(*LARGE[:1], 600) == auto_tile(LARGE[0], 600, 1)
    assert planner.known(measure=True) == SMALL_IS_CHEAP  # good enough for an estimate
    assert planner.tile(*SMALL) == auto_tile(*SMALL, 1)
    assert load(planner.key) is None
    assert make(Measuring()).known() is None


@pytest.mark.parametrize(("facts", "options"), [({"halo": None}, {}), ({}, {"fixed": True, "overlap": 8})])
def test_no_price_chooses_where_the_result_depends_on_the_tile(
    make: Make, facts: dict[str, Any], options: dict[str, Any]
) -> None:
    measuring = Measuring()
    make(measuring).known(measure=True)
    planner = make(measuring, facts=facts)
    expected = auto_tile(*SMALL, facts.get("halo", 1), overlap=options.get("overlap"))
    assert planner.tile(*SMALL, **options) == expected
    assert planner.choice(*SMALL, **options).tile == expected
    planner.tile(3000, 3000, **options)
    assert measuring.count == 1


def test_shapes_of_the_engine(make: Make) -> None:
    shapes = ((64, 64), (512, 512))
    assert make(Measuring(), shapes=shapes).tile(500, 500) == (512, 512)  # by work alone
    cheap = make(Measuring(), shapes=shapes)
    cheap.known(measure=True)
    assert cheap.tile(500, 500) == (64, 64)
    assert cheap.tile(500, 500, fixed=True) == (512, 512)
    with pytest.raises(RequestError, match="can hold the whole picture"):
        make(Measuring(), shapes=shapes, facts={"halo": None}).tile(600, 600)


def test_memory_limits_the_tile(make: Make) -> None:
    free = make(Measuring(), memory=10**12).choice(3000, 3000)
    growth = free.memory - make(Measuring()).resident
    tight = make(Measuring(), memory=free.memory - growth // 4)
    choice = tight.choice(3000, 3000)
    assert choice.memory <= tight.memory
    assert choice.tile[0] * choice.tile[1] < free.tile[0] * free.tile[1]
    assert tight.tile(3000, 3000) == choice.tile


@pytest.mark.parametrize("held", [0, 10**9])
def test_a_large_picture_is_not_slow_for_the_sake_of_memory(make: Make, held: int) -> None:
    """Neither where small tiles cost much nor where the process holds much already."""
    planner = make(Measuring(BY_PIXELS), facts={"halo": 27}, workers=8)
    planner.known(measure=True)
    planner.resident += held
    quickest = choose(4000, 6000, 27, BY_PIXELS, need=planner.footprint(4000, 6000))
    found = planner.choice(4000, 6000)
    assert found.memory < quickest.memory
    assert quickest.seconds < found.seconds <= 1.2 * quickest.seconds


def test_too_little_memory_is_an_error_that_says_how_much(make: Make) -> None:
    with pytest.raises(RequestError, match=r"the smallest need for this picture, tiles of \d+×\d+, is about \d+ MB"):
        make(Measuring(), memory=1_000_000).tile(*SMALL)
    with pytest.raises(RequestError, match="the limit is 1 MB"):
        make(Measuring(), memory=1_000_000, facts={"halo": None}).tile(*SMALL)
    with pytest.raises(RequestError, match="tiles of 40×50"):
        make(Measuring(), memory=1_000_000).choice(*SMALL, tile=(40, 50))


def test_transparency_deep_samples_and_calls_at_once_take_more(make: Make) -> None:
    def need(planner: Planner, **kind: int) -> int:
        return planner.choice(3000, 3000, tile=(300, 300), **kind).memory - planner.resident

    plain = need(make(Measuring()))
    assert need(make(Measuring()), layers=2) > 1.5 * plain
    assert need(make(Measuring()), itemsize=2) > 1.2 * plain
    assert need(make(Measuring(), workers=3)) > 1.5 * plain
    assert need(make(Measuring(), ahead=9, behind=9)) > 1.5 * plain
    assert need(make(Measuring(), batch=8)) > 1.5 * plain


def test_batches(make: Make) -> None:
    assert make(Measuring(), batch=3).choice(*SMALL).batch == 3
    assert make(Measuring()).choice(*SMALL).batch == 1
    gains = CostModel((*SMALL_IS_CHEAP.rows, Measured(4, 64, 64, 2e-3)))
    planner = make(Measuring(gains))
    planner.known(measure=True)
    assert planner.choice(*SMALL).batch == 4
    with pytest.raises(RequestError, match="at most 64 windows in a batch, got 65"):
        make(Measuring(), batch=65)


def test_an_engine_that_takes_no_batches(make: Make, small_bundle: Path) -> None:
    bundle = read_bundle(small_bundle)
    engine = FakeEngine(bundle.spec)
    engine.limits = Limits(max_batch=1)
    assert Planner(bundle, engine, Options()).batches == (1,)


def test_candidates_are_those_of_the_table(make: Make) -> None:
    planner = make(Measuring())
    planner.known(measure=True)
    chosen = planner.choice(*SMALL)
    rows = planner.candidates(*SMALL, chosen)
    assert {row.choice.tile for row in rows} == {(64, 64), (400, 500), chosen.tile}
    assert [row.choice for row in rows if row.chosen] == [chosen]
