"""Noise and JPEG: how near the estimates come to what was done to pictures, and the best weight of a network that removes both.

`--data` is the folder that holds train/: of its pictures some are taken, evenly spread (`--part test`: of test/). Each is
reduced (by 2 if it is large), given Gaussian noise in colour, and compressed (4:2:0, moved against the grid of blocks by a crop).
`--denoise CLEAN REAL` runs two networks of one scale on such copies of reductions, and prints the weight of REAL at which the
blend of both is nearest to the truth, in closed form, beside the one that `auto` takes, and the PSNR-Y of each, without a border
as wide as the scale.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelift import Upscaler
from edgelift.core.image import luma, shave
from edgelift.core.resize import resize
from edgelift.runtime.look.look import look_at_array
from edgelift.training.degrade.codecs import jpeg
from edgelift.training.pictures import find_pictures, read_rgb

NOISE = (0, 2, 5, 10, 20)
QUALITY = (100, 95, 90, 75, 50, 30)
FOLDERS = {
    "train": (("Drawn", 4), ("Photos2K", 5), ("BSDS400", 10), ("SunHays80", 5)),
    "test": (("Drawn/HR", 2), ("Photos2K/HR", 2), ("BSD100/HR", 10)),
}
"""Of each part: folders, and how many of their pictures are taken."""
LARGE = 900
SHIFT = (3, 5)
"""Rows and columns that are cut away after compression."""

Bytes = NDArray[np.uint8]


def pictures(data: Path, part: str) -> Iterator[Bytes]:
    for folder, count in FOLDERS[part]:
        found = find_pictures([data / part / folder])
        for path in (found[k * len(found) // count] for k in range(count)):
            picture = read_rgb(path)
            yield resize(picture, *(n // 2 for n in picture.shape[:2])) if max(picture.shape) > LARGE else picture


def degraded(picture: Bytes, sigma: float, quality: int, rng: np.random.Generator, *, cut: bool) -> Bytes:
    noisy = np.clip(np.rint(picture + rng.normal(0, sigma, picture.shape)), 0, 255).astype(np.uint8)
    if quality == 100:
        return noisy if sigma else picture
    packed = jpeg(noisy, quality, halved=True)
    return packed[SHIFT[0] :, SHIFT[1] :] if cut else packed


def spread(values: list[float], digits: str) -> str:
    return ", ".join(f"{value:{digits}}" for value in np.percentile(values, [10, 50, 90]))


def estimates(data: Path, part: str) -> None:
    """Print a Markdown table: tenth, half and nine tenths of the pictures are below."""
    print("| noise | quality | noise found | quality found |\n|---|---|---|---|")
    found: dict[tuple[int, int], list[tuple[float, float]]] = {}
    rng = np.random.default_rng(0)
    for picture in pictures(data, part):
        for sigma in NOISE:
            for quality in QUALITY:
                seen = look_at_array(degraded(picture, sigma, quality, rng, cut=True))
                found.setdefault((sigma, quality), []).append((seen.noise, seen.jpeg))
    for (sigma, quality), values in found.items():
        noise, levels = zip(*values, strict=True)
        print(f"| {sigma} | {quality} | {spread(list(noise), '.1f')} | {spread(list(levels), '.0f')} |")


def weights(data: Path, part: str, clean: str, real: str) -> None:
    """Print the best weight of `real`, that of `auto`, and what they and each network alone come to."""
    found: dict[tuple[int, int], list[tuple[float, ...]]] = {}
    rng = np.random.default_rng(0)
    with Upscaler(clean) as sharp, Upscaler(real) as smooth:
        scale = int(sharp.scale)
        for picture in pictures(data, part):
            height, width = (n // scale for n in picture.shape[:2])
            truth = picture[: height * scale, : width * scale]
            low = resize(truth, height, width)
            for sigma in NOISE:
                for quality in QUALITY:
                    given = degraded(low, sigma, quality, rng, cut=False)
                    a, b, y = (shave(luma(p), scale) for p in (sharp(given), smooth(given), truth))
                    best = float(np.clip(((y - a) * (b - a)).mean() / max(1e-9, float(((b - a) ** 2).mean())), 0, 1))
                    taken = look_at_array(given).denoise
                    shares = (0.0, 1.0, best, taken)
                    decibels = (10 * np.log10(255**2 / ((y - a - w * (b - a)) ** 2).mean()) for w in shares)
                    found.setdefault((sigma, quality), []).append((best, taken, *map(float, decibels)))
    print(f"| noise | quality | best weight of {real} | auto's | {clean} | {real} | best blend | auto |")
    print("|---|---|---|---|---|---|---|---|")
    for (sigma, quality), rows in found.items():
        table = np.array(rows)
        means = " | ".join(f"{value:.2f}" for value in table[:, 2:].mean(0))
        both = f"{spread(list(table[:, 0]), '.2f')} | {spread(list(table[:, 1]), '.2f')}"
        print(f"| {sigma} | {quality} | {both} | {means} |")
    means = " | ".join(
        f"{value:.2f}" for value in np.concatenate([np.array(rows) for rows in found.values()])[:, 2:].mean(0)
    )
    print(f"| mean | | | | {means} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=FOLDERS, default="train")
    parser.add_argument("--denoise", nargs=2, metavar=("CLEAN", "REAL"))
    args = parser.parse_args()
    if args.denoise:
        weights(args.data, args.part, *args.denoise)
    else:
        estimates(args.data, args.part)


if __name__ == "__main__":
    main()
