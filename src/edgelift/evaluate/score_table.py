"""Scores as a table: a line for each combination of options, JSON and a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgelift import __version__
from edgelift.core.errors import EdgeliftError
from edgelift.evaluate.html import Page
from edgelift.evaluate.machine import machine
from edgelift.evaluate.niqe_model import NiqeModel
from edgelift.evaluate.score import WORST, PictureScore, Row, best_of
from edgelift.evaluate.words import NOTHING, visible

__all__ = ["COLUMNS", "Line", "Outcome", "document", "page"]

COLUMNS = ("model", "filter", "jobs", "tile", "runtime avg (s)", "NIQE avg", "score")
SCORE = 6
BEST = {4: "min", 5: "min", SCORE: "max"}
"""Column -> which of its values is the best; no score of 0 is."""


@dataclass(frozen=True)
class Line:
    """One combination and what came of it; None is what it has not, such as the tile of an interpolation."""

    model: str
    """As it was asked for; empty for the default."""
    filter: str | None = None
    jobs: int | None = None
    tile: str | None = None
    merge: str | None = None
    name: str = ""
    """The model's own name."""
    runs_on: str = ""
    scale: float | None = None
    row: Row | None = None
    """None where the combination could not run at all."""

    @property
    def words(self) -> str:
        """The combination on one line."""
        named = {"filter": self.filter, "jobs": self.jobs, "tile": self.tile, "merge": self.merge}
        called = visible(self.name or self.model or "default")
        return ", ".join([called, *(f"{key} {value}" for key, value in named.items() if value is not None)])

    def cells(self) -> list[str]:
        """As the table shows it; how tiles are joined is said where it is not by cropping."""
        found = [self.row.seconds, self.row.niqe, self.row.score] if self.row else [None] * 3
        figures = [NOTHING if x is None else f"{x:.{n}f}" for x, n in zip(found, (4, 4, 1), strict=True)]
        jobs = NOTHING if self.jobs is None else str(self.jobs)
        tile = (self.tile or NOTHING).replace("x", "×")
        tile += f" {self.merge}" if self.merge not in (None, "crop") else ""
        return [visible(self.name or self.model or "default"), self.filter or NOTHING, jobs, tile, *figures]

    def facts(self) -> dict[str, Any]:
        """As the JSON document has it."""
        row = self.row
        return {
            "model": self.name or self.model, "scale": self.scale, "runs_on": self.runs_on,
            "filter": self.filter, "jobs": self.jobs, "tile": self.tile, "merge": self.merge,
            "runtime_avg": row and row.seconds, "niqe_avg": row and row.niqe, "score": row and row.score,
            "measured": len(row.measured) if row else 0,
            "pictures": [_facts(picture) for picture in row.pictures] if row else [],
        }  # fmt: skip


def _facts(picture: PictureScore) -> dict[str, Any]:
    facts: dict[str, Any] = {"input": str(picture.path), "seconds": picture.seconds, "niqe": picture.niqe}
    return facts if picture.error is None else {**facts, "message": str(picture.error)}


@dataclass(frozen=True)
class Outcome:
    """The table, and what goes around it."""

    lines: tuple[Line, ...]
    model: NiqeModel
    timing: str
    """What the seconds are, in words."""
    errors: tuple[EdgeliftError, ...]

    @property
    def best(self) -> int | None:
        """The number of the line with the highest score above 0, where there are several."""
        return best_of([line.row for line in self.lines]) if len(self.lines) > 1 else None

    @property
    def notes(self) -> list[str]:
        """What has to be known to read the table."""
        counts = sorted({len(line.row.measured) for line in self.lines if line.row})
        pictures = "picture" if counts == [1] else "pictures"
        notes = [f"means of {' or '.join(map(str, counts))} {pictures}" if counts else "nothing was measured"]
        notes += [f"seconds: {self.timing}", *_placed(self.lines), f"NIQE model: {self.model.name}"]
        if any(line.row and (line.row.niqe or 0) >= WORST for line in self.lines):
            notes.append(f"a NIQE of {WORST:g} or more scores 0")
        if len({line.scale for line in self.lines if line.row}) > 1:
            notes.append("the scales differ, and so do the sizes of the results: such scores do not compare")
        if any(line.row is None or line.row.errors for line in self.lines):
            notes.append("pictures and combinations without figures are left out: see the messages")
        return notes


def _placed(lines: tuple[Line, ...]) -> list[str]:
    """Where each model ran, and at which scale."""
    placed = {line.name: line for line in lines if line.runs_on}
    return [
        f"{visible(name)}: {visible(line.runs_on)}" + (f", ×{line.scale:g}" if line.scale else "")
        for name, line in placed.items()
    ]


def document(found: Outcome) -> dict[str, Any]:
    """The scores as plain values for JSON: null is what there is not."""
    return {
        "edgelift": __version__,
        "machine": machine(),
        "niqe_model": _about(found.model),
        "notes": found.notes,
        "rows": [{**line.facts(), "best": number == found.best} for number, line in enumerate(found.lines)],
    }


def _about(model: NiqeModel) -> Mapping[str, str]:
    return {"name": model.name, "provenance": model.provenance}


def page(found: Outcome) -> Page:
    """The report."""
    made = Page("Contest score", {"NIQE model": found.model.name, "its origin": found.model.provenance,
                                  "machine": machine()})  # fmt: skip
    made.text("score = sqrt(7 - NIQE) / mean seconds a picture · 200; 0 from a NIQE of 7 on")
    best = {column: sense for column, sense in BEST.items() if column != SCORE or found.best is not None}
    made.table(COLUMNS, [line.cells() for line in found.lines], best=best)
    for note in found.notes:
        made.text(note)
    made.heading("Each picture")
    for line in found.lines:
        if line.row is not None:
            rows = [[p.path.name, p.seconds, p.niqe, str(p.error or "")] for p in line.row.pictures]
            made.table(("picture", "seconds", "NIQE", "problem"), rows, folded=line.words)
    return made
