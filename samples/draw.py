"""Draw the sample picture: a harbour town with text, thin lines, texture, smooth shading and saturated edges.

    python samples/draw.py                      # writes samples/scene.png, 640 × 432
    python samples/draw.py --truth large.png    # writes the 1920 × 1296 picture it is reduced from as well

The scene is drawn twice as fine as the large picture, averaged to it, and reduced three times by MATLAB-compatible
bicubic interpolation: `scene.png` enlarged ×3 can therefore be compared with the truth. All lengths are pixels of the
large picture, x to the right and y down. Every random choice has a fixed seed: a run always draws the same scene.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from boats import SHIP, rowing_boat, ship, yacht
from canvas import (
    FINE,
    HEIGHT,
    WIDTH,
    Canvas,
    Colour,
    Paint,
    Plane,
    Texture,
    across,
    bent,
    curve,
    down,
    leaves,
    mix,
    noise,
    plaster,
    relief,
    smoothstep,
    tiles,
    wood,
)
from edgelift.core.resize import resize
from town import WATER, town, window

SCALE = 3
PIER = 1128.0
"""Height of the pier in front."""

# -- far away ---------------------------------------------------------------------------------------------------------

SUN = (1310.0, 452.0)


def sky(canvas: Canvas) -> None:
    """Evening sky: gradient, sun with its glow, streaks of cloud."""

    def paint(x: Plane, y: Plane) -> Any:
        colour = mix((46, 92, 158), (126, 172, 214), smoothstep(0, 330, y) + 0 * x)
        colour = mix(colour, (252, 214, 170), smoothstep(200, 640, y) + 0 * x)
        away = np.hypot(x - SUN[0], y - SUN[1])
        colour = mix(colour, (255, 226, 170), 0.75 * np.exp(-away / 260))
        cloud = noise(x * 0.28 + 40, y - 0.05 * x, 105, 6, 7)
        share = smoothstep(0.5, 0.74, cloud) * (0.9 - 0.6 * smoothstep(380, 620, y))
        edge = smoothstep(-0.15, 0.5, relief(x * 0.28 + 40, y - 0.05 * x, 105, 7, 6))
        colour = mix(colour, mix((168, 158, 186), (255, 238, 216), edge), share)
        return mix(colour, (255, 250, 226), smoothstep(47, 44, away))

    canvas.box(0, 0, WIDTH, WATER + 2, paint)


def ridge(canvas: Canvas, base: float, height: float, cell: float, seed: int, paint: Paint, lean: float = 0.0) -> None:
    """A chain of hills from side to side; `lean` lowers it towards the right."""
    x = np.arange(0, WIDTH + 4, 3, dtype=np.float32)
    top = base - height * noise(x[None], np.zeros((1, 1), np.float32), cell, 6, seed)[0] + lean * x / WIDTH
    canvas.polygon([*zip(x.tolist(), top.tolist(), strict=True), (WIDTH, WATER + 2), (0, WATER + 2)], paint)


def rocky(dark: Colour, bright: Colour, cell: float, seed: int) -> Texture:
    """Bare rock with folds of `cell`."""
    return lambda x, y: mix(dark, bright, np.clip(0.44 + 0.62 * relief(x, y * 1.3, cell, seed, 6), 0, 1))


def hills(canvas: Canvas) -> None:
    """Three ridges, each nearer, darker and greener."""

    ridge(canvas, 640, 270, 520, 21, rocky((142, 148, 184), (226, 200, 188), 120, 3))
    ridge(canvas, 724, 270, 430, 34, rocky((84, 104, 128), (196, 178, 150), 90, 4), 60)
    ridge(canvas, 690, 300, 610, 55, leaves((44, 74, 62), (168, 172, 96), 5, 26), 190)
    canvas.box(0, 560, WIDTH, 220, down((255, 220, 180), (255, 214, 170), 560, 780), 0.16, 40)


# -- the lighthouse ---------------------------------------------------------------------------------------------------


def lighthouse(canvas: Canvas, x: float = 1690.0) -> None:
    """A striped tower on a rock."""
    rng = np.random.default_rng(5)
    outline = [
        (x - 210 + 30 * k, WATER - 74 * math.sin(math.pi * (k + 0.4) / 15.4) * rng.uniform(0.75, 1.1))
        for k in range(15)
    ]
    foot, top = WATER - 58, 330.0
    canvas.polygon([(x - 240, WATER + 2), *outline, (x + 230, WATER + 2)], rocky((52, 44, 48), (206, 172, 142), 34, 6))

    def tower(u: Plane, v: Plane) -> Any:
        band = np.floor((v - top) / ((foot - top) / 7)) % 2
        colour = mix((214, 34, 40), (250, 246, 236), band + 0 * u)
        half = 34 + 18 * (v - top) / (foot - top)
        side = np.clip((u - x) / half, -1, 1)
        light = 0.62 + 0.38 * np.sqrt(np.clip(1 - (side - 0.35) ** 2 / 1.82, 0, 1)) + 0.02 * relief(u, v, 8, 3, 2)
        return colour * light[..., None]

    canvas.polygon([(x - 34, top), (x + 34, top), (x + 52, foot), (x - 52, foot)], tower)
    for k, at in enumerate((400.0, 500.0, 600.0)):
        canvas.box(x - 8 + 6 * k, at, 13, 22, (40, 48, 66))
    canvas.box(x - 9, foot - 40, 20, 40, (60, 40, 36))
    canvas.box(x - 46, top - 8, 92, 9, (52, 54, 64))
    canvas.disc(x, top - 34, 64, (255, 240, 214), 0.45, 26)
    canvas.box(x - 24, top - 62, 48, 55, across((180, 206, 220), (255, 246, 206), x - 24, x + 24))
    canvas.disc(x, top - 34, 10, (255, 250, 214))
    for k in range(7):
        canvas.line([(x - 24 + 8 * k, top - 62), (x - 24 + 8 * k, top - 8)], 1.6, (60, 40, 44))
    canvas.disc(x, top - 62, 28, (196, 30, 38), ry=24)
    canvas.box(x - 30, top - 64, 60, 5, (130, 22, 30))
    canvas.line([(x, top - 116), (x, top - 84)], 2, (50, 50, 60))
    for k in range(13):
        canvas.line([(x - 46 + 92 * k / 12, top - 8), (x - 46 + 92 * k / 12, top - 26)], 1.2, (44, 46, 56))
    canvas.line([(x - 46, top - 26), (x + 46, top - 26)], 1.6, (44, 46, 56))
    canvas.box(x - 150, foot - 28, 76, 34, plaster((244, 238, 226), 9))
    canvas.polygon(
        [(x - 156, foot - 26), (x - 140, foot - 50), (x - 84, foot - 50), (x - 68, foot - 26)],
        tiles((180, 76, 54), 3, 7),
    )
    window(canvas, x - 138, foot - 20, 16, 16, None, lit=True)
    window(canvas, x - 104, foot - 20, 16, 16, None, lit=True)


# -- water and boats --------------------------------------------------------------------------------------------------


def still_water(canvas: Canvas) -> None:
    """Turn all that lies above the water upside down into it."""
    first = round(WATER * FINE)
    rows = np.arange(HEIGHT * FINE - first)
    depth = rows / rows[-1]
    source = np.clip(first - 1 - (rows * (1 - 0.12 * depth)).astype(int), 0, first - 1)
    canvas.samples[first:] = canvas.samples[source]


def ripple(canvas: Canvas) -> None:
    """Break the mirror image into waves that grow towards the front, tint it, and let the sun glitter on it."""
    first = round(WATER * FINE)
    y = np.arange(canvas.samples.shape[0] - first, dtype=np.float32)[:, None] / FINE + 1
    x = np.arange(WIDTH * FINE, dtype=np.float32)[None, :] / FINE
    near = y / (HEIGHT - WATER)
    u, v = x / (0.35 + 1.5 * near), 240 * np.log(0.12 + near)  # waves get larger and further apart in front
    wave = noise(u * 0.32, v, 16, 4, 12) - 0.5
    swell = noise(u * 0.25 + 90, v, 42, 3, 13) - 0.5
    dx = (wave * 26 + swell * 22) * (0.25 + near)
    dy = (wave * 60 + swell * 40) * (0.15 + near)
    column = np.clip(np.round((x + dx) * FINE), 0, WIDTH * FINE - 1).astype(int)
    row = np.clip(np.round((y + dy) * FINE), 0, len(y) - 1).astype(int)
    water = canvas.samples[first:]
    deep = mix((34, 78, 104), (16, 46, 72), near + 0 * x)
    seen = mix(water[row, column], deep, 0.26 + 0.3 * near + 0.5 * np.clip(wave + 0.1, -0.2, 0.5))
    crest = smoothstep(0.12, 0.3, wave + 0.3 * swell)
    seen = mix(seen, (214, 222, 226), 0.34 * crest)
    path = np.exp(-(((x - SUN[0] - 40 * swell) / (46 + 190 * near)) ** 2)) * smoothstep(0.02, 0.2, wave + 0.12)
    canvas.samples[first:] = mix(seen, (255, 236, 190), np.clip(0.85 * path * (1 - 0.4 * near), 0, 1))


def boats(canvas: Canvas) -> None:
    """All boats, the far ones first."""
    fleet: list[tuple[float, Callable[[], None]]] = [
        (WATER + 10, lambda: yacht(canvas, 1410, WATER + 10, 76, (255, 244, 226))),
        (WATER + 18, lambda: yacht(canvas, 1850, WATER + 18, 92, (240, 120, 60))),
        (WATER + 6, lambda: yacht(canvas, 1512, WATER + 6, 50, (250, 230, 200))),
        (WATER + 44, lambda: rowing_boat(canvas, 180, WATER + 44, 62, (30, 130, 120))),
        (WATER + 38, lambda: rowing_boat(canvas, 420, WATER + 38, 58, (214, 60, 44))),
        (WATER + 62, lambda: rowing_boat(canvas, 640, WATER + 62, 72, (246, 196, 40), "Pip")),
        (SHIP, lambda: ship(canvas)),
        (1096, lambda: rowing_boat(canvas, 1650, 1096, 140, (196, 36, 44), "DAISY")),
    ]
    for line, draw in fleet:
        canvas.mirror = line
        draw()
    canvas.mirror = None
    ripple(canvas)
    for _, draw in fleet:
        draw()


# -- in front ---------------------------------------------------------------------------------------------------------


def pier(canvas: Canvas) -> None:
    """Planks that run towards the beholder, a beam at their end, and the railing."""

    boards = wood((190, 152, 118), 14, 46, upright=True)

    def planks(x: Plane, y: Plane) -> Any:
        depth = 420 / (y - PIER + 300)
        return boards((x - WIDTH * 0.45) * depth, 900 * depth + 0 * x)

    canvas.box(0, PIER, WIDTH, HEIGHT - PIER, planks)
    canvas.box(0, PIER - 4, WIDTH, 16, wood((150, 112, 84), 15))
    canvas.box(0, PIER + 12, WIDTH, 10, (20, 16, 26), 0.4, 4)
    for k, x in enumerate((612.0, 860.0, 1108.0, 1356.0)):
        if k:
            for sag in (20.0, 44.0):
                canvas.line(bent((x - 248, PIER - 62 + sag), (x, PIER - 62 + sag), 14), 3.2, (66, 58, 54))
        canvas.box(x - 9, PIER - 74, 18, 104, across((66, 66, 76), (156, 150, 146), x - 9, x + 9))
        canvas.disc(x, PIER - 78, 12, across((80, 80, 90), (190, 184, 178), x - 12, x + 12))


TIMES = (
    ("07:40", "Little Skerry", "1"), ("09:15", "Gull Island", "2"), ("10:50", "Old Mill Bay", "1"),
    ("12:25", "Northgate", "3"), ("14:05", "Little Skerry", "1"), ("16:30", "Gull Island", "2"),
    ("18:45", "Old Mill Bay", "1"),
)  # fmt: skip
INK: Colour = (26, 34, 54)


def timetable(canvas: Canvas, x: float, y: float) -> None:
    """A sheet of 236 × 322 with lines of text from large to tiny."""
    canvas.box(x, y, 236, 322, down((255, 253, 244), (244, 236, 218), y, y + 322))
    canvas.box(x, y, 236, 52, (18, 62, 124))
    canvas.text(x + 118, y + 27, "FERRIES", 36, (255, 250, 236), anchor="mm", bold=0.6)
    canvas.text(x + 14, y + 70, "Departures", 21, (190, 30, 38))
    canvas.text(x + 222, y + 71, "Pier", 14, INK, anchor="rm")
    for k, (time, place, number) in enumerate(TIMES):
        at = y + 96 + 22 * k
        if k % 2 == 0:
            canvas.box(x + 8, at - 11, 220, 22, (224, 232, 240))
        canvas.text(x + 14, at, time, 16, INK)
        canvas.text(x + 74, at, place, 16, INK)
        canvas.text(x + 220, at, number, 16, INK, anchor="rm")
    canvas.line([(x + 12, y + 246), (x + 224, y + 246)], 1, INK)
    canvas.text(x + 14, y + 260, "Bicycles travel free of charge.", 13, INK)
    canvas.text(x + 14, y + 278, "No sailings when the red lamp is lit.", 12, INK)
    canvas.text(x + 14, y + 294, "Tickets on board or at the office, 7 to 19.", 10, INK)
    canvas.text(x + 14, y + 308, "Please leave no luggage on the pier.", 8, INK)


def chart(canvas: Canvas, x: float, y: float) -> None:
    """A sea chart of 190 × 200: contour lines, land, soundings and a rose of thin lines."""

    def sheet(u: Plane, v: Plane) -> Any:
        height = noise(u - x, v - y, 92, 3, 31)
        colour = mix((172, 212, 226), (226, 240, 240), smoothstep(0.3, 0.56, height))
        colour = mix(colour, (238, 216, 150), smoothstep(0.566, 0.574, height))
        steepness = np.hypot(*np.gradient(height)) + 1e-5
        line = np.abs((height * 22 + 0.5) % 1 - 0.5) / (22 * steepness) < 1.1
        return mix(colour, (60, 84, 110), 0.75 * line)

    canvas.box(x, y, 190, 200, (250, 246, 234))
    canvas.box(x + 8, y + 8, 174, 184, sheet)
    cx, cy = x + 122, y + 132
    for k in range(32):
        c, s = math.cos(math.pi * k / 16), math.sin(math.pi * k / 16)
        canvas.line([(cx + 12 * c, cy + 12 * s), (cx + 52 * c, cy + 52 * s)], 1.0, (176, 40, 60))
    canvas.disc(cx, cy, 17, (250, 246, 234))
    for k in range(8):
        a, long = math.pi * k / 4, 24 if k % 2 == 0 else 14
        tip = (cx + long * math.sin(a), cy - long * math.cos(a))
        for side, colour in ((1, (26, 34, 54)), (-1, (214, 160, 40))):
            hip = (cx + side * 6 * math.cos(a - side * 0.6), cy + side * 6 * math.sin(a - side * 0.6))
            canvas.polygon([(cx, cy), tip, hip], colour)
    canvas.box(x + 14, y + 13, 106, 20, (250, 246, 234))
    canvas.text(x + 67, y + 23, "Skerry Sound", 16, INK, anchor="mm")
    for k in range(12):
        canvas.text(x + 22 + 37 * (k % 4), y + 48 + 52 * (k // 4), str(7 + k * 5 % 17), 9, INK, anchor="mm")


def notice_board(canvas: Canvas) -> None:
    """The board on the pier with the timetable, the chart and a card."""
    x, y = 48.0, 856.0
    for post in (x + 30, x + 446):
        canvas.box(post, y + 340, 26, 150, wood((122, 84, 56), 6, upright=True))
    canvas.polygon(
        [(x + 20, HEIGHT), (x + 540, HEIGHT), (x + 520, HEIGHT - 36), (x + 40, HEIGHT - 36)], (20, 14, 22), 0.35, 12
    )
    canvas.box(x - 6, y - 10, 516, 376, (0, 0, 0), 0.3, 8)
    canvas.box(x - 10, y - 14, 512, 374, wood((140, 92, 56), 7, 30))
    canvas.box(x + 6, y + 2, 480, 342, lambda u, v: mix((36, 74, 60), (54, 98, 80), noise(u, v, 7, 3, 9)))
    eaves, top = ((x - 34, y - 10), (x + 526, y - 10)), (x + 246, y - 58)
    canvas.line([eaves[0], top, eaves[1]], 13, wood((112, 70, 44), 8))
    timetable(canvas, x + 18, y + 12)
    chart(canvas, x + 276, y + 16)
    canvas.polygon([(x + 282, y + 236), (x + 466, y + 230), (x + 470, y + 322), (x + 286, y + 328)], (252, 214, 66))
    canvas.text(x + 376, y + 258, "Boats for hire", 24, (150, 24, 34), anchor="mm", bold=0.4)
    canvas.text(x + 376, y + 284, "one hour 6, half a day 18", 14, INK, anchor="mm")
    canvas.text(x + 376, y + 305, "ask at the red door", 14, INK, anchor="mm")
    for px, py in ((x + 28, y + 20), (x + 246, y + 20), (x + 284, y + 24), (x + 458, y + 24), (x + 376, y + 240)):
        canvas.disc(px, py, 4.5, (226, 36, 46))
        canvas.disc(px - 1.2, py - 1.5, 1.5, (255, 200, 190))


def flowers(canvas: Canvas) -> None:
    """A tub of flowers on the pier."""
    x, y, rng = 1700.0, 1190.0, np.random.default_rng(77)
    canvas.disc(x, HEIGHT - 4, 190, (20, 14, 22), 0.4, 12, ry=18)
    canvas.polygon(
        [(x - 170, y), (x + 170, y), (x + 140, HEIGHT), (x - 140, HEIGHT)], wood((164, 106, 66), 11, 28, upright=True)
    )
    for drop in (24.0, 84.0):
        half = 171 - 30 * drop / (HEIGHT - y)
        canvas.box(x - half, y + drop, 2 * half, 12, across((44, 44, 54), (126, 122, 124), x - half, x + half))
    for k in range(90):
        a, r = rng.uniform(math.pi, 2 * math.pi), math.sqrt(rng.random())
        at = (x + 180 * r * math.cos(a), y + 8 + 96 * r * math.sin(a))
        canvas.disc(*at, rng.uniform(18, 32), leaves((14, 52, 26), (124, 186, 62), k, 16), ry=rng.uniform(10, 20))
    colours: tuple[Colour, ...] = ((232, 24, 60), (250, 70, 150), (255, 190, 20), (250, 250, 250), (150, 50, 200))
    for k in range(64):
        a, r = rng.uniform(math.pi, 2 * math.pi), math.sqrt(rng.random())
        cx, cy, size = x + 172 * r * math.cos(a), y + 88 * r * math.sin(a), rng.uniform(7, 12)
        colour = colours[k % 5]
        for petal in range(5):
            t = 2 * math.pi * petal / 5 + k
            canvas.disc(
                cx + size * 0.62 * math.cos(t),
                cy + size * 0.62 * math.sin(t),
                size * 0.5,
                mix(colour, (40, 0, 30), 0.12 * (petal % 3)),
            )
        canvas.disc(cx, cy, size * 0.3, (255, 224, 80) if k % 5 != 2 else (150, 70, 20))


def gulls(canvas: Canvas) -> None:
    """Birds over the harbour."""
    for x, y, size, turn in (
        (300, 150, 30, 0.2),
        (420, 214, 21, -0.1),
        (820, 130, 24, 0.1),
        (1500, 178, 34, -0.2),
        (1388, 250, 18, 0.15),
    ):
        for side in (-1, 1):
            tip = (x + side * size, y - size * (0.32 + turn * side))
            wing = curve([(x, y), (x + side * size * 0.4, y - size * 0.75), tip])
            canvas.polygon(
                [*wing, *curve([tip, (x + side * size * 0.45, y - size * 0.42), (x, y + size * 0.16)])], (250, 248, 244)
            )
            canvas.line(wing[-9:], 2.2, (60, 62, 72))
        canvas.disc(x, y + size * 0.06, size * 0.2, (250, 248, 244), ry=size * 0.1)


def scene() -> NDArray[np.uint8]:
    """The large picture, HEIGHT × WIDTH × 3."""
    canvas = Canvas()
    for layer in (sky, hills, town, lighthouse, still_water, boats, gulls, pier, notice_board, flowers):
        layer(canvas)
    return canvas.picture()


def main() -> None:
    """Draw, reduce and write."""
    parser = argparse.ArgumentParser(description="Draw the sample picture.")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("scene.png"), help="the reduced picture")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="write the large picture to FILE as well")
    args = parser.parse_args()
    large = scene()
    if args.truth:
        Image.fromarray(large).save(args.truth, optimize=True)
    Image.fromarray(resize(large, HEIGHT // SCALE, WIDTH // SCALE)).save(args.out, optimize=True)
    print(f"{args.out}: {WIDTH // SCALE}×{HEIGHT // SCALE}, {args.out.stat().st_size // 1000} KB")


if __name__ == "__main__":
    main()
