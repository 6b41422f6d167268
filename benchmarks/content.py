"""Photographed or drawn: fits the classifier, and says how often it is right on pictures that it was not fitted to.

`--data` is the folder that holds train/ and test/, with Drawn, Photos2K, BSDS400, SunHays80 and BSD100 in them. Each picture
counts as it is, half and a quarter as large (where it is large), and degraded: JPEG of quality 30, noise of 15 levels, blur of
1.5 pixels. Leave-one-out: for each picture a classifier is fitted to all the others, in all their forms, and asked. `--write`
fits one to the train part alone and puts it into the package.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from edgelift.runtime.look import content
from edgelift.runtime.look.content import Classifier, features_of
from edgelift.runtime.look.sample import sample_of
from edgelift.training.degrade.codecs import jpeg

FOLDERS = {
    "train/Drawn": True, "test/Drawn/HR": True, "train/Photos2K": False, "test/Photos2K/HR": False, "train/BSDS400": False,
    "train/SunHays80": False, "test/BSD100/HR": False,
}  # fmt: skip
FORMS = ("as it is", "half", "quarter", "JPEG 30", "noise 15", "blur 1.5")
LARGE = 900
"""Longest side from which a picture is also taken smaller, and degraded at half its size."""
RIDGE = 1.0
"""Weight of the squared weights, against a likelihood of which each class has 50."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """All forms of all pictures."""

    features: Values
    drawn: NDArray[np.bool_]
    group: NDArray[np.int64]
    """The picture that a form is of."""
    form: NDArray[np.int64]
    train: NDArray[np.bool_]


def forms(path: Path, rng: np.random.Generator) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The picture's forms, each with its number in `FORMS`."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    yield 0, np.asarray(picture)
    if max(picture.size) >= LARGE:
        yield 1, np.asarray(picture.reduce(2))
        yield 2, np.asarray(picture.reduce(4))
        picture = picture.reduce(2)
    plain = np.asarray(picture)
    yield 3, jpeg(plain, 30, halved=True)
    yield 4, np.clip(np.rint(plain + rng.normal(0, 15, plain.shape)), 0, 255).astype(np.uint8)
    yield 5, np.asarray(picture.filter(ImageFilter.GaussianBlur(1.5)))


def look(data: Path) -> Seen:
    rng = np.random.default_rng(0)
    rows: list[tuple[Values, bool, int, int, bool]] = []
    number = seconds = megapixels = 0.0
    for folder, drawn in FOLDERS.items():
        for path in sorted((data / folder).iterdir()):
            for form, picture in forms(path, rng):
                began = time.perf_counter()
                found = features_of(sample_of(lambda a, b, p=picture: p[a:b], *picture.shape[:2]).small)  # type: ignore[misc]
                seconds += time.perf_counter() - began
                megapixels += picture.shape[0] * picture.shape[1] / 1e6
                rows.append((found, drawn, int(number), form, folder.startswith("train")))
            number += 1
    print(f"{len(rows)} forms of {number:.0f} pictures; {seconds / len(rows) * 1e3:.1f} ms each, ", end="")
    print(f"{seconds / megapixels * 1e3:.1f} ms a megapixel\n")
    return Seen(*map(np.array, zip(*rows, strict=True)))


def fit(seen: Seen, chosen: NDArray[np.bool_]) -> Classifier:
    """Logistic regression by Newton's method; each picture counts once, and both classes alike."""
    features, drawn, group = seen.features[chosen], seen.drawn[chosen], seen.group[chosen]
    each = np.bincount(group)[group]
    weight = 1 / each
    for side in (False, True):
        weight[drawn == side] *= 50 / weight[drawn == side].sum()
    mean, spread = features.mean(0), features.std(0) + 1e-9
    design = np.column_stack([(features - mean) / spread, np.ones(len(features))])
    ridge = np.diag([RIDGE] * features.shape[1] + [0.0])
    at = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ at, -30, 30)))
        slope = design.T @ (weight * (p - drawn)) + ridge @ at
        step = np.linalg.solve(design.T @ (design * (weight * p * (1 - p))[:, None]) + ridge, slope)
        at -= step
        if np.abs(step).max() < 1e-9:
            break
    return Classifier(mean, spread, at[:-1], float(at[-1]))


def table(seen: Seen, probability: Values, chosen: NDArray[np.bool_], title: str) -> None:
    """Print a Markdown table of how many are right."""
    right = (probability > 0.5) == seen.drawn
    print(f"{title}\n\n| form | drawn | photographs |\n|---|---|---|")
    for number, name in enumerate(FORMS):
        cells = []
        for side in (True, False):
            rows = right[chosen & (seen.form == number) & (seen.drawn == side)]
            cells.append(f"{rows.sum()} of {len(rows)} ({rows.mean():.0%})" if len(rows) else "–")
        print(f"| {name} | {' | '.join(cells)} |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="put the classifier into the package")
    args = parser.parse_args()
    seen = look(args.data)
    everything = np.ones(len(seen.group), bool)
    left_out = np.empty(len(seen.group))
    for group in np.unique(seen.group):
        mine = seen.group == group
        left_out[mine] = fit(seen, ~mine).drawn(seen.features[mine])
    table(seen, left_out, everything, "Leave-one-out, train and test")
    made = fit(seen, seen.train)
    table(seen, made.drawn(seen.features), ~seen.train, "Fitted to train, asked of test")
    if args.write:
        (Path(content.__file__).parent / "content.json").write_text(made.to_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
