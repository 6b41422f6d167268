"""The town of the sample scene: a church, a row of houses, the quay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from canvas import (
    Canvas,
    Colour,
    Paint,
    Plane,
    Point,
    Texture,
    bent,
    brick,
    down,
    leaves,
    mix,
    plaster,
    relief,
    smoothstep,
    stone,
    tiles,
    wood,
)

__all__ = ["QUAY", "WATER", "town", "window"]

QUAY, WATER = 728.0, 772.0
"""Heights of the street and of the water's far edge."""


def tree(canvas: Canvas, x: float, y: float, size: float, seed: int) -> None:
    """A round tree standing at (x, y)."""
    rng = np.random.default_rng(seed)
    canvas.box(x - size * 0.05, y - size * 0.6, size * 0.1, size * 0.6, wood((120, 88, 62), seed, upright=True))
    for _ in range(26):
        a, r = rng.uniform(0, 2 * math.pi), size * 0.36 * math.sqrt(rng.random())
        at = (x + r * math.cos(a), y - size * 0.82 + 1.05 * r * math.sin(a))
        canvas.disc(*at, size * rng.uniform(0.1, 0.2), leaves((24, 58, 30), (158, 184, 66), seed, size / 5))


def window(canvas: Canvas, x: float, y: float, w: float, h: float, shutters: Colour | None, lit: bool) -> None:
    """A sash window with its frame, sill and, where a colour is given, louvred shutters."""
    canvas.box(x - 4, y - 4, w + 8, h + 8, (244, 240, 230))
    glass = down((255, 214, 120), (240, 160, 70), y, y + h) if lit else down((70, 98, 132), (34, 46, 66), y, y + h)
    canvas.box(x, y, w, h, glass)
    if not lit:
        canvas.polygon([(x + w * 0.55, y), (x + w, y), (x + w * 0.45, y + h), (x, y + h)], (196, 216, 232), 0.28)
    canvas.box(x, y + h * 0.48, w, 2.5, (244, 240, 230))
    for k in (1, 2):
        canvas.box(x + w * k / 3 - 0.8, y, 1.6, h, (244, 240, 230))
    canvas.box(x - 7, y + h + 4, w + 14, 4, (216, 208, 196))
    canvas.box(x - 7, y + h + 8, w + 14, 3, (40, 34, 40), 0.35)
    if shutters:
        for side in (x - 5 - w * 0.42, x + w + 5):
            canvas.box(side, y - 3, w * 0.42, h + 6, slats(shutters))


def slats(colour: Colour) -> Texture:
    """Louvres."""
    return lambda x, y: mix((0, 0, 0), colour, np.where(y % 5 < 1.6, 0.62, 1.0) + 0 * x)


def door(canvas: Canvas, x: float, w: float, h: float, colour: Colour) -> None:
    """A panelled door with a fanlight, standing on the street."""
    y = QUAY - h
    canvas.disc(x + w / 2, y, w / 2 + 5, (236, 230, 218))
    canvas.box(x - 5, y, w + 10, h, (236, 230, 218))
    canvas.disc(x + w / 2, y, w / 2 - 1, (255, 222, 150))
    for k in range(1, 6):
        a = math.pi * k / 6
        canvas.line([(x + w / 2, y), (x + w / 2 + w / 2 * math.cos(a), y - w / 2 * math.sin(a))], 1.2, (236, 230, 218))
    canvas.box(x, y, w, h, wood(colour, 4, upright=True))
    for row in (0.08, 0.56):
        for column in (0.14, 0.56):
            canvas.box(x + w * column, y + h * row, w * 0.3, h * 0.36, (0, 0, 0), 0.22)
    canvas.disc(x + w * 0.88, y + h * 0.52, 2.2, (246, 206, 90))


@dataclass(frozen=True)
class House:
    """One front of the row; lengths in pixels."""

    x: float
    width: float
    height: float
    wall: Paint
    roof: Colour
    gable: str
    """`point` and `steps` show the gable, `eaves` the roof's slope."""
    shutters: Colour | None
    columns: int
    floors: int
    door: Colour
    sign: str = ""
    sign_colour: Colour = (24, 52, 92)


