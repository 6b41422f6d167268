"""Cascading residual networks, CARN and CARN-M (Ahn et al., ECCV 2018).

Every stage sees all that came before it, through a 1×1 convolution; the stages are blocks, and the stages of a block are
residual blocks. CARN-M has grouped convolutions, and each of its blocks has one residual block that it uses again.

The published weights serve three scales with three tails; a network here has the tail of its own scale. There are two
forms of `tail`. `steps` is the published one: the mean colour is taken off the input, and the picture is enlarged in steps,
between and after which it is convolved once more, at ×4 for 0.4 of all multiply-adds. `direct` gives the blocks at once and
adds the input to them, as in `nets.plain`: all work stays at the low resolution, and a supernet of it can leave regions to
interpolation, which a network that enlarges inside cannot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgelift.nets.network import Network, conv
from edgelift.nets.steps import DIV2K_MEAN, Enlarge, Shift, check_tail, halo_of_steps, steps_of

__all__ = ["CARN", "CARNM"]


class Residual(nn.Module):
    """ReLU(x + conv(ReLU(conv(x)))); CARN-M's: grouped convolutions with a ReLU after both, and a 1×1 convolution."""

    def __init__(self, channels: int, padding: str, groups: int) -> None:
        super().__init__()
        sizes = [3, 3] if groups == 1 else [3, 3, 1]
        self.layers = nn.ModuleList(
            conv(channels, channels, size, padding, groups=groups if size == 3 else 1) for size in sizes
        )
        with torch.no_grad():
            self.layers[-1].get_parameter("weight").mul_(0.1)  # else a deep stack of them grows too fast to start from

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for layer in self.layers[:-1]:
            h = functional.relu(layer(h))
        return functional.relu(x + self.layers[-1](h))


class Fusion(nn.Module):
    """ReLU(1×1 convolution of `count` features side by side), as the sum of one convolution each.

    The sum is the published layer exactly, and slimmable: a narrower network takes the leading channels of every feature,
    where of features side by side it would take those of the first ones only.
    """

    def __init__(self, count: int, channels: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Conv2d(channels, channels, 1, bias=k == 0) for k in range(count))
        with torch.no_grad():
            for part in self.parts:
                nn.init.normal_(part.get_parameter("weight"), std=math.sqrt(2 / (count * channels)))
            nn.init.zeros_(self.parts[0].get_parameter("bias"))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        total = self.parts[0](features[0])
        for part, feature in zip(self.parts[1:], features[1:], strict=True):
            total = total + part(feature)
        return functional.relu(total)


class Cascade(nn.Module):
    """`count` stages in a row, each followed by a fusion of its result with all before; one stage is used again."""

    def __init__(self, stages: Sequence[nn.Module], count: int, channels: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.fusions = nn.ModuleList(Fusion(k + 2, channels) for k in range(count))

    def forward(self, x: Tensor) -> Tensor:
        seen, h = [x], x
        for k, fusion in enumerate(self.fusions):
            seen.append(self.stages[k % len(self.stages)](h))
            h = fusion(seen)
        return h


class _Cascading(Network):
    """All layers of both; with `groups` above 1 those of CARN-M."""

    def __init__(
        self, scale: int, channels: int, blocks: int, layers: int, tail: str, padding: str, groups: int = 1
    ) -> None:
        super().__init__()
        self.config = {
            "scale": scale, "channels": channels, "blocks": blocks, "layers": layers, "tail": tail, "padding": padding,
        }  # fmt: skip
        in_steps, kept = check_tail(tail) == "steps", layers if groups == 1 else min(layers, 1)
        self.scale, self.padding = scale, padding
        self.shuffle = 1 if in_steps else scale
        self.halo = 1 + 2 * blocks * layers + (halo_of_steps(steps_of(scale), after=1) if in_steps else 1)
        self.mean = Shift([-value for value in DIV2K_MEAN]) if in_steps else None
        self.head = conv(3, channels, 3, padding, relu=False)
        inner = [
            Cascade([Residual(channels, padding, groups) for _ in range(kept)], layers, channels) for _ in range(blocks)
        ]
        self.trunk = Cascade(inner, blocks, channels)
        self.enlarge = Enlarge(channels, scale, padding, groups=groups) if in_steps else None
        self.tail = conv(channels, 3 if in_steps else 3 * scale**2, 3, padding, relu=False)
        with torch.no_grad():
            self.tail.weight.mul_(0.1)  # start near the mean colour, or near the anchor
            if in_steps:
                self.tail.get_parameter("bias").copy_(torch.tensor(DIV2K_MEAN))

    def core(self, x: Tensor) -> Tensor:
        """Blocks of the larger picture; the picture itself where the tail is in steps."""
        h = self.trunk(self.head(x if self.mean is None else self.mean(x)))
        out: Tensor = self.tail(h if self.enlarge is None else self.enlarge(h))
        return out if self.enlarge is not None else out + torch.cat([x] * self.scale**2, dim=1)


class CARN(_Cascading):
    """conv(3→c) · cascade of `blocks` cascades of `layers` residual blocks · the tail.

    `tail`: `steps`, the published one, or `direct`: conv(c→3s²) + the input, repeated s² times; see the module's text.
    The published parameters (1,592 K) are those of the tails of three scales together.
    """

    architecture = "carn"

    def __init__(
        self,
        scale: int = 4,
        channels: int = 64,
        blocks: int = 3,
        layers: int = 3,
        tail: str = "steps",
        padding: str = "zeros",
    ) -> None:
        super().__init__(scale, channels, blocks, layers, tail, padding)


class CARNM(_Cascading):
    """The mobile form: 3×3 convolutions in `groups`, a 1×1 after two of them, one residual block a cascade.

    The published parameters (412 K) are those of the tails of three scales together, without biases.
    """

    architecture = "carn-m"

    def __init__(
        self,
        scale: int = 4,
        channels: int = 64,
        blocks: int = 3,
        layers: int = 3,
        groups: int = 4,
        tail: str = "steps",
        padding: str = "zeros",
    ) -> None:
        if groups < 2:
            raise ValueError(f"groups must be at least 2, got {groups}; with one it is carn")
        super().__init__(scale, channels, blocks, layers, tail, padding, groups)
        self.config["groups"] = groups
