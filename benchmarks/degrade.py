"""Degradations for training: how near the JPEG of batches is to the real codec, and what a batch costs on the CPU.

`--data` is a folder of pictures (30 of them are taken); without it only the cost is measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.timing import in_turn, show
from edgelift.training.degrade import codecs
from edgelift.training.degrade.batches import MARGIN, DegradedPatches
from edgelift.training.degrade.jpeg import compressed
from edgelift.training.degrade.settings import PRESETS
from edgelift.training.pictures import find_pictures, read_rgb

QUALITIES = (10, 30, 50, 75, 90, 95)
PICTURES = 30


def difference(picture: NDArray[np.uint8], quality: int, halved: bool) -> tuple[float, float]:
    """Mean absolute differences in levels: stand-in to codec, codec to the picture itself."""
    real = codecs.jpeg(picture, quality, halved=halved).astype(np.float32)
    planes = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()
    mine = compressed(planes, torch.tensor([quality]), halved=halved)[0].permute(1, 2, 0).numpy()
    return float(np.abs(mine - real).mean()), float(np.abs(real - picture).mean())


def likeness(pictures: Sequence[NDArray[np.uint8]]) -> None:
    """Print a Markdown table: least, median and greatest difference for each quality."""
    print("| chroma | quality | stand-in to codec: least, median, greatest | codec to picture: least, greatest |")
    print("|---|---|---|---|")
    for halved in (False, True):
        for quality in QUALITIES:
            near, far = zip(*(difference(picture, quality, halved) for picture in pictures), strict=True)
            words = f"{min(near):.2f}, {np.median(near):.2f}, {max(near):.2f} | {min(far):.1f}, {max(far):.1f}"
            print(f"| {'4:2:0' if halved else '4:4:4'} | {quality} | {words} |")


def cost() -> None:
    """Time a batch of 16 patches of 48 pixels at ×4 for each strength."""
    side = (48 + 2 * MARGIN) * 4
    sharp = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (16, 3, side, side), dtype=np.uint8))
    made = {
        name: DegradedPatches(lambda step: sharp, settings, 4, 48, 0, torch.device("cpu"))
        for name, settings in PRESETS.items()
    }
    tasks = {name: (lambda patches=patches: [patches(step) for step in range(2)]) for name, patches in made.items()}
    show("2 batches of 16 patches, 48 × 48 at ×4", in_turn(tasks, 3), "light")  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.data is not None:
        likeness([read_rgb(path) for path in find_pictures([args.data])[:PICTURES]])
    cost()


if __name__ == "__main__":
    main()
