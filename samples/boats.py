"""The boats of the sample scene: a ketch dressed with flags, rowing boats, yachts."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from canvas import Canvas, Colour, Plane, Point, across, bent, curve, down, mix, relief, smoothstep, wood

__all__ = ["SHIP", "rowing_boat", "ship", "yacht"]

BLUE, RED, YELLOW = (16, 70, 190), (226, 26, 40), (250, 208, 24)
GREEN, BLACK, WHITE = (20, 150, 84), (20, 20, 26), (252, 250, 244)
FLAGS: tuple[tuple[str, Colour, Colour], ...] = (
    ("halves", BLUE, WHITE), ("plain", RED, RED), ("cross", BLUE, WHITE), ("stripes", YELLOW, BLUE),
    ("quarters", RED, YELLOW), ("disc", BLUE, WHITE), ("cross", WHITE, RED), ("plain", YELLOW, YELLOW),
    ("disc", WHITE, RED), ("quarters", BLACK, YELLOW), ("stripes", RED, WHITE), ("halves", GREEN, WHITE),
)  # fmt: skip


def flag(canvas: Canvas, x: float, y: float, kind: int, size: float, tilt: float = 0.0) -> None:
    """A signal flag whose upper left corner is at (x, y); `tilt` turns its upper edge, in radians."""
    style, first, second = FLAGS[kind % len(FLAGS)]
    c, s, h = math.cos(tilt), math.sin(tilt), size * 0.78

    def piece(u0: float, v0: float, u1: float, v1: float, paint: Colour) -> None:
        corners = [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]
        canvas.polygon([(x + u * size * c - v * h * s, y + u * size * s + v * h * c) for u, v in corners], paint)

    piece(0, 0, 1, 1, first)
    if style == "halves":
        piece(0.5, 0, 1, 1, second)
    elif style == "cross":
        piece(0.38, 0, 0.62, 1, second)
        piece(0, 0.36, 1, 0.64, second)
    elif style == "stripes":
        piece(0.2, 0, 0.4, 1, second)
        piece(0.6, 0, 0.8, 1, second)
    elif style == "quarters":
        piece(0.5, 0, 1, 0.5, second)
        piece(0, 0.5, 0.5, 1, second)
    elif style == "disc":
        canvas.disc(x + size * 0.5 * c - h * 0.5 * s, y + size * 0.5 * s + h * 0.5 * c, size * 0.25, second)


def dressed(canvas: Canvas, a: Point, b: Point, start: int, size: float = 24.0) -> None:
    """A rope from `a` to `b` that carries flags side by side."""
    rope = bent(a, b, 14, 60)
    canvas.line(rope, 1.4, (52, 44, 40))
    done = 16.0
    length = sum(math.dist(p, q) for p, q in pairwise(rope))
    walked, kind = 0.0, start
    for p, q in pairwise(rope):
        walked += math.dist(p, q)
        if walked >= done and walked < length - size:
            tilt = math.atan2(q[1] - p[1], q[0] - p[0])
            flag(canvas, q[0], q[1], kind, size, tilt if abs(tilt) < 1.2 else 0.0)
            done, kind = walked + size + 7, kind + 1


SHIP = 1010.0
"""Waterline of the ship."""


def ship_hull(canvas: Canvas) -> None:
    """The hull from stern (x = 812) to bow (x = 1480), its stripes, its rail and its name."""
    y = SHIP
    sheer = curve([(812, y - 92), (1000, y - 58), (1220, y - 58), (1480, y - 128)])
    stem = curve([(1480, y - 128), (1448, y - 60), (1404, y - 20), (1372, y + 8)])
    counter = curve([(880, y + 8), (846, y - 4), (826, y - 50), (812, y - 92)])

    def planking(u: Plane, v: Plane) -> Any:
        light = smoothstep(0.0, 1.0, 0.2 + 0.0007 * (u - 900) + (y - v) / 190)
        colour = mix((14, 34, 86), (84, 130, 196), light)
        colour = mix(colour, (250, 244, 230), (v > y - 17) & (v < y - 13) & (u > 0))
        return mix(colour, mix((120, 14, 26), (214, 40, 44), light), (v > y - 13) & (u > 0))

    canvas.polygon([*sheer, *stem, *counter], planking)
    canvas.line([(px, py + 11) for px, py in sheer], 3, (250, 206, 90))
    canvas.line(sheer, 8, wood((196, 128, 66), 3))
    for k in range(9):
        for size, colour in ((7.0, (246, 220, 140)), (4.6, (24, 32, 46))):
            canvas.disc(930 + 44 * k, y - 42 - 0.00012 * (44 * k - 180) ** 2, size, colour)
    canvas.text(1378, y - 70, "MARIGOLD", 21, (252, 246, 230), anchor="mm", bold=0.3)
    canvas.box(938, y - 102, 128, 34, wood((214, 160, 98), 6, 9))
    canvas.box(930, y - 108, 144, 7, (244, 238, 226))
    for k in range(4):
        canvas.box(950 + 28 * k, y - 97, 19, 15, down((84, 122, 156), (36, 52, 74), y - 97, y - 82))
    canvas.line([(px, py - 24) for px, py in sheer[2:-1]], 1.6, (246, 240, 226))
    for px, py in sheer[2:-1:2]:
        canvas.line([(px, py), (px, py - 24)], 1.8, (246, 240, 226))


def ship_sails(canvas: Canvas) -> None:
    """A foresail set on the inner stay, with seams and a number, and two sails furled on their booms."""
    y = SHIP
    luff = curve([(1150, y - 606), (1330, y - 405), (1506, y - 214)])
    foot = curve([(1506, y - 214), (1380, y - 150), (1214, y - 136)])
    leech = curve([(1214, y - 136), (1238, y - 330), (1150, y - 606)])

    def cloth(u: Plane, v: Plane) -> Any:
        bulge = np.sin(0.0095 * (u - 1150) + 0.0035 * (v - y))
        return mix((204, 174, 150), (255, 247, 228), 0.56 + 0.42 * bulge + 0.04 * relief(u, v, 60, 4, 3))

    canvas.polygon([*luff, *foot, *leech], cloth, 0.97)
    for k in range(3, 28, 3):
        canvas.line([leech[29 - k], luff[k]], 1.1, (176, 146, 118))
    canvas.text(1302, y - 236, "E 27", 46, (190, 30, 38), anchor="mm", bold=0.8)
    for x0, x1, at in ((930, 1110, y - 176), (842, 912, y - 168)):
        canvas.line([(x0, at), (x1, at - 10)], 7, wood((170, 112, 64), 5))
        canvas.line(bent((x0 + 6, at - 9), (x1 - 4, at - 19), 3), 17, across((236, 222, 200), (255, 244, 224), x0, x1))
        for k in range(7):
            px = x0 + 14 + (x1 - x0 - 28) * k / 6
            canvas.line([(px, at - 22), (px, at + 1)], 1.6, (120, 90, 66))


def shrouds(canvas: Canvas, x: float, deck: float, spread: float, side: int) -> None:
    """Four ropes from the ship's side to the mast at `spread`, and the ratlines across them."""
    feet = [x + side * (46 + 13 * k) for k in range(4)]
    for foot in feet:
        canvas.line([(foot, deck), (x + side * 5, spread - 26)], 1.5, (56, 46, 42))
    for k in range(1, 17):
        t = k / 19
        ends = [foot + (x + side * 5 - foot) * t for foot in (feet[0], feet[-1])]
        canvas.line([(end, deck + (spread - 26 - deck) * t) for end in ends], 1.0, (70, 58, 52))


