"""Plots as SVG text: lines, labelled points with their Pareto front, bars. Needs matplotlib.

The same values give the same text: no date stands in it, and its ids come from its content. Letters are drawn as
paths, so that a plot looks alike everywhere; ids of two plots never meet.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvips import GValue

from edgelift.core.errors import EngineMissingError, OutputError, RequestError
from edgelift.evaluate.files import write_whole
from edgelift.evaluate.words import visible
from edgelift.io.vips import Image, call, vips_errors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

__all__ = ["available", "bars", "check_suffix", "lines", "pareto", "require", "save", "scatter"]

SIZE = (7.2, 4.3)
"""Inches, of which SVG has 72 points."""
PNG_SCALE = 2.0
MAX_NAME = 60
MANY_DECADES = 1e4
"""Highest over lowest value of a logarithmic axis from which only powers of ten have labels."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#332288", "#882255")
"""Told apart with any kind of colour vision (Okabe and Ito 2008; two of Tol's at the end)."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
STYLE: dict[Any, Any] = {
    "svg.fonttype": "path",
    "svg.hashsalt": "edgelift",
    "font.family": ["DejaVu Sans"],  # matplotlib brings it along
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5b6670",
    "axes.grid": True,
    "grid.color": "#e3e6e9",
    "axes.axisbelow": True,
    "text.parse_math": False,  # a $ in a name is a $
}

PLACES = (
    (-6, 4, "right", "bottom"), (0, 6, "center", "bottom"), (5, -4, "left", "top"), (5, 5, "left", "bottom"),
    (-6, -4, "right", "top"), (0, -6, "center", "top"), (6, 0, "left", "center"), (-6, 0, "right", "center"),
    (0, 15, "center", "bottom"), (0, -15, "center", "top"),
)  # fmt: skip
"""Where the name of a point may stand: the way there in points, and the alignment. First where no front passes."""

Point = tuple[str, float, float]
"""Name, x and y."""


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def require() -> None:
    """Raise `EngineMissingError` where matplotlib is not installed."""
    if not available():
        raise EngineMissingError("matplotlib is not installed, and plots need it; pip install 'edgelift[report]'")


def lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x_label: str,
    y_label: str,
    title: str,
    *,
    marks: bool = True,
    log_x: bool = False,
    log_y: bool = False,
) -> str:
    """One line for each of `series`: name -> (x, y), of one length. `marks` draws the points themselves too."""
    with _style():
        figure, axes = _new(x_label, y_label, title)
        for k, (name, (x, y)) in enumerate(series.items()):
            if len(x) != len(y):
                raise RequestError(f"the line {name!r} has {len(x)} x and {len(y)} y; give as many")
            marker = MARKERS[k % len(MARKERS)] if marks else ""
            axes.plot(
                x, y, color=COLOURS[k % len(COLOURS)], marker=marker, markersize=4, linewidth=1.6, label=_name(name)
            )
        _scales(axes, log_x, log_y)
        if len(series) > 1:
            axes.legend(frameon=False)
        return _svg(figure)


def scatter(
    points: Sequence[Point],
    x_label: str,
    y_label: str,
    title: str,
    *,
    front: Sequence[int] | None = None,
    log_x: bool = False,
) -> str:
    """Points with their names. `front` holds the numbers of those that are joined by steps, such as `pareto` finds."""
    with _style():
        figure, axes = _new(x_label, y_label, title)
        _scales(axes, log_x, False)
        if front:
            x, y = zip(*sorted(points[k][1:] for k in front), strict=True)
            axes.plot(x, y, drawstyle="steps-post", color="#9aa5b0", linewidth=1.2, linestyle="--", zorder=1)
        for k, (_, x, y) in enumerate(points):
            filled = front is None or k in front
            colour = COLOURS[0] if filled else "#8a949d"
            axes.plot(
                [x], [y], "o", markersize=6, color=colour, markerfacecolor=colour if filled else "white", zorder=2
            )
        axes.margins(0.12)
        _label(figure, axes, points)
        return _svg(figure)


def bars(
    values: Mapping[str, float], x_label: str, title: str, *, errors: Mapping[str, tuple[float, float]] | None = None
) -> str:
    """One bar for each of `values`, the first on top, its value at its end; `errors` are (low, high) ends of whiskers."""
    with _style():
        figure, axes = _new(x_label, "", title, height=max(1.4, 0.9 + 0.32 * len(values)))
        at = list(range(len(values)))
        drawn = axes.barh(at, list(values.values()), height=0.65, color=COLOURS[0])
        whiskers = {k: errors[name] for k, name in enumerate(values) if errors and name in errors}
        for k, (low, high) in whiskers.items():
            axes.plot([low, high], [k, k], color="#1c2126", linewidth=1.2, marker="|")
        if not whiskers:
            axes.bar_label(drawn, fmt=lambda value: f"{value:.3g}", padding=3)
        axes.set_yticks(at, [_name(name) for name in values])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.1)
        return _svg(figure)


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Numbers of the (cost, worth) that no other beats in one of the two without losing in the other; by rising cost.

    Of equal ones all are among them.
    """
    kept = [
        k
        for k, (cost, worth) in enumerate(points)
        if not any((c <= cost and w >= worth) and (c < cost or w > worth) for c, w in points)
    ]
    return sorted(kept, key=lambda k: points[k])


