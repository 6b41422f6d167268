"""`edgelift scenes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgelift.cli.degrade import require_pillow
from edgelift.cli.show import progress_bar

__all__ = ["scenes"]


def scenes(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the pictures, made if missing.")
    ],
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    side: Annotated[int, typer.Option(min=16, max=4096, help="Of a picture, in pixels.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Make up drawings to train with: shapes, outlines, lettering, hatching, dots and brushwork, by chance.

    DIR/0000.png and so on. The same seed and side give the same pictures.
    """
    from edgelift.io.places import fill, make_folder, place_for
    from edgelift.training.degrade.files import png_of
    from edgelift.training.scenes import scene

    require_pillow()
    make_folder(output)
    with progress_bar(count) as show:
        for number in range(count):
            path = output / f"{number:04}.png"
            show(path.name, number)
            fill((place_for(path, None, overwrite), png_of(scene(seed, number, side))))
    typer.echo(f"{output}: {count} pictures of {side}×{side} pixels, seed {seed}")
