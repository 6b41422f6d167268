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
    from edgelift.evaluate.score_table import Line, Outcome
    from edgelift.runtime.suited import SuitedUpscaler
    from edgelift.runtime.upscaler import Upscaler

__all__ = ["score"]


def score(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Pictures to upscale; with --report, the results of a run.")
    ],
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="Name (see 'edgelift models'), bundle file, MODEL+tta, A:0.7,B:0.3 or auto; may be given again.",
        ),
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
    merges: Annotated[
        list[str] | None,
        typer.Option("--merge", help="How tiles are joined: crop, feather, average or naive; may be given again."),
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="Cores of the engine for one call; 0 means all.")] = 0,
    scale: Annotated[
        float | None, typer.Option("--scale", "-s", help="How many times larger; else the model's.")
    ] = None,
    engine: Annotated[str, typer.Option(help="openvino, onnxruntime, litert (.tflite files), or auto.")] = "auto",
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
    from edgelift.evaluate.reports import require_report_place
    from edgelift.evaluate.score_table import document
    from edgelift.evaluate.score_table import page as page_of

    if page is not None:
        require_report_place(page, "page", *(models or []), model_file, report)
    niqe_model = load_model(model_file)
    if report is not None:
        given = (engine != "auto", device != "auto", precision != "auto", threads, repeat != 1)
        _refuse_options(models, filters, jobs, tiles, merges, scale, *(value or None for value in given))
        found = _of_report(folder, report, niqe_model)
    else:
        grid = _Grid(models or [""], filters or ["none"], jobs or [1], tiles or ["auto"], merges or ["crop"])
        common = {"engine": engine, "device": device, "precision": precision, "threads": threads}
        found = _of_grid(folder, grid, scale, common, niqe_model, repeat)
    if as_json:
        typer.echo(json.dumps(document(found)))
    else:
        _print(found)
    if page is not None:
        page_of(found).write(page)
    return found.errors[0].exit_code if found.errors else 0


def _refuse_options(*given: object) -> None:
    from edgelift.core.errors import RequestError

    if any(value is not None for value in given):
        raise RequestError(
            "--report scores a run that is over; leave --model, --filter, --jobs, --tile, --merge, --scale, --engine, --device, "
            "--precision, --threads and --repeat out"
        )


# -- what is measured


@dataclass(frozen=True)
class _Grid:
    """All values of the options that may be given again."""

    models: list[str]
    """Empty for the default."""
    filters: list[str]
    jobs: list[int]
    tiles: list[str]
    merges: list[str]

    def check(self) -> None:
        """Raise for words that no model could take, before anything is measured."""
        from edgelift.runtime.filters import parse_filter
        from edgelift.tiling.merge import sharing

        for filter in self.filters:
            parse_filter(filter)
        for tile in self.tiles:
            tile_of(tile)
        for merge in self.merges:
            sharing(merge, None, None)

    def lines(self) -> list[Line]:
        """Every combination once; an interpolation has neither tiles nor jobs."""
        from edgelift.core.resize import KERNELS
        from edgelift.evaluate.score_table import Line

        made: dict[Line, None] = {}
        every = itertools.product(self.models, self.filters, self.jobs, self.tiles, self.merges)
        for model, filter, jobs, tile, merge in every:
            plain = model in KERNELS
            made[Line(model, filter) if plain else Line(model, filter, jobs, tile, merge)] = None
        return list(made)


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
) -> Outcome:
    from edgelift.core.errors import EdgeliftError, InputError
    from edgelift.evaluate.niqe_files import picture_files
    from edgelift.evaluate.score_table import Outcome

    grid.check()
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
    return Outcome(tuple(done), model, "from array to array; jobs: tiles in flight", tuple(watch.errors))


def _common_scale(grid: _Grid, scale: float | None) -> float | None:
    """`scale`; or that of the first network, for interpolations to be compared with it.

    Raises for models that are not there or have another scale, before anything is measured.
    """
    from edgelift.runtime.named import scale_of_named

    found = [scale_of_named(model or None, scale) for model in grid.models]
    networks = [own for own in found if own is not None]
    return float(networks[0]) if scale is None and networks and len(networks) < len(found) else scale


def _run(
    line: Line, files: list[Path], scale: float | None, common: dict[str, Any], model: NiqeModel, repeat: int,
    watch: _Watch,
) -> Line:  # fmt: skip
    from edgelift.evaluate.score import measure
    from edgelift.runtime.named import open_named

    options: dict[str, Any] = {"filter": line.filter}
    if line.jobs is not None:
        options |= {**common, "workers": line.jobs, "tile": tile_of(line.tile or "auto"), "merge": line.merge}
        options["warn"] = lambda text: typer.echo(f"edgelift: {text}", err=True)
    with open_named(line.model or None, scale, **options) as upscaler:
        row = measure(upscaler, files, model, repeat=repeat, heard=watch.picture)
        tile = _tile_taken(line.tile, upscaler, row)
        return replace(line, row=row, tile=tile, name=upscaler.name, runs_on=upscaler.runs_on, scale=upscaler.scale)


def _tile_taken(asked: str | None, upscaler: Upscaler | SuitedUpscaler, row: Row) -> str | None:
    """`asked`, and for auto what that was, if it was the same for all pictures."""
    if asked != "auto" or upscaler.spec is None:
        return asked
    tiles = {upscaler.plan(*picture.size).tile for picture in row.pictures if picture.size}
    return "auto ({}x{})".format(*tiles.pop()) if len(tiles) == 1 else asked


def _of_report(folder: Path, path: Path, model: NiqeModel) -> Outcome:
    from edgelift.evaluate.score import read_report, score_report
    from edgelift.evaluate.score_table import Line, Outcome

    report = read_report(path)
    with progress_bar(len(report.pictures)) as show:
        watch = _Watch(show)
        row = score_report(folder, report, model, heard=watch.picture)
    name = report.facts.get("model", path.stem)
    line = Line(name, row=row, name=name, runs_on=report.facts.get("runs_on", ""))
    span = "as the report has them"
    if report.with_files:
        span = "from opening the one file to closing the other, which the contest's leave out; scores come out lower"
    return Outcome((line,), model, span, tuple(watch.errors))


# -- how it is shown


def _print(found: Outcome) -> None:
    from rich.console import Console
    from rich.table import Table

    from edgelift.evaluate.score_table import COLUMNS

    table = Table(*COLUMNS, "", box=None)
    for column in table.columns[2:-1]:
        column.justify = "right"
    for number, line in enumerate(found.lines):
        table.add_row(*line.cells(), "best" if number == found.best else "")
    Console(width=None if sys.stdout.isatty() else 120, markup=False, emoji=False).print(table)
    for note in found.notes:
        typer.echo(note)