def ensign(canvas: Canvas, x: float, y: float) -> None:
    """The flag at the stern, its staff's top at (x, y)."""
    canvas.line([(x + 20, y + 84), (x, y)], 3, (196, 140, 80))
    upper = curve([(x, y), (x - 28, y - 16), (x - 48, y + 18), (x - 76, y + 4)])
    lower = curve([(x - 70, y + 52), (x - 42, y + 62), (x - 22, y + 32), (x + 10, y + 44)])
    canvas.polygon([*upper, *lower], (206, 24, 40))
    canvas.polygon([*upper[:13], *[(px + 4, py + 24) for px, py in upper[12::-1]]], (20, 50, 130))


def ship_rigging(canvas: Canvas) -> None:
    """Masts, yards, stays and shrouds, and flags from stem to stern."""
    y, rope = SHIP, (56, 46, 42)
    for x, top in ((1122.0, y - 786), (920.0, y - 640)):
        mast = [(x - 7, y - 76), (x - 3, top), (x + 3, top), (x + 7, y - 76)]
        canvas.polygon(mast, across((120, 76, 42), (226, 166, 104), x - 7, x + 7))
        canvas.disc(x, top - 3, 5, (246, 206, 90))
        spread = top + 250
        canvas.line([(x - 40, spread), (x + 40, spread)], 4, (150, 100, 60))
        for side in (-1, 1):
            shrouds(canvas, x, y - 74, spread, side)
            canvas.line([(x, top + 10), (x + side * 40, spread), (x + side * 70, y - 74)], 1.2, rope)
    bow = (1560.0, y - 168)
    canvas.line([(1440, y - 118), bow], 8, wood((190, 130, 76), 2))
    canvas.line([(1436, y - 62), bow], 1.4, rope)
    for height in (640, 540):
        canvas.line([(1122, y - height), (bow[0] - 10, bow[1] + 2)], 1.3, rope)
    canvas.line([(1122, y - 700), (920, y - 560)], 1.3, rope)
    canvas.line([(920, y - 600), (1122, y - 130)], 1.1, rope)
    dressed(canvas, (1122, y - 782), (bow[0] - 4, bow[1]), 0)
    dressed(canvas, (920, y - 636), (1122, y - 782), 5)
    dressed(canvas, (814, y - 98), (920, y - 636), 2)
    ensign(canvas, 792, y - 176)


