"""PSNR and SSIM: by hand, against a slow definition written here, and against the benchmark's own script."""

from __future__ import annotations

import math
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgelift.core.errors import RequestError
from edgelift.core.image import luma, shave
from edgelift.core.metrics import psnr, psnr_y, ssim
from edgelift.core.resize import resize


def _random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _ssim_by_definition(a: np.ndarray, b: np.ndarray, peak: float) -> float:
    """One 11 × 11 window after the other, weighted moments about their means."""
    at = np.arange(11) - 5
    weight = np.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / (2 * 1.5**2))
    weight /= weight.sum()
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    values = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = (plane[y : y + 11, x : x + 11].astype(float) for plane in (a, b))
            mp, mq = (weight * p).sum(), (weight * q).sum()
            vp, vq = (weight * (p - mp) ** 2).sum(), (weight * (q - mq) ** 2).sum()
            cov = (weight * (p - mp) * (q - mq)).sum()
            values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return float(np.mean(values))


@pytest.fixture(scope="module")
def script(pictures: Path) -> SimpleNamespace:
    """The benchmark's own scoring script, which shares no code with the project."""
    path = pictures.parent / "tools" / "score_folder.py"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    return SimpleNamespace(**runpy.run_path(str(path)))


# -- PSNR
def test_psnr_by_hand() -> None:
    truth = np.full((4, 5, 3), 100, np.uint8)
    assert psnr(truth + np.uint8(1), truth) == pytest.approx(48.1308036086791, abs=1e-12)  # 20 log10 255
    assert psnr(truth - np.uint8(10), truth) == pytest.approx(28.1308036086791, abs=1e-12)
    one_wrong = truth.copy()
    one_wrong[2, 3, 1] = 106  # mean squared error 36 / 60
    assert psnr(one_wrong, truth) == pytest.approx(10 * math.log10(255**2 / 0.6), abs=1e-12)


def test_psnr_does_not_wrap_bytes_around() -> None:
    black, white = np.zeros((3, 3), np.uint8), np.full((3, 3), 255, np.uint8)
    assert psnr(black, white) == psnr(white, black) == 0.0


def test_psnr_of_equal_pictures_is_infinite() -> None:
    assert psnr(_random(0, 4, 4, 3), _random(0, 4, 4, 3)) == math.inf


def test_psnr_counts_from_the_given_peak() -> None:
    a, b = np.zeros((2, 2), np.uint16), np.full((2, 2), 257, np.uint16)
    assert psnr(a, b, peak=65535.0) == pytest.approx(20 * math.log10(255), abs=1e-12)
    assert psnr(np.zeros((2, 2)), np.full((2, 2), 0.1), peak=1.0) == pytest.approx(20.0, abs=1e-12)


def test_psnr_refuses_two_shapes() -> None:
    with pytest.raises(RequestError, match=r"\(4, 4\) and \(4, 5\)"):
        psnr(np.zeros((4, 4)), np.zeros((4, 5)))


def test_psnr_y_ignores_the_border_and_what_luma_does_not_see() -> None:
    truth = _random(1, 12, 14, 3)
    result = truth.copy()
    result[:3], result[-3:], result[:, :3], result[:, -3:] = 0, 255, 0, 255
    assert psnr_y(result, truth, 3) == math.inf
    assert psnr_y(result, truth, 2) < 40
    assert psnr_y(result, truth, 0) == psnr(luma(result), luma(truth)) < psnr_y(result, truth, 2)
    result = truth // 2 + 50
    shifted = result + np.array([0, 0, 20], np.uint8)  # 20 levels of blue are 20 · 24.966 / 255 of luma
    assert psnr_y(shifted, result, 2) == pytest.approx(20 * math.log10(255 / (20 * 24.966 / 255)), abs=1e-9)


# -- SSIM
def test_ssim_of_constant_planes_by_hand() -> None:
    a, b = np.full((12, 13), 50, np.uint8), np.full((12, 13), 80, np.uint8)
    c1 = 2.55**2
    assert ssim(a, b) == pytest.approx((2 * 50 * 80 + c1) / (50**2 + 80**2 + c1), abs=1e-9)


def test_ssim_of_equal_planes_is_one_and_of_negatives_is_not() -> None:
    plane = _random(2, 20, 15)
    assert ssim(plane, plane) == pytest.approx(1.0, abs=1e-12)
    assert ssim(plane, 255 - plane) < 0


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.integers(11, 16), st.integers(11, 16), st.sampled_from([1.0, 255.0, 65535.0]))
def test_ssim_agrees_with_its_definition(seed: int, height: int, width: int, peak: float) -> None:
    rng = np.random.default_rng(seed)
    a = rng.random((height, width)) * peak
    b = np.clip(a + rng.normal(0, 0.1 * peak, a.shape), 0, peak)
    assert ssim(a, b, peak=peak) == pytest.approx(_ssim_by_definition(a, b, peak), abs=1e-9)
    assert ssim(a, b, peak=peak) == pytest.approx(ssim(b, a, peak=peak), abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [((10, 20),) * 2, ((20, 10),) * 2, ((20, 20), (20, 21)), ((12, 12, 3),) * 2])
def test_ssim_refuses_what_its_window_does_not_fit(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(RequestError, match="at least 11×11"):
        ssim(np.zeros(a), np.zeros(b))


# -- the protocol of the published tables
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_scores_agree_with_the_benchmark_script(script: SimpleNamespace, scale: int) -> None:
    truth = _random(scale, 40, 52, 3)
    result = resize(resize(truth, 20, 26), 40, 52)
    y = [shave(luma(p), scale) for p in (result, truth)]
    assert luma(truth) == pytest.approx(script.luma(truth), abs=1e-9)
    assert psnr_y(result, truth, scale) == pytest.approx(script.psnr(*y), abs=1e-6)
    assert psnr(result, truth) == pytest.approx(script.psnr(result, truth), abs=1e-6)
    assert ssim(*y) == pytest.approx(script.ssim(*y), abs=1e-6)


@pytest.mark.parametrize(("scale", "published"), [(2, 33.67), (3, 30.40), (4, 28.43)])
def test_bicubic_scores_as_published_on_set5(benchmark_sets: Path, scale: int, published: float) -> None:
    scores = []
    for path in sorted((benchmark_sets / "Set5" / f"LR_x{scale}").iterdir()):
        low = np.asarray(Image.open(path).convert("RGB"))
        (high_path,) = (benchmark_sets / "Set5" / "HR").glob(f"{path.stem}.*")
        height, width = low.shape[0] * scale, low.shape[1] * scale
        high = np.asarray(Image.open(high_path).convert("RGB"))[:height, :width]
        scores.append(psnr_y(resize(low, height, width), high, scale))
    assert len(scores) == 5
    assert float(np.mean(scores)) == pytest.approx(published, abs=0.01)
