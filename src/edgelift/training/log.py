"""The training log: a Markdown table with a line for every run, also for those that failed or did not help."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from types import TracebackType
from typing import Any

from edgelift.training.recipe import Recipe

__all__ = ["RunLog"]

HEADER = """# Training log

One line a run, added by `edgelift train --log`; what failed or did not help stays. PSNR-Y in dB on the validation split.

| date | recipe | steps | minutes | device | validation | how it ended |
|---|---|---|---|---|---|---|
"""


class RunLog:
    """Around a run of `recipe` in the folder `run`: appends a line on it to the table in `path`, however it ends.

    The table is made where it is missing. A command that ended by an error has figures only where it saved something itself.
    """

    def __init__(self, path: Path, recipe: Recipe, run: Path) -> None:
        self.path, self.recipe, self.run = path, recipe, run
        self.began = datetime.date.today().isoformat()
        self.before = self._facts()

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        facts = self._facts()
        ending = "finished" if error is None else str(error) or type(error).__name__
        self._append({} if error is not None and facts == self.before else json.loads(facts or "{}"), ending)

    def _facts(self) -> str:
        facts = self.run / "last.json"
        return facts.read_text(encoding="utf-8") if facts.exists() else ""

    def _append(self, meta: dict[str, Any], ending: str) -> None:
        best = meta.get("best_psnr_y")
        cells = [
            self.began, self.recipe.name, str(meta.get("step", 0)), f"{meta.get('seconds', 0) / 60:.1f}",
            str(meta.get("device", "–")), f"{best:.3f}" if best is not None else "–",
            " ".join(ending.split()).replace("|", "/"),
        ]  # fmt: skip
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else HEADER
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(text.rstrip("\n") + "\n| " + " | ".join(cells) + " |\n", encoding="utf-8")
