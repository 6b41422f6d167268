"""`Upscaler` on a 640×360 array against the same network run plainly. See README.md for the contract."""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks import plain
from benchmarks.timing import in_turn, show
from edgelift import Upscaler
from edgelift.evaluate.machine import machine
from edgelift.io.bundle import find_bundle, read_bundle

HEIGHT, WIDTH = 360, 640


def picture() -> np.ndarray:
    """Smooth shading with some noise: values as a photograph has them."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    shade = 96 + 60 * np.sin(x / 37) * np.cos(y / 23)
    noise = np.random.default_rng(0).normal(0, 12, (HEIGHT, WIDTH, 3))
    return np.clip(shade[:, :, None] + noise, 0, 255).astype(np.uint8)


def main() -> None:
    """Both comparisons of the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(machine())
    x = picture()
    ready = plain.planes(x)

    bundle = read_bundle(find_bundle("abpn-x3"))
    graph, ours = plain.plain_graph(bundle, HEIGHT, WIDTH), Upscaler("abpn-x3", engine="openvino")
    bf16, f32, ort = plain.openvino(graph, "bf16"), plain.openvino(graph, "f32"), plain.onnxruntime(graph)
    tasks = {
        f"Upscaler, uint8 array to uint8 array ({ours.runs_on})": lambda: ours(x),
        "plain float graph, OpenVINO bf16": lambda: bf16(ready),
        "plain float graph, OpenVINO f32": lambda: f32(ready),
        "plain float graph, ONNX Runtime": lambda: ort(ready),
    }
    show(f"ABPN ×3, {WIDTH}×{HEIGHT}", in_turn(tasks, rounds), "plain float graph, OpenVINO bf16")

    bundle = read_bundle(find_bundle("fsrcnn-x3"))
    fsrcnn, dnn = Upscaler("fsrcnn-x3", engine="openvino"), plain.opencv_dnn(plain.plain_graph(bundle, HEIGHT, WIDTH))
    tasks = {
        f"Upscaler, FSRCNN ({fsrcnn.runs_on})": lambda: fsrcnn(x),
        "Upscaler, ABPN": lambda: ours(x),
        "OpenCV dnn, FSRCNN, the same weights": lambda: dnn(x),
    }
    show(f"FSRCNN ×3, {WIDTH}×{HEIGHT}", in_turn(tasks, rounds), "OpenCV dnn, FSRCNN, the same weights")


if __name__ == "__main__":
    main()
