"""Each step on one picture, by hand or by what it must do; and whole files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgelift.core.errors import InputError
from edgelift.core.metrics import psnr
from edgelift.core.resize import resize
from edgelift.training.degrade import codecs, kernels, pictures
from edgelift.training.degrade.files import degrade_file, png_of
from edgelift.training.degrade.pictures import degrade_picture
from edgelift.training.degrade.settings import PRESETS, Degradation, Order, degradation_from
from edgelift.training.degrade.sizes import as_matrix, fast_length, taps_of
from edgelift.training.degrade.steps import Jpeg, Resize, draw


def _scene(height: int = 48, width: int = 64) -> np.ndarray:
    """Waves, an edge and some texture: H × W × 3 uint8."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / (3 + c)) + np.cos(y / (5 - c)) for c in range(3)], axis=2)
    scene = 128 + 45 * waves + np.where(x > width // 2, 30, 0)[:, :, None]
    return np.clip(scene + np.random.default_rng(0).normal(0, 3, scene.shape), 0, 255).astype(np.uint8)


def _rng() -> np.random.Generator:
    return np.random.default_rng(1)


# -- blur
def test_a_blur_is_the_convolution_with_repeated_edges() -> None:
    picture = _scene(13, 17).astype(np.float32)
    kernel = kernels.anisotropic(5, (2.0, 0.7), 0.6)
    wide = np.pad(picture, ((2, 2), (2, 2), (0, 0)), mode="edge")
    direct = sum(kernel[a, b] * wide[a : a + 13, b : b + 17] for a in range(5) for b in range(5))
    assert pictures.blurred(picture, kernel) == pytest.approx(direct, abs=1e-3)


def test_flat_pictures_stay_flat() -> None:
    flat = np.full((9, 11, 3), 77, np.float32)
    assert pictures.blurred(flat, kernels.sinc(21, 1.5)) == pytest.approx(flat, abs=1e-3)
    for method in ("area", "bilinear", "bicubic"):
        assert pictures.resized(flat, 5, 20, method) == pytest.approx(np.full((5, 20, 3), 77), abs=1e-3)


@pytest.mark.parametrize(("least", "length"), [(1, 1), (7, 8), (97, 100), (244, 250), (256, 256)])
def test_quick_lengths(least: int, length: int) -> None:
    assert fast_length(least) == length


# -- sizes
def test_area_by_hand() -> None:
    assert as_matrix(taps_of(4, 2, "area"), 4) == pytest.approx(np.array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]))
    third = 1 / 2  # three samples in two: each covers two of them, the middle one in part
    assert as_matrix(taps_of(3, 2, "area"), 3) == pytest.approx(np.array([[third, third, 0], [0, third, third]]))
    assert as_matrix(taps_of(2, 4, "area"), 2) == pytest.approx(np.array([[1, 0], [1, 0], [0, 1], [0, 1]]))


def test_interpolation_does_not_guard_against_aliasing() -> None:
    stripes = np.tile(np.array([0, 255], np.float32), 32)[None, :, None].repeat(8, 0).repeat(3, 2)
    assert pictures.resized(stripes, 8, 20, "bilinear").std() > 20
    assert pictures.resized(stripes, 8, 16, "area").std() < 1e-3


# -- noise
@pytest.mark.parametrize("grey", [False, True])
def test_gaussian_noise_has_the_deviation_that_was_asked(grey: bool) -> None:
    noise = pictures.gaussian_noise(np.full((100, 100, 3), 128, np.float32), 10.0, _rng(), grey=grey) - 128
    assert noise.std() == pytest.approx(10, rel=0.03)
    assert noise.mean() == pytest.approx(0, abs=0.3)
    assert np.array_equal(noise[:, :, 0], noise[:, :, 2]) == grey


@pytest.mark.parametrize("level", [40.0, 200.0])
@pytest.mark.parametrize("grey", [False, True])
def test_poisson_noise_grows_with_the_light(level: float, grey: bool) -> None:
    noise = pictures.poisson_noise(np.full((100, 100, 3), level, np.float32), 2.0, _rng(), grey=grey) - level
    photons = level / 255 * pictures.PHOTONS
    assert noise.std() == pytest.approx(2 * np.sqrt(photons) * 255 / pictures.PHOTONS, rel=0.05)
    assert np.array_equal(noise[:, :, 0], noise[:, :, 1]) == grey


def test_noise_stays_in_range() -> None:
    for add in (pictures.gaussian_noise, pictures.poisson_noise):
        made = add(np.array([[[0, 128, 255]]], np.float32).repeat(99, 0), 9.0, _rng(), grey=False)
        assert made.min() >= 0
        assert made.max() <= 255


# -- compression, banding, sharpening
def test_compression_loses_more_at_a_lower_quality() -> None:
    scene = _scene()
    for codec in (lambda q: codecs.jpeg(scene, q, halved=False), lambda q: codecs.webp(scene, q)):
        scores = [psnr(codec(quality), scene) for quality in (10, 50, 95)]
        assert scores == sorted(scores)
    assert psnr(codecs.jpeg(scene, 95, halved=False), scene) > psnr(codecs.jpeg(scene, 95, halved=True), scene)


