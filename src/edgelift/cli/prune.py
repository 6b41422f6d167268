"""`edgelift prune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgelift.cli.compile import size_of
from edgelift.cli.train import require_torch, show, stop_on_signals

__all__ = ["prune"]


def prune(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A bundled name, a bundle, or a checkpoint (.pt).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle to write (.onnx).")],
    data: Annotated[list[Path], typer.Option("--data", help="Folder of pictures; may be given several times.")],
    share: Annotated[float | None, typer.Option(help="Multiply-adds that are left, between 0 and 1.")] = None,
    ms: Annotated[
        float | None, typer.Option("--ms", help="Milliseconds for a window of --size, measured here.")
    ] = None,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH of that window.")] = "192x256",
    saliency: Annotated[str, typer.Option(help="What says which channels go: taylor, l1 or median.")] = "taylor",
    multiple: Annotated[int, typer.Option(help="Channels of a narrowed layer are a multiple of this.")] = 4,
    steps: Annotated[int | None, typer.Option(help="Of fine-tuning; a fifth of the recipe's if left out.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Fit fine-tuning to this time instead.")] = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="Folder of the run; runs/OUTPUT where none is given.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda.")] = "cpu",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Drop the channels that a network needs least, train it on, and measure what that costs and saves."""
    require_torch()
    from edgelift.forge.prune import Wish
    from edgelift.forge.prune import prune as make

    wish = Wish(share, ms, size_of(size), saliency, multiple, steps)
    made = make(
        model, wish, data, run or Path("runs") / output.stem, output, minutes=minutes, device=device, overwrite=overwrite,
        report=show, say=lambda words: typer.echo(words, err=True), stop=stop_on_signals(),
    )  # fmt: skip
    show(None)
    parity = made.parity
    typer.echo(
        f"{output}: {made.bundle.spec.name}, {made.share:.1%} of the multiply-adds, {parity.bytes / 1000:.0f} KB "
        f"({parity.parent_bytes / 1000:.0f} KB before)"
    )
    typer.echo(f"  channels: {', '.join(f'{name} {width}' for name, width in made.widths.items())}")
    typer.echo(f"  against the truth: {0.0 - round(parity.loss, 3):+.3f} dB ({parity.tiles} tiles, {parity.pictures})")
    typer.echo(
        f"  {parity.tile[1]}×{parity.tile[0]}: {parity.ms:.2f} ms, {parity.parent_ms:.2f} ms before, on {parity.runs_on}: "
        f"{parity.ratio:.2f} times as long"
    )
