"""Grids hold what they are made for, and weights keep the bound that byte arithmetic needs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgelift.core.grids import PIXELS, Grid, activation_grid, weight_grid

SIZES = st.floats(-1e4, 1e4, width=32)
WEIGHTS = arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 5), st.just(3), st.just(3)),
                        elements=st.floats(-8, 8, width=32))  # fmt: skip


@given(SIZES, SIZES, st.booleans())
def test_a_grid_of_8_bits_covers_its_range_and_has_0_on_it(a: float, b: float, symmetric: bool) -> None:
    low, high = min(a, b), max(a, b)
    grid = activation_grid(low, high, "int8", symmetric=symmetric)
    assert grid.dtype == np.uint8
    assert 0 <= grid.zero <= 255
    assert grid.low <= min(low, 0) + grid.scale
    assert grid.high >= max(high, 0) - grid.scale
    if symmetric:
        assert grid.zero == (128 if low < 0 else 0)


@given(SIZES, SIZES)
def test_a_grid_of_16_bits_is_symmetric(a: float, b: float) -> None:
    grid = activation_grid(min(a, b), max(a, b), "int16x8")
    assert (grid.zero, grid.dtype) == (0, np.int16)
    assert max(abs(a), abs(b)) <= grid.scale * 32767 * (1 + 1e-6)


def test_a_tensor_of_zeros_has_a_grid() -> None:
    assert activation_grid(0, 0, "int8").scale > 0
    assert (weight_grid(np.zeros((2, 3, 1, 1), np.float32), "int8") > 0).all()


def test_every_8_bit_sample_is_on_the_grid_of_pictures() -> None:
    for bits, grid in PIXELS.items():
        samples = np.arange(256) / grid.scale
        assert np.array_equal(samples, np.rint(samples)), bits
        assert grid.low <= 0
        assert grid.high >= 255
    assert (PIXELS["int8"].low, PIXELS["int8"].high) == (0, 255), "so that saturation clips"
    assert Grid(1.0, 0).bits == "int8"


@given(WEIGHTS)
def test_no_two_weights_of_a_channel_can_saturate_sixteen_bits(weight: np.ndarray) -> None:
    scale = weight_grid(weight, "int8").reshape(-1, 1, 1, 1)
    whole = np.clip(np.rint(weight / scale), -127, 127).reshape(len(weight), -1)
    ordered = np.sort(whole, axis=1)
    assert (np.clip(ordered[:, -2:], 0, None).sum(axis=1) * 255 <= 32767).all()
    assert (np.clip(ordered[:, :2], None, 0).sum(axis=1) * 255 >= -32768).all()
    assert np.abs(weight - whole.reshape(weight.shape) * scale).max() <= scale.max() * 0.5001


@pytest.mark.parametrize("bits", ["int8", "int16x8"])
def test_a_channel_of_one_weight_uses_the_whole_range(bits: str) -> None:
    scale = weight_grid(np.full((1, 1, 1, 1), -0.5, np.float32), bits)
    assert np.rint(-0.5 / scale[0]) == -127