RUST, SLATE, IVORY = (170, 76, 54), (88, 88, 98), (246, 240, 228)
TEAL, GREEN, NAVY, RED = (36, 104, 92), (34, 84, 60), (44, 66, 104), (194, 46, 46)
HOUSES = (
    House(20, 176, 300, plaster((236, 196, 92), 1), RUST, "eaves", TEAL, 3, 3, GREEN),
    House(196, 148, 330, brick((170, 74, 56), 2), SLATE, "steps", None, 2, 3, NAVY, "BOOKS", (30, 64, 50)),
    House(344, 190, 268, plaster((104, 158, 186), 3), RUST, "eaves", IVORY, 3, 2, RED, "THE ANCHOR INN"),
    House(534, 138, 316, plaster((226, 118, 92), 4), RUST, "point", NAVY, 2, 3, NAVY),
    House(672, 206, 246, brick((190, 108, 74), 5), SLATE, "eaves", GREEN, 3, 2, RED, "Fish Market", (128, 26, 34)),
    House(878, 132, 292, plaster((242, 236, 220), 6), RUST, "point", RED, 2, 3, RED),
)


def roof_of(canvas: Canvas, house: House, top: float, seed: int) -> None:
    """The roof above the wall's upper edge `top`."""
    x0, x1, middle = house.x, house.x + house.width, house.x + house.width / 2
    if house.gable == "eaves":
        slope = [(x0 - 8, top + 6), (x0 + 16, top - 78), (x1 - 16, top - 78), (x1 + 8, top + 6)]
        canvas.polygon(slope, tiles(house.roof, seed))
        canvas.box(x0 + 14, top - 82, house.width - 28, 6, mix(house.roof, (40, 20, 20), 0.4))
        canvas.box(x0 - 8, top + 4, house.width + 16, 5, (236, 230, 220))
        dormer = middle - 15
        canvas.polygon(
            [(dormer - 14, top - 40), (dormer + 15, top - 68), (dormer + 44, top - 40)], tiles(house.roof, seed + 1, 7)
        )
        canvas.box(dormer - 4, top - 42, 38, 40, (240, 234, 222))
        window(canvas, dormer + 3, top - 36, 24, 28, None, lit=False)
    elif house.gable == "point":
        canvas.polygon([(x0, top), (middle, top - 92), (x1, top)], house.wall)
        for end in (x0 - 8, x1 + 8):
            canvas.line([(end, top + 8), (middle, top - 98)], 11, house.roof)
            canvas.line([(end, top + 3), (middle, top - 103)], 3, (238, 232, 222))
        canvas.disc(middle, top - 34, 15, (240, 234, 222))
        canvas.disc(middle, top - 34, 11.5, (52, 74, 100))
        canvas.line([(middle - 12, top - 34), (middle + 12, top - 34)], 2, (240, 234, 222))
        canvas.line([(middle, top - 46), (middle, top - 22)], 2, (240, 234, 222))
    else:
        for k in range(5):
            inset = k * house.width / 11
            canvas.box(x0 + inset, top - 22 * (k + 1), house.width - 2 * inset, 23, house.wall)
            canvas.box(x0 + inset - 2, top - 22 * (k + 1) - 4, house.width - 2 * inset + 4, 5, (226, 216, 200))
        window(canvas, middle - 13, top - 62, 26, 38, None, lit=True)


def chimney(canvas: Canvas, x: float, top: float, seed: int) -> None:
    """A chimney with two pots and an aerial."""
    canvas.box(x, top, 24, 66, brick((150, 84, 66), seed, 9, 5))
    canvas.box(x - 3, top - 2, 30, 6, (196, 180, 164))
    canvas.box(x + 3, top - 12, 7, 11, (186, 96, 66))
    canvas.box(x + 14, top - 12, 7, 11, (186, 96, 66))
    canvas.line([(x + 22, top), (x + 22, top - 52)], 1.3, (58, 56, 64))
    for k in range(4):
        canvas.line([(x + 12 + k, top - 50 + 8 * k), (x + 32 - k, top - 50 + 8 * k)], 1.1, (58, 56, 64))


