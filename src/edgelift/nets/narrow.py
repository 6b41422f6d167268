"""Narrower networks: which channels belong together, and a network without some of them.

Channels belong together where they are added; an activation keeps them. A group can be narrowed where plain convolutions
make it and convolutions read it, and nothing else: not where channels are joined, shuffled into pixels or given out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from edgelift.nets.network import Network, RunsAsConv
from edgelift.nets.trace import ACTIVATIONS, kind_of, layer_of, traced

__all__ = ["Group", "cut", "groups_of", "narrowed", "take"]


@dataclass
class Group:
    """Channels that are kept or dropped together; layers by their names in the network."""

    makers: list[str] = field(default_factory=list)
    slopes: list[str] = field(default_factory=list)
    """PReLUs with a slope for each of the channels."""
    readers: list[str] = field(default_factory=list)
    channels: int = 0
    free: bool = True
    """Whether it can be narrowed."""

    @property
    def name(self) -> str:
        """That of the first layer that makes it."""
        return self.makers[0]


def groups_of(network: Network) -> dict[str, Group]:
    """Name -> group, of all that can be narrowed, in the order in which they run.

    Raises `ValueError` where the layers depend on what the network sees.
    """
    groups: dict[fx.Node, Group] = {}
    graph = traced(network)
    for node in graph.nodes:
        kind, given = kind_of(node, network) if node.op != "output" else "", node.all_input_nodes
        if kind == "Conv":
            groups[given[0]].readers.append(str(node.target))
            groups[node] = _made_by(node, network)
        elif kind in ACTIVATIONS:
            groups[node] = groups[given[0]]
            layer = layer_of(node, network)
            if isinstance(layer, nn.PReLU) and layer.num_parameters > 1:
                groups[node].slopes.append(str(node.target))
        elif kind == "Add":
            groups[node] = _joined(groups, [groups[one] for one in given])
        else:
            groups[node] = Group(free=False)
            for one in given:
                groups[one].free = False
    found = {id(group): group for group in groups.values() if group.makers}
    usable = [group for group in found.values() if group.free and group.readers and _readable(group, network)]
    return {group.name: group for group in usable}


def _made_by(node: fx.Node, network: Network) -> Group:
    layer = layer_of(node, network)
    plain = type(layer) is nn.Conv2d and layer.groups == 1
    channels = layer.out_channels if isinstance(layer, nn.Conv2d) else 0
    return Group([str(node.target)], channels=channels, free=plain)


def _joined(groups: dict[fx.Node, Group], parts: Sequence[Group]) -> Group:
    """One group of those that are added, in place of each of them."""
    whole = parts[0]
    for part in parts[1:]:
        if part is whole:
            continue
        whole.makers += part.makers
        whole.slopes += part.slopes
        whole.readers += part.readers
        whole.free = whole.free and part.free and whole.channels == part.channels
        for node, group in groups.items():
            if group is part:
                groups[node] = whole
    return whole


def _readable(group: Group, network: Network) -> bool:
    """Whether all layers that read it can read fewer channels, and no layer has a part in it twice."""
    layers = [network.get_submodule(name) for name in group.readers]
    plain = [type(layer) is nn.Conv2d and layer.groups == 1 for layer in layers]
    shares = [isinstance(layer, RunsAsConv) and layer.narrows for layer in layers]
    roles = [*group.makers, *group.slopes], group.readers
    return all(a or b for a, b in zip(plain, shares, strict=True)) and all(len(set(r)) == len(r) for r in roles)


@torch.no_grad()
def cut(network: Network, kept: Mapping[str, Sequence[int]]) -> None:
    """Drop in place all channels but `kept` (name of a group -> numbers of its channels) of the groups that it names.

    Raises `ValueError` for a group that there is not, or of which nothing or something that it has not is kept.
    """
    groups = groups_of(network)
    for name, numbers in kept.items():
        if name not in groups:
            raise ValueError(
                f"{network.architecture} has no channels {name!r} to be narrowed; it has {', '.join(groups)}"
            )
        group = groups[name]
        if not numbers or min(numbers) < 0 or max(numbers) >= group.channels:
            raise ValueError(f"of the {group.channels} channels of {name!r} some must be kept, got {list(numbers)[:9]}")
        index = torch.tensor(sorted(numbers), device=next(network.parameters()).device)
        for layer in (network.get_submodule(one) for one in [*group.makers, *group.slopes]):
            take(layer, "weight", index, 0)
            take(layer, "bias", index, 0)
            setattr(layer, "out_channels" if isinstance(layer, nn.Conv2d) else "num_parameters", len(index))
        for layer in (network.get_submodule(one) for one in group.readers):
            if isinstance(layer, RunsAsConv):
                layer.narrow(index)
            else:
                take(layer, "weight", index, 1)
                layer.in_channels = len(index)  # type: ignore[assignment]  # a convolution's
    widths = {name: len(numbers) for name, numbers in kept.items()}
    network.config = {**network.config, "pruned": {**network.config.get("pruned", {}), **widths}}


def take(layer: nn.Module, name: str, index: Tensor, axis: int) -> None:
    """Keep `index` of an axis of the parameter `name`, where the layer has it."""
    value = getattr(layer, name, None)
    if value is not None:
        setattr(layer, name, nn.Parameter(value.index_select(axis, index), requires_grad=value.requires_grad))


def narrowed(network: Network, widths: Mapping[str, Any]) -> Network:
    """`network`, untrained, with that many channels in the groups that are named; changed in place.

    Weights that read fewer channels are made larger, as they would have been drawn. Raises `ValueError`.
    """
    groups = groups_of(network)
    for name, width in widths.items():
        most = groups[name].channels if name in groups else 1
        if name in groups and (isinstance(width, bool) or not isinstance(width, int) or not 1 <= width <= most):
            raise ValueError(f"pruned: {name!r} can have 1 to {most} channels, got {width!r}")
        if name in groups:
            with torch.no_grad():
                for reader in groups[name].readers:
                    network.get_submodule(reader).get_parameter("weight").mul_(math.sqrt(most / width))
    cut(network, {name: range(width) for name, width in widths.items()})
    return network
