"""What is said of an installation, and installing and removing one: with commands that are looked at and not run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgelift.core.errors import EngineError, EngineMissingError, OutputError, RequestError
from edgelift.toolchain import install as installing
from edgelift.toolchain.chain import CHAINS, Chain, data_folder, load_chain
from edgelift.toolchain.install import install, remove, steps
from edgelift.toolchain.sophon import SOPHON, tool


def put_together(chain: Chain, **versions: str) -> None:
    """What an installation leaves, without doing it."""
    chain.interpreter.parent.mkdir(parents=True, exist_ok=True)
    chain.interpreter.symlink_to(sys.executable)
    for name, version in versions.items():
        (chain.site / f"{name}-{version}.dist-info").mkdir(parents=True)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, chain: Chain) -> list[list[str]]:
    """The commands that are run: the environment and packages appear, nothing else happens."""
    seen: list[list[str]] = []

    def run(command: list[str], **settings: Any) -> subprocess.CompletedProcess[str]:
        if "-I" in command:  # a question, no step
            return subprocess.CompletedProcess(command, 0, "", "")
        seen.append(command)
        if "venv" in command:
            put_together(chain)
        for word in command:
            name, _, version = word.partition("==")
            if name in chain.pins:
                (chain.site / f"{name}-{version or '7'}.dist-info").mkdir(parents=True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(installing, "system", lambda: "linux-x86_64")
    monkeypatch.setattr(installing.subprocess, "run", run)
    monkeypatch.setattr(installing, "find_python", lambda version: Path(sys.executable))
    return seen


def test_every_state_says_what_to_do(chain: Chain) -> None:
    assert (chain.state().kind, chain.state().words) == ("absent", "not installed; edgelift toolchain install small")
    chain.folder.mkdir(parents=True)
    assert chain.state().kind == "half"
    assert chain.state().words.endswith("again: edgelift toolchain install small")
    put_together(chain, thing="1.2", other="5")
    assert chain.state().kind == "half", "the note is written last"
    chain.note()
    assert chain.state() == chain.state()
    assert (chain.state().kind, chain.state().words) == ("ready", f"thing 1.2 in {chain.folder}")
    (chain.site / "thing-1.2.dist-info").rename(chain.site / "thing-1.3.dist-info")
    assert (chain.state().kind, chain.state().words) == (
        "other", "another version: thing 1.3 instead of 1.2; edgelift toolchain install small --again",
    )  # fmt: skip
    (chain.site / "other-5.dist-info").rmdir()
    assert "other missing" in chain.state().words
    chain.interpreter.unlink()
    assert chain.state().kind == "half"
    with pytest.raises(EngineMissingError, match=r"A small chain: damaged: .* again: edgelift toolchain install small"):
        chain.demand()


def test_an_installation_prints_its_steps_and_is_ready(chain: Chain, commands: list[list[str]]) -> None:
    said: list[str] = []
    assert install(chain, report=said.append)
    assert [" ".join(command) for command in commands] == [line[2:] for line in said if line.startswith("$ ")]
    assert [command[-1] for command in commands] == [str(chain.env), "thing==1.2", "other"]
    assert "--no-deps" in commands[2]
    assert chain.state().kind == "ready"
    commands.clear()
    assert not install(chain, report=said.append)
    assert commands == [], "what is ready is left alone"
    assert install(chain, again=True, report=said.append)
    assert len(commands) == 3


def test_what_was_interrupted_is_replaced(chain: Chain, commands: list[list[str]]) -> None:
    put_together(chain, thing="0.9")
    said: list[str] = []
    assert install(chain, report=said.append)
    assert said[0].startswith("small: half-installed")
    assert "it is replaced" in said[0]
    assert chain.versions() == {"thing": "1.2", "other": "7"}


def test_files_that_keep_it_from_starting_are_set_aside(chain: Chain, commands: list[list[str]]) -> None:
    command, real = commands, installing._run

    def run(words: list[str], environment: dict[str, str] | None = None) -> None:
        real(words, environment)
        (chain.site / "lib").mkdir(parents=True, exist_ok=True)
        (chain.site / "lib" / "old.so").write_text("old")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(installing, "_run", run)
        said: list[str] = []
        install(chain, report=said.append)
    assert len(command) == 3
    assert any("set aside, since the system's own are newer: old.so" in line for line in said)
    assert (chain.site / "lib" / "aside" / "old.so").read_text() == "old"


def test_a_step_that_fails_leaves_nothing(
    chain: Chain, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str], **settings: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "Looking\nERROR: no matching distribution\nbye\n")

    monkeypatch.setattr(installing.subprocess, "run", fail)
    with pytest.raises(EngineError, match=r"a step failed, and nothing was left: .*ERROR: no matching distribution$"):
        install(chain, report=lambda words: None)
    assert not chain.folder.exists()

    def interrupt(command: list[str], **settings: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(installing.subprocess, "run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        install(chain, report=lambda words: None)
    assert not chain.folder.exists()


def test_other_systems_pythons_and_full_disks_are_refused_before_anything_is_done(
    chain: Chain, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=r"--python .*nothing: expected CPython .*, got none"):
        install(chain, python=tmp_path / "nothing", report=lambda words: None)
    monkeypatch.setattr(installing.shutil, "disk_usage", lambda place: type("Disk", (), {"free": 10})())
    with pytest.raises(OutputError, match=r"0\.0 GB are free, A small chain needs 0\.001; make room, or name"):
        install(chain, report=lambda words: None)
    monkeypatch.setattr(installing, "system", lambda: "darwin-arm64")
    with pytest.raises(EngineMissingError, match="runs on linux-x86_64, this is darwin-arm64"):
        install(chain, report=lambda words: None)
    assert commands == []
    assert not chain.folder.exists()


def test_removing(chain: Chain) -> None:
    assert not remove(chain)
    put_together(chain)
    assert remove(chain)
    assert chain.state().kind == "absent"


def test_its_programs_see_its_libraries_and_no_other_python(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("VIRTUAL_ENV", "elsewhere")
    found = chain.environment()
    assert not {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"}.intersection(found)
    assert found["LD_LIBRARY_PATH"] == str(chain.site / "lib")
    assert found["THING"] == str(chain.site / "lib")
    assert found["PATH"].split(os.pathsep)[:2] == [str(chain.env / "bin"), str(chain.site / "bin")]


def test_the_list_of_chains(folder: Path) -> None:
    assert data_folder() == folder
    assert [load_chain(name).name for name in CHAINS] == list(CHAINS)
    assert SOPHON.folder == folder / "sophon"
    assert [command[1:3] for command in steps(SOPHON, Path("python"))] == [["-m", "venv"], ["-m", "pip"], ["-m", "pip"]]
    assert all(version in " ".join(map(" ".join, steps(SOPHON, Path("python")))) for version in ("1.30.2", "1.12.1"))
    assert tool("model_deploy.py").endswith("tpu_mlir/python/tools/model_deploy.py")
    assert tool("model_tool").endswith("tpu_mlir/bin/model_tool")


def test_the_commands(edgelift: Any, folder: Path) -> None:
    said = edgelift("toolchain", "list")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(
        "sophon  SOPHON's tpu-mlir, Python 3.10, 4 GB  not installed; edgelift toolchain install"
    )
    assert edgelift("toolchain", "remove", "sophon").out == "sophon: was not installed\n"
    said = edgelift("toolchain", "install", "crayon")
    assert (said.code, said.err) == (2, "edgelift: no tool chain is called 'crayon'; choose from sophon\n")
    assert not folder.exists(), "nothing is installed without being asked"
