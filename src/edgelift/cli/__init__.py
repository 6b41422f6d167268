"""The command line. Each command is a module here; what it needs is imported when it runs, so that `--help` is quick
and `upscale` never loads PyTorch."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of the program `edgelift`."""
    from edgelift.cli.streams import prepare

    prepare()
    from edgelift.cli.app import run

    sys.exit(run(sys.argv[1:]))
