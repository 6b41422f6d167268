"""One page of HTML that holds all it shows: tables, plots, pictures and before / after sliders.

The page loads nothing: pictures are data URIs, and its content security policy forbids the rest, scripts but its own
included. Whatever text comes in, file names above all, is shown as text. Without scripts, and on paper, a slider is two
pictures below each other.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import OutputError, RequestError
from edgelift.evaluate.files import write_whole
from edgelift.evaluate.reports import GENERATOR
from edgelift.evaluate.words import NOTHING, cell_text, visible
from edgelift.io.vips import Image, call, vips_errors

__all__ = ["NOTHING", "Page", "cell_text", "encode_picture"]

MAX_WEBP = 16_383
"""The longest side of a WebP picture."""

_SCRIPT = """
for (const figure of document.querySelectorAll(".slider")) {
  const range = figure.querySelector("input"), stage = figure.querySelector(".stage");
  const show = () => stage.style.setProperty("--at", range.value + "%");
  range.addEventListener("input", show);
  figure.classList.add("live");
  show();
}
"""

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --soft: #5b6670; --paper: #fff; --band: #f3f5f7; --line: #d5dade;
  --good: #0b6b3a; --good-paper: #e3f4ea; --accent: #0a66c2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa5b0; --paper: #14171a; --band: #1d2226;
  --line: #353c43; --good: #7fdcaa; --good-paper: #12301f; --accent: #6cb2ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem clamp(.75rem, 3vw, 2rem) 4rem; max-width: 72rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 1rem 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
a { color: var(--accent); }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; list-style: none; font-size: .9rem; }
dl { display: grid; grid-template-columns: fit-content(40%) 1fr; gap: .1rem 1rem; font-size: .9rem; }
dt { color: var(--soft); }
dd { margin: 0; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .3rem .7rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: baseline; }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 500; }
tbody tr:nth-child(even) { background: var(--band); }
.number { text-align: right; white-space: nowrap; }
.best { color: var(--good); background: var(--good-paper); font-weight: 700; }
summary { cursor: pointer; color: var(--accent); padding: .3rem 0; }
figure { margin: 1rem 0; }
figcaption { color: var(--soft); font-size: .875rem; margin-top: .3rem; }
img { display: block; max-width: 100%; height: auto; }
.plot img { width: 100%; max-width: 46rem; background: #fff; border-radius: .4rem; }
.row { display: grid; grid-template-columns: repeat(auto-fill, 12.5rem); gap: .8rem; margin: .6rem 0 1.4rem;
  align-items: start; }
.row figure { margin: 0; }
.row img { width: 100%; image-rendering: pixelated; }
.slider { width: fit-content; max-width: 100%; }
.stage { position: relative; width: fit-content; max-width: 100%; }
.stage input, .line { display: none; }
.live .stage input { display: block; position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0;
  cursor: ew-resize; touch-action: pan-y; appearance: none; }
.live input::-webkit-slider-thumb { appearance: none; width: 1px; height: 100%; }
.live input::-moz-range-thumb { width: 1px; border: 0; }
.live .before { position: absolute; inset: 0; width: 100%; height: 100%;
  clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.live .line { display: block; position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; margin-left: -1px;
  background: #fff; box-shadow: 0 0 0 1px #0009; pointer-events: none; }
.live .line::after { content: "◂ ▸"; position: absolute; top: 50%; left: 50%; transform: translate(-50%, -50%);
  padding: .1rem .45rem; border-radius: 1rem; background: #fff; color: #222; font-size: .8rem; white-space: nowrap;
  box-shadow: 0 0 0 1px #0009; }
.live .stage:focus-within { outline: 3px solid var(--accent); outline-offset: 2px; }
.names { display: flex; justify-content: space-between; gap: 1rem; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 34rem) { th, td { padding: .3rem .45rem; }
  .row { grid-template-columns: repeat(3, 1fr); gap: .5rem; } }
@media print { body { max-width: none; } nav, .live .line, .live .stage input { display: none; }
  .live .before { position: static; width: auto; height: auto; clip-path: none; margin-bottom: .4rem; }
  figure, tr { break-inside: avoid; } h2 { break-after: avoid; } }
"""


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


