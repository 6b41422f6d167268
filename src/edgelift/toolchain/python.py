"""Finding an interpreter of a certain version, without installing one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from edgelift.core.errors import EngineMissingError

__all__ = ["candidates", "find_python", "version_of"]

ASK = "import ensurepip, platform, venv; print(platform.python_implementation(), platform.python_version())"
PATIENCE = 30.0
"""Seconds that an interpreter may take to say what it is."""


def candidates(version: str) -> Iterator[Path]:
    """Files that may be Python `version`, such as "3.10": of pyenv, of uv, then on the PATH. Not tried."""
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    yield from _newest(pyenv, f"{version}.*/bin/python")
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    yield from _newest(uv, f"cpython-{version}.*/bin/python{version}")
    if found := shutil.which(f"python{version}"):
        yield Path(found)


def _newest(folder: Path, pattern: str) -> list[Path]:
    """Matches, the newest patch first."""

    def number(path: Path) -> list[int]:
        name = path.relative_to(folder).parts[0].removeprefix("cpython-").partition("-")[0]
        return [int(part) for part in name.split(".") if part.isdecimal()]

    return sorted(folder.glob(pattern), key=number, reverse=True)


def version_of(python: Path) -> str:
    """What that interpreter is, such as "3.10.13"; empty where it does not run, is not CPython or cannot make environments."""
    try:
        said = subprocess.run(
            [python, "-I", "-c", ASK], capture_output=True, text=True, timeout=PATIENCE, check=True
        ).stdout.split()
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return said[1] if len(said) == 2 and said[0] == "CPython" else ""


def find_python(version: str) -> Path:
    """An interpreter of `version` that can make environments. Raises `EngineMissingError` that says how to get one."""
    looked = []
    for path in candidates(version):
        if version_of(path).startswith(f"{version}."):
            return path
        looked.append(str(path))
    tried = f"; {', '.join(looked)} does not serve" if looked else ""
    raise EngineMissingError(
        f"CPython {version} with its venv module is needed, and there is none in pyenv, uv or on the PATH{tried}; get one: "
        f"uv python install {version}, or pyenv install {version}, or name one with --python"
    )
