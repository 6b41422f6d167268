"""Picture files: which become which, and upscaling one of them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgelift.core.errors import InputError, OutputError, RequestError
from edgelift.io.folders import NO_PICTURES, outside, pictures_below, unreadable
from edgelift.io.formats import format_of_suffix
from edgelift.io.pictures import DEFAULT_MAX_PIXELS, STANDARD, PictureReader, create_picture, open_picture
from edgelift.runtime.animation import upscale_frames
from edgelift.runtime.anytime.account import Account
from edgelift.runtime.anytime.run import Terms
from edgelift.runtime.pipeline import Report
from edgelift.runtime.rows import CallbackTarget, Rows, Source, Target
from edgelift.runtime.sizes import SizedUpscaler
from edgelift.runtime.suited import SuitedUpscaler, Taken
from edgelift.tiling.routes import Routes

__all__ = ["Allowance", "Job", "Result", "Upscaling", "jobs", "upscale_file"]


PIECE_BYTES = 4 << 20
"""Of a strip that go to the encoder at once: what waits for it stays small, however wide the picture is."""
PIECES = 3
"""Such parts that the encoder may have before it when the last row is done."""
ENDING = 0.015
"""Seconds to end a file and give it its name."""
MISSING = "no such file or folder"
LABEL = r"(?:\d+(?:\.\d+)?(?:e-?\d+)?|\d+x\d+|\d+[wh])"
"""What {scale} stands for in names: a factor, or a size in pixels."""


@dataclass(frozen=True)
class Job:
    """One picture to read and one to write; `-` is standard input or output."""

    source: Path
    target: Path
    problem: str = ""
    """Why the source cannot be read, where that is known beforehand."""


@dataclass(frozen=True)
class Result:
    """What became of a job."""

    job: Job
    size_in: tuple[int, int]
    """Height and width."""
    size_out: tuple[int, int]
    seconds: float
    """From opening the one file to closing the other."""
    frames: int = 1
    """More than one for animations; the sizes are of one."""
    account: Account | None = None
    """What became of its budget, where it had one; of an animation, each frame of which has the budget, that of the frame
    that took longest."""
    taken: Taken | None = None
    """What was chosen for it, where that was left to the picture."""


@dataclass(frozen=True)
class Allowance:
    """What a budget is counted from, what must be left of it for the file, and routes to run again."""

    began: float | None = None
    """What `time.perf_counter` showed when the budget's seconds began; None: when the file is opened."""
    encoder: float = 2e-8
    """Seconds of the encoder for a byte of samples."""
    routes: Mapping[Path, Routes] = field(default_factory=dict)
    """Of the sources that have some."""

    def after(self, size: int) -> float:
        """Seconds that pass between the last row of a result of `size` bytes and its file's end, about."""
        return ENDING + self.encoder * min(size, PIECES * PIECE_BYTES)


class Upscaling(Protocol):
    """What upscales a picture: `Upscaler` and `SizedUpscaler`."""

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The result's (height, width)."""

    def run(self, source: Source, target: Target, report: Report = ..., terms: Terms = ...) -> Account | None:
        """Upscale `source` into `target`; what became of a budget."""


class _PictureSource:
    """A picture file as rows; its alpha is a second layer."""

    def __init__(self, reader: PictureReader) -> None:
        self.height, self.width, self.dtype = reader.height, reader.width, reader.dtype
        self.layers = 2 if reader.alpha else 1
        self._reader = reader

    def rows(self, start: int, stop: int) -> Rows:
        """Decode the rows `start` … `stop` - 1."""
        colour, alpha = self._reader.rows(start, stop)
        if alpha is None:
            return colour[None]
        return np.stack([colour, np.repeat(alpha[:, :, None], 3, axis=2)])


