"""`edgelift plan`."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgelift.cli.forecast import in_words
from edgelift.cli.upscale import batch_of, tile_of

if TYPE_CHECKING:
    from edgelift.runtime.estimate import Estimate
    from edgelift.runtime.upscaler import Upscaler
    from edgelift.tiling.candidates import Candidate

__all__ = ["plan"]


def plan(
    picture: Annotated[Path, typer.Argument(metavar="FILE", help="A picture; only its header is read.")],
    scale: Annotated[
        float | None, typer.Option("--scale", "-s", help="How many times larger, such as 3 or 1.7; 2 by default.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Name (see 'edgelift models') or bundle file.")
    ] = None,
    engine: Annotated[str, typer.Option(help="openvino, onnxruntime, litert (.tflite files), or auto.")] = "auto",
    device: Annotated[str, typer.Option(help="A device of 'edgelift devices', or auto.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, f32, bf16, f16 or int8.")] = "auto",
    tile: Annotated[str, typer.Option("--tile", "-t", help="auto, or HEIGHTxWIDTH in pixels of the input.")] = "auto",
    batch: Annotated[str, typer.Option(help="auto, or tiles in one call of the engine.")] = "auto",
    memory: Annotated[str | None, typer.Option(help="What may be held in all, such as 500M or 2G.")] = None,
    format: Annotated[str, typer.Option("--format", "-f", help="Of the result, for its size on the disk.")] = "png",
    measure: Annotated[bool, typer.Option("--measure", help="Measure again, even where prices are kept.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which tiles could be taken for a picture, which is, and what upscaling it takes. Nothing is written.

    Prices (seconds for a sample) are measured the first time, in about a second, and kept.
    """
    from edgelift.io.pictures import open_picture
    from edgelift.runtime.estimate import estimate, facts_of, stages
    from edgelift.runtime.sizes import Goal, open_upscaler

    options: dict[str, Any] = {"engine": engine, "device": device, "precision": precision, "tile": tile_of(tile)}
    options |= {"batch": batch_of(batch), "memory": memory}
    with open_upscaler(model, Goal(scale), **options) as upscaler, open_picture(picture, animated=True) as reader:
        facts = facts_of(reader)
        if measure:
            for network, _, _ in stages(upscaler, facts.height, facts.width):
                network.planner(reader.dtype).known(again=True)
        found = estimate(upscaler, facts, picture, format=format, measure=True)
        tables = [
            (network, network.candidates(height, width, layers=facts.layers, dtype=reader.dtype))
            for network, height, width in stages(upscaler, facts.height, facts.width)
        ]
        if as_json:
            typer.echo(json.dumps(_facts(found, tables)))
            return
        for network, rows in tables:
            typer.echo(f"{network.name} on {network.runs_on}")
            _print(rows, facts.layers)
        typer.echo(f"{picture.name}: {in_words(found)}")


def _print(rows: list[Candidate], layers: int) -> None:
    from rich.console import Console
    from rich.table import Table

    from edgelift.runtime.footprint import show_size

    table = Table("tile", "batch", "windows", "redundant", "price", "seconds", "memory", "", box=None)
    for column in table.columns[:-1]:
        column.justify = "right"
    for row in rows:
        choice = row.choice
        table.add_row(
            _tile(choice.tile), str(choice.batch), str(choice.windows), f"{row.redundancy:.1%}", f"{row.price:.3e}",
            f"{choice.seconds * layers:.3g}", show_size(choice.memory), ", ".join(_marks(row)),
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 100).print(table)


def _marks(row: Candidate) -> list[str]:
    marks = {"taken": row.chosen, "least redundant": row.least_redundant, "least price": row.least_price}
    return [words for words, holds in marks.items() if holds]


def _tile(tile: tuple[int, int]) -> str:
    return f"{tile[0]}×{tile[1]}"


def _facts(found: Estimate, tables: list[tuple[Upscaler, list[Candidate]]]) -> dict[str, Any]:
    facts = dataclasses.asdict(found)
    del facts["tiles"]
    networks = [
        {
            "model": network.name, "runs_on": network.runs_on,
            "candidates": [{**dataclasses.asdict(row.choice), "redundancy": row.redundancy, "price": row.price,
                            "marks": _marks(row)} for row in rows],
        }
        for network, rows in tables
    ]  # fmt: skip
    return {**facts, "networks": networks}
