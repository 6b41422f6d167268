"""Multiply-adds of a graph's nodes, by shape inference, and finding the node that an engine's operator carries out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import onnx
from onnx import shape_inference

__all__ = ["Work", "named", "work_of"]

Shapes = dict[str, tuple[int, ...]]


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every node has a name: its own, or that of its first output."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        node.name = node.name or node.output[0]
    return copy


@dataclass
class Work:
    """What a graph asks for, node by node."""

    macs: dict[str, int]
    """Node -> multiply-adds; nodes without any are left out."""
    nodes: dict[str, onnx.NodeProto] = field(repr=False)
    """By name."""
    makers: dict[str, str] = field(repr=False)
    """Tensor -> the node that makes it."""
    shapes: Shapes = field(default_factory=dict, repr=False)
    """Of the tensors whose shape can be worked out."""

    def find(self, origin: Iterable[str]) -> list[str]:
        """The nodes that an operator with that `origin` carries out (see `NodeTime`), convolutions before what follows.

        Engines call a convolution that was joined with its activation after the result of the latter; both are found.
        """
        found: dict[str, None] = {}
        for name in origin:
            node = name if name in self.nodes else self.makers.get(name)
            if node is not None:
                found |= dict.fromkeys([*self._before(node), node])
        return list(found)

    def _before(self, node: str) -> list[str]:
        """The convolution that `node` is the activation of, if it is one."""
        if self.nodes[node].op_type not in ACTIVATIONS:
            return []
        maker = self.makers.get(self.nodes[node].input[0], "")
        return [maker] if maker in self.macs else []


ACTIVATIONS = ("Relu", "PRelu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "Tanh")


def work_of(model: onnx.ModelProto, shapes: Shapes) -> Work:
    """The work of `model`, whose nodes are `named`, for inputs of these `shapes`.

    Counted are convolutions, transposed ones and matrix products; where shapes cannot be worked out nothing is.
    """
    found = _shapes(model, shapes)
    macs = {node.name: _macs(node, found) for node in model.graph.node}
    nodes = {node.name: node for node in model.graph.node}
    makers = {name: node.name for node in model.graph.node for name in node.output}
    return Work({name: count for name, count in macs.items() if count}, nodes, makers, found)


def _shapes(model: onnx.ModelProto, inputs: Shapes) -> Shapes:
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in fixed.graph.input:
        for dimension, size in zip(value.type.tensor_type.shape.dim, inputs[value.name], strict=True):
            dimension.dim_value = size
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")  # free names would contradict
    try:
        graph = shape_inference.infer_shapes(fixed, data_prop=True).graph
    except shape_inference.InferenceError:
        return {}
    known: Shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in [*graph.value_info, *graph.input, *graph.output]:
        sizes = value.type.tensor_type.shape.dim
        if sizes and all(size.HasField("dim_value") for size in sizes):
            known[value.name] = tuple(size.dim_value for size in sizes)
    return known


def _macs(node: onnx.NodeProto, shapes: Shapes) -> int:
    """A convolution applies each filter value once for each place of its result, a transposed one of its input."""
    names = [*node.input[:2], *node.output[:1]]
    if len(names) < 3 or not all(name in shapes for name in names):
        return 0
    given, weight, made = (shapes[name] for name in names)
    if node.op_type == "Conv":
        return math.prod(made) * math.prod(weight[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(given) * math.prod(weight[1:])
    if node.op_type in ("MatMul", "Gemm"):
        turned = node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)
        return math.prod(made) * given[0 if turned else -1]
    return 0
