"""What a network computes, as a list of operators: PyTorch's symbolic trace of its `core`, in the words of ONNX.

Only layers that whole numbers and narrower layers are defined for have a name here; any other is reported as it is.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from edgelift.nets.network import Network, RunsAsConv, shuffle_blocks

__all__ = ["ACTIVATIONS", "kind_of", "layer_of", "traced"]

ACTIVATIONS = ("Relu", "PRelu", "LeakyRelu")
LAYERS: dict[type[nn.Module], str] = {
    nn.Conv2d: "Conv", RunsAsConv: "Conv", nn.ReLU: "Relu", nn.PReLU: "PRelu", nn.LeakyReLU: "LeakyRelu",
}  # fmt: skip
FUNCTIONS: dict[Any, str] = {
    functional.relu: "Relu", torch.relu: "Relu", functional.leaky_relu: "LeakyRelu", operator.add: "Add", torch.add: "Add",
    torch.cat: "Concat", functional.pad: "Pad", shuffle_blocks: "DepthToSpace", functional.pixel_shuffle: "DepthToSpace",
}  # fmt: skip


class _Tracer(fx.Tracer):
    traced_func_name = "core"

    def __init__(self) -> None:
        super().__init__(autowrap_functions=(shuffle_blocks,))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, tuple(LAYERS)) or super().is_leaf_module(m, module_qualified_name)


def traced(network: Network) -> fx.Graph:
    """The operators of `network.core` in the order in which they run. Raises `ValueError` where they depend on values."""
    try:
        return _Tracer().trace(network)
    except (fx.proxy.TraceError, TypeError) as exc:
        raise ValueError(f"{network.architecture}: its layers depend on what it sees ({exc})") from exc


def layer_of(node: fx.Node, network: nn.Module) -> nn.Module | None:
    """The layer that `node` runs; None where it is a function."""
    return network.get_submodule(str(node.target)) if node.op == "call_module" else None


def kind_of(node: fx.Node, network: nn.Module) -> str:
    """The operator's name in ONNX; empty for one that has none here."""
    layer = layer_of(node, network)
    if layer is not None:
        return next((kind for known, kind in LAYERS.items() if isinstance(layer, known)), "")
    if node.op == "call_function" and node.target is functional.interpolate:
        return "Resize" if node.kwargs.get("mode", "nearest") == "nearest" else ""
    kind = FUNCTIONS.get(node.target, "") if node.op == "call_function" else ""
    if kind == "Add" and not all(isinstance(given, fx.Node) for given in node.args):
        return ""  # of a constant
    return kind
