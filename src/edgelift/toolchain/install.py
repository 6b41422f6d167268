"""Installing and removing a tool chain, step by step, each printed before it is done. Only ever on the user's command."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from edgelift.core.errors import EngineError, EngineMissingError, OutputError, RequestError
from edgelift.toolchain.chain import Chain, clean_environment
from edgelift.toolchain.python import find_python, version_of

__all__ = ["install", "remove", "steps"]

Report = Callable[[str], None]


def system() -> str:
    """This machine, such as "linux-x86_64"."""
    return f"{sys.platform}-{platform.machine()}"


def steps(chain: Chain, python: Path) -> list[list[str]]:
    """The commands, in their order."""
    pip = [str(chain.interpreter), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]

    def named(pins: dict[str, str]) -> list[str]:
        return [f"{name}=={version}" if version else name for name, version in pins.items()]

    made = [[str(python), "-m", "venv", "--clear", str(chain.env)], [*pip, *named(chain.packages)]]
    return [*made, [*pip, "--no-deps", *named(chain.bare)]] if chain.bare else made


def install(chain: Chain, *, python: Path | None = None, again: bool = False, report: Report = print) -> bool:
    """Install `chain`; False where it is ready already. `python`: an interpreter instead of one that is found.

    What another version or an interrupted installation left is replaced. Raises `EngineMissingError` where this machine
    or its Python cannot run it, `OutputError` where it does not fit on the disk, `EngineError` where a step fails; then
    nothing is left.
    """
    state = chain.state()
    if state.kind == "ready" and not again:
        report(f"{chain.name}: ready, {state.words}")
        return False
    if system() not in chain.systems:
        raise EngineMissingError(
            f"{chain.title} runs on {', '.join(chain.systems)}, this is {system()}; use such a machine or a container"
        )
    if python is not None and not version_of(python).startswith(f"{chain.python}."):
        raise RequestError(f"--python {python}: expected CPython {chain.python}, got {version_of(python) or 'none'}")
    python = python or find_python(chain.python)
    if state.kind != "absent":
        report(f"{chain.name}: {state.words.partition(';')[0]}; it is replaced")
        remove(chain)
    _demand_room(chain)
    report(f"{chain.title}, about {chain.download_gigabytes:g} GB to load and {chain.gigabytes:g} GB on the disk")
    try:
        chain.folder.mkdir(parents=True)
        for command in steps(chain, python):
            report("$ " + " ".join(command))
            _run(command)
        if moved := _set_aside(chain):
            report(f"set aside, since the system's own are newer: {', '.join(moved)}")
        _check(chain)
        chain.note()
    except BaseException:  # an interruption, too: half of a tool chain is of no use
        shutil.rmtree(chain.folder, ignore_errors=True)
        raise
    report(f"{chain.name}: installed in {chain.folder}")
    return True


def _demand_room(chain: Chain) -> None:
    place = chain.folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    if free < chain.gigabytes:
        raise OutputError(
            f"{chain.folder}: {free:.1f} GB are free, {chain.title} needs {chain.gigabytes:g}; make room, or name "
            "another folder in EDGELIFT_TOOLCHAINS"
        )


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run one step. Raises `EngineError` with its last words."""
    try:
        done = subprocess.run(
            command,
            env=environment or clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as exc:
        raise EngineError(f"{command[0]}: cannot be run ({exc.strerror})") from exc
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")] or said[-1:]
        raise EngineError(f"a step failed, and nothing was left: {' '.join(command)}: {' '.join(errors[-2:])}")


def _check(chain: Chain) -> None:
    """Raise `EngineMissingError` where it does not start on this system."""
    if not chain.check:
        return
    *words, last = chain.check
    try:
        _run([str(chain.interpreter), *words, str(chain.site / last)], chain.environment())
    except EngineError as exc:
        raise EngineMissingError(f"{chain.title} does not start here; it needs {chain.needs}: {exc}") from exc


def _set_aside(chain: Chain) -> list[str]:
    """Names of the files that are moved out of the way."""
    moved = []
    for name in chain.aside:
        place = chain.site / name
        if place.exists():
            (place.parent / "aside").mkdir(exist_ok=True)
            place.rename(place.parent / "aside" / place.name)
            moved.append(place.name)
    return moved


def remove(chain: Chain) -> bool:
    """Delete `chain`; False where there is nothing of it. Raises `OutputError` where it cannot be deleted."""
    if not chain.folder.exists():
        return False
    try:
        shutil.rmtree(chain.folder)
    except OSError as exc:
        raise OutputError(f"{chain.folder}: cannot be removed ({exc.strerror})") from exc
    return True
