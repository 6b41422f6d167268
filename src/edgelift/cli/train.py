"""`edgelift train`."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgelift.training.loop import Progress

__all__ = ["first_weights", "require_checkpoint_place", "require_torch", "show", "stop_on_signals", "train"]


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="What to train, and how.")],
    data: Annotated[list[Path], typer.Option("--data", help="Folder of pictures; may be given several times.")],
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Fit the schedule to this time instead of the steps.")
    ] = None,
    run: Annotated[Path | None, typer.Option("--run", help="Folder of the run; runs/NAME where none is given.")] = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda.")] = "cpu",
    start: Annotated[
        str | None, typer.Option("--start", help="Checkpoint (.pt) or float bundle whose matching weights are used.")
    ] = None,
    quantize: Annotated[
        bool, typer.Option("--quantize", help="Learn weights and ranges for INT8, from the recipe's float weights.")
    ] = False,
    log: Annotated[
        Path | None, typer.Option("--log", help="Append a line on this run to a table in this file.")
    ] = None,
) -> None:
    """Train a network from a recipe; the same command goes on with a run that was stopped."""
    require_torch()
    from edgelift.training import loop
    from edgelift.training.log import RunLog
    from edgelift.training.origin import start_of
    from edgelift.training.recipe import load_recipe, quantisation_of

    plan = quantisation_of(load_recipe(recipe)) if quantize else load_recipe(recipe)
    stop = stop_on_signals()
    folder = run or Path("runs") / plan.name
    noted = RunLog(log, plan, folder) if log is not None else contextlib.nullcontext()
    with noted, first_weights(start) if start else contextlib.nullcontext(start_of(plan, folder)) as first:
        best = loop.train(
            plan, data, folder, minutes=minutes, device=device, start=first, report=show,
            say=lambda words: typer.echo(words, err=True), stop=stop,
        )  # fmt: skip
    show(None)
    typer.echo(f"best validation PSNR-Y {best.meta['best_psnr_y']:.3f} dB; weights in {folder / 'best.pt'}")
    typer.echo(f"make a bundle of it: edgelift export {folder / 'best.pt'} -o {plan.name}.onnx")


def stop_on_signals() -> Callable[[], bool]:
    """From now on SIGINT and SIGTERM ask for a stop at the next step, where the state can be saved; a second ends at once."""
    asked: list[int] = []

    def ask(number: int, _: object) -> None:
        asked.append(number)
        signal.signal(number, signal.default_int_handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(number, ask)
    return lambda: bool(asked)


@contextlib.contextmanager
def first_weights(model: str) -> Iterator[Path]:
    """The checkpoint `model`, or one made of the float bundle that it names, for as long as it is needed."""
    if model.endswith(".pt"):
        yield Path(model)
        return
    from edgelift.forge.bundles import network_from
    from edgelift.io.bundle import find_bundle, read_bundle
    from edgelift.training.checkpoint import Checkpoint

    bundle = read_bundle(find_bundle(model))
    with tempfile.TemporaryDirectory(prefix="edgelift-") as folder:
        path = Path(folder) / bundle.spec.name / "best.pt"
        recipe = bundle.spec.training.get("recipe")
        facts = {"step": 0} if recipe is None else {"step": 0, "recipe": recipe}
        Checkpoint(network_from(bundle).state_dict(), facts).save(path)
        yield path


def show(progress: Progress | None) -> None:
    """One line that is rewritten on a terminal; a line for each validation in a pipe."""
    terminal = sys.stderr.isatty()
    if progress is None:
        if terminal:
            typer.echo(err=True)
        return
    if progress.score is None and not terminal:
        return
    words = f"step {progress.step}  {progress.done:.1%}  loss {progress.loss:.5f}  {progress.seconds_left / 60:.1f} min left"
    if progress.score is not None:
        words += f"  validation {progress.score.psnr_y:.3f} dB{progress.widths}, RGB {progress.score.psnr_rgb:.3f}"
    typer.echo(("\r\x1b[K" if terminal else "") + words, err=True, nl=progress.score is not None)


def require_torch() -> None:
    """Raise `EngineMissingError` where the build half cannot run."""
    from edgelift.core.errors import EngineMissingError

    if importlib.util.find_spec("torch") is None:
        raise EngineMissingError("PyTorch is not installed; pip install 'edgelift[train]'")


def require_checkpoint_place(output: Path, overwrite: bool, *sources: Path) -> None:
    """Raise `RequestError` where `output` is no name for a checkpoint, `OutputError` where it or its facts cannot stand there."""
    from edgelift.core.errors import RequestError
    from edgelift.io.places import require_free

    if output.suffix != ".pt":
        raise RequestError(f"{output}: a checkpoint's name ends in .pt")
    for place in (output, output.with_suffix(".json")):
        require_free(place, overwrite, *sources)
