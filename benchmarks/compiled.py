"""Networks × targets × precisions: size, time at 640×360, PSNR on Set5, Set14 and BSD100, and what is lost against float.

DATA holds Set5, Set14 and BSD100, each with HR/ and LR_xN/; CALIBRATION any sharp pictures, none of them from DATA. Every
row is made from the bundled float network in the same way as `edgelift compile` makes it, and runs as `edgelift upscale`
runs it. Times of one network are taken in turn in one run; `× float` is the time by that of the float form on the same
engine.

--keep FOLDER holds what was made and scored, and a later run with the same networks, calibration and pictures goes on from
there: then only times are taken anew, in about two minutes a network.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.speed import HEIGHT, WIDTH, picture
from benchmarks.timing import in_turn
from edgelift import Upscaler, __version__
from edgelift.core.image import shave
from edgelift.core.metrics import psnr
from edgelift.evaluate.likeness import luma_or_grey
from edgelift.evaluate.machine import machine
from edgelift.evaluate.pairs import find_pairs, load_pair
from edgelift.forge.compile import Order, converted
from edgelift.forge.gate import size_of
from edgelift.io.bundle import Bundle, find_bundle, read_bundle
from edgelift.io.compiled import read_model

SETS = ("Set5", "Set14", "BSD100")
ROWS = [
    ("onnx", "float", "openvino"), ("onnx", "fp16", "openvino"), ("onnx", "int8", "openvino"), ("onnx", "int16x8", "openvino"),
    ("onnx", "float", "onnxruntime"), ("onnx", "int8", "onnxruntime"),
    ("openvino", "float", "openvino"), ("openvino", "fp16", "openvino"), ("openvino", "int8", "openvino"),
    ("litert", "float", "litert"), ("litert", "fp16", "litert"), ("litert", "int8", "litert"), ("litert", "int16x8", "litert"),
]  # fmt: skip
"""Target, precision, engine; of each engine the float form first."""
SLOW, SLOW_ROUNDS = "litert int16x8 litert", 2
"""Made for NPUs: a CPU has no fast form of it, and it is timed by itself and less often."""
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "litert": ".tflite"}
NETWORKS = ["abpn-x3", "fsrcnn-x3", "espcn-x3"]


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


class Kept:
    """What earlier runs made and scored, in a folder; everything there belongs to one network, calibration and edgelift."""

    def __init__(self, folder: Path, parent: Bundle, calibration: Path, count: int) -> None:
        said = f"{__version__} {calibration.resolve()} {count}".encode()
        self._folder = folder / f"{parent.spec.name}-{hashlib.sha256(parent.data + said).hexdigest()[:12]}"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._scores = self._folder / "scores.json"

    def file(self, target: str, precision: str) -> Path:
        """Where that form is kept."""
        return self._folder / f"{target}-{precision}{SUFFIXES[target]}"

    def keep(self, path: Path, bundle: Bundle) -> None:
        """Write a form; the file that names it last, so that what is there is whole."""
        if bundle.weights:
            path.with_suffix(".bin").write_bytes(bundle.weights)
        scratch = path.with_suffix(".part")
        scratch.write_bytes(bundle.data)
        scratch.replace(path)

    def scores(self) -> dict[str, list[float]]:
        """Row and set -> PSNR on Y and on RGB."""
        found: dict[str, list[float]] = json.loads(self._scores.read_text()) if self._scores.exists() else {}
        return found

    def score(self, key: str, values: tuple[float, float]) -> None:
        """Add one."""
        scratch = self._scores.with_suffix(".part")
        scratch.write_text(json.dumps(self.scores() | {key: list(values)}))
        scratch.replace(self._scores)


def forms(parent: Bundle, calibration: Path, count: int, kept: Kept) -> dict[tuple[str, str], Path]:
    """Every form of `parent`; whole numbers are those of the bundle, but for LiteRT's where there are PReLUs."""
    made: dict[tuple[str, str], Path] = {}
    own = {"litert"} if any(node.op_type == "PRelu" for node in parent.graph().graph.node) else set()
    for target, precision, _ in ROWS:
        made[target, precision] = path = kept.file(target, precision)
        if path.exists():
            continue
        print(f"making {parent.spec.name} {target} {precision}", flush=True)
        if target != "onnx" and target not in own:
            bundle = converted(read_bundle(made["onnx", precision]), Order(target))
        else:
            bundle = converted(parent, Order(target, precision, calibration, count))
        kept.keep(path, bundle)
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


