"""Networks of a single operator: the table of all that are measured, and their graphs.

Planes go in, and planes come out. A bundle has pictures at both ends, and would need further convolutions around the
operator; so these graphs are not bundles, and engines run them as they are (see `runtime.probe`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgelift.core.errors import RequestError

__all__ = ["COPY", "META_NODES", "REFERENCE", "MetaNode", "model_of"]

MAX_CHANNELS = 1024
REFERENCE = "convolution 3×3"
"""What the others are compared with."""
OPSET = 18

Op = tuple[str, tuple[str, ...], tuple[str, ...], dict[str, Any]]
"""Operator, tensors in, tensors out, attributes."""
Weights = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class MetaNode:
    """A network of one operator (or the few that belong together), for planes of `c` × `h` × `w`."""

    name: str
    ops: tuple[Op, ...]
    """`x` and `y` come in; what no operator takes goes out. A `group` of 0 stands for that of all channels."""
    weights: Callable[[int], Weights] = lambda channels: {}
    """Further tensors, for so many channels."""
    nhwc: bool = False
    """Whether `x` has its channels last."""
    multiple: int = 1
    """Channels must be a multiple of this."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """`x`, and `y` where a second one is needed."""
        return ("x", "y") if any("y" in taken for _, taken, _, _ in self.ops) else ("x",)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Tensors that no operator takes."""
        taken = {name for _, names, _, _ in self.ops for name in names}
        return tuple(name for _, _, names, _ in self.ops for name in names if name not in taken)


def _one(kind: str, *further: str, outputs: tuple[str, ...] = ("out",), **attributes: Any) -> tuple[Op]:
    """`ops` of one operator on `x` and `further` tensors."""
    return ((kind, ("x", *further), outputs, attributes),)


def _filters(side: int) -> Callable[[int], Weights]:
    """Weights of a `side` × `side` convolution to as many channels."""
    return lambda channels: {"w": _drawn((channels, channels, side, side)), "b": _drawn((channels,))}


def _depthwise(channels: int) -> Weights:
    return {"w": _drawn((channels, 1, 3, 3)), "b": _drawn((channels,))}


def _transposed(channels: int) -> Weights:
    return {"w": _drawn((channels, 3, 4, 4)), "b": _drawn((3,))}


def _attention(channels: int) -> Weights:
    few = max(1, channels // 4)
    return {
        "w1": _drawn((few, channels, 1, 1)), "b1": _drawn((few,)),
        "w2": _drawn((channels, few, 1, 1)), "b2": _drawn((channels,)),
    }  # fmt: skip


def _drawn(shape: tuple[int, ...]) -> NDArray[np.float32]:
    values = np.random.default_rng(math.prod(shape)).uniform(-0.5, 0.5, shape).astype(np.float32)
    return np.asarray(values, np.float32)


def _given(**tensors: Any) -> Callable[[int], Weights]:
    return lambda channels: {name: np.asarray(value) for name, value in tensors.items()}


ATTENTION: tuple[Op, ...] = (
    ("GlobalAveragePool", ("x",), ("mean",), {}),
    ("Conv", ("mean", "w1", "b1"), ("few",), {}),
    ("Relu", ("few",), ("kept",), {}),
    ("Conv", ("kept", "w2", "b2"), ("many",), {}),
    ("Sigmoid", ("many",), ("weight",), {}),
    ("Mul", ("x", "weight"), ("out",), {}),
)
TWICE = np.array([1, 1, 2, 2], np.float32)
COPY = MetaNode("copy (identity)", _one("Identity"))

META_NODES = (
    MetaNode("convolution 3×3", _one("Conv", "w", "b", pads=[1, 1, 1, 1]), _filters(3)),
    MetaNode("convolution 1×1", _one("Conv", "w", "b"), _filters(1)),
    MetaNode("convolution 5×5", _one("Conv", "w", "b", pads=[2, 2, 2, 2]), _filters(5)),
    MetaNode("depthwise 3×3", (("Conv", ("x", "w", "b"), ("out",), {"pads": [1, 1, 1, 1], "group": 0}),), _depthwise),
    MetaNode(
        "transposed 4×4, ×2, to 3", _one("ConvTranspose", "w", "b", strides=[2, 2], pads=[1, 1, 1, 1]), _transposed
    ),
    COPY,
    MetaNode("add", _one("Add", "y")),
    MetaNode("multiply", _one("Mul", "y")),
    MetaNode("concat", _one("Concat", "y", axis=1)),
    MetaNode("split in two", _one("Split", axis=1, num_outputs=2, outputs=("a", "b")), multiple=2),
    MetaNode(
        "slice half",
        _one("Slice", "from", "to", "axis"),
        lambda channels: {"from": np.array([0]), "to": np.array([channels // 2]), "axis": np.array([1])},
        multiple=2,
    ),
    MetaNode("ReLU", _one("Relu")),
    MetaNode("PReLU", _one("PRelu", "w"), lambda channels: {"w": _drawn((channels, 1, 1))}),
    MetaNode("LeakyReLU", _one("LeakyRelu", alpha=0.1)),
    MetaNode("clip", _one("Clip", "low", "high"), _given(low=np.float32(0), high=np.float32(0.5))),
    MetaNode("round", _one("Round")),
    MetaNode("sigmoid", _one("Sigmoid")),
    MetaNode("pixel shuffle ×2 (DCR)", _one("DepthToSpace", blocksize=2, mode="DCR"), multiple=4),
    MetaNode("pixel shuffle ×2 (CRD)", _one("DepthToSpace", blocksize=2, mode="CRD"), multiple=4),
    MetaNode(
        "nearest resize ×2",
        _one("Resize", "", "twice", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        _given(twice=TWICE),
    ),
    MetaNode(
        "bilinear resize ×2",
        _one("Resize", "", "twice", mode="linear", coordinate_transformation_mode="half_pixel"),
        _given(twice=TWICE),
    ),
    MetaNode("pad, repeated edge", _one("Pad", "by", mode="edge"), _given(by=np.array([0, 0, 1, 1, 0, 0, 1, 1]))),
    MetaNode("global average pool", _one("GlobalAveragePool")),
    MetaNode("channel attention", ATTENTION, _attention),
    MetaNode("transpose NCHW → NHWC", _one("Transpose", perm=[0, 2, 3, 1])),
    MetaNode("transpose NHWC → NCHW", _one("Transpose", perm=[0, 3, 1, 2]), nhwc=True),
)
"""All that are measured; a further one is a further row."""


def model_of(node: MetaNode, channels: int) -> onnx.ModelProto:
    """The graph of `node`: planes in, planes out, in f32, of any height and width.

    Raises `RequestError` where it cannot have so many channels.
    """
    if not 1 <= channels <= MAX_CHANNELS or channels % node.multiple:
        raise RequestError(
            f"{node.name} needs 1 to {MAX_CHANNELS} channels, a multiple of {node.multiple}, got {channels}"
        )
    nodes = []
    for k, (kind, taken, made, attributes) in enumerate(node.ops):
        own = {key: channels if key == "group" else value for key, value in attributes.items()}
        nodes.append(helper.make_node(kind, taken, made, f"{kind}_{k}", None, None, None, **own))
    planes: list[str | int | None] = [1, "h", "w", channels] if node.nhwc else [1, channels, "h", "w"]
    graph = helper.make_graph(
        nodes,
        "meta",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, planes) for name in node.inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in node.outputs],
        [numpy_helper.from_array(value, name) for name, value in node.weights(channels).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
