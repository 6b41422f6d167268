"""`edgelift sheet`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgelift.cli.show import progress_bar

if TYPE_CHECKING:
    from edgelift.core.errors import EdgeliftError
    from edgelift.evaluate.sheet import Shown
    from edgelift.runtime.suited import SuitedUpscaler
    from edgelift.runtime.upscaler import Upscaler

__all__ = ["sheet"]


def sheet(
    inputs: Annotated[list[Path], typer.Argument(metavar="PICTURES...", help="Small pictures, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.png", help="The sheet to write.")],
    models: Annotated[
        list[str],
        typer.Option("--model", "-m", help="Model, MODEL+tta, A:0.7,B:0.3 or auto; may be given again."),
    ],
    truth: Annotated[
        Path | None,
        typer.Option(
            "--hr", metavar="FOLDER", help="Pictures in full resolution, of the same names: shown too, with PSNR."
        ),
    ] = None,
    scale: Annotated[int | None, typer.Option("--scale", "-s", min=1, help="Else that of the first network.")] = None,
    details: Annotated[int, typer.Option(min=1, max=8, help="Details of each picture.")] = 2,
    most: Annotated[int, typer.Option("--pictures", min=1, help="At most so many, evenly spread.")] = 10,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> int:
    """Draw details side by side: the input, Lanczos, and what models make of it. One PNG to look at."""
    from edgelift.core.errors import EdgeliftError, RequestError
    from edgelift.evaluate.files import write_png
    from edgelift.evaluate.niqe_files import picture_files
    from edgelift.evaluate.sheet import drawn
    from edgelift.io.places import require_free, require_place
    from edgelift.runtime.named import open_named, scale_of_named

    require_place(output)
    if output.suffix.lower() != ".png":
        raise RequestError(f"{output}: a sheet is written as .png; got the suffix {output.suffix!r}")
    files = picture_files(inputs)
    require_free(output, overwrite, *files, *(picture_files([truth]) if truth is not None else ()))
    files = [files[k * len(files) // most] for k in range(most)] if len(files) > most else files
    scales = [found for name in models if (found := scale_of_named(name)) is not None]
    factor = scale or (scales[0] if scales else 2)
    failed: list[EdgeliftError] = []
    done: list[Shown] = []
    with ExitStack() as stack, progress_bar(len(files)) as show:
        opened: dict[str, Upscaler | SuitedUpscaler] = {}
        for name in dict.fromkeys(models):
            stack.callback((made := open_named(name, factor)).close)
            opened[name] = made
        for number, path in enumerate(files):
            show(path.name, number)
            try:
                done.append(_shown(path, opened, truth, factor, details))
            except EdgeliftError as exc:
                failed.append(exc)
                typer.echo("edgelift: " + " ".join(str(exc).split()), err=True)
    if done:
        write_png(drawn(done), output)
        typer.echo(f"{output}: {len(done)} pictures")
    return failed[0].exit_code if failed else 0


def _shown(
    path: Path, opened: dict[str, Upscaler | SuitedUpscaler], truth: Path | None, scale: int, details: int
) -> Shown:
    from edgelift.evaluate.pairs import load_pair, pair_of, read_picture
    from edgelift.evaluate.sheet import shown

    pair = None if truth is None else pair_of(path, truth, scale)
    loaded = None if pair is None else load_pair(pair, scale)
    small = read_picture(path)[0] if loaded is None else loaded.small
    results = {name: upscaler(small) for name, upscaler in opened.items()}
    if loaded is None:
        return shown(path.name, small, results, None, details)
    return shown(path.name, small, results, loaded.truth, details, grey=loaded.grey)
