"""Which channels a trained network needs least, and a network without them.

Saliency of a channel, by the weights of the filters that make it:

l1       sum of absolute values (Li et al., "Pruning filters for efficient convnets", ICLR 2017)
median   sum of distances to the layer's other filters: what is near the geometric median can be replaced by others (He et
         al., "Filter pruning via geometric median", CVPR 2019)
taylor   squared first-order change of the loss if they were 0, over some batches (Molchanov et al., "Importance estimation
         for neural network pruning", CVPR 2019)

The first two are relative to the layer's mean, since layers differ in scale; the third is a change of the loss everywhere.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgelift.core.errors import RequestError
from edgelift.nets.narrow import Group, cut, groups_of
from edgelift.nets.network import Network
from edgelift.training.batches import Batches

__all__ = ["SALIENCIES", "Plan", "planned", "pruned", "saliency"]

MEASURES: dict[str, Callable[[Tensor], Tensor]] = {
    "l1": lambda filters: filters.abs().sum(1),
    "median": lambda filters: torch.cdist(filters, filters).sum(1),
}
"""Of filters, channels × weights: a number a channel."""
SALIENCIES = ("taylor", *MEASURES)
BATCHES = 32
"""Over which the change of the loss is measured."""
LEAST = 4
"""Channels that a layer keeps."""
SIDE = 32
"""Of the picture for which multiply-adds are counted."""

Scores = dict[str, Tensor]
"""Group -> one number a channel; what is least goes first."""
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Plan:
    """What is kept."""

    kept: dict[str, list[int]]
    """Group -> numbers of its channels."""
    share: float
    """Multiply-adds by those of the whole network."""

    @property
    def widths(self) -> dict[str, int]:
        """Group -> how many channels are kept."""
        return {name: len(numbers) for name, numbers in self.kept.items()}


def saliency(network: Network, kind: str, batch: Batches, loss: Loss) -> Scores:
    """How much each channel that could go is needed, by one of `SALIENCIES`. Raises `RequestError` for another name."""
    groups = groups_of(network)
    if kind == "taylor":
        return _change_of_loss(network, groups, batch, loss)
    if kind not in MEASURES:
        raise RequestError(f"saliency must be one of {', '.join(SALIENCIES)}, got {kind!r}")
    scores = {}
    for name, group in groups.items():
        each = [MEASURES[kind](_filters(network, maker)) for maker in group.makers]
        scores[name] = torch.stack([one / one.mean().clamp(min=1e-12) for one in each]).sum(0)
    return scores


def _filters(network: Network, maker: str) -> Tensor:
    return network.get_submodule(maker).get_parameter("weight").detach().flatten(1)


def _change_of_loss(network: Network, groups: Mapping[str, Group], batch: Batches, loss: Loss) -> Scores:
    probe = copy.deepcopy(network).requires_grad_(True).train(False)
    scores = {
        name: torch.zeros(group.channels, device=next(probe.parameters()).device) for name, group in groups.items()
    }
    for number in range(BATCHES):
        low, high = batch(number)
        probe.zero_grad(set_to_none=True)
        loss(probe(low), high).backward()  # type: ignore[no-untyped-call]  # torch's own annotation lacks
        for name, group in groups.items():
            scores[name] += sum(_first_order(probe.get_submodule(maker)) for maker in group.makers) ** 2
    return scores


def _first_order(layer: nn.Module) -> Tensor:
    """Gradient times weight, summed over each filter and its bias."""
    change: Tensor | None = None
    for value in layer.parameters(recurse=False):
        assert value.grad is not None
        each = (value.detach() * value.grad).flatten(1).sum(1) if value.dim() > 1 else value.detach() * value.grad
        change = each if change is None else change + each
    assert change is not None
    return change


def planned(network: Network, scores: Scores, share: float, multiple: int) -> Plan:
    """Drop channels, `multiple` of a layer at a time, where the least saliency goes for a multiply-add, down to `share`.

    Numbers of channels become multiples of `multiple`, which is what engines compute in. Raises `RequestError` where so
    little cannot be reached.
    """
    groups = groups_of(network)
    if not groups:
        raise RequestError(f"{network.architecture} has no channels that could go")
    order = {name: torch.argsort(scores[name], descending=True).tolist() for name in groups}
    widths = {name: group.channels for name, group in groups.items()}
    cost = _Costs(network, groups)
    whole = cost(widths)
    while cost(widths) > share * whole:
        steps = {name: _next(width, multiple) for name, width in widths.items()}
        open_ = {name: width for name, width in steps.items() if width >= min(LEAST, groups[name].channels)}
        if not open_:
            raise RequestError(
                f"{network.architecture}: {share:.0%} cannot be reached; with {LEAST} channels a layer "
                f"{cost(widths) / whole:.0%} are left"
            )

        def price(name: str, widths: dict[str, int] = widths, open_: dict[str, int] = open_) -> float:
            gone = order[name][open_[name] : widths[name]]
            saved = cost(widths) - cost({**widths, name: open_[name]})
            return float(scores[name][gone].sum()) / max(saved, 1)

        name = min(open_, key=price)
        widths[name] = open_[name]
    kept = {name: sorted(order[name][:width]) for name, width in widths.items() if width < groups[name].channels}
    return Plan(kept, cost(widths) / whole)


def _next(width: int, multiple: int) -> int:
    """The next smaller multiple."""
    return (width - 1) // multiple * multiple


class _Costs:
    """Multiply-adds of all convolutions at given widths, relative to the network's own."""

    def __init__(self, network: Network, groups: Mapping[str, Group]) -> None:
        self._full = {name: group.channels for name, group in groups.items()}
        self._works: dict[str, float] = {}
        self._into = {reader: name for name, group in groups.items() for reader in group.readers}
        self._out = {maker: name for name, group in groups.items() for maker in group.makers}
        layers = {**self._into, **self._out}
        counted: dict[str, int] = {}

        def note(name: str) -> Callable[[nn.Module, object, Tensor], None]:
            def hook(module: nn.Module, _: object, output: Tensor) -> None:
                counted[name] = counted.get(name, 0) + output[0].numel() * _fan_in(module)

            return hook

        hooks = [network.get_submodule(name).register_forward_hook(note(name)) for name in layers]
        rest = network.macs_per_pixel(SIDE) * SIDE**2
        for hook in hooks:
            hook.remove()
        self._works = {name: float(value) for name, value in counted.items()}
        self._rest = rest - sum(self._works.values())

    def __call__(self, widths: Mapping[str, int]) -> float:
        shares = {name: width / self._full[name] for name, width in widths.items()}
        return self._rest + sum(
            work * shares.get(self._into.get(name, ""), 1.0) * shares.get(self._out.get(name, ""), 1.0)
            for name, work in self._works.items()
        )


def _fan_in(module: nn.Module) -> int:
    weight = module.weight if isinstance(module, nn.Conv2d) else module.equal()[0]  # type: ignore[operator]  # RunsAsConv
    assert isinstance(weight, Tensor)
    return weight[0].numel()


def pruned(network: Network, plan: Plan) -> Network:
    """A copy of `network` without the channels that `plan` drops: smaller, dense, and what its `config` says."""
    made = copy.deepcopy(network)
    cut(made, plan.kept)
    return made
