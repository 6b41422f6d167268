"""What the sample scene is drawn with: noise, paints and a canvas. Lengths are pixels of the large picture, y down."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

__all__ = [
    "FINE", "HEIGHT", "WIDTH", "Canvas", "Colour", "Paint", "Plane", "Point", "Texture", "across", "bent", "brick",
    "curve", "down", "leaves", "mix", "noise", "plaster", "relief", "smoothstep", "stone", "tiles", "wood",
]  # fmt: skip

WIDTH, HEIGHT = 1920, 1296
FINE = 2
"""The canvas has this many samples a pixel on each axis."""

Plane = NDArray[np.floating[Any]]
Colour = tuple[float, float, float]
Texture = Callable[[Plane, Plane], Any]
"""A function of the planes x and y that gives colours (h × w × 3)."""
Paint = Colour | Texture
"""A colour, 0 … 255, or a texture."""
Point = tuple[float, float]
Points = Sequence[Point]

# -- noise and colours ------------------------------------------------------------------------------------------------


def noise(x: Plane, y: Plane, cell: float, octaves: int = 4, seed: int = 0) -> Plane:
    """Value noise in 0 … 1: smooth random hills of size `cell`, with finer and weaker ones on top."""
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for k in range(octaves):
        grid = np.random.default_rng([seed, k]).random((256, 256), np.float32)
        u, v = x * (2**k / cell) + 17.3 * k, y * (2**k / cell) + 31.7 * k
        column, row = np.floor(u).astype(int), np.floor(v).astype(int)
        fu, fv = u - column, v - row
        fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
        corner = [[grid[(row + i) & 255, (column + j) & 255] for j in (0, 1)] for i in (0, 1)]
        top, bottom = (a + (b - a) * fu for a, b in corner)
        total += (top + (bottom - top) * fv) * 0.5**k
    return total / (2 - 0.5 ** (octaves - 1))


def relief(x: Plane, y: Plane, cell: float, seed: int = 0, octaves: int = 4) -> Plane:
    """Noise seen as a bumpy surface lit from the upper right, about -1 … 1."""
    step = cell / 10
    return 4 * (noise(x, y, cell, octaves, seed) - noise(x + step, y - step, cell, octaves, seed))


def pick(row: Plane, column: Plane, seed: int = 0) -> Plane:
    """A random number in 0 … 1 for each cell (`row`, `column`), whole numbers."""
    grid = np.random.default_rng(seed).random((64, 64), np.float32)
    return np.asarray(grid[row.astype(int) & 63, column.astype(int) & 63])


def mix(a: Any, b: Any, share: Any) -> Any:
    """Between the colours `a` and `b`, at `share` (0 … 1; a plane is taken for each pixel)."""
    share = np.asarray(share, np.float32)
    share = share[..., None] if share.ndim == 2 else share
    return np.asarray(a, np.float32) * (1 - share) + np.asarray(b, np.float32) * share


def smoothstep(low: float, high: float, value: Any) -> Any:
    """0 under `low`, 1 over `high`, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


# -- paints: functions of x and y -------------------------------------------------------------------------------------


def down(top: Colour, bottom: Colour, y0: float, y1: float) -> Texture:
    """A gradient from `top` at `y0` to `bottom` at `y1`."""
    return lambda x, y: mix(top, bottom, smoothstep(y0, y1, y) + 0 * x)


def across(left: Colour, right: Colour, x0: float, x1: float) -> Texture:
    """A gradient from `left` at `x0` to `right` at `x1`."""
    return lambda x, y: mix(left, right, smoothstep(x0, x1, x) + 0 * y)


def plaster(colour: Colour, seed: int) -> Texture:
    """A painted wall: stains of a metre, grain of a centimetre."""

    def paint(x: Plane, y: Plane) -> Any:
        light = 0.88 + 0.16 * noise(x, y * 0.4, 60, 3, seed) + 0.05 * relief(x, y, 5, seed, 2)
        return mix((0, 0, 0), colour, light)

    return paint


