"""What every network is: a trunk of layers that turns a picture into blocks, and a pixel shuffle after it.

A network sees RGB in 0 … 1 (N × 3 × h × w). `core` returns blocks: N × (3·b²) × H × W with b = `shuffle`, channels
ordered (row in block, column in block, colour), the order in which the shuffle is a plain strided copy ("DCR" in ONNX).
`forward` is `core` followed by that shuffle, not clipped.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from edgelift.core.spec import PADDINGS, Padding

__all__ = ["Gate", "Network", "Padding", "RunsAsConv", "conv", "conv_of", "parameters", "shuffle_blocks"]


class RunsAsConv(nn.Module):
    """A layer that is trained in a form of its own and runs as one plain convolution."""

    padding: str
    """What lies beyond the picture."""
    narrows: ClassVar[bool] = False
    """Whether it can read fewer channels, by `narrow`."""

    def equal(self) -> tuple[Tensor, Tensor]:
        """Weights (out × in × k × k) and biases of the convolution that gives the same result; gradients flow through."""
        raise NotImplementedError

    def narrow(self, index: Tensor) -> None:
        """Change in place to read only the channels `index`; the others count as 0."""
        raise NotImplementedError

    def as_conv(self) -> nn.Conv2d:
        """The convolution that gives the same result."""
        return conv_of(*self.equal(), self.padding)


class Gate(nn.Module):
    """A layer that multiplies features by factors which it makes of them: the one part that is not ReLU-like."""

    def take_range(self, factor: float) -> None:
        """Change in place so that features `factor` times as large are multiplied by the same factors as before."""
        raise NotImplementedError


class Network(nn.Module):
    """Base of all networks; a subclass sets the class facts and the instance facts below."""

    architecture: ClassVar[str]
    """The name in `nets.zoo`."""
    task: ClassVar[str] = "super-resolution"
    homogeneous: ClassVar[bool] = True
    """Whether f(a·x) with biases scaled by a equals a·f(x) for a > 0: true where the only non-linearities are ReLU-like
    and gates."""

    config: dict[str, Any]
    """The arguments that make this network again: `zoo.build(architecture, **config)`."""
    scale: int
    shuffle: int
    """Side of a block; `scale` where the network works at the low resolution until its end."""
    halo: int | None
    """How many input pixels around a pixel its result depends on, or None where that is the whole picture."""
    multiple_of: int = 1
    """Picture sides are extended to a multiple of this before the network runs."""
    variants: tuple[str, ...] = ("full",)
    """Names of the networks inside, narrowest first; more than one in a supernet (`nets.supernet`)."""
    colour: str = "rgb"
    """`rgb`, or `y` where the network proper sees luma and colour is interpolated beside it."""
    padding: str = "zeros"

    def core(self, x: Tensor) -> Tensor:
        """Blocks for `x`; see the module's text for both forms."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """The larger picture, N × 3 × scale·h × scale·w, not clipped."""
        return shuffle_blocks(self.core(x), self.shuffle)

    def scale_range(self, factor: float) -> None:
        """Change in place to the network g with g(factor · x) = factor · f(x); only for homogeneous networks."""
        if not self.homogeneous:
            raise ValueError(f"{self.architecture} is not homogeneous: its range cannot be moved into its biases")
        gates = [module for module in self.modules() if isinstance(module, Gate)]
        kept = {parameter for gate in gates for parameter in gate.parameters()}
        with torch.no_grad():
            for name, value in [*self.named_parameters(), *self.named_buffers()]:
                if name.endswith(("bias", "running_mean")) and value not in kept:
                    value.mul_(factor)
            for gate in gates:
                gate.take_range(factor)

    @torch.no_grad()
    def fold(self) -> None:
        """Replace in place every layer that runs as a convolution by that convolution; results stay the same."""
        for parent in list(self.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, RunsAsConv):
                    setattr(parent, name, child.as_conv())

    @torch.no_grad()
    def macs_per_pixel(self, side: int = 32) -> int:
        """Multiply-adds of all convolutions for one input pixel, measured by a run on `side` × `side` pixels.

        Counts fixed convolutions (colour interpolation) too, since they cost the same, but not those of gates, which run
        on a few averages of the picture.
        """
        total, training = 0, self.training
        within = {part for whole in self.modules() if isinstance(whole, RunsAsConv | Gate) for part in whole.modules()}
        counted = [
            m for m in self.modules() if isinstance(m, RunsAsConv) or (isinstance(m, nn.Conv2d) and m not in within)
        ]

        def count(module: nn.Module, _: Any, output: Tensor) -> None:
            nonlocal total
            weight = (module.as_conv() if isinstance(module, RunsAsConv) else module).weight
            assert isinstance(weight, Tensor)
            total += weight[0].numel() * output[0].numel()

        hooks = [module.register_forward_hook(count) for module in counted]
        self.eval()  # a normalisation would take the zeros into its means
        try:
            like = next(self.parameters())
            self.core(torch.zeros(1, 3, side, side, device=like.device, dtype=like.dtype))
        finally:
            for hook in hooks:
                hook.remove()
            self.train(training)
        return round(total / side**2)


def shuffle_blocks(blocks: Tensor, side: int) -> Tensor:
    """N × (C·side²) × h × w, channels ordered (row, column, colour), to N × C × side·h × side·w."""
    if side == 1:
        return blocks
    n, channels, h, w = blocks.shape
    out = blocks.reshape(n, side, side, channels // side**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return out.reshape(n, channels // side**2, h * side, w * side)


def parameters(network: nn.Module) -> int:
    """Number of trained values."""
    return sum(p.numel() for p in network.parameters())


def conv(
    into: int, out: int, size: int, padding: str, *, relu: bool = True, groups: int = 1, bias: bool = True
) -> nn.Conv2d:
    """A `size` × `size` convolution that keeps the picture's size.

    Weights are drawn as He et al. 2015 for a ReLU after it, or with half that variance where none follows.
    """
    if padding not in PADDINGS:
        raise ValueError(f"padding must be one of {', '.join(PADDINGS)}, got {padding!r}")
    layer = nn.Conv2d(into, out, size, padding=size // 2, padding_mode=padding, groups=groups, bias=bias)
    gain = math.sqrt(2.0) if relu else 1.0
    nn.init.normal_(layer.weight, std=gain / math.sqrt(into // groups * size * size))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def conv_of(weight: Tensor, bias: Tensor, padding: str) -> nn.Conv2d:
    """The convolution with these weights (out × in × k × k) and biases that keeps the picture's size."""
    out, into, size, _ = weight.shape
    layer = nn.Conv2d(into, out, size, padding=size // 2, padding_mode=cast(Padding, padding), device="meta")
    layer.weight = nn.Parameter(weight.detach().clone())
    layer.bias = nn.Parameter(bias.detach().clone())
    return layer
