"""Interpolation: met to the bit on the published benchmarks, by hand on small cases, by properties on all sizes."""

from __future__ import annotations

import math
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgelift.core import resize as module
from edgelift.core.errors import RequestError
from edgelift.core.image import PEAK, round_to
from edgelift.core.resize import KERNELS, Resizer, Taps, apply_taps, resize, taps

SIDES = st.integers(1, 40)
KERNEL_NAMES = st.sampled_from(sorted(KERNELS))
DTYPES = st.sampled_from(sorted(PEAK))


def _weights(along: Taps, row: int) -> dict[int, float]:
    """Source position -> total weight for one output sample; positions with no weight are left out."""
    total: dict[int, float] = {}
    for index, weight in zip(along.index[row].tolist(), along.weight[row].tolist(), strict=True):
        total[index] = total.get(index, 0.0) + weight
    return {index: weight for index, weight in total.items() if abs(weight) > 1e-7}


def _picture(seed: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) * PEAK[dtype]).astype(dtype)


# -- the published benchmarks
@pytest.mark.parametrize(("name", "count"), [("Set5", 5), ("Set14", 14)])
def test_benchmark_files_are_reproduced(benchmark_sets: Path, name: str, count: int) -> None:
    truths = {path.stem: np.asarray(Image.open(path)) for path in (benchmark_sets / name / "HR").iterdir()}
    assert len(truths) == count
    for scale in (2, 3, 4):
        for stem, high in truths.items():
            (path,) = (benchmark_sets / name / f"LR_x{scale}").glob(f"{stem}.*")
            low = np.asarray(Image.open(path))
            ours = resize(high[: low.shape[0] * scale, : low.shape[1] * scale], *low.shape[:2])
            assert ours.shape == low.shape, (stem, scale)
            off = np.abs(ours.astype(int) - low.astype(int))
            assert np.mean(off <= 1) >= 0.998, (stem, scale, off.max())
            if name == "Set5":
                assert off.max() == 0, (stem, scale)


# -- by hand
def test_cubic_weights_at_phase_one_half() -> None:
    along = taps(8, 4, antialias=False)  # centres 0.5, 2.5, 4.5, 6.5
    assert _weights(along, 1) == pytest.approx({1: -1 / 16, 2: 9 / 16, 3: 9 / 16, 4: -1 / 16})


def test_cubic_weights_of_twofold_enlargement() -> None:
    along = taps(8, 16)  # centres k / 2 - 0.25
    near, far = 0.8671875, 0.2265625  # the kernel at 0.25 and 0.75; at 1.25 and 1.75 below
    assert _weights(along, 6) == pytest.approx({1: -0.0234375, 2: far, 3: near, 4: -0.0703125})
    assert _weights(along, 7) == pytest.approx({2: -0.0703125, 3: near, 4: far, 5: -0.0234375})


def test_cubic_weights_of_halving_are_stretched() -> None:
    half = [-0.01171875, -0.03515625, 0.11328125, 0.43359375]  # kernel at 1.75, 1.25, 0.75, 0.25, halved
    expected = dict(zip(range(1, 9), half + half[::-1], strict=True))
    assert _weights(taps(12, 6), 2) == pytest.approx(expected)


def test_bilinear_lanczos_and_nearest_weights() -> None:
    assert _weights(taps(4, 8, "bilinear"), 3) == pytest.approx({1: 0.75, 2: 0.25})
    assert _weights(taps(8, 4, "bilinear"), 1) == pytest.approx({1: 1 / 8, 2: 3 / 8, 3: 3 / 8, 4: 1 / 8})
    lobes = np.array([6 / 25, -4 / 3, 6.0])  # sinc(x) · sinc(x / 3) · pi² at 2.5, 1.5, 0.5
    lobes /= 2 * lobes.sum()
    expected = dict(zip(range(2, 8), [*lobes, *lobes[::-1]], strict=True))
    assert _weights(taps(12, 6, "lanczos", antialias=False), 2) == pytest.approx(expected)
    assert taps(2, 6, "nearest").index.ravel().tolist() == [0, 0, 0, 1, 1, 1]
    assert taps(6, 2, "nearest").index.ravel().tolist() == [1, 4]  # never antialiased


def test_the_outermost_pixel_is_repeated_beyond_the_border() -> None:
    row = np.array([[100.0, 200.0]], np.float32)
    out = resize(row, 1, 4)
    expected = [100 * 1.0703125 - 200 * 0.0703125, 100 * 0.796875 + 200 * 0.203125]
    assert out[0] == pytest.approx([*expected, 300 - expected[1], 300 - expected[0]], abs=1e-4)


