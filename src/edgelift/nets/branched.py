"""Branched networks: networks of different cost side by side, each with weights of its own (as ClassSR's branches, Kong et
al., CVPR 2021).

A supernet stores the weights of its widest network alone, and each narrower one pays for that in quality. Where all are
small nothing is gained by it, so that these have what they would have by themselves.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from edgelift.nets.family import Family
from edgelift.nets.network import Network
from edgelift.nets.plain import Plain

__all__ = ["BRANCHES", "Branched", "BranchedPlain"]

BRANCHES = "branches."
"""Before the number of a branch and the names of its weights."""


class Branched(Family):
    """Base: `branches` are of one scale and give blocks of one form. The halo is that of the one which sees farthest."""

    def __init__(self, branches: Sequence[Network], names: Sequence[str], config: dict[str, Any]) -> None:
        super().__init__()
        if len(branches) < 2:
            raise ValueError(f"a branched network has at least two branches; got {len(branches)}")
        self.branches = nn.ModuleList(branches)
        self.config, self.variants, self.active = config, tuple(names), len(branches)
        for fact in ("scale", "shuffle", "multiple_of", "colour", "padding"):
            setattr(self, fact, getattr(branches[-1], fact))
        halos = [branch.halo for branch in branches]
        self.halo = None if None in halos else max(halo for halo in halos if halo is not None)
        if any(a >= b for a, b in pairwise(self.costs)):
            raise ValueError(f"branches cost more from one to the next; these take {self.costs} multiply-adds a pixel")

    def branch(self, variant: int) -> Network:
        """That network itself, from 1."""
        chosen = self.branches[variant - 1]
        assert isinstance(chosen, Network)
        return chosen

    def core(self, x: Tensor) -> Tensor:
        """Blocks of the larger picture, by the active branch."""
        return self.branch(self.active).core(x)

    def subnet(self, variant: int) -> Network:
        """See `Family.subnet`."""
        return copy.deepcopy(self.branch(variant)).eval()

    @property
    def costs(self) -> tuple[int, ...]:
        """See `Family.costs`."""
        return tuple(self.branch(variant).macs_per_pixel() for variant in range(1, len(self.branches) + 1))


class BranchedPlain(Branched):
    """Networks of `nets.plain` side by side: `widths` rise, and `layers` has a number for each of them.

    So have `skips` and `linears`, the `skip` and `linear` of each, where one of them has any.
    """

    architecture = "branched-plain"

    def __init__(
        self,
        scale: int = 4,
        widths: Sequence[int] = (8, 16, 32, 48),
        layers: Sequence[int] = (3, 5, 5, 5),
        padding: str = "zeros",
        skips: Sequence[bool] = (),
        linears: Sequence[int] = (),
    ) -> None:
        widths, layers = [int(w) for w in widths], [int(n) for n in layers]
        if widths != sorted(set(widths)) or len(layers) != len(widths):
            raise ValueError(f"widths must rise, and layers be as many; got {widths} and {layers}")
        for key, given in (("skips", skips), ("linears", linears)):
            if len(given) not in (0, len(widths)):
                raise ValueError(f"{key} must be as many as widths, or none; got {list(given)} for {widths}")
        networks = [
            Plain(scale, width, number, padding=padding, skip=skip, linear=linear)
            for width, number, skip, linear in zip(
                widths, layers, skips or [False] * len(widths), linears or [0] * len(widths), strict=True
            )
        ]
        config = {
            "scale": scale, "widths": widths, "layers": layers, "padding": padding,
            "skips": list(skips), "linears": list(linears),
        }  # fmt: skip
        super().__init__(networks, [f"w{width}" for width in widths], config)
