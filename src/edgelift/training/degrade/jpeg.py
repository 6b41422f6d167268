"""JPEG as a function of PyTorch tensors, for batches on any device: a stand-in for the real codec.

What loses something is done as the codec does it (ITU-T T.81): luma and chroma, chroma at half the resolution, the cosine
transform of 8 × 8 blocks, division by the quantisation tables of a quality, rounding. What does not lose anything, the
entropy coding, is left out. Transforms are in floats, so that some coefficients round the other way.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from edgelift.core.jpeg import CHROMA, LUMA

__all__ = ["compressed", "quantisation"]

_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def quantisation(quality: Tensor) -> tuple[Tensor, Tensor]:
    """Tables (N × 8 × 8) of luma and chroma for qualities 1 … 100 (N), scaled as libjpeg does."""
    quality = quality.to(torch.float32).clamp(1, 100)
    scale = torch.where(quality < 50, torch.floor(5000 / quality), 200 - 2 * quality)[:, None, None]
    luma, chroma = (
        torch.floor((torch.tensor(table, dtype=torch.float32, device=quality.device) * scale + 50) / 100).clamp(1, 255)
        for table in (LUMA, CHROMA)
    )
    return luma, chroma


def compressed(pictures: Tensor, quality: Tensor, *, halved: bool) -> Tensor:
    """`pictures` (N × 3 × H × W, levels 0 … 255) after JPEG of `quality` (N); whole levels.

    `halved`: chroma at half the resolution (4:2:0). Sides need not be multiples of a block; edges are repeated.
    """
    height, width = pictures.shape[2:]
    levels = pictures.clamp(0, 255).round()
    ycc = torch.einsum("oc,nchw->nohw", levels.new_tensor(_TO_YCC), levels)
    ycc = (ycc + levels.new_tensor((0.0, 128.0, 128.0))[:, None, None]).round()
    for_luma, for_chroma = quantisation(quality)
    luma = _coded(_extended(ycc[:, :1], 8, 8), for_luma)[:, :, :height, :width]
    chroma = ycc[:, 1:]
    if halved:  # as libjpeg does it: columns are extended before the means are taken, rows after
        small = _halved(_extended(chroma, 2, 16))
        small = _coded(_extended(small, 8, 8), for_chroma)[:, :, : (height + 1) // 2, : (width + 1) // 2]
        chroma = functional.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)
    else:
        chroma = _coded(_extended(chroma, 8, 8), for_chroma)
    ycc = torch.cat([luma, chroma[:, :, :height, :width].round() - 128], dim=1)
    rgb = torch.einsum("oc,nchw->nohw", levels.new_tensor(_TO_RGB), ycc)
    return rgb.round().clamp(0, 255)


def _halved(planes: Tensor) -> Tensor:
    """Means of 2 × 2 whole levels; halves go down in one column and up in the next, as in libjpeg."""
    sums = 4 * functional.avg_pool2d(planes, 2)
    bias = 1 + torch.arange(sums.shape[3], device=sums.device) % 2
    return torch.floor((sums.round() + bias) / 4)


def _extended(planes: Tensor, rows: int, columns: int) -> Tensor:
    """Planes (N × C × H × W) with their last row and column repeated to multiples of `rows` and `columns`."""
    height, width = planes.shape[2:]
    return functional.pad(planes, (0, -width % columns, 0, -height % rows), mode="replicate")


def _coded(planes: Tensor, table: Tensor) -> Tensor:
    """Planes (N × C × H × W, sides multiples of 8) after transform, quantisation by `table` (N × 8 × 8) and back."""
    count, channels, height, width = planes.shape
    blocks = planes.reshape(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4) - 128
    basis = _basis(planes)
    steps = table[:, None, None, None]
    kept = torch.round(basis @ blocks @ basis.T / steps) * steps
    back = (basis.T @ kept @ basis + 128).round().clamp(0, 255)
    return back.transpose(3, 4).reshape(count, channels, height, width)


def _basis(like: Tensor) -> Tensor:
    """The orthonormal cosine transform of 8 samples, 8 × 8."""
    k, n = torch.arange(8, device=like.device)[:, None], torch.arange(8, device=like.device)[None]
    basis = torch.cos((2 * n + 1) * k * (math.pi / 16)) * 0.5
    basis[0] /= math.sqrt(2)
    return basis.to(like.dtype)