def test_a_straight_ramp_stays_straight_inside() -> None:
    ramp = np.tile(np.arange(20, 20 + 6 * 16, 6, dtype=np.float32), (3, 1))
    for scale in (2, 3, 4):
        out = resize(ramp, 3, 16 * scale)
        line = 20 + 6 * ((np.arange(16 * scale) + 0.5) / scale - 0.5)
        inside = slice(2 * scale, -2 * scale)
        assert out[:, inside] == pytest.approx(np.tile(line[inside], (3, 1)), abs=1e-3)


def test_halving_a_checkerboard_gives_grey() -> None:
    board = (np.indices((16, 16)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert np.ptp(resize(board, 8, 8)[2:-2, 2:-2].astype(int)) <= 1
    assert resize(board, 8, 8)[4, 4] in (127, 128)
    assert set(np.unique(resize(board, 8, 8, "nearest"))) <= {0, 255}


@pytest.mark.parametrize(("height", "width", "first"), [(5, 15, 0), (15, 5, 1), (10, 10, 0)])
def test_the_axis_that_shrinks_more_goes_first_and_each_is_rounded(height: int, width: int, first: int) -> None:
    image = np.random.default_rng(3).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    along = (taps(20, height), taps(20, width))
    out = image
    for axis in (first, 1 - first):
        out = round_to(apply_taps(out, along[axis], axis), image.dtype)
    other = image
    for axis in (1 - first, first):
        other = round_to(apply_taps(other, along[axis], axis), image.dtype)
    assert np.array_equal(resize(image, height, width), out)
    assert not np.array_equal(out, other)  # the order shows in this picture


def test_grey_pictures_are_resized_like_a_channel() -> None:
    image = np.random.default_rng(4).integers(0, 256, (17, 23, 3), dtype=np.uint8)
    assert np.array_equal(resize(image[:, :, 1], 30, 9), resize(image, 30, 9)[:, :, 1])


# -- properties
@settings(max_examples=80)
@given(SIDES, SIDES, SIDES, SIDES, KERNEL_NAMES, DTYPES, st.booleans(), st.booleans())
def test_shape_type_and_range_are_kept(
    h: int, w: int, height: int, width: int, kernel: str, dtype: str, antialias: bool, grey: bool
) -> None:
    image = _picture(h * w, (h, w) if grey else (h, w, 3), dtype)
    before = image.copy()
    out = resize(image, height, width, kernel, antialias=antialias)
    assert out.shape == (height, width, *image.shape[2:])
    assert out.dtype == image.dtype
    assert np.all((out >= 0) & (out <= PEAK[dtype]))  # NaN would fail too
    assert np.array_equal(image, before)


@settings(max_examples=80)
@given(SIDES, SIDES, SIDES, SIDES, KERNEL_NAMES, DTYPES, st.booleans(), st.floats(0, 1))
def test_constant_pictures_stay_constant(
    h: int, w: int, height: int, width: int, kernel: str, dtype: str, antialias: bool, level: float
) -> None:
    image = np.full((h, w, 3), level * PEAK[dtype]).astype(dtype)
    out = resize(image, height, width, kernel, antialias=antialias)
    if dtype == "float32":
        assert np.allclose(out, image[0, 0, 0], rtol=1e-5, atol=1e-4)
    else:
        assert np.all(out == image[0, 0, 0])


@settings(max_examples=40)
@given(SIDES, SIDES, KERNEL_NAMES, DTYPES)
def test_the_same_size_changes_nothing(h: int, w: int, kernel: str, dtype: str) -> None:
    image = _picture(h + w, (h, w, 3), dtype)
    out = resize(image, h, w, kernel)
    assert np.allclose(out, image, rtol=1e-6, atol=1e-4 if dtype == "float32" else 0)


@settings(max_examples=200)
@given(SIDES, SIDES, KERNEL_NAMES, st.booleans())
def test_taps_sum_to_one_and_stay_inside(n: int, m: int, kernel: str, antialias: bool) -> None:
    along = taps(n, m, kernel, antialias=antialias)
    assert along.index.shape == along.weight.shape
    assert len(along.index) == m
    assert along.weight.dtype == np.float32
    assert np.allclose(along.weight.sum(axis=1), 1, atol=2e-6)
    assert along.index.min() >= 0
    assert along.index.max() < n


def _slow(values: list[float], n: int, kernel: str, antialias: bool) -> list[float]:
    """One line of `n` samples, by the definition: a weighted mean around each centre, the ends repeated."""
    function, width = KERNELS[kernel]
    stretch = min(1.0, n / len(values)) if antialias and kernel != "nearest" else 1.0
    out = []
    for k in range(n):
        centre = (k + 0.5) * len(values) / n - 0.5
        around = range(math.floor(centre - width / stretch / 2) - 1, math.ceil(centre + width / stretch / 2) + 2)
        weights = [float(function(np.array([(centre - i) * stretch]))[0]) for i in around]
        total = sum(w * values[min(max(i, 0), len(values) - 1)] for w, i in zip(weights, around, strict=True))
        out.append(total / sum(weights))
    return out


@settings(max_examples=60)
@given(SIDES, SIDES, KERNEL_NAMES, st.booleans(), st.sampled_from([0, 1]))
def test_both_axes_follow_the_definition(n: int, m: int, kernel: str, antialias: bool, axis: int) -> None:
    line = np.random.default_rng(n).uniform(90, 160, n).astype(np.float32)
    image = np.tile(line, (3, 1)).T if axis == 0 else np.tile(line, (3, 1))
    out = resize(image, *((m, 3) if axis == 0 else (3, m)), kernel, antialias=antialias)
    expected = np.array(_slow(line.tolist(), m, kernel, antialias))
    # a centre halfway between two samples has two nearest ones, and rounding decides
    clear = [kernel != "nearest" or (2 * k + 1) * n % (2 * m) != 0 for k in range(m)]
    for i in range(3):
        assert np.take(out, i, 1 - axis)[clear] == pytest.approx(expected[clear], abs=1e-2)


@settings(max_examples=60)
@given(SIDES, SIDES, SIDES, SIDES, KERNEL_NAMES, DTYPES, st.booleans(), st.data())
def test_strips_are_what_the_whole_result_has_there(
    h: int, w: int, height: int, width: int, kernel: str, dtype: str, antialias: bool, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, height - 1))
    stop = data.draw(st.integers(start + 1, height))
    image = _picture(h + w, (h, w, 3), dtype)
    resizer = Resizer((h, w), (height, width), kernel, antialias=antialias)
    low, high = resizer.reach(start, stop)
    strip = resizer.strip(image[low:high], start, stop)
    assert np.array_equal(strip, resize(image, height, width, kernel, antialias=antialias)[start:stop])


@settings(max_examples=60)
@given(SIDES, SIDES, SIDES, SIDES, KERNEL_NAMES, DTYPES, st.integers(1, 4000))
def test_blocks_of_any_size_give_the_same(
    h: int, w: int, height: int, width: int, kernel: str, dtype: str, block: int
) -> None:
    image = _picture(h + w, (h, w, 2, 3), dtype)
    expected = resize(image, height, width, kernel)
    with mock.patch.object(module, "BLOCK", block):
        assert np.array_equal(resize(image, height, width, kernel), expected)


@settings(max_examples=60)
@given(SIDES, SIDES, KERNEL_NAMES, st.booleans(), st.data())
def test_reach_covers_every_source_sample_and_no_more(
    n: int, m: int, kernel: str, antialias: bool, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, m - 1))
    stop = data.draw(st.integers(start + 1, m))
    along = taps(n, m, kernel, antialias=antialias)
    rows = along.index[start:stop]
    assert along.reach(start, stop) == (rows.min(), rows.max() + 1)
    assert Resizer((n, 1), (m, 1), kernel, antialias=antialias).reach(start, stop) == along.reach(start, stop)


