"""The commands, and what every one of them does with errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
import typer

from edgelift import __version__
from edgelift.cli import devices, export, models, train, upscale
from edgelift.core.errors import EdgeliftError

__all__ = ["app", "run"]

INTERRUPTED = 130

app = typer.Typer(
    name="edgelift", no_args_is_help=True, rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False,
    help="Make pictures larger and sharper, on the hardware at hand.",
)  # fmt: skip


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"edgelift {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    pass


app.command("upscale")(upscale.upscale)
app.add_typer(models.app, name="models")
app.command("devices")(devices.devices)
app.command("train")(train.train)
app.command("export")(export.export)


def run(arguments: Sequence[str]) -> int:
    """Run one command; the exit code. Errors made on purpose become one line each."""
    try:
        code = app(list(arguments), standalone_mode=False, prog_name="edgelift")
    except EdgeliftError as exc:
        return _fail(str(exc), exc.exit_code)
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted; nothing half-written was left", INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int) -> int:
    typer.echo("edgelift: " + " ".join(message.split()), err=True)
    return code
