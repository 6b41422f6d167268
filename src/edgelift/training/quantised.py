"""Quantisation-aware training: a network whose every tensor lies on a grid of 8 bits while it learns.

Where the grids are is what `shrink.quantize` says for graphs: a convolution and the activation behind it are one operator,
what selects, joins or extends keeps its grid, and the picture's grid, multiples of 1/255, stands at both ends. The ranges
that are learnt are kept beside the weights and go into the bundle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from edgelift.core.errors import TrainingError
from edgelift.nets.family import Family
from edgelift.nets.network import Network, RunsAsConv, conv_of
from edgelift.nets.trace import ACTIVATIONS, kind_of, layer_of, traced
from edgelift.training.fake import FakeGrid, on_pixel_grid, weights_on_grid

__all__ = ["Quantised", "float_weights", "learnt_ranges"]

RANGES = "ranges."
"""Before the names of learnt ends in a state dict."""
SAME_GRID = ("Concat", "Pad", "DepthToSpace", "Resize")
BATCHES = 32
"""That the first ranges are taken from."""
STRENGTHS = (0.0, 0.5, 1.0)
"""Of equalisation, see `shrink.equalise`: those that are tried before a run begins."""
FLOOR = 1e-2
"""Of a channel's size as a share of the largest: channels that are hardly used are not blown up without end."""
PICTURE = "picture"


