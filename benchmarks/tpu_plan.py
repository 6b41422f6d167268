"""A chip planned without one: what windows of each size cost on the BM1684X, by its compiler's cycle model.

The table has the form of the tiled-upscaling contest of CCF BDCI 2023: shape, seconds, price = seconds / (batch · 3 · height ·
width); the chip runs no batch at once, so a batch of n takes n times as long. For each network and precision a second table
compares forms of the ends of the graph: what goes over the bus for a megapixel of the result, and what the chip takes. It
needs `edgelift toolchain install sophon`, and no card.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass

import onnx
from onnx import TensorProto, helper

from edgelift.evaluate.machine import machine
from edgelift.forge.cycles import CycleEngine
from edgelift.io.bundle import find_bundle, read_bundle
from edgelift.runtime.engine import Options
from edgelift.tiling.choose import choose
from edgelift.tiling.cost import CostModel, Measured

SHAPES = ((64, 64), (128, 128), (192, 256), (256, 256), (256, 384), (512, 512))
BATCHES = {(128, 128): (1, 2, 4), (192, 256): (1, 2, 4), (512, 512): (1, 2, 4)}
PICTURE = (360, 640)
"""Height and width for which a tile is chosen."""
COMPARED = (128, 128)
"""Windows in which forms of the ends are compared."""


@dataclass
class Form:
    """One way to begin and end the graph."""

    network: str
    precision: str
    ends: str
    seconds: float
    """Of a window of `COMPARED`."""
    moved: float
    """Bytes over the bus, both ways, for each pixel of the result: of which windows keep what is not halo."""


def shuffled(graph: onnx.ModelProto, shuffle: int) -> onnx.ModelProto:
    """`graph` with the pixel shuffle inside: it gives a picture instead of blocks."""
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    last = model.graph.node[-1]
    shape = [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim]
    depth = helper.make_node(
        "DepthToSpace", last.input[:1], ["shuffled"], blocksize=shuffle, mode="DCR", name="shuffled"
    )
    turn = helper.make_node("Transpose", ["shuffled"], ["blocks"], perm=[0, 2, 3, 1], name="blocks")
    del model.graph.node[-1], model.graph.output[:]
    model.graph.node.extend([depth, turn])
    sides = [1, shape[1] * shuffle, shape[2] * shuffle, 3]
    model.graph.output.append(helper.make_tensor_value_info("blocks", TensorProto.FLOAT, sides))
    return model


def cropped(graph: onnx.ModelProto, halo: int) -> onnx.ModelProto:
    """`graph` that keeps what an inner window keeps."""
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    last = model.graph.node[-1]
    height, width = (d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim[1:3])
    values = {"starts": [halo, halo], "ends": [height - halo, width - halo], "axes": [2, 3]}
    model.graph.initializer.extend(
        helper.make_tensor(name, TensorProto.INT64, [2], given) for name, given in values.items()
    )
    cut = helper.make_node("Slice", [last.input[0], *values], ["kept"], name="kept")
    turn = helper.make_node("Transpose", ["kept"], ["blocks"], perm=[0, 2, 3, 1], name="blocks")
    del model.graph.node[-1]
    model.graph.node.extend([cut, turn])
    for place, side in zip((1, 2), (height, width), strict=True):
        model.graph.output[0].type.tensor_type.shape.dim[place].dim_value = side - 2 * halo
    return model


def forms(engine: CycleEngine, network: str) -> list[Form]:
    """Floats as the compiler makes them by itself, bytes, bytes with the halo cut away, and bytes with the pixel shuffle."""
    height, width = COMPARED
    graph, spec = engine.graph(height, width), engine.spec
    assert spec.halo is not None
    kept = (height - 2 * spec.halo) * (width - 2 * spec.halo)
    cases = [
        ("float32", graph, "float32", 4, height * width),
        ("bytes (what is compiled)", graph, "bytes", 1, height * width),
        ("bytes, halo cut away on the chip", cropped(graph, spec.halo), "bytes", 1, kept),
        ("bytes, pixel shuffle on the chip", shuffled(graph, spec.shuffle), "bytes", 1, height * width),
    ]
    found = []
    for words, model, ends, size, leaving in cases:
        seconds = engine.plan(model, ends).seconds
        print(f"{network} {engine.precision} {words}: {1000 * seconds:.3f} ms", flush=True)
        moved = 3 * size * (height * width + spec.scale**2 * leaving)
        found.append(Form(network, engine.precision, words, seconds, moved / (kept * spec.scale**2)))
    return found


def prices(engine: CycleEngine) -> CostModel:
    """The contest's table."""
    rows = []
    for shape in SHAPES:
        seconds = engine.cycles(*shape).seconds
        print(f"{engine.spec.name} {engine.precision} {shape}: {1000 * seconds:.3f} ms", flush=True)
        rows += [Measured(batch, *shape, seconds * batch) for batch in BATCHES.get(shape, (1,))]
    return CostModel(tuple(rows))


def main() -> None:
    """Print both tables and their JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", help="bundled names; abpn-x3, espcn-x3 and fsrcnn-x3 by default")
    parser.add_argument("--precision", action="append", help="f16 and int8 by default")
    args = parser.parse_args()
    print(machine())
    tables: list[tuple[str, str, CostModel]] = []
    compared: list[Form] = []
    for network in args.network or ["abpn-x3", "espcn-x3", "fsrcnn-x3"]:
        for precision in args.precision or ["f16", "int8"]:
            engine = CycleEngine(read_bundle(find_bundle(network)), Options(precision=precision))
            tables.append((network, precision, prices(engine)))
            best = choose(*PICTURE, engine.spec.halo, tables[-1][2], shapes=SHAPES)
            print(
                f"{network} {precision}: {PICTURE[0]}×{PICTURE[1]} in tiles of {best.tile}, {1000 * best.seconds:.2f} ms"
            )
            compared += forms(engine, network)
            engine.close()
    _print(tables, compared)
    plain = [{"network": n, "precision": p, **asdict(row)} for n, p, model in tables for row in model.prices()]
    print(json.dumps({"benchmark": "tpu_plan", "rows": plain, "forms": [asdict(form) for form in compared]}))


def _print(tables: list[tuple[str, str, CostModel]], compared: list[Form]) -> None:
    """Markdown."""
    heads = [f"{network} {precision}" for network, precision, _ in tables]
    print("| shape | " + " | ".join(f"{head} ms | price" for head in heads) + " |")
    print("|---|" + "---:|" * (2 * len(heads)))
    for rows in zip(*(sorted(m.rows, key=lambda r: (r.batch * r.area, r.batch)) for _, _, m in tables), strict=True):
        print(f"| {rows[0].shape} | " + " | ".join(f"{1000 * r.seconds:.3f} | {r.price:.3e}" for r in rows) + " |")
    print("\n| network | precision | goes in and out | ms | MB a megapixel |\n|---|---|---|---:|---:|")
    for form in compared:
        print(f"| {form.network} | {form.precision} | {form.ends} | {1000 * form.seconds:.3f} | {form.moved:.2f} |")


if __name__ == "__main__":
    main()