def test_a_shift_moves_the_blocks() -> None:
    scene = _scene(40, 40)
    plain = degrade_picture(scene, [Jpeg(np.array([20]), False)])
    moved = degrade_picture(scene, [Jpeg(np.array([20]), False, (3, 5))])
    assert moved.shape == plain.shape
    expected = codecs.jpeg(np.pad(scene, ((3, 0), (5, 0), (0, 0)), mode="edge"), 20, halved=False)[3:, 5:]
    assert np.array_equal(moved, expected)
    assert not np.array_equal(moved, plain)


def test_few_levels_by_hand() -> None:
    picture = np.array([[[0, 60, 70], [128, 200, 255]]], np.float32)
    assert pictures.banded(picture, 5) == pytest.approx(np.array([[[0, 63.75, 63.75], [127.5, 191.25, 255]]]))
    assert pictures.banded(picture, 256) == pytest.approx(picture)


def test_sharpening_raises_edges_and_leaves_flat_parts() -> None:
    edge = np.full((40, 60, 3), 90, np.uint8)
    edge[:, 30:] = 150
    sharp = pictures.sharpened(edge, 0.5)
    assert sharp[20, 31, 0] > 155
    assert sharp[20, 28, 0] < 85
    assert np.array_equal(sharp[:, :2], edge[:, :2])
    assert pictures.sharpened(edge, 0.0) is edge


# -- together
@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize("scale", [1, 3, 4])
def test_a_whole_degradation_gives_the_low_resolution_always_alike(name: str, scale: int) -> None:
    scene = _scene(36, 48)
    once, again = (degrade_picture(scene, draw(PRESETS[name], scale, 1, _rng())) for _ in range(2))
    assert once.shape == (36 // scale, 48 // scale, 3)
    assert once.dtype == np.uint8
    assert np.array_equal(once, again)


def test_stronger_presets_lose_more() -> None:
    scene, losses = _scene(64, 96), []
    for name in ("light", "medium", "strong"):
        made = [degrade_picture(scene, draw(PRESETS[name], 2, 1, np.random.default_rng(k))) for k in range(12)]
        losses.append(np.mean([psnr(one, resize(scene, 32, 48)) for one in made]))
    assert losses[0] > losses[1] + 1
    assert losses[1] > losses[2] + 1


def test_the_second_picture_of_a_draw_has_its_own_values() -> None:
    steps = draw(PRESETS["medium"], 2, 2, _rng())
    assert not np.array_equal(degrade_picture(_scene(), steps, 0), degrade_picture(_scene(), steps, 1))


def test_one_pixel_survives() -> None:
    pixel = np.full((1, 1, 3), 200, np.uint8)
    for seed in range(10):
        assert degrade_picture(pixel, draw(PRESETS["strong"], 1, 1, np.random.default_rng(seed))).shape == (1, 1, 3)


def test_sizes_are_those_of_the_sharp_picture() -> None:
    steps = [Resize(0.5, "area"), Resize(1.0, "bilinear"), Resize(0.25, "bicubic")]
    assert degrade_picture(_scene(40, 60), steps).shape == (10, 15, 3)


# -- files
def _nothing() -> Degradation:
    """Settings that only reduce, by area or interpolation, and compress hardly."""
    order = {"blur": 0, "resize": [0, 0, 1], "noise": [0, 0], "gaussian": 1, "quality": [100, 100]}
    return degradation_from({"final_sinc": 0, "chroma": 0, "first": order, "second": order})


def test_a_file_is_cropped_and_degraded_by_seed_and_name_alone(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(_scene(41, 62)).save(tmp_path / folder / "s.png")
    low, facts = degrade_file(tmp_path / "a" / "s.png", PRESETS["strong"], 4, 7)
    assert low.shape == (10, 15, 3)
    assert (facts["height"], facts["width"], facts["seed"]) == (10, 15, 7)
    assert [step["step"] for step in facts["steps"]][:1] == ["blur"]
    assert np.array_equal(degrade_file(tmp_path / "b" / "s.png", PRESETS["strong"], 4, 7)[0], low)
    assert not np.array_equal(degrade_file(tmp_path / "b" / "s.png", PRESETS["strong"], 4, 8)[0], low)
    (tmp_path / "low.png").write_bytes(png_of(low))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "low.png")), low)


def test_settings_that_do_next_to_nothing_only_reduce(tmp_path: Path) -> None:
    Image.fromarray(_scene(40, 60)).save(tmp_path / "s.png")
    low, _ = degrade_file(tmp_path / "s.png", _nothing(), 1, 0)
    assert psnr(low, _scene(40, 60)) > 38


def test_files_that_cannot_be_degraded_say_why(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_bytes(b"no picture")
    Image.fromarray(_scene(3, 9)).save(tmp_path / "tiny.png")
    with pytest.raises(InputError, match=r"text\.png: cannot be read"):
        degrade_file(tmp_path / "text.png", Degradation(), 4, 0)
    with pytest.raises(InputError, match=r"absent\.png: cannot be read"):
        degrade_file(tmp_path / "absent.png", Degradation(), 4, 0)
    with pytest.raises(InputError, match=r"tiny\.png: 9×3 is too small to be reduced 4 times"):
        degrade_file(tmp_path / "tiny.png", Degradation(), 4, 0)


def test_defaults_of_an_order_are_the_first_one_that_was_published() -> None:
    assert Order() == Degradation().first
