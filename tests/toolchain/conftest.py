"""A small tool chain to install: no package, and this interpreter's own Python."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgelift.cli.app import run
from edgelift.toolchain.chain import Chain


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where tool chains lie in a test."""
    monkeypatch.setenv("EDGELIFT_TOOLCHAINS", str(tmp_path / "chains"))
    return tmp_path / "chains"


@pytest.fixture
def chain(folder: Path) -> Chain:
    """`small`, of one package that nobody installs."""
    return Chain(
        name="small", title="A small chain", python=f"{sys.version_info.major}.{sys.version_info.minor}",
        packages={"thing": "1.2"}, bare={"other": ""}, gigabytes=0.001, download_gigabytes=0.001, needs="nothing",
        aside=("lib/old.so",), libraries=("lib",), programs=("bin",), variables={"THING": "lib"},
    )  # fmt: skip


@pytest.fixture
def edgelift(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run `edgelift` with words: code, output and errors."""

    def call(*words: object) -> SimpleNamespace:
        code = run([str(word) for word in words])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return call
