"""The commands, and what every one of them does with errors."""

from __future__ import annotations

import contextlib
import errno
import signal
from collections.abc import Sequence
from typing import cast

import typer

from edgelift import __version__
from edgelift.cli import (
    ablate,
    average,
    check,
    compile,
    degrade,
    devices,
    edge_table,
    evaluate,
    export,
    import_,
    join,
    models,
    niqe,
    plan,
    profile,
    prune,
    scenes,
    score,
    sheet,
    toolchain,
    train,
    upscale,
)
from edgelift.cli.streams import ERRORS, OUTPUT, say, silence
from edgelift.core.errors import EdgeliftError

__all__ = ["app", "run"]

INTERRUPTED = 130
# Typer carries a click of its own in newer versions and uses the installed one in older: take the base it really uses.
_UsageError = cast(
    type[typer.BadParameter], next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
)

app = typer.Typer(
    name="edgelift", rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False,
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
app.command("plan")(plan.plan)
app.add_typer(models.app, name="models")
app.command("evaluate")(evaluate.evaluate)
app.command("niqe")(niqe.niqe)
app.command("score")(score.score)
app.command("sheet")(sheet.sheet)
app.command("profile")(profile.profile)
app.command("edge-table")(edge_table.edge_table)
app.command("devices")(devices.devices)
app.command("degrade")(degrade.degrade)
app.command("scenes")(scenes.scenes)
app.command("train")(train.train)
app.command("ablate")(ablate.ablate)
app.command("prune")(prune.prune)
app.command("average")(average.average)
app.command("join")(join.join)
app.command("export")(export.export)
app.command("import")(import_.import_)
app.command("targets")(compile.targets)
app.command("quantize")(compile.quantize)
app.command("compile")(compile.compile_model)
app.add_typer(toolchain.app, name="toolchain")
app.command("parity")(compile.parity)
app.command("check")(check.check)


def run(arguments: Sequence[str]) -> int:
    """Run one command; the exit code. Errors made on purpose become one line each."""
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = app(list(arguments) or ["--help"], standalone_mode=False, prog_name="edgelift")
    except EdgeliftError as exc:
        return _fail(str(exc), exc.exit_code)
    except typer.Exit as exc:
        return exc.exit_code
    except _UsageError as exc:
        return _fail(f"{exc.format_message().rstrip('.')}; see edgelift --help", 2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except SystemExit as exc:  # which newer typers make of an interruption, and of a pipe that nobody reads
        if isinstance(exc.__context__, BrokenPipeError):
            return _unheard()
        if exc.code != INTERRUPTED:
            raise
        code = INTERRUPTED
    except BrokenPipeError:
        return _unheard()
    except OSError as exc:
        if exc.errno != errno.ENAMETOOLONG:
            raise
        return _fail(f"{exc.filename}: {exc.strerror}; no file can be called so", 2)
    if code == INTERRUPTED:  # still newer ones return it
        return _fail("interrupted; nothing half-written was left", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _unheard() -> int:
    silence(OUTPUT, ERRORS)
    return 0


def _fail(message: str, code: int) -> int:
    say("edgelift: " + " ".join(message.split()), err=True)
    return code
