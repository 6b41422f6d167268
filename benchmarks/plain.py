"""A bundled network as scripts run it: a float graph of one fixed size, in each of the engines that people use."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edgelift.io.blocks import core_nodes
from edgelift.io.bundle import Bundle

Infer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""1 × 3 × H × W in 0 … 1 to 1 × 3 × sH × sW."""


def plain_graph(bundle: Bundle, height: int, width: int) -> bytes:
    """Float NCHW in 0 … 1 in and out, with the pixel shuffle and the clip inside the graph."""
    model, spec = bundle.graph(), bundle.spec
    one, full = (onnx.numpy_helper.from_array(np.float32(v), n) for v, n in ((255.0, "p255"), (0.0, "p0")))
    nodes = [
        helper.make_node("Mul", ["x", "p255"], ["core_in"]),
        *core_nodes(model.graph),
        helper.make_node("Div", ["core_out", "p255"], ["unit"]),
        helper.make_node("DepthToSpace", ["unit"], ["planes"], blocksize=spec.shuffle, mode="DCR"),
        helper.make_node("Clip", ["planes", "p0", "p1"], ["y"]),
    ]
    used = {name for node in nodes for name in node.input}
    weights = [t for t in model.graph.initializer if t.name in used]
    p1 = onnx.numpy_helper.from_array(np.float32(1.0), "p1")
    shape_in = [1, 3, height, width]
    shape_out = [1, 3, height * spec.scale, width * spec.scale]
    graph = helper.make_graph(
        nodes, "plain",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape_in)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape_out)],
        [*weights, one, full, p1],
    )  # fmt: skip
    out = helper.make_model(graph, opset_imports=list(model.opset_import))
    out.ir_version = model.ir_version
    return bytes(out.SerializeToString())


def planes(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The float array that these graphs take."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None].astype(np.float32) / 255)


def bytes_of(result: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The picture that a script makes of a graph's answer."""
    return np.clip(np.rint(result[0].transpose(1, 2, 0) * 255), 0, 255).astype(np.uint8)


def openvino(graph: bytes, precision: str | None = None) -> Infer:
    """OpenVINO on the CPU, in the precision of its own choice unless one is given; it hands out its own memory."""
    import openvino

    core = openvino.Core()
    config = {"PERFORMANCE_HINT": "LATENCY"}
    if precision is not None:
        config["INFERENCE_PRECISION_HINT"] = precision
    request = core.compile_model(core.read_model(graph), "CPU", config).create_infer_request()
    return lambda x: request.infer([x], share_inputs=True, share_outputs=True)[0]


def onnxruntime(graph: bytes) -> Infer:
    """ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})[0]


def pytorch(bundle: Bundle) -> Infer:
    """PyTorch on the CPU: the bundle's network with its weights, in eval mode."""
    import torch

    from edgelift.forge.bundles import network_from

    network = network_from(bundle).eval()

    def infer(x: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            out: NDArray[np.float32] = network(torch.from_numpy(x)).clamp(0, 1).numpy()
            return out

    return infer


def opencv_dnn(graph: bytes) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """OpenCV's dnn module, uint8 RGB picture to uint8 picture."""
    import cv2

    network = cv2.dnn.readNetFromONNX(np.frombuffer(graph, np.uint8))

    def run(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        network.setInput(cv2.dnn.blobFromImage(picture, 1 / 255))
        return bytes_of(network.forward())

    return run
