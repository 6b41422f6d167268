"""A float core -> the same core on whole numbers: every tensor between QuantizeLinear and DequantizeLinear.

An engine that knows the pattern runs what stands between the pairs as whole numbers; any other computes the same values
in floats. A convolution and the ReLU or PReLU behind it are one operator and have no grid between them. What selects,
joins or extends (Concat, Pad) keeps the grid of what goes in, so an anchor stays exact to the last bit; the sum behind
it has the grid of the picture, and clips by saturation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgelift.core.errors import RequestError
from edgelift.core.grids import LEAST, PIXELS, WEIGHT_PEAK, Grid, weight_grid

__all__ = [
    "ACTIVATIONS",
    "CORE_IN",
    "CORE_OUT",
    "SAME_GRID",
    "Weights",
    "fused",
    "graded",
    "groups_of",
    "problems",
    "quantised",
    "readers_of",
    "weights_of",
]

CORE_IN, CORE_OUT = "core_in", "core_out"
SAME_GRID = ("Concat", "Pad", "DepthToSpace", "Resize")
"""Operators whose result is on the grid of what goes in; of resizing the nearest neighbour alone."""
OPERATORS = ("Conv", "Relu", "PRelu", "LeakyRelu", "Add", *SAME_GRID[:3])
ACTIVATIONS = ("Relu", "PRelu", "LeakyRelu")
OPSETS = {"int8": 18, "int16x8": 21}
"""Opset 21 is the first with grids of 16 bits."""
IR_VERSIONS = {"int8": 8, "int16x8": 10}
BIAS_PEAK = 1 << 30
"""The greatest bias; half of 32 bits, to leave room for the sum of products."""

Weights = dict[str, NDArray[Any]]


def weights_of(core: onnx.ModelProto) -> Weights:
    """Name -> values of the constants of `core`."""
    return {t.name: numpy_helper.to_array(t) for t in core.graph.initializer}


def problems(core: onnx.ModelProto) -> list[str]:
    """Why `core` cannot be put on whole numbers, in plain words; empty where it can."""
    found = sorted({node.op_type for node in core.graph.node if not _repeats(node)} - set(OPERATORS))
    if "QuantizeLinear" in found or "DequantizeLinear" in found:
        return ["it is quantised already; start from its float parent"]
    return [f"the operator {kind!r} has no whole-number form here; there are {', '.join(OPERATORS)}" for kind in found]


def _repeats(node: onnx.NodeProto) -> bool:
    """Whether it resizes by repeating pixels, which invents no values."""
    return node.op_type == "Resize" and all(a.s == b"nearest" for a in node.attribute if a.name == "mode")


def readers_of(core: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """Tensor -> the nodes that read it."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in core.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return readers


def groups_of(node: onnx.NodeProto) -> int:
    """In how many groups a convolution splits its channels."""
    return next((int(a.i) for a in node.attribute if a.name == "group"), 1)


def fused(core: onnx.ModelProto) -> set[str]:
    """Results of convolutions that only an activation reads: they have no grid of their own."""
    readers = readers_of(core)
    return {
        node.output[0]
        for node in core.graph.node
        if node.op_type == "Conv" and [r.op_type in ACTIVATIONS for r in readers.get(node.output[0], [])] == [True]
    }


def graded(core: onnx.ModelProto, chosen: Mapping[str, Grid], bits: str) -> dict[str, Grid]:
    """The grid of every tensor: `chosen` where it is free, those of the picture at both ends, passed on where kept."""
    grids = {CORE_IN: PIXELS[bits]}
    for node in core.graph.node:
        name, entering = node.output[0], [grids[given] for given in node.input if given in grids]
        keeps = node.op_type in SAME_GRID and len(set(entering)) == 1
        grids[name] = entering[0] if keeps else chosen[name]
    last = core.graph.node[-1]
    if last.op_type not in SAME_GRID:
        grids[CORE_OUT] = PIXELS[bits]
    return grids


