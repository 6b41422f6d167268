"""INT8 on this CPU with and without the bound that keeps pairs of bytes from saturating (see docs/compiling.md).

Each network is quantised twice, with weights that are free to use all of -127 … 127 and with weights of which no two of one
sign add up to more than 127, and runs as its text says and on each engine. Printed is the PSNR-RGB against the truth less
that of the float network. On CPUs with VNNI or AMX the rows of free weights agree; on others they do not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from edgelift.core import grids
from edgelift.core.metrics import psnr
from edgelift.evaluate.machine import machine
from edgelift.forge.compile import Order, converted
from edgelift.forge.gate import enlarge
from edgelift.forge.tiles import Proof, proofs
from edgelift.io.blocks import core_model
from edgelift.io.bundle import Bundle, find_bundle, read_bundle
from edgelift.runtime.engine import Options
from edgelift.runtime.engines import open_engine
from edgelift.runtime.engines.onnxruntime import open_exact
from edgelift.shrink import quantize

ENGINES = ("as written", "onnxruntime", "openvino")
Run = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def runner(bundle: Bundle, engine: str) -> Run:
    """What enlarges a picture: an engine, or the graph operator by operator."""
    if engine != "as written":
        opened = open_engine(bundle, engine, Options(precision="auto" if bundle.spec.bits == "int8" else "f32"))
        return lambda picture: enlarge(opened, picture)
    run, b = open_exact(core_model(bundle)), bundle.spec.shuffle

    def exact(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        blocks = run(picture.transpose(2, 0, 1)[None].astype(np.float32))[0][0]
        height, width = blocks.shape[1:]
        larger = blocks.reshape(b, b, 3, height, width).transpose(3, 0, 4, 1, 2).reshape(height * b, width * b, 3)
        return np.clip(np.rint(larger), 0, 255).astype(np.uint8)

    return exact


def decibels(run: Run, tiles: list[Proof]) -> float:
    """Mean PSNR on RGB over the tiles."""
    return float(np.mean([psnr(run(tile.small), tile.truth) for tile in tiles]))


def main() -> None:
    """Print a table and its JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, help="sharp pictures to compare with; drawn scenes by default")
    args = parser.parse_args()
    print(machine())
    print(f"{'':12}{'weights':10}" + "".join(f"{engine:>14}" for engine in ENGINES))
    rows = []
    for network in ("abpn-x3", "fsrcnn-x3"):
        parent = read_bundle(find_bundle(network))
        tiles = proofs(args.pictures, parent.spec, 20)
        whole = decibels(runner(parent, "onnxruntime"), tiles)
        for weights in ("free", "bounded"):
            # Of 16-bit activations weights are free already.
            free = mock.patch.object(quantize, "weight_grid", lambda weight, bits: grids.weight_grid(weight, "int16x8"))
            with free if weights == "free" else mock.patch.object(quantize, "weight_grid", grids.weight_grid):
                made = converted(parent, Order(precision="int8", calibration=args.calibration, count=50))
            found = {engine: round(decibels(runner(made, engine), tiles) - whole, 3) for engine in ENGINES}
            print(f"{network:12}{weights:10}" + "".join(f"{value:+14.3f}" for value in found.values()), flush=True)
            rows.append({"network": network, "weights": weights, **found})
    print(json.dumps({"benchmark": "saturation", "machine": machine(), "rows": rows}))


if __name__ == "__main__":
    main()
