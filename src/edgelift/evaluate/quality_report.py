"""An evaluation as tables, JSON, a plot and a page."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgelift.evaluate import plots
from edgelift.evaluate.crops import WHITE, Colours, Excerpt, Gallery, error_map
from edgelift.evaluate.html import Page
from edgelift.evaluate.quality import Evaluation, Row, Score
from edgelift.evaluate.words import with_digits
from edgelift.runtime.choice import AUTO

__all__ = ["PROTOCOL", "Table", "document", "niqe_note", "page", "pareto_plot", "rows_table", "summary_table"]

PROTOCOL = (
    "PSNR in dB and SSIM (11×11 Gaussian window) on Y of MATLAB's rgb2ycbcr and on RGB, SSIM there being the mean over "
    "channels; {scale} border pixels are cut away, and references of one channel are compared as they are. Results are "
    "rounded to the levels of their files. NIQE is of the whole result, smaller being more natural; – stands for pictures "
    "that are too small or too flat to have one. Means are over pictures. Seconds are from array to array, without "
    "decoding and encoding: the median of several runs, after one that is not counted on each size of picture."
)
MANY = 24
"""Pictures from which their table is folded."""

_MEASURES = {
    "psnr_y": ("PSNR-Y", ".2f", "max"),
    "ssim_y": ("SSIM-Y", ".4f", "max"),
    "psnr_rgb": ("PSNR-RGB", ".2f", "max"),
    "ssim_rgb": ("SSIM-RGB", ".4f", "max"),
    "niqe": ("NIQE", ".3f", "min"),
    "seconds": ("s/picture", ".3g", "min"),
}
"""Name of a measure -> heading, format, and which end is the better."""


@dataclasses.dataclass(frozen=True)
class Table:
    """Text in rows and columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: Mapping[int, str]
    """Column -> `max` or `min`, for columns whose best value may be marked."""


def summary_table(found: Evaluation) -> Table:
    """A row for each model: the means over its pictures."""
    rows = [(score.name, *_means(score), str(len(score.rows))) for score in found.scores]
    headings = [heading for heading, _, _ in _MEASURES.values()]
    best = {k: end for k, (_, _, end) in enumerate(_MEASURES.values(), 1)} | {len(_MEASURES) + 1: "min"}
    return Table(("model", *headings, "s/Mpixel", "pictures"), tuple(rows), best)


def niqe_note(found: Evaluation) -> str:
    """Which NIQE was measured, and that of the references to place it; empty where none was."""
    if not found.niqe_model:
        return ""
    return f"NIQE by the model {found.niqe_model!r}; of the references {with_digits(found.niqe_of_truth, '.3f')}"


def _means(score: Score) -> list[str]:
    means = [with_digits(score.mean(key), digits) for key, (_, digits, _) in _MEASURES.items()]
    return [*means, with_digits(score.seconds_per_megapixel, ".3g")]


def rows_table(found: Evaluation) -> Table:
    """A row for each picture and model."""
    rows = sorted(
        ((row.picture, k, score.name, row) for k, score in enumerate(found.scores) for row in score.rows),
        key=lambda each: each[:2],
    )
    texts = tuple(
        (picture, name, f"{row.size[1]}×{row.size[0]}", *(_value(row, key) for key in _MEASURES))
        for picture, _, name, row in rows
    )
    headings = [heading for heading, _, _ in _MEASURES.values()]
    return Table(("picture", "model", "size", *headings), texts, {})


def _value(row: Row, key: str) -> str:
    return with_digits(row.value(key), _MEASURES[key][1])


# -- JSON


def document(found: Evaluation, facts: Mapping[str, object]) -> dict[str, Any]:
    """The evaluation as plain values for JSON: null is what there is not, "inf" what is infinite.

    `facts` come first: what was measured, how, and on which machine.
    """
    return {
        **facts,
        "scale": found.scale,
        "protocol": PROTOCOL.format(scale=found.scale),
        "pictures": found.pictures,
        "niqe_model": found.niqe_model or None,
        "niqe_of_truth": _plain(found.niqe_of_truth),
        "models": [_score(score) for score in found.scores],
        "problems": [
            {"model": p.model, "picture": p.picture, "message": str(p.error), "code": p.error.exit_code}
            for p in found.problems
        ],
    }


def _score(score: Score) -> dict[str, Any]:
    spec = score.spec
    return {
        "model": score.name,
        "given": score.given,
        "runs_on": score.runs_on,
        "parameters": spec.parameters if spec else None if score.given == AUTO else 0,
        "macs_per_pixel": spec.macs / spec.scale**2 if spec else None,
        "pictures": len(score.rows),
        "mean": {key: _plain(score.mean(key)) for key in _MEASURES},
        "seconds_per_megapixel": _plain(score.seconds_per_megapixel),
        "rows": [
            {
                "picture": row.picture, "height": row.size[0], "width": row.size[1],
                **{key: _plain(row.value(key)) for key in _MEASURES},
            }
            for row in score.rows
        ],
    }  # fmt: skip


def _plain(value: float | None) -> float | str | None:
    if value is None or math.isnan(value):
        return None
    return round(value, 6) if math.isfinite(value) else "inf"


# -- the plot


