"""`edgelift ablate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgelift.cli.train import require_torch, show, stop_on_signals

__all__ = ["ablate"]


def ablate(
    data: Annotated[
        list[Path], typer.Option("--data", help="Folder of pictures to train on; may be given several times.")
    ],
    run: Annotated[Path, typer.Option("--run", help="Folder of all runs.")] = Path("runs/ablation"),
    variant: Annotated[
        list[str] | None,
        typer.Option("--variant", help="Only these; may be given several times. All where none is named."),
    ] = None,
    steps: Annotated[int, typer.Option(min=4, help="Training steps of each variant.")] = 4000,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="Folder that ranges are taken from; the first --data if left out."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Calibration pictures at most.")] = 64,
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", help="Folder of pictures to measure with; drawn scenes where none is given."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train small variants of ABPN alike and show what each loses on 8 bits: residual forms, clip, normalisation, depth."""
    require_torch()
    import json
    from dataclasses import asdict

    from edgelift.evaluate.machine import machine
    from edgelift.forge.ablation import VARIANTS, recipe_for, table
    from edgelift.forge.ablation import ablate as make

    names = variant or list(VARIANTS)
    for name in names:
        recipe_for(name, steps)
    rows = make(
        data, run, names=names, steps=steps, calibration=calibration, count=count, pictures=pictures, report=show,
        say=lambda words: typer.echo(words, err=True), stop=stop_on_signals(),
    )  # fmt: skip
    show(None)
    if json_:
        typer.echo(json.dumps({"ablation": [asdict(row) for row in rows], "machine": machine()}))
    else:
        typer.echo(table(rows))
