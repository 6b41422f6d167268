"""`edgelift evaluate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgelift.cli.show import progress_bar
from edgelift.cli.upscale import tile_of

if TYPE_CHECKING:
    from edgelift.evaluate.quality import Evaluation, Problem
    from edgelift.evaluate.quality_report import Table

__all__ = ["evaluate"]


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help="Names (see 'edgelift models'), bundle files, bicubic, lanczos, MODEL+tta, A:0.7,B:0.3, auto.",
        ),
    ],
    truth: Annotated[Path, typer.Option("--hr", metavar="FOLDER", help="The references, in full resolution.")],
    small: Annotated[
        Path | None,
        typer.Option("--lr", metavar="FOLDER", help="Their small partners, by name; made by bicubic where left out."),
    ] = None,
    scale: Annotated[
        int | None, typer.Option("--scale", "-s", min=1, help="The models' common one where left out.")
    ] = None,
    engine: Annotated[str, typer.Option(help="openvino, onnxruntime, litert (.tflite files), or auto.")] = "auto",
    device: Annotated[str, typer.Option(help="A device of 'edgelift devices', or auto.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, f32, bf16, f16 or int8.")] = "auto",
    tile: Annotated[str, typer.Option("--tile", "-t", help="auto, or HEIGHTxWIDTH in pixels of the input.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="Of the engine; 0 means all cores.")] = 0,
    rounds: Annotated[int, typer.Option(min=0, help="Timed runs of each picture; 0 measures no time.")] = 3,
    with_niqe: Annotated[bool, typer.Option("--niqe/--no-niqe", help="Measure NIQE too.")] = True,
    niqe_model: Annotated[
        Path | None, typer.Option("--niqe-model", metavar="FILE", help="A pristine model; else edgelift's own.")
    ] = None,
    rows: Annotated[bool, typer.Option("--rows", help="Print each picture too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a report with pictures, in one file.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw quality against time, as .svg or .png.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FOLDER", help="Keep the results: MODEL/PICTURE_xN.png.")
    ] = None,
) -> int:
    """Measure models against the truth and the clock, side by side: PSNR, SSIM, NIQE, seconds.

    What cannot be measured is named and the rest goes on; the exit code is that of the first such problem.
    """
    from edgelift.evaluate import plots
    from edgelift.evaluate.crops import Gallery
    from edgelift.evaluate.quality import evaluate as measure
    from edgelift.evaluate.quality_report import document, page, pareto_plot

    _check_places(html, plot, rounds, *models, truth, small, niqe_model)
    gallery = Gallery() if html is not None else Gallery(shown=0, worst=0)
    asked = {"engine": engine, "device": device, "precision": precision, "tile": tile, "threads": threads or "all"}
    facts = _facts(models, truth, small, {**asked, "rounds": rounds})
    with progress_bar(1) as show:
        found = measure(
            models, truth, small,
            scale=scale, engine=engine, device=device, precision=precision, tile=tile_of(tile), threads=threads,
            rounds=rounds, with_niqe=with_niqe, niqe_model=niqe_model, save=save,
            hear=_say, see=gallery.see, progress=show,
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(document(found, facts), indent=1))
    else:
        _print(found, rows)
    if plot is not None and (svg := pareto_plot(found)) is not None:
        plots.save(svg, plot)
    if html is not None:
        page(found, gallery, facts).write(html)
    return found.problems[0].error.exit_code if found.problems else 0


def _check_places(html: Path | None, plot: Path | None, rounds: int, *inputs: str | Path | None) -> None:
    """Refuse now what would fail after the work, and what would be replaced by it."""
    from edgelift.core.errors import RequestError
    from edgelift.evaluate import plots
    from edgelift.evaluate.reports import require_report_place

    if html is not None:
        require_report_place(html, "page", *inputs)
    if plot is not None:
        require_report_place(plot, "plot", *inputs)
        plots.require()
        plots.check_suffix(plot)
        if not rounds:
            raise RequestError("--plot shows quality against time, and --rounds 0 measures no time; leave one out")


def _facts(models: list[str], truth: Path, small: Path | None, asked: dict[str, object]) -> dict[str, Any]:
    from datetime import UTC, datetime

    from edgelift.evaluate.machine import machine

    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "models": models,
        "references": str(truth),
        "partners": str(small) if small else "bicubic reductions of the references",
        "asked": asked,
        "machine": machine(),
    }


def _say(problem: Problem) -> None:
    from edgelift.evaluate.words import visible

    about = ", ".join(part for part in (problem.model, problem.picture) if part)
    typer.echo("edgelift: " + visible(f"{about}: {problem.error}" if about else str(problem.error)), err=True)


def _print(found: Evaluation, rows: bool) -> None:
    from edgelift.evaluate.quality_report import niqe_note, rows_table, summary_table
    from edgelift.evaluate.words import visible

    if not found.scores:  # what is wrong was said
        return
    if rows:
        _print_table(rows_table(found), left=3)
        typer.echo()
    _print_table(summary_table(found), left=1)
    for score in found.scores:
        typer.echo(visible(f"{score.name}: {score.runs_on}"))
    if note := niqe_note(found):
        typer.echo(visible(note))


def _print_table(table: Table, left: int) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    from edgelift.evaluate.words import visible

    shown = RichTable(box=None, padding=(0, 1, 0, 0))  # room for names on 80 columns
    for k, column in enumerate(table.columns):
        shown.add_column(column, justify="left" if k < left else "right", no_wrap=k >= left, overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(visible(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 120).print(shown)
