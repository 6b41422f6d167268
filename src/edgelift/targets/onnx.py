"""The ONNX target: the one place where a PyTorch network becomes a graph.

uint8 N × h × w × 3 -> float 0 … 255, NCHW (`core_in`) -> the network's core -> blocks (`core_out`) -> clip, round half to
even, uint8 -> pixel shuffle -> uint8 N × H × W × 3. Rounding stands before the shuffle: bytes are cheaper to move.
"""

from __future__ import annotations

import copy
import logging
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from edgelift.core.errors import RequestError
from edgelift.core.spec import ModelSpec
from edgelift.nets.branched import BRANCHES, Branched
from edgelift.nets.network import Network
from edgelift.nets.supernet import FULL, Slimmable

__all__ = ["export"]

OPSET = 18
IR_VERSION = 8
"""The lowest that the opset allows, so that older runtimes read the file."""


class _Core(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.core(x)


def _core_graph(network: Network) -> onnx.GraphProto:
    """`core` of `network` (already for pictures in 0 … 255), as PyTorch's exporter writes it."""
    side = 16 * network.multiple_of
    free = torch.export.Dim.DYNAMIC
    example = torch.zeros(2, 3, side, side + 4 * network.multiple_of)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports every absent optional package
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            _Core(network), (example,), dynamo=True, opset_version=OPSET, verbose=False,
            input_names=["core_in"], output_names=["core_out"], dynamic_shapes=({0: free, 2: free, 3: free},),
        )  # fmt: skip
    assert program is not None
    graph: onnx.GraphProto = program.model_proto.graph
    return graph


def _strip_notes(graph: onnx.GraphProto) -> None:
    """Remove what the exporter notes about this machine: source paths and call stacks."""
    for part in [*graph.node, *graph.initializer]:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _name_weights(graph: onnx.GraphProto, weights: dict[str, Tensor]) -> None:
    """Make `graph` hold each of `weights` under its name in the state dict, so that a network can be rebuilt from it.

    The exporter drops zero biases, merges equal tensors and renames reshaped ones; each is undone.
    """
    for tensor in graph.initializer:
        tensor.name = tensor.name.removeprefix("network.")
    for node in graph.node:
        node.input[:] = [name.removeprefix("network.") for name in node.input]
    held = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for name, value in weights.items():
        if name in held:
            continue
        wanted = value.detach().cpu().numpy()
        if _restore_bias(graph, name, wanted):
            continue
        twin = next(
            (k for k, v in held.items() if v.size == wanted.size and np.array_equal(v.ravel(), wanted.ravel())), None
        )
        if twin is None:
            raise RequestError(f"the exporter lost the weights {name!r}; this network cannot be exported")
        graph.initializer.append(numpy_helper.from_array(held[twin], name))
        user = next(node for node in graph.node if twin in node.input)
        user.input[:] = [name if given == twin else given for given in user.input]
        if twin not in weights and not any(twin in node.input for node in graph.node):
            graph.initializer.remove(next(t for t in graph.initializer if t.name == twin))
            del held[twin]


def _restore_bias(graph: onnx.GraphProto, name: str, value: np.ndarray) -> bool:
    """Give a convolution that was exported without its zero bias that bias back."""
    weight = name.removesuffix("bias") + "weight"
    user = next((n for n in graph.node if n.op_type == "Conv" and len(n.input) == 2 and n.input[1] == weight), None)
    if not name.endswith("bias") or user is None or value.any():
        return False
    graph.initializer.append(numpy_helper.from_array(value, name))
    user.input.append(name)
    return True


def _ready(network: Network) -> Network:
    """`network` in the form that runs, for pictures in 0 … 255; changed in place."""
    network.fold()
    network.scale_range(255.0)
    return network


def _core(network: Network) -> onnx.GraphProto:
    graph = _core_graph(network)
    _strip_notes(graph)
    _name_weights(graph, network.state_dict())
    return graph


def _branched(network: Branched) -> onnx.GraphProto:
    """The cores of all branches, the last one's as that of the whole."""
    count = len(network.branches)
    graphs = [_core(network.subnet(variant)) for variant in range(1, count + 1)]
    core = onnx.GraphProto()
    for number, graph in enumerate(graphs):
        _add_branch(
            core, graph, "core_out" if number == count - 1 else f"core_out.{number + 1}", f"{BRANCHES}{number}."
        )
    return core


def _add_branch(core: onnx.GraphProto, branch: onnx.GraphProto, end: str, prefix: str) -> None:
    """Put `branch` into `core` beside what is there; its core ends in `end`, all its other names begin with `prefix`."""
    for tensor in branch.initializer:
        tensor.name = prefix + tensor.name
    core.initializer.extend(branch.initializer)
    _add_nodes(core, branch, {"core_in": "core_in", "core_out": end}, prefix)


