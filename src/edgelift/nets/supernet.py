"""Slimmable supernets: networks of several widths that share one set of weights (Yu et al., "Slimmable neural networks",
ICLR 2019; for super-resolution ARM, Chen et al., ECCV 2022).

A subnet of width w is the backbone built with w channels, its weights the leading part of the widest one's along every
axis: a narrower convolution uses the first filters, and of those the first inputs. So every architecture with a number of
`channels` is a backbone, and nothing in it has to know.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from edgelift.nets.carn import CARN
from edgelift.nets.edsr import EDSR
from edgelift.nets.family import Family
from edgelift.nets.fsrcnn import FSRCNN
from edgelift.nets.network import Network
from edgelift.nets.plain import Plain

__all__ = ["FULL", "SlimCARN", "SlimEDSR", "SlimFSRCNN", "SlimPlain", "Slimmable", "leading"]

FULL = "full."
"""Before the names of a supernet's weights; those of a subnet, which is a network of its own, lack it."""


def leading(value: Tensor, shape: Sequence[int]) -> Tensor:
    """The part of `value` at the beginning of every axis that has that shape; a view."""
    return value[tuple(slice(n) for n in shape)]


class Slimmable(Family):
    """Base of supernets: a subclass says which backbone. `widths` rise; the last is the whole network."""

    def __init__(self, backbone: Callable[..., Network], widths: Sequence[int], config: dict[str, Any]) -> None:
        super().__init__()
        widths = [int(w) for w in widths]
        if len(widths) < 2 or widths != sorted(set(widths)):
            raise ValueError(f"a supernet has at least two widths, rising; got {widths}")
        self.full = backbone(channels=widths[-1], **config)
        self.config = {"widths": widths, **config}
        # Kept out of the modules: their weights are never used, only their form.
        self._forms = tuple(backbone(channels=width, **config) for width in widths[:-1])
        self.variants = tuple(f"w{width}" for width in widths)
        self.active = len(widths)
        for fact in ("scale", "shuffle", "halo", "multiple_of", "colour", "padding"):
            setattr(self, fact, getattr(self.full, fact))

    def core(self, x: Tensor) -> Tensor:
        """Blocks of the larger picture, by the active subnet."""
        if self.active == len(self.variants):
            return self.full.core(x)
        form = self._forms[self.active - 1]
        own = {**dict(self.full.named_parameters()), **dict(self.full.named_buffers())}
        parts = {**dict(form.named_parameters()), **dict(form.named_buffers())}
        weights = {f"_core.{name}": leading(own[name], value.shape) for name, value in parts.items()}
        out: Tensor = functional_call(_AsModule(form), weights, (x,))
        return out

    def subnet(self, variant: int) -> Network:
        """See `Family.subnet`."""
        form = copy.deepcopy((*self._forms, self.full)[variant - 1])
        own = self.full.state_dict()
        form.load_state_dict({name: leading(own[name], value.shape) for name, value in form.state_dict().items()})
        return form.eval()

    def fold(self) -> None:
        """See `Network.fold`."""
        super().fold()
        for form in self._forms:
            form.fold()

    @property
    def costs(self) -> tuple[int, ...]:
        """See `Family.costs`."""
        return (*(form.macs_per_pixel() for form in self._forms), self.full.macs_per_pixel())


class _AsModule(torch.nn.Module):
    """Gives `core` the call that `functional_call` makes."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._core = network

    def forward(self, x: Tensor) -> Tensor:
        return self._core.core(x)


class SlimPlain(Slimmable):
    """A supernet of `nets.plain`: 3×3 convolutions and ReLU, what CPUs and NPUs like; widths are multiples of 16."""

    architecture = "slim-plain"

    def __init__(
        self, scale: int = 4, widths: Sequence[int] = (16, 32, 48), layers: int = 5, padding: str = "zeros"
    ) -> None:
        super().__init__(Plain, widths, {"scale": scale, "layers": layers, "padding": padding})


class SlimFSRCNN(Slimmable):
    """A supernet of FSRCNN (on Y) with the widths of ARM; `shrunk` and `layers` are those of FSRCNN."""

    architecture = "slim-fsrcnn"

    def __init__(
        self,
        scale: int = 4,
        widths: Sequence[int] = (16, 36, 56),
        shrunk: int = 12,
        layers: int = 4,
        padding: str = "zeros",
    ) -> None:
        super().__init__(FSRCNN, widths, {"scale": scale, "shrunk": shrunk, "layers": layers, "padding": padding})


class SlimEDSR(Slimmable):
    """A supernet of EDSR's baseline, ARM's SRResNet row, with the widths of ARM."""

    architecture = "slim-edsr"

    def __init__(
        self, scale: int = 4, widths: Sequence[int] = (16, 36, 64), layers: int = 16, padding: str = "zeros"
    ) -> None:
        super().__init__(EDSR, widths, {"scale": scale, "layers": layers, "padding": padding})


class SlimCARN(Slimmable):
    """A supernet of CARN that gives the blocks at once (`tail = "direct"`), with the widths of ARM.

    ARM's own is CARN-M's, whose grouped convolutions do not slim: a narrower one would share a filter's numbers, but not
    the features that they are for. So this one is CARN's, with 0.8 million parameters.
    """

    architecture = "slim-carn"

    def __init__(
        self,
        scale: int = 4,
        widths: Sequence[int] = (36, 52, 64),
        blocks: int = 3,
        layers: int = 3,
        padding: str = "zeros",
    ) -> None:
        backbone = partial(CARN, tail="direct")
        super().__init__(backbone, widths, {"scale": scale, "blocks": blocks, "layers": layers, "padding": padding})
