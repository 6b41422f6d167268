"""Channels of one tensor made alike in size, which wastes less of a grid that they share (Nagel et al. 2019, "Data-free
quantization through weight equalization and bias correction", section 4.1; here by what was seen, to a power).

Between two convolutions with ReLU or PReLU in the middle a channel may be divided by any positive number, if the second
convolution multiplies by it: the network computes what it did.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from edgelift.shrink.quantize import ACTIVATIONS, Weights, groups_of, readers_of
from edgelift.shrink.ranges import Seen

__all__ = ["STRENGTHS", "equalised"]

STRENGTHS = (0.0, 0.5, 1.0)
"""Powers that are tried: 0 leaves all as it is, 1 makes all channels of a tensor equally large."""
FLOOR = 1e-2
"""Of a channel's size as a share of the largest: channels that are hardly used are not blown up without end."""


def equalised(core: onnx.ModelProto, weights: Weights, seen: Mapping[str, Seen], strength: float) -> Weights:
    """Weights of the same function whose inner tensors have channels closer in size."""
    made = dict(weights)
    if not strength:
        return made
    for first, activation, second in _chains(core):
        peaks = seen[activation.output[0]].channels
        if peaks.max() <= 0:
            continue
        factor = (np.maximum(peaks / peaks.max(), FLOOR)) ** strength
        for name in first.input[1:]:
            if name:
                shape = (-1, *[1] * (made[name].ndim - 1))
                made[name] = (made[name] / factor.reshape(shape)).astype(np.float32)
        made[second.input[1]] = (made[second.input[1]] * factor.reshape(1, -1, 1, 1)).astype(np.float32)
    return made


def _chains(core: onnx.ModelProto) -> list[tuple[onnx.NodeProto, onnx.NodeProto, onnx.NodeProto]]:
    """Convolution, activation, convolution: each the only reader of the one before, none of their weights shared."""
    readers = readers_of(core)

    def only(name: str) -> onnx.NodeProto | None:
        return readers[name][0] if len(readers.get(name, [])) == 1 else None

    found = []
    for node in core.graph.node:
        if node.op_type != "Conv" or any(len(readers[name]) > 1 for name in node.input[1:] if name):
            continue
        activation = only(node.output[0])
        second = only(activation.output[0]) if activation is not None else None
        if activation is None or second is None or activation.op_type not in ACTIVATIONS or second.op_type != "Conv":
            continue
        if len(readers[second.input[1]]) == 1 and groups_of(node) == groups_of(second) == 1:
            found.append((node, activation, second))
    return found
