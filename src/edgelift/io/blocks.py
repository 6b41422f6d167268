"""The form of a bundle that engines run: cut at its cut points, with blocks instead of a picture at the end.

A supernet's variants are graphs of their own here. In the bundle a narrower one cuts the leading part of each weight by a
`Slice`; here the cut is made once, so that engines see plain constants. Variant 0, interpolation, is made here: by a whole
factor it is one convolution.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgelift.core.errors import BundleError
from edgelift.core.resize import taps
from edgelift.io.bundle import CORE_IN, CORE_OUT, IMAGE, Bundle, core_out

__all__ = ["bicubic_weights", "blocks_model", "core_model", "core_nodes", "with_core"]


def core_nodes(graph: onnx.GraphProto, end: str = CORE_OUT) -> list[onnx.NodeProto]:
    """The nodes between the cut points, in the order of the graph. Raises `BundleError` where the core is not closed."""
    return _nodes_between(graph, CORE_IN, end)


def _nodes_between(graph: onnx.GraphProto, start: str, end: str) -> list[onnx.NodeProto]:
    producers = {name: node for node in graph.node for name in node.output}
    constants = {t.name for t in graph.initializer} | {start, ""}
    wanted, queue = set(), [end]
    while queue:
        name = queue.pop()
        if name in constants or name in wanted:
            continue
        if name not in producers:
            raise BundleError(f"the core needs {name!r}, which does not come from {start!r}")
        wanted.update(producers[name].output)
        queue.extend(producers[name].input)
    return [node for node in graph.node if wanted.intersection(node.output)]


ADDED = {"image", "blocks", "_black", "_white", "_around", "_bicubic", "_padded"}
"""Names that `blocks_model` gives; those of the steps between begin with _core_in_ or _blocks_."""
Step = tuple[str, tuple[str, ...], dict[str, Any]]


def _chain(start: str, steps: list[Step], end: str) -> list[onnx.NodeProto]:
    """Nodes that lead from the tensor `start` to `end`; a step is (operator, further inputs, attributes)."""
    names = [start, *(f"_{end}_{k}" for k in range(1, len(steps))), end]
    return [
        helper.make_node(kind, [here, *more], [there], **attributes)
        for (kind, more, attributes), here, there in zip(steps, names, names[1:], strict=False)
    ]


def _refuse_reserved(nodes: list[onnx.NodeProto], used: set[str]) -> None:
    """Raise `BundleError` where the core has a name that is added around it."""
    names = used.union(*(node.output for node in nodes)) - {CORE_IN, CORE_OUT}
    for name in sorted(names):
        if name in ADDED or name.startswith(tuple(f"_{end}_" for end in (CORE_IN, "blocks"))):
            raise BundleError(f"the core has a tensor called {name!r}, a name that is kept free; rename it")


def _cut_weights(
    nodes: list[onnx.NodeProto], weights: dict[str, onnx.TensorProto]
) -> tuple[list[onnx.NodeProto], dict[str, onnx.TensorProto]]:
    """The nodes without those that slice a weight, and the weights with what these give."""
    left, held = [], dict(weights)
    for node in nodes:
        if node.op_type != "Slice" or not 4 <= len(node.input) <= 5 or not all(name in held for name in node.input):
            left.append(node)
            continue
        whole, starts, ends, axes = (numpy_helper.to_array(held[name]) for name in node.input[:4])
        if len(node.input) == 5 and (numpy_helper.to_array(held[node.input[4]]) != 1).any():
            left.append(node)
            continue
        at = [slice(None)] * whole.ndim
        for axis, start, end in zip(axes.tolist(), starts.tolist(), ends.tolist(), strict=True):
            at[axis] = slice(start, end)
        part = np.ascontiguousarray(whole[tuple(at)])
        held[node.output[0]] = numpy_helper.from_array(part, node.output[0])
    return left, held


def bicubic_weights(scale: int) -> NDArray[np.float32]:
    """Weights (3·scale², 3, 5, 5) of bicubic interpolation by `scale` to blocks, as a convolution; edges are repeated.

    Output channels are ordered (row in block, column in block, colour).
    """
    middle = taps(5, 5 * scale)
    line = np.zeros((scale, 5), np.float32)
    for i in range(scale):
        row = 2 * scale + i
        np.add.at(line[i], middle.index[row], middle.weight[row])
    blocks = np.einsum("ia,jb,oc->ijocab", line, line, np.eye(3, dtype=np.float32))
    return np.ascontiguousarray(blocks.reshape(3 * scale**2, 3, 5, 5), np.float32)


def _interpolation(bundle: Bundle) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    if not bundle.spec.interpolates:
        raise BundleError(f"{bundle.spec.name}: its blocks are not those of input pixels; it has no variant 0")
    around = numpy_helper.from_array(np.array([0, 0, 2, 2, 0, 0, 2, 2], np.int64), "_around")
    weight = numpy_helper.from_array(bicubic_weights(bundle.spec.scale), "_bicubic")
    nodes = [
        helper.make_node("Pad", [CORE_IN, "_around"], ["_padded"], mode="edge"),
        helper.make_node("Conv", ["_padded", "_bicubic"], [CORE_OUT]),
    ]
    return nodes, [around, weight]


def _network(
    bundle: Bundle, graph: onnx.GraphProto, variant: int
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    end = core_out(bundle.spec, variant)
    nodes, held = _cut_weights(core_nodes(graph, end), {t.name: t for t in graph.initializer})
    used = {name for node in nodes for name in node.input}
    _refuse_reserved(nodes, used)
    for node in nodes:
        node.output[:] = [CORE_OUT if name == end else name for name in node.output]
    return nodes, [t for name, t in held.items() if name in used]


def core_model(bundle: Bundle, variant: int | None = None) -> onnx.ModelProto:
    """The network of `variant` (from 1; the widest where it is left out) alone: `core_in` to `core_out`, N × c × h × w."""
    model = bundle.graph()
    nodes, weights = _network(bundle, model.graph, bundle.spec.widest if variant is None else variant)
    made = helper.make_graph(
        nodes,
        model.graph.name,
        [helper.make_tensor_value_info(CORE_IN, TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info(CORE_OUT, TensorProto.FLOAT, ["n", 3 * bundle.spec.shuffle**2, "H", "W"])],
        weights,
    )
    out = helper.make_model(made, opset_imports=list(model.opset_import), producer_name="edgelift")
    out.ir_version = model.ir_version
    return out


def with_core(bundle: Bundle, core: onnx.ModelProto) -> onnx.ModelProto:
    """The whole graph of `bundle` with `core`, a graph as `core_model` gives it, between the cut points.

    Names of `core` that the ends of the graph use as well are the same tensors. The opset is the core's.
    """
    model = bundle.graph()
    graph = model.graph
    before, after, reached = _nodes_between(graph, IMAGE, CORE_IN), [], {CORE_OUT}
    for node in graph.node:  # what core_out leads to; of a supernet the other variants are left out
        if reached.intersection(node.input):
            after.append(node)
            reached.update(node.output)
    kept = {name for node in [*before, *after] for name in node.input}
    weights = [t for t in graph.initializer if t.name in kept]
    there = {t.name for t in weights}
    del graph.node[:], graph.initializer[:], graph.value_info[:], model.opset_import[:]
    graph.node.extend([*before, *core.graph.node, *after])
    graph.initializer.extend([*weights, *(t for t in core.graph.initializer if t.name not in there)])
    model.opset_import.extend(core.opset_import)
    model.ir_version = max(model.ir_version, core.ir_version)
    return model


def blocks_model(bundle: Bundle, samples: str, variant: int | None = None) -> onnx.ModelProto:
    """`image` (N × h × w × 3, uint8 or float32 in 0 … 255) -> `blocks` (N × H × W × 3·b², same type), NHWC.

    Rounding is half to even; the transpose stands before the conversion to uint8, which engines transpose slowly.
    `variant`: which of the networks inside, from 1, or 0 for interpolation; the widest where it is left out.
    """
    model = bundle.graph()
    variant = bundle.spec.widest if variant is None else variant
    nodes, weights = _network(bundle, model.graph, variant) if variant else _interpolation(bundle)
    limits = [
        numpy_helper.from_array(np.array(v, np.float32), name) for v, name in ((0.0, "_black"), (255.0, "_white"))
    ]
    to_planes: Step = ("Transpose", (), {"perm": [0, 3, 1, 2]})
    clip: Step = ("Clip", ("_black", "_white"), {})
    to_pixels: Step = ("Transpose", (), {"perm": [0, 2, 3, 1]})
    if samples == "uint8":
        element = TensorProto.UINT8
        before: list[Step] = [("Cast", (), {"to": TensorProto.FLOAT}), to_planes]
        after = [clip, ("Round", (), {}), to_pixels, ("Cast", (), {"to": element})]
    else:
        element = TensorProto.FLOAT
        before, after = [to_planes], [clip, to_pixels]
    made = helper.make_graph(
        [*_chain("image", before, CORE_IN), *nodes, *_chain(CORE_OUT, after, "blocks")],
        model.graph.name,
        [helper.make_tensor_value_info("image", element, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info("blocks", element, ["n", "H", "W", 3 * bundle.spec.shuffle**2])],
        [*weights, *limits],
    )
    out = helper.make_model(made, opset_imports=list(model.opset_import), producer_name="edgelift")
    out.ir_version = model.ir_version
    return out
