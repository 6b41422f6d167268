"""The training log: a Markdown table with a line for every run, also for those that failed or did not help."""

from __future__ import annotations

import json
from pathlib import Path

from edgelift.training.recipe import Recipe

__all__ = ["append_run"]

HEADER = """# Training log

One line a run, added by `edgelift train --log`; what failed or did not help stays. PSNR-Y in dB on the validation split.

| date | recipe | steps | minutes | device | validation | how it ended |
|---|---|---|---|---|---|---|
"""


def append_run(path: Path, date: str, recipe: Recipe, run: Path, ending: str) -> None:
    """Append a line on the run in the folder `run` to the table in `path`, which is made where it is missing."""
    facts = run / "last.json"
    meta = json.loads(facts.read_text(encoding="utf-8")) if facts.exists() else {}
    best = meta.get("best_psnr_y")
    cells = [
        date, recipe.name, str(meta.get("step", 0)), f"{meta.get('seconds', 0) / 60:.1f}", str(meta.get("device", "–")),
        f"{best:.3f}" if best is not None else "–", " ".join(ending.split()).replace("|", "/"),
    ]  # fmt: skip
    text = path.read_text(encoding="utf-8") if path.exists() else HEADER
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip("\n") + "\n| " + " | ".join(cells) + " |\n", encoding="utf-8")
