"""Steps carried out on a batch of patches, in PyTorch on any device.

JPEG is a stand-in (`degrade.jpeg`). WebP has none: it goes through the real codec on the CPU, patch by patch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edgelift.training.degrade import codecs
from edgelift.training.degrade.jpeg import compressed
from edgelift.training.degrade.pictures import GREY, PHOTONS
from edgelift.training.degrade.settings import Degradation
from edgelift.training.degrade.sizes import as_matrix, fast_length, side_of, taps_of
from edgelift.training.degrade.steps import Banding, Blur, Jpeg, Noise, Resize, Step, Webp, draw

__all__ = ["MARGIN", "DegradedPatches", "degrade_batch", "groups_of"]

MARGIN = 4
"""Pixels at the low resolution by which degraded patches are larger on each side; what is kept lies anywhere in that, so
that blocks of compression begin anywhere."""


class DegradedPatches:
    """Pairs of patches whose small one is degraded; batch k depends on (`seed`, k) alone, on one kind of device.

    `sharp` gives batch k of sharp patches (N × 3 × side × side, uint8) with side = (`patch` + 2 · MARGIN) · `scale`.
    """

    def __init__(
        self,
        sharp: Callable[[int], Tensor],
        settings: Degradation,
        scale: int,
        patch: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.sharp, self.settings, self.scale, self.patch, self.seed = sharp, settings, scale, patch, seed
        self.device = device

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Batch number `step` as uint8 tensors N × 3 × h × w on the device: low, high."""
        sharp = self.sharp(step).to(self.device)
        pairs = [
            self._pair(part, step, number) for number, part in enumerate(torch.split(sharp, self.settings.together))
        ]
        low, high = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        return low, high

    def _pair(self, high: Tensor, step: int, number: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([self.seed, step, 2, number])
        low = degrade_batch(high, draw(self.settings, self.scale, len(high), rng))
        y, x = (int(value) for value in rng.integers(2 * MARGIN + 1, size=2))
        size, s = self.patch, self.scale
        return low[:, :, y : y + size, x : x + size], high[:, :, y * s : (y + size) * s, x * s : (x + size) * s]


def groups_of(
    sharp: Callable[[int], Tensor], settings: Degradation, scale: int, seed: int, device: torch.device
) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Whole pairs by number, margins and all, for a `pool.Pool`: `sharp` gives the sharp ones of a group (see above)."""

    def group(number: int) -> tuple[Tensor, Tensor]:
        high = sharp(number).to(device)
        rng = np.random.default_rng([seed, number, 2])
        return degrade_batch(high, draw(settings, scale, len(high), rng)), high

    return group


@torch.no_grad()
def degrade_batch(high: Tensor, steps: Sequence[Step]) -> Tensor:
    """Sharp patches `high` (N × 3 × H × W, uint8) after all of `steps`, drawn for N pictures; uint8."""
    size = (high.shape[2], high.shape[3])
    patches = high.float()
    for step in steps:
        patches = _after(patches, step, size)
    return patches.clamp(0, 255).round().to(torch.uint8)


def _after(patches: Tensor, step: Step, size: tuple[int, int]) -> Tensor:
    """One step on patches of levels 0 … 255; `size` is that of the sharp ones."""
    match step:
        case Blur():
            return blurred(patches, _beside(patches, step.kernels))
        case Resize():
            return resized(patches, side_of(size[0], step.share), side_of(size[1], step.share), step.method)
        case Noise():
            return noisy(patches, step)
        case Jpeg():
            down, right = step.shift
            moved = functional.pad(patches, (right, 0, down, 0), mode="replicate")
            quality = _beside(patches, step.quality)
            return compressed(moved, quality, halved=step.halved)[:, :, down:, right:]
        case Webp():
            return _webp(patches, step)
        case Banding():
            width = 255 / (_beside(patches, step.levels) - 1)[:, None, None, None]
            return (patches.clamp(0, 255) / width).round() * width


def blurred(patches: Tensor, kernels: Tensor) -> Tensor:
    """Each of `patches` convolved with its own of `kernels` (N × k × k, k odd), edges repeated; by Fourier transform."""
    edge = kernels.shape[1] // 2
    wide = functional.pad(patches, [edge] * 4, mode="replicate")
    height, width = wide.shape[2:]
    shape = (fast_length(height), fast_length(width))
    spectrum = torch.fft.rfft2(wide, s=shape) * torch.fft.rfft2(kernels.to(patches), s=shape)[:, None]
    whole: Tensor = torch.fft.irfft2(spectrum, s=shape)
    return whole[:, :, 2 * edge : height, 2 * edge : width]


def resized(patches: Tensor, height: int, width: int, method: str) -> Tensor:
    """`patches` with other sides by `area`, `bilinear` or `bicubic` (see `sizes`)."""
    rows, columns = (
        _beside(patches, as_matrix(taps_of(was, becomes, method), was))
        for was, becomes in zip(patches.shape[2:], (height, width), strict=True)
    )
    return rows @ patches @ columns.T


def noisy(patches: Tensor, step: Noise) -> Tensor:
    """`patches` with noise; its values are those of the device's own generator."""
    generator = torch.Generator(patches.device).manual_seed(step.seed)
    strength = _beside(patches, step.strength)[:, None, None, None]
    grey = _beside(patches, step.grey)[:, None, None, None] > 0
    if step.kind == "gaussian":
        noise = torch.randn(patches.shape, generator=generator, device=patches.device)
        return (patches + strength * torch.where(grey, noise[:, :1], noise)).clamp(0, 255)
    seen = patches.round().clamp(0, 255)
    grey_form = torch.einsum("c,nchw->nhw", _beside(patches, GREY), seen)[:, None].expand_as(seen)
    photons = torch.where(grey, grey_form, seen) / 255 * PHOTONS
    noise = (torch.poisson(photons, generator=generator) - photons) / PHOTONS * 255
    return (patches + strength * torch.where(grey, noise[:, :1], noise)).clamp(0, 255)


def _beside(patches: Tensor, values: NDArray[Any]) -> Tensor:
    """`values` as numbers like those of `patches`, where they are; a GPU's queue is not waited for."""
    return torch.from_numpy(values).to(patches, non_blocking=True)


def _webp(patches: Tensor, step: Webp) -> Tensor:
    pixels = patches.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    packed = [codecs.webp(np.ascontiguousarray(one), int(q)) for one, q in zip(pixels, step.quality, strict=True)]
    return torch.from_numpy(np.stack(packed)).to(patches).permute(0, 3, 1, 2)
