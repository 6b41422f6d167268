"""Blur kernels: their forms, by hand and by what they must do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgelift.training.degrade import kernels

SIZES = st.integers(1, 10).map(lambda n: 2 * n + 1)
WIDTHS = st.floats(0.2, 3.0)


def test_a_gaussian_by_hand() -> None:
    ring, corner = math.exp(-0.5), math.exp(-1)
    expected = np.array([[corner, ring, corner], [ring, 1, ring], [corner, ring, corner]])
    assert kernels.isotropic(3, 1.0) == pytest.approx(expected / expected.sum())


@settings(max_examples=30)
@given(SIZES, WIDTHS, WIDTHS, st.floats(-math.pi, math.pi), st.floats(0.5, 4.0))
def test_all_sum_to_one_and_have_no_direction_forwards(
    size: int, wide: float, high: float, angle: float, beta: float
) -> None:
    for kernel in (
        kernels.isotropic(size, wide),
        kernels.anisotropic(size, (wide, high), angle),
        kernels.generalised(size, (wide, high), angle, beta),
        kernels.plateau(size, (wide, high), angle, beta),
    ):
        assert kernel.shape == (size, size)
        assert kernel.sum() == pytest.approx(1)
        assert kernel.min() >= 0
        assert kernel == pytest.approx(kernel[::-1, ::-1])
        assert kernel.max() == kernel[size // 2, size // 2]


def test_a_quarter_turn_swaps_the_axes() -> None:
    lying = kernels.anisotropic(9, (3.0, 0.5), 0.0)
    assert lying[4, 0] > 100 * lying[0, 4]  # wide along the rows
    assert kernels.anisotropic(9, (3.0, 0.5), math.pi / 2) == pytest.approx(lying.T)
    assert kernels.anisotropic(9, (3.0, 0.5), math.pi / 4) == pytest.approx(
        kernels.anisotropic(9, (3.0, 0.5), math.pi / 4).T
    )


def test_exponents_make_kernels_flatter_or_more_pointed() -> None:
    plain = kernels.isotropic(15, 2.0)
    assert kernels.generalised(15, (2.0, 2.0), 0.0, 1.0) == pytest.approx(plain)
    drop = [k[7, 7] / k[7, 8] for k in (kernels.generalised(15, (2.0, 2.0), 0.0, beta) for beta in (0.5, 1.0, 4.0))]
    assert drop[0] > drop[1] > drop[2] >= 1
    flat = kernels.plateau(15, (2.0, 2.0), 0.0, 2.0)
    assert flat[7, 7] / flat[7, 8] == pytest.approx(1 + (1 / 4) ** 2)
    assert flat[7, 14] > 3 * plain[7, 14]  # its tails are slow


@pytest.mark.parametrize(("x", "value"), [(0.0, 0.0), (1.0, 0.4400505857), (10.0, 0.0434727462), (40.0, 0.1260383182)])
def test_bessel_by_the_tables(x: float, value: float) -> None:
    assert kernels._bessel_j1(np.array([x]))[0] == pytest.approx(value, abs=1e-9)


def test_a_sinc_passes_what_is_slower_than_its_cutoff_and_stops_the_rest() -> None:
    kernel = kernels.sinc(21, math.pi / 2)
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() < 0  # it rings
    response = np.abs(np.fft.fft2(kernel, (64, 64)))
    y, x = np.meshgrid(*[2 * np.pi * np.fft.fftfreq(64)] * 2, indexing="ij")
    radius = np.hypot(y, x)
    assert response[radius < 0.35 * math.pi] == pytest.approx(1, abs=0.2)
    assert response[radius > 0.65 * math.pi] == pytest.approx(0, abs=0.2)


def test_the_widest_sinc_changes_little() -> None:
    assert kernels.sinc(7, math.pi)[3, 3] > 0.7


def test_a_frame_of_zeros() -> None:
    framed = kernels.framed(kernels.isotropic(7, 1.0), 21)
    assert framed.shape == (21, 21)
    assert framed[7:14, 7:14] == pytest.approx(kernels.isotropic(7, 1.0))
    assert framed.sum() == pytest.approx(1)


@pytest.mark.parametrize("size", [0, 4, -3])
def test_sizes_that_have_no_middle_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="must be odd"):
        kernels.sinc(size, 1.0)
