"""Models on degraded copies of test pictures, in three strengths: PSNR, SSIM, NIQE, seconds and the contest's score.

`--data` is the folder that holds test/. Copies are made by `training.degrade` from the seed and each picture's name, as
`edgelift degrade` makes them, in a folder that is removed afterwards (`--keep` names one that stays). Everything is compared
at the scale of `--scale`; models are named as for `edgelift evaluate`, so that `A:0.5,B:0.5`, `A+tta` and `auto` are measured
too. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from edgelift.core.errors import EdgeliftError, RequestError
from edgelift.evaluate.quality import Problem, Score, evaluate
from edgelift.evaluate.score import contest_score
from edgelift.training.degrade.files import degrade_file, png_of
from edgelift.training.degrade.settings import PRESETS
from edgelift.training.pictures import find_pictures

MODELS = ("lanczos", "abpn-x4", "photo-x4", "auto")
SETS = ("BSD100", "Photos2K")
STRENGTHS = ("light", "medium", "strong")


def degraded(references: Path, folder: Path, strength: str, scale: int, seed: int) -> None:
    """Write the copies of all pictures in `references`."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in find_pictures([references]):
        (folder / f"{path.stem}.png").write_bytes(png_of(degrade_file(path, PRESETS[strength], scale, seed)[0]))


def row(score: Score) -> dict[str, float | None]:
    """The means that the table shows."""
    found = {key: score.mean(key) for key in ("psnr_y", "ssim_y", "niqe", "seconds")}
    niqe, seconds = found["niqe"], found["seconds"]
    return {**found, "score": contest_score(niqe, seconds) if niqe is not None and seconds else None}


def say(problem: Problem) -> None:
    print(f"not measured: {problem.model or ''} {problem.picture or ''} {problem.error}")


def table(title: str, rows: dict[str, dict[str, float | None]]) -> None:
    """Print a Markdown table."""
    print(f"\n{title}\n\n| model | PSNR-Y | SSIM-Y | NIQE | s/picture | score |\n|---|---|---|---|---|---|")
    for name, found in rows.items():
        cells = [
            "–" if (value := found[key]) is None else f"{value:.{digits}f}"
            for key, digits in (("psnr_y", 2), ("ssim_y", 4), ("niqe", 2), ("seconds", 3), ("score", 0))
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--strengths", nargs="+", default=STRENGTHS, choices=STRENGTHS)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="keep the copies here, as SET/STRENGTH/NAME.png")
    args = parser.parse_args()
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in args.sets:
            references = args.data / "test" / name / "HR"
            for strength in args.strengths:
                small = (args.keep or Path(scratch)) / name / strength
                try:
                    degraded(references, small, strength, args.scale, args.seed)
                    measured = evaluate(
                        args.models, references, small, scale=args.scale, rounds=1, threads=args.threads, hear=say
                    )
                except EdgeliftError as exc:
                    raise RequestError(f"{name}: {exc}") from exc
                truth = measured.niqe_of_truth or 0
                title = f"{name}, {strength}, ×{args.scale}, seed {args.seed}; NIQE of the truth {truth:.2f}"
                found[f"{name} {strength}"] = {score.name: row(score) for score in measured.scores}
                table(title, found[f"{name} {strength}"])
    print(json.dumps({"benchmark": "degraded", "scale": args.scale, "seed": args.seed, "sets": found}))


if __name__ == "__main__":
    main()
