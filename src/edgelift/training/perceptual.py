"""The perceptual loss (Johnson et al. 2016): how far two pictures are apart in the features of a trained network.

No such network comes with edgelift. A user who has one, as a file of PyTorch weights in the layout of torchvision's VGG
(`features.N.weight`), names it in the recipe. Features are those of the last convolution before each pooling, before its ReLU,
as in ESRGAN (Wang et al. 2018): of VGG19 conv1_2, conv2_2, conv3_4, conv4_4 and conv5_4.
"""

from __future__ import annotations

import itertools
import pickle
import re
import struct
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgelift.core.errors import TrainingError

__all__ = ["Features", "load_features"]

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_UNREADABLE = (
    OSError, ValueError, LookupError, TypeError, RuntimeError, EOFError, AssertionError, struct.error, pickle.UnpicklingError
)  # what torch raises for damaged files  # fmt: skip
_SMALL = 0.1
"""Weight of the first two stages; that of the others is 1 (Real-ESRGAN)."""


class Features(nn.Module):
    """3×3 convolutions with ReLU, and 2×2 max pooling after those in `pooled` (places in the list of convolutions)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, layers: list[nn.Conv2d], pooled: set[int]) -> None:
        super().__init__()
        self.layers, self.pooled = nn.ModuleList(layers), pooled
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of pictures N × 3 × h × w in 0 … 1, one tensor for each stage."""
        h = (x - self.mean) / self.deviation
        stages = []
        for number, layer in enumerate(self.layers):
            h = layer(h)
            if number in self.pooled or number == len(self.layers) - 1:
                stages.append(h)
            h = functional.relu(h)
            if number in self.pooled:
                h = functional.max_pool2d(h, 2)
        return stages

    def loss(self, result: Tensor, truth: Tensor) -> Tensor:
        """L1 between the features of both, the stages weighted as in Real-ESRGAN."""
        with torch.no_grad():
            wanted = self(truth)
        total = result.new_zeros(())
        for number, (mine, there) in enumerate(zip(self(result), wanted, strict=True)):
            total = total + (_SMALL if number < 2 else 1.0) * functional.l1_loss(mine, there)
        return total


def load_features(path: Path) -> Features:
    """The network in a file of weights. Raises `TrainingError` where there is none in it; never runs code from it."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        names = {int(m[1]): name for name in weights if (m := re.fullmatch(r"(?:features\.)?(\d+)\.weight", name))}
        numbers = sorted(names)
        layers = [_layer(weights[names[n]], weights[names[n].replace("weight", "bias")]) for n in numbers]
        gaps = [after - before for before, after in itertools.pairwise(numbers)]
        if not layers or set(gaps) - {2, 3}:
            raise ValueError(f"convolutions at {numbers or 'no place'}")
    except _UNREADABLE as exc:
        raise TrainingError(
            f"{path}: no feature network; expected weights of 3×3 convolutions called features.N.weight and features.N.bias, "
            f"as in torchvision's vgg19 ({exc})"
        ) from exc
    return Features(layers, {place for place, gap in enumerate(gaps) if gap == 3}).requires_grad_(False)


def _layer(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    out, into, *sizes = weight.shape
    if sizes != [3, 3]:
        raise ValueError(f"a layer's weights have the shape {tuple(weight.shape)}")
    layer = nn.Conv2d(into, out, 3, padding=1)
    layer.weight.data.copy_(weight)
    assert layer.bias is not None
    layer.bias.data.copy_(bias)
    return layer
