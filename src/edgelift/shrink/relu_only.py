"""PReLU as ReLU, for targets that have no whole-number PReLU: the same function, from twice the channels.

prelu(x) = relu(x) + a · min(x, 0) = relu(x) - sign(a) · relu(-|a| · x). So the convolution before it gets each filter twice,
the second time times -|a|, and the one behind reads both (concatenated ReLU, Shang et al. 2016, with the slopes folded in).
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgelift.shrink.quantize import groups_of, readers_of, weights_of

__all__ = ["conv_macs", "relu_only"]


def relu_only(core: onnx.ModelProto) -> onnx.ModelProto:
    """`core` without PReLU, where each stands between convolutions of one group; any other is left as it is."""
    weights, readers = weights_of(core), readers_of(core)
    makers = {node.output[0]: node for node in core.graph.node}
    model = onnx.ModelProto()
    model.CopyFrom(core)
    for node in model.graph.node:
        if node.op_type != "PRelu":
            continue
        first, behind = makers.get(node.input[0]), readers.get(node.output[0], [])
        if first is None or not _splits(first, behind, readers, weights[node.input[1]].size):
            continue
        slopes = weights[node.input[1]].reshape(-1).astype(np.float64)
        for name in first.input[1:]:
            shape = (-1, *[1] * (weights[name].ndim - 1))
            negative = weights[name] * -np.abs(slopes).reshape(shape)
            weights[name] = np.concatenate([weights[name], negative]).astype(np.float32)
        for reader in behind:
            name = reader.input[1]
            negative = weights[name] * -np.sign(slopes).reshape(1, -1, 1, 1)
            weights[name] = np.concatenate([weights[name], negative], axis=1).astype(np.float32)
        node.CopyFrom(helper.make_node("Relu", node.input[:1], node.output, name=node.name))
    used = {name for node in model.graph.node for name in node.input}
    del model.graph.initializer[:]
    model.graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in weights.items() if name in used)
    return model


def conv_macs(core: onnx.ModelProto) -> int:
    """Multiply-adds of all convolutions at one position."""
    sizes = {name: value.size for name, value in weights_of(core).items()}
    return sum(sizes[node.input[1]] // groups_of(node) for node in core.graph.node if node.op_type == "Conv")


def _splits(
    first: onnx.NodeProto, behind: list[onnx.NodeProto], readers: dict[str, list[onnx.NodeProto]], slopes: int
) -> bool:
    """Whether the weights on both sides are convolutions' and nobody else's."""
    around = [first, *behind]
    if not behind or any(node.op_type != "Conv" or groups_of(node) != 1 for node in around) or slopes < 2:
        return False
    own = [*first.input[1:], *(node.input[1] for node in behind)]
    return len(readers[first.output[0]]) == 1 and all(len(readers[name]) == 1 for name in own)
