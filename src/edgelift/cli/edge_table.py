"""`edgelift edge-table`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgelift.cli.show import progress_bar

if TYPE_CHECKING:
    from edgelift.core.spec import ModelSpec
    from edgelift.evaluate.edge_table import Found

__all__ = ["edge_table"]


def edge_table(
    model: Annotated[str, typer.Argument(help="A supernet: a bundled name or a bundle file.")],
    data: Annotated[list[Path], typer.Option(help="Folder of sharp pictures; may be given several times.")],
    score: Annotated[
        str, typer.Option(help="Edge score of the bins: square or absolute (mean of the Laplacian).")
    ] = "square",
    engine: Annotated[str, typer.Option(help="openvino, onnxruntime, or auto.")] = "auto",
    write: Annotated[bool, typer.Option("--write", help="Put the table into the bundle.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Measure how well each variant of a supernet does on regions of each edge score: what a time budget chooses by."""
    from edgelift.evaluate.edge_table import measure_table, write_table
    from edgelift.io.bundle import find_bundle, read_bundle

    path = find_bundle(model)
    bundle = read_bundle(path)
    with progress_bar(1) as show:
        found = measure_table(
            bundle, data, score=score, engine=engine, report=lambda done: show(bundle.spec.name, done)
        )
    for problem in found.skipped:
        typer.echo(f"edgelift: skipped: {problem}", err=True)
    if write:
        write_table(path, found)
    if as_json:
        typer.echo(json.dumps(_facts(found)))
    else:
        _show(bundle.spec, found)


def _facts(found: Found) -> dict[str, Any]:
    return {
        "table": found.table.as_plain(), "halo": found.halo, "halo_worst": found.worst,
        "correlations": found.correlations, "pictures": found.pictures, "blocks": found.blocks,
    }  # fmt: skip


def _show(spec: ModelSpec, found: Found) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(f"edge score ({found.table.score})", "interpolation", *spec.variants, box=None, title="PSNR, dB")
    for column in table.columns:
        column.justify = "right"
    for score, row in zip(found.table.bins, found.table.psnr().T, strict=True):
        table.add_row(f"{score:.2f}", *(f"{value:.2f}" for value in row))
    Console(width=100).print(table)
    typer.echo(f"{found.pictures} pictures, {found.blocks} blocks; {len(found.skipped)} pictures skipped")
    for name, kinds in found.correlations.items():
        words = f"PSNR {kinds['psnr']:.3f}, gain in dB {kinds['gain']:.3f}, error taken away {kinds['error']:.3f}"
        typer.echo(f"rank correlation of {name}: {words}")
    typer.echo(f"halo of routed windows: {found.halo} of {spec.halo}; samples differ by at most {found.worst} of 255")
