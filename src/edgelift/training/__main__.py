"""`python -m edgelift.training`: train where only torch, numpy and Pillow are installed, without the command line's packages."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edgelift.core.errors import EdgeliftError
from edgelift.training.loop import Progress, train
from edgelift.training.origin import start_of
from edgelift.training.recipe import load_recipe


def _show(progress: Progress) -> None:
    if progress.score is not None:
        print(
            f"step {progress.step}  {progress.done:.1%}  loss {progress.loss:.5f}  "
            f"{progress.score.psnr_y:.3f} dB{progress.widths}  RGB {progress.score.psnr_rgb:.3f}  "
            f"{progress.seconds_left / 60:.1f} min left",
            flush=True,
        )


def main() -> int:
    """Train; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m edgelift.training", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--start", type=Path)
    args = parser.parse_args()
    try:
        recipe = load_recipe(args.recipe)
        run = args.run or Path("runs") / recipe.name
        start = args.start or start_of(recipe, run)
        train(recipe, args.data, run, minutes=args.minutes, device=args.device, start=start, report=_show)
    except EdgeliftError as exc:
        print(f"edgelift: {exc}", file=sys.stderr)
        return exc.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
