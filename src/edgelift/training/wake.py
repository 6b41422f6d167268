"""Units that died: after a ReLU they are 0 whatever the picture is, no gradient reaches them, and training never revives them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgelift.nets.branched import Branched
from edgelift.nets.family import Family
from edgelift.nets.narrow import groups_of
from edgelift.nets.network import Network

__all__ = ["wake"]

SLICE = 32
"""Patches that are run at once."""
TOLERANCE = 1e-5
"""How far results (white is 1) may move by rounding when a unit that does nothing begins anew."""


@torch.no_grad()
def wake(network: Network, low: Tensor) -> int:
    """Draw dead units of `network` afresh, unread at first, so that its results for `low` (N × 3 × h × w) stay; their number.

    A unit is dead where the output of a convolution is below 0 at all pixels of `low` and nothing follows from it. It takes the
    first weights of a new convolution, and the next layers read it with weights of 0 until they learn otherwise. Looked at are
    channels that one plain convolution makes and plain ones read. Of a supernet the widest subnet says what is dead, and the
    results of all have to stay; of branches each is looked at by itself.
    """
    if isinstance(network, Branched):
        return sum(wake(network.branch(variant), low) for variant in range(1, len(network.variants) + 1))
    wanted, count = _results(network, low), 0
    groups = [group for group in groups_of(network).values() if len(group.makers) == 1]
    silent = _silent(network, [group.name for group in groups], low)
    for group in groups:
        maker, units = network.get_submodule(group.name), silent[group.name]
        readers = [layer for name in group.readers if isinstance(layer := network.get_submodule(name), nn.Conv2d)]
        assert isinstance(maker, nn.Conv2d)
        if maker.bias is None or len(readers) < len(group.readers) or not len(units):
            continue
        changed = [maker.weight, maker.bias, *(reader.weight for reader in readers)]
        kept = [value.clone() for value in changed]
        fresh = torch.empty_like(maker.weight)
        nn.init.kaiming_normal_(fresh, nonlinearity="relu")
        maker.weight[units], maker.bias[units] = fresh[units], 0.0
        for reader in readers:
            reader.weight[:, units] = 0.0
        if torch.allclose(_results(network, low), wanted, atol=TOLERANCE):
            count += len(units)
            continue
        for value, before in zip(changed, kept, strict=True):
            value.copy_(before)
    return count


def _results(network: Network, low: Tensor) -> Tensor:
    """What `network`, or each subnet of a supernet, makes of `low`, in a row."""
    if not isinstance(network, Family):
        return torch.cat([network(some) for some in torch.split(low, SLICE)])
    return torch.stack([torch.cat([network(some) for some in torch.split(low, SLICE)]) for _ in network.in_turn()])


def _silent(network: Network, names: Sequence[str], low: Tensor) -> dict[str, Tensor]:
    """Layer -> numbers of its channels that are nowhere above 0, for all layers in one run.

    One is enough: nothing reads a unit that begins anew, so that no layer behind it changes.
    """
    highest: dict[str, Tensor] = {}

    def note(name: str, result: Tensor) -> None:
        peaks = result.amax((0, 2, 3))
        highest[name] = torch.maximum(peaks, highest.get(name, peaks))

    hooks = [
        network.get_submodule(name).register_forward_hook(lambda module, given, result, name=name: note(name, result))
        for name in names
    ]
    for some in torch.split(low, SLICE):
        network(some)
    for hook in hooks:
        hook.remove()
    return {name: (values <= 0).nonzero().flatten() for name, values in highest.items()}