@dataclass
class _Written:
    """The graph as it grows."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: Weights = field(default_factory=dict)

    def pair(self, raw: str, name: str, grid: Grid) -> None:
        """`raw` rounded to `grid`, as `name`."""
        scale, zero, whole = f"{name}/scale", f"{name}/zero", f"{name}/whole"
        self.constants[scale] = np.array(grid.scale, np.float32)
        self.constants[zero] = np.array(grid.zero, grid.dtype)
        self.nodes.append(helper.make_node("QuantizeLinear", [raw, scale, zero], [whole], name=whole))
        self.nodes.append(helper.make_node("DequantizeLinear", [whole, scale, zero], [name], name=name))

    def constant(self, name: str, values: NDArray[np.float64], scale: NDArray[np.float32], dtype: type) -> str:
        """`values` on grids of `scale`, one for each of the first axis; the name of their float form."""
        shape = (-1, *[1] * (values.ndim - 1))
        limits = (-127, 127) if dtype is np.int8 else (np.iinfo(np.int32).min, np.iinfo(np.int32).max)
        if f"{name}/whole" in self.constants:  # two layers share it: each has a copy on a grid of its own
            name = f"{name}/{len(self.nodes)}"
        self.constants[f"{name}/whole"] = np.clip(np.rint(values / scale.reshape(shape)), *limits).astype(dtype)
        self.constants[f"{name}/scale"] = scale
        self.constants[f"{name}/zero"] = np.zeros(len(scale), dtype)
        inputs = [f"{name}/{part}" for part in ("whole", "scale", "zero")]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}/on-grid"], name=name, axis=0))
        return f"{name}/on-grid"


def quantised(
    core: onnx.ModelProto,
    weights: Weights,
    grids: Mapping[str, Grid],
    bits: str,
    graded_tensors: set[str],
    *,
    by_layer: bool = False,
) -> onnx.ModelProto:
    """`core` with `weights` in place of its own, on `grids`; `graded_tensors` are those that get a pair of operators.

    `by_layer`: all filters of a layer share a grid, which is worse, and what converters long did. Raises `RequestError` for
    operators that have no whole-number form.
    """
    if found := problems(core):
        raise RequestError(f"{core.graph.name}: {'; '.join(found)}")
    made = _Written()
    made.pair(CORE_IN, f"{CORE_IN}/on-grid", grids[CORE_IN])
    names = {CORE_IN: f"{CORE_IN}/on-grid"}
    for node in core.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        name = node.output[0]
        if node.op_type == "Conv":
            copy.input[:] = _convolution(made, node, weights, names, grids, by_layer)
        else:
            copy.input[:] = [names.get(given, given) for given in node.input]
            made.constants.update({given: weights[given] for given in node.input if given in weights})
        if name in graded_tensors:
            copy.output[0] = f"{name}/exact"
        made.nodes.append(copy)
        if name in graded_tensors:
            made.pair(f"{name}/exact", name, grids[name])
    return _model(core, made, bits)


def _convolution(
    made: _Written,
    node: onnx.NodeProto,
    weights: Weights,
    names: Mapping[str, str],
    grids: Mapping[str, Grid],
    by_layer: bool,
) -> list[str]:
    """Inputs of a convolution on whole numbers; the bias is on the grid of the sums, as accumulators are.

    Where weights are so small that their bias would not fit there, their grid is as coarse as it needs.
    """
    entering, name = grids[node.input[0]], node.input[1]
    weight = weights[name]
    has_bias = len(node.input) > 2 and node.input[2]
    bias = weights[node.input[2]] if has_bias else np.zeros(len(weight), np.float32)
    least = (np.abs(bias.astype(np.float64)) / (BIAS_PEAK * entering.scale)).astype(np.float32)
    scale = np.maximum(weight_grid(weight, entering.bits), least)
    if by_layer:
        scale = np.full_like(scale, max(float(np.abs(weight).max()) / WEIGHT_PEAK, LEAST, float(least.max())))
    sums = (scale * np.float32(entering.scale)).astype(np.float32)
    stem = node.input[2] if has_bias else f"{name}/bias"
    return [
        names.get(node.input[0], node.input[0]),
        made.constant(name, weight.astype(np.float64), scale, np.int8),
        made.constant(stem, bias.astype(np.float64), sums, np.int32),
    ]


def _model(core: onnx.ModelProto, made: _Written, bits: str) -> onnx.ModelProto:
    graph = helper.make_graph(
        made.nodes, core.graph.name, core.graph.input, core.graph.output,
        [numpy_helper.from_array(values, name) for name, values in made.constants.items()],
    )  # fmt: skip
    opset = max(OPSETS[bits], *(each.version for each in core.opset_import))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="edgelift")
    model.ir_version = max(IR_VERSIONS[bits], core.ir_version)
    return model
