"""`edgelift join`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgelift.cli.train import require_torch

__all__ = ["join"]


def join(
    checkpoints: Annotated[
        list[Path], typer.Argument(metavar="CHECKPOINT.pt...", help="Of plain networks of one scale, two or more.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The checkpoint to write (.pt).")],
    name: Annotated[str | None, typer.Option(help="What the bundle will be called; else the name of the file.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Join networks that were trained by themselves into one with branches, for a time budget to choose from."""
    require_torch()
    from edgelift.core.errors import RequestError
    from edgelift.io.places import require_free
    from edgelift.training.join import join as joined

    if output.suffix != ".pt":
        raise RequestError(f"{output}: a checkpoint's name ends in .pt")
    for place in (output, output.with_suffix(".json")):
        require_free(place, overwrite, *checkpoints)
    made = joined(checkpoints, name or output.stem)
    made.save(output)
    network = made.meta["recipe"]["network"]
    scores = ", ".join(
        "–" if score is None else f"{score:.3f}" for score in (row["psnr_y"] for row in made.meta["joined_from"])
    )
    typer.echo(f"{output}: widths {network['widths']}, layers {network['layers']}; validation PSNR-Y {scores} dB")
