"""Draw docs/images/before-after.png: parts of the sample scene, enlarged three times by bicubic and by edgelift.

Usage: python samples/compare.py [--output FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edgelift import Upscaler

HERE = Path(__file__).resolve().parent
PARTS = ((24, 284, 96, 84), (538, 62, 96, 84), (416, 240, 96, 84))
"""Left, top, width and height of each part, in pixels of the small picture."""
GAP, TITLE, SCALE = 8, 30, 3


def sheet(small: np.ndarray) -> Image.Image:
    """One column a part, one row a method."""
    rows = {
        "bicubic, three times larger": Upscaler("bicubic", scale=SCALE)(small),
        "edgelift (abpn-x3), three times larger": Upscaler("abpn-x3")(small),
    }
    width = sum(SCALE * w + GAP for _, _, w, _ in PARTS) + GAP
    row_height = TITLE + SCALE * PARTS[0][3]
    canvas = Image.new("RGB", (width, row_height * len(rows) + GAP), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=17)
    for k, (title, large) in enumerate(rows.items()):
        pen.text((GAP, k * row_height + 5), title, fill="black", font=font)
        x = GAP
        for left, top, w, h in PARTS:
            box = np.s_[SCALE * top : SCALE * (top + h), SCALE * left : SCALE * (left + w)]
            canvas.paste(Image.fromarray(large[box]), (x, k * row_height + TITLE))
            x += SCALE * w + GAP
    return canvas


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=HERE.parent / "docs" / "images" / "before-after.png")
    output = parser.parse_args().output
    with Image.open(HERE / "scene.png") as scene:
        sheet(np.asarray(scene.convert("RGB"))).save(output, optimize=True)
    print(output)


if __name__ == "__main__":
    main()
