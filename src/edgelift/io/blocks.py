"""The form of a bundle that engines run: cut at its cut points, with blocks instead of a picture at the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgelift.core.errors import BundleError
from edgelift.io.bundle import CORE_IN, CORE_OUT, Bundle

__all__ = ["blocks_model", "core_nodes"]


def core_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes between the cut points, in the order of the graph. Raises `BundleError` where the core is not closed."""
    producers = {name: node for node in graph.node for name in node.output}
    constants = {t.name for t in graph.initializer} | {CORE_IN, ""}
    wanted, queue = set(), [CORE_OUT]
    while queue:
        name = queue.pop()
        if name in constants or name in wanted:
            continue
        if name not in producers:
            raise BundleError(f"the core needs {name!r}, which does not come from {CORE_IN!r}")
        wanted.update(producers[name].output)
        queue.extend(producers[name].input)
    return [node for node in graph.node if wanted.intersection(node.output)]


ADDED = {"image", "blocks", "_black", "_white"}
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


def blocks_model(bundle: Bundle, samples: str) -> onnx.ModelProto:
    """`image` (N × h × w × 3, uint8 or float32 in 0 … 255) -> `blocks` (N × H × W × 3·b², same type), NHWC.

    Rounding is half to even; the transpose stands before the conversion to uint8, which engines transpose slowly.
    """
    model = bundle.graph()
    nodes = core_nodes(model.graph)
    used = {name for node in nodes for name in node.input}
    weights = [t for t in model.graph.initializer if t.name in used]
    _refuse_reserved(nodes, used)
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
