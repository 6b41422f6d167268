"""`edgelift average`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgelift.cli.train import require_checkpoint_place, require_torch

__all__ = ["average"]


def average(
    checkpoints: Annotated[list[Path], typer.Argument(metavar="CHECKPOINT.pt...", help="Of one network, two or more.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The checkpoint to write (.pt).")],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", help="Folder of training pictures: take only what validates better."),
    ] = None,
    device: Annotated[str, typer.Option(help="With --data: cpu, or cuda.")] = "cpu",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Average the weights of several checkpoints of one network into one."""
    require_torch()
    from edgelift.training import average as averages

    require_checkpoint_place(output, overwrite, *checkpoints)
    if data:
        made = averages.average_greedily(
            checkpoints, data, device=device, say=lambda words: typer.echo(words, err=True)
        )
    else:
        made = averages.average(checkpoints)
    made.save(output)
    score = made.meta["psnr_y"]
    typer.echo(
        f"{output}: mean of {len(made.meta['averaged_from'])} of {len(checkpoints)} checkpoints"
        + (f", validation PSNR-Y {score:.3f} dB" if score is not None else "")
    )