def house_front(canvas: Canvas, house: House, seed: int) -> None:
    """One house: wall, windows, door, sign and shadow of its neighbour."""
    top = QUAY - house.height
    if house.gable == "eaves":
        chimney(canvas, house.x + house.width - 50, top - 112, seed)
    roof_of(canvas, house, top, seed)
    canvas.box(house.x, top, house.width, house.height, house.wall)
    canvas.box(house.x, top, house.width, 14, (30, 20, 40), 0.3, 4)
    canvas.box(house.x, top, 9, house.height, (30, 24, 50), 0.3, 3)
    canvas.box(house.x, QUAY - 26, house.width, 26, stone((164, 156, 150), seed, 30, 13))
    rng = np.random.default_rng(seed)
    ground = 104.0
    floor, pitch = (house.height - ground) / house.floors, house.width / house.columns
    w = min(34.0, pitch * (0.44 if house.shutters else 0.5))
    for row in range(house.floors):
        for column in range(house.columns):
            at = house.x + pitch * (column + 0.5) - w / 2
            window(
                canvas, at, top + floor * (row + 0.5) - w * 0.62, w, w * 1.3, house.shutters, lit=rng.random() < 0.22
            )
    shop(canvas, house, top + house.height - ground)


def shop(canvas: Canvas, house: House, y: float) -> None:
    """The ground floor: a sign board with an awning and a shop window, or a plain window; and the door."""
    door(canvas, house.x + house.width - 48, 30, 62, house.door)
    if not house.sign:
        window(canvas, house.x + 26, y + 34, 46, 40, None, lit=True)
        return
    board = house.width - 20
    size = 25.0 if len(house.sign) < 8 else min(22.0, 1.55 * board / len(house.sign))
    canvas.box(house.x + 8, y - 8, board + 4, 32, (246, 226, 170))
    canvas.box(house.x + 10, y - 6, board, 28, house.sign_colour)
    canvas.text(house.x + 10 + board / 2, y + 8.5, house.sign, size, (250, 238, 200), anchor="mm", bold=0.5)
    left, right, stripes = house.x + 14, house.x + house.width - 62, 10
    canvas.box(left + 4, y + 40, right - left - 8, 40, down((255, 226, 150), (226, 150, 76), y + 40, y + 80))
    for k in range(1, 4):
        canvas.box(left + 4 + (right - left - 8) * k / 4, y + 38, 2, 44, (240, 232, 216))
    for k in range(stripes):
        a, b = (left + (right - left) * (k + j) / stripes for j in (0, 1))
        colour = (214, 38, 46) if k % 2 else (250, 246, 238)
        canvas.polygon([(a, y + 24), (b, y + 24), (b + 2, y + 46), (a - 2, y + 46)], colour)
        canvas.disc((a + b) / 2, y + 46, (b - a) / 2, colour, ry=5)


def church(canvas: Canvas, x: float, y: float) -> None:
    """A church tower behind the roofs, with a clock and a copper spire."""
    canvas.box(x, y - 250, 78, 250, stone((206, 190, 164), 8, 26, 13))
    canvas.box(x + 50, y - 250, 28, 250, (255, 226, 180), 0.22)
    canvas.box(x - 5, y - 256, 88, 9, (226, 214, 192))

    def copper(u: Plane, v: Plane) -> Any:
        return mix((60, 126, 116), (150, 204, 178), np.clip(smoothstep(x, x + 78, u) + 0.3 * relief(u, v, 14, 2), 0, 1))

    canvas.polygon([(x - 3, y - 256), (x + 39, y - 410), (x + 81, y - 256)], copper)
    canvas.line([(x + 39, y - 446), (x + 39, y - 404)], 2.4, (226, 190, 90))
    canvas.line([(x + 29, y - 432), (x + 49, y - 432)], 2.4, (226, 190, 90))
    for k in (0, 1):
        canvas.box(x + 14 + 30 * k, y - 150, 18, 46, (44, 44, 58))
        canvas.disc(x + 23 + 30 * k, y - 150, 9, (44, 44, 58))
    canvas.disc(x + 39, y - 204, 26, (250, 244, 226))
    canvas.disc(x + 39, y - 204, 23, (34, 50, 84))
    for k in range(12):
        c, s = math.cos(math.pi * k / 6), math.sin(math.pi * k / 6)
        canvas.line([(x + 39 + 17 * c, y - 204 + 17 * s), (x + 39 + 21 * c, y - 204 + 21 * s)], 2, (250, 230, 160))
    canvas.line([(x + 39, y - 204), (x + 39 + 9, y - 204 - 12)], 2.6, (250, 230, 160))
    canvas.line([(x + 39, y - 204), (x + 39 - 17, y - 204 + 4)], 1.8, (250, 230, 160))


