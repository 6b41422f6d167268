"""Budgets on a clock that only the engine moves: kept when prices are right, and when they are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.core.spec import ModelSpec
from edgelift.runtime import prices
from edgelift.runtime.anytime import pace
from edgelift.runtime.anytime.account import Account, plain_routes, routes_from
from edgelift.runtime.anytime.budget import parse_budget
from edgelift.runtime.anytime.run import LONG, NOW, AnyTime, Terms
from edgelift.runtime.rows import ArraySource, ArrayTarget
from edgelift.tiling.routes import Routed, Routes
from edgelift.tiling.window import Span

Made = Callable[..., tuple[Any, AnyTime]]


@pytest.fixture(autouse=True)
def _nothing_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still outside the engine, so nothing is to be reserved for that."""
    monkeypatch.setattr(pace, "OUTSIDE", 0.0)


def spend(
    anytime: AnyTime, scene: NDArray[np.uint8], budget: Any, terms: Terms = NOW
) -> tuple[Account, NDArray[np.uint8]]:
    target = ArrayTarget(2 * len(scene), 2 * scene.shape[1], scene.dtype)
    account = anytime.run(
        ArraySource(scene), target, lambda done: None, budget=parse_budget(budget), terms=terms, warn=print, ahead=1
    )
    return account, target.picture


@pytest.mark.parametrize(
    ("slower", "most", "least"), [(1.0, 1.05, 0.85), (0.7, 1.05, 0.7), (1.3, 1.1, 0.85), (2.0, 1.2, 0.85)]
)
def test_kept_and_used(routed: Made, scene: NDArray[np.uint8], slower: float, most: float, least: float) -> None:
    """Prices that are right are kept to; wrong ones are found out, most of it in time."""
    used = []
    for seconds in np.linspace(0.05, 0.25, 12) * slower:
        engine, anytime = routed(slower)
        account, _ = spend(anytime, scene, float(seconds))
        assert account.limit == seconds
        assert account.seconds <= most * seconds
        assert account.seconds == pytest.approx(engine.now - 100)
        if {one.variant for one in account.routes.routed[-1]} & {1, 2}:  # more could have been bought
            used.append(account.seconds / seconds)
    assert len(used) >= 3
    assert np.mean(used) >= least


def test_prices_that_are_wrong_are_corrected(routed: Made, scene: NDArray[np.uint8]) -> None:
    right, _ = spend(routed(1.0)[1], scene, 0.2)
    wrong, _ = spend(routed(2.0)[1], scene, 0.2)
    assert wrong.predicted == pytest.approx(right.predicted)
    assert wrong.routes.shares().get(3, 0) < right.routes.shares().get(3, 0)


def test_the_second_picture_knows_the_shapes(routed: Made, scene: NDArray[np.uint8]) -> None:
    _, anytime = routed()
    first, _ = spend(anytime, scene, 5)
    second, _ = spend(anytime, scene, 5)
    assert first.routes == second.routes
    assert second.predicted < first.predicted  # type: ignore[operator]  # both are numbers


def test_pictures_of_other_threads_do_not_disturb(routed: Made, scene: NDArray[np.uint8]) -> None:
    class Shared(set[Any]):
        """What another thread adds to whenever it is looked through."""

        def __iter__(self) -> Iterator[Any]:
            for item in super().__iter__():
                self.add((3, 1000 + len(self), 1))
                yield item

    _, anytime = routed()
    anytime._warm = Shared({(1, 64, 64), (2, 64, 64)})
    first, _ = spend(anytime, scene, 5)
    second, _ = spend(anytime, scene, 5)
    assert second.predicted < first.predicted  # type: ignore[operator]  # both are numbers


