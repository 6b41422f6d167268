"""Profiles and their comparison as pages."""

from __future__ import annotations

from edgelift.evaluate import plots
from edgelift.evaluate.html import Page
from edgelift.evaluate.machine import machine
from edgelift.evaluate.profile.devices import Comparison
from edgelift.evaluate.profile.document import Parts, Profile
from edgelift.evaluate.profile.metanodes import MetaNodes
from edgelift.evaluate.profile.operators import Operators
from edgelift.evaluate.profile.resolutions import Curve
from edgelift.evaluate.profile.stages import Stages
from edgelift.evaluate.profile.tables import SETS, Table, compare, tables_of

__all__ = ["comparison_page", "profile_page"]


def profile_page(found: Profile) -> Page:
    """A page with all tables and plots of a profile. Without matplotlib it has no plots, and says so."""
    point = found.reference
    facts = {
        "model": found.model.name,
        "runs on": found.device.words,
        f"one window of {point.height}×{point.width}": f"{point.timing.seconds * 1e3:.4g} ms",
        "machine": found.machine,
    }
    page = Page(f"Where the time of {found.model.name} goes", facts)
    if not plots.available():
        page.text("Without plots, since matplotlib is not installed: pip install 'edgelift[report]'.")
    for name, tables in tables_of(found.parts):
        for k, table in enumerate(tables):
            _add(page, table)
            if k == 0 and plots.available():
                _plot(page, name, found.parts)
    if found.problems:
        page.heading("Not measured")
        for part, error in found.problems:
            page.text(f"{part}: {error}")
    return page


def comparison_page(found: Comparison) -> Page:
    """A page with the table of each scale, and PSNR against latency."""
    words, tables = compare(found)
    facts = dict(line.split(": ", 1) for line in words)
    page = Page("Quality, latency and devices", {**facts, "put together on": machine()["cpu"]})
    for table, rows in zip(tables, found.scales.values(), strict=True):
        _add(page, table)
        points = [
            (f"{row.model.name} {letter}", cell.per_megapixel * 1e3, psnr)
            for row in rows
            for letter, cell in zip(facts, row.cells, strict=True)
            if cell is not None and (psnr := row.psnr(SETS[0])) is not None
        ]
        if len(points) > 1 and plots.available():
            front = plots.pareto([(x, y) for _, x, y in points])
            svg = plots.scatter(
                points, "ms for a megapixel", f"PSNR-Y on {SETS[0]}, dB", table.title, front=front, log_x=True
            )
            page.plot(svg, f"{table.title}: the further up and left, the better; the line joins those that none beats.")
    return page


def _add(page: Page, table: Table) -> None:
    page.heading(table.title)
    folded = f"{len(table.rows)} rows" if table.long else ""
    page.table(table.columns, table.rows, dict(table.best), folded=folded)
    for note in table.notes:
        page.text(note)


def _plot(page: Page, name: str, parts: Parts) -> None:
    if name == "stages" and parts.stages:
        page.plot(_stages(parts.stages), "What the run spent in each stage, or waited for it.")
    elif name == "operators" and parts.operators:
        page.plot(_operators(parts.operators), "Operators summed by kind.")
    elif name == "nodes" and parts.nodes:
        page.plot(_nodes(parts.nodes), "One operator at a time, less an empty call.")
    elif name == "curve" and parts.curve and len(parts.curve.points) > 1:
        for svg, caption in _curve(parts.curve):
            page.plot(svg, caption)


def _stages(found: Stages) -> str:
    values = {stage.name: stage.seconds * 1e3 for stage in found.stages if stage.seconds is not None}
    return plots.bars({**values, "not accounted for": max(0.0, found.rest * 1e3)}, "ms", "Stages")


def _operators(found: Operators) -> str:
    return plots.bars({kind.kind: kind.seconds * 1e3 for kind in found.kinds}, "ms", "Operators by kind")


def _nodes(found: MetaNodes) -> str:
    return plots.bars({row.name: row.seconds * 1e3 for row in found.rows if row.certain}, "ms", "Single operators")


def _curve(found: Curve) -> list[tuple[str, str]]:
    pixels = [float(point.height * point.width) for point in found.points]
    seconds = {"a call": (pixels, [point.timing.seconds * 1e3 for point in found.points])}
    timings = [point.timing for point in found.points]
    quarters = {
        "median": [timing.seconds for timing in timings],
        "lower quarter": [timing.low for timing in timings],
        "upper quarter": [timing.high for timing in timings],
    }
    prices = {
        name: (pixels, [value / count * 1e9 for value, count in zip(values, pixels, strict=True)])
        for name, values in quarters.items()
    }
    return [
        (plots.lines(seconds, "pixels of the window", "ms", "A call", log_x=True, log_y=True), "Time of one call."),
        (
            plots.lines(prices, "pixels of the window", "ns for a pixel", "A pixel", log_x=True),
            "Price of a pixel; it falls while the cost of the call is shared by more of them.",
        ),
    ]
