"""`edgelift score`."""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgelift.cli.show import progress_bar
from edgelift.cli.upscale import tile_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgelift.core.errors import EdgeliftError
    from edgelift.evaluate.niqe_model import NiqeModel
    from edgelift.evaluate.score import PictureScore, Row
    from edgelift.runtime.upscaler import Upscaler

__all__ = ["score"]

NO_VALUE = "–"
COLUMNS = ("model", "filter", "jobs", "tile", "runtime avg (s)", "NIQE avg", "score")


def score(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Pictures to upscale; with --report, the results of a run.")
    ],
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Name (see 'edgelift models') or bundle file; may be given again."),
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter", help="none, edge, sharpen, or unsharp[:radius,percent,threshold]; may be given again."
        ),
    ] = None,
    jobs: Annotated[
        list[int] | None,
        typer.Option("--jobs", "-j", min=1, help="Tiles in flight, the contest's threads; may be given again."),
    ] = None,
    tiles: Annotated[
        list[str] | None,
        typer.Option("--tile", "-t", help="auto, or HEIGHTxWIDTH in pixels of the input; may be given again."),
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="Cores of the engine for one call; 0 means all.")] = 0,
    scale: Annotated[
        float | None, typer.Option("--scale", "-s", help="How many times larger; else the model's.")
    ] = None,
    engine: Annotated[str, typer.Option(help="openvino, onnxruntime, or auto.")] = "auto",
    device: Annotated[str, typer.Option(help="A device of 'edgelift devices', or auto.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, f32, bf16, f16 or int8.")] = "auto",
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each picture, of which the median counts.")] = 1,
    model_file: Annotated[
        Path | None,
        typer.Option("--niqe-model", metavar="FILE", help="A pristine model, .npz or .mat; else edgelift's own."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="RUN.json", help="Score what 'edgelift upscale --json RUN.json' wrote to DIR."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    page: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a report to look at.")] = None,
) -> int:
    """Score upscaling as the tile contest does: sqrt(7 - NIQE) / seconds a picture · 200, for every combination.

    Seconds go from array to array: decoding and encoding are left out, and a first run of each size, which warms up.
    Interpolations take part without an engine.
    """
    from edgelift.evaluate.niqe_model import load_model
    from edgelift.runtime.filters import parse_filter

    niqe_model = load_model(model_file)
    if report is not None:
        _refuse_options(models, filters, jobs, tiles, scale)
        outcome = _of_report(folder, report, niqe_model)
    else:
        for text in filters or []:
            parse_filter(text)
        for text in tiles or []:
            tile_of(text)
        grid = _Grid(tuple(models or ()), tuple(filters or ["none"]), tuple(jobs or [1]), tuple(tiles or ["auto"]))
        common = {"engine": engine, "device": device, "precision": precision, "threads": threads}
        outcome = _of_grid(folder, grid, scale, common, niqe_model, repeat)
    _show(outcome, as_json)
    if page is not None:
        _write_page(outcome, page)
    return outcome.errors[0].exit_code if outcome.errors else 0


def _refuse_options(*given: object) -> None:
    from edgelift.core.errors import RequestError

    if any(value is not None for value in given):
        raise RequestError(
            "--report scores a run that is over; leave --model, --filter, --jobs, --tile and --scale out"
        )


# -- what is measured


@dataclass(frozen=True)
class _Grid:
    """All values of the options that may be given again."""

    models: tuple[str, ...]
    filters: tuple[str, ...]
    jobs: tuple[int, ...]
    tiles: tuple[str, ...]

    def lines(self) -> list[_Line]:
        """Every combination once; an interpolation has neither tiles nor jobs."""
        from edgelift.core.resize import KERNELS

        made: dict[_Line, None] = {}
        for model, filter, jobs, tile in itertools.product(self.models or ("",), self.filters, self.jobs, self.tiles):
            plain = model in KERNELS
            made[_Line(model, filter, None if plain else jobs, NO_VALUE if plain else tile)] = None
        return list(made)


@dataclass(frozen=True)
class _Line:
    """One combination and what came of it."""

    model: str
    filter: str = NO_VALUE
    jobs: int | None = None
    tile: str = NO_VALUE
    name: str = ""
    """The model's own name."""
    runs_on: str = ""
    scale: float | None = None
    row: Row | None = None
    """None where the combination could not run at all."""

    def cells(self) -> list[str]:
        """As the table shows it."""
        from edgelift.evaluate.words import visible

        row = self.row
        found = [row.seconds, row.niqe, row.score] if row else [None] * 3
        digits = (4, 4, 1)
        figures = [NO_VALUE if x is None else f"{x:.{n}f}" for x, n in zip(found, digits, strict=True)]
        jobs = NO_VALUE if self.jobs is None else str(self.jobs)
        return [visible(self.name or self.model or "default"), self.filter, jobs, self.tile.replace("x", "×"), *figures]

    def facts(self) -> dict[str, Any]:
        """As the JSON document has it."""
        row = self.row
        about = {
            "model": self.name or self.model, "scale": self.scale, "runs_on": self.runs_on,
            "filter": None if self.filter == NO_VALUE else self.filter, "jobs": self.jobs,
            "tile": None if self.tile == NO_VALUE else self.tile,
        }  # fmt: skip
        figures: dict[str, Any] = {
            "runtime_avg": row and row.seconds,
            "niqe_avg": row and row.niqe,
            "score": row and row.score,
        }
        figures["measured"] = len(row.measured) if row else 0
        return {**about, **figures, "pictures": [_picture_facts(p) for p in row.pictures] if row else []}


def _picture_facts(picture: PictureScore) -> dict[str, Any]:
    facts: dict[str, Any] = {"input": str(picture.path), "seconds": picture.seconds, "niqe": picture.niqe}
    return facts if picture.error is None else {**facts, "message": str(picture.error)}


@dataclass(frozen=True)
class _Outcome:
    """The table, and what goes around it."""

    lines: list[_Line]
    model: NiqeModel
    notes: list[str]
    errors: list[EdgeliftError]


class _Watch:
    """Shows how far it is, says each error once, and keeps them."""

    def __init__(self, show: Callable[[str, float], None]) -> None:
        self.errors: list[EdgeliftError] = []
        self.words = ""
        self.done = 0
        self._show = show

    def picture(self, picture: PictureScore) -> None:
        """One more picture is done."""
        self.done += 1
        self._show(f"{self.words} {picture.path.name}", self.done)
        if picture.error is not None:
            self.error(picture.error)

    def error(self, error: EdgeliftError) -> None:
        """A picture that no combination can read is one error, not one for each."""
        if str(error) not in map(str, self.errors):
            self.errors.append(error)
            typer.echo("edgelift: " + " ".join(str(error).split()), err=True)


def _of_grid(
    folder: Path, grid: _Grid, scale: float | None, common: dict[str, Any], model: NiqeModel, repeat: int
) -> _Outcome:
    from edgelift.core.errors import EdgeliftError, InputError
    from edgelift.evaluate.niqe_files import picture_files

    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; name one with pictures")
    files = picture_files([folder])
    scale = _common_scale(grid, scale)
    lines, done = grid.lines(), []
    with progress_bar(len(lines) * len(files)) as show:
        watch = _Watch(show)
        for number, line in enumerate(lines):
            watch.words, watch.done = f"{line.model} {line.filter}", number * len(files)
            try:
                done.append(_run(line, files, scale, common, model, repeat, watch))
            except EdgeliftError as exc:
                watch.error(exc)
                done.append(line)
    notes = ["seconds: from array to array; jobs: tiles in flight"]
    return _Outcome(done, model, notes, watch.errors)


def _common_scale(grid: _Grid, scale: float | None) -> float | None:
    """`scale`; or that of the first network, for interpolations to be compared with it.

    Raises for models that are not there or have another scale, before anything is measured.
    """
    from edgelift.io.bundle import Bundle
    from edgelift.runtime.models import resolve

    found = [resolve(model or None, scale) for model in grid.models or ("",)]
    networks = [model.spec.scale for model in found if isinstance(model, Bundle)]
    return float(networks[0]) if scale is None and networks and len(networks) < len(found) else scale


def _run(
    line: _Line, files: list[Path], scale: float | None, common: dict[str, Any], model: NiqeModel, repeat: int,
    watch: _Watch,
) -> _Line:  # fmt: skip
    from edgelift.evaluate.score import measure
    from edgelift.runtime.upscaler import Upscaler

    options: dict[str, Any] = {"filter": line.filter}
    if line.jobs is not None:
        options |= {**common, "workers": line.jobs, "tile": tile_of(line.tile)}
        options["warn"] = lambda text: typer.echo(f"edgelift: {text}", err=True)
    with Upscaler(line.model or None, scale=scale, **options) as upscaler:
        row = measure(upscaler, files, model, repeat=repeat, heard=watch.picture)
        tile = _tile_taken(line.tile, upscaler, row)
        return replace(
            line, row=row, tile=tile, name=upscaler.name, runs_on=upscaler.runs_on, scale=upscaler.scale
        )  # fmt: skip


def _tile_taken(asked: str, upscaler: Upscaler, row: Row) -> str:
    """`asked`, and for auto what that was, if it was the same for all pictures."""
    if asked != "auto":
        return asked
    tiles = {upscaler.plan(*picture.size).tile for picture in row.pictures if picture.size}
    return "auto ({}x{})".format(*tiles.pop()) if len(tiles) == 1 else asked


def _of_report(folder: Path, path: Path, model: NiqeModel) -> _Outcome:
    from edgelift.evaluate.score import read_report, score_report

    report = read_report(path)
    with progress_bar(len(report.pictures)) as show:
        watch = _Watch(show)
        row = score_report(folder, report, model, heard=watch.picture)
    line = _Line(report.facts.get("model", path.stem), row=row, runs_on=report.facts.get("runs_on", ""))
    span = "as the report has them"
    if report.with_files:
        span = "from opening the one file to closing the other, which the contest's leave out; scores come out lower"
    return _Outcome([line], model, [f"seconds: {span}"], watch.errors)


# -- how it is shown


def _show(outcome: _Outcome, as_json: bool) -> None:
    from edgelift import __version__
    from edgelift.evaluate.machine import machine

    best = _best(outcome)
    if not as_json:
        _print(outcome, best)
        return
    about = {"name": outcome.model.name, "provenance": outcome.model.provenance}
    rows = [{**line.facts(), "best": number == best} for number, line in enumerate(outcome.lines)]
    document = {"edgelift": __version__, "machine": machine(), "niqe_model": about, "notes": _notes(outcome)}
    typer.echo(json.dumps({**document, "rows": rows}, ensure_ascii=False))


def _best(outcome: _Outcome) -> int | None:
    from edgelift.evaluate.score import best_of

    return best_of([line.row for line in outcome.lines]) if len(outcome.lines) > 1 else None


def _notes(outcome: _Outcome) -> list[str]:
    from edgelift.evaluate.score import WORST

    counts = sorted({len(line.row.measured) for line in outcome.lines if line.row})
    means = f"means of {' or '.join(map(str, counts))} pictures" if counts else "nothing was measured"
    notes = [means, *outcome.notes, f"NIQE model: {outcome.model.name}"]
    if any(line.row and (line.row.niqe or 0) >= WORST for line in outcome.lines):
        notes.append(f"a NIQE of {WORST:g} or more scores 0")
    missing = [line for line in outcome.lines if line.row is None or line.row.errors]
    if missing:
        notes.append("pictures and combinations without figures are left out: see the messages")
    return notes


def _print(outcome: _Outcome, best: int | None) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*COLUMNS, "", box=None)
    for column in table.columns[2:-1]:
        column.justify = "right"
    for number, line in enumerate(outcome.lines):
        table.add_row(*line.cells(), "best" if number == best else "")
    Console(width=None if sys.stdout.isatty() else 120, markup=False, emoji=False).print(table)
    for note in _notes(outcome):
        typer.echo(note)


def _write_page(outcome: _Outcome, path: Path) -> None:
    from edgelift.evaluate.html import Page
    from edgelift.evaluate.machine import machine

    page = Page("Contest score", {"NIQE model": outcome.model.name, "fitted to": outcome.model.provenance, **machine()})
    page.text("score = sqrt(7 - NIQE) / mean seconds a picture · 200")
    page.table(COLUMNS, [line.cells() for line in outcome.lines], best={4: "min", 5: "min", 6: "max"})
    for note in _notes(outcome):
        page.text(note)
    for line in outcome.lines:
        if line.row is not None:
            page.heading(", ".join(cell for cell in line.cells()[:4] if cell != NO_VALUE))
            rows = [[p.path.name, p.seconds, p.niqe, str(p.error or "")] for p in line.row.pictures]
            page.table(("picture", "seconds", "NIQE", ""), rows)
    page.write(path)
