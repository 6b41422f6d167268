"""An ONNX graph that is being rewritten: its nodes, constants and channels, and how one node gives way to others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

__all__ = ["Draft", "attributes_of"]


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Name -> value of what `node` is told."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


class Draft:
    """A copy of `model`, to be changed; `finish` gives the result."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self.nodes = list(self._model.graph.node)
        self.held: dict[str, NDArray[Any]] = {t.name: numpy_helper.to_array(t) for t in self._model.graph.initializer}
        self._channels = _channels(self._model)
        self._count = 0

    def of(self, *kinds: str) -> list[onnx.NodeProto]:
        """The nodes of these kinds, as they stand now."""
        return [node for node in self.nodes if node.op_type in kinds]

    def maker(self, name: str) -> onnx.NodeProto | None:
        """The node that makes the tensor; None for constants and inputs."""
        return next((node for node in self.nodes if name in node.output), None)

    def readers(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that read the tensor."""
        return [node for node in self.nodes if name in node.input]

    def is_end(self, name: str) -> bool:
        """Whether the tensor is a result of the graph."""
        return any(value.name == name for value in self._model.graph.output)

    def channels(self, name: str) -> int:
        """Channels of a tensor of the original graph; 0 where they cannot be told."""
        return self._channels.get(name, 0)

    def hold(self, values: NDArray[Any], stem: str) -> str:
        """A new constant; its name."""
        name = self.fresh(stem)
        self.held[name] = values
        return name

    def fresh(self, stem: str) -> str:
        """A name that nothing has."""
        taken = set(self.held).union(*(node.output for node in self.nodes))
        while True:
            self._count += 1
            name = f"{stem}/rewritten.{self._count}"
            if name not in taken:
                return name

    def replace(self, node: onnx.NodeProto, others: Sequence[onnx.NodeProto]) -> None:
        """Put `others` in the place of `node`; the last of them makes what it made."""
        at = next(k for k, there in enumerate(self.nodes) if there is node)
        self.nodes[at : at + 1] = others

    def finish(self) -> onnx.ModelProto:
        """The graph as it stands, without what nothing reads."""
        graph = self._model.graph
        wanted, kept = {value.name for value in graph.output}, []
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(node.input)
        made = onnx.ModelProto()
        made.CopyFrom(self._model)
        del made.graph.node[:], made.graph.initializer[:], made.graph.value_info[:]
        made.graph.node.extend(reversed(kept))
        made.graph.initializer.extend(
            numpy_helper.from_array(v, name) for name, v in self.held.items() if name in wanted
        )
        return made


def _channels(model: onnx.ModelProto) -> dict[str, int]:
    try:
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
    except shape_inference.InferenceError:
        return {}
    found = {}
    for value in [*graph.value_info, *graph.input, *graph.output]:
        sides = value.type.tensor_type.shape.dim
        if len(sides) == 4:
            found[value.name] = int(sides[1].dim_value)
    return found


def float_array(values: NDArray[Any]) -> NDArray[np.float32]:
    """Constants as graphs hold them."""
    return np.ascontiguousarray(values, np.float32)
