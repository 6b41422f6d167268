"""The filters against Pillow's, on all sample types, and in strips of any height."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.runtime.filters import Filter, Filtered, Unsharp, filtered, parse_filter
from edgelift.runtime.rows import CallbackTarget, Rows

NAMES = ("edge", "sharpen", "unsharp", "unsharp:0.7,80,0", "unsharp:9,250,10")


def _filter(text: str) -> Filter:
    found = parse_filter(text)
    assert found is not None
    return found


def _whole(text: str, picture: NDArray[Any]) -> NDArray[Any]:
    out = np.full_like(picture, 77)
    _filter(text).fill(out, picture, 0)
    return out


def _pillow(text: str, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = pytest.importorskip("PIL.Image")
    filters = pytest.importorskip("PIL.ImageFilter")
    if text.startswith("unsharp"):
        made = parse_filter(text)
        assert isinstance(made, Unsharp)
        kind = filters.UnsharpMask(made.radius, made.percent, made.threshold)
    else:
        kind = filters.EDGE_ENHANCE if text == "edge" else filters.SHARPEN
    return np.asarray(image.fromarray(picture).filter(kind))


def _noise(height: int, width: int, dtype: str = "uint8") -> NDArray[Any]:
    rng = np.random.default_rng(height * 1000 + width)
    if dtype == "float32":
        return rng.uniform(0, 255, (height, width, 3)).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, (height, width, 3), dtype)


def _smooth(height: int, width: int) -> NDArray[np.uint8]:
    """Shading with some grain: small differences, which the threshold decides on, and clipped ends."""
    y, x = np.mgrid[:height, :width][..., None] / 9.0
    grain = np.random.default_rng(1).normal(0, 3, (height, width, 3))
    return np.clip(np.rint(128 + 140 * np.sin(x + np.array([0, 0.5, 1])) * np.cos(y) + grain), 0, 255).astype(np.uint8)


# -- the same as Pillow
@pytest.mark.parametrize("text", NAMES)
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 9), (9, 1), (2, 7), (7, 2), (3, 3), (4, 40), (120, 90), (5, 31000)], ids=str
)
def test_eight_bits_are_pillows_to_the_bit(text: str, size: tuple[int, int]) -> None:
    """Borders and pictures smaller than the filter among them; the widest takes more than one part of the cache."""
    for picture in (_noise(*size), _smooth(*size)):
        assert np.array_equal(_whole(text, picture), _pillow(text, picture))


@settings(max_examples=60)
@given(st.floats(0, 100), st.integers(0, 1000), st.integers(0, 255), st.integers(1, 25), st.integers(1, 25))
def test_any_unsharp_mask_is_pillows_to_the_bit(
    radius: float, percent: int, threshold: int, height: int, width: int
) -> None:
    text = f"unsharp:{radius!r},{percent},{threshold}"
    for picture in (_noise(height, width), _smooth(height, width)):
        assert np.array_equal(_whole(text, picture), _pillow(text, picture))


# -- other sample types
def _box(radius: float) -> NDArray[np.float64]:
    """A flat kernel with equal smaller ends, of sum 1 and variance radius² / 3: three in a row have radius²."""
    variance = radius**2 / 3
    whole = int((np.sqrt(12 * variance + 1) - 1) // 2)
    inner = np.arange(-whole, whole + 1)
    end = (variance * len(inner) - (inner**2).sum()) / (2 * ((whole + 1) ** 2 - variance))
    kernel = np.concatenate([[end], np.ones(len(inner)), [end]])
    return kernel / kernel.sum()


def _slow(text: str, picture: NDArray[Any]) -> NDArray[np.float64]:
    """The filter in double precision on the scale of 255, without rounding."""
    exact = picture / (257.0 if picture.dtype == np.uint16 else 1.0)
    made = parse_filter(text)
    if isinstance(made, Unsharp):
        kernel, blurred = _box(made.radius), exact
        for axis in (1, 1, 1, 0, 0, 0):
            pad = [(0, 0)] * 3
            pad[axis] = (len(kernel) // 2,) * 2
            views = np.lib.stride_tricks.sliding_window_view(np.pad(blurred, pad, mode="edge"), len(kernel), axis=axis)
            blurred = views @ kernel
        change = exact - blurred
        return np.clip(exact + np.where(np.abs(change) > made.threshold, change * made.percent / 100, 0), 0, 255)
    around = sum(np.roll(exact, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)) - exact
    sharp = (10 * exact - around) / 2 if text == "edge" else (32 * exact - 2 * around) / 16
    result = exact.copy()
    result[1:-1, 1:-1] = np.clip(sharp, 0, 255)[1:-1, 1:-1]
    return result


@pytest.mark.parametrize("radius", [0.1, 0.7, 2.0, 5.5, 30.0])
def test_the_boxes_have_the_variance_that_was_asked_for(radius: float) -> None:
    kernel = _box(radius)
    offsets = np.arange(len(kernel)) - len(kernel) // 2
    assert np.isclose(3 * (kernel * offsets**2).sum(), radius**2)


@pytest.mark.parametrize("text", ["edge", "sharpen", "unsharp:2,150,0", "unsharp:0.7,80,0", "unsharp:9,250,0"])
def test_more_than_eight_bits_are_the_definition(text: str) -> None:
    """Floats to their precision; 16 bits to what six blurs, each rounded, and the end can be off."""
    made = parse_filter(text)
    percent = made.percent if isinstance(made, Unsharp) else 0
    for picture in (_noise(90, 70, "float32"), _smooth(90, 70).astype(np.float32)):
        assert np.abs(_whole(text, picture) - _slow(text, picture)).max() < 1e-3
    for wide in (_noise(90, 70, "uint16"), _smooth(90, 70).astype(np.uint16) * 257):
        assert np.abs(_whole(text, wide) - _slow(text, wide) * 257).max() <= 1 + 6 * 0.5 * percent / 100


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_small_differences_stay_below_the_threshold(dtype: str) -> None:
    """The threshold is in levels of 255 for every sample type."""
    unit = 257 if dtype == "uint16" else 1
    picture = np.full((20, 20, 3), 100 * unit, dtype)
    picture[10:] = 105 * unit  # at the edge about 2.5 from the blurred copy
    assert np.array_equal(_whole("unsharp:2,150,3", picture), picture)
    assert not np.array_equal(_whole("unsharp:2,150,1", picture), picture)


@pytest.mark.parametrize("text", NAMES)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_plain_surface_stays_as_it_is(text: str, dtype: str) -> None:
    for level in (0, 100, 255):
        picture = np.full((30, 20, 3), level * (257 if dtype == "uint16" else 1), dtype)
        assert np.allclose(_whole(text, picture), picture, atol=0 if dtype != "float32" else 1e-3)


def test_a_filter_leaves_its_input_alone() -> None:
    picture = _noise(20, 20)
    before = picture.copy()
    picture.flags.writeable = False
    for text in NAMES:
        _whole(text, picture)
    assert np.array_equal(picture, before)


# -- in strips
class Strips:
    """Collects what comes, and checks that strips follow one another."""

    def __init__(self, layers: int, width: int, dtype: np.dtype[Any]) -> None:
        self.strips: list[Rows] = []
        self.spans: list[tuple[int, int]] = []
        self._inner = CallbackTarget(layers, width, dtype, self.strips.append)

    def room(self, start: int, stop: int) -> Rows:
        assert start == (self.spans[-1][1] if self.spans else 0)
        assert stop > start
        self.spans.append((start, stop))
        return self._inner.room(start, stop)

    def done(self, strip: Rows) -> None:
        self._inner.done(strip)


@settings(max_examples=120)
@given(
    text=st.sampled_from([*NAMES, "unsharp:3.3,120,1"]),
    size=st.tuples(st.integers(1, 60), st.integers(1, 12)),
    cuts=st.lists(st.integers(1, 59), max_size=12),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    ahead=st.integers(1, 3),
)
def test_strips_are_filtered_like_the_whole_picture(
    text: str, size: tuple[int, int], cuts: list[int], dtype: str, ahead: int
) -> None:
    """To the bit, floats too, wherever strips are cut, and also where several rooms are asked for ahead."""
    height, width = size
    picture = _noise(height, width, dtype)
    alpha = np.full_like(picture, 9)
    target = Strips(2, width, picture.dtype)
    wrapped = Filtered(_filter(text), target, (2, height, width), picture.dtype)
    edges = sorted({0, height, *(cut for cut in cuts if cut < height)})
    spans, waiting = list(pairwise(edges)), []
    for k, (start, stop) in enumerate(spans):
        waiting.append((start, stop, wrapped.room(start, stop)))
        if len(waiting) == ahead or k == len(spans) - 1:
            for first, last, strip in waiting:
                assert all(layer.flags.c_contiguous for layer in strip)
                strip[0], strip[1] = picture[first:last], alpha[first:last]
                wrapped.done(strip)
            waiting.clear()
    result = np.concatenate(target.strips, axis=1)
    assert np.array_equal(result[0], _whole(text, picture))
    assert np.array_equal(result[1], alpha), "alpha passes through"


def test_rows_are_handed_on_as_soon_as_their_surroundings_are_there() -> None:
    target = Strips(1, 4, np.dtype(np.uint8))
    wrapped = Filtered(_filter("unsharp"), target, (1, 40, 4), np.dtype(np.uint8))
    reach = _filter("unsharp").reach
    assert reach == 6
    for start in range(0, 40, 10):
        strip = wrapped.room(start, start + 10)
        strip[...] = 1
        wrapped.done(strip)
    assert target.spans == [(0, 4), (4, 14), (14, 24), (24, 40)]


def test_no_filter_is_no_target_in_between() -> None:
    target = Strips(1, 4, np.dtype(np.uint8))
    assert filtered(None, target, (1, 4, 4), np.dtype(np.uint8)) is target


# -- by name
def test_names() -> None:
    assert parse_filter(None) is None
    assert parse_filter("none") is None
    assert parse_filter("edge") != parse_filter("sharpen")
    assert parse_filter("unsharp") == Unsharp(2.0, 150, 3)
    assert parse_filter("unsharp:1.5") == Unsharp(1.5, 150, 3)
    assert parse_filter("unsharp:1,80") == Unsharp(1.0, 80, 3)
    assert parse_filter("unsharp:1,80,0") == Unsharp(1.0, 80, 0)


@pytest.mark.parametrize("text", ["", "blur", "Edge", "edge:3", "edges", "sharpen:", "unsharpen"])
def test_an_unknown_name_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(RequestError, match=r"filter must be none, edge, sharpen, unsharp\[.*, got"):
        parse_filter(text)


@pytest.mark.parametrize("values", ["", "wide", "2,", "2,1.5", "2,150,3,4", "2,,3", "1;2", "0x2"])
def test_values_that_are_no_numbers_are_refused(values: str) -> None:
    with pytest.raises(RequestError, match="unsharp takes radius,percent,threshold such as unsharp:2,150,3"):
        parse_filter(f"unsharp:{values}")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("-1", "a radius from 0 to 100, got -1"),
        ("101", "a radius from 0 to 100, got 101"),
        ("nan", "a radius from 0 to 100, got nan"),
        ("2,-5", "a percent from 0 to 1000, got -5"),
        ("2,1001", "a percent from 0 to 1000"),
        ("2,150,256", "a threshold from 0 to 255, got 256"),
    ],
)
def test_values_out_of_range_are_refused(values: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        parse_filter(f"unsharp:{values}")
