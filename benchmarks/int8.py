"""What INT8 gains in time: ABPN ×3 in LiteRT and in OpenVINO, at 640×360, all in turn in one run and on the same threads.

LiteRT: the file of `edgelift compile`, float and INT8, against the plain conversion of the float network, operator by operator
as litert-torch 0.10 writes it: planes turned to pixels and back, one concatenation of nine, and the pixel shuffle as reshapes
and transposes; or against any file that --plain names. Asked is at most 0.34 times as long.
OpenVINO: the INT8 bundle against the float one in bf16. Asked is at most 0.75, where the CPU has AMX or VNNI.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import numpy_helper

from benchmarks.speed import HEIGHT, WIDTH, picture
from benchmarks.timing import in_turn, show
from edgelift import Upscaler
from edgelift.core.errors import EdgeliftError
from edgelift.evaluate.machine import machine
from edgelift.forge.compile import Order, converted
from edgelift.io.blocks import core_model
from edgelift.io.bundle import Bundle, find_bundle, read_bundle
from edgelift.targets.tflite import Builder

PLAIN, FLOAT, INT8 = "LiteRT, plain float conversion", "LiteRT, edgelift float", "LiteRT, edgelift INT8"
BF16, F32, EIGHT = "OpenVINO, float bundle in bf16", "OpenVINO, float bundle in f32", "OpenVINO, INT8 bundle"


def plain_file(bundle: Bundle) -> bytes:
    """ABPN as a converter from PyTorch writes it, planes in 0 … 1 in and out."""
    core, builder = core_model(bundle), Builder()
    held = {t.name: numpy_helper.to_array(t) for t in core.graph.initializer}
    convs = [node for node in core.graph.node if node.op_type == "Conv"]
    relus = {node.input[0] for node in core.graph.node if node.op_type == "Relu"}
    scale, height, width = bundle.spec.scale, HEIGHT, WIDTH

    def turned(number: int, shape: tuple[int, ...], order: list[int], name: str) -> int:
        made = builder.tensor(name, tuple(shape[k] for k in order), "float32")
        builder.operator(
            "TRANSPOSE", [number, builder.constant(f"{name}/order", np.array(order, np.int32))], made, "float32"
        )
        return made

    def shaped(number: int, shape: tuple[int, ...], name: str) -> int:
        made = builder.tensor(name, shape, "float32")
        builder.operator(
            "RESHAPE", [number, builder.constant(f"{name}/sides", np.array(shape, np.int32))], made, "float32"
        )
        return made

    image = builder.tensor("x", (1, 3, height, width), "float32")
    pixels = last = turned(image, (1, 3, height, width), [0, 2, 3, 1], "pixels")
    for k, node in enumerate(convs):
        weight, bias = held[node.input[1]], held[node.input[2]] / np.float32(255)
        inputs = [last, builder.constant(f"w{k}", weight.transpose(0, 2, 3, 1)), builder.constant(f"b{k}", bias)]
        last = builder.tensor(f"conv{k}", (1, height, width, len(weight)), "float32")
        relu = int(node.output[0] in relus)
        builder.operator(
            "CONV_2D", inputs, last, "float32", padding=0, strideH=1, strideW=1, fusedActivationFunction=relu
        )
    channels = 3 * scale * scale
    anchor = builder.tensor("anchor", (1, height, width, channels), "float32")
    builder.operator("CONCATENATION", [pixels] * scale**2, anchor, "float32", axis=3, fusedActivationFunction=0)
    added = builder.tensor("sum", (1, height, width, channels), "float32")
    builder.operator("ADD", [last, anchor], added, "float32", potScaleInt16=False, fusedActivationFunction=0)
    planes = turned(added, (1, height, width, channels), [0, 3, 1, 2], "planes")
    parts = (1, scale, scale, 3, height, width)
    mixed = turned(shaped(planes, parts, "parts"), parts, [0, 3, 4, 1, 5, 2], "mixed")
    larger = shaped(mixed, (1, 3, scale * height, scale * width), "y")
    return builder.finish(image, larger, {})


def interpreter(data: bytes, threads: int) -> tuple[Callable[[], object], str]:
    """A file as programs run it: its own samples in, `invoke`, its own samples out; and how much XNNPACK runs."""
    from ai_edge_litert.interpreter import Interpreter

    made = Interpreter(model_content=data, num_threads=threads)
    made.allocate_tensors()
    given, out = made.get_input_details()[0], made.get_output_details()[0]
    x: Any = picture()[None].astype(np.float32)
    if given["shape"][1] == 3:
        x = x.transpose(0, 3, 1, 2) / 255
    x = (x - 128).astype(np.int8) if given["dtype"] == np.int8 else np.ascontiguousarray(x, np.float32)

    def run() -> object:
        made.set_tensor(given["index"], x)
        made.invoke()
        return made.get_tensor(out["index"])

    pieces = sum(op["op_name"] == "DELEGATE" for op in made._get_ops_details())
    return run, f"{pieces} piece{'s' * (pieces != 1)} on XNNPACK"


def asked(seconds: dict[str, list[float]], here: str, there: str, most: float, why_not: str) -> None:
    """The ratio that is asked for, by the median of the ratios of each round; and whether it is met."""
    ratio = statistics.median(a / b for a, b in zip(seconds[here], seconds[there], strict=True))
    verdict = "met" if ratio <= most else f"missed{why_not}"
    print(f"{here} / {there}: {ratio:.3f}, at most {most} is asked: {verdict}")


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calibration", type=Path, help="folder of sharp pictures, where no --int8 is given")
    parser.add_argument("--int8", type=Path, help="an INT8 bundle of abpn-x3, made by edgelift quantize")
    parser.add_argument("--plain", type=Path, help="a plain conversion of abpn-x3 at 640×360 by another tool")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    facts = machine()
    print(facts)
    parent = read_bundle(find_bundle("abpn-x3"))
    if args.int8:
        eight = read_bundle(args.int8)
    elif args.calibration:
        eight = converted(parent, Order("onnx", "int8", args.calibration, 32))
    else:
        parser.error("say --int8 FILE, or --calibration DIR to make one")
    size = (HEIGHT, WIDTH)
    threads = args.threads or int(str(facts["threads"]))
    tasks: dict[str, Callable[[], object]] = {}
    for name, data in (
        (PLAIN, args.plain.read_bytes() if args.plain else plain_file(parent)),
        (FLOAT, converted(parent, Order("litert", size=size)).data),
        (INT8, converted(eight, Order("litert", size=size)).data),
    ):
        tasks[name], pieces = interpreter(data, threads)
        print(f"{name}: {pieces}, {len(data) / 1000:.0f} KB")
    fast = facts["amx"] or facts["vnni"]
    why = "" if fast else "; this CPU has neither AMX nor VNNI"
    seconds = in_turn(tasks, args.rounds)
    show(f"ABPN ×3, {WIDTH}×{HEIGHT}, LiteRT, {threads} threads", seconds, PLAIN)
    asked(seconds, INT8, PLAIN, 0.34, why)
    _openvino(eight, args.rounds, threads, why)


def _openvino(eight: Bundle, rounds: int, threads: int, why: str) -> None:
    x = picture()
    tile = (HEIGHT, WIDTH)
    tasks: dict[str, Callable[[], object]] = {}
    for name, model, precision in ((BF16, "abpn-x3", "bf16"), (F32, "abpn-x3", "f32")):
        try:
            upscaler = Upscaler(model, engine="openvino", precision=precision, tile=tile, threads=threads)
            tasks[name] = lambda upscaler=upscaler: upscaler(x)
        except EdgeliftError as exc:
            print(f"{name}: {exc}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        path.write_bytes(eight.data)
        upscaler = Upscaler(path, engine="openvino", tile=tile, threads=threads)
        tasks[EIGHT] = lambda: upscaler(x)
        seconds = in_turn(tasks, rounds)
    show(f"ABPN ×3, {WIDTH}×{HEIGHT}, OpenVINO, {threads} threads", seconds, F32)
    if BF16 in tasks:
        asked(seconds, EIGHT, BF16, 0.75, why)
    else:
        print(f"{EIGHT} / {BF16}: bf16 does not run here{why}")


if __name__ == "__main__":
    main()
