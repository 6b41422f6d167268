"""`edgelift degrade`."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgelift.cli.show import progress_bar

if TYPE_CHECKING:
    from edgelift.core.errors import EdgeliftError
    from edgelift.training.degrade.settings import Degradation

__all__ = ["degrade"]


def degrade(
    inputs: Annotated[list[Path], typer.Argument(metavar="PICTURES...", help="Sharp pictures, or folders of them.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results, made if missing.")
    ],
    recipe: Annotated[
        Path | None, typer.Option("--recipe", metavar="RECIPE.toml", help="Degrade as this recipe's training does.")
    ] = None,
    strength: Annotated[
        str | None, typer.Option(help="light, medium (the default), strong or published, where no recipe is given.")
    ] = None,
    scale: Annotated[
        int | None, typer.Option(min=1, max=8, help="How much smaller the results are; the recipe's, or 4.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of all that is drawn; the recipe's, or 0.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> int:
    """Make bad small pictures of sharp large ones, as training on degraded pairs sees them.

    NAME.png is the result, NAME.json says what was drawn for it. That depends on the seed and the picture's name alone.
    """
    from edgelift.core.errors import EdgeliftError

    require_pillow()
    plan = _plan(recipe, strength, scale, seed)
    pictures = _pictures(inputs, output)
    failed: list[EdgeliftError] = []
    with progress_bar(len(pictures)) as show:
        for number, (source, target) in enumerate(pictures):
            show(source.name, number)
            try:
                _degrade(source, target, plan, overwrite)
            except EdgeliftError as exc:
                failed.append(exc)
                typer.echo("edgelift: " + " ".join(str(exc).split()), err=True)
    skipped = f", {len(failed)} skipped (named above)" if failed else ""
    typer.echo(f"{output}: {len(pictures) - len(failed)} of {len(pictures)} pictures degraded, {plan.words}{skipped}")
    return failed[0].exit_code if failed else 0


@dataclass(frozen=True)
class _Plan:
    settings: Degradation
    scale: int
    seed: int
    words: str


def _plan(recipe: Path | None, strength: str | None, scale: int | None, seed: int | None) -> _Plan:
    from edgelift.core.errors import RequestError
    from edgelift.training.degrade.settings import PRESETS
    from edgelift.training.recipe import load_recipe

    if recipe is None:
        name = strength or "medium"
        if name not in PRESETS:
            raise RequestError(f"no strength is called {name!r}; choose from {', '.join(PRESETS)}")
        size, start = scale or 4, seed or 0
        return _Plan(PRESETS[name], size, start, f"strength {name}, 1/{size} as large, seed {start}")
    if strength is not None:
        raise RequestError("--recipe says how pictures are degraded and --strength too; give one of them")
    read = load_recipe(recipe)
    if read.degrade is None:
        raise RequestError(f"{recipe} has no table [degrade]: its training only reduces pictures; use --strength")
    size = scale or read.network.config.get("scale", 0)
    if not isinstance(size, int) or size < 1:
        raise RequestError(f"{recipe} does not state the network's scale; give it by --scale")
    start = read.train.seed if seed is None else seed
    return _Plan(read.degrade, size, start, f"as in {read.name}, 1/{size} as large, seed {start}")


def _pictures(inputs: list[Path], output: Path) -> list[tuple[Path, Path]]:
    """(file, where its result goes) for all of `inputs`; folders keep their subfolders, and give no results below them."""
    from edgelift.core.errors import InputError, RequestError, TrainingError
    from edgelift.io.folders import outside
    from edgelift.training.pictures import find_pictures

    found: list[tuple[Path, Path]] = []
    for place in inputs:
        if not place.exists():
            raise InputError(f"{place}: no such file or folder; check the name")
        try:
            files = find_pictures([place]) if place.is_dir() else [place]
        except TrainingError as exc:
            raise InputError(str(exc)) from exc
        files = outside(files, place, output)
        base = place if place.is_dir() else place.parent
        found += [(file, output / file.relative_to(base).with_suffix(".png")) for file in files]
    taken: dict[Path, Path] = {}
    for file, target in found:
        if target in taken:
            raise RequestError(f"{taken[target]} and {file} would both become {target}; degrade them apart")
        taken[target] = file
    return found


def _degrade(source: Path, target: Path, plan: _Plan, overwrite: bool) -> None:
    """One picture, and the JSON beside it."""
    from edgelift.io.places import make_folder
    from edgelift.training.degrade.files import degrade_file, png_of
    from edgelift.training.tables import plain_values

    low, facts = degrade_file(source, plan.settings, plan.scale, plan.seed)
    about = {**facts, "scale": plan.scale, "settings": plain_values(plan.settings)}
    make_folder(target.parent)
    text = json.dumps(about, indent=1) + "\n"
    _write(target, png_of(low), source, overwrite)
    _write(target.with_suffix(".json"), text.encode(), source, overwrite)


def _write(path: Path, data: bytes, source: Path, overwrite: bool) -> None:
    from edgelift.io.places import fill, place_for

    fill((place_for(path, source.stat(), overwrite), data))


def require_pillow() -> None:
    """Raise `EngineMissingError` where pictures cannot be degraded."""
    from edgelift.core.errors import EngineMissingError

    if importlib.util.find_spec("PIL") is None:
        raise EngineMissingError("Pillow is not installed; pip install 'edgelift[train]'")