def pareto_plot(found: Evaluation) -> str | None:
    """PSNR-Y against seconds for a megapixel, with the models that none beats in both; None where no time was measured.

    Raises `EngineMissingError` without matplotlib.
    """
    points = [
        (score.name, seconds, decibels)
        for score in found.scores
        if (seconds := score.seconds_per_megapixel) and math.isfinite(decibels := score.mean("psnr_y") or math.nan)
    ]
    if not points:
        return None
    times = [seconds for _, seconds, _ in points]
    return plots.scatter(
        points,
        "seconds for a megapixel of the result, on this machine",
        "mean PSNR-Y, dB",
        f"Quality against time, ×{found.scale}",
        front=plots.pareto([(seconds, decibels) for _, seconds, decibels in points]),
        log_x=max(times) > 5 * min(times),
    )


# -- the page


def page(found: Evaluation, gallery: Gallery, facts: Mapping[str, object]) -> Page:
    """The report. It does without the plot where matplotlib is not installed, and says so."""
    made = Page(f"Models compared at ×{found.scale}", facts)
    made.heading("Means over pictures")
    table = summary_table(found)
    made.table(table.columns, table.rows, table.best)
    for words in (niqe_note(found), PROTOCOL.format(scale=found.scale)):
        if words:
            made.text(words)
    if found.problems:
        made.heading("What could not be measured")
        rows = [(p.model or "", p.picture or "", str(p.error)) for p in found.problems]
        made.table(("model", "picture", "problem"), rows)
    _add_plot(made, found)
    _add_parts(made, found, gallery.parts)
    _add_worst(made, gallery.worst)
    made.heading("Each picture")
    _add_rows(made, found)
    made.heading("The models")
    _add_cards(made, found.scores)
    return made


def _add_plot(made: Page, found: Evaluation) -> None:
    made.heading("Quality against time")
    if not plots.available():
        made.text("There is no plot: matplotlib is not installed (pip install 'edgelift[report]').")
    elif (svg := pareto_plot(found)) is None:
        made.text("There is no plot: no time was measured.")
    else:
        made.plot(svg, "Higher is better, and further left is faster. Filled: no other model is better in one and no worse "
                  "in the other; the steps join these.")  # fmt: skip


def _add_parts(made: Page, found: Evaluation, parts: Sequence[Excerpt]) -> None:
    if not parts or found.best is None:
        return
    best = found.best.name
    made.heading("Before and after")
    made.text("Move the line by dragging it, or by the arrow keys. Large pictures are shown by their middle.")
    for part in parts:
        after = part.results.get(best) if best != "bicubic" else part.truth
        if after is None:
            continue
        made.slider(part.bicubic, after, f"{part.picture}: bicubic", best if best != "bicubic" else "truth")
        maps = [("bicubic", part.bicubic)] + ([(best, after)] if best != "bicubic" else [])
        made.pictures([(error_map(shown, part.truth), f"{part.picture}: error of {name}") for name, shown in maps])
    made.text(
        f"Errors are those of Y, from black (none) over red and yellow to white ({WHITE} of 255 levels and more)."
    )


def _add_worst(made: Page, worst: Sequence[Excerpt]) -> None:
    if not worst:
        return
    made.heading("Worst places")
    made.text("Where the mean squared error of the networks on Y is largest, at most one place of a picture.")
    for each in worst:
        side, error = each.truth.shape[0], with_digits(each.error, ".1f")
        made.text(
            f"{each.picture}, {side}×{side} pixels at {each.left}, {each.top} from the left and the top; "
            f"root of the mean squared error {error} levels"
        )
        forms: dict[str, Colours] = {"bicubic": each.bicubic, **each.results}
        made.pictures(
            [
                (each.truth, "truth"),
                *((_with_error(shown, each.truth), f"{name}, and its error") for name, shown in forms.items()),
            ]
        )


def _with_error(shown: Colours, truth: Colours) -> Colours:
    """A crop above its error map."""
    return np.vstack([shown, np.full((1, shown.shape[1], 3), 255, np.uint8), error_map(shown, truth)])


def _add_rows(made: Page, found: Evaluation) -> None:
    decibels = {score.name: {row.picture: row for row in score.rows} for score in found.scores}
    pictures = sorted({row.picture for score in found.scores for row in score.rows})
    matrix = [
        (name, *(_value(rows[name], "psnr_y") if name in rows else "–" for rows in decibels.values()))
        for name in pictures
    ]
    made.text("PSNR-Y in dB:")
    made.table(("picture", *decibels), matrix, folded="PSNR-Y of each picture" if len(matrix) > MANY else "")
    table = rows_table(found)
    made.table(table.columns, table.rows, table.best, folded="All measures of each picture")


def _add_cards(made: Page, scores: Sequence[Score]) -> None:
    columns = ("model", "runs on", "parameters", "kMAC/pixel", "halo", "colour", "licence", "given as")
    made.table(columns, [_card(score) for score in scores])
    for score in scores:
        if score.spec is not None:
            card = [(key, value) for key, value in dataclasses.asdict(score.spec).items() if value not in ({}, ())]
            made.table(("fact", score.name), card, folded=f"All facts of {score.name}")


def _card(score: Score) -> tuple[object, ...]:
    spec = score.spec
    if spec is None:
        return (score.name, score.runs_on, 0, None, None, None, None, score.given)
    halo = "whole picture" if spec.halo is None else spec.halo
    work = with_digits(spec.macs / spec.scale**2 / 1000, ".2f")
    return (score.name, score.runs_on, spec.parameters, work, halo, spec.colour, spec.licence, score.given)
