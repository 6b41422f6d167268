"""`edgelift import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgelift.cli.train import require_torch

__all__ = ["import_"]


def import_(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="FILE", help="Weights of a known network: .pth, .pt or .safetensors.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The bundle to write (.onnx); FILE's name where none is given."),
    ] = None,
    scale: Annotated[
        int | None, typer.Option(min=1, help="Where the weights serve several, or do not tell their own.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Of the weights, as an SPDX expression.")] = "LicenseRef-Unknown",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Make a bundle of weights that others trained, checked against the network in PyTorch."""
    require_torch()
    from edgelift.forge.importing import import_checkpoint

    place = output or Path(checkpoint.stem + ".onnx")
    bundle = import_checkpoint(checkpoint, place, scale=scale, licence=licence, overwrite=overwrite)
    spec = bundle.spec
    halo = "the whole picture" if spec.halo is None else f"halo {spec.halo}"
    form = spec.training.get("imported", {}).get("form", "a run of edgelift")
    typer.echo(
        f"{place}: {spec.architecture} ×{spec.scale}, from {form}; {spec.parameters:,} "
        f"parameters, {halo}, {len(bundle.data) / 1000:.0f} KB"
    )
