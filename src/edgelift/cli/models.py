"""`edgelift models` and `edgelift models show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from edgelift.core.spec import ModelSpec

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, help="List the models that are here, or show one.")
SETS = ("Set5", "Set14", "BSD100")


def _psnr(spec: ModelSpec, name: str) -> str:
    found = spec.quality.get(name, {})
    return f"{found['psnr_y']:.2f}" if "psnr_y" in found else "–"


@app.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """List the bundled models: PSNR-Y in dB on the standard sets, multiply-adds for one pixel of the result."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console
    from rich.table import Table

    from edgelift.core.resize import KERNELS
    from edgelift.io.bundle import bundled, read_bundle
    from edgelift.runtime.choice import class_of, content_of
    from edgelift.runtime.models import DEFAULTS

    table = Table(
        "model", "scale", "content", "class", "parameters", "kMAC/pixel", *(f"{s} dB" for s in SETS), "KB", "", box=None
    )
    for column in table.columns[4:-1]:
        column.justify = "right"
    for name, path in bundled().items():
        spec = read_bundle(path).spec
        scores = [_psnr(spec, s) for s in SETS]
        note = "default" if name in DEFAULTS.values() else ("for budgets" if spec.widest > 1 else "")
        table.add_row(
            name, f"×{spec.scale}", content_of(spec), class_of(spec), f"{spec.parameters:,}",
            f"{spec.macs / spec.scale**2 / 1000:.2f}", *scores, f"{path.stat().st_size / 1000:.0f}", note,
        )  # fmt: skip
    for name in KERNELS:
        table.add_row(name, "any", "any", "–", "0", "", *["–"] * len(SETS), "0", "no engine")
    Console(width=None if _wide() else 120).print(table)


def _wide() -> bool:
    import sys

    return sys.stdout.isatty()


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A bundled name, a bundle or a compiled file.")],
    plot: Annotated[
        Path | None, typer.Option(help="Draw the edge-to-PSNR table of a supernet to this file (.svg or .png).")
    ] = None,
) -> None:
    """Print the card of a model: every fact that its bundle states."""
    import dataclasses

    from edgelift.io.bundle import find_bundle
    from edgelift.io.compiled import read_model
    from edgelift.runtime.choice import class_of, content_of

    path = find_bundle(name)
    spec = read_model(path).spec
    if plot is not None:
        _plot_table(spec, plot, path)
    facts: dict[str, Any] = {
        "file": path,
        "content": content_of(spec),
        "class": class_of(spec),
        **dataclasses.asdict(spec),
    }
    _print_facts(facts, 0)


def _plot_table(spec: ModelSpec, path: Path, source: Path) -> None:
    from edgelift.evaluate.edge_table import in_decibels
    from edgelift.evaluate.plots import check_suffix, lines, require, save
    from edgelift.evaluate.reports import require_report_place
    from edgelift.runtime.anytime.table import table_of

    require()
    check_suffix(path)
    require_report_place(path, "plot", source)
    table = table_of(spec)
    label = {"square": "mean squared Laplacian", "absolute": "mean absolute Laplacian"}[table.score]
    curves = in_decibels(spec, table)
    save(lines(curves, f"{label} of a block, 8-bit levels", "PSNR, dB", spec.name, log_x=True), path)


def _print_facts(facts: dict[str, Any], depth: int) -> None:
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            typer.echo(f"{'  ' * depth}{key}:")
            _print_facts(value, depth + 1)
        else:
            words = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
            typer.echo(f"{'  ' * depth}{key}: {'whole picture' if key == 'halo' and value is None else words}")
