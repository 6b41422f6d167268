"""What a tool chain is, where it lies, and in what state: read from files, so that asking costs nothing.

A chain is a virtual environment `env` in a folder of its own, and a note `installed.json`, which is written last: without it
an installation was interrupted. What lies in the environment is compared with what is pinned.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from edgelift.core.errors import EngineMissingError
from edgelift.core.folders import user_folder
from edgelift.core.registry import Registry

__all__ = ["CHAINS", "Chain", "State", "clean_environment", "data_folder", "load_chain"]

CHAINS = Registry("tool chain", {"sophon": "edgelift.toolchain.sophon:SOPHON"})
NOTE = "installed.json"


def data_folder() -> Path:
    """Where tool chains lie (not made); `EDGELIFT_TOOLCHAINS` overrides it."""
    chosen = os.environ.get("EDGELIFT_TOOLCHAINS")
    return Path(chosen) if chosen else user_folder("data") / "toolchains"


def clean_environment() -> dict[str, str]:
    """This process's environment variables, without what leads to other Pythons."""
    others = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in others}


@dataclass(frozen=True)
class State:
    """Of an installation."""

    kind: str
    """`absent`, `half` (interrupted), `other` (packages of other versions) or `ready`."""
    words: str
    """What there is, on one line."""


@dataclass(frozen=True)
class Chain:
    """A tool chain, pinned."""

    name: str
    title: str
    python: str
    """The version of CPython that it needs."""
    packages: dict[str, str]
    """Name -> version of what is installed with all that it needs."""
    bare: dict[str, str]
    """The same of what is installed without what it names as needed."""
    gigabytes: float
    """On the disk."""
    download_gigabytes: float
    programs: tuple[str, ...] = ()
    """Folders under `site` for the PATH …"""
    libraries: tuple[str, ...] = ()
    """… and for the loader."""
    variables: dict[str, str] = field(default_factory=dict)
    """Name -> a path under `site` that it is set to."""
    aside: tuple[str, ...] = ()
    """Files under `site` that keep it from starting."""
    check: tuple[str, ...] = ()
    """Arguments for its python, the last one a path under `site`; it succeeds where the chain can start."""
    needs: str = ""
    """Of the system, in words."""
    systems: tuple[str, ...] = ("linux-x86_64",)

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return data_folder() / self.name

    @property
    def env(self) -> Path:
        """Its virtual environment."""
        return self.folder / "env"

    @property
    def interpreter(self) -> Path:
        """Its python."""
        return self.env / "bin" / "python"

    @property
    def site(self) -> Path:
        """Where its packages lie."""
        return self.env / "lib" / f"python{self.python}" / "site-packages"

    @property
    def pins(self) -> dict[str, str]:
        """Name -> version of all that is pinned; a version may be left open, as ""."""
        return {**self.packages, **self.bare}

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"edgelift toolchain install {self.name}"

    def environment(self) -> dict[str, str]:
        """Environment variables for its programs: this process's, without what leads to other Pythons."""
        kept = clean_environment()
        programs = [str(self.env / "bin"), *(str(self.site / name) for name in self.programs), kept.get("PATH", "")]
        return {
            **kept,
            **{name: str(self.site / path) for name, path in self.variables.items()},
            "PATH": os.pathsep.join(programs),
            "LD_LIBRARY_PATH": os.pathsep.join(str(self.site / name) for name in self.libraries),
            "OMP_NUM_THREADS": kept.get("OMP_NUM_THREADS", "1"),
        }

    def state(self) -> State:
        """What there is of it. Reads file names only."""
        if not self.folder.exists():
            return State("absent", f"not installed; {self.install}")
        if not (self.folder / NOTE).is_file():
            return State("half", f"half-installed in {self.folder}; again: {self.install}")
        if not self.interpreter.exists():
            again = f"{self.install} --again"
            return State("half", f"damaged: {self.interpreter} is missing or its Python was removed; again: {again}")
        found = self.versions()
        wrong = [
            f"{name} {found.get(name) or 'missing'} instead of {version}"
            for name, version in self.pins.items()
            if name not in found or (version and found[name] != version)
        ]
        if wrong:
            return State("other", f"another version: {', '.join(wrong)}; {self.install} --again")
        first = next(iter(self.pins))
        return State("ready", f"{first} {found[first]} in {self.folder}")

    def versions(self) -> dict[str, str]:
        """Name -> version of the pinned packages that lie in its environment."""
        names = {name.replace("-", "_").lower(): name for name in self.pins}
        found: dict[str, str] = {}
        for place in self.site.glob("*.dist-info"):
            stem, _, version = place.name.removesuffix(".dist-info").partition("-")
            if stem.lower() in names:
                found[names[stem.lower()]] = version
        return found

    def note(self) -> None:
        """Say that the installation is complete."""
        (self.folder / NOTE).write_text(json.dumps({"chain": self.name, "packages": self.versions()}) + "\n")

    def demand(self) -> None:
        """Raise `EngineMissingError` that says what to do where it is not ready."""
        if (state := self.state()).kind != "ready":
            raise EngineMissingError(f"{self.title}: {state.words}")


def load_chain(name: str) -> Chain:
    """The chain called so. Raises `RequestError` for a name that is not in the table."""
    found: Chain = CHAINS.load(name)
    return found
