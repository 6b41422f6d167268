"""`edgelift upscale --dry-run`: what a run is going to take, in words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from edgelift.core.errors import EdgeliftError
    from edgelift.runtime.estimate import Estimate
    from edgelift.runtime.files import Job
    from edgelift.runtime.sizes import SizedUpscaler
    from edgelift.runtime.suited import SuitedUpscaler
    from edgelift.runtime.upscaler import Upscaler

__all__ = ["dry_run", "in_words"]


def in_words(found: Estimate) -> str:
    """An estimate on one line."""
    from edgelift.runtime.footprint import show_size

    (height, width), (height_out, width_out) = found.size_in, found.size_out
    return (
        f"{width}×{height} -> {width_out}×{height_out}, about {_seconds(found.seconds)}"
        f"{_doubts(found)}, {show_size(found.memory)} of memory, "
        f"{show_size(found.disk)} on the disk (at most {show_size(found.disk_most)})"
    )


def _doubts(found: Estimate) -> str:
    if found.busy:
        return " (measured while the machine was busy)"
    return " (not measured)" if found.tiles and not found.measured else ""


def _seconds(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def dry_run(
    upscaler: Upscaler | SizedUpscaler | SuitedUpscaler,
    work: list[Job],
    *,
    resume: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> int:
    """Say what each of `work` would take, and all together, or why it would fail; nothing is written. Returns the exit code.

    `options` are those of `require_disk`.
    """
    from edgelift.core.errors import EdgeliftError, InputError
    from edgelift.runtime.estimate import estimate_file, require_disk
    from edgelift.runtime.footprint import show_size

    found, code = [], 0
    due = [job for job in work if not (resume and os.path.exists(job.target))]
    for job in due:
        try:
            if job.problem:
                raise InputError(job.problem)
            one = estimate_file(upscaler, job, measure=True, **options)
            _check(job, one, overwrite, options)
        except EdgeliftError as exc:
            code = code or _tell(exc)
        else:
            found.append(one)
            typer.echo(f"{job.source} -> {job.target}: {in_words(one)}")
    try:
        require_disk(upscaler, due, **options)
    except EdgeliftError as exc:
        code = code or _tell(exc)
    if len(work) > 1:
        seconds, disk, most = (sum(getattr(e, name) for e in found) for name in ("seconds", "disk", "disk_most"))
        memory = max((e.memory for e in found), default=0)
        typer.echo(
            f"{len(found)} pictures: about {_seconds(seconds)}, {show_size(memory)} of memory for the largest, "
            f"{show_size(disk)} on the disk (at most {show_size(most)})"
        )
    return code


def _check(job: Job, found: Estimate, overwrite: bool, options: dict[str, Any]) -> None:
    """Raise what the run would before it begins with that picture."""
    from edgelift.io.pictures import check_picture, open_picture
    from edgelift.io.places import require_possible

    with open_picture(job.source, max_pixels=options["max_pixels"], animated=True) as reader:
        check_picture(job.target, *found.size_out, reader, options["format"])
        require_possible(job.target, reader.status, overwrite)


def _tell(error: EdgeliftError) -> int:
    typer.echo("edgelift: " + " ".join(str(error).split()), err=True)
    return error.exit_code