TREES = (
    (8.0, 560.0, 240.0),
    (330.0, 520.0, 190.0),
    (900.0, 540.0, 210.0),
    (1066.0, 728.0, 190.0),
    (1136.0, 730.0, 140.0),
)


def town(canvas: Canvas) -> None:
    """Trees, church, houses and the quay with its lamps and a string of pennants."""
    church(canvas, 596, 470)
    for k, place in enumerate(TREES):
        tree(canvas, *place, 60 + k)
    for k, house in enumerate(HOUSES):
        house_front(canvas, house, 80 + k)
    canvas.polygon([(0, QUAY), (1262, QUAY), (1300, WATER + 2), (0, WATER + 2)], stone((176, 166, 156), 9))
    canvas.box(0, QUAY - 1, 1264, 7, (214, 204, 190))
    canvas.polygon([(0, WATER - 12), (1290, WATER - 12), (1300, WATER + 2), (0, WATER + 2)], (40, 60, 44), 0.55, 2)
    for k, x in enumerate((188.0, 530.0, 872.0, 1216.0)):
        canvas.line([(x, QUAY), (x, QUAY - 118)], 4, (28, 34, 44))
        canvas.disc(x, QUAY - 126, 24, (255, 224, 150), 0.5, 9)
        canvas.polygon(
            [(x - 8, QUAY - 136), (x + 8, QUAY - 136), (x + 5, QUAY - 116), (x - 5, QUAY - 116)], (255, 240, 196)
        )
        canvas.polygon([(x - 10, QUAY - 136), (x, QUAY - 146), (x + 10, QUAY - 136)], (28, 34, 44))
        if k == 3:
            pennants(canvas, (x - 200, QUAY - 190), (x, QUAY - 118))
    for x, coat in ((1196.0, (206, 44, 60)), (1238.0, (36, 92, 170)), (740.0, (246, 190, 40))):
        figure(canvas, x, coat)


def pennants(canvas: Canvas, a: Point, b: Point) -> None:
    """A rope with bright triangles."""
    rope = bent(a, b, 26, 22)
    canvas.line(rope, 1.2, (40, 36, 40))
    colours: tuple[Colour, ...] = ((226, 30, 44), (250, 206, 30), (24, 110, 206), (20, 160, 90), (250, 250, 246))
    for k, ((x0, y0), (x1, y1)) in enumerate(pairwise(rope)):
        canvas.polygon([(x0 + 2, y0), (x1 - 2, y1), ((x0 + x1) / 2, (y0 + y1) / 2 + 17)], colours[k % 5])


def figure(canvas: Canvas, x: float, coat: Colour) -> None:
    """A person on the quay."""
    canvas.polygon(
        [(x - 5, QUAY), (x - 4, QUAY - 26), (x + 4, QUAY - 26), (x + 6, QUAY), (x + 2, QUAY), (x, QUAY - 18)],
        (38, 40, 54),
    )
    canvas.polygon([(x - 8, QUAY - 20), (x - 6, QUAY - 46), (x + 6, QUAY - 46), (x + 8, QUAY - 20)], coat)
    canvas.disc(x, QUAY - 53, 6, (226, 176, 144))
