"""The form for batches: it does what the form for single pictures does, and its JPEG is near the real one."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from edgelift.core.metrics import psnr
from edgelift.training.degrade import batches, codecs, pictures
from edgelift.training.degrade.batches import MARGIN, DegradedPatches, degrade_batch
from edgelift.training.degrade.jpeg import compressed, quantisation
from edgelift.training.degrade.settings import PRESETS, degradation_from
from edgelift.training.degrade.steps import Banding, Blur, Jpeg, Noise, Resize, Webp, draw

CPU = torch.device("cpu")


def _scenes(count: int = 3, height: int = 40, width: int = 48) -> torch.Tensor:
    """N × 3 × H × W uint8: waves with edges and some texture, each another."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    made = []
    for k in range(count):
        waves = torch.stack([torch.sin(x / (3 + c + k)) + torch.cos(y / (5 - c)) for c in range(3)])
        noise = torch.randn(waves.shape, generator=torch.Generator().manual_seed(k))
        made.append(128 + 40 * waves + 30 * (x > 10 * (k + 1)) + 3 * noise)
    return torch.stack(made).clamp(0, 255).to(torch.uint8)


def _picture(scenes: torch.Tensor, number: int) -> np.ndarray:
    return np.ascontiguousarray(scenes[number].permute(1, 2, 0).numpy())


# -- JPEG
@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 95, 100])
def test_quantisation_tables_are_the_codecs(quality: int) -> None:
    packed = io.BytesIO()
    Image.new("RGB", (16, 16)).save(packed, format="JPEG", quality=quality)
    with Image.open(packed) as opened:
        real = [np.array(table).reshape(8, 8) for table in opened.quantization.values()]  # type: ignore[attr-defined]  # JPEG's
    mine = quantisation(torch.tensor([quality]))
    assert np.array_equal(mine[0][0].numpy(), real[0])
    assert np.array_equal(mine[1][0].numpy(), real[1])


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 90, 95])
@pytest.mark.parametrize(("halved", "bound"), [(False, 0.65), (True, 0.8)])
def test_the_stand_in_is_near_the_real_codec(quality: int, halved: bool, bound: float) -> None:
    """Mean absolute differences on 30 photographs were 0.03 to 0.64 levels, with halved chroma 0.04 to 0.74."""
    scenes = _scenes(3, 45, 61)  # sides that are no multiple of a block
    mine = compressed(scenes.float(), torch.full((3,), quality), halved=halved).permute(0, 2, 3, 1).numpy()
    for number in range(3):
        picture = _picture(scenes, number).astype(np.float32)
        real = codecs.jpeg(_picture(scenes, number), quality, halved=halved).astype(np.float32)
        difference = np.abs(mine[number] - real).mean()
        assert difference < bound
        assert difference < 0.5 * np.abs(real - picture).mean()  # much less than what the codec itself changes


def test_each_patch_has_its_own_quality() -> None:
    scenes = _scenes(2).float()
    both = compressed(scenes, torch.tensor([10, 95]), halved=True)
    for number, quality in enumerate((10, 95)):
        alone = compressed(scenes[number : number + 1], torch.tensor([quality]), halved=True)
        assert torch.allclose(both[number], alone[0], atol=1)  # a rounding may fall the other way


def test_results_are_whole_levels_of_the_size_that_came() -> None:
    made = compressed(_scenes(1, 9, 30).float(), torch.tensor([40]), halved=True)
    assert made.shape == (1, 3, 9, 30)
    assert torch.equal(made, made.round())
    assert made.min() >= 0
    assert made.max() <= 255


# -- the other steps
def test_sizes_are_those_of_pytorch() -> None:
    scenes = _scenes().float()
    for height, width in ((17, 30), (55, 90)):
        area = functional.adaptive_avg_pool2d(scenes, (height, width))
        assert torch.allclose(batches.resized(scenes, height, width, "area"), area, atol=1e-2)
        linear = functional.interpolate(scenes, (height, width), mode="bilinear", align_corners=False)
        assert torch.allclose(batches.resized(scenes, height, width, "bilinear"), linear, atol=1e-2)


