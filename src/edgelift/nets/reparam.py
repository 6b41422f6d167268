"""Convolutions that are trained in another form and run as one: with a batch normalisation behind them, or as several
branches, the edge-oriented block of ECBSR (Zhang, Zeng and Zhang, ACM Multimedia 2021), in the manner of RepVGG (Ding et
al., CVPR 2021).

All branches of that block are linear in their input, so their sum is one 3×3 convolution whose weights follow from theirs. That
convolution is what runs in training too: the branches differ from it only in what their gradients do.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgelift.nets.network import RunsAsConv, conv

__all__ = ["BLOCKS", "EDGES", "EdgeConv", "NormedConv", "block_of"]

BLOCKS = ("plain", "reparam", "norm")
WIDER = 2
"""How many times as many channels as its result the middle of the expanding branch has."""
EDGES = (
    ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0)),
    ((1.0, 2.0, 1.0), (0.0, 0.0, 0.0), (-1.0, -2.0, -1.0)),
    ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0)),
)
"""The filters of Sobel along both axes, and Laplace's."""


class EdgeConv(RunsAsConv):
    """3×3 + 1×1 and 3×3 + for each edge filter a 1×1, the filter and a factor a channel + the input where shapes allow.

    The 1×1 convolutions have no bias. One that is followed by padding with zeros would not fold, since what lies beyond
    the picture would be 0 and not the bias; the block's own bias can do all that it could.
    """

    def __init__(self, into: int, out: int, padding: str, *, relu: bool = True) -> None:
        super().__init__()
        whole = conv(into, out, 3, padding, relu=relu)
        self.padding, self.keeps = padding, into == out
        self.kernel = nn.Parameter(whole.weight.detach() * (math.sqrt(0.5) if self.keeps else 1.0))
        self.bias = nn.Parameter(torch.zeros(out))
        self.expand = nn.Parameter(torch.randn(WIDER * out, into) / math.sqrt(into))
        self.squeeze = nn.Parameter(torch.randn(out, WIDER * out, 3, 3) * 0.1 / math.sqrt(9 * WIDER * out))
        self.mix = nn.Parameter(torch.randn(len(EDGES), out, into) / math.sqrt(into))
        self.gains = nn.Parameter(torch.randn(len(EDGES), out) * 1e-3)
        self.register_buffer("filters", torch.tensor(EDGES), persistent=False)

    def merged(self) -> Tensor:
        """The weights, out × in × 3 × 3, of the equal convolution."""
        weight = self.kernel + torch.einsum("omab,mi->oiab", self.squeeze, self.expand)
        weight = weight + torch.einsum("fo,foi,fab->oiab", self.gains, self.mix, self.get_buffer("filters"))
        if self.keeps:
            middle = torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
            weight = weight + functional.pad(middle[:, :, None, None], (1, 1, 1, 1))
        return weight

    def equal(self) -> tuple[Tensor, Tensor]:
        """See `RunsAsConv.equal`."""
        return self.merged(), self.bias

    @torch.no_grad()
    def take(self, weight: Tensor) -> None:
        """Become the convolution with these weights (out × in × 3 × 3), by a change of the 3×3 branch."""
        self.kernel.add_(weight - self.merged())

    def forward(self, x: Tensor) -> Tensor:
        """N × out × h × w."""
        mode = "replicate" if self.padding == "replicate" else "constant"
        return functional.conv2d(functional.pad(x, (1, 1, 1, 1), mode=mode), self.merged(), self.bias)


class NormedConv(RunsAsConv):
    """A 3×3 convolution without bias and a batch normalisation, run as one convolution."""

    def __init__(self, into: int, out: int, padding: str, *, relu: bool = True) -> None:
        super().__init__()
        self.padding = padding
        self.conv = conv(into, out, 3, padding, relu=relu, bias=False)
        self.norm = nn.BatchNorm2d(out)

    def equal(self) -> tuple[Tensor, Tensor]:
        """See `RunsAsConv.equal`; by the means and spreads that training measured."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert variance is not None
        factor = self.norm.weight / torch.sqrt(variance + self.norm.eps)
        return self.conv.weight * factor[:, None, None, None], self.norm.bias - mean * factor

    def forward(self, x: Tensor) -> Tensor:
        """N × out × h × w."""
        out: Tensor = self.norm(self.conv(x))
        return out


def block_of(kind: str, into: int, out: int, padding: str) -> nn.Module:
    """A 3×3 convolution before a ReLU, trained in the form `kind`. Raises `ValueError` for one that is not in `BLOCKS`."""
    if kind not in BLOCKS:
        raise ValueError(f"block must be one of {', '.join(BLOCKS)}, got {kind!r}")
    if kind == "reparam":
        return EdgeConv(into, out, padding)
    return NormedConv(into, out, padding) if kind == "norm" else conv(into, out, 3, padding)
