"""Drawings made up by chance: shapes, outlines, lettering, hatching, dots, stains and brushwork on plain and shaded grounds.

Free drawings to train with are few, and what is drawn obeys simple rules: areas of one paint, edges without width, lines of
even thickness. Pictures that follow those rules, made by the hundred, teach a network what photographs do not. A scene is
painted `FINE` times as large, without smoothing, and reduced, so that edges are covered as a renderer's are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

__all__ = ["FINE", "scene"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Random = np.random.Generator
Point = tuple[float, float]

FINE = 3
"""How many times as large scenes are painted: an edge has FINE² steps."""
WORDS = (
    "POP", "NOVA", "orbit", "Sky", "2049", "lift", "MAR&CO", "hello", "Comet", "WOW!", "edge", "river", "37", "Tokyo",
    "Zig-Zag", "quiet", "BOOM", "abc", "night",
)  # fmt: skip
PALETTE = 7
"""Colours of a scene."""


def scene(seed: int, number: int, side: int = 512) -> NDArray[np.uint8]:
    """Drawing `number` of the row that `seed` begins: side × side × 3, RGB. By its arguments alone."""
    rng = np.random.default_rng([seed, number])
    canvas = _Canvas(rng, side * FINE)
    canvas.ground()
    for _ in range(int(rng.integers(6, 40))):
        canvas.add()
    if rng.random() < 0.3:
        canvas.sprinkle()
    return canvas.picture(side)


class _Canvas:
    """What is painted on, with the scene's own colours and habits."""

    def __init__(self, rng: Random, side: int) -> None:
        self.rng, self.side = rng, side
        self.pixels = np.zeros((side, side, 3), np.uint8)
        self.colours = _palette(rng)
        self.outline = self.thick() if rng.random() < 0.5 else 0
        self.ink = (self.colours.min(axis=0) * rng.uniform(0.0, 0.5)).astype(np.uint8)
        self.rough = rng.uniform(2.0, 10.0) * FINE if rng.random() < 0.35 else 0.0
        """How far edges are torn, in pixels: a painting's."""
        self.painted = rng.random() < 0.35
        """Whether paints have a grain."""

    def thick(self) -> int:
        """Of a line."""
        return int(FINE * _between(self.rng, 0.7, 5))

    def colour(self) -> NDArray[np.uint8]:
        """One of the scene's."""
        return np.asarray(self.colours[self.rng.integers(len(self.colours))])

    def ground(self) -> None:
        """One paint all over, then perhaps layers like hills."""
        self.fill(np.ones((self.side, self.side), bool), _shade(self, True))
        if self.rng.random() < 0.4:
            for level in np.sort(self.rng.uniform(0.2, 1.0, int(self.rng.integers(2, 6)))):
                self.fill(self._hills(float(level)), _shade(self, True))

    def _hills(self, level: float) -> Mask:
        x = np.arange(self.side) / self.side
        line = np.full(self.side, level)
        for octave in range(int(self.rng.integers(2, 7))):
            line += (
                np.sin(2 * np.pi * 2**octave * (x * self.rng.uniform(0.5, 1.5) + self.rng.random())) * 0.12 / 2**octave
            )
        if self.rng.random() < 0.4:  # skylines have corners
            line = np.repeat(line[:: max(1, self.side // 24)], max(1, self.side // 24))[: self.side]
        return np.asarray(np.arange(self.side)[:, None] > line[None] * self.side)

    def add(self) -> None:
        """Paint one thing more."""
        kinds = (_blob, _polygon, _ellipse, _strokes, _lettering, _stain, _facets)
        chances = np.array([4, 3, 3, 3, 2, 2, 1.0])
        kind: Callable[[_Canvas], Mask] = kinds[int(self.rng.choice(len(kinds), p=chances / chances.sum()))]
        mask = kind(self)
        if self.rough and kind is not _lettering:
            mask = _torn(mask, self.rough, self.rng)
        if self.outline and (
            kind in (_blob, _polygon, _ellipse) or (kind is _lettering and _tall(mask) > 20 * self.outline)
        ):
            self.fill(_wider(mask, self.outline), _plain(self.ink))
        self.fill(mask, _shade(self, False), self.rng.uniform(0.3, 0.9) if self.rng.random() < 0.15 else 1.0)

    def sprinkle(self) -> None:
        """Small things all over: stars, sparks, rain."""
        draw, image = self.drawing()
        length = self.rng.uniform(0, 40) * FINE if self.rng.random() < 0.4 else 0.0
        angle, size = self.rng.uniform(0, np.pi), self.rng.uniform(0.5, 2.5) * FINE
        for x, y in self.rng.uniform(0, self.side, (int(self.rng.integers(20, 150)), 2)):
            r = size * self.rng.uniform(0.5, 1.6)
            if length:
                part = length * self.rng.uniform(0.3, 3)
                draw.line(
                    [(x, y), (x + part * math.cos(angle), y + part * math.sin(angle))], fill=1, width=max(1, int(r / 2))
                )
            else:
                draw.ellipse([x - r, y - r, x + r, y + r], fill=1)
        self.fill(np.asarray(image, bool), _plain(self.colour()))

    def drawing(self) -> tuple[ImageDraw.ImageDraw, Image.Image]:
        """An empty mask to draw into."""
        image = Image.new("1", (self.side, self.side))
        return ImageDraw.Draw(image), image

    def fill(self, mask: Mask, paint: _Paint, opacity: float = 1.0) -> None:
        """Paint where `mask` is set."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        where = np.nonzero(mask[box])
        at = where[0] + rows[0], where[1] + columns[0]
        new = paint(at)
        if opacity < 1:
            new = np.asarray(new * opacity + self.pixels[at] * (1 - opacity))
        self.pixels[at] = new

    def picture(self, side: int) -> NDArray[np.uint8]:
        """Reduced to `side`."""
        return np.asarray(Image.fromarray(self.pixels).resize((side, side), Image.Resampling.BOX))


_Paint = Callable[[tuple[NDArray[np.int64], NDArray[np.int64]]], NDArray[np.uint8]]
"""Rows and columns -> their colours, n × 3."""


def _between(rng: Random, least: float, most: float) -> float:
    """A size, small ones as likely as large ones: uniform in its logarithm."""
    return math.exp(rng.uniform(math.log(least), math.log(most)))


def _palette(rng: Random) -> NDArray[np.uint8]:
    """A few hues near each other or opposite, light and dark, some greys."""
    hue = rng.random()
    hues = (hue + rng.choice([0.0, 0.04, -0.06, 0.1, 0.5, 0.45, 0.33], PALETTE) + rng.normal(0, 0.02, PALETTE)) % 1
    saturation = rng.uniform(0, 1, PALETTE) ** rng.uniform(0.4, 1.5)
    value = rng.uniform(0, 1, PALETTE) ** rng.uniform(0.3, 1.3)
    wheel = np.clip(np.abs((hues[:, None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return np.asarray(255 * value[:, None] * (1 - saturation[:, None] * (1 - wheel)), np.uint8)


def _plain(colour: NDArray[np.uint8]) -> _Paint:
    return lambda where: np.broadcast_to(colour, (len(where[0]), 3))


def _shade(canvas: _Canvas, large: bool) -> _Paint:
    """A paint: one colour, a gradient, two colours in dots or hatching; with a grain where the scene has one."""
    rng, first, second = canvas.rng, canvas.colour(), canvas.colour()
    kind = rng.random()
    if kind < (0.25 if large else 0.5):
        paint = _plain(first)
    elif kind < 0.85:
        paint = _gradient(canvas, first, second if rng.random() < 0.5 else _near(rng, first))
    else:
        paint = _dots(canvas, first, second if rng.random() < 0.5 else _near(rng, first))
    return _grain(canvas, paint) if canvas.painted and rng.random() < 0.8 else paint


def _near(rng: Random, colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(colour * rng.uniform(0.6, 1.4) + rng.normal(0, 12, 3), 0, 255), np.uint8)


def _gradient(canvas: _Canvas, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> _Paint:
    rng, side = canvas.rng, canvas.side
    angle, centre = rng.uniform(0, 2 * np.pi), rng.uniform(0, side, 2)
    length = side * _between(rng, 0.1, 1.5)
    round_ = rng.random() < 0.35

    def paint(where: tuple[NDArray[np.int64], NDArray[np.int64]]) -> NDArray[np.uint8]:
        y, x = (at.astype(np.float32) - np.float32(c) for at, c in zip(where, centre, strict=True))
        along = np.hypot(y, x) if round_ else y * math.sin(angle) + x * math.cos(angle) + length / 2
        share = np.clip(along / length, 0, 1).astype(np.float32)[:, None]
        return np.asarray(first * (1 - share) + second * share + 0.5, np.uint8)

    return paint


def _dots(canvas: _Canvas, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> _Paint:
    """A printer's screen: dots or lines whose size may change along the picture."""
    rng = canvas.rng
    pitch = FINE * _between(rng, 3, 14)
    angle, lines = rng.uniform(0, np.pi), rng.random() < 0.4
    least, most = np.sort(rng.uniform(0.1, 0.9, 2))

    def paint(where: tuple[NDArray[np.int64], NDArray[np.int64]]) -> NDArray[np.uint8]:
        y, x = where
        u = (x * math.cos(angle) + y * math.sin(angle)) / pitch
        v = (y * math.cos(angle) - x * math.sin(angle)) / pitch
        share = least + (most - least) * x / canvas.side
        far = np.abs(u - np.rint(u)) * 2 if lines else np.hypot(u - np.rint(u), v - np.rint(v)) / 0.7
        return np.where((far < share)[:, None], first, second)

    return paint


def _grain(canvas: _Canvas, paint: _Paint) -> _Paint:
    rng = canvas.rng
    field = _noise(rng, canvas.side, _between(rng, 1.5, 30) * FINE, rng.uniform(1, 6))
    strength = rng.uniform(4, 25)

    def grained(where: tuple[NDArray[np.int64], NDArray[np.int64]]) -> NDArray[np.uint8]:
        return np.asarray(np.clip(paint(where) + strength * field[where][:, None], 0, 255), np.uint8)

    return grained


def _noise(rng: Random, side: int, size: float, stretch: float = 1.0) -> Floats:
    """Smooth noise of about unit spread: three octaves, the coarsest `size` pixels wide and `stretch` times as long."""
    total = np.zeros((side, side), np.float32)
    for octave in range(3):
        cells = [max(2, int(side / max(1.0, size * s / 2**octave))) for s in (1.0, stretch)]
        coarse = rng.standard_normal(cells).astype(np.float32)
        total += np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)) / 1.6**octave
    return total


def _place(canvas: _Canvas) -> tuple[float, float, float]:
    """Centre and radius: few large things, many small ones."""
    rng = canvas.rng
    x, y = rng.uniform(-0.1, 1.1, 2) * canvas.side
    return float(x), float(y), canvas.side * _between(rng, 0.015, 0.4)


def _drawn(canvas: _Canvas, points: NDArray[np.float64]) -> Mask:
    draw, image = canvas.drawing()
    draw.polygon([(float(x), float(y)) for x, y in points], fill=1)
    return np.asarray(image, bool)


def _blob(canvas: _Canvas) -> Mask:
    """A smooth closed curve."""
    rng, (x, y, r) = canvas.rng, _place(canvas)
    t = np.linspace(0, 2 * np.pi, 180)
    radius = np.full_like(t, r)
    for order in range(2, 9):
        radius += r * rng.normal(0, 0.35 / order) * np.cos(order * t + rng.uniform(0, 2 * np.pi))
    flat = rng.uniform(0.3, 1.0)
    return _drawn(canvas, np.stack([x + radius * np.cos(t), y + radius * np.sin(t) * flat], axis=1))


def _polygon(canvas: _Canvas) -> Mask:
    """Corners around a centre: regular, as a star, or anyhow."""
    rng, (x, y, r) = canvas.rng, _place(canvas)
    count = int(rng.integers(3, 10))
    t = np.arange(count) * 2 * np.pi / count + rng.uniform(0, 2 * np.pi)
    radius = np.full(count, r)
    if rng.random() < 0.3:
        radius[::2] *= rng.uniform(0.3, 0.7)
    elif rng.random() < 0.6:
        radius, t = radius * rng.uniform(0.4, 1.3, count), np.sort(rng.uniform(0, 2 * np.pi, count))
    return _drawn(canvas, np.stack([x + radius * np.cos(t), y + radius * np.sin(t) * rng.uniform(0.2, 1.0)], axis=1))


def _ellipse(canvas: _Canvas) -> Mask:
    draw, image = canvas.drawing()
    x, y, r = _place(canvas)
    h = r * canvas.rng.uniform(0.3, 1.0)
    box = [x - r, y - h, x + r, y + h]
    if canvas.rng.random() < 0.25:
        draw.ellipse(box, outline=1, width=canvas.thick())
    elif canvas.rng.random() < 0.3:
        draw.rounded_rectangle(box, radius=float(canvas.rng.uniform(0, h)), fill=1)
    else:
        draw.ellipse(box, fill=1)
    return np.asarray(image, bool)


def _strokes(canvas: _Canvas) -> Mask:
    """Lines of one pen: parallel, from one point, or wandering."""
    rng, (x, y, r) = canvas.rng, _place(canvas)
    draw, image = canvas.drawing()
    width, kind, angle = canvas.thick(), int(rng.integers(3)), rng.uniform(0, np.pi)
    for number in range(int(rng.integers(1, 14))):
        if kind == 2:
            turn = np.cumsum(rng.normal(0, 0.4, 40)) + angle
            path = np.cumsum(np.stack([np.cos(turn), np.sin(turn)], axis=1) * r / 15, axis=0) + np.array([x, y])
        else:
            a = angle if kind == 0 else angle + number * rng.uniform(0.1, 0.6)
            begin = np.array([x, y]) + (number * 4 * width * np.array([-math.sin(a), math.cos(a)]) if kind == 0 else 0)
            path = np.stack([begin, begin + 2 * r * rng.uniform(0.5, 1.0) * np.array([math.cos(a), math.sin(a)])])
        draw.line([(float(px), float(py)) for px, py in path], fill=1, width=width, joint="curve")
    return np.asarray(image, bool)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _lettering(canvas: _Canvas) -> Mask:
    """A word or lines of small writing, turned a little."""
    rng, (x, y, r) = canvas.rng, _place(canvas)
    size = max(7 * FINE, int(r * 0.7)) // FINE * FINE
    lines = int(rng.integers(1, 8)) if size < 20 * FINE else 1
    text = "\n".join(" ".join(rng.choice(WORDS, int(rng.integers(1, 6 if lines > 1 else 2)))) for _ in range(lines))
    draw, image = canvas.drawing()
    font = _font(size)
    bold = int(size * rng.uniform(0, 0.08)) if rng.random() < 0.5 else 0
    draw.multiline_text((x - r, y - size / 2), text, fill=1, font=font, stroke_width=bold)
    if rng.random() < 0.5:
        image = image.rotate(float(rng.normal(0, 25)), center=(x, y))
    return np.asarray(image, bool)


def _stain(canvas: _Canvas) -> Mask:
    """Smooth noise cut at a level, inside a shape: foliage, craters, clouds, torn paper."""
    rng = canvas.rng
    inside = (_blob, _polygon, _ellipse)[int(rng.integers(3))](canvas)
    size = FINE * _between(rng, 3, 60)
    return np.asarray(inside & (_noise(rng, canvas.side, size, rng.uniform(1, 3)) > rng.normal(0.2, 0.7)))


def _facets(canvas: _Canvas) -> Mask:
    """Triangles side by side, each a little lighter or darker; the last of them is what the caller paints."""
    rng, (x, y, r) = canvas.rng, _place(canvas)
    colour, count = canvas.colour(), int(rng.integers(3, 12))
    corners = np.array([x, y]) + rng.uniform(-r, r, (count + 2, 2))
    mask = np.zeros((canvas.side, canvas.side), bool)
    for number in range(count):
        mask = _drawn(canvas, corners[number : number + 3])
        canvas.fill(mask, _plain(_near(rng, colour)))
    return mask


def _tall(mask: Mask) -> int:
    return int(mask.any(axis=1).sum())


def _wider(mask: Mask, pixels: int) -> Mask:
    """`mask` and what is at most about `pixels` from it."""
    wide = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(pixels))
    return np.asarray(wide) > 0


def _torn(mask: Mask, far: float, rng: Random) -> Mask:
    """`mask` with each pixel taken from a place nearby, by smooth noise."""
    side = len(mask)
    size = far * rng.uniform(0.5, 3.0)
    shifts = [(_noise(rng, side, size) * far * 0.5).astype(np.int32) for _ in range(2)]
    y, x = np.ogrid[:side, :side]
    return np.asarray(mask[np.clip(y + shifts[0], 0, side - 1), np.clip(x + shifts[1], 0, side - 1)])