def brick(colour: Colour, seed: int, width: float = 17.0, height: float = 7.0) -> Texture:
    """A brick wall in running bond."""

    def paint(x: Plane, y: Plane) -> Any:
        row = np.floor(y / height)
        along = x + (row % 2) * width / 2
        column = np.floor(along / width)
        stone = mix(mix((20, 8, 8), colour, 0.72), mix((255, 225, 200), colour, 0.86), pick(row, column, seed))
        joint = (along % width < 1.5) | (y % height < 1.5)
        stone = mix(stone, (206, 190, 172), joint * 0.75)
        return stone * (0.9 + 0.2 * noise(x, y, 40, 3, seed))[..., None]

    return paint


def tiles(colour: Colour, seed: int, size: float = 10.0) -> Texture:
    """Rounded roof tiles in rows, each with its own tint and a shadow under it."""

    def paint(x: Plane, y: Plane) -> Any:
        row = np.floor(y / size)
        along = x / size + (row % 2) / 2
        u, v = along % 1 - 0.5, (y / size) % 1
        light = 0.66 + 0.3 * pick(row, np.floor(along), seed) + 0.22 * np.sqrt(np.clip(1 - 4 * u * u, 0, 1))
        light = light * np.where(v > 0.95 - 0.8 * u * u, 0.62, 1.0) * (0.88 + 0.24 * noise(x, y, 50, 3, seed))
        return mix((0, 0, 0), colour, light)

    return paint


def leaves(dark: Colour, bright: Colour, seed: int, size: float = 22.0) -> Texture:
    """Foliage: clumps of `size`, leaves on them, lit from the upper right."""

    def paint(x: Plane, y: Plane) -> Any:
        light = 0.36 + 0.45 * relief(x, y, size, seed, 2) + 0.6 * relief(x, y, max(4.0, size / 6), seed + 1, 2)
        return mix(dark, bright, np.clip(light, 0, 1))

    return paint


def wood(colour: Colour, seed: int, board: float = 1e9, *, upright: bool = False) -> Texture:
    """Boards of width `board` with grain along them."""

    def paint(x: Plane, y: Plane) -> Any:
        along, over = (y, x) if upright else (x, y)
        row = np.floor(over / board) + 0 * along
        grain = noise(along / 26 + 37 * row, over, 3.2, 3, seed)
        light = 0.58 + 0.3 * grain + 0.22 * pick(row, 0 * row, seed)
        return mix((18, 12, 10), colour, np.where(over % board < 1.6, 0.25, light))

    return paint


def stone(colour: Colour, seed: int, width: float = 54.0, height: float = 22.0) -> Texture:
    """Rough blocks in courses."""

    def paint(x: Plane, y: Plane) -> Any:
        row = np.floor(y / height)
        along = x + 23 * (row % 3)
        light = 0.7 + 0.2 * pick(row, np.floor(along / width), seed) + 0.2 * relief(x, y, 12, seed, 3)
        joint = (along % width < 2.2) | (y % height < 2.2)
        return mix((22, 22, 26), colour, np.where(joint, 0.4, light))

    return paint


# -- the canvas -------------------------------------------------------------------------------------------------------