_POLICY = f"default-src 'none'; img-src data:; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; base-uri 'none'"


class Page:
    """A report, built from top to bottom and then written.

    `title` stands above it; `facts` (words -> value) below that: what was measured, how, and on which machine.
    """

    def __init__(self, title: str, facts: Mapping[str, object]) -> None:
        self._title = _escape(title)
        self._facts = _definitions(facts)
        self._headings: list[str] = []
        self._body: list[str] = []

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._headings.append(_escape(text))
        self._body.append(f'<h2 id="s{len(self._headings)}">{_escape(text)}</h2>')

    def text(self, paragraph: str) -> None:
        """A paragraph."""
        self._body.append(f"<p>{_escape(paragraph)}</p>")

    def facts(self, facts: Mapping[str, object]) -> None:
        """More words with their values."""
        self._body.append(_definitions(facts))

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        best: Mapping[int, str] | None = None,
        *,
        folded: str = "",
    ) -> None:
        """A table whose first column names the rows; see `cell_text` for how values are shown.

        `best` maps a column's number, from 0, to `max` or `min`: the largest or smallest of its numbers, as shown, is
        marked wherever it occurs. A table that is `folded` shows these words, and itself on demand. Raises
        `RequestError` for rows of another length and for other words in `best`.
        """
        if wrong := [row for row in rows if len(row) != len(columns)]:
            raise RequestError(f"a table of {len(columns)} columns has a row of {len(wrong[0])} cells: {wrong[0]!r}")
        texts = [[cell_text(cell) for cell in row] for row in rows]
        marked = _best(texts, best or {})
        numeric = [bool(texts) and all(_is_number(row[k]) for row in texts) for k in range(len(columns))]
        head = "".join(_cell("th", c, n, ' scope="col"') for c, n in zip(columns, numeric, strict=True))
        lines = []
        for r, row in enumerate(texts):
            cells = [
                _cell("td" if c else "th", text, numeric[c], "" if c else ' scope="row"', best=(r, c) in marked)
                for c, text in enumerate(row)
            ]
            lines.append(f"<tr>{''.join(cells)}</tr>")
        body = f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(lines) + "\n</tbody>"
        table = f'<div class="scroll" tabindex="0"><table>{body}</table></div>'
        fold = f"<details><summary>{_escape(folded)}</summary>{table}</details>"
        self._body.append(fold if folded else table)

    def plot(self, svg: str, caption: str) -> None:
        """A drawing, such as `edgelift.evaluate.plots` makes. It is shown as a picture: nothing in it can act."""
        data = base64.b64encode(svg.encode()).decode()
        self._body.append(_figure("plot", _image(f"data:image/svg+xml;base64,{data}", caption), caption))

    def picture(self, array: NDArray[np.uint8], caption: str) -> None:
        """One picture, H × W × 3 RGB uint8, kept without loss."""
        self._body.append(_figure("picture", _picture(array, caption), caption))

    def pictures(self, shown: Sequence[tuple[NDArray[np.uint8], str]]) -> None:
        """Small pictures with their captions beside each other, all as wide and without smoothing."""
        figures = [_figure("", _picture(array, caption), caption) for array, caption in shown]
        self._body.append('<div class="row">' + "\n".join(figures) + "</div>")

    def slider(
        self, before: NDArray[np.uint8], after: NDArray[np.uint8], before_caption: str, after_caption: str
    ) -> None:
        """Two pictures of one size above each other; a line that is drawn, or moved by the arrow keys, parts them."""
        if before.shape != after.shape:
            raise RequestError(f"a slider compares pictures of one shape, got {before.shape} and {after.shape}")
        left, right = _escape(before_caption), _escape(after_caption)
        label = f"Where {left} ends and {right} begins, in percent of the width"
        self._body.append(
            f'<figure class="slider"><div class="stage">{_picture(before, before_caption, "before")}'
            f'{_picture(after, after_caption, "after")}<div class="line"></div>'
            f'<input type="range" min="0" max="100" value="50" autocomplete="off" aria-label="{label}"></div>'
            f'<figcaption class="names"><span>{left}</span><span>{right}</span></figcaption></figure>'
        )

    def render(self) -> str:
        """The page as text."""
        links = [f'<li><a href="#s{k}">{text}</a></li>' for k, text in enumerate(self._headings, 1)]
        contents = f'<nav aria-label="Contents"><ul>{"".join(links)}</ul></nav>' if len(links) > 2 else ""
        return "\n".join(
            [
                "<!DOCTYPE html>",
                '<html lang="en">',
                "<head>",
                '<meta charset="utf-8">',
                f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                '<meta name="referrer" content="no-referrer">',
                GENERATOR,
                f"<title>{self._title}</title>",
                f"<style>{_STYLE}</style>",
                "</head>",
                "<body>",
                f"<header><h1>{self._title}</h1>{self._facts}{contents}</header>",
                "<main>",
                *self._body,
                "</main>",
                f"<script>{_SCRIPT}</script>",
                "</body>",
                "</html>",
                "",
            ]
        )

    def write(self, path: Path) -> None:
        """Write the page to `path`, complete or not at all; a file that is there is replaced. Raises `OutputError`."""
        write_whole(path, self.render().encode())