def measure(network: str, args: argparse.Namespace, folder: Path) -> list[Row]:
    """All rows of `network`."""
    parent = read_bundle(find_bundle(network))
    kept = Kept(folder, parent, args.calibration, args.count)
    made, rows, tasks, opened = forms(parent, args.calibration, args.count, kept), [], {}, []
    for target, precision, engine in ROWS:
        path, key = made[target, precision], f"{target} {precision} {engine}"
        floats = "f32" if precision in ("float", "fp16") else "auto"
        upscaler = Upscaler(path, engine=engine, precision=floats, tile=(HEIGHT, WIDTH))
        opened.append(upscaler)
        row = Row(network, target, precision, engine, size_of(read_model(path)) / 1000)
        for name in SETS:
            if f"{key} {name}" not in kept.scores():
                kept.score(f"{key} {name}", score(upscaler, args.data / name, parent.spec.scale))
            row.psnr_y[name], row.psnr_rgb[name] = kept.scores()[f"{key} {name}"]
        print(network, key, row.psnr_y, row.psnr_rgb, flush=True)
        rows.append(row)
        tasks[key] = lambda upscaler=upscaler: upscaler(picture())
    slow = {SLOW: tasks.pop(SLOW)}
    seconds = in_turn(tasks, args.rounds) | in_turn(slow, SLOW_ROUNDS)
    for upscaler in opened:
        upscaler.close()
    for row in rows:
        values = seconds[f"{row.target} {row.precision} {row.engine}"]
        row.low, row.ms, row.high = (1000 * q for q in statistics.quantiles(values, n=4))
    base = {row.engine: row for row in reversed(rows) if row.precision == "float" and row.target in ("onnx", "litert")}
    for row in rows:
        here, there = (seconds[f"{r.target} {r.precision} {r.engine}"] for r in (row, base[row.engine]))
        row.ratio = statistics.median(a / b for a, b in zip(here, there, strict=False))
        row.lost = {name: rows[0].psnr_rgb[name] - value for name, value in row.psnr_rgb.items()}
    return rows


def table(rows: list[Row]) -> None:
    """Print Markdown."""
    heads = ["network", "target", "precision", "engine", "KB", "ms", "quartiles", "× float", *(f"{n} dB" for n in SETS)]
    heads += [f"lost on {name}" for name in SETS]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * 4 + "---:|" * (len(heads) - 4))
    for row in rows:
        cells = [row.network, row.target, row.precision, row.engine, f"{row.kilobytes:.0f}"]
        cells += [f"{row.ms:.0f}", f"{row.low:.0f}–{row.high:.0f}", f"{row.ratio:.2f}"]
        cells += [f"{row.psnr_y[name]:.2f}" for name in SETS]
        cells += [f"{round(row.lost[name], 3) + 0.0:.3f}" for name in SETS]
        print("| " + " | ".join(cells) + " |")


def gaps(rows: list[Row]) -> None:
    """Print how far ABPN is above FSRCNN in INT8, PSNR-Y on each engine that runs both."""
    eight = {(row.network.partition("-")[0], row.target, row.engine): row for row in rows if row.precision == "int8"}
    for (network, target, engine), row in eight.items():
        if other := eight.get(("fsrcnn", target, engine)):
            gained = ", ".join(f"{name} {row.psnr_y[name] - other.psnr_y[name]:+.2f}" for name in SETS)
            if network == "abpn":
                print(f"ABPN in INT8 less FSRCNN in INT8, PSNR-Y in dB, {target} on {engine}: {gained}")


def main() -> None:
    """Print the table and its JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--network", action="append", help=f"bundled names; {', '.join(NETWORKS)} by default")
    parser.add_argument("--rounds", type=int, default=9, help="at least 2: there are quartiles")
    parser.add_argument("--keep", type=Path, help="folder of what is made and scored; nothing is kept without it")
    args = parser.parse_args()
    print(machine())
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for network in args.network or NETWORKS:
            rows += measure(network, args, args.keep or Path(scratch))
    table(rows)
    gaps(rows)
    print(json.dumps({"benchmark": "compiled", "machine": machine(), "rows": [vars(row) for row in rows]}))


if __name__ == "__main__":
    main()