def jobs(
    inputs: Sequence[Path], output: Path, scale: str, *, suffix: str = "_x{scale}", format: str | None = None
) -> list[Job]:
    """What to do for `inputs` (files and folders) and `output` (a file for one input file, else a folder).

    One picture may come from standard input, and go to standard output, as `-`.

    In a folder a result is called as its source, plus `suffix` with `scale` in it, plus the extension of `format` (png
    where none is given); subfolders are kept. Where results go into the folder that their sources are in, what has the name
    of a result, of this run or of one to another scale or format, is none of the sources. Of several inputs, those that do
    not exist or hold no pictures become jobs with a problem, and so do folders below an input that cannot be read.

    Raises `InputError` where the only input is missing or holds no pictures, `RequestError` where two results would have one
    name or one that of a picture that is named.
    """
    if len(inputs) == 1 and inputs[0] != STANDARD and not os.path.exists(inputs[0]):
        raise InputError(f"{inputs[0]}: {MISSING}")
    if STANDARD in (*inputs, output):
        return [_piped(inputs, output, format)]
    to_folder = len(inputs) > 1 or inputs[0].is_dir() or os.path.isdir(output)
    if not to_folder:
        return [Job(inputs[0], output)]
    if os.path.exists(output) and not output.is_dir():
        raise OutputError(f"{output}: is a file; several pictures need a folder to go to")
    try:
        ending, parts = suffix.format(scale=scale), suffix.format(scale="\0").split("\0")
    except (LookupError, ValueError, AttributeError, TypeError) as exc:
        raise RequestError(f"the suffix {suffix!r} may hold {{scale}} and no other braces") from exc
    extension = "." + (format or "png").lstrip(".").lower()
    made = [
        Job(path, output / path.relative_to(root).parent / f"{path.stem}{ending}{extension}", problem)
        for given in inputs
        for root, path, problem in _sources(given, output, parts)
    ]
    if len(inputs) == 1 and all(job.problem for job in made):
        raise InputError(made[0].problem)
    _refuse_twins(made)
    return _without_results(made, inputs)


def _sources(given: Path, output: Path, suffix: list[str]) -> list[tuple[Path, Path, str]]:
    """What an input stands for: (folder from which a result's place is counted, source, why it cannot be read or "")."""
    if not os.path.isdir(given):
        return [(given.parent, given, "" if os.path.exists(given) else f"{given}: {MISSING}")]
    problems: list[OSError] = []
    found = outside(pictures_below(given, problems.append), given, output)
    if os.path.realpath(given) == os.path.realpath(output):
        found = _without_earlier(found, suffix)
    closed = [Path(error.filename) for error in problems]
    sources = [(given, path, "") for path in found]
    sources += [
        (given.parent if place == given else given, place, unreadable(error))
        for place, error in zip(closed, problems, strict=True)
    ]
    return sources or [(given.parent, given, f"{given}: {NO_PICTURES}")]


def _without_earlier(paths: list[Path], suffix: list[str]) -> list[Path]:
    """`paths` but for those that are called as others beside them and `suffix` (text before and after the scale) are."""
    if not suffix[0]:  # then names that merely end in numbers would be taken for results
        return paths
    ending = re.compile(LABEL.join(map(re.escape, suffix)))
    names = {(path.parent, path.stem) for path in paths}

    def earlier(path: Path) -> bool:
        cuts = range(1, len(path.stem))
        return any((path.parent, path.stem[:k]) in names and ending.fullmatch(path.stem, k) for k in cuts)

    return [path for path in paths if not earlier(path)]


def _piped(inputs: Sequence[Path], output: Path, format: str | None) -> Job:
    if len(inputs) > 1 or inputs[0].is_dir():
        raise RequestError("- stands for one picture; name files or folders for several")
    if output == STANDARD:
        format_of_suffix(output, format)
    elif os.path.isdir(output):
        raise RequestError(f"{output}: is a folder, and what comes from standard input has no name there; name a file")
    return Job(inputs[0], output)


