"""`edgelift targets`, `edgelift compile`, `edgelift quantize` and `edgelift parity`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgelift.forge.compile import Order
    from edgelift.forge.gate import Parity

__all__ = ["compile_model", "parity", "quantize", "size_of", "targets"]

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A bundled name or a bundle file.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]
Calibration = Annotated[
    Path | None, typer.Option("--calibration", help="Folder of sharp pictures that ranges are taken from.")
]
Count = Annotated[int, typer.Option(help="Calibration pictures at most, evenly spread over the folder.")]
Symmetric = Annotated[
    bool, typer.Option("--symmetric/--asymmetric", help="Zero points in the middle of grids, or where they cost least.")
]
Pictures = Annotated[
    Path | None, typer.Option("--pictures", help="Folder of pictures to prove with; drawn scenes where none is given.")
]
Variant = Annotated[str | None, typer.Option(help="Of a supernet: the network that is taken.")]
ReluOnly = Annotated[
    bool,
    typer.Option("--relu-only", help="PReLU as ReLU of twice the channels, for targets without a whole-number PReLU."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
Force = Annotated[bool, typer.Option("--force", help="Keep the file although it does not pass the gate.")]


def targets() -> None:
    """List what networks can be compiled for, and what has to be installed."""
    from edgelift.targets.base import TARGETS, load_target

    for name in TARGETS:
        target = load_target(name)
        typer.echo(f"{name}  {target.about}  {', '.join(target.precisions)}")
        if missing := target.missing():
            typer.echo(f"{name}  cannot be made here: {missing}")


def compile_model(
    model: Model,
    output: Output,
    target: Annotated[str, typer.Option(help="What for; edgelift targets lists them.")],
    precision: Annotated[
        str | None, typer.Option(help="float, fp16, bf16, int8 or int16x8; that of the model where it is left out.")
    ] = None,
    calibration: Calibration = None,
    count: Count = 200,
    symmetric: Symmetric = False,
    pictures: Pictures = None,
    size: Annotated[
        str,
        typer.Option(help="HEIGHTxWIDTH that files name which name one; HxW,HxW,... for bm1684x, which runs no other."),
    ] = "192x256",
    relu_only: ReluOnly = False,
    variant: Variant = None,
    overwrite: Overwrite = False,
    force: Force = False,
) -> None:
    """Compile a network for a target, and prove that it gives the same pictures."""
    from edgelift.forge.compile import Order

    order = Order(
        target, precision, calibration, count, symmetric, pictures, _sizes(size), relu_only=relu_only, variant=variant
    )
    _make(model, order, output, overwrite, force)


def quantize(
    model: Model,
    output: Output,
    bits: Annotated[str, typer.Option(help="int8, int16x8 or fp16.")] = "int8",
    calibration: Calibration = None,
    count: Count = 200,
    symmetric: Symmetric = False,
    pictures: Pictures = None,
    relu_only: ReluOnly = False,
    variant: Variant = None,
    overwrite: Overwrite = False,
    force: Force = False,
) -> None:
    """Make a bundle of fewer bits, and measure what that costs."""
    from edgelift.core.errors import RequestError
    from edgelift.forge.compile import Order

    if bits not in ("int8", "int16x8", "fp16"):
        raise RequestError(f"bits must be one of int8, int16x8, fp16, got {bits!r}")
    order = Order("onnx", bits, calibration, count, symmetric, pictures, relu_only=relu_only, variant=variant)
    _make(model, order, output, overwrite, force)


def parity(
    model: Annotated[str, typer.Argument(metavar="A", help="A bundled name, a bundle or a compiled file.")],
    parent: Annotated[str, typer.Argument(metavar="B", help="What it is compared with.")],
    pictures: Pictures = None,
    maps: Annotated[
        Path | None, typer.Option("--maps", help="Folder for pictures of A, B and their difference.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two models, tile by tile: with each other, with the truth and in time."""
    import json

    from edgelift.forge.compile import compared
    from edgelift.forge.maps import Maps
    from edgelift.io.bundle import find_bundle
    from edgelift.io.compiled import read_model

    one, other = (read_model(find_bundle(name)) for name in (model, parent))
    see = Maps(maps, pictures=pictures) if maps is not None else None
    found = compared(one, other, pictures, see)
    if json_:
        typer.echo(json.dumps(found.document()))
        return
    for line in _lines(Path(model), found):
        typer.echo(line)
    if see is not None:
        typer.echo(
            f"  {len(see.written)} maps in {maps}: A, B and their difference, white where Y differs by {see.white} levels"
        )


def _make(model: str, order: Order, output: Path, overwrite: bool, force: bool) -> None:
    from edgelift.forge.compile import compile_bundle
    from edgelift.io.bundle import find_bundle
    from edgelift.io.compiled import read_model

    bundle = read_model(find_bundle(model))
    bundle.graph()  # of a compiled file this says what is needed instead
    parity = compile_bundle(
        bundle, order, output, overwrite=overwrite, force=force, report=lambda words: typer.echo(words, err=True)
    )
    for line in _lines(output, parity):
        typer.echo(line)


def _lines(output: Path, parity: Parity) -> list[str]:
    near = "the same bits" if parity.psnr_to_parent is None else f"{parity.psnr_to_parent:.2f} dB"
    gain = 0.0 - round(parity.loss, 3)  # never -0.000
    lines = [
        f"{output}: {parity.name}, {parity.bytes / 1000:.0f} KB ({parity.parent_bytes / 1000:.0f} KB before)",
        f"  from its parent: {near}; against the truth: {gain:+.3f} dB ({parity.tiles} tiles, {parity.pictures})",
        f"  {parity.tile[1]}×{parity.tile[0]}: {parity.ms:.2f} ms on {parity.runs_on}, "
        f"{parity.parent_ms:.2f} ms on {parity.parent_runs_on}: {parity.ratio:.2f} times as long",
    ]
    if parity.remark:
        lines.append(f"  {parity.remark}")
    if problem := parity.problem():
        lines.append(f"  does not pass the gate: {problem}")
    return lines


def _sizes(text: str) -> tuple[tuple[int, int], ...]:
    return tuple(size_of(each.strip()) for each in text.split(","))


def size_of(text: str) -> tuple[int, int]:
    """Height and width of `HEIGHTxWIDTH`. Raises `RequestError`."""
    from edgelift.core.errors import RequestError

    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and 1 <= int(side) <= 8192 for side in sides):
        raise RequestError(f"a size is HEIGHTxWIDTH with sides from 1 to 8192, such as 192x256; got {text!r}")
    return int(sides[0]), int(sides[1])
