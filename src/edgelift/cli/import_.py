"""`edgelift import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgelift.cli.train import require_torch
from edgelift.core.errors import RequestError

__all__ = ["import_"]

WHITES = {"1": 1, "255": 255}


def import_(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="Weights of a known network, .pth, .pt or .safetensors; or .onnx.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The bundle to write (.onnx); FILE's name here where none is given."),
    ] = None,
    scale: Annotated[
        int | None, typer.Option(min=1, help="Where the weights serve several, or do not tell their own.")
    ] = None,
    white: Annotated[
        str | None, typer.Option(help="Of an ONNX file: what white is for it, 1 or 255; 1 where none is given.")
    ] = None,
    multiple_of: Annotated[
        int | None, typer.Option(min=1, help="Of an ONNX file: what sides of its pictures must be a multiple of.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Of the weights, as an SPDX expression.")] = "LicenseRef-Unknown",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Make a bundle of what others trained, checked against the original."""
    require_torch()
    from edgelift.forge.importing import import_checkpoint, import_onnx

    place = output or Path(source.stem + ".onnx")
    if place.exists() and source.exists() and place.samefile(source):
        raise RequestError(f"{source} would be replaced by its bundle; name another by --output")
    if source.suffix == ".onnx":
        if scale is not None:
            raise RequestError("--scale is for weights alone: an ONNX file enlarges as it does")
        if (white or "1") not in WHITES:
            raise RequestError(f"--white must be 1 or 255, got {white}")
        bundle = import_onnx(
            source,
            place,
            white=WHITES[white or "1"],
            multiple_of=multiple_of or 1,
            licence=licence,
            overwrite=overwrite,
        )
    else:
        if white is not None or multiple_of is not None:
            raise RequestError("--white and --multiple-of are for ONNX files: of known weights both are known")
        bundle = import_checkpoint(source, place, scale=scale, licence=licence, overwrite=overwrite)
    spec = bundle.spec
    form = spec.training.get("imported", {}).get("form", "a run of edgelift")
    halo = "the whole picture" if spec.halo is None else f"halo {spec.halo}"
    typer.echo(
        f"{place}: {spec.architecture} ×{spec.scale}, from {form}; {spec.parameters:,} parameters, {halo}, "
        f"{len(bundle.data) / 1000:.0f} KB"
    )