# -- requests that cannot be served
def test_an_unknown_kernel_lists_the_known_ones() -> None:
    with pytest.raises(RequestError, match="'cubic'; choose from nearest, bilinear, bicubic, lanczos"):
        resize(np.zeros((4, 4, 3), np.uint8), 2, 2, "cubic")


@pytest.mark.parametrize(("height", "width"), [(0, 4), (4, 0), (-1, 4)])
def test_sides_under_one_pixel_are_refused(height: int, width: int) -> None:
    with pytest.raises(RequestError, match="at least 1 pixel"):
        resize(np.zeros((4, 4, 3), np.uint8), height, width)


def test_an_empty_picture_is_refused() -> None:
    with pytest.raises(RequestError, match="at least 1 pixel, got 0 -> 2"):
        resize(np.zeros((0, 4, 3), np.uint8), 2, 2)


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_other_sample_types_are_refused(dtype: str) -> None:
    with pytest.raises(RequestError, match=dtype):
        resize(np.zeros((4, 4, 3), dtype), 2, 2)


def test_lanczos_is_the_textbook_function() -> None:
    function, width = KERNELS["lanczos"]
    assert width == 6
    x = 0.7
    expected = math.sin(math.pi * x) / (math.pi * x) * math.sin(math.pi * x / 3) / (math.pi * x / 3)
    assert function(np.array([x, 3.2])).tolist() == pytest.approx([expected, 0.0])
