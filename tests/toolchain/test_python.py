"""Finding an interpreter: the places that are looked in, and what is passed over."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgelift.core.errors import EngineMissingError
from edgelift.toolchain.python import candidates, find_python, version_of

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def place(path: Path, says: str) -> Path:
    """A program that prints what an interpreter would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with no Python at all."""
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def test_the_newest_of_pyenv_then_uv_then_the_path(bare: Path) -> None:
    says = "CPython 3.10.13"
    order = [
        place(bare / "pyenv" / "versions" / "3.10.13" / "bin" / "python", says),
        place(bare / "pyenv" / "versions" / "3.10.4" / "bin" / "python", says),
        place(bare / "uv" / "cpython-3.10.20-linux-x86_64-gnu" / "bin" / "python3.10", says),
        place(bare / "bin" / "python3.10", says),
    ]
    place(bare / "pyenv" / "versions" / "3.11.2" / "bin" / "python", "CPython 3.11.2")
    assert list(candidates("3.10")) == order
    assert find_python("3.10") == order[0]


def test_what_is_none_is_passed_over(bare: Path) -> None:
    place(bare / "pyenv" / "versions" / "3.10.9" / "bin" / "python", "PyPy 3.10.9")
    broken = bare / "uv" / "cpython-3.10.1-linux" / "bin" / "python3.10"
    broken.parent.mkdir(parents=True)
    broken.symlink_to(bare / "gone")
    shim = place(bare / "bin" / "python3.10", "pyenv: python3.10: command not found")
    with pytest.raises(
        EngineMissingError, match=r"uv python install 3\.10, or pyenv install 3\.10, or name one"
    ) as caught:
        find_python("3.10")
    assert str(shim) in str(caught.value)


def test_none_at_all_says_how_to_get_one(bare: Path) -> None:
    with pytest.raises(
        EngineMissingError, match=r"CPython 3\.10 .* there is none in pyenv, uv or on the PATH; get one:"
    ):
        find_python("3.10")


def test_a_real_interpreter_says_what_it_is(tmp_path: Path) -> None:
    assert version_of(Path(sys.executable)).startswith(f"{HERE}.")
    assert version_of(tmp_path / "absent") == ""
    assert version_of(tmp_path) == ""
