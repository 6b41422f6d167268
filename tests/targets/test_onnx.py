"""The ONNX target: the graph is the network, holds its weights under their names, and any ONNX runtime reads it."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from edgelift.core.errors import RequestError
from edgelift.forge.bundles import spec_of
from edgelift.nets import zoo
from edgelift.nets.network import Gate, Network, conv, parameters
from edgelift.targets.onnx import IR_VERSION, OPSET
from edgelift.targets.onnx import export as export_network

SIZES = [(1, 1, 1), (1, 1, 6), (2, 9, 5), (1, 24, 21)]


def _runner(model: onnx.ModelProto) -> Callable[[NDArray[Any]], list[NDArray[Any]]]:
    """Runs `model`: by ONNX Runtime where it is installed, else by the reference of ONNX, which is slow."""
    data = model.SerializeToString()
    if importlib.util.find_spec("onnxruntime") is None:
        reference = onnx.reference.ReferenceEvaluator(data)
        return lambda batch: [np.asarray(value) for value in reference.run(None, {"image": batch})]
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"image": batch})


def _pictures(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(sum(shape)).integers(0, 256, (*shape, 3), np.uint8)


def _picture_of(network: Network, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the network makes of `batch`, NHWC in 0 … 255, neither clipped nor rounded."""
    with torch.no_grad():
        out: Tensor = network(torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255) * 255
    return out.permute(0, 2, 3, 1).numpy()


def test_the_graph_gives_what_the_network_gives(export: Any) -> None:
    """Both the bytes at the end and the floats at the cut point, before clipping hides anything."""
    model = export.model()
    model.graph.output.append(onnx.helper.make_tensor_value_info("core_out", onnx.TensorProto.FLOAT, None))
    run = _runner(model)
    for shape in SIZES:
        batch = _pictures(shape)
        larger, core = run(batch)
        wanted = _picture_of(export.network, batch)
        assert larger.dtype == np.uint8
        assert larger.shape == wanted.shape
        exact = np.clip(wanted, 0, 255)
        assert np.abs(larger - exact).max() <= 0.5 + 1e-3, "rounded, nothing else"
        side, grid = export.spec.shuffle, export.spec.grid
        assert core.shape == (shape[0], 3 * side**2, shape[1] * grid, shape[2] * grid)
        # the formula of docs/bundle-format.md: channel = (row · b + column) · 3 + colour
        blocks = core.reshape(shape[0], side, side, 3, shape[1] * grid, shape[2] * grid)
        shuffled = blocks.transpose(0, 4, 1, 5, 2, 3).reshape(wanted.shape)
        assert np.abs(shuffled - wanted).max() < 2e-3


def test_the_graph_is_plain_and_valid(export: Any) -> None:
    model = export.model()
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    assert model.ir_version == IR_VERSION
    assert model.producer_name == "edgelift"
    assert not model.functions
    assert not model.metadata_props
    assert {node.domain for node in model.graph.node} == {""}
    assert [v.name for v in model.graph.input] == ["image"]
    assert [v.name for v in model.graph.output] == ["larger"]
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        assert [d.dim_value for d in dims] == [0, 0, 0, 3]
        assert all(d.dim_param for d in dims[:3])
    assert not any(part.doc_string or part.metadata_props for part in (*model.graph.node, *model.graph.initializer))
    assert b"site-packages" not in export.data, "no paths of the machine that made it"
    produced = [name for node in model.graph.node for name in node.output]
    assert len(produced) == len(set(produced))
    assert {"core_in", "core_out"} <= set(produced)


def test_every_weight_stands_under_its_name(export: Any) -> None:
    """So that the network can be rebuilt: zero biases and slopes, which exporters drop or rename, too."""
    network = export.network
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in export.model().graph.initializer}
    names = [tensor.name for tensor in export.model().graph.initializer]
    assert len(names) == len(set(names))
    used = {name for node in export.model().graph.node for name in node.input}
    ready = copy.deepcopy(network)
    ready.fold()
    gates = tuple(f"{name}." for name, module in ready.named_modules() if isinstance(module, Gate))
    for key, value in ready.state_dict().items():
        factor = 255 if key.endswith("bias") else 1
        if key.startswith(gates):
            factor = 1 / 255 if key.endswith("squeeze.weight") else 1
        wanted = value.numpy() * factor
        assert key in held, key
        assert key in used, f"{key} is held and not used"
        assert held[key].size == wanted.size
        assert np.allclose(held[key].ravel(), wanted.ravel(), rtol=1e-6), key
    assert set(held) <= used, "nothing is held that is not used"
    assert sum(value.size for value in held.values()) >= parameters(ready)


@pytest.mark.parametrize("name", ["abpn", "fsrcnn"])
def test_a_new_network_keeps_its_names_and_is_left_alone(exports: Any, name: str) -> None:
    """As training starts it every bias is zero and every slope 0.25, which an exporter merges or leaves out."""
    torch.manual_seed(1)
    network = zoo.build(name, **exports.SMALL[name]).train()
    assert any(not value.any() for key, value in network.state_dict().items() if key.endswith("bias"))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    model = export_network(network, spec_of(network, "new", "CC0-1.0", {}))
    assert network.training
    assert list(network.state_dict()) == list(before)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    held = {tensor.name for tensor in model.graph.initializer}
    used = {given for node in model.graph.node for given in node.input}
    assert set(before) <= held & used
    batch = _pictures((1, 9, 8))
    assert np.abs(_runner(model)(batch)[0] - np.clip(_picture_of(network, batch), 0, 255)).max() <= 0.5 + 1e-3


class Sigmoid(Network):
    """A network whose range cannot be moved into its biases."""

    architecture, homogeneous = "sigmoid", False

    def __init__(self) -> None:
        super().__init__()
        self.config, self.scale, self.shuffle, self.halo = {}, 1, 1, 1
        self.only = conv(3, 3, 3, "zeros")

    def core(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.only(x))


def test_a_network_that_is_not_homogeneous_is_refused() -> None:
    network = Sigmoid().eval()
    with pytest.raises(RequestError, match="sigmoid: only networks with ReLU-like activations"):
        export_network(network, spec_of(network, "sigmoid", "CC0-1.0", {}))


class Whole(Network):
    """Works on sides that are multiples of 4, and at the picture's own size: no shuffle."""

    architecture = "whole"

    def __init__(self) -> None:
        super().__init__()
        self.config, self.scale, self.shuffle, self.halo, self.multiple_of = {}, 1, 1, 4, 4
        self.down = nn.Conv2d(3, 8, 4, stride=4)
        self.up = nn.ConvTranspose2d(8, 3, 4, stride=4)

    def core(self, x: Tensor) -> Tensor:
        return x + self.up(torch.relu(self.down(x)))


def test_a_network_with_strides_and_no_shuffle() -> None:
    """What restoration networks look like: scale 1, shuffle 1, sides in multiples."""
    torch.manual_seed(0)
    network = Whole().eval()
    with torch.no_grad():
        for value in network.parameters():
            value.uniform_(-0.1, 0.1)
    model = export_network(network, spec_of(network, "whole", "CC0-1.0", {}))
    assert "DepthToSpace" not in {node.op_type for node in model.graph.node}
    run = _runner(model)
    for shape in ((1, 4, 4), (2, 8, 20)):
        batch = _pictures(shape)
        assert np.abs(run(batch)[0] - np.clip(_picture_of(network, batch), 0, 255)).max() <= 0.5 + 1e-3
