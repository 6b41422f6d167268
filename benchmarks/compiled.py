"""Networks × targets × precisions: size, time at 640×360, PSNR on Set5, Set14 and BSD100, and what is lost against float.

DATA holds Set5, Set14 and BSD100, each with HR/ and LR_xN/; CALIBRATION any sharp pictures, none of them from DATA. Every
row is made from the bundled float network in the same way as `edgelift compile` makes it, and runs as `edgelift upscale`
runs it. Times of one network are taken in turn in one run; `× float` is the time by that of the float form on the same
engine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.speed import HEIGHT, WIDTH, picture
from benchmarks.timing import in_turn
from edgelift import Upscaler
from edgelift.core.image import shave
from edgelift.core.metrics import psnr
from edgelift.evaluate.likeness import luma_or_grey
from edgelift.evaluate.machine import machine
from edgelift.evaluate.pairs import find_pairs, load_pair
from edgelift.forge.compile import Order, converted
from edgelift.forge.gate import size_of
from edgelift.io.bundle import Bundle, find_bundle, read_bundle

SETS = ("Set5", "Set14", "BSD100")
ROWS = [
    ("onnx", "float", "openvino"), ("onnx", "fp16", "openvino"), ("onnx", "int8", "openvino"), ("onnx", "int16x8", "openvino"),
    ("onnx", "float", "onnxruntime"), ("onnx", "int8", "onnxruntime"),
    ("openvino", "float", "openvino"), ("openvino", "fp16", "openvino"), ("openvino", "int8", "openvino"),
    ("litert", "float", "litert"), ("litert", "fp16", "litert"), ("litert", "int8", "litert"), ("litert", "int16x8", "litert"),
]  # fmt: skip
"""Target, precision, engine; of each engine the float form first."""
SLOW = ("litert", "int16x8")
"""Made for NPUs: on a CPU it runs without XNNPACK, is scored on the smallest set alone and not timed."""


@dataclass
class Row:
    """One form of one network on one engine."""

    network: str
    target: str
    precision: str
    engine: str
    kilobytes: float
    psnr_y: dict[str, float] = field(default_factory=dict)
    psnr_rgb: dict[str, float] = field(default_factory=dict)
    ms: float = 0.0
    low: float = 0.0
    high: float = 0.0
    ratio: float = 0.0
    lost: dict[str, float] = field(default_factory=dict)
    """PSNR-RGB that is lost against the float bundle, in dB."""


def forms(parent: Bundle, calibration: Path, count: int) -> dict[tuple[str, str], Bundle]:
    """Every form of `parent`; whole numbers are those of the bundle, but for LiteRT's where there are PReLUs."""
    made: dict[tuple[str, str], Bundle] = {}
    own = {"litert"} if any(node.op_type == "PRelu" for node in parent.graph().graph.node) else set()
    for target, precision, _ in ROWS:
        if (target, precision) in made:
            continue
        print(f"making {parent.spec.name} {target} {precision}", flush=True)
        if target != "onnx" and target not in own:
            made[target, precision] = converted(made["onnx", precision], Order(target))
        else:
            made[target, precision] = converted(parent, Order(target, precision, calibration, count))
    return made


def score(upscaler: Upscaler, data: Path, scale: int) -> tuple[float, float]:
    """Mean PSNR on Y and on RGB over a set."""
    rows = []
    for pair in find_pairs(data / "HR", data / f"LR_x{scale}", scale)[0]:
        loaded = load_pair(pair, scale)
        result, truth = (shave(image, scale) for image in (upscaler(loaded.small), loaded.truth))
        y = psnr(luma_or_grey(result, loaded.grey), luma_or_grey(truth, loaded.grey))
        rows.append((y, y if loaded.grey else psnr(result, truth)))
    y, rgb = np.mean(rows, axis=0).tolist()
    return y, rgb


def measure(network: str, data: Path, calibration: Path, count: int, rounds: int) -> list[Row]:
    """All rows of `network`."""
    parent = read_bundle(find_bundle(network))
    made, rows, tasks, opened = forms(parent, calibration, count), [], {}, []
    with tempfile.TemporaryDirectory() as folder:
        for target, precision, engine in ROWS:
            bundle = made[target, precision]
            suffix = {"onnx": ".onnx", "openvino": ".xml", "litert": ".tflite"}[target]
            path = Path(folder) / f"{precision}{suffix}"
            path.write_bytes(bundle.data)
            if bundle.weights:
                path.with_suffix(".bin").write_bytes(bundle.weights)
            floats = "f32" if precision in ("float", "fp16") else "auto"
            upscaler = Upscaler(path, engine=engine, precision=floats, tile=(HEIGHT, WIDTH))
            opened.append(upscaler)
            row = Row(network, target, precision, engine, size_of(bundle) / 1000)
            for name in SETS[:1] if (target, precision) == SLOW else SETS:
                row.psnr_y[name], row.psnr_rgb[name] = score(upscaler, data / name, parent.spec.scale)
            print(network, target, precision, engine, row.psnr_y, row.psnr_rgb, flush=True)
            rows.append(row)
            if (target, precision) != SLOW:
                tasks[f"{target} {precision} {engine}"] = lambda upscaler=upscaler: upscaler(picture())
        seconds = in_turn(tasks, rounds)
    for upscaler in opened:
        upscaler.close()
    for row in rows:
        if values := seconds.get(f"{row.target} {row.precision} {row.engine}"):
            row.low, row.ms, row.high = (1000 * q for q in statistics.quantiles(values, n=4))
    floats_ms = {
        row.engine: row.ms for row in reversed(rows) if row.precision == "float" and row.target in ("onnx", "litert")
    }
    for row in rows:
        row.ratio = row.ms / floats_ms[row.engine]
        row.lost = {name: rows[0].psnr_rgb[name] - value for name, value in row.psnr_rgb.items()}
    return rows


def table(rows: list[Row]) -> None:
    """Print Markdown."""
    heads = ["network", "target", "precision", "engine", "KB", "ms", "quartiles", "× float", *(f"{n} dB" for n in SETS)]
    heads += [f"lost on {name}" for name in SETS]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * 4 + "---:|" * (len(heads) - 4))
    for row in rows:
        cells = [row.network, row.target, row.precision, row.engine, f"{row.kilobytes:.0f}"]
        timed = [f"{row.ms:.0f}", f"{row.low:.0f}–{row.high:.0f}", f"{row.ratio:.2f}"]
        cells += timed if row.ms else ["–"] * len(timed)
        cells += [f"{row.psnr_y[name]:.2f}" if name in row.psnr_y else "–" for name in SETS]
        cells += [f"{round(row.lost[name], 3) + 0.0:.3f}" if name in row.lost else "–" for name in SETS]
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Print the table and its JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--network", action="append", help="bundled names; abpn-x3 and fsrcnn-x3 by default")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    print(machine())
    rows = []
    for network in args.network or ["abpn-x3", "fsrcnn-x3"]:
        rows += measure(network, args.data, args.calibration, args.count, args.rounds)
    table(rows)
    print(json.dumps({"benchmark": "compiled", "machine": machine(), "rows": [vars(row) for row in rows]}))


if __name__ == "__main__":
    main()
