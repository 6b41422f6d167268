"""Many pictures: several at once, one bad file never stopping the rest, and a run that can be resumed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from edgelift.core.errors import EdgeliftError, InputError
from edgelift.io import places
from edgelift.io.pictures import STANDARD
from edgelift.runtime.files import Job, Result, Upscaling, upscale_file
from edgelift.runtime.suited import SuitedUpscaler

__all__ = ["Outcome", "clear_leftovers", "default_workers", "run_jobs"]


WAKE_SECONDS = 0.2
"""How often the waiting thread looks up: a signal that the system gives to another thread does not wake it."""


@dataclass(frozen=True)
class Outcome:
    """What became of one job: exactly one of `result`, `error` and `skipped` says so."""

    number: int
    """Position of the job in the list."""
    job: Job
    result: Result | None = None
    error: EdgeliftError | None = None
    skipped: bool = False


class _Stopped(Exception):
    """The run is ending: a picture that is under way is given up."""


def default_workers() -> int:
    """Pictures under way at once: one more than the cores of a small machine, so that files are read and written meanwhile."""
    return min(4, (os.cpu_count() or 1) + 1)


def clear_leftovers(jobs: Sequence[Job]) -> int:
    """Remove the hidden files that a killed run left beside the targets of `jobs`; how many they were.

    Those of a run that goes on are left alone.
    """
    return sum(
        places.clear_leftovers(folder) for folder in {job.target.parent for job in jobs if job.target != STANDARD}
    )


def run_jobs(
    upscaler: Upscaling | SuitedUpscaler,
    jobs: Sequence[Job],
    *,
    resume: bool = False,
    workers: int = 1,
    report: Callable[[float], None] = lambda done: None,
    **options: Any,
) -> Iterator[Outcome]:
    """Do `jobs`, `workers` at once, and yield each outcome as it is known.

    `resume` skips jobs whose result is there: results get their names when they are complete. `report` is told how
    many pictures are done, parts included. `options` go to `upscale_file`. When the caller stops iterating, or an
    unforeseen error comes out, pictures under way are given up and leave nothing behind.
    """
    stop = threading.Event()
    shares = [0.0] * len(jobs)

    def one(number: int, job: Job) -> Outcome:
        def progress(done: float) -> None:
            if stop.is_set():
                raise _Stopped
            shares[number] = done
            report(sum(shares))

        if stop.is_set():
            raise _Stopped
        if resume and job.target != STANDARD and os.path.exists(job.target):
            shares[number] = 1.0
            return Outcome(number, job, skipped=True)
        try:
            places.make_folder(job.target.parent)
            return Outcome(number, job, upscale_file(upscaler, job, report=progress, **options))
        except EdgeliftError as exc:
            shares[number] = 1.0
            return Outcome(number, job, error=exc)
        except OSError as exc:
            shares[number] = 1.0
            return Outcome(number, job, error=InputError(f"{job.source}: {exc.strerror or exc}"))

    waiting = iter(enumerate(jobs))
    running: set[Future[Outcome]] = set()
    with ThreadPoolExecutor(workers, "edgelift-picture") as pool:
        try:
            while True:
                while len(running) < workers + 1 and (following := next(waiting, None)) is not None:
                    running.add(pool.submit(one, *following))
                if not running:
                    return
                done, running = wait(running, timeout=WAKE_SECONDS, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=id):
                    yield future.result()
        finally:
            stop.set()
