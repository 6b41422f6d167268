"""A core as SOPHON's compiler takes it: one static window, pictures of bytes at both ends, ranges in a table beside it.

    image, 1 × h × w × 3 -> planes -> core -> clip -> 1 × H × W × 3b² blocks

The compiler makes both ends uint8 of their stated range 0 … 255, so that conversion, clipping and rounding are done on the
chip. The pixel shuffle is not: with it a window takes twelve times as long or more (`python -m benchmarks.tpu_plan`).
What a host has to do is one strided copy, which merging does anyway.

In whole numbers its operators have ranges instead of pairs of QuantizeLinear and DequantizeLinear: these are taken out,
and their grids become lines of the table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgelift.core.grids import Grid
from edgelift.core.spec import ModelSpec
from edgelift.shrink.quantize import CORE_IN, CORE_OUT
from edgelift.targets.base import Source

__all__ = ["MAX_OPSET", "Static", "network_name", "plain_core", "static_model"]

MAX_OPSET = 19
"""Of ONNX 1.14, which the compiler reads with."""
IR_VERSION = 9
PICTURE = (0.0, 255.0)
ENDS = ("image", "blocks", "clipped", "black", "white")
"""Names around the core."""
UNNAMED = re.compile(r"[^0-9A-Za-z_.]")
"""What a table separates by spaces may not have."""


@dataclass(frozen=True)
class Static:
    """What the compiler is given for one size."""

    name: str
    graph: onnx.ModelProto
    ranges: str
    """The calibration table."""


@dataclass
class _Plain:
    """A core in floats, and what its tensors hold."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)


def network_name(size: tuple[int, int]) -> str:
    """What the network for windows of that height and width is called in the file."""
    return f"window_{size[0]}x{size[1]}"


def static_model(source: Source, size: tuple[int, int]) -> Static:
    """`source` for windows of `size` = (height, width)."""
    plain, (height, width), spec = plain_core(source), size, source.spec
    channels = 3 * spec.shuffle**2
    ends = {"black": np.float32(PICTURE[0]), "white": np.float32(PICTURE[1])}
    nodes = [
        helper.make_node("Transpose", ["image"], [CORE_IN], perm=[0, 3, 1, 2], name="planes"),
        *plain.nodes,
        helper.make_node("Clip", [CORE_OUT, "black", "white"], ["clipped"], name="clipped"),
        helper.make_node("Transpose", ["clipped"], ["blocks"], perm=[0, 2, 3, 1], name="blocks"),
    ]
    shapes = {"image": [1, height, width, 3], "blocks": [1, height * spec.grid, width * spec.grid, channels]}
    ins, outs = ([helper.make_tensor_value_info(end, TensorProto.FLOAT, shapes[end])] for end in ("image", "blocks"))
    constants = {**plain.constants, **{name: np.array(value) for name, value in ends.items()}}
    graph = helper.make_graph(
        nodes, network_name(size), ins, outs, [numpy_helper.from_array(v, name) for name, v in constants.items()]
    )
    opset = max(each.version for each in source.core.opset_import)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="edgelift")
    model.ir_version = min(IR_VERSION, source.core.ir_version)
    return Static(network_name(size), model, _table(nodes, plain.ranges))


def _table(nodes: list[onnx.NodeProto], ranges: dict[str, tuple[float, float]]) -> str:
    """Lines of name, threshold, least and greatest value; the compiler calls a tensor by its name and its operator."""
    known = {**ranges, "image": PICTURE, CORE_IN: PICTURE, "clipped": PICTURE, "blocks": PICTURE}
    lines = ["# op_name    threshold    min    max", _line("image", PICTURE)]
    for node in nodes:
        if (name := node.output[0]) in known:
            lines.append(_line(f"{name}_{node.op_type}", known[name]))
    return "\n".join(lines) + "\n"


def _line(name: str, held: tuple[float, float]) -> str:
    low, high = held
    return f"{name} {max(-low, high):.9g} {low:.9g} {high:.9g}"


def plain_core(source: Source) -> _Plain:
    """The core with constants and activations in floats: weights of 16 or 8 bits widened, grids taken out as ranges."""
    constants = {t.name: numpy_helper.to_array(t) for t in source.core.graph.initializer}
    plain, same, grids = _Plain(), dict[str, str](), _inner(source.spec)
    for node in source.core.graph.node:
        first, name = (node.input[0] if node.input else ""), node.output[0]
        if node.op_type == "Cast" and first in constants:
            constants[name] = constants[first].astype(np.float32)
        elif node.op_type == "QuantizeLinear":
            scale, zero = (constants[given] for given in node.input[1:3])
            grids[_root(first, same)] = Grid(float(scale), int(zero))
            same[name] = first
        elif node.op_type == "DequantizeLinear" and first in constants:
            constants[name] = _widened(constants[first], constants[node.input[1]])
        elif node.op_type == "DequantizeLinear":
            same[name] = first
        else:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.input[:] = [_root(given, same) for given in node.input]
            plain.nodes.append(copy)
    used = {name for node in plain.nodes for name in node.input}
    held = {name: value for name, value in constants.items() if name in used}
    names = _names([*held, *(name for node in plain.nodes for name in node.output)])
    for node in plain.nodes:
        node.input[:] = [names.get(given, given) for given in node.input]
        node.output[:] = [names[given] for given in node.output]
        node.name = node.output[0]
    plain.constants = {names[name]: value for name, value in held.items()}
    plain.ranges = {names.get(name, name): (grid.low, grid.high) for name, grid in grids.items()}
    _pass_on(plain)
    return plain


def _root(name: str, same: dict[str, str]) -> str:
    while name in same:
        name = same[name]
    return name


def _names(given: list[str]) -> dict[str, str]:
    """Each of `given` -> a name that a table may have, and that is neither another's nor one of those around the core."""
    made = {CORE_IN: CORE_IN}
    taken = {CORE_IN, *ENDS}
    for name in given:
        stem = safe = UNNAMED.sub("_", name.removesuffix("/exact"))
        number = 1
        while safe in taken:
            number += 1
            safe = f"{stem}_{number}"
        made[name] = safe
        taken.add(safe)
    return made


def _widened(whole: NDArray[Any], scale: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(whole * scale.reshape(-1, *[1] * (whole.ndim - 1)), np.float32)


def _inner(spec: ModelSpec) -> dict[str, Grid]:
    """Grids between convolutions and activations, which a graph of pairs does not state."""
    inner = spec.training.get("quantised", {}).get("inner", {})
    return {str(name): Grid(float(scale), int(zero)) for name, (scale, zero) in inner.items()}


def _pass_on(plain: _Plain) -> None:
    """Tensors without a grid of their own, behind operators that keep that of what goes in."""
    for node in plain.nodes:
        if node.op_type in ("Concat", "Pad", "DepthToSpace") and node.output[0] not in plain.ranges:
            held = [plain.ranges[name] for name in node.input if name in plain.ranges]
            if held:
                plain.ranges[node.output[0]] = held[0]