@pytest.mark.parametrize("seed", range(4))
def test_both_forms_agree_on_what_has_no_noise(seed: int) -> None:
    """With the same draws, noise left out and compression by the real codec left out too."""
    scenes = _scenes()
    rng = np.random.default_rng(seed)
    steps = [s for s in draw(PRESETS["strong"], 2, 3, rng) if isinstance(s, Blur | Resize | Banding)]
    made = degrade_batch(scenes, steps)
    for number in range(3):
        single = pictures.degrade_picture(_picture(scenes, number), steps, number).astype(int)
        there = _picture(made, number).astype(int)
        assert np.mean(np.abs(single - there) > 1) < 0.02  # levels that banding rounds the other way
        assert np.median(np.abs(single - there)) == 0


def test_both_forms_agree_on_compression_but_for_roundings() -> None:
    """WebP is the real codec in both; a JPEG that is moved against its blocks is near the real one."""
    scenes = _scenes()
    for step, least in ((Webp(np.array([50, 60, 70])), 99), (Jpeg(np.array([60, 70, 80]), True, (3, 6)), 38)):
        made = degrade_batch(scenes, [step])
        for number in range(3):
            assert (
                psnr(_picture(made, number), pictures.degrade_picture(_picture(scenes, number), [step], number)) > least
            )


@pytest.mark.parametrize("kind", ["gaussian", "poisson"])
def test_noise_has_each_patches_strength_and_colour(kind: str) -> None:
    flat = torch.full((3, 3, 100, 100), 128.0)
    step = Noise(kind, np.array([0.0, 4.0, 4.0]), np.array([False, False, True]), 7)
    noise = batches.noisy(flat, step) - flat
    expected = 4.0 if kind == "gaussian" else 4 * np.sqrt(128 / 255 * pictures.PHOTONS) * 255 / pictures.PHOTONS
    assert noise[0].abs().max() == 0
    assert noise[1:].std(dim=(1, 2, 3)).numpy() == pytest.approx([expected] * 2, rel=0.05)
    assert not torch.equal(noise[1, 0], noise[1, 1])
    assert torch.allclose(noise[2, 0], noise[2, 1])
    assert torch.equal(batches.noisy(flat, step), batches.noisy(flat, step))


# -- pairs of patches
def _patches(seed: int = 0, strength: str = "medium", together: int = 2) -> DegradedPatches:
    side = (8 + 2 * MARGIN) * 2
    settings = degradation_from({"strength": strength, "together": together})
    return DegradedPatches(lambda step: _scenes(5, side, side), settings, 2, 8, seed, CPU)


def test_a_batch_depends_on_seed_and_number_alone() -> None:
    first, second = _patches(), _patches()
    forwards = [first(k) for k in range(3)]
    backwards = [second(k) for k in reversed(range(3))][::-1]
    for (a, b), (c, d) in zip(forwards, backwards, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)
    assert not torch.equal(forwards[0][0], forwards[1][0])
    assert not torch.equal(forwards[0][0], _patches(seed=1)(0)[0])


@pytest.mark.parametrize("together", [1, 2, 8])
def test_batches_have_the_size_of_patches(together: int) -> None:
    low, high = _patches(together=together)(0)
    assert (low.shape, high.shape) == ((5, 3, 8, 8), (5, 3, 16, 16))
    assert low.dtype == high.dtype == torch.uint8


def test_low_and_high_patches_show_the_same_place() -> None:
    """With next to no degradation the small patch is the large one, reduced."""
    order = {"blur": 0, "resize": [0, 0, 1], "noise": [0, 0], "gaussian": 1, "quality": [100, 100]}
    settings = degradation_from({"final_sinc": 0, "chroma": 0, "first": order, "second": order, "together": 1})
    side = (16 + 2 * MARGIN) * 2
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    ramp = torch.stack([2 * x, 2 * y, x + y])[None].repeat(6, 1, 1, 1).to(torch.uint8)
    places = set()
    for step in range(4):
        low, high = DegradedPatches(lambda step: ramp, settings, 2, 16, 0, CPU)(step)
        middle = functional.avg_pool2d(high.float(), 2)
        assert (low.float() - middle).abs().mean() < 1.5
        places |= {(int(one[0, 0, 0]), int(one[1, 0, 0])) for one in high}
    assert len(places) > 10  # blocks of compression begin anywhere
