"""The weights that a run begins with, where they come from another run."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from edgelift.nets.branched import BRANCHES
from edgelift.nets.reparam import EdgeConv
from edgelift.nets.supernet import FULL, leading

__all__ = ["begin_with"]


@torch.no_grad()
def begin_with(network: nn.Module, weights: dict[str, Tensor], *, grow: bool = False) -> int:
    """Copy the tensors whose name and shape match from `weights` into `network`; the number of those copied.

    A block of several branches takes the weights of a plain convolution of its name: its sum becomes that convolution.
    With `grow` a layer also takes those of a narrower one, as its first channels, where what they read is taken too. These
    read none of the further ones at first, so that they stay the features they were; the further ones keep their random
    weights, to become something new.
    Of a supernet, a network by itself takes the subnet of its width, of a branched one the branch of its form.
    """
    own = network.state_dict()
    if not any(name.startswith((FULL, BRANCHES)) for name in own):
        weights = _branch(_subnet(weights, own), own)
    if grow:
        weights = _fed(network, weights)
    given = {name: _put(own[name], value) for name, value in weights.items() if _fits(own.get(name), value, grow)}
    network.load_state_dict(own | given)
    count = len(given)
    for name, module in network.named_modules():
        weight = weights.get(f"{name}.weight")
        if isinstance(module, EdgeConv) and weight is not None and _fits(module.merged(), weight, grow):
            module.take(_put(module.merged(), weight))
            count += 1
    return count


def _subnet(weights: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """`weights` with those of a supernet under the names and in the shapes of `own`; the others as they are."""
    shared = {name.removeprefix(FULL): value for name, value in weights.items() if name.startswith(FULL)}
    narrow = {
        name: leading(value, own[name].shape) for name, value in shared.items() if _fits(value, own.get(name), True)
    }
    return weights | narrow


def _branch(weights: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """`weights` with those of a branch under the names of `own`, where one has them all in the same shapes."""
    for prefix in {name[: name.index(".", len(BRANCHES)) + 1] for name in weights if name.startswith(BRANCHES)}:
        inside = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        if {name: value.shape for name, value in inside.items()} == {name: value.shape for name, value in own.items()}:
            return weights | inside
    return weights


def _fits(own: Tensor | None, value: Tensor | None, grow: bool) -> bool:
    if own is None or value is None or own.ndim != value.ndim:
        return False
    if not grow or own.ndim == 0:
        return own.shape == value.shape
    return own.shape[2:] == value.shape[2:] and all(a >= b for a, b in zip(own.shape, value.shape, strict=True))


def _fed(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """`weights` without those of layers that would read, of a wider layer before them, what that layer does not have.

    Such are the last layer of ABPN, which reads 3s² channels of one that others lack, and one behind further layers.
    """
    layers = [name for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d | EdgeConv)]
    wide = {name: _into(network.get_submodule(name)) for name in layers}
    left = set()
    for before, name in pairwise(layers):
        value, fed = (weights.get(f"{each}.weight") for each in (name, before))
        if value is not None and value.shape[1] < wide[name] and (fed is None or len(fed) != value.shape[1]):
            left.add(f"{name}.weight")
    return {name: value for name, value in weights.items() if name not in left}


def _into(layer: nn.Module) -> int:
    assert isinstance(layer, nn.Conv2d | EdgeConv)
    return int((layer.merged() if isinstance(layer, EdgeConv) else layer.weight).shape[1])


def _put(own: Tensor, value: Tensor) -> Tensor:
    """`value` as the first channels of `own`, which is as large or larger."""
    if own.shape == value.shape:
        return value
    result = own.clone()
    result[: len(value)] = 0
    result[tuple(slice(size) for size in value.shape)] = value
    return result
