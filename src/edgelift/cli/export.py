"""`edgelift export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgelift.cli.train import require_torch

__all__ = ["export"]


def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT.pt", help="As training wrote it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle to write (.onnx).")],
    content: Annotated[
        str | None,
        typer.Option(help="What it is for: photo, drawn or clean; else photo where it was trained on degraded pairs."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Of the weights, as an SPDX expression.")] = "Apache-2.0",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Make a bundle of a trained network, checked against it."""
    require_torch()
    from edgelift.core.errors import RequestError
    from edgelift.core.spec import CONTENTS
    from edgelift.forge.bundles import bundle_checkpoint
    from edgelift.io.bundle import require_bundle_place
    from edgelift.training.checkpoint import Checkpoint

    if content is not None and content not in CONTENTS:
        raise RequestError(f"--content is {', '.join(CONTENTS)}; got {content!r}")
    require_bundle_place(output, overwrite, checkpoint)
    loaded = Checkpoint.load(checkpoint)
    bundle = bundle_checkpoint(loaded, output, licence=licence, content=content, overwrite=overwrite)
    spec = bundle.spec
    typer.echo(
        f"{output}: {spec.name}, ×{spec.scale}, {spec.parameters:,} parameters, halo {spec.halo}, "
        f"{len(bundle.data) / 1000:.0f} KB"
    )
