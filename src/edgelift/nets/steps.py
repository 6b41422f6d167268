"""Parts of published networks that enlarge their features in steps and convolve the large picture once more.

Most networks of this zoo give the blocks of the larger picture at once; those that are kept as published, so that others'
weights fit and figures compare, end in these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgelift.nets.network import conv

__all__ = ["DIV2K_MEAN", "TAILS", "Enlarge", "Shift", "check_tail", "halo_of_steps", "steps_of"]

TAILS = ("steps", "direct")
"""How a network ends: as published, or in the blocks of the larger picture at once."""
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean colour of the training pictures of DIV2K, RGB in 0 … 1, which published networks subtract."""


def check_tail(tail: str) -> str:
    """`tail`; raises `ValueError` where it is not in `TAILS`."""
    if tail not in TAILS:
        raise ValueError(f"tail must be one of {', '.join(TAILS)}, got {tail!r}")
    return tail


def steps_of(scale: int) -> tuple[int, ...]:
    """The factors in which published networks enlarge: 2, 3, 4 as 2 · 2 and 8 as 2 · 2 · 2; 1 is no step.

    Raises `ValueError` for other scales.
    """
    steps = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
    if scale not in steps:
        raise ValueError(f"scale must be 1, 2, 3, 4 or 8 where a network enlarges in steps, got {scale}")
    return steps[scale]


def halo_of_steps(steps: Sequence[int], after: int, before: int = 1) -> int:
    """Input pixels that a pixel depends on through `steps`.

    Each step is a convolution that reaches `before` pixels and an enlargement; `after` is what the layers at the full
    size reach, in pixels of the larger picture.
    """
    reach = after
    for step in reversed(steps):
        reach = math.ceil(reach / step) + before
    return reach


class Enlarge(nn.Module):
    """Each step: conv3(c→step²·c), an activation, a pixel shuffle (in PyTorch's order)."""

    def __init__(self, channels: int, scale: int, padding: str, *, groups: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.steps, self.relu = steps_of(scale), relu
        self.layers = nn.ModuleList(
            conv(channels, channels * step**2, 3, padding, relu=relu, groups=groups) for step in self.steps
        )

    def forward(self, x: Tensor) -> Tensor:
        """N × c × h × w to N × c × scale·h × scale·w."""
        for layer, step in zip(self.layers, self.steps, strict=True):
            x = layer(x)
            x = functional.pixel_shuffle(functional.relu(x) if self.relu else x, step)
        return x


class Shift(nn.Module):
    """Adds a fixed colour to every pixel; in the state dict, but not trained.

    Subtracting the mean before a convolution that is padded with zeros is not the same as a change of its bias: what lies
    beyond the picture is then the mean colour, not black. So it stays a layer of its own.
    """

    def __init__(self, colour: Sequence[float]) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(colour).reshape(-1, 1, 1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """`x` and the colour."""
        return x + self.bias
