"""`edgelift upscale`."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgelift.cli.show import progress_bar
from edgelift.cli.streams import once, say

if TYPE_CHECKING:
    from edgelift.runtime.batch import Outcome
    from edgelift.runtime.files import Job
    from edgelift.runtime.sizes import Goal, SizedUpscaler
    from edgelift.runtime.suited import SuitedUpscaler
    from edgelift.runtime.upscaler import Upscaler
    from edgelift.tiling.routes import Routes

__all__ = ["upscale"]


def upscale(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="Pictures, or folders of pictures; - is standard input.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for one picture (- is standard output); folder for more.")
    ],
    scale: Annotated[
        float | None, typer.Option("--scale", "-s", help="How many times larger, such as 3 or 1.7; 2 by default.")
    ] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Width of the result; the height follows.")] = None,
    height: Annotated[int | None, typer.Option(min=1, help="Height of the result; the width follows.")] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT of the result.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Name (see 'edgelift models') or bundle file.")
    ] = None,
    quality: Annotated[
        str | None,
        typer.Option(help="fast, balanced or best, in place of --model: what it may cost; best includes --tta."),
    ] = None,
    content: Annotated[
        str | None,
        typer.Option(
            help="What the pictures are, in place of --model: photo, drawn (paintings too), clean (nothing to remove), or auto, "
            "which looks at each."
        ),
    ] = None,
    denoise: Annotated[
        float | None,
        typer.Option(help="0 to 1: how much noise and traces of compression are removed; auto decides by the picture."),
    ] = None,
    blend: Annotated[
        str | None,
        typer.Option(help="MODEL:WEIGHT,MODEL:WEIGHT in place of --model: the weighted mean of their results."),
    ] = None,
    tta: Annotated[
        bool,
        typer.Option("--tta", help="The mean over the picture's 8 orientations: a little better, 8 times the time."),
    ] = False,
    engine: Annotated[str, typer.Option(help="openvino, onnxruntime, litert (.tflite files), or auto.")] = "auto",
    device: Annotated[str, typer.Option(help="A device of 'edgelift devices', or auto.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, f32, bf16, f16 or int8.")] = "auto",
    tile: Annotated[str, typer.Option("--tile", "-t", help="auto, or HEIGHTxWIDTH in pixels of the input.")] = "auto",
    batch: Annotated[str, typer.Option(help="auto, or how many tiles go into one call of the engine.")] = "auto",
    memory: Annotated[
        str | None,
        typer.Option(help="What may be held in all, such as 500M or 2G: smaller tiles, one picture at a time."),
    ] = None,
    merge: Annotated[str, typer.Option(help="How tiles are joined: crop, feather, average or naive.")] = "crop",
    overlap: Annotated[
        int | None, typer.Option(min=0, help="Pixels of the input that neighbouring tiles share.")
    ] = None,
    filter: Annotated[
        str | None, typer.Option(help="edge, sharpen, or unsharp[:radius,percent,threshold] on the result.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Time that each picture may take: 2s, 40ms, 40% of the widest variant's, or auto. One picture counts from the "
            "start of the program to the finished file."
        ),
    ] = None,
    fps: Annotated[float | None, typer.Option(help="A budget as a rate: pictures a second.")] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", help="Write the picture with each region tinted by its variant (PNG).")
    ] = None,
    routes: Annotated[
        Path | None, typer.Option(help="Run the routes again that an earlier --json report holds: the same picture.")
    ] = None,
    in_flight: Annotated[
        str,
        typer.Option(
            "--jobs",
            "-j",
            metavar="LOAD:INFER:SAVE",
            help="Strips decoded ahead, tiles in flight, strips waiting for the encoder (which holds two more).",
        ),
    ] = "1:1:1",
    format: Annotated[
        str | None, typer.Option("--format", "-f", help="png, jpg, webp, tif, avif or gif; else by extension.")
    ] = None,
    suffix: Annotated[str, typer.Option(help="Added to names in a folder.")] = "_x{scale}",
    file_quality: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Of the file: of JPEG and WebP, 95 by default, and AVIF, 90."),
    ] = None,
    compression: Annotated[int | None, typer.Option(min=0, max=9, help="Of PNG and TIFF; more takes longer.")] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="A mode of WebP and AVIF.")] = False,
    max_pixels: Annotated[
        int | None, typer.Option(min=1, help="Larger pictures are not read; 2 000 000 000 by default.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run: skip results that exist.")] = False,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Say what it takes (time, memory, disk), and write nothing.")
    ] = False,
    report: Annotated[Path | None, typer.Option("--json", help="Write what was done to this file.")] = None,
    events: Annotated[bool, typer.Option("--json-events", help="Print a line of JSON for each event.")] = False,
) -> int:
    """Make pictures larger and sharper."""
    from edgelift.cli.forecast import dry_run
    from edgelift.core.errors import RequestError
    from edgelift.io.formats import format_of_suffix
    from edgelift.io.pictures import DEFAULT_MAX_PIXELS, STANDARD, check_encoding
    from edgelift.runtime.batch import clear_leftovers, default_workers
    from edgelift.runtime.estimate import encoder_seconds, require_disk
    from edgelift.runtime.files import Allowance, jobs
    from edgelift.runtime.sizes import Goal, open_upscaler

    if overwrite and resume:
        raise RequestError(
            "--overwrite does every picture anew and --resume skips those that are done; give one of them"
        )
    if dry and (report is not None or map_file is not None):
        raise RequestError("--dry-run writes nothing; leave --json and --map out, which say what was done")
    if (events or report == STANDARD) and output == STANDARD:
        raise RequestError("a report and the picture cannot both go to standard output; use --json FILE")
    goal = Goal(scale, *_sides(width, height, size))
    options: dict[str, Any] = {"engine": engine, "device": device, "precision": precision, "tile": tile_of(tile)}
    options |= {"batch": batch_of(batch), "memory": memory, "budget": _budget(budget, fps, routes)}
    known, routed_by = _routes(routes) if routes is not None else ({}, None)
    options |= {"merge": merge, "overlap": overlap, "filter": filter, "warn": _warn, **_in_flight(in_flight)}
    options |= {"tta": tta, "blend": blend, **_choice(quality, content, denoise)}
    with _suited(model, goal, options) if content == "auto" else open_upscaler(model, goal, **options) as upscaler:
        work = jobs(inputs, output, _label(goal, upscaler), suffix=suffix, format=format)
        check_encoding(work[0].target, format=format, quality=file_quality, compression=compression, lossless=lossless)
        kind: dict[str, Any] = {"format": format, "quality": file_quality, "lossless": lossless}
        kind["max_pixels"] = max_pixels or DEFAULT_MAX_PIXELS
        if routes is not None and not any(job.source in known for job in work):
            raise RequestError(
                f"{routes}: the report has no routes for {work[0].source}; give the inputs as they were given then"
            )
        if routed_by not in (None, upscaler.name):
            raise RequestError(f"{routes}: its routes are of {routed_by}, not of {upscaler.name}; name it with --model")
        if map_file is not None and (len(work) > 1 or not (options["budget"] or known) or STANDARD in inputs):
            raise RequestError("--map is for one picture file, with --budget or --routes")
        read = _files_read(model, blend, routes)
        _check_places({"--json": report, "--map": map_file}, work, read, overwrite)
        if dry:
            return dry_run(upscaler, work, resume=resume, overwrite=overwrite, **kind)
        if resume:
            clear_leftovers(work)
        due = [job for job in work if not (resume and os.path.exists(job.target))]
        require_disk(upscaler, due, **kind)
        began = time.perf_counter()
        timed = options["budget"] is not None
        workers = (
            min(len(work), default_workers()) if memory is None and not timed else 1
        )  # a limit holds for one picture
        encoder = encoder_seconds(format_of_suffix(work[0].target, format))
        kind["allowance"] = Allowance(_program_began() if len(work) == 1 else None, encoder, known)
        outcomes: list[Outcome] = []
        kind |= {"resume": resume, "overwrite": overwrite, "compression": compression, "warn": once(_warn)}
        try:
            _run(upscaler, work, events, outcomes, workers=workers, **kind)
        except KeyboardInterrupt:
            if report is not None:
                facts = _facts(upscaler, outcomes, time.perf_counter() - began)
                _write(report, {**facts, "interrupted": True})
            raise
        facts = _facts(upscaler, outcomes, time.perf_counter() - began)
    if events:
        say(json.dumps({"event": "end", **{k: v for k, v in facts.items() if k != "pictures"}}))
    if report is not None:
        _write(report, facts)
    _tell_what_was_taken(outcomes)
    late = _tell_of_budgets(outcomes)
    if map_file is not None and outcomes[0].error is None:
        _draw_map(outcomes[0], map_file)
    failed = [outcome.error for outcome in outcomes if outcome.error is not None]
    if len(work) > 1:
        _summary(outcomes)
    return failed[0].exit_code if failed else late


def _choice(quality: str | None, content: str | None, denoise: float | None) -> dict[str, Any]:
    """What `Upscaler` takes of these."""
    from edgelift.core.errors import RequestError

    if quality is not None and quality.isdecimal():
        raise RequestError(f"--quality is fast, balanced or best; that of a JPEG file is --file-quality {quality}")
    return {"quality": quality, "content": content, "denoise": denoise}


def _suited(model: str | None, goal: Goal, options: dict[str, Any]) -> SuitedUpscaler:
    from edgelift.runtime.suited import SuitedUpscaler

    return SuitedUpscaler(goal, model=model, **{**options, "content": None})


def _budget(budget: str | None, fps: float | None, routes: Path | None) -> Any:
    """What `Upscaler` takes as a budget; `auto` where routes choose in its place, so that a supernet is taken."""
    from edgelift.core.errors import RequestError
    from edgelift.runtime.anytime.budget import Budget, parse_budget

    if sum(given is not None for given in (budget, fps, routes)) > 1:
        raise RequestError("give one of --budget, --fps and --routes")
    if routes is not None:
        return Budget()
    if fps is None:
        return parse_budget(budget)
    if not 1e-9 < fps < 1e9:  # NaN is neither
        raise RequestError(f"--fps is a number of pictures a second above 0, such as 25, got {fps:g}")
    return Budget(seconds=1 / fps)


def _routes(path: Path) -> tuple[dict[Path, Routes], str | None]:
    """Input -> routes, from a report of `--json`, and the model that they are of, where it says so."""
    from edgelift.core.errors import InputError, RequestError
    from edgelift.runtime.anytime.account import routes_from

    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        rows = {
            Path(row["input"]): row["budget"]["routes"]
            for row in plain["pictures"]
            if "routes" in row.get("budget", ())
        }
        if not rows:
            raise LookupError("no routes")
    except OSError as exc:
        raise InputError(f"{path}: cannot be read ({exc.strerror})") from exc
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as exc:
        raise RequestError(
            f"{path}: not a report with routes, as 'edgelift upscale --budget … --json FILE' writes it"
        ) from exc
    return {source: routes_from(routes) for source, routes in rows.items()}, plain.get("model")


def _draw_map(outcome: Outcome, path: Path) -> None:
    from edgelift.core.errors import RequestError
    from edgelift.evaluate.route_map import write_map

    if outcome.result is None or outcome.result.account is None or outcome.result.frames > 1:
        raise RequestError(
            f"--map {path}: none was drawn; {outcome.job.source} is an animation, was only reduced, or was done before"
        )
    write_map(outcome.job.source, outcome.result.account.routes, path)


def _program_began() -> float:
    """What `time.perf_counter` showed, or would have, when the program was started."""
    from edgelift.runtime.hardware import process_age

    return time.perf_counter() - process_age()


def _tell_what_was_taken(outcomes: list[Outcome]) -> None:
    """Say what was chosen for one picture; of several, how often each choice was made."""
    taken = [
        outcome.result.taken for outcome in outcomes if outcome.result is not None and outcome.result.taken is not None
    ]
    if len(outcomes) == 1 and taken:
        say(f"edgelift: {outcomes[0].job.source}: {taken[0].words}", err=True)
        return
    counts = Counter(f"{each.look.content}, {each.model}" for each in taken)
    for words, count in sorted(counts.items()):
        say(f"edgelift: {words}: {count} of {len(outcomes)} pictures", err=True)


def _tell_of_budgets(outcomes: list[Outcome]) -> int:
    """Say which budgets were too small for any way; the exit code."""
    from edgelift.core.errors import BudgetError

    late = 0
    for outcome in outcomes:
        account = outcome.result.account if outcome.result is not None else None
        if account is not None and account.too_little:
            late = BudgetError.exit_code
            say(
                f"edgelift: {outcome.job.source}: {account.limit:.3g} s are too little even for the quickest way, which "
                f"took {account.seconds:.3g} s; give more time",
                err=True,
            )
    return late


def _sides(width: int | None, height: int | None, size: str | None) -> tuple[int | None, int | None]:
    if size is None:
        return width, height
    if width is not None or height is not None:
        raise typer.BadParameter("give --size, or --width and --height, not both")
    return _pair(size, "--size is WIDTHxHEIGHT, such as 1920x1080")


def tile_of(text: str) -> str | tuple[int, int]:
    """The option `--tile`, as `Upscaler` takes it."""
    return text if text == "auto" else _pair(text, "--tile is auto or HEIGHTxWIDTH, such as 256x320")


def batch_of(text: str) -> str | int:
    """The option `--batch`, as `Upscaler` takes it."""
    if text != "auto" and not text.isdecimal():
        raise typer.BadParameter(f"--batch is auto or a whole number above 0, such as 4; got {text!r}")
    return text if text == "auto" else int(text)


def _in_flight(text: str) -> dict[str, int]:
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"--jobs is LOAD:INFER:SAVE, three whole numbers above 0 such as 1:2:1; got {text!r}")
    load, infer, save = map(int, parts)
    return {"ahead": load, "workers": infer, "behind": save - 1}


def _warn(text: str) -> None:
    say(f"edgelift: {text}", err=True)


def _pair(text: str, expected: str) -> tuple[int, int]:
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"{expected}; got {text!r}")
    return int(parts[0]), int(parts[1])


def _label(goal: Goal, upscaler: Upscaler | SizedUpscaler | SuitedUpscaler) -> str:
    """What {scale} stands for in names: the factor, or the size in pixels."""
    if goal.width and goal.height:
        return f"{goal.width}x{goal.height}"
    if goal.width or goal.height:
        return f"{goal.width}w" if goal.width else f"{goal.height}h"
    return f"{upscaler.scale:g}"


def _run(
    upscaler: Upscaler | SizedUpscaler | SuitedUpscaler,
    work: list[Job],
    events: bool,
    outcomes: list[Outcome],
    **options: Any,
) -> None:
    """Do all jobs, telling of failures as they come, and add to `outcomes`; at the end they are in the order of the jobs."""
    from edgelift.runtime.batch import run_jobs

    with progress_bar(len(work)) as show:
        name = work[0].source.name if len(work) == 1 else f"{len(work)} pictures"
        for outcome in run_jobs(upscaler, work, report=lambda done: show(name, done), **options):
            outcomes.append(outcome)
            if events:
                say(json.dumps({"event": "picture", **_row(outcome)}))
            if outcome.error is not None:
                say("edgelift: " + " ".join(str(outcome.error).split()), err=True)
    outcomes.sort(key=lambda outcome: outcome.number)


def _row(outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {"input": str(outcome.job.source), "output": str(outcome.job.target)}
    if outcome.error is not None:
        return {**row, "status": "failed", "message": str(outcome.error), "code": outcome.error.exit_code}
    if outcome.result is None:
        return {**row, "status": "skipped"}
    (height, width), (height_out, width_out) = outcome.result.size_in, outcome.result.size_out
    sizes = {"height": height, "width": width, "height_out": height_out, "width_out": width_out}
    sizes["frames"] = outcome.result.frames
    row = {**row, "status": "done", **sizes, "seconds": round(outcome.result.seconds, 4)}
    if outcome.result.taken is not None:
        row["taken"] = outcome.result.taken.as_plain()
    if outcome.result.account is None:
        return row
    budget = outcome.result.account.as_plain()
    if outcome.result.frames > 1:
        del budget["routes"]  # of one frame they would serve nobody
    return {**row, "budget": budget}


def _facts(
    upscaler: Upscaler | SizedUpscaler | SuitedUpscaler, outcomes: list[Outcome], seconds: float
) -> dict[str, Any]:
    from edgelift import __version__

    rows = [_row(outcome) for outcome in outcomes]
    counts = {status: sum(row["status"] == status for row in rows) for status in ("done", "skipped", "failed")}
    facts = {"edgelift": __version__, "model": upscaler.name, "scale": upscaler.scale, "runs_on": upscaler.runs_on}
    return {**facts, **counts, "seconds": round(seconds, 3), "pictures": rows}


def _files_read(model: str | None, blend: str | None, routes: Path | None) -> dict[str, str]:
    """What is read beside pictures, and so never written: whole path -> words."""
    from edgelift.core.resize import KERNELS
    from edgelift.io.bundle import find_bundle
    from edgelift.io.compiled import WEIGHTS_SUFFIX
    from edgelift.runtime.ensemble import parse_blend

    names = [] if blend is None else [name for name, _ in parse_blend(blend)]
    names += [] if model is None or model in KERNELS else [model]
    models = [find_bundle(name) for name in names]
    models += [path.with_suffix(WEIGHTS_SUFFIX) for path in models if path.suffix == ".xml"]
    read = {os.path.realpath(path): "a model of this run" for path in models}
    return read if routes is None else read | {os.path.realpath(routes): "what --routes reads"}


def _check_places(beside: dict[str, Path | None], work: list[Job], read: dict[str, str], overwrite: bool) -> None:
    """Raise `RequestError` where what is written would replace what the run reads (`read`: whole path -> words) or
    something else that it writes; `OutputError` where a file beside the results (`beside`: option -> file) cannot be
    written, or is there and is neither an earlier one nor to be replaced."""
    from edgelift.core.errors import RequestError
    from edgelift.io.pictures import STANDARD
    from edgelift.io.places import require_free, require_place
    from edgelift.io.standard import require_output

    for job in work:
        if (place := os.path.realpath(job.target)) in read:
            raise RequestError(f"{job.target}: is the name of {read[place]}; give another")
    pictures = {os.path.realpath(path): "a picture of this run" for job in work for path in (job.source, job.target)}
    taken = read | pictures
    made = {parent for job in work for parent in job.target.absolute().parents}  # folders that there will be
    for option, path in beside.items():
        if path is None:
            continue
        place = os.path.realpath(path)
        if place in taken:
            raise RequestError(f"{option} {path}: is the name of {taken[place]}; give another")
        taken[place] = f"what {option} writes"
        if path == STANDARD:
            require_output()
            continue
        if path.parent.exists() or path.absolute().parent not in made:
            require_place(path)
        if not _is_earlier(option, path):
            require_free(path, overwrite)


def _is_earlier(option: str, path: Path) -> bool:
    """Whether what is there was written by that option of an earlier run."""
    from edgelift.evaluate.files import ROUTE_MAP, is_called

    if not os.path.isfile(path):
        return False
    if option == "--map":
        return is_called(path, ROUTE_MAP)
    try:
        plain = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(plain, dict) and {"edgelift", "pictures"} <= plain.keys()


def _write(path: Path, facts: dict[str, Any]) -> None:
    from edgelift.io.pictures import STANDARD
    from edgelift.io.places import fill, place_for

    text = json.dumps(facts, indent=1) + "\n"
    if path == STANDARD:
        typer.echo(text, nl=False)
    else:
        fill((place_for(path, None, overwrite=True), text.encode()))


def _summary(outcomes: list[Outcome]) -> None:
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    skipped = sum(outcome.skipped for outcome in outcomes)
    done = len(outcomes) - len(failed) - skipped
    words = f"{done} picture{'s' * (done != 1)} done"
    words += f", {skipped} skipped" if skipped else ""
    words += f", {len(failed)} failed:" if failed else ""
    say(words, err=True)
    for outcome in failed:
        say(f"  {outcome.job.source}", err=True)
