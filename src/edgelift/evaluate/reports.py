"""Where reports go: one may take the place of an earlier report of its kind, and of nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from edgelift.core.errors import OutputError
from edgelift.io.places import require_free, require_place

__all__ = ["GENERATOR", "require_report_place"]

GENERATOR = '<meta name="generator" content="edgelift">'
"""Stands in the head of every page."""
HEAD = 4096
"""Bytes by which a report is known."""
KINDS = {
    "page": re.compile(re.escape(GENERATOR.encode())),
    "plot": re.compile(rb'<g id="p[0-9a-f]{8}-figure_1">|(?:tEXt|zTXt|iTXt)edgelift\0'),
    "profile": re.compile(rb'^\{\s*"(profile|phone)":'),
}


def require_report_place(path: Path, kind: Literal["page", "plot", "profile"], *inputs: str | Path | None) -> None:
    """Raise `OutputError` where no file can be at `path`, where it is one of `inputs`, files that are read, or where there is
    a file that is no report of that kind: to be asked before long work."""  # fmt: skip
    require_place(path)
    require_free(path, True, *(given for given in inputs if given is not None))
    try:
        if not path.exists():
            return
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as exc:
        raise OutputError(f"{path}: exists, and cannot be read ({exc.strerror}); choose another name") from exc
    if head and not KINDS[kind].search(head):
        raise OutputError(
            f"{path}: exists already, and is no earlier {kind} of edgelift's, which alone is replaced; choose another name"
        )
