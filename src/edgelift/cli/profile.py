"""`edgelift profile`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgelift.cli.show import progress_bar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgelift.evaluate.profile.devices import Comparison
    from edgelift.evaluate.profile.document import Profile, Request
    from edgelift.evaluate.profile.phone import Phone
    from edgelift.evaluate.profile.tables import Table
    from edgelift.runtime.engine import Options

__all__ = ["profile"]

SIZE, CHANNELS = "360x640", 32
"""Where none are given."""
TORCH = "torch"
"""The engine that only `forge` can open."""
PLANNED = "bm1684x"
"""The device that is profiled without being here."""


def profile(
    model: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL", help="Name or bundle file, .tflite for a phone; with --merge: profiles, .json."
        ),
    ],
    engine: Annotated[str, typer.Option(help="openvino, onnxruntime, torch (a reference), or auto.")] = "auto",
    device: Annotated[
        str,
        typer.Option(
            help="A device of 'edgelift devices', or auto; of a .tflite: adb[:SERIAL], a phone; or bm1684x: by its "
            "compiler's cycle model, with no card."
        ),
    ] = "auto",
    precision: Annotated[str, typer.Option(help="auto, f32, bf16, f16 or int8.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="0 means all cores.")] = 0,
    size: Annotated[
        str, typer.Option(help="HEIGHTxWIDTH of the made picture, of windows, and at the end of the curve.")
    ] = SIZE,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A picture for the stages, instead of a made one.")
    ] = None,
    filter: Annotated[
        str | None, typer.Option(help="edge, sharpen, or unsharp[:radius,percent,threshold] among the stages.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="PART,...", help="Of stages, operators, nodes, curve, prices; else all.")
    ] = None,
    channels: Annotated[int, typer.Option(min=1, help="Planes of the single operators.")] = CHANNELS,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Timed runs of each, 5 by default, on a phone 10; medians are printed.")
    ] = None,
    delegate: Annotated[str | None, typer.Option(help="On a phone: cpu, gpu or nnapi.")] = None,
    cores: Annotated[
        str | None, typer.Option(metavar="MASK", help="On a phone: the cores to run on, as taskset takes them; f0.")
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Put profiles of several devices and models side by side.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    page: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a report.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the JSON, for --merge.")
    ] = None,
) -> int:
    """Show where the time goes: stages, operators, single operators, resolutions and tiles on one device.

    'nodes' times networks of a single operator each, which tells what a device likes. Profiles written by -o on several
    machines are put side by side by --merge.
    """
    from edgelift.core.errors import RequestError

    _check_places(page, output, *model, picture)
    here = {
        "--engine": engine != "auto", "--precision": precision != "auto", "--size": size != SIZE, "--picture": picture,
        "--filter": filter, "--only": only, "--channels": channels != CHANNELS,
    }  # fmt: skip
    if merge:
        _refuse("--merge reads what was measured", here | {
            "--device": device != "auto", "--threads": threads, "--rounds": rounds, "--delegate": delegate, "--cores": cores,
        })  # fmt: skip
        if output is not None:
            raise RequestError("--merge reads profiles; print it with --json, or write a report with --html FILE")
        return _merge([Path(name) for name in model], as_json, page)
    from edgelift.evaluate.profile.phone import Phone, is_phone

    if len(model) != 1:
        raise RequestError(f"one model is profiled at a time, got {len(model)}; --merge puts profiles side by side")
    if is_phone(device):
        _refuse("on a phone the whole file is timed", here | {"--html": page})
        phone = Phone(device, delegate or "cpu", threads or 4, rounds or 10, (cores or "f0").lower())
        return _on_phone(Path(model[0]), phone, as_json, output)
    if delegate is not None or cores is not None:
        raise RequestError("--delegate and --cores are for phones: --device adb")
    from edgelift.evaluate.profile.document import Request, parts_of
    from edgelift.runtime.engine import Options

    request = Request(parts_of(only), _sides(size), picture, filter, channels, rounds or 5)
    found = _measure(model[0], engine, Options(device, precision, threads=threads), request)
    return _show(found, as_json, page, output)


def _on_phone(path: Path, phone: Phone, as_json: bool, output: Path | None) -> int:
    from edgelift.core.errors import RequestError
    from edgelift.evaluate.files import write_whole
    from edgelift.evaluate.profile.phone import time_on_phone

    if not path.is_file():
        raise RequestError(f"{path}: there is no such file; phones run .tflite files: edgelift compile --target litert")
    found = time_on_phone(path, phone)
    text = json.dumps(found.plain(), indent=1)
    if output is not None:
        write_whole(output, (text + "\n").encode())
    if as_json:
        typer.echo(text)
        return 0
    typer.echo(
        f"{found.model} on {found.title or 'an Android device'} ({found.serial}), {found.delegate}, {found.threads} threads, "
        f"cores {found.cores}"
    )
    spread = f"{found.least:.2f} to {found.most:.2f}, deviation {found.deviation:.2f}"
    typer.echo(
        f"{found.height}×{found.width}, {found.runs} runs: {found.mean:.2f} ms on average ({spread}); the first "
        f"{found.first:.2f} ms, opening {found.opening:.2f} ms"
    )
    if found.delegated:
        typer.echo(f"the delegate runs {found.delegated}")
    return 0


def _refuse(why: str, given: Mapping[str, object]) -> None:
    """Raise `RequestError` that names the options which would be passed over."""
    from edgelift.core.errors import RequestError

    if named := [name for name, value in given.items() if value]:
        raise RequestError(f"{why}; leave {', '.join(named)} out")


def _check_places(page: Path | None, output: Path | None, *inputs: str | Path | None) -> None:
    """Raise `OutputError` now where what is going to be measured could not be written."""
    from edgelift.evaluate.reports import require_report_place

    if page is not None:
        require_report_place(page, "page", *inputs)
    if output is not None:
        require_report_place(output, "profile", *inputs)


def _sides(text: str) -> tuple[int, int]:
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise typer.BadParameter(f"--size is HEIGHTxWIDTH, such as 360x640; got {text!r}")
    return int(parts[0]), int(parts[1])


def _measure(model: str, engine: str, options: Options, request: Request) -> Profile:
    from edgelift.evaluate.profile.bench import Bench, bundle_of
    from edgelift.evaluate.profile.document import measure

    bundle = bundle_of(model)
    more: dict[str, Any] = {}
    if _is_planned(engine, options.device):
        from edgelift.forge.cycles import CycleEngine, cycle_bench

        bench = cycle_bench(bundle, options)
        found = bench.engine()
        assert isinstance(found, CycleEngine)
        more["clock"] = found.clock
    elif engine == TORCH:
        torch = _torch()
        bench = torch.torch_bench(bundle, options)
        more["operators_of"] = lambda size, rounds: torch.torch_operators(bundle, size, rounds=rounds)
    else:
        bench = Bench(bundle, options, engine)
    with bench, progress_bar(1) as report:
        return measure(bench, request, report=report, **more)


def _is_planned(engine: str, device: str) -> bool:
    """Whether that device is predicted instead of measured. An engine for its files measures them itself."""
    return engine == "auto" and device.lower() == PLANNED


def _torch() -> Any:
    from edgelift.core.errors import EngineMissingError

    try:
        from edgelift.forge import operators
    except ImportError as exc:
        raise EngineMissingError(
            f"torch: PyTorch or what it needs is missing ({exc}); pip install 'edgelift[train]'"
        ) from exc
    return operators


def _show(found: Profile, as_json: bool, page: Path | None, output: Path | None) -> int:
    from edgelift.evaluate.files import write_whole
    from edgelift.evaluate.profile.page import profile_page
    from edgelift.evaluate.profile.tables import tables_of

    text = json.dumps(found.plain(), indent=1)
    if as_json:
        typer.echo(text)
    else:
        typer.echo(f"{found.model.name} on {found.device.words}")
        point = found.reference
        typer.echo(f"one window of {point.height}×{point.width}: {point.timing.seconds * 1e3:.2f} ms")
        for _, tables in tables_of(found.parts):
            _print(tables)
    for part, error in found.problems:
        typer.echo(f"edgelift: {part}: {' '.join(str(error).split())}", err=True)
    if output is not None:
        write_whole(output, (text + "\n").encode())
    if page is not None:
        profile_page(found).write(page)
    return found.problems[0][1].exit_code if found.problems else 0


def _merge(paths: list[Path], as_json: bool, page: Path | None) -> int:
    from edgelift.evaluate.profile.devices import merge
    from edgelift.evaluate.profile.page import comparison_page
    from edgelift.evaluate.profile.tables import compare

    found = merge(paths)
    if as_json:
        typer.echo(json.dumps(_comparison(found), indent=1))
    else:
        words, tables = compare(found)
        for line in words:
            typer.echo(line)
        _print(tables)
    if page is not None:
        comparison_page(found).write(page)
    return 0


def _comparison(found: Comparison) -> dict[str, Any]:
    import dataclasses

    rows = [
        {
            **dataclasses.asdict(row.model),
            "latency": [
                {
                    "device": number, "height": cell.height, "width": cell.width, "seconds": cell.seconds,
                    "seconds_per_megapixel": cell.per_megapixel,
                }
                for number, cell in enumerate(row.cells)
                if cell is not None
            ],
        }
        for row in found.rows
    ]  # fmt: skip
    devices = [dataclasses.asdict(device) for device in found.devices]
    return {"devices": devices, "height": found.size[0], "width": found.size[1], "models": rows}


# -- tables on a terminal


def _print(tables: list[Table]) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    for k, table in enumerate(tables):
        console.print()
        console.print(table.title, style="bold", markup=False)
        _print_table(console, table)
        if k == len(tables) - 1 or tables[k + 1].notes != table.notes:  # tables of one kind share them
            for note in table.notes:
                console.print(note, style="dim", markup=False)


def _print_table(console: Any, table: Table) -> None:
    from rich.table import Table as Lines
    from rich.text import Text

    lines = Lines(box=None, pad_edge=False)
    marked, compared = _best(table), {column for column, _ in table.best}
    for k, name in enumerate(table.columns):
        if k > 0 and all(_is_number(row[k]) for row in table.rows):
            lines.add_column(Text(name + " " * (k in compared)), justify="right", no_wrap=True)
        else:  # names of nodes are long and alike at their ends; words may go on in another line
            lines.add_column(Text(name), overflow="ellipsis" if table.long else "fold")
    for r, row in enumerate(table.rows):
        cells = [text + ("*" if (r, k) in marked else " " * (k in compared)) for k, text in enumerate(row)]
        lines.add_row(*(Text(text, style="bold" if (r, k) in marked else "") for k, text in enumerate(cells)))
    console.print(lines)


def _is_number(text: str) -> bool:
    return not text or text[0] in "0123456789–±-(" or text in ("in the noise", "cannot run")


def _best(table: Table) -> set[tuple[int, int]]:
    """(row, column) of the best values, where there are several to choose from."""
    marked = set()
    for column, sense in table.best:
        values = {r: float(row[column].replace(",", "")) for r, row in enumerate(table.rows) if row[column] != "–"}
        if len(values) > 1:
            extreme = max(values.values()) if sense == "max" else min(values.values())
            marked |= {(r, column) for r, value in values.items() if value == extreme}
    return marked
