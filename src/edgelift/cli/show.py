"""Progress on a terminal, and nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(total: int) -> Iterator[Callable[[str, float], None]]:
    """A bar on stderr with the time left; call what it yields with (words, parts done of `total`)."""
    if not sys.stderr.isatty():
        yield lambda words, done: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Pictures a second, where there are several."""

        def render(self, task: Task) -> Text:
            done, taken = int(task.completed), task.elapsed or 0.0
            return Text(f"{done / taken:.2g} pictures/s" if total > 1 and done and taken else "")

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        Rate(),
    ]
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda words, done: progress.update(task, description=words, completed=done)
