"""What is drawn: within the ranges, by the generator alone, in the published order."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgelift.training.degrade import steps as drawing
from edgelift.training.degrade.settings import PRESETS, Degradation, Order
from edgelift.training.degrade.steps import Banding, Blur, Jpeg, Noise, Resize, Step, Webp, draw

SEEDS = st.integers(0, 2**32)


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _facts(steps: list[Step], number: int = 0) -> list[dict[str, Any]]:
    return [step.facts(number) for step in steps]


@pytest.mark.parametrize("name", list(PRESETS))
def test_the_same_generator_draws_the_same_and_facts_are_plain(name: str) -> None:
    once, again = (draw(PRESETS[name], 4, 3, _rng(5)) for _ in range(2))
    assert _facts(once, 2) == _facts(again, 2)
    for a, b in zip(once, again, strict=True):
        if isinstance(a, Blur):
            assert isinstance(b, Blur)
            assert np.array_equal(a.kernels, b.kernels)
    assert json.loads(json.dumps(_facts(once))) == _facts(once)
    assert _facts(once) != _facts(draw(PRESETS[name], 4, 3, _rng(6)))


@settings(max_examples=40)
@given(SEEDS, st.sampled_from(list(PRESETS)), st.integers(1, 4))
def test_values_lie_within_their_ranges(seed: int, name: str, scale: int) -> None:
    preset = PRESETS[name]
    for number, step in enumerate(draw(preset, scale, 2, _rng(seed))):
        order = preset.first if number < 4 else preset.second
        if isinstance(step, Blur):
            assert step.kernels.shape == (2, 21, 21)
            assert step.kernels.sum(axis=(1, 2)) == pytest.approx(1)
            for about in step.about:
                assert 7 <= about["size"] <= 21
                assert about["size"] % 2 == 1
        elif isinstance(step, Noise):
            low, high = order.noise if step.kind == "gaussian" else order.poisson
            assert ((low <= step.strength) & (step.strength <= high)).all()
        elif isinstance(step, Jpeg | Webp):
            limits = (min(preset.first.quality[0], preset.second.quality[0]), 98)
            assert ((limits[0] <= step.quality) & (step.quality <= limits[1])).all()
        elif isinstance(step, Banding):
            assert ((preset.levels[0] <= step.levels) & (step.levels <= preset.levels[1])).all()
        else:
            assert 0.15 / scale <= step.share <= 1.5
            assert step.method in ("area", "bilinear", "bicubic")


@settings(max_examples=30)
@given(SEEDS, st.sampled_from(list(PRESETS)))
def test_the_last_resize_gives_the_low_resolution(seed: int, name: str) -> None:
    steps = draw(PRESETS[name], 4, 1, _rng(seed))
    sizes = [step for step in steps if isinstance(step, Resize)]
    assert len(sizes) == 3
    assert sizes[-1].share == 0.25


def test_the_published_order_with_both_ends() -> None:
    always = dataclasses.replace(PRESETS["published"], final_sinc=1.0, second=dataclasses.replace(Order(), blur=1.0))
    begin = ["blur", "resize", "noise", "jpeg", "blur", "resize", "noise"]
    seen = {tuple(f["step"] for f in _facts(draw(always, 4, 1, _rng(seed)))) for seed in range(20)}
    assert seen == {(*begin, "resize", "blur", "jpeg"), (*begin, "jpeg", "resize", "blur")}


def test_what_has_no_chance_is_never_drawn_and_what_is_sure_always() -> None:
    none = dataclasses.replace(PRESETS["published"], first=Order(blur=0), second=Order(blur=0), final_sinc=0.0)
    more = dataclasses.replace(none, webp=1.0, banding=1.0, repeats=3)
    repeats = set()
    for seed in range(30):
        assert not any(isinstance(step, Blur | Webp | Banding) for step in draw(none, 2, 1, _rng(seed)))
        steps = draw(more, 2, 1, _rng(seed))
        assert sum(isinstance(step, Webp) for step in steps) == sum(isinstance(step, Banding) for step in steps) == 1
        repeats.add(sum(isinstance(step, Jpeg) for step in steps) - 1)  # one is the first order's
    assert repeats == {0, 1, 2, 3}


def test_sizes_go_up_down_and_stay_as_often_as_asked() -> None:
    order = Order(resize=(1, 2, 1), factor=(0.5, 2.0))
    shares = np.array([drawing.draw_resize(order, 1.0, _rng(seed)).share for seed in range(800)])
    assert np.mean(shares == 1) == pytest.approx(0.25, abs=0.06)
    assert np.mean(shares < 1) == pytest.approx(0.5, abs=0.06)
    assert (shares.min() < 0.55, shares.max() > 1.9) == (True, True)


def test_every_kind_of_kernel_comes() -> None:
    order = Order(sinc=0.2, kernels=(1, 1, 1, 1, 1, 1))
    (blur,) = drawing.draw_blur(order, 300, _rng())
    assert isinstance(blur, Blur)
    assert {about["kernel"] for about in blur.about} == {"sinc", "gaussian", "generalised", "plateau"}
    turned = [about for about in blur.about if about.get("angle")]
    assert turned
    assert all(about["sigma"][0] != about["sigma"][1] for about in turned)
    betas = [about["beta"] for about in blur.about if about["kernel"] == "generalised"]
    assert min(betas) < 1 < max(betas)
    assert min(betas) >= 0.5
    assert max(betas) <= 4


def test_colour_is_halved_as_often_as_asked() -> None:
    settings_of = [dataclasses.replace(Degradation(), chroma=chance) for chance in (0.0, 1.0)]
    halved = [{drawing.draw_jpeg(s, Order(), 1, _rng(seed)).halved for seed in range(20)} for s in settings_of]
    assert halved == [{False}, {True}]
