"""Pictures as arrays."""

from __future__ import annotations

import numpy as np
import pytest

from edgelift.core.errors import RequestError
from edgelift.core.image import PEAK, check_image, luma, round_to, shave


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_good_picture_comes_back_itself(dtype: str) -> None:
    image = np.zeros((1, 7, 3), dtype)
    assert check_image(image) is image
    assert dtype in PEAK


@pytest.mark.parametrize("dtype", [">u2", ">f4", "<u2", "<f4"])
def test_samples_come_back_in_the_byte_order_of_the_machine(dtype: str) -> None:
    image = np.arange(24).reshape(2, 4, 3).astype(dtype)
    checked = check_image(image)
    assert checked.dtype.isnative
    assert np.array_equal(checked, image)


@pytest.mark.parametrize(
    ("image", "came"),
    [
        ([[0, 0, 0]], "list"),
        (None, "NoneType"),
        (np.zeros((4, 5), np.uint8), r"\(4, 5\)"),
        (np.zeros((4, 5, 4), np.uint8), r"\(4, 5, 4\)"),
        (np.zeros((1, 4, 5, 3), np.uint8), r"\(1, 4, 5, 3\)"),
        (np.zeros((0, 5, 3), np.uint8), r"\(0, 5, 3\)"),
        (np.zeros((5, 0, 3), np.uint8), r"\(5, 0, 3\)"),
        (np.zeros((4, 5, 3)), "float64"),
        (np.zeros((4, 5, 3), np.int16), "int16"),
        (np.zeros((4, 5, 3), bool), "bool"),
    ],
)
def test_a_bad_picture_is_refused_with_what_came(image: object, came: str) -> None:
    with pytest.raises(RequestError, match=came):
        check_image(image)


@pytest.mark.parametrize(
    ("rgb", "y"),
    [
        ((0, 0, 0), 16.0),
        ((255, 255, 255), 235.0),
        ((255, 0, 0), 81.481),
        ((0, 255, 0), 144.553),
        ((0, 0, 255), 40.966),
        ((51, 102, 204), 16 + 13.0962 + 51.4212 + 19.9728),
    ],
)
def test_luma_of_known_colours(rgb: tuple[int, int, int], y: float) -> None:
    for dtype in (np.uint8, np.float32):
        plane = luma(np.full((2, 3, 3), rgb, dtype))
        assert plane.shape == (2, 3)
        assert plane.dtype == np.float64
        assert np.allclose(plane, y, rtol=0, atol=1e-9)


def test_shave_cuts_every_side() -> None:
    image = np.arange(5 * 7).reshape(5, 7)
    assert np.array_equal(shave(image, 2), image[2:3, 2:5])
    assert shave(image, 0) is image
    assert shave(np.zeros((5, 7, 3)), 1).shape == (3, 5, 3)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (1, 1), (3, 9, 3)])
def test_shave_leaves_at_least_one_pixel_or_says_that_it_cannot(shape: tuple[int, ...]) -> None:
    with pytest.raises(RequestError, match="nothing left"):
        shave(np.zeros(shape), 2)


def test_integers_are_rounded_half_up_and_clipped() -> None:
    values = np.array([-3.0, -0.5, 0.49, 0.5, 1.5, 2.5, 254.5, 255.4, 400.0])
    assert round_to(values, np.dtype("uint8")).tolist() == [0, 0, 0, 1, 2, 3, 255, 255, 255]
    wide = np.array([-1.0, 300.5, 65534.5, 70000.0])
    out = round_to(wide, np.dtype("uint16"))
    assert out.dtype == np.uint16
    assert out.tolist() == [0, 301, 65535, 65535]


def test_floats_are_clipped_but_not_rounded() -> None:
    out = round_to(np.array([-0.25, 0.3, 254.75, 255.25]), np.dtype("float32"))
    assert out.dtype == np.float32
    assert np.array_equal(out, np.array([0.0, 0.3, 254.75, 255.0], np.float32))
