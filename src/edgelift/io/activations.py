"""How much memory a network's inner tensors take, read from its graph."""

from __future__ import annotations

import math

import onnx
from onnx import helper, shape_inference

from edgelift.io.blocks import blocks_model
from edgelift.io.bundle import Bundle

__all__ = ["activation_bytes"]

SIDE = 64
"""Of the window for which shapes are worked out; extended to what the network needs a multiple of."""
UNKNOWN_CHANNELS = 256
"""Assumed where no shape can be worked out: what large networks have, in f32 at two places at once."""


def activation_bytes(bundle: Bundle, samples: str = "uint8") -> float:
    """Bytes of tensors that are alive at once, at most, for each pixel of a window, in the form that engines run.

    Each tensor is counted from the operator that makes it to the last that reads it, in the graph's order: engines that
    fuse operators need less, engines that keep room for later more. Compiled files state it in their facts.
    """
    if bundle.form != "onnx":
        made = bundle.spec.training.get("compiled")
        stated = made.get("activation_bytes") if isinstance(made, dict) else None
        return float(stated) if isinstance(stated, int | float) and stated > 0 else float(2 * 4 * UNKNOWN_CHANNELS)
    model = blocks_model(bundle, samples)
    multiple = bundle.spec.multiple_of
    side = -(-SIDE // multiple) * multiple
    for dimension, value in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, side, side), strict=False):
        dimension.dim_value = value
    del model.graph.output[0].type.tensor_type.shape.dim[:]  # its free names would contradict
    try:
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
    except shape_inference.InferenceError:
        return float(2 * 4 * UNKNOWN_CHANNELS)
    sizes = {value.name: _bytes(value) for value in [*graph.value_info, *graph.input, *graph.output]}
    return _peak(graph, sizes) / side**2


def _bytes(value: onnx.ValueInfoProto) -> float:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in tensor.shape.dim):
        return math.nan
    return (
        float(math.prod(d.dim_value for d in tensor.shape.dim))
        * helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
    )


def _peak(graph: onnx.GraphProto, sizes: dict[str, float]) -> float:
    """The most bytes alive at once; a tensor of unknown size counts as the largest known one."""
    weights = {t.name for t in graph.initializer}
    largest = max((size for size in sizes.values() if not math.isnan(size)), default=0.0)
    last = {name: k for k, node in enumerate(graph.node) for name in node.input}
    alive = {graph.input[0].name: sizes[graph.input[0].name]}
    peak = 0.0
    for k, node in enumerate(graph.node):
        for name in node.output:
            size = sizes.get(name, math.nan)
            alive[name] = largest if math.isnan(size) else size
        peak = max(peak, sum(alive.values()))
        for name in {*node.input, *node.output} - weights:
            if last.get(name, k) == k and name != graph.output[0].name:
                alive.pop(name, None)
    return peak
