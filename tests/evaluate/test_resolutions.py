"""Seconds against size: which sizes, where prices jump, and what happens where memory ends. Tile prices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelift.core.errors import EngineError, RequestError
from edgelift.evaluate.profile.bench import SETTLE, Bench, bundle_of, check_size
from edgelift.evaluate.profile.resolutions import Point, curve, jumps, latency, sizes_up_to
from edgelift.evaluate.profile.tiles import prices
from edgelift.evaluate.profile.timing import Timing, of_rounds, timed
from edgelift.io.bundle import bundled, read_bundle
from edgelift.runtime import prices as runtime_prices
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.tiling.cost import CostModel, Measured

MODEL = "abpn-x2"
needs_model = pytest.mark.skipif(MODEL not in bundled(), reason="the network is not bundled")


def bench(**options: Any) -> Bench:
    return Bench(read_bundle(bundled()[MODEL]), open=lambda bundle, asked: FakeEngine(bundle.spec, **options))


# -- timing


def test_the_median_and_its_quarters() -> None:
    found = of_rounds([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (found.seconds, found.low, found.high, found.rounds) == (3.0, 2.0, 4.0, 5)
    assert found.spread == pytest.approx(1 / 3)
    assert found.scaled(2) == Timing(6.0, 4.0, 8.0, 5)


def test_apart() -> None:
    one = Timing(2, 1, 3, 5)
    assert one.apart(Timing(5, 4, 6, 5))
    assert Timing(5, 4, 6, 5).apart(one)
    assert not one.apart(Timing(3.5, 2.5, 6, 5))


def test_warm_runs_do_not_count() -> None:
    now = [0.0]
    left = [100.0, 50.0, 3.0, 1.0, 2.0]

    def run() -> None:
        now[0] += left.pop(0)

    found = timed(run, 3, warm=2, clock=lambda: now[0])
    assert (found.seconds, found.rounds, left) == (2.0, 3, [])


# -- sizes


def test_sizes_of_the_usual_form() -> None:
    found = sizes_up_to((360, 640))
    assert len(found) == 10
    assert (found[0], found[-1]) == ((32, 57), (360, 640))


@given(st.tuples(st.integers(8, 4000), st.integers(8, 4000)), st.integers(2, 12), st.sampled_from([1, 2, 8]))
def test_sizes_rise_to_the_one_asked_for(size: tuple[int, int], points: int, multiple: int) -> None:
    found = sizes_up_to(size, points, multiple)
    areas = [height * width for height, width in found]
    assert areas == sorted(set(areas))
    assert len(found) <= points
    assert found[-1] == tuple(max(1, round(side / multiple)) * multiple for side in size)
    assert all(side % multiple == 0 and side > 0 for pair in found for side in pair)


@pytest.mark.parametrize("size", [(7, 100), (100, 20_000), (0, 0)])
def test_sizes_out_of_range(size: tuple[int, int]) -> None:
    with pytest.raises(RequestError, match="a size is HEIGHTxWIDTH, each side 8 to 16384"):
        check_size(size)


# -- jumps


def marks(prices: Sequence[float], spread: float = 0.01) -> list[str]:
    """Of sizes with that price of a pixel, measured to within that share."""
    points = []
    for k, price in enumerate(prices):
        seconds = price * 100 * 4**k
        points.append(Point(10 * 2**k, 10 * 2**k, Timing(seconds, seconds * (1 - spread), seconds * (1 + spread), 5)))
    return [point.mark for point in jumps(points)]


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ([1, 1, 1], ["", "", ""]),
        ([9, 3, 1.1, 1], ["", "", "", ""]),  # the cost of a call is shared by ever more pixels
        ([1, 1, 1.4, 1.4], ["", "", "step", ""]),
        ([1, 1.4, 1], ["", "peak", ""]),
        ([1, 0.7, 1], ["", "dip", "step"]),
        ([1, 1.1, 1.2], ["", "", ""]),  # slowly, and each by less than counts
        ([1, 2, 4], ["", "step", "step"]),
        ([1], [""]),
        ([], []),
    ],
)
def test_jumps(prices: list[float], expected: list[str]) -> None:
    assert marks(prices) == expected


def test_noise_is_no_jump() -> None:
    assert marks([1, 1, 1.4, 1.4], spread=0.2) == [""] * 4
    assert marks([1, 0.7, 1], spread=0.2) == [""] * 3


# -- curves


@needs_model
def test_a_curve_runs_each_size_until_it_is_settled() -> None:
    bundle = read_bundle(bundled()[MODEL])
    engine = FakeEngine(bundle.spec)
    told: list[str] = []
    with Bench(bundle, open=lambda bundle, asked: engine) as made:
        found = curve(
            made, (16, 32), points=4, rounds=2, report=lambda words, done: told.append(words), clock=lambda: 0.0
        )
    sizes = [(point.height, point.width) for point in found.points]
    assert sizes == [(2, 4), (4, 8), (8, 16), (16, 32)]
    assert found.problem == ""
    assert engine.calls == [(1, *size, 3) for size in sizes for _ in range(SETTLE + 2)]
    assert told == ["2×4", "4×8", "8×16", "16×32"]


class Slow(FakeEngine):
    """A second for a hundred pixels, and so many times that at one size, as often as it is said."""

    def __init__(self, *arguments: Any, slow: tuple[int, int], times: int) -> None:
        super().__init__(*arguments)
        self.now, self._slow, self._left = 0.0, slow, times

    def run(self, batch: Any, variant: int, out: Any) -> None:
        super().run(batch, variant, out)
        here = batch.shape[1:3] == self._slow and self._left > 0
        self._left -= here
        self.now += batch[..., 0].size / 100 * (3 if here else 1)


@needs_model
@pytest.mark.parametrize(
    ("times", "expected"),
    [(SETTLE + 3, ["", "", "", ""]), (2 * (SETTLE + 3), ["", "", "peak", ""])],
)
def test_what_happens_once_is_no_jump(times: int, expected: list[str]) -> None:
    bundle = read_bundle(bundled()[MODEL])
    engine = Slow(bundle.spec, slow=(8, 16), times=times)
    with Bench(bundle, open=lambda bundle, asked: engine) as made:
        found = curve(made, (16, 32), points=4, rounds=3, clock=lambda: engine.now)
    assert [point.mark for point in found.points] == expected
    assert [call[1] for call in engine.calls[-3 * (SETTLE + 3) :: SETTLE + 3]] == [4, 8, 16]


@needs_model
def test_where_memory_ends_the_curve_ends() -> None:
    with bench(memory_pixels=40) as made:
        found = curve(made, (16, 32), points=4, rounds=1, clock=lambda: 0.0)
    assert [(point.height, point.width) for point in found.points] == [(2, 4), (4, 8)]
    assert found.problem.startswith("no memory for 8×16 and more: ")


@needs_model
def test_nothing_fits() -> None:
    with bench(memory_pixels=1) as made, pytest.raises(EngineError, match="not even a window of 2×4 fits"):
        curve(made, (16, 32), points=4, rounds=1)


@needs_model
def test_a_price_is_of_a_pixel_of_the_input() -> None:
    with bench() as made:
        found = latency(made, (16, 32), rounds=1)
    assert (found.height, found.width) == (16, 32)
    assert found.price == pytest.approx(found.timing.seconds / 512)


# -- tiles


@needs_model
@pytest.mark.parametrize(("spread", "steady"), [(1.0, True), (3.0, False)])
def test_tile_prices_are_those_of_the_runtime(spread: float, steady: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (Measured(2, 8, 8, 0.5), Measured(1, 8, 8, 0.4), Measured(1, 16, 16, 0.1))

    def measure(engine: Any, samples: str, *, most: int) -> runtime_prices.Measurement:
        return runtime_prices.Measurement(CostModel(rows), spread)

    monkeypatch.setattr(runtime_prices, "measure", measure)
    with bench() as made:
        found = prices(made)
    assert [row.seconds for row in found.rows] == [0.1, 0.4, 0.5]
    assert found.rows[2].price == pytest.approx(0.5 / (2 * 3 * 64))
    assert found.steady is steady


# -- what is profiled


def test_interpolations_are_no_networks() -> None:
    with pytest.raises(RequestError, match=r"bicubic is an interpolation: .* name a network"):
        bundle_of("bicubic")
