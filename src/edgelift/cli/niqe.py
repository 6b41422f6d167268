"""`edgelift niqe`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgelift.cli.show import progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgelift.core.errors import EdgeliftError
    from edgelift.evaluate.niqe_features import Blocks
    from edgelift.evaluate.niqe_model import NiqeModel

__all__ = ["niqe"]


def niqe(
    inputs: Annotated[list[Path], typer.Argument(metavar="PICTURE|FOLDER", help="Pictures, or folders of them.")],
    model_file: Annotated[
        Path | None,
        typer.Option("--niqe-model", metavar="FILE", help="A pristine model, .npz or .mat; else edgelift's own."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    fit: Annotated[
        bool, typer.Option("--fit", help="Fit a pristine model to the pictures, which should be good ones.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="With --fit: where the model goes, .npz.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="With --fit: what reports call the model; its file's name where none is given.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="With --fit: replace a file that exists.")] = False,
) -> int:
    """Measure how natural pictures look, without others to compare them with; smaller is better.

    Figures can be compared only where they were counted with one model. Pictures under two blocks of 96×96 pixels and flat
    ones have no NIQE, which is said and is no failure, unless no picture has one.
    """
    from edgelift.core.errors import RequestError
    from edgelift.evaluate.niqe_files import picture_files
    from edgelift.evaluate.niqe_model import check_place

    if fit != (output is not None):
        raise RequestError("--fit FOLDER... needs -o FILE for the model, and -o needs --fit; give both or none")
    if fit and model_file is not None:
        raise RequestError("--fit makes a model and --niqe-model names one; give one of them")
    if name is not None and not fit:
        raise RequestError("--name names a model that --fit makes; give both or none")
    if overwrite and not fit:
        raise RequestError("--overwrite replaces a model by one that --fit makes; give both or none")
    if output is not None:
        check_place(output, overwrite)
    files = picture_files(inputs)
    if output is not None:
        return _fit(inputs, files, output, name or output.stem, as_json, overwrite)
    return _measure(files, model_file, as_json)


# -- measuring


@dataclass(frozen=True)
class _Row:
    """What became of one picture: exactly one of `niqe` and `error` says so."""

    path: Path
    size: tuple[int, int] | None = None
    """Height and width, where it could be read."""
    niqe: float | None = None
    error: EdgeliftError | None = None

    @property
    def defined(self) -> bool:
        """False for a picture that was read and has no NIQE."""
        from edgelift.evaluate.niqe import NotDefinedError

        return not isinstance(self.error, NotDefinedError)


def _measure(files: list[Path], model_file: Path | None, as_json: bool) -> int:
    from edgelift.evaluate.niqe_model import load_model

    model = load_model(model_file)
    rows = []
    with progress_bar(len(files)) as show:
        for number, path in enumerate(files):
            show(path.name, number)
            rows.append(_row(path, model))
            if rows[-1].error is not None:
                _say(rows[-1].error)
    if as_json:
        typer.echo(json.dumps(_facts(rows, model)))
    else:
        _print(rows, model)
    failed = [row.error for row in rows if row.error is not None and row.defined]
    undefined = [row.error for row in rows if row.error is not None]
    if failed:
        return failed[0].exit_code
    return undefined[0].exit_code if len(undefined) == len(rows) else 0


def _row(path: Path, model: NiqeModel) -> _Row:
    from edgelift.core.errors import EdgeliftError
    from edgelift.evaluate.niqe import NotDefinedError, niqe_of_levels
    from edgelift.evaluate.niqe_files import levels_of_file

    try:
        levels = levels_of_file(path)
    except EdgeliftError as exc:
        return _Row(path, error=exc)
    height, width = levels.shape
    try:
        return _Row(path, (height, width), niqe_of_levels(levels, model))
    except NotDefinedError as exc:
        return _Row(path, (height, width), error=NotDefinedError(f"{path}: {exc}"))


def _say(error: EdgeliftError) -> None:
    typer.echo("edgelift: " + " ".join(str(error).split()), err=True)


def _mean(rows: list[_Row]) -> float | None:
    known = [row.niqe for row in rows if row.niqe is not None]
    return sum(known) / len(known) if known else None


def _counts(rows: list[_Row]) -> dict[str, int]:
    measured = sum(row.niqe is not None for row in rows)
    undefined = sum(not row.defined for row in rows)
    return {"measured": measured, "not_defined": undefined, "failed": len(rows) - measured - undefined}


def _print(rows: list[_Row], model: NiqeModel) -> None:
    from rich.console import Console
    from rich.table import Table

    from edgelift.evaluate.words import visible

    table = Table("picture", "size", "NIQE", box=None)
    table.columns[0].overflow = "fold"
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for row in rows:
        size = f"{row.size[1]}×{row.size[0]}" if row.size else "–"
        words = "not defined" if not row.defined else "failed"
        table.add_row(visible(str(row.path)), size, words if row.niqe is None else f"{row.niqe:.4f}")
    Console(width=None if sys.stdout.isatty() else 120, markup=False, emoji=False).print(table)
    counts, mean = _counts(rows), _mean(rows)
    words = f"mean {mean:.4f} of {counts['measured']}" if mean is not None else "no mean"
    words += f", {counts['not_defined']} not defined" if counts["not_defined"] else ""
    words += f", {counts['failed']} failed" if counts["failed"] else ""
    typer.echo(f"{words}; NIQE model {model.name}")


def _facts(rows: list[_Row], model: NiqeModel) -> dict[str, Any]:
    from edgelift import __version__

    pictures = []
    for row in rows:
        facts: dict[str, Any] = {"input": str(row.path)}
        if row.size is not None:
            facts |= {"height": row.size[0], "width": row.size[1]}
        if row.error is None:
            facts |= {"status": "measured", "niqe": row.niqe}
        else:
            facts |= {"status": "failed" if row.defined else "not defined", "message": str(row.error)}
        pictures.append(facts)
    about = {"name": model.name, "provenance": model.provenance}
    return {"edgelift": __version__, "niqe_model": about, "mean": _mean(rows), **_counts(rows), "pictures": pictures}


# -- fitting


def _fit(inputs: list[Path], files: list[Path], output: Path, name: str, as_json: bool, overwrite: bool) -> int:
    from edgelift.core.errors import EdgeliftError
    from edgelift.evaluate.niqe_features import blocks_of
    from edgelift.evaluate.niqe_files import levels_of_file
    from edgelift.evaluate.niqe_model import fit_blocks, provenance, save_model

    errors: list[EdgeliftError] = []
    taken: list[int] = []

    def blocks() -> Iterator[Blocks]:
        with progress_bar(len(files)) as show:
            for number, path in enumerate(files):
                show(path.name, number)
                try:
                    yield blocks_of(levels_of_file(path))
                except EdgeliftError as exc:
                    errors.append(exc)
                    _say(exc)

    model = fit_blocks(blocks(), name, heard=taken.append)
    used = sum(count > 0 for count in taken)
    model = provenance(model, [place.resolve().name for place in inputs], used, sum(taken))
    save_model(model, output, overwrite=overwrite)
    facts = {"niqe_model": model.name, "provenance": model.provenance, "pictures": used, "blocks": sum(taken)}
    typer.echo(
        json.dumps({**facts, "failed": len(errors), "output": str(output)})
        if as_json
        else f"{output}: {model.name}, {model.provenance}"
    )
    return errors[0].exit_code if errors else 0
