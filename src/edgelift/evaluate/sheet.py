"""Sheets to look at: pictures and, side by side, details of what models make of them, in one PNG.

Details are the places where the models change most of what Lanczos interpolation gives: there is something to see. They are
shown at twice their size without smoothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import OutputError
from edgelift.core.image import Picture, luma
from edgelift.core.resize import resize
from edgelift.evaluate.likeness import LEAST_SIDE, compare, on_255
from edgelift.evaluate.words import visible
from edgelift.io.vips import call, vips_errors

__all__ = ["Shown", "drawn", "shown"]

SIDE = 96
"""Of a detail, in pixels of the result."""
ZOOM = 2
GAP, LINE, INSET = 6, 18, 2
"""Pixels between cells, of a line of text, and before it."""
PAPER, INK, FRAME = 255, 30, (230, 60, 20)
INPUT, LANCZOS, TRUTH = "input", "lanczos", "truth"

Colours = NDArray[np.uint8]


@dataclass(frozen=True)
class Shown:
    """One picture of a sheet."""

    title: str
    forms: dict[str, Colours]
    """Caption -> the picture in that form, all of one size: the input repeated, Lanczos, models, and truth where there is one."""
    places: tuple[tuple[int, int], ...]
    """Top and left of each detail."""


def shown(
    name: str,
    small: Picture,
    results: Mapping[str, Picture],
    truth: Picture | None,
    details: int,
    *,
    grey: bool = False,
) -> Shown:
    """A picture for `drawn`: `small` as it was given, what each model made of it, and `truth` of the results' size or None.

    Captions have PSNR-Y in dB where there is truth; where that is `grey`, PSNR of its one channel.
    """
    height, width = next(iter(results.values())).shape[:2]
    lanczos = resize(small, height, width, "lanczos")
    forms = {INPUT: resize(small, height, width, "nearest"), LANCZOS: lanczos, **results}
    scale = max(1, height // small.shape[0])
    if truth is not None and min(height, width) - 2 * scale >= LEAST_SIDE:
        forms = {f"{key} {compare(form, truth, scale, grey=grey).psnr_y:.2f} dB": form for key, form in forms.items()}
        forms[TRUTH] = truth
    change = sum((luma(on_255(result)) - luma(on_255(lanczos))) ** 2 for result in results.values())
    title = f"{name}: {small.shape[1]}×{small.shape[0]} to {width}×{height}"
    return Shown(title, {key: _bytes(form) for key, form in forms.items()}, _places(np.asarray(change), details))


def _bytes(picture: Picture) -> Colours:
    return np.asarray(np.clip(on_255(picture) + 0.5, 0, 255), np.uint8)


def _places(change: NDArray[np.float64], count: int) -> tuple[tuple[int, int], ...]:
    """Where squares of `SIDE` that do not overlap hold most of `change`, the most first."""
    high, wide = (min(SIDE, side) for side in change.shape)
    sums = np.pad(change, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    boxes = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    found: list[tuple[int, int]] = []
    while len(found) < count and np.isfinite(boxes).any():
        top, left = map(int, np.unravel_index(np.argmax(boxes), boxes.shape))
        found.append((top, left))
        boxes[max(0, top - high + 1) : top + high, max(0, left - wide + 1) : left + wide] = -np.inf
    return tuple(found)


def drawn(pictures: Sequence[Shown]) -> Colours:
    """The sheet, H × W × 3: below each other the pictures, of each the whole and beside it rows of details.

    Raises `OutputError` where text cannot be drawn.
    """
    blocks = [_block(each) for each in pictures]
    width = max(block.shape[1] for block in blocks)
    return np.concatenate([_padded(block, block.shape[0] + GAP, width) for block in blocks])


def _block(picture: Shown) -> Colours:
    """One picture: a title, the whole of its input with the places framed, and the details in all forms."""
    rows = []
    for number, (top, left) in enumerate(picture.places):
        cells = []
        for caption, form in picture.forms.items():
            cell = form[top : top + SIDE, left : left + SIDE].repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
            words = caption if number == 0 else ""
            cells.append(np.concatenate([_text(words, SIDE * ZOOM), _padded(cell, SIDE * ZOOM, SIDE * ZOOM)]))
        rows.append(_joined(cells))
    details = np.concatenate(rows)
    whole = _whole(picture, details.shape[0] - LINE)
    side = np.concatenate([_text("", whole.shape[1]), whole])
    joined = _joined([side, details])
    return np.concatenate([_text(picture.title, joined.shape[1]), joined])


def _whole(picture: Shown, side: int) -> Colours:
    """The input, made as small as the details are high, with their places framed."""
    form = next(iter(picture.forms.values()))
    share = min(1.0, side / max(form.shape[:2]))
    height, width = (max(1, round(n * share)) for n in form.shape[:2])
    small = np.array(resize(form, height, width))
    for top, left in picture.places:
        a, b = round(top * share), min(height - 1, round((top + SIDE) * share))
        c, d = round(left * share), min(width - 1, round((left + SIDE) * share))
        small[a : b + 1, [c, d]] = FRAME
        small[[a, b], c : d + 1] = FRAME
    return small


def _joined(cells: Sequence[Colours]) -> Colours:
    height = max(cell.shape[0] for cell in cells)
    return np.concatenate([_padded(cell, height, cell.shape[1] + GAP) for cell in cells], axis=1)


def _padded(picture: Colours, height: int, width: int) -> Colours:
    out = np.full((height, width, 3), PAPER, np.uint8)
    out[: picture.shape[0], : picture.shape[1]] = picture[:height, :width]
    return out


def _text(words: str, width: int) -> Colours:
    """A line of text on paper."""
    if not words:
        return np.full((LINE, width, 3), PAPER, np.uint8)
    escaped = visible(words).replace("&", "&amp;").replace("<", "&lt;")
    with vips_errors(OutputError, "the sheet", "its captions cannot be drawn", "install a font"):
        mask = call("text", escaped, font="sans 9", dpi=96).numpy()
    mask = np.asarray(mask).reshape(mask.shape[:2]).astype(np.float32)[: LINE - 2, : width - INSET] / 255
    out = np.full((LINE, width, 3), PAPER, np.float32)
    out[1 : 1 + mask.shape[0], INSET : INSET + mask.shape[1]] += ((INK - PAPER) * mask)[..., None]
    return np.asarray(np.rint(out), np.uint8)