def encode_picture(array: NDArray[Any]) -> str:
    """H × W × 3 uint8 as a data URI: WebP without loss, or PNG where a side is too long for it."""
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape or array.dtype != np.uint8:
        raise RequestError(
            f"expected a picture of shape (height, width, 3) and type uint8, got {array.shape} {array.dtype}"
        )
    image = Image.new_from_memory(np.ascontiguousarray(array), array.shape[1], array.shape[0], 3, "uchar")
    image = image.copy(interpretation="srgb")
    with vips_errors(OutputError, "a picture of the report", "cannot be encoded", "check the memory at hand"):
        if max(array.shape) <= MAX_WEBP:
            data, kind = call("webpsave_buffer", image, lossless=True, effort=4), "webp"
        else:
            data, kind = call("pngsave_buffer", image, compression=6), "png"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _escape(text: str) -> str:
    return html.escape(visible(text))


def _definitions(facts: Mapping[str, object]) -> str:
    rows = [f"<dt>{_escape(name)}</dt><dd>{_escape(cell_text(value))}</dd>" for name, value in facts.items()]
    return f"<dl>{''.join(rows)}</dl>" if rows else ""


def _cell(tag: str, text: str, number: bool, more: str, *, best: bool = False) -> str:
    names = " ".join(name for name, holds in (("number", number), ("best", best)) if holds)
    return f"<{tag}{more}{f' class={names!r}' if names else ''}>{_escape(text)}</{tag}>"


def _image(source: str, caption: str, name: str = "", size: str = "") -> str:
    return f'<img{f" class={name!r}" if name else ""} src="{source}" alt="{_escape(caption)}"{size}>'


def _picture(array: NDArray[np.uint8], caption: str, name: str = "") -> str:
    return _image(encode_picture(array), caption, name, f' width="{array.shape[1]}" height="{array.shape[0]}"')


def _figure(name: str, inside: str, caption: str) -> str:
    return f"<figure{f' class={name!r}' if name else ''}>{inside}<figcaption>{_escape(caption)}</figcaption></figure>"


def _number(text: str) -> float | None:
    try:
        value = float(text.replace(",", "").replace("∞", "inf"))
    except ValueError:
        return None
    return None if math.isnan(value) else value


def _is_number(text: str) -> bool:
    return text in (NOTHING, "") or _number(text) is not None


def _best(texts: Sequence[Sequence[str]], best: Mapping[int, str]) -> set[tuple[int, int]]:
    """(row, column) of the best cells; with fewer than two numbers to compare there is none."""
    marked = set()
    for column, sense in best.items():
        if sense not in ("max", "min"):
            raise RequestError(f"the best of a column is its max or its min, got {sense!r}")
        numbers = {r: value for r, row in enumerate(texts) if (value := _number(row[column])) is not None}
        if len(numbers) > 1:
            extreme = max(numbers.values()) if sense == "max" else min(numbers.values())
            marked |= {(r, column) for r, value in numbers.items() if value == extreme}
    return marked