class Canvas:
    """The picture while it is drawn: float samples, `FINE` a pixel on each axis."""

    def __init__(self) -> None:
        self.samples = np.zeros((HEIGHT * FINE, WIDTH * FINE, 3), np.float32)
        self.mirror: float | None = None
        """Where set, everything is drawn upside down, mirrored at this height (and text is left out)."""

    def _place(self, points: Points) -> list[Point]:
        if self.mirror is not None:
            points = [(x, 2 * self.mirror - y) for x, y in points]
        return [(x * FINE, y * FINE) for x, y in points]

    def _stamp(
        self,
        points: Points,
        margin: float,
        draw: Callable[..., None],
        paint: Paint,
        opacity: float = 1,
        soft: float = 0,
    ) -> None:
        """Blend `paint` where `draw` (given a drawing board and the points on it) leaves a mark."""
        placed = np.array(self._place(points))
        reach = (margin + 3 * soft) * FINE + 2
        x0, y0 = np.floor(np.maximum(placed.min(axis=0) - reach, 0)).astype(int)
        x1, y1 = np.ceil(np.minimum(placed.max(axis=0) + reach, (WIDTH * FINE, HEIGHT * FINE))).astype(int)
        if x1 <= x0 or y1 <= y0:
            return
        mark = Image.new("L", (int(x1 - x0), int(y1 - y0)))
        draw(ImageDraw.Draw(mark), [(float(x - x0), float(y - y0)) for x, y in placed])
        if soft:
            mark = mark.filter(ImageFilter.GaussianBlur(soft * FINE))
        share = np.asarray(mark, np.float32)[..., None] * (opacity / 255)
        part = self.samples[y0:y1, x0:x1]
        part += (self._colours(paint, x0, y0, x1, y1) - part) * share

    def _colours(self, paint: Paint, x0: int, y0: int, x1: int, y1: int) -> Any:
        if not callable(paint):
            return np.asarray(paint, np.float32)
        x = (np.arange(x0, x1, dtype=np.float32)[None, :] + 0.5) / FINE
        y = (np.arange(y0, y1, dtype=np.float32)[:, None] + 0.5) / FINE
        return paint(x, y if self.mirror is None else np.float32(2 * self.mirror) - y)

    def polygon(self, points: Points, paint: Paint, opacity: float = 1, soft: float = 0) -> None:
        """A filled polygon; `soft` blurs its edge."""
        self._stamp(points, 0, lambda board, at: board.polygon(at, fill=255), paint, opacity, soft)

    def box(self, x: float, y: float, w: float, h: float, paint: Paint, opacity: float = 1, soft: float = 0) -> None:
        """A filled upright rectangle."""
        self.polygon([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], paint, opacity, soft)

    def disc(
        self, x: float, y: float, rx: float, paint: Paint, opacity: float = 1, soft: float = 0, *, ry: float = 0
    ) -> None:
        """A filled ellipse around (x, y); a circle where no `ry` is given."""
        ry = ry or rx
        angles = np.linspace(0, 2 * math.pi, 72, endpoint=False)
        self.polygon([(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles], paint, opacity, soft)

    def line(self, points: Points, width: float, paint: Paint, opacity: float = 1) -> None:
        """A line through `points`."""
        thick = max(1, round(width * FINE))
        self._stamp(points, width, lambda board, at: board.line(at, 255, thick, "curve"), paint, opacity)

    def text(
        self, x: float, y: float, words: str, size: float, paint: Paint, *, anchor: str = "lm", bold: float = 0
    ) -> None:
        """`words` at (x, y); `anchor` as in Pillow, `bold` thickens the strokes."""
        if self.mirror is not None:
            return
        font = ImageFont.load_default(size=size * FINE)

        def draw(board: ImageDraw.ImageDraw, at: Points) -> None:
            board.text(at[0], words, 255, font, anchor, stroke_width=bold * FINE)

        self._stamp([(x, y)], font.getlength(words) / FINE + size, draw, paint)

    def picture(self) -> NDArray[np.uint8]:
        """The large picture, HEIGHT × WIDTH × 3."""
        mean = self.samples.reshape(HEIGHT, FINE, WIDTH, FINE, 3).mean(axis=(1, 3))
        return np.asarray(np.clip(np.floor(mean + 0.5), 0, 255), np.uint8)


def bent(a: Point, b: Point, sag: float, count: int = 24) -> list[Point]:
    """Points of a rope from `a` to `b` that hangs through by `sag`."""
    steps = np.linspace(0, 1, count + 1)
    return [(a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t + 4 * sag * t * (1 - t)) for t in steps.tolist()]


def curve(points: Points, count: int = 30) -> list[Point]:
    """A smooth curve drawn towards `points` (Bézier of any degree)."""
    out = []
    for t in np.linspace(0, 1, count).tolist():
        at = [np.array(p, float) for p in points]
        while len(at) > 1:
            at = [a + (b - a) * t for a, b in pairwise(at)]
        out.append((float(at[0][0]), float(at[0][1])))
    return out
