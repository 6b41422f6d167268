"""Where the first weights of a run come from, by its recipe, and what they have seen of its validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgelift.core.errors import TrainingError
from edgelift.training.recipe import DataPart, Recipe

__all__ = ["seen_before", "start_of"]


def start_of(recipe: Recipe, run: Path) -> Path | None:
    """The best checkpoint of the recipe that `recipe` starts from, beside its own folder `run`.

    None where it starts from nothing, or has begun already. Raises `TrainingError` where the checkpoint is not there.
    """
    if not recipe.train.start or (run / "last.pt").exists():
        return None
    found = run.parent / recipe.train.start / "best.pt"
    if not found.exists():
        raise TrainingError(
            f"{recipe.name} starts from {recipe.train.start}, but {found} is not there; train that first or give --start"
        )
    return found


def seen_before(recipe: Recipe, facts: dict[str, Any]) -> bool:
    """Whether a checkpoint with these facts may have been trained on pictures that `recipe` sets aside for validation.

    Pictures are ranked by their names, so that of the same folder fewer are among more. Of facts that name no recipe nothing
    is known, and nothing said.
    """
    theirs, own = facts.get("recipe", {}).get("data"), recipe.data
    if theirs is None:
        return False
    fewer: bool = theirs.get("validation", DataPart.validation) < own.validation
    return fewer or theirs.get("validation_folder", "") != own.validation_folder