def ship(canvas: Canvas) -> None:
    """The ketch in front of the town."""
    ship_sails(canvas)
    ship_hull(canvas)
    ship_rigging(canvas)


def rowing_boat(canvas: Canvas, x: float, y: float, size: float, colour: Colour, name: str = "") -> None:
    """A small open boat at its mooring, 2 · `size` long, its waterline at `y`."""
    s = size
    rim = curve([(x - s, y - s * 0.4), (x - s * 0.4, y - s * 0.2), (x + s * 0.4, y - s * 0.2), (x + s, y - s * 0.46)])
    stem = curve([(x + s, y - s * 0.46), (x + s * 0.94, y - s * 0.1), (x + s * 0.7, y + s * 0.03)])
    stern = curve([(x - s * 0.74, y + s * 0.03), (x - s * 0.94, y - s * 0.1), (x - s, y - s * 0.4)])
    far = [(px, 2 * (y - s * 0.36) - py) for px, py in rim]
    canvas.polygon([*rim, *far[::-1]], wood((150, 100, 62), 4))
    canvas.polygon([*rim, *stem, *stern], down(colour, mix(colour, (0, 0, 0), 0.5), y - s * 0.3, y))
    canvas.line([(px, py + s * 0.08) for px, py in rim], max(1.5, s * 0.03), (250, 246, 236))
    canvas.line(rim, max(3.0, s * 0.06), (196, 140, 84))
    canvas.line([(x - s * 0.3, y - s * 0.22), (x + s * 0.32, y - s * 0.52)], 2.4, (220, 176, 120))
    canvas.line([(x + s * 0.3, y - s * 0.24), (x - s * 0.32, y - s * 0.5)], 2.4, (220, 176, 120))
    canvas.text(x + s * 0.5, y - s * 0.1, name, s * 0.15, (250, 246, 236), anchor="mm")


def yacht(canvas: Canvas, x: float, y: float, size: float, sail: Colour) -> None:
    """A small yacht under sail, far off."""
    s = size
    hull = [(x - s * 0.4, y - s * 0.1), (x + s * 0.5, y - s * 0.12), (x + s * 0.36, y), (x - s * 0.34, y)]
    canvas.polygon(hull, (250, 248, 240))
    canvas.line([(x, y - s * 0.1), (x, y - s * 1.3)], 1.6, (70, 62, 60))
    main = [(x - 2, y - s * 1.25), (x - 2, y - s * 0.16), (x - s * 0.42, y - s * 0.18)]
    canvas.polygon(main, across(mix(sail, (90, 80, 110), 0.3), sail, x - s * 0.4, x))
    canvas.polygon([(x + 3, y - s * 1.15), (x + s * 0.44, y - s * 0.18), (x + 3, y - s * 0.2)], sail)
