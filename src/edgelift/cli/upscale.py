"""`edgelift upscale`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgelift.cli.show import progress_bar

if TYPE_CHECKING:
    from edgelift.runtime.files import Job, Result
    from edgelift.runtime.upscaler import Upscaler

__all__ = ["upscale"]


def upscale(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Pictures, or folders of pictures.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File for one picture; folder for more.")],
    scale: Annotated[
        float | None, typer.Option("--scale", "-s", help="How many times larger; 2 where nothing else says.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Name (see 'edgelift models') or bundle file.")
    ] = None,
    engine: Annotated[str, typer.Option(help="openvino, onnxruntime, or auto.")] = "auto",
    device: Annotated[str, typer.Option(help="A device of 'edgelift devices', or auto.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, f32, bf16, f16 or int8.")] = "auto",
    tile: Annotated[str, typer.Option("--tile", "-t", help="auto, or HEIGHTxWIDTH in pixels of the input.")] = "auto",
    format: Annotated[
        str | None, typer.Option("--format", "-f", help="png, jpg, webp or tif; else by extension.")
    ] = None,
    suffix: Annotated[str, typer.Option(help="Added to names in a folder.")] = "_x{scale}",
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG and WebP.")] = 95,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")] = False,
    report: Annotated[Path | None, typer.Option("--json", help="Write what was done to this file.")] = None,
) -> int:
    """Make pictures larger and sharper."""
    from edgelift.runtime.files import jobs
    from edgelift.runtime.upscaler import Upscaler

    with Upscaler(model, scale=scale, engine=engine, device=device, precision=precision, tile=_tile(tile)) as upscaler:
        work = jobs(inputs, output, upscaler.scale, suffix=suffix, format=format)
        results, failures = _run(upscaler, work, overwrite=overwrite, format=format, quality=quality)
        if report is not None:
            _write_report(report, upscaler, results, failures)
    if failures and len(work) > 1:
        typer.echo(f"edgelift: {len(failures)} of {len(work)} pictures failed", err=True)
    return failures[0][2] if failures else 0


def _tile(text: str) -> str | tuple[int, int]:
    if text == "auto":
        return text
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"expected auto or HEIGHTxWIDTH such as 256x320, got {text!r}")
    return int(parts[0]), int(parts[1])


def _run(upscaler: Upscaler, work: list[Job], **options: Any) -> tuple[list[Result], list[tuple[Job, str, int]]]:
    """Do all jobs; one that fails is told and does not stop the others."""
    from edgelift.core.errors import EdgeliftError
    from edgelift.runtime.files import upscale_file

    results, failures = [], []
    with progress_bar(len(work)) as show:
        for k, job in enumerate(work):

            def report(done: float, before: int = k, name: str = job.source.name) -> None:
                show(name, before + done)

            try:
                results.append(upscale_file(upscaler, job, report=report, **options))
            except EdgeliftError as exc:
                failures.append((job, str(exc), exc.exit_code))
                typer.echo("edgelift: " + " ".join(str(exc).split()), err=True)
    return results, failures


def _write_report(path: Path, upscaler: Upscaler, results: list[Result], failures: list[tuple[Job, str, int]]) -> None:
    from edgelift import __version__
    from edgelift.core.errors import OutputError

    facts = {
        "edgelift": __version__, "model": upscaler.name, "scale": upscaler.scale, "runs_on": upscaler.runs_on,
        "pictures": [
            {"input": str(r.job.source), "output": str(r.job.target), "height": r.size_in[0], "width": r.size_in[1],
             "height_out": r.size_out[0], "width_out": r.size_out[1], "seconds": round(r.seconds, 4)} for r in results
        ],
        "failures": [{"input": str(job.source), "message": message, "code": code} for job, message, code in failures],
    }  # fmt: skip
    try:
        path.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as exc:
        raise OutputError(f"{path}: the report cannot be written ({exc.strerror})") from exc
