"""Any size: which networks run, and that the result is theirs, reduced."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelift.core.errors import RequestError
from edgelift.core.resize import resize
from edgelift.io.bundle import bundled
from edgelift.runtime import sizes, upscaler
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.runtime.sizes import Goal, SizedUpscaler, open_upscaler, passes
from edgelift.runtime.upscaler import Upscaler

SCALES = (2, 3, 4)


@pytest.fixture(autouse=True)
def nearest_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that enlarge by nearest neighbour: sizes are checked without an engine."""
    monkeypatch.setattr(
        upscaler, "open_engine", lambda bundle, name, options: FakeEngine(bundle.spec, samples=options.samples)
    )


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def test_pictures_at_once_share_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def slow(model: None, *, scale: int, **options: Any) -> Upscaler:
        time.sleep(0.05)
        made.append(scale)
        return Upscaler(model, scale=scale, **options)

    monkeypatch.setattr(sizes, "Upscaler", slow)
    with SizedUpscaler(Goal(width=30)) as upscaler, ThreadPoolExecutor(4) as pool:
        results = list(pool.map(upscaler, [noise(10, 12)] * 4))
    assert made == [3]
    assert {result.shape for result in results} == {(25, 30, 3)}


@pytest.mark.parametrize(
    ("factor", "chain"),
    [
        (0.5, ()),
        (1, ()),
        (1.01, (2,)),
        (2, (2,)),
        (2.1, (3,)),
        (4, (4,)),
        (4.1, (3, 2)),
        (6.5, (4, 2)),
        (9, (3, 3)),
        (16, (4, 4)),
    ],
)
def test_passes(factor: float, chain: tuple[int, ...]) -> None:
    assert passes(factor, SCALES) == chain


@given(st.floats(1.001, 16))
def test_passes_reach_the_factor_with_the_least_product(factor: float) -> None:
    reached = int(np.prod(passes(factor, SCALES)))
    every = {*SCALES, *(a * b for a in SCALES for b in SCALES)}
    assert reached == min(p for p in every if p >= factor - 1e-9)


def test_more_than_two_passes_is_refused() -> None:
    with pytest.raises(RequestError, match="at most ×16"):
        passes(16.1, SCALES)


@pytest.mark.parametrize(
    ("goal", "size"),
    [
        (Goal(scale=1.7), (17, 34)),
        (Goal(width=50), (25, 50)),
        (Goal(height=25), (25, 50)),
        (Goal(width=50, height=7), (7, 50)),
        (Goal(scale=0.01), (1, 1)),
    ],
)
def test_goal(goal: Goal, size: tuple[int, int]) -> None:
    assert goal.size(10, 20) == size


@pytest.mark.parametrize("wrong", [{"scale": 2.0, "width": 3}, {"scale": 0.0}, {"scale": -1.0}, {"width": -5}])
def test_goals_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(RequestError):
        Goal(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [1.3, 2.0, 2.5, 5.0, 7.5])
def test_result_is_the_networks_reduced(scale: float) -> None:
    picture = noise(21, 34)
    result = SizedUpscaler(Goal(scale=scale), "abpn-x3")(picture)
    factor = 3 if scale <= 3 else 9
    enlarged = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    np.testing.assert_array_equal(result, resize(enlarged, *Goal(scale=scale).size(21, 34)))


def test_reduction_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "Upscaler", None)
    picture = noise(40, 30)
    np.testing.assert_array_equal(SizedUpscaler(Goal(width=11))(picture), resize(picture, 15, 11))


@pytest.mark.parametrize(
    "options",
    [
        {"engine": "openvino"},
        {"device": "cpu"},
        {"precision": "f32"},
        {"tile": (64, 64)},
        {"batch": 2},
        {"merge": "feather"},
        {"overlap": 3},
        {"workers": 2},
        {"budget": "1s"},
        {"tta": True},
        {"model": "abpn-x2"},
        {"blend": "abpn-x2:0.5,fsrcnn-x2:0.5"},
        {"quality": "fast"},
        {"content": "photo"},
        {"denoise": 0.5},
    ],
    ids=str,
)
def test_a_reduction_takes_no_options_of_networks(options: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=f"no network runs; leave {next(iter(options))}"):
        open_upscaler(goal=Goal(scale=0.5), **options)


def test_what_no_network_could_serve_is_refused_at_once() -> None:
    for goal in (Goal(scale=1.7), Goal(scale=8), Goal(width=11)):
        with pytest.raises(RequestError, match="merge must be"):
            open_upscaler(goal=goal, merge="bogus")
    with pytest.raises(RequestError, match="one pass of a network"):
        open_upscaler(goal=Goal(scale=7), budget="1s")


def test_interpolation_goes_there_in_one_step() -> None:
    picture = noise(10, 20)
    np.testing.assert_array_equal(open_upscaler("lanczos", Goal(width=50))(picture), resize(picture, 25, 50, "lanczos"))


def test_exact_network_scale_needs_no_second_stage() -> None:
    assert isinstance(open_upscaler("abpn-x3", Goal(scale=3)), Upscaler)
    assert isinstance(open_upscaler("bicubic", Goal(scale=1.7)), Upscaler)
    assert isinstance(open_upscaler("abpn-x3", Goal(scale=2.9)), SizedUpscaler)


@pytest.mark.parametrize("options", [{"model": "abpn-x3"}, {"blend": "abpn-x3:0.5,espcn-x3:0.5"}])
@pytest.mark.parametrize("scale", [3, 2.9])
def test_a_named_network_is_opened_once(monkeypatch: pytest.MonkeyPatch, options: dict[str, str], scale: float) -> None:
    opened: list[str] = []
    whole = upscaler.open_engine
    monkeypatch.setattr(upscaler, "open_engine", lambda b, *rest: opened.append(b.spec.name) or whole(b, *rest))
    with open_upscaler(goal=Goal(scale=scale), **options):
        assert len(opened) == len(options.get("blend", "one").split(","))


def test_sixteen_bits_stay_sixteen() -> None:
    picture = noise(9, 9).astype(np.uint16) * 257
    result = SizedUpscaler(Goal(scale=2.5), "abpn-x3")(picture)
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, resize(picture.repeat(3, axis=0).repeat(3, axis=1), 22, 22))


def test_bundled_networks_exist_for_every_scale() -> None:
    assert set(sizes.DEFAULTS.values()) <= set(bundled())
    assert all(Path(p).stat().st_size < 3_000_000 for p in bundled().values())


def test_a_filter_is_applied_once_and_last() -> None:
    picture = noise(20, 20)
    plain = SizedUpscaler(Goal(scale=2.5), "abpn-x3")(picture)
    np.testing.assert_array_equal(
        SizedUpscaler(Goal(scale=2.5), "abpn-x3", filter="sharpen")(picture),
        Upscaler("nearest", scale=1, filter="sharpen")(plain),
    )
