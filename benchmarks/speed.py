"""`Upscaler` on a 640×360 array against the same network run plainly. See README.md for the contract."""

from __future__ import annotations

import argparse

import numpy as np
import onnx
from onnx import helper

from benchmarks.timing import in_turn, machine, show
from edgelift import Upscaler
from edgelift.io.blocks import core_nodes
from edgelift.io.bundle import Bundle, find_bundle, read_bundle

HEIGHT, WIDTH = 360, 640


def picture() -> np.ndarray:
    """Smooth shading with some noise: values as a photograph has them."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    shade = 96 + 60 * np.sin(x / 37) * np.cos(y / 23)
    noise = np.random.default_rng(0).normal(0, 12, (HEIGHT, WIDTH, 3))
    return np.clip(shade[:, :, None] + noise, 0, 255).astype(np.uint8)


def plain_graph(bundle: Bundle) -> bytes:
    """What scripts use: float NCHW in 0 … 1 in and out, with the pixel shuffle and the clip inside the graph."""
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
    shape_in = [1, 3, HEIGHT, WIDTH]
    shape_out = [1, 3, HEIGHT * spec.scale, WIDTH * spec.scale]
    graph = helper.make_graph(
        nodes, "plain",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape_in)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape_out)],
        [*weights, one, full, p1],
    )  # fmt: skip
    out = helper.make_model(graph, opset_imports=list(model.opset_import))
    out.ir_version = model.ir_version
    return bytes(out.SerializeToString())


def openvino_plain(graph: bytes, precision: str) -> object:
    """A callable that runs `graph` in OpenVINO on a float array that is ready."""
    import openvino

    config = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(openvino.Core().read_model(graph), "CPU", config).create_infer_request()
    x = np.ascontiguousarray(picture().transpose(2, 0, 1)[None].astype(np.float32) / 255)
    return lambda: request.infer([x], share_inputs=True, share_outputs=True)


def onnxruntime_plain(graph: bytes) -> object:
    """The same in ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    x = np.ascontiguousarray(picture().transpose(2, 0, 1)[None].astype(np.float32) / 255)
    return lambda: session.run(None, {"x": x})


def opencv_dnn(graph: bytes) -> object:
    """The same network in OpenCV's dnn module, uint8 picture to uint8 picture as its users write it."""
    import cv2

    network = cv2.dnn.readNetFromONNX(np.frombuffer(graph, np.uint8))
    bgr = picture()[:, :, ::-1].copy()

    def run() -> np.ndarray:
        network.setInput(cv2.dnn.blobFromImage(bgr, 1 / 255, swapRB=True))
        out = network.forward()[0]
        return np.clip(np.rint(out.transpose(1, 2, 0)[:, :, ::-1] * 255), 0, 255).astype(np.uint8)

    return run


def main() -> None:
    """Both comparisons of the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(machine())
    x = picture()

    bundle = read_bundle(find_bundle("abpn-x3"))
    graph, ours = plain_graph(bundle), Upscaler("abpn-x3", engine="openvino")
    tasks = {
        f"Upscaler, uint8 array to uint8 array ({ours.runs_on})": lambda: ours(x),
        "plain float graph, OpenVINO bf16": openvino_plain(graph, "bf16"),
        "plain float graph, OpenVINO f32": openvino_plain(graph, "f32"),
        "plain float graph, ONNX Runtime": onnxruntime_plain(graph),
    }
    show(f"ABPN ×3, {WIDTH}×{HEIGHT}", in_turn(tasks, rounds), "plain float graph, OpenVINO bf16")

    bundle = read_bundle(find_bundle("fsrcnn-x3"))
    fsrcnn = Upscaler("fsrcnn-x3", engine="openvino")
    tasks = {
        f"Upscaler, FSRCNN ({fsrcnn.runs_on})": lambda: fsrcnn(x),
        "Upscaler, ABPN": lambda: ours(x),
        "OpenCV dnn, FSRCNN, the same weights": opencv_dnn(plain_graph(bundle)),
    }
    show(f"FSRCNN ×3, {WIDTH}×{HEIGHT}", in_turn(tasks, rounds), "OpenCV dnn, FSRCNN, the same weights")


if __name__ == "__main__":
    main()
