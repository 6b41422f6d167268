"""Units that died: after a ReLU they are 0 whatever the picture is, no gradient reaches them, and training never revives them."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["wake"]

TOLERANCE = 1e-5
"""How far results (white is 1) may move by rounding when a unit that does nothing begins anew."""


@torch.no_grad()
def wake(network: nn.Module, low: Tensor) -> int:
    """Draw dead units of `network` afresh, unread at first, so that its results for `low` (N × 3 × h × w) stay; their number.

    A unit is dead where the output of a convolution is below 0 at all pixels of `low` and nothing follows from it. It takes the
    first weights of a new convolution, and the next layer reads it with weights of 0 until it learns otherwise. Convolutions
    of other kinds (`RunsAsConv`, grouped, transposed) are left alone, and so are units that several layers read.
    """
    wanted = network(low)
    layers = [module for module in network.modules() if type(module) is nn.Conv2d and module.groups == 1]
    silent = _silent(network, layers, low)
    count = 0
    for layer, reader in pairwise(layers):
        units = silent[layer]
        if reader.in_channels != layer.out_channels or layer.bias is None or not layer.weight.requires_grad:
            continue
        if not len(units) or not reader.weight.requires_grad:
            continue
        kept = [value.clone() for value in (layer.weight, layer.bias, reader.weight)]
        fresh = torch.empty_like(layer.weight)
        nn.init.kaiming_normal_(fresh, nonlinearity="relu")
        layer.weight[units], layer.bias[units], reader.weight[:, units] = fresh[units], 0.0, 0.0
        if torch.allclose(network(low), wanted, atol=TOLERANCE):
            count += len(units)
            continue
        for value, before in zip((layer.weight, layer.bias, reader.weight), kept, strict=True):
            value.copy_(before)
    return count


def _silent(network: nn.Module, layers: list[nn.Conv2d], low: Tensor) -> dict[nn.Conv2d, Tensor]:
    """Numbers of the channels whose output is nowhere above 0."""
    found: dict[nn.Conv2d, Tensor] = {}

    def look(module: nn.Module, given: object, result: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        found[module] = (result.amax((0, 2, 3)) <= 0).nonzero().flatten()

    hooks = [layer.register_forward_hook(look) for layer in layers]
    network(low)
    for hook in hooks:
        hook.remove()
    return {layer: found.get(layer, torch.empty(0, dtype=torch.long)) for layer in layers}
