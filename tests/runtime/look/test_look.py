"""Looking at a picture: the sample, noise and JPEG of known strength, and what that asks for."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgelift.core.resize import resize
from edgelift.runtime.look.content import FEATURES, bundled_classifier, features_of
from edgelift.runtime.look.faults import CLEAN, faults_of
from edgelift.runtime.look.look import STEPS, look_at_array, look_at_file
from edgelift.runtime.look.sample import SIDE, sample_of
from edgelift.runtime.look.traits import TRAITS, traits_of
from edgelift.runtime.look.wanted import Estimator, bundled_estimator

Image = pytest.importorskip("PIL.Image")
Photograph = Callable[[int, int], NDArray[np.uint8]]


def _scene(height: int, width: int) -> NDArray[np.uint8]:
    """Smooth shading with edges and no noise."""
    y, x = np.mgrid[:height, :width][..., None] / 40.0
    shade = 120 + 70 * np.sin(y + np.array([0, 1, 2])) * np.cos(x * 0.7) + 25 * np.sign(np.sin(2.1 * x + y))
    return np.clip(np.rint(shade + 9 * np.sin(9 * x) * np.sin(11 * y)), 0, 255).astype(np.uint8)


def _jpeg(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    packed = io.BytesIO()
    Image.fromarray(picture).save(packed, "JPEG", quality=quality)
    with Image.open(packed) as opened:
        return np.asarray(opened.convert("RGB"))


def _reduced(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    return np.asarray(resize(picture, picture.shape[0] // factor, picture.shape[1] // factor))


def _faults(picture: NDArray[np.uint8]) -> tuple[float, int]:
    found = faults_of(sample_of(lambda a, b: picture[a:b], *picture.shape[:2]).patches)
    return found.noise, found.jpeg


# -- the sample
@example(1, 385)
@given(st.integers(1, 900), st.integers(1, 900))
@settings(max_examples=15)
def test_rows_are_asked_for_once_from_above(height: int, width: int) -> None:
    picture = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    asked: list[tuple[int, int]] = []

    def rows(start: int, stop: int) -> NDArray[np.uint8]:
        asked.append((start, stop))
        return picture[start:stop]

    sample = sample_of(rows, height, width)
    assert asked[0][0] == 0
    assert asked[-1][1] == height
    assert all(before[1] == after[0] for before, after in itertools.pairwise(asked))
    assert min(sample.small.shape) >= 1
    assert max(sample.small.shape[:2]) <= 384
    assert len(features_of(sample.small)) == len(FEATURES)
    assert np.isfinite(features_of(sample.small)).all()
    side = sample.patches.shape[1]
    if min(height, width) >= SIDE:
        assert side == SIDE
    for patch in sample.patches[:3]:
        places = np.lib.stride_tricks.sliding_window_view(picture, patch.shape)[::8, ::8, 0]
        assert (places == patch).all(axis=(2, 3, 4)).any(), "patches are parts of the picture at multiples of 8"


def test_the_type_of_samples_does_not_matter() -> None:
    picture = _scene(300, 400)
    deep, floats = picture.astype(np.uint16) * 257, picture.astype(np.float32)
    assert look_at_array(picture) == look_at_array(deep) == look_at_array(floats)


# -- noise and JPEG
@pytest.mark.parametrize("sigma", [2, 5, 10, 20])
def test_noise_is_measured(sigma: int) -> None:
    rng = np.random.default_rng(sigma)
    scene = _scene(400, 500)
    noisy = np.clip(np.rint(scene + rng.normal(0, sigma, scene.shape)), 0, 255).astype(np.uint8)
    noise, jpeg = _faults(noisy)
    assert noise == pytest.approx(sigma, rel=0.15)
    assert jpeg == CLEAN
    assert _faults(scene)[0] < 1


@pytest.mark.parametrize("quality", [20, 40, 60, 80])
@pytest.mark.parametrize("cut", [(0, 0), (3, 5), (7, 1)])
def test_traces_of_jpeg_tell_its_quality_wherever_blocks_begin(
    photograph: Photograph, quality: int, cut: tuple[int, int]
) -> None:
    picture = _jpeg(photograph(400, 500), quality)[cut[0] :, cut[1] :]
    assert abs(_faults(picture)[1] - quality) <= 2
    assert _faults(photograph(400, 500))[1] == CLEAN


def test_noise_before_jpeg_is_seen_where_its_steps_are_fine() -> None:
    rng = np.random.default_rng(0)
    scene = _scene(400, 500)
    noisy = np.clip(np.rint(scene + rng.normal(0, 20, scene.shape)), 0, 255).astype(np.uint8)
    assert _faults(_jpeg(noisy, 85))[0] > 10
    assert _faults(_jpeg(scene, 85))[0] < 4


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (15, 15), (16, 16), (17, 2000)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_small_and_flat_pictures_are_clean(shape: tuple[int, int], level: int) -> None:
    found = look_at_array(np.full((*shape, 3), level, np.uint8))
    assert (round(found.noise, 3), found.jpeg, found.denoise) == (0.0, CLEAN, 0.0)


# -- what it asks for
def test_what_is_worse_asks_for_more(leaves: Photograph) -> None:
    clean, rng = leaves(90, 120), np.random.default_rng(0)
    noise = rng.normal(0, 1, clean.shape)
    noisy = [np.clip(np.rint(clean + sigma * noise), 0, 255).astype(np.uint8) for sigma in (0, 12, 50)]
    none, some, much = (look_at_array(picture).denoise for picture in noisy)
    assert none == 0
    assert none < some < much
    assert look_at_array(_jpeg(clean, 40)).denoise > 0.5
    blurred = resize(leaves(45, 60), 90, 120)
    assert look_at_array(blurred).denoise > 0.5
    assert (look_at_array(blurred).noise, look_at_array(blurred).jpeg) == (pytest.approx(0, abs=1), CLEAN)


@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.integers(1, 90))
@settings(max_examples=15)
def test_every_picture_has_traits_and_a_weight(seed: int, height: int, width: int) -> None:
    """Noise, flat areas, one colour, black and white alone: nothing is divided by nothing, and the same is seen each time."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height, width, 3), np.uint8) if seed % 2 else np.zeros((height, width, 3), np.uint8)
    picture[: height // 2] = rng.choice([0, 255, seed % 256])
    found = look_at_array(picture)
    assert 0 <= found.wanted <= 1
    assert found.denoise * STEPS in range(STEPS + 1)
    assert look_at_array(picture.copy()) == found
    assert look_at_array(picture.astype(np.uint16) * 257) == found
    patches = sample_of(lambda a, b: picture[a:b], height, width).patches
    if len(patches):
        values = traits_of(patches)[1]
        assert values.shape == (len(TRAITS),)
        assert np.isfinite(values).all()


def test_the_estimator_reads_what_it_wrote() -> None:
    bundled = bundled_estimator()
    again = Estimator.from_json(bundled.to_json())
    traits = np.random.default_rng(0).normal(0, 3, (50, len(TRAITS)))
    assert np.array_equal(again.wanted(traits), bundled.wanted(traits))
    held = bundled.mean + 1000 * bundled.spread
    assert bundled.wanted(held) == bundled.wanted(10 * held - 9 * bundled.mean), "beyond what was fitted all is one"


def test_clean_and_degraded_photographs_are_told_apart(pictures: Path) -> None:
    """Reductions of training pictures are left as they are, mostly; their second-order copies of medium strength are not."""
    from edgelift.training.degrade.files import degrade_file
    from edgelift.training.degrade.settings import PRESETS

    files = sorted((pictures / "train" / "BSDS400").iterdir())[::50]
    clean, real = [], []
    for path in files:
        with Image.open(path) as opened:
            clean.append(look_at_array(_reduced(np.asarray(opened.convert("RGB")), 4)).denoise)
        real.append(look_at_array(degrade_file(path, PRESETS["medium"], 4, seed=5)[0]).denoise)
    assert np.mean(clean) < 0.2
    assert np.mean(real) > 0.7


def test_a_file_says_more_than_its_samples(tmp_path: Path) -> None:
    flat = np.full((80, 80, 3), 90, np.uint8)
    Image.fromarray(flat).save(tmp_path / "a.jpg", quality=35)
    assert look_at_array(flat).jpeg == CLEAN
    assert abs(look_at_file(tmp_path / "a.jpg").jpeg - 35) <= 1


def test_the_classifier_in_the_package_tells_the_training_pictures_apart(pictures: Path) -> None:
    found = {}
    for folder in ("Drawn", "SunHays80"):
        files = sorted((pictures / "train" / folder).iterdir())[:12]
        features = []
        for path in files:
            with Image.open(path) as opened:
                picture = np.asarray(opened.convert("RGB"))
            features.append(features_of(sample_of(lambda a, b, p=picture: p[a:b], *picture.shape[:2]).small))
        found[folder] = bundled_classifier().drawn(np.array(features)) > 0.5
    assert found["Drawn"].mean() >= 0.8
    assert found["SunHays80"].mean() <= 0.2
