"""`edgelift toolchain install`, `list` and `remove`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    rich_markup_mode=None,
    help="Install, list or remove vendors' tool chains, which some targets need.",
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the tool chain: sophon.")]


@app.command("install")
def install(
    name: Name,
    python: Annotated[
        Path | None,
        typer.Option("--python", metavar="FILE", help="The interpreter, where none is found or another is wanted."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Replace an installation.")] = False,
) -> None:
    """Install a tool chain into the user's data folder, in an environment of its own; each step is printed."""
    from edgelift.toolchain.chain import load_chain
    from edgelift.toolchain.install import install as do

    do(load_chain(name), python=python, again=again, report=typer.echo)


@app.command("list")
def list_chains() -> None:
    """List the tool chains that edgelift knows, and what is installed."""
    from edgelift.toolchain.chain import CHAINS, load_chain

    for name in CHAINS:
        chain = load_chain(name)
        typer.echo(f"{name}  {chain.title}, Python {chain.python}, {chain.gigabytes:g} GB  {chain.state().words}")


@app.command("remove")
def remove(name: Name) -> None:
    """Delete a tool chain."""
    from edgelift.toolchain.chain import load_chain
    from edgelift.toolchain.install import remove as do

    chain = load_chain(name)
    typer.echo(f"{name}: removed from {chain.folder}" if do(chain) else f"{name}: was not installed")
