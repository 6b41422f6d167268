"""`edgelift join`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgelift.cli.train import require_checkpoint_place, require_torch

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
    from edgelift.training.join import join as joined

    require_checkpoint_place(output, overwrite, *checkpoints)
    made = joined(checkpoints, name or output.stem)
    made.save(output)
    network = made.meta["recipe"]["network"]
    known = [row["psnr_y"] for row in made.meta["joined_from"]]
    scores = ", ".join("–" if score is None else f"{score:.3f}" for score in known)
    typer.echo(f"{output}: widths {network['widths']}, layers {network['layers']}; validation PSNR-Y {scores} dB")
