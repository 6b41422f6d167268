"""`edgelift import`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgelift.cli.train import require_torch
from edgelift.core.errors import EngineMissingError, RequestError

if TYPE_CHECKING:
    from edgelift.io.bundle import Bundle

__all__ = ["import_"]

WHITES = {"1": 1, "255": 255}
GRAPHS = {".onnx": "an ONNX file", ".tflite": "a .tflite file"}
HALOS = {
    "from the graph": "that of its operators",
    "measured": "measured: what is beyond changed nothing in random pictures",
    "none": "not known: pictures are run whole",
}


def import_(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Weights of a known network, .pth, .pt or .safetensors; .onnx; or .tflite."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The bundle to write (.onnx; of a .tflite a .tflite); FILE's name here where none is given.",
        ),
    ] = None,
    scale: Annotated[
        int | None, typer.Option(min=1, help="Where the weights serve several, or do not tell their own.")
    ] = None,
    white: Annotated[
        str | None,
        typer.Option(
            help="Of an ONNX file or a float .tflite: what white is for it, 1 or 255; 1 where none is given, of a .tflite tried."
        ),
    ] = None,
    multiple_of: Annotated[
        int | None,
        typer.Option(min=1, help="Of an ONNX file or a .tflite: what sides of its pictures must be a multiple of."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Of the weights, as an SPDX expression.")] = "LicenseRef-Unknown",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Make a bundle of what others trained, checked against the original."""
    place = output or Path(source.stem + (".tflite" if source.suffix == ".tflite" else ".onnx"))
    if os.path.exists(place) and os.path.exists(source) and place.samefile(source):
        raise RequestError(f"{source} would be replaced by its bundle; name another by --output")
    if source.suffix in GRAPHS:
        if scale is not None:
            raise RequestError(f"--scale is for weights alone: {GRAPHS[source.suffix]} enlarges as it does")
        if (white or "1") not in WHITES:
            raise RequestError(f"--white must be 1 or 255, got {white}")
    if source.suffix == ".tflite":
        _adopt(source, place, white, multiple_of, licence, overwrite)
        return
    require_torch()
    from edgelift.forge.importing import import_checkpoint, import_onnx

    if source.suffix == ".onnx":
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
            raise RequestError(
                "--white and --multiple-of are for .onnx and .tflite files: of known weights both are known"
            )
        bundle = import_checkpoint(source, place, scale=scale, licence=licence, overwrite=overwrite)
    _tell(place, bundle)


def _adopt(
    source: Path, place: Path, white: str | None, multiple_of: int | None, licence: str, overwrite: bool
) -> None:
    from edgelift.forge.adopting import import_tflite
    from edgelift.targets.base import load_target

    if missing := load_target("litert").missing():
        raise EngineMissingError(missing)
    bundle = import_tflite(
        source,
        place,
        white=None if white is None else WHITES[white],
        multiple_of=multiple_of,
        licence=licence,
        overwrite=overwrite,
    )
    _tell(place, bundle)
    found = bundle.spec.training["imported"]
    typer.echo(f"  white is {found['white']}; the halo is {HALOS[found['halo']]}")


def _tell(place: Path, bundle: Bundle) -> None:
    spec = bundle.spec
    form = spec.training.get("imported", {}).get("form", "a run of edgelift")
    halo = "the whole picture" if spec.halo is None else f"halo {spec.halo}"
    typer.echo(
        f"{place}: {spec.architecture} ×{spec.scale}, from {form}; {spec.parameters:,} parameters, {halo}, "
        f"{len(bundle.data) / 1000:.0f} KB"
    )