def _without_results(made: list[Job], named: Sequence[Path]) -> list[Job]:
    """The jobs but for those whose sources are results of others, of an earlier run into the same folder."""
    becomes = {_place(job.target): job for job in made}
    kept = []
    for job in made:
        other = becomes.get(os.path.realpath(job.source), becomes.get(_place(job.source), job))
        if other is job:
            kept.append(job)
        elif job.source in named:
            both = f"{job.source} is to be read, and {other.source} would become it"
            raise RequestError(f"{both}; leave it out, or choose another folder or --suffix")
    read = {os.path.realpath(job.source) for job in kept}
    if through := [job.target for job in kept if os.path.islink(job.target) and os.path.realpath(job.target) in read]:
        raise RequestError(
            f"{through[0]}: is a link to a picture that is to be read; choose another folder or --suffix"
        )
    return kept


def _place(path: Path) -> str:
    """The whole path, with links in it followed, but not one that it names."""
    return os.path.join(os.path.realpath(path.parent), path.name)


def _refuse_twins(made: Iterable[Job]) -> None:
    seen: dict[Path, Path] = {}
    for job in made:
        if job.target in seen:
            raise RequestError(
                f"{seen[job.target]} and {job.source} would both become {job.target}; rename one or split the run"
            )
        seen[job.target] = job.source


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change; None where the file cannot be asked, which reading it will explain."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns


def upscale_file(
    upscaler: Upscaling | SuitedUpscaler,
    job: Job,
    *,
    overwrite: bool = False,
    format: str | None = None,
    report: Report = lambda done: None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    allowance: Allowance | None = None,
    **options: Any,
) -> Result:
    """Upscale `job.source` to `job.target`, which is complete afterwards or, after an error, not there.

    Of an animation each frame is upscaled by itself, and its timing kept. A picture of more than `max_pixels` is not
    read. `allowance` says when a budget's clock began; else it begins here. `options` go to `create_picture`. Raises
    `InputError` (also for a file that changes while it is read), `OutputError`, `EngineError`.
    """
    if job.problem:
        raise InputError(job.problem)
    began = time.perf_counter()
    allowance = allowance or Allowance()
    before = _stamp(job.source)
    account = taken = None
    if isinstance(upscaler, SuitedUpscaler):
        upscaler, taken = upscaler.for_file(job.source, max_pixels=max_pixels)
    with open_picture(job.source, max_pixels=max_pixels, animated=True) as reader:
        routes = allowance.routes.get(job.source)
        if allowance.routes and (routes is None or reader.frames > 1):
            raise RequestError(
                f"{job.source}: the report has no routes for it; give inputs as they were given then, and no animations"
            )
        source = _PictureSource(reader)
        size_in = (reader.height, reader.width)
        size_out = upscaler.size(*size_in)
        if taken is not None and isinstance(upscaler, SizedUpscaler):  # whose networks depend on the size
            taken = replace(taken, model=upscaler.name_for(*size_in))
        with create_picture(job.target, *size_out, reader, format=format, overwrite=overwrite, **options) as writer:

            def take(strip: Rows) -> None:
                step = max(1, PIECE_BYTES // strip[0, 0].nbytes)
                for top in range(0, strip.shape[1], step):
                    part = strip[:, top : top + step]
                    writer.write(part[0], part[1, :, :, 1] if len(part) > 1 else None)

            if reader.frames > 1:
                accounts = [each for each in upscale_frames(upscaler.run, reader, writer, report) if each is not None]
                account = max(accounts, key=lambda each: (each.too_little, each.seconds), default=None)
            else:
                size = size_out[0] * size_out[1] * 3 * source.layers * source.dtype.itemsize
                terms = Terms(allowance.began or began, allowance.after(size), routes)
                target = CallbackTarget(source.layers, size_out[1], source.dtype, take)
                account = upscaler.run(source, target, report, terms)
            if _stamp(job.source) != before:
                raise InputError(f"{job.source}: changed while it was read; run it again when nothing writes to it")
    ended = time.perf_counter()
    if account is not None and account.files and reader.frames == 1:
        account = replace(account, seconds=ended - (allowance.began or began))
    return Result(job, size_in, size_out, ended - began, reader.frames, account, taken)