def _add_nodes(core: onnx.GraphProto, part: onnx.GraphProto, names: dict[str, str], prefix: str) -> None:
    """Put the nodes of `part` into `core`: what they read and give is called as `names` says, else `prefix` and its name."""
    names = {"": ""} | names
    for node in part.node:
        node.name = prefix + node.name
        node.input[:] = [names.get(name, prefix + name) for name in node.input]
        node.output[:] = [names.get(name, prefix + name) for name in node.output]
    core.node.extend(part.node)


def _add_subnet(core: onnx.GraphProto, subnet: onnx.GraphProto, variant: int, name: str) -> None:
    """Put `subnet` into `core`, beside the widest network: its weights as slices of those that are there.

    Its core ends in `core_out.VARIANT`. Raises `RequestError` where a weight is no leading part of the whole one's.
    """
    held = {t.name: numpy_helper.to_array(t) for t in core.initializer}
    names = {"core_in": "core_in", "core_out": f"core_out.{variant}"}
    for tensor in subnet.initializer:
        value, whole = numpy_helper.to_array(tensor), held.get(FULL + tensor.name, held.get(tensor.name))
        label = FULL + tensor.name if FULL + tensor.name in held else tensor.name
        if whole is not None and whole.shape == value.shape and np.array_equal(whole, value):
            names[tensor.name] = label
            continue
        names[tensor.name] = f"{name}/{tensor.name}"
        if whole is None:
            core.initializer.append(numpy_helper.from_array(value, names[tensor.name]))
            continue
        at = tuple(slice(n) for n in value.shape)
        if whole.ndim != value.ndim or not np.array_equal(whole[at], value):
            raise RequestError(f"the weights {tensor.name!r} of {name} are no part of the whole network's")
        core.node.append(_slice(core, label, value.shape, names[tensor.name]))
    _add_nodes(core, subnet, names, f"{name}/")


def _slice(core: onnx.GraphProto, whole: str, shape: tuple[int, ...], out: str) -> onnx.NodeProto:
    """A node that cuts the part of that shape at the beginning of every axis."""
    ends = "x".join(map(str, shape))
    there = {t.name for t in core.initializer}
    for name, values in (("zeros", [0] * len(shape)), ("axes", list(range(len(shape)))), ("ends", shape)):
        label = f"{name}/{ends}" if name == "ends" else f"{name}/{len(shape)}"
        if label not in there:
            core.initializer.append(numpy_helper.from_array(np.array(values, np.int64), label))
    inputs = [whole, f"zeros/{len(shape)}", f"ends/{ends}", f"axes/{len(shape)}"]
    return helper.make_node("Slice", inputs, [out], name=out)


def export(network: Network, spec: ModelSpec) -> onnx.ModelProto:
    """The whole graph of `network`, without facts; `io.bundle.write_bundle` adds `spec` and checks both.

    Raises `RequestError` for a network that this target cannot take.
    """
    if not network.homogeneous:
        raise RequestError(f"{network.architecture}: only networks with ReLU-like activations can be exported so far")
    network = _ready(copy.deepcopy(network).cpu().eval())
    core = _branched(network) if isinstance(network, Branched) else _core(network)
    if isinstance(network, Slimmable):
        for variant, name in enumerate(network.variants[:-1], 1):
            _add_subnet(core, _core(network.subnet(variant)), variant, name)
    before = [
        helper.make_node("Cast", ["image"], ["image_float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["image_float"], ["core_in"], perm=[0, 3, 1, 2]),
    ]
    after = [
        helper.make_node("Clip", ["core_out", "black", "white"], ["clipped"]),
        helper.make_node("Round", ["clipped"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["blocks"], to=TensorProto.UINT8),
    ]
    last = "blocks"
    if spec.shuffle > 1:
        after.append(helper.make_node("DepthToSpace", ["blocks"], ["planes"], blocksize=spec.shuffle, mode="DCR"))
        last = "planes"
    after.append(helper.make_node("Transpose", [last], ["larger"], perm=[0, 2, 3, 1]))
    limits = [numpy_helper.from_array(np.array(v, np.float32), name) for v, name in ((0.0, "black"), (255.0, "white"))]
    graph = helper.make_graph(
        [*before, *core.node, *after],
        spec.name,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [helper.make_tensor_value_info("larger", TensorProto.UINT8, ["batch", "height_out", "width_out", 3])],
        [*core.initializer, *limits],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="edgelift")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model
