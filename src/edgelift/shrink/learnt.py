"""Ranges that were learnt in training, in place of measured ones: which tensor of a graph each belongs to.

A range is called after the convolution whose result it is for, behind the activation where one follows; of other operators
after the kind and how many of it came before, such as `add0`. `training.quantised` names them in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from edgelift.core.errors import BundleError
from edgelift.core.grids import Grid, activation_grid
from edgelift.shrink.quantize import (
    ACTIVATIONS,
    CORE_IN,
    CORE_OUT,
    SAME_GRID,
    fused,
    graded,
    quantised,
    weights_of,
)  # fmt: skip

__all__ = ["on_learnt_ranges", "tensor_keys"]


def tensor_keys(core: onnx.ModelProto) -> dict[str, str]:
    """Tensor -> what its range is called, in the order of the graph; those between convolution and activation have none."""
    makers = {node.output[0]: node for node in core.graph.node}
    inner, counts, keys = fused(core), dict[str, int](), dict[str, str]()
    for node in core.graph.node:
        name = node.output[0]
        if name in inner:
            continue
        if node.op_type in ACTIVATIONS and node.input[0] in inner:
            node = makers[node.input[0]]
        if node.op_type == "Conv":
            keys[name] = node.input[1].removesuffix(".weight").replace(".", "/")
        else:
            counts[node.op_type] = counts.get(node.op_type, -1) + 1
            keys[name] = f"{node.op_type.lower()}{counts[node.op_type]}"
    return keys


def on_learnt_ranges(
    core: onnx.ModelProto, ranges: Mapping[str, Sequence[float]], bits: str, *, symmetric: bool = False
) -> onnx.ModelProto:
    """`core` on whole numbers, by `ranges` (name -> least and greatest value, white being 255).

    Where a PReLU has become a ReLU of twice the channels (`relu_only`), both signs lie above 0. Raises `RequestError` for
    operators that have no whole-number form, `BundleError` where a range is missing or makes no sense.
    """
    inner, keys = fused(core), tensor_keys(core)
    kinds = {node.output[0]: node.op_type for node in core.graph.node}
    free: dict[str, Grid] = {}
    for name, key in keys.items():
        if key in ranges:
            low, high = _ends(key, ranges[key])
            low, high = (0.0, max(high, -low)) if kinds[name] == "Relu" else (low, high)
            free[name] = activation_grid(low, high, bits, symmetric=symmetric)
        elif kinds[name] not in SAME_GRID and name != CORE_OUT:
            raise BundleError(
                f"{core.graph.name}: no range was learnt for {key!r}; say --calibration DIR to measure them"
            )
    unused = activation_grid(0, 1, bits)
    grids = graded(core, {**dict.fromkeys([*inner, CORE_OUT], unused), **free}, bits)
    return quantised(core, weights_of(core), grids, bits, set(grids) - inner - {CORE_IN})


def _ends(key: str, given: Sequence[float]) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in given)
    except (TypeError, ValueError) as exc:
        raise BundleError(f"the learnt range {key!r} must be two numbers, got {given!r}") from exc
    if not low <= 0 < high < 1e9 or low < -1e9:
        raise BundleError(f"the learnt range {key!r} must hold 0 and end above it, got {low} to {high}")
    return low, high
