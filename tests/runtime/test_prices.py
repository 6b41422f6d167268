"""Measuring an engine with a clock that it moves itself, and keeping what was measured."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, EngineMemoryError
from edgelift.core.spec import ModelSpec
from edgelift.io.bundle import read_bundle
from edgelift.runtime import prices
from edgelift.runtime.engine import Options
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.runtime.prices import Key, assumed, key_of, load, measure, store
from edgelift.tiling.cost import CostModel, Measured


class TimedEngine(FakeEngine):
    """Takes a fixed time for a call and one for each pixel, on a clock of its own; slower from the call `slow_from` on."""

    def __init__(self, spec: ModelSpec, *, call: float = 0.001, pixel: float = 1e-7, **settings: Any) -> None:
        super().__init__(spec, **settings)
        self.now, self._call, self._pixel, self.slow_from = 0.0, call, pixel, 10**9

    def clock(self) -> float:
        return self.now

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        super().run(batch, variant, out)
        slower = 3 if len(self.calls) > self.slow_from else 1
        self.now += (self._call + self._pixel * batch[..., 0].size) * variant * slower


def shapes_of(model: CostModel) -> list[tuple[int, int, int]]:
    return [(row.batch, row.height, row.width) for row in model.rows]


def test_measured_as_it_is(make_spec: Callable[..., ModelSpec]) -> None:
    engine = TimedEngine(make_spec())
    found = measure(engine, clock=engine.clock, budget=10)
    assert shapes_of(found.model) == [
        (1, 64, 64), (1, 128, 128), (1, 192, 256), (1, 256, 256), (1, 360, 640),
        (2, 128, 128), (4, 128, 128), (1, 512, 512), (1, 1024, 1024),
    ]  # fmt: skip
    for row in found.model.rows:
        assert row.seconds == pytest.approx(0.001 + 1e-7 * row.batch * row.area)
    assert found.spread == pytest.approx(1)
    assert len(engine.calls) == 3 * len(found.model.rows)


@pytest.mark.parametrize("budget", [0.04, 0.1, 0.4])
def test_the_budget_is_kept(make_spec: Callable[..., ModelSpec], budget: float) -> None:
    engine = TimedEngine(make_spec())
    found = measure(engine, clock=engine.clock, budget=budget)
    assert engine.now <= budget * 1.05
    assert 1 < len(found.model.rows) < 9


def test_a_slow_engine_runs_its_smallest_window_only(make_spec: Callable[..., ModelSpec]) -> None:
    engine = TimedEngine(make_spec(), pixel=1e-3)
    assert shapes_of(measure(engine, clock=engine.clock).model) == [(1, 64, 64)]
    assert len(engine.calls) == 3


def test_no_window_is_larger_than_allowed(make_spec: Callable[..., ModelSpec]) -> None:
    engine = TimedEngine(make_spec(), pixel=1e-12)
    assert (
        max(row.area * row.batch for row in measure(engine, clock=engine.clock, most=70_000).model.rows) == 4 * 128**2
    )


def test_shapes_of_the_engine_and_of_the_network(make_spec: Callable[..., ModelSpec]) -> None:
    fixed = TimedEngine(make_spec(), shapes=((96, 96), (32, 64)))
    assert shapes_of(measure(fixed, clock=fixed.clock).model) == [
        (1, 32, 64), (1, 96, 96), (2, 32, 64), (4, 32, 64),
    ]  # fmt: skip
    multiple = TimedEngine(make_spec(multiple_of=24))
    assert shapes_of(measure(multiple, clock=multiple.clock, most=70_000).model)[:3] == [
        (1, 72, 72),
        (1, 144, 144),
        (1, 192, 264),
    ]


def test_every_variant_is_measured(make_spec: Callable[..., ModelSpec]) -> None:
    engine = TimedEngine(make_spec(variants=("narrow", "full")))
    model = measure(engine, clock=engine.clock, budget=0.2).model
    assert model.seconds(1, 128, 128, variant=2) == pytest.approx(2 * model.seconds(1, 128, 128))
    assert engine.now < 0.21


def test_float_windows(make_spec: Callable[..., ModelSpec]) -> None:
    engine = TimedEngine(make_spec(), samples="float32")
    assert len(measure(engine, "float32", clock=engine.clock, most=70_000).model.rows) > 3


def test_a_disturbance_shows(make_spec: Callable[..., ModelSpec]) -> None:
    engine = TimedEngine(make_spec())
    engine.slow_from = 12  # in the middle of the first round
    assert measure(engine, clock=engine.clock, most=70_000).spread > prices.STEADY


def test_a_window_too_large_for_the_engine_ends_the_measurement(make_spec: Callable[..., ModelSpec]) -> None:
    engine = TimedEngine(make_spec(), memory_pixels=50_000)
    assert shapes_of(measure(engine, clock=engine.clock).model) == [(1, 64, 64), (1, 128, 128), (1, 192, 256)]


class Faltering(TimedEngine):
    """Has no memory once, in the run `at`."""

    runs, at = 0, 0

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        self.runs += 1
        if self.runs == self.at:
            raise EngineMemoryError("out of memory")
        super().run(batch, variant, out)


def test_a_shape_that_fails_in_a_later_round_is_left_out(make_spec: Callable[..., ModelSpec]) -> None:
    whole = shapes_of(measure(TimedEngine(make_spec()), clock=lambda: 0.0, most=70_000).model)
    engine = Faltering(make_spec())
    engine.at = 2 * len(whole) + 2  # two runs of each, and the second of the next round
    assert shapes_of(measure(engine, clock=engine.clock, most=70_000).model) == [whole[0], *whole[2:]]


def test_an_engine_that_runs_nothing_says_so(make_spec: Callable[..., ModelSpec]) -> None:
    engine = TimedEngine(make_spec(), fail_at=0)
    with pytest.raises(EngineError, match="failed as it was told"):
        measure(engine, clock=engine.clock)


def test_a_clock_too_coarse_to_see_it(make_spec: Callable[..., ModelSpec]) -> None:
    assert all(row.seconds > 0 for row in measure(FakeEngine(make_spec()), clock=lambda: 0.0, most=20_000).model.rows)


def test_what_is_assumed_grows_with_the_work(make_spec: Callable[..., ModelSpec]) -> None:
    small, large = assumed(make_spec(macs=10_000)), assumed(make_spec(macs=100_000))
    assert large.seconds(1, 500, 500) == pytest.approx(0.001 + 250_000 * 100_000 / 5e10)
    assert small.seconds(1, 500, 500) < large.seconds(1, 500, 500)
    assert assumed(make_spec(macs=100_000), "CUDA").seconds(1, 500, 500) < large.seconds(1, 500, 500)
    assert assumed(make_spec()).seconds(1, 1, 1) > 0  # facts may leave the work open


# -- kept

MODEL = CostModel((Measured(1, 64, 64, 0.1), Measured(2, 64, 64, 0.15)))
KEY = Key("ab", "fake 1", "CPU nearest neighbour", "f32", "uint8", 0, "a processor, 2 cores")


def test_a_table_is_found_again_by_its_key_only(tmp_path: Path) -> None:
    assert load(KEY, tmp_path) is None
    assert store(KEY, MODEL, tmp_path / "new" / "folder")
    assert load(KEY, tmp_path / "new" / "folder") == MODEL
    for change in (
        {"bundle": "cd"},
        {"engine": "fake 2"},
        {"precision": "bf16"},
        {"threads": 1},
        {"samples": "float32"},
        {"many_shapes": True},
    ):
        assert load(dataclasses.replace(KEY, **change), tmp_path / "new" / "folder") is None


def test_a_table_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    assert store(KEY, CostModel(MODEL.rows[:1]), tmp_path)
    assert store(KEY, MODEL, tmp_path)
    assert load(KEY, tmp_path) == MODEL
    assert [path.name for path in tmp_path.iterdir()] == [KEY.file]


def _spoilt(change: Callable[[dict[str, Any]], object]) -> str:
    plain = {"version": 1, "key": dataclasses.asdict(KEY), "table": json.loads(MODEL.to_json())}
    change(plain)
    return json.dumps(plain)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        "[]",
        "null",
        "[" * 100_000,
        "\ud800",
        " " * (2 << 20),
        _spoilt(lambda plain: plain.pop("table")),
        _spoilt(lambda plain: plain.update(version=2)),
        _spoilt(lambda plain: plain["key"].update(bundle="another")),
        _spoilt(lambda plain: plain["table"].update(rows=[[1, 2, 3, -4, 1]])),
        _spoilt(lambda plain: plain.update(table=7)),
    ],
)
def test_a_spoilt_file_is_as_good_as_none_and_is_rewritten(tmp_path: Path, text: str) -> None:
    path = tmp_path / KEY.file
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert load(KEY, tmp_path) is None
    assert store(KEY, MODEL, tmp_path)
    assert load(KEY, tmp_path) == MODEL


def test_a_folder_that_cannot_be_written_to_is_no_failure(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert not store(KEY, MODEL, blocked / "prices")
    assert load(KEY, blocked / "prices") is None
    (tmp_path / KEY.file).mkdir()  # what stands in the place of the table is no file
    assert not store(KEY, MODEL, tmp_path)
    assert load(KEY, tmp_path) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["file", KEY.file])


def test_the_key_names_what_prices_depend_on(small_bundle: Path) -> None:
    bundle = read_bundle(small_bundle)
    key = key_of(bundle, FakeEngine(bundle.spec), Options(threads=3))
    assert (key.engine, key.device, key.precision, key.samples, key.threads) == (
        "fake 1", "CPU nearest neighbour", "f32", "uint8", 3,
    )  # fmt: skip
    assert not key.many_shapes
    assert key_of(bundle, FakeEngine(bundle.spec), Options(many_shapes=True)).many_shapes
    assert len(key.bundle) == 64
    assert "cores" in key.machine


def test_the_users_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELIFT_CACHE", str(tmp_path))
    assert store(KEY, MODEL)
    assert (tmp_path / "prices" / KEY.file).is_file()
    assert load(KEY) == MODEL


def test_windows_hold_different_values(make_spec: Callable[..., ModelSpec]) -> None:
    """An engine may be quicker on a picture of one value."""
    seen: list[int] = []

    class Looking(FakeEngine):
        def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
            seen.append(len(np.unique(batch)))

    measure(Looking(make_spec()), clock=lambda: 0.0, most=20_000)
    assert min(seen) > 200
