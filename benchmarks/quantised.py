"""What 8 bits cost: networks in float, in INT8 by measured ranges (PTQ), and in INT8 after quantised training (QAT).

DATA holds Set5, Set14 and BSD100, each with HR/ and LR_xN/; CALIBRATION any sharp pictures, none of them from DATA. A file
given as `--qat NAME=FILE` is the float bundle that `edgelift export` made of a run of `edgelift train --quantize`; what it
loses is counted against the bundled float network NAME, its parent. The last lines print by how much the first network in
INT8 is better than the others.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.compiled import SETS, score
from edgelift import Upscaler
from edgelift.evaluate.machine import machine
from edgelift.forge.compile import Order, converted
from edgelift.io.bundle import Bundle, find_bundle, read_bundle

NETWORKS = ("abpn-x3", "fsrcnn-x3", "espcn-x3")


@dataclass
class Row:
    """One form of one network."""

    network: str
    form: str
    psnr_y: dict[str, float] = field(default_factory=dict)
    psnr_rgb: dict[str, float] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)
    """PSNR-RGB that is lost against the float bundle, in dB."""


def forms(network: str, learnt: dict[str, Path], calibration: Path, count: int) -> Iterator[tuple[str, Bundle]]:
    """Name -> bundle of each form, the float one first."""
    parent = read_bundle(find_bundle(network))
    yield "float", parent
    yield "INT8, PTQ", converted(parent, Order(precision="int8", calibration=calibration, count=count))
    if network in learnt:
        yield "INT8, QAT", converted(read_bundle(learnt[network]), Order(precision="int8"))


def measure(network: str, made: Iterator[tuple[str, Bundle]], data: Path, engine: str) -> list[Row]:
    """All rows of `network`."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for form, bundle in made:
            path = Path(folder) / f"{len(rows)}.onnx"
            path.write_bytes(bundle.data)
            row = Row(network, form)
            with Upscaler(path, engine=engine, precision="f32" if bundle.spec.bits == "float" else "auto") as upscaler:
                for name in SETS:
                    row.psnr_y[name], row.psnr_rgb[name] = score(upscaler, data / name, bundle.spec.scale)
            rows.append(row)
            row.lost = {name: rows[0].psnr_rgb[name] - value for name, value in row.psnr_rgb.items()}
            print(row, flush=True)
    return rows


def table(rows: list[Row]) -> None:
    """Print Markdown, and how the first network's INT8 compares with the others'."""
    heads = ["network", "form", *(f"{name} PSNR-Y" for name in SETS), *(f"lost on {name}" for name in SETS)]
    print("| " + " | ".join(heads) + " |\n|---|---|" + "---:|" * (len(heads) - 2))
    for row in rows:
        cells = [f"{row.psnr_y[name]:.2f}" for name in SETS] + [f"{row.lost[name] + 0.0:.3f}" for name in SETS]
        print(f"| {row.network} | {row.form} | " + " | ".join(cells) + " |")
    eight = [row for row in rows if row.form != "float"]
    for row in eight:
        if row.network != eight[0].network:
            for own in (one for one in eight if one.network == eight[0].network):
                gains = ", ".join(f"{own.psnr_rgb[name] - row.psnr_rgb[name]:+.2f} dB on {name}" for name in SETS)
                print(f"{own.network} ({own.form}) less {row.network} ({row.form}), PSNR-RGB: {gains}")


def main() -> None:
    """Print the table and its JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--network", action="append", help=f"bundled names; {', '.join(NETWORKS)} by default")
    parser.add_argument("--qat", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--engine", default="auto")
    args = parser.parse_args()
    print(machine())
    learnt = {name: Path(path) for name, _, path in (pair.partition("=") for pair in args.qat)}
    rows = []
    for network in args.network or NETWORKS:
        rows += measure(network, forms(network, learnt, args.calibration, args.count), args.data, args.engine)
    table(rows)
    print(json.dumps({"benchmark": "quantised", "machine": machine(), "rows": [vars(row) for row in rows]}))


if __name__ == "__main__":
    main()