def save(svg: str, path: Path) -> None:
    """Write a plot to `path`, complete or not at all: SVG, or PNG at twice its size, by the suffix.

    Raises `RequestError` for another suffix and `OutputError` where it cannot be written.
    """
    check_suffix(path)
    write_whole(path, svg.encode() if path.suffix.lower() == ".svg" else _png(svg))


def check_suffix(path: Path) -> None:
    """Raise `RequestError` where `save` could not write `path` by its name."""
    if path.suffix.lower() not in (".svg", ".png"):
        raise RequestError(f"{path}: plots are written as .svg or .png; got the suffix {path.suffix!r}")


def _png(svg: str) -> bytes:
    advice = "write it as .svg"
    with vips_errors(OutputError, "the plot", "cannot be drawn as PNG", advice):
        image: Image = call("svgload_buffer", svg.encode(), scale=PNG_SCALE)
        image = image.flatten(background=255).copy()
        image.set_type(GValue.gstr_type, "png-comment-0-edgelift", "plot")  # by which `reports` knows it
        return bytes(call("pngsave_buffer", image))


@contextmanager
def _style() -> Iterator[None]:
    """Settings of every plot; the caller's own come back afterwards."""
    require()
    from matplotlib import rc_context

    with rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # such letters of a name are drawn as boxes
        yield


def _new(x_label: str, y_label: str, title: str, height: float = SIZE[1]) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIZE[0], height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(_name(x_label))
    axes.set_ylabel(_name(y_label))
    axes.set_title(_name(title), loc="left", fontsize=10, fontweight="bold")
    return figure, axes


def _name(text: str) -> str:
    """Text of which only so much is drawn as there is room for."""
    text = visible(text)
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"


def _scales(axes: Axes, log_x: bool, log_y: bool) -> None:
    for axis, logarithmic in ((axes.xaxis, log_x), (axes.yaxis, log_y)):
        if logarithmic:
            (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
            axis.set_tick_params(which="minor", pad=5.0)  # labels of both kinds in one line
            axis.set_major_formatter(lambda value, _: f"{value:.10g}" if _leading(value) == 1 else "")
            axis.set_minor_formatter(partial(_minor, axis))


def _minor(axis: Axis, value: float, position: int | None) -> str:
    """The label between two powers of ten: beyond a few of them there is no room for it."""
    low, high = axis.get_view_interval()
    narrow = high < MANY_DECADES * low
    return f"{value:.10g}" if narrow and _leading(value) in (2, 5) else ""


def _leading(value: float) -> int:
    return int(f"{value:e}"[0]) if value > 0 else 0


def _label(figure: Figure, axes: Axes, points: Sequence[Point]) -> None:
    """Write the names where they meet neither each other nor a point nor the frame, as far as there is room."""
    figure.draw_without_rendering()
    taken = [_square(axes.transData.transform((x, y)), 6.0) for _, x, y in points]
    frame = axes.get_window_extent()
    for name, x, y in points:
        text = axes.annotate(_name(name), (x, y), xytext=(0, 0), textcoords="offset points", fontsize=8, zorder=3)
        costs = []
        for k, (dx, dy, left, low) in enumerate(PLACES):
            _put(text, dx, dy, left, low)
            box = text.get_window_extent()
            outside = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
            costs.append((outside + sum(bool(box.overlaps(other)) for other in taken), k))
        _put(text, *PLACES[min(costs)[1]])
        taken.append(text.get_window_extent())


def _put(text: Annotation, dx: float, dy: float, horizontal: str, vertical: str) -> None:
    text.set_position((dx, dy))
    text.set_horizontalalignment(horizontal)  # type: ignore[arg-type]  # one of the words it knows
    text.set_verticalalignment(vertical)  # type: ignore[arg-type]  # as above


def _square(centre: Any, side: float) -> Bbox:
    from matplotlib.transforms import Bbox

    x, y = centre
    return Bbox.from_bounds(x - side / 2, y - side / 2, side, side)


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"<!DOCTYPE.*?>\s*", "", out.getvalue(), flags=re.DOTALL)  # which names an address
    own = "p" + hashlib.sha256(text.encode()).hexdigest()[:8] + "-"
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{own}", text)
