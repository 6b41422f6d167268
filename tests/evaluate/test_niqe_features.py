"""The features against known distributions, constants, and a plain form of the same sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelift.core.errors import RequestError
from edgelift.core.image import luma
from edgelift.core.resize import apply_taps, taps
from edgelift.evaluate.niqe_features import BLOCK, FEATURES, WINDOW, blocks_of, fit_aggd, half_size, luma_levels


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A plane of levels with soft texture and a blown-out part."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    plane = 120 + 60 * np.sin(x / 9 + np.cos(y / 7)) + rng.normal(0, 8, (height, width))
    plane[height // 3 : height // 2, width // 3 : width // 2] = 255
    return plane.clip(0, 255).astype(np.uint8)


# -- the distribution


@pytest.mark.parametrize(
    ("shape", "left", "right"), [(2.0, 1.0, 1.0), (1.0, 0.5, 1.5), (0.6, 2.0, 0.7), (4.0, 1.0, 3.0)]
)
def test_a_fit_finds_what_samples_were_drawn_from(shape: float, left: float, right: float) -> None:
    rng = np.random.default_rng(5)
    size = (1, 1000, 1000)
    magnitude = rng.gamma(1 / shape, size=size) ** (1 / shape)
    below = rng.random(size) < left / (left + right)  # the density is continuous at 0
    found = fit_aggd(np.where(below, -left * magnitude, right * magnitude).astype(np.float32))
    assert found.shape[0] == pytest.approx(shape, rel=0.02)
    assert found.left[0] == pytest.approx(left, rel=0.02)
    assert found.right[0] == pytest.approx(right, rel=0.02)
    mean = (right - left) * math.gamma(2 / shape) / math.gamma(1 / shape)
    assert found.mean[0] == pytest.approx(mean, abs=0.02)


def test_two_values_by_hand() -> None:
    # Half -1, half 3: deviations 1 and 3, mean absolute value 2, mean square 5, so r = 4/5 · (1/27+1)(1/3+1)/(1/9+1)².
    block = np.where(np.arange(4).reshape(1, 2, 2) % 2, np.float32(3), np.float32(-1))
    ratio = 0.8 * (1 / 27 + 1) * (1 / 3 + 1) / (1 / 9 + 1) ** 2
    assert ratio > math.gamma(0.2) ** 2 / (math.gamma(0.1) * math.gamma(0.3))  # beyond the last shape
    found = fit_aggd(block)
    scale = math.sqrt(math.gamma(0.1) / math.gamma(0.3))
    assert (found.shape[0], found.left[0], found.right[0]) == pytest.approx((10.0, scale, 3 * scale), rel=1e-6)


def test_without_values_on_one_side_there_are_no_scales() -> None:
    blocks = np.stack([np.zeros((4, 4)), np.ones((4, 4)), -np.ones((4, 4))]).astype(np.float32)
    found = fit_aggd(blocks)
    assert np.isnan(found.mean).all()
    np.testing.assert_array_equal(found.shape, 0.2)


# -- from luma to features


def test_the_window() -> None:
    assert WINDOW.shape == (7, 7)
    assert WINDOW.sum() == pytest.approx(1)
    assert WINDOW[3, 4] / WINDOW[3, 3] == pytest.approx(math.exp(-1 / (2 * (7 / 6) ** 2)))


@pytest.mark.parametrize("level", [0, 1, 77, 255])
def test_a_constant_has_no_deviation_and_no_features(level: int) -> None:
    blocks = blocks_of(np.full((192, 96), level, np.uint8))
    assert blocks.sharpness.tolist() == [0.0, 0.0]
    assert np.isnan(blocks.features).any(axis=1).all()


def plain_features(plane: np.ndarray) -> np.ndarray:
    """One block's 18 numbers in the words of the paper: whole windows, one sample after the other."""
    shapes = np.arange(0.2, 10.001, 0.001)
    gamma = np.vectorize(math.gamma)
    known = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))

    def fit(x: np.ndarray) -> tuple[float, float, float]:
        left, right = (np.sqrt(np.mean(part**2)) for part in (x[x < 0], x[x > 0]))
        skew = left / right
        ratio = np.mean(abs(x)) ** 2 / np.mean(x**2) * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
        a = float(shapes[np.argmin(abs(known - ratio))])
        scale = math.sqrt(math.gamma(1 / a) / math.gamma(3 / a))
        return a, left * scale, right * scale

    a, left, right = fit(plane)
    numbers = [a, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a, left, right = fit(plane * np.roll(plane, shift, (0, 1)))
        numbers += [a, (right - left) * math.gamma(2 / a) / math.gamma(1 / a), left, right]
    return np.array(numbers)


def plain_normalised(plane: np.ndarray) -> np.ndarray:
    views = np.lib.stride_tricks.sliding_window_view(np.pad(plane, 3, mode="edge"), (7, 7))
    mean = np.einsum("yxab,ab->yx", views, WINDOW)
    variance = np.einsum("yxab,ab->yx", views**2, WINDOW) - mean**2
    return (plane - mean) / (np.sqrt(abs(variance)) + 1)


def test_features_are_those_of_the_plain_form() -> None:
    rng = np.random.default_rng(1)
    levels = (120 + 50 * np.sin(np.mgrid[:192, :288][1] / 9) + rng.normal(0, 9, (192, 288))).astype(np.uint8)
    found = blocks_of(levels).features
    planes = {96: plain_normalised(levels.astype(float)), 48: plain_normalised(half_size(levels).astype(float))}
    for row, column in ((0, 0), (1, 2)):
        parts = [plane[row * n : row * n + n, column * n : column * n + n] for n, plane in planes.items()]
        wanted = np.concatenate([plain_features(part) for part in parts])
        np.testing.assert_allclose(found[row * 3 + column], wanted, atol=2e-3)


def test_half_size_is_the_antialiased_bicubic() -> None:
    levels = smooth(40, 60)
    wanted: np.ndarray = levels.astype(np.float64)
    for axis in (0, 1):
        wanted = apply_taps(wanted, taps(levels.shape[axis], levels.shape[axis] // 2), axis)
    np.testing.assert_allclose(half_size(levels)[4:-4, 4:-4], wanted[4:-4, 4:-4], atol=1e-4)
    np.testing.assert_array_equal(half_size(np.full((8, 6), 77, np.uint8)), np.full((4, 3), 77.0))


def test_half_size_is_mirrored_at_the_border() -> None:
    levels = smooth(16, 16)
    larger = np.pad(levels, 8, mode="symmetric")
    np.testing.assert_array_equal(half_size(larger)[4:-4, 4:-4], half_size(levels))


@given(st.integers(0, BLOCK - 1), st.integers(0, BLOCK - 1), st.integers(1, 3))
def test_only_whole_blocks_count(more_rows: int, more_columns: int, threads: int) -> None:
    levels = smooth(2 * BLOCK, 3 * BLOCK)
    larger = np.pad(levels, ((0, more_rows), (0, more_columns)), constant_values=9)
    some, all_of_it = blocks_of(larger, threads=threads), blocks_of(levels)
    np.testing.assert_array_equal(some.features, all_of_it.features)
    np.testing.assert_array_equal(some.sharpness, all_of_it.sharpness)


def test_a_block_has_its_place() -> None:
    levels = smooth(3 * BLOCK, 2 * BLOCK)
    levels[2 * BLOCK :, :BLOCK] = 128  # the fifth block, but for what its neighbours' windows see
    blocks = blocks_of(levels)
    assert blocks.features.shape == (6, FEATURES)
    assert blocks.sharpness.argmin() == 4


@pytest.mark.parametrize("shape", [(95, 400), (400, 95), (1, 1)])
def test_less_than_a_block_has_none(shape: tuple[int, int]) -> None:
    blocks = blocks_of(np.zeros(shape, np.uint8))
    assert (blocks.features.shape, blocks.sharpness.shape) == ((0, FEATURES), (0,))


# -- luma


def test_luma_is_in_whole_levels() -> None:
    picture = noise(200, 30)
    levels = luma_levels(picture)
    np.testing.assert_array_equal(levels, np.rint(luma(picture)))
    assert luma_levels(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)).tolist() == [[16, 235]]


def test_other_sample_types() -> None:
    picture = noise(100, 30)
    for other in (picture.astype(np.uint16) * 257, picture.astype(np.float32)):
        np.testing.assert_array_equal(luma_levels(other), luma_levels(picture))
    plane = picture[..., 0]
    for other in (plane, plane.astype(np.uint16) * 257, plane.astype(np.float32)):
        np.testing.assert_array_equal(luma_levels(other), plane)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 4), np.float64),
        np.full((4, 4, 3), np.nan, np.float32),
        np.full((4, 4), np.inf, np.float32),
        [[1, 2], [3, 4]],
    ],
)
def test_what_is_no_picture_is_refused(picture: np.ndarray) -> None:
    with pytest.raises(RequestError):
        luma_levels(picture)