class Quantised(Network):
    """`network` on whole numbers. It has the same layers, under the same names, and beside them `ranges`.

    Raises `TrainingError` for networks that have layers without a whole-number form.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        if isinstance(network, Family):
            raise TrainingError(
                f"{network.architecture} is a supernet: its networks would need ranges each; train one width by itself"
            )
        self.architecture = network.architecture  # type: ignore[misc]  # of the network that it is
        for fact in ("config", "scale", "shuffle", "halo", "multiple_of", "colour", "padding"):
            setattr(self, fact, getattr(network, fact))
        for name, layer in network.named_children():
            self.add_module(name, layer)
        try:
            self._graph = traced(network)
        except ValueError as exc:
            raise TrainingError(f"cannot be quantised: {exc}") from exc
        self._grids = _grids(self._graph, network)
        used = {key: signed for key, signed in self._grids.values() if key != PICTURE}
        self.ranges = nn.ModuleDict({key: FakeGrid(signed) for key, signed in used.items()})
        self._chains = _chains(self._graph, network)
        self._seen: dict[str, tuple[float, float]] | None = None
        self._peaks: dict[str, Tensor] = {}

    def core(self, x: Tensor) -> Tensor:
        """See `Network.core`; values are those of the network on whole numbers."""
        out: Tensor = _Run(self, garbage_collect_values=False, graph=self._graph).run(x)
        return out

    def require(self, start: Path | None, copied: int) -> None:
        """Raise `TrainingError` unless the `copied` tensors, taken from `start`, were all of the weights.

        There is nothing to be gained by learning on whole numbers from the beginning.
        """
        wanted = len(float_weights(self.state_dict()))
        if copied < wanted:
            had = f"{start} has {copied} of its {wanted} tensors" if start else "none were given"
            raise TrainingError(
                f"a quantised {self.architecture} starts from all float weights of that network, but {had}; train it in "
                "floats first, and name its checkpoint or bundle (--start)"
            )

    @torch.no_grad()
    def begin(self, batch: Callable[[int], tuple[Tensor, Tensor]]) -> str:
        """Set the first ranges for float weights, and say how.

        Before that channels are made more alike in size, without a change of the float network, as far as it helps.
        """
        pictures = [batch(number)[0] for number in range(BATCHES)]
        floats = self.calibrate(pictures)
        first = {name: value.clone() for name, value in self.state_dict().items()}
        peaks, tried = dict(self._peaks), []
        for strength in STRENGTHS:
            self.load_state_dict(first)
            self.equalise(peaks, strength)
            self.calibrate(pictures)
            errors = [(self(x) - y).square().mean() for x, y in zip(pictures, floats, strict=True)]
            found = {name: value.clone() for name, value in self.state_dict().items()}
            tried.append((float(torch.stack(errors).mean()), strength, found))
        error, strength, found = min(tried, key=lambda row: row[0])
        self.load_state_dict(found)
        return f"on whole numbers {-10 * math.log10(max(error, 1e-12)):.2f} dB from float; equalised by {strength:g}"

    @torch.no_grad()
    def calibrate(self, pictures: Sequence[Tensor]) -> list[Tensor]:
        """Set ranges by what the network computes in floats for `pictures` (N × 3 × h × w each); its results, clipped."""
        self._seen, self._peaks = {}, {}
        made = [self(x).clamp(0, 1) for x in pictures]
        seen, self._seen = self._seen, None
        for key, ends in seen.items():
            grid = self.ranges[key]
            assert isinstance(grid, FakeGrid)
            grid.fit(*ends)
        return made

    @torch.no_grad()
    def equalise(self, peaks: Mapping[str, Tensor], strength: float) -> None:
        """Divide channels between two convolutions by their `peaks` to a power, and let the second make up for it."""
        for key, names in self._chains.items():
            first, second = (self.get_submodule(name) for name in names)
            assert isinstance(first, nn.Conv2d)
            assert isinstance(second, nn.Conv2d)
            factor = (peaks[key] / peaks[key].max().clamp(min=1e-9)).clamp(min=FLOOR) ** strength
            first.weight.div_(factor[:, None, None, None])
            if first.bias is not None:
                first.bias.div_(factor)
            second.weight.mul_(factor[None, :, None, None])

    def placed(self, name: str, value: Tensor) -> Tensor:
        """`value`, the result of the operator `name`, on its grid; while ranges are looked for it is noted instead."""
        if name not in self._grids:
            return value
        key = self._grids[name][0]
        if self._seen is not None:
            if key != PICTURE:
                low, high = self._seen.get(key, (0.0, 0.0))
                self._seen[key] = min(low, float(value.min())), max(high, float(value.max()))
                peaks = value.float().abs().amax((0, 2, 3))
                self._peaks[key] = torch.maximum(peaks, self._peaks.get(key, peaks))
            return value
        made: Tensor = on_pixel_grid(value) if key == PICTURE else self.ranges[key](value)
        return made

    def convolved(self, layer: nn.Module, x: Tensor) -> Tensor:
        """`x` convolved by the weights of `layer` on their grids."""
        if isinstance(layer, RunsAsConv):
            weight, bias = layer.equal()
            layer, parts = conv_of(weight, bias, layer.padding), {"weight": weight, "bias": bias}
        else:
            assert isinstance(layer, nn.Conv2d)
            parts = {"weight": layer.weight}  # a bias stays as it is: its grid is as fine as sums are
        if self._seen is None:
            parts["weight"] = weights_on_grid(parts["weight"])
        out: Tensor = functional_call(layer, parts, (x,))
        return out


class _Run(fx.Interpreter):
    """One run over the operators of a network."""

    def run_node(self, n: fx.Node) -> Any:
        network = self.module
        assert isinstance(network, Quantised)
        layer = layer_of(n, network)
        if isinstance(layer, nn.Conv2d | RunsAsConv):
            value = network.convolved(layer, self.fetch_args_kwargs_from_env(n)[0][0])
        else:
            value = super().run_node(n)
        return network.placed(n.name, value) if n.op in ("call_module", "call_function") else value


def _grids(graph: fx.Graph, network: Network) -> dict[str, tuple[str, bool]]:
    """Operator -> key of the grid that its result is put on, and whether values below 0 occur; see `shrink.learnt`."""
    found: dict[str, tuple[str, bool]] = {}
    lies: dict[fx.Node, str] = {}
    counts: dict[str, int] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            lies[node] = PICTURE
        if node.op in ("placeholder", "output"):
            continue
        kind = kind_of(node, network)
        if not kind:
            raise TrainingError(
                f"{network.architecture}: {node.target} has no whole-number form; it cannot be quantised"
            )
        entering = {lies[given] for given in node.all_input_nodes}
        last = any(reader.op == "output" for reader in node.users)
        if kind in SAME_GRID and len(entering) == 1:
            lies[node] = entering.pop()
            continue
        key = _key(node, kind, network, counts)
        if kind == "Conv" and [kind_of(reader, network) in ACTIVATIONS for reader in node.users] == [True]:
            lies[node] = key
            continue
        lies[node] = PICTURE if last and kind not in SAME_GRID else key
        found[node.name] = (lies[node], kind != "Relu")
    return found


def _chains(graph: fx.Graph, network: Network) -> dict[str, tuple[str, str]]:
    """Key of a range -> the convolutions before and behind it, where nobody else reads what lies between."""
    found, used = {}, [str(node.target) for node in graph.nodes]
    for node in graph.nodes:
        if node.op in ("placeholder", "output") or kind_of(node, network) not in ACTIVATIONS:
            continue
        around = [node.all_input_nodes[0], *node.users]
        layers = [layer_of(other, network) for other in around]
        plain = all(type(layer) is nn.Conv2d and layer.groups == 1 for layer in layers)
        if len(around) == 2 and plain and len(around[0].users) == 1:
            names = str(around[0].target), str(around[1].target)
            if all(used.count(name) == 1 for name in names):
                found[names[0].replace(".", "/")] = names
    return found


def _key(node: fx.Node, kind: str, network: Network, counts: dict[str, int]) -> str:
    """A convolution's name, which the activation behind it shares; of others the kind and how many came before."""
    if kind in ACTIVATIONS:
        before = node.all_input_nodes[0]
        if kind_of(before, network) == "Conv" and len(before.users) == 1:
            node, kind = before, "Conv"
    if kind == "Conv":
        return str(node.target).replace(".", "/")
    counts[kind] = counts.get(kind, -1) + 1
    return f"{kind.lower()}{counts[kind]}"


def float_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without learnt ranges."""
    return {name: value for name, value in weights.items() if not name.startswith(RANGES)}


def learnt_ranges(weights: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """The learnt ranges in a state dict, key -> [low, high] where white is 255; empty where none were learnt."""
    found = {}
    for name, value in weights.items():
        if name.startswith(RANGES) and name.endswith(".high"):
            stem = name.removesuffix("high")
            low = weights.get(f"{stem}low")
            ends = (0.0 if low is None else -float(low.exp()), float(value.exp()))
            found[stem.removeprefix(RANGES).removesuffix(".")] = [round(255 * end, 6) for end in ends]
    return found