def test_texture_is_dear_and_sky_is_cheap(routed: Made, scene: NDArray[np.uint8]) -> None:
    account, picture = spend(routed()[1], scene, "40%")
    variants = np.zeros(scene.shape[:2], int)
    for window in (window for row in account.routes.windows() for window in row):
        variants[
            window.keep_rows.start : window.keep_rows.stop, window.keep_columns.start : window.keep_columns.stop
        ] = window.variant
    assert variants[:100].max() == 0
    assert variants[200:, 400:].mean() > 1.5
    told = np.repeat(np.repeat(scene // 2 + 30 * variants[..., None].astype(np.uint8), 2, 0), 2, 1)
    np.testing.assert_array_equal(picture, told)


def test_more_time_is_never_predicted_worse(routed: Made, scene: NDArray[np.uint8]) -> None:
    shares = []
    for percent in range(10, 101, 10):
        account, _ = spend(routed()[1], scene, f"{percent}%")
        assert account.kept
        shares.append(account.routes.shares().get(0, 0.0))
    assert shares[-1] < shares[0]


def test_auto_keeps_to_its_share(routed: Made, scene: NDArray[np.uint8]) -> None:
    account, _ = spend(routed()[1], scene, "auto")
    assert account.limit is None
    assert account.predicted <= 0.48 * account.widest + 1e-9  # type: ignore[operator]  # a number


def test_auto_interpolates_where_no_error_is_expected(routed: Made, spec: ModelSpec) -> None:
    """As of a blank page, by tables whose lowest bin is without any error."""
    table = {"score": "square", "bins": [0.0, 1.0], "errors": [[0.0, 9.0], [0.0, 5.0], [0.0, 4.0], [0.0, 3.0]]}
    spec = dataclasses.replace(spec, routing={**spec.routing, "table": table})
    account, _ = spend(routed(spec=spec)[1], np.full((80, 90, 3), 255, np.uint8), "auto")
    assert account.routes.shares() == {0: 1.0}


def test_too_little_is_interpolated_and_said(routed: Made, scene: NDArray[np.uint8]) -> None:
    engine, anytime = routed()
    account, _ = spend(anytime, scene, 1e-3)
    assert set(engine.variants) == {0}
    assert account.late
    assert not account.kept
    plain = account.as_plain()
    assert plain["too_little"] is True
    assert plain["kept"] is False


@pytest.mark.parametrize("budget", ["40%", "auto"])
def test_files_are_no_part_of_a_share(routed: Made, scene: NDArray[np.uint8], budget: str) -> None:
    """Neither until the picture is there nor while strips of the result are written."""
    quick, _ = spend(routed()[1], scene, budget)
    engine, anytime = routed()

    class Reading:
        height, width, layers, dtype = *scene.shape[:2], 1, scene.dtype

        def rows(self, start: int, stop: int) -> NDArray[Any]:
            engine.now += 10.0
            return scene[None, start:stop]

    class Writing(ArrayTarget):
        def done(self, strip: NDArray[Any]) -> None:
            engine.now += 10.0

    target = Writing(2 * len(scene), 2 * scene.shape[1], scene.dtype)
    account = anytime.run(
        Reading(), target, lambda done: None, budget=parse_budget(budget), terms=NOW, warn=print, ahead=1
    )
    assert engine.now > 100 + 20
    assert account.routes == quick.routes
    assert account.seconds == pytest.approx(quick.seconds)


def test_files_are_a_part_of_seconds(routed: Made, scene: NDArray[np.uint8]) -> None:
    engine, anytime = routed()

    class Writing(ArrayTarget):
        def done(self, strip: NDArray[Any]) -> None:
            engine.now += 0.01

    target = Writing(2 * len(scene), 2 * scene.shape[1], scene.dtype)
    account = anytime.run(
        ArraySource(scene), target, lambda done: None, budget=parse_budget(0.5), terms=NOW, warn=print, ahead=1
    )
    assert account.seconds == pytest.approx(engine.now - 100)


def test_time_that_has_passed_and_time_that_must_be_left(routed: Made, scene: NDArray[np.uint8]) -> None:
    engine, anytime = routed()
    account, _ = spend(anytime, scene, 0.3, Terms(began=engine.now - 0.1, after=0.05))
    assert engine.now - 100 <= 0.16
    assert account.seconds == pytest.approx(engine.now - 100 + 0.1)
    engine, anytime = routed()
    spend(anytime, scene, "auto", Terms(began=engine.now - 50, after=50))  # a share is of what the network takes
    assert set(engine.variants) != {0}


def test_nothing_is_measured_within_a_short_budget(
    routed: Made, spec: ModelSpec, scene: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even of a network that is expected to take long: measuring would take the budget."""
    routing = {**spec.routing, "macs": [1, 1, 10**8]}  # assumed to take 300 s
    engine, anytime = routed(spec=dataclasses.replace(spec, macs=10**8, routing=routing))
    planner = anytime._planner
    planner._known = None

    def measure(*args: Any, **options: Any) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr(planner, "_measure", measure)
    monkeypatch.setattr(prices, "guessed", partial(prices.guessed, clock=engine.clock))
    account, _ = spend(anytime, scene, 0.5)
    assert account.kept
    with pytest.raises(AssertionError, match="measured"):
        spend(anytime, scene, f"{LONG + 1}s")


def test_replayed(routed: Made, scene: NDArray[np.uint8]) -> None:
    account, picture = spend(routed()[1], scene, 0.2)
    routes = routes_from(plain_routes(account.routes))
    assert routes == account.routes
    again, same = spend(routed(3.0)[1], scene, None, Terms(routes=routes))
    np.testing.assert_array_equal(picture, same)
    assert again.limit is None
    assert again.as_plain()["widest"] is None
    assert again.kept


def test_layers_are_routed_together(routed: Made, scene: NDArray[np.uint8]) -> None:
    class Two:
        height, width, layers, dtype = *scene.shape[:2], 2, scene.dtype

        def rows(self, start: int, stop: int) -> NDArray[np.uint8]:
            return np.stack([scene, 255 - scene])[:, start:stop]

    class Result:
        def __init__(self) -> None:
            self.picture = np.zeros((2, 2 * scene.shape[0], 2 * scene.shape[1], 3), np.uint8)

        def room(self, start: int, stop: int) -> NDArray[np.uint8]:
            return self.picture[:, start:stop].copy()

        def done(self, strip: NDArray[np.uint8]) -> None:
            """What came is counted by its budget alone."""

    engine, anytime = routed()
    account = anytime.run(Two(), Result(), lambda done: None, budget=parse_budget(0.3), terms=NOW, warn=print, ahead=1)
    assert account.kept
    assert {shape[0] for shape in engine.calls} == {2}


def test_tiny_pictures(routed: Made) -> None:
    for size in ((1, 1), (1, 40), (33, 2), (5, 5)):
        account, picture = spend(routed()[1], np.full((*size, 3), 9, np.uint8), 0.5)
        assert picture.shape == (2 * size[0], 2 * size[1], 3)
        assert sum(account.routes.shares().values()) == pytest.approx(1)
        assert routes_from(plain_routes(account.routes)) == account.routes


# -- what is refused


def test_models_that_cannot_be_routed(routed: Made, spec: ModelSpec, make_spec: Callable[..., ModelSpec]) -> None:
    with pytest.raises(RequestError, match="runs whole pictures or fixed shapes here"):
        routed(spec=dataclasses.replace(spec, halo=None))
    with pytest.raises(RequestError, match="small has no variants"):
        routed(spec=make_spec())


def test_routes_of_another_picture(routed: Made, scene: NDArray[np.uint8]) -> None:
    account, _ = spend(routed()[1], scene, 0.2)
    with pytest.raises(RequestError, match="of a picture of 500×300, this one has 400×300"):
        spend(routed()[1], scene[:, :400], None, Terms(routes=account.routes))
    whole = ((Span(0, 300), Span(0, 300)),)
    unknown = Routes(300, 500, whole, ((Routed(Span(0, 500), Span(0, 500), 4),),))
    with pytest.raises(RequestError, match="these routes have variant 4; super has fewer"):
        spend(routed()[1], scene, None, Terms(routes=unknown))


PLAIN: dict[str, Any] = {
    "height": 4, "width": 6,
    "rows": [{"read": [0, 4], "keep": [0, 4], "windows": [[0, 4, 0, 3, 1], [2, 6, 3, 6, 0]]}],
}  # fmt: skip


def test_plain_routes_are_read() -> None:
    assert routes_from(PLAIN).shares() == {0: 0.5, 1: 0.5}


@pytest.mark.parametrize(
    "change",
    [
        {"height": 5},
        {"height": "4"},
        {"width": 7},
        {"rows": []},
        {"rows": 3},
        {"rows": [{"read": [0, 4], "keep": [0, 4]}]},
        {"rows": [{"read": [0, 4], "keep": [0, 4], "windows": [[0, 6, 0, 6, -1]]}]},
        {"rows": [{"read": [0, 4], "keep": [0, 4], "windows": [[0, 6, 0, 6, True]]}]},
        {"rows": [{"read": [0, 4], "keep": [0, 4], "windows": [[1, 6, 0, 6, 1]]}]},
        {"rows": [{"read": [0, 9], "keep": [0, 4], "windows": [[0, 6, 0, 6, 1]]}]},
        {"rows": [{"read": [0, 4], "keep": [0, 4], "windows": [[0, 6, 0, 2, 1], [0, 6, 3, 6, 1]]}]},
    ],
)
def test_damaged_routes(change: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="take a file that --json wrote"):
        routes_from({**PLAIN, **change})
    with pytest.raises(RequestError, match="take a file that --json wrote"):
        routes_from("routes")
