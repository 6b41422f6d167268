"""How much of a network that removes faults `auto` takes: fits the estimator, and says what it loses on other pictures.

`--data` is the folder that holds train/. Of its pictures some are reduced and degraded in the ways that `benchmarks.cases` lists
and run by both networks once. The results are kept in the folder `--keep`, so that a run that was stopped goes on; all of it
takes some fifteen minutes on one idle core. The estimator is fitted so that blends lose as few dB as they can, clean pictures
counting `CLEAN` times. The first table is of pictures that it was not fitted to: each fifth of them is asked of an estimator
that was fitted to the other four. The second is of large pictures as they are, of which no truth is known: how many are given
which weight. They are fitted as if they were as clean as their own reductions. `--write` fits it to all, and puts it into the
package.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import KINDS, cases_of, decibels, files
from edgelift.runtime.look import wanted
from edgelift.runtime.look.look import STEPS
from edgelift.runtime.look.sample import sample_of
from edgelift.runtime.look.traits import traits_of
from edgelift.runtime.look.wanted import FAR, Estimator
from edgelift.training.degrade.codecs import jpeg
from edgelift.training.pictures import read_rgb

FOLDS = 5
UNITS = 16
CLEAN = 4.0
"""How often a case of kind `clean` counts."""
DECAY = 2e-3
"""Weight of half the squared weights, against a mean loss in dB."""
ROUNDS, RATE = 500, 0.02
WEIGHTS = np.arange(STEPS + 1) / STEPS
CAMERA = (100, 95)
"""Qualities of JPEG at which large pictures are taken as they are; 100: uncompressed."""
AS_THEY_ARE = ("SunHays80", "Photos2K", "Drawn")
NATURAL = "as they are"
"""Folders of these pictures, and the kind of their cases: softer than reductions, but no less clean."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """All cases."""

    traits: Values
    errors: Values
    kind: NDArray[np.str_]
    fold: NDArray[np.int64]
    """Cases of one picture are in one fold."""


def traits_in(picture: NDArray[np.uint8]) -> Values:
    return traits_of(sample_of(lambda start, stop: picture[start:stop], *picture.shape[:2]).patches)[1]


def look(data: Path, clean: str, real: str, keep: Path) -> Seen:
    rows: list[tuple[Values, Values, str, int]] = []
    reduced: dict[str, list[Values]] = {}
    for case in cases_of(data, clean, real, keep):
        errors = np.array(case.errors)
        rows.append((traits_in(case.low), errors, case.kind, _fold(case.file)))
        if case.kind == "clean":
            reduced.setdefault(case.file, []).append(errors)
    for path in files(data):
        if path.parent.name in AS_THEY_ARE:
            name, picture = f"{path.parent.name}-{path.stem}", read_rgb(path)
            errors = np.mean(reduced[name], axis=0)  # no truth is known: as of its own reductions
            for quality in CAMERA:
                given = picture if quality == 100 else jpeg(picture, quality, halved=True)
                rows.append((traits_in(given), errors, NATURAL, _fold(name)))
    return Seen(*map(np.array, zip(*rows, strict=True)))


def _fold(file: str) -> int:
    return zlib.crc32(file.encode()) % FOLDS


def fit(traits: Values, errors: Values, counts: Values) -> Estimator:
    """The estimator whose blends lose least, by Adam over all cases at once; `counts`: how often each counts."""
    mean, spread = traits.mean(0), traits.std(0) + 1e-6
    scaled = np.clip((traits - mean) / spread, -FAR, FAR)
    share, size = counts / counts.sum(), traits.shape[1]
    rng = np.random.default_rng(0)
    at = {
        "direct": np.zeros(size), "hidden": rng.normal(0, size**-0.5, (size, UNITS)), "offsets": np.zeros(UNITS),
        "out": rng.normal(0, 0.1, UNITS), "bias": np.zeros(1),
    }  # fmt: skip
    first, second = ({name: np.zeros_like(value) for name, value in at.items()} for _ in range(2))
    for step in range(1, ROUNDS + 1):
        slopes = _slopes(at, scaled, errors, share)
        rate = RATE * min(1.0, 2.02 - 2 * step / ROUNDS)
        for name, slope in slopes.items():
            first[name] = 0.9 * first[name] + 0.1 * slope
            second[name] = 0.999 * second[name] + 0.001 * slope**2
            size_of = np.sqrt(second[name] / (1 - 0.999**step)) + 1e-8
            at[name] = at[name] - rate * first[name] / (1 - 0.9**step) / size_of
    return Estimator(mean, spread, at["direct"], at["hidden"], at["offsets"], at["out"], float(at["bias"][0]))


def _slopes(at: dict[str, Values], scaled: Values, errors: Values, share: Values) -> dict[str, Values]:
    """Gradients of the mean of 10 log10(squared error of the blend), and of the decay."""
    units = np.tanh(scaled @ at["hidden"] + at["offsets"])
    weight = 1 / (1 + np.exp(-(scaled @ at["direct"] + units @ at["out"] + at["bias"])))
    error = errors[:, 0] - 2 * weight * errors[:, 1] + weight**2 * errors[:, 2] + 0.05
    rise = 2 * (weight * errors[:, 2] - errors[:, 1])
    score = share * 10 / np.log(10) * rise / error * weight * (1 - weight)
    inner = np.outer(score, at["out"]) * (1 - units**2)
    return {
        "direct": scaled.T @ score + DECAY * at["direct"], "hidden": scaled.T @ inner + DECAY * at["hidden"],
        "offsets": inner.sum(0), "out": units.T @ score + DECAY * at["out"], "bias": score.sum(keepdims=True),
    }  # fmt: skip


def counts_of(seen: Seen) -> Values:
    return np.where(seen.kind == "clean", CLEAN, 1.0)


def held_out(seen: Seen) -> Values:
    """For each case the weight that an estimator gives which was fitted to the other folds."""
    found, counts = np.empty(len(seen.kind)), counts_of(seen)
    for fold in range(FOLDS):
        mine = seen.fold == fold
        made = fit(seen.traits[~mine], seen.errors[~mine], counts[~mine])
        found[mine] = made.wanted(seen.traits[mine])
    return found


def table(seen: Seen, weight: Values, clean: str, real: str) -> None:
    """Print a Markdown table of what weights come to."""
    fixed = np.stack([decibels(seen.errors, w) for w in WEIGHTS])
    auto = decibels(seen.errors, np.round(weight * STEPS) / STEPS)
    print(f"| pictures | {clean} | {real} | best weight for all | best for each | auto | loses to the better network |")
    print("|---|---|---|---|---|---|---|")
    for kind in (*KINDS, "all"):
        rows = (seen.kind == kind) | ((kind == "all") & (seen.kind != NATURAL))
        means = fixed[:, rows].mean(1)
        best, taken = int(means.argmax()), auto[rows].mean()
        cells = [f"{means[0]:.2f}", f"{means[-1]:.2f}", f"{means[best]:.2f} at {WEIGHTS[best]:g}"]
        cells += [f"{fixed[:, rows].max(0).mean():.2f}", f"{taken:.2f}", f"{max(means[0], means[-1]) - taken:.2f}"]
        print(f"| {KINDS.get(kind, kind)} | {' | '.join(cells)} |")


def as_they_are(seen: Seen, weight: Values) -> None:
    """Print how many large pictures are given which weight."""
    taken = np.round(weight[seen.kind == NATURAL] * STEPS).astype(int).reshape(-1, len(CAMERA))
    print("\n| as they are, JPEG | " + " | ".join(f"{w:g}" for w in WEIGHTS) + " |\n|---|" + "---|" * len(WEIGHTS))
    for quality, column in zip(CAMERA, taken.T, strict=True):
        print(f"| {quality} | {' | '.join(map(str, np.bincount(column, minlength=STEPS + 1)))} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=["abpn-x4", "photo-x4"], metavar="CLEAN REAL")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True, help="folder for the cases")
    parser.add_argument("--write", action="store_true", help="put the estimator into the package")
    args = parser.parse_args()
    clean, real = args.networks
    seen = look(args.data, clean, real, args.keep)
    print(f"{len(seen.kind)} cases, held out:\n")
    weight = held_out(seen)
    table(seen, weight, clean, real)
    as_they_are(seen, weight)
    made = fit(seen.traits, seen.errors, counts_of(seen))
    if args.write:
        (Path(wanted.__file__).parent / "wanted.json").write_text(made.to_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
