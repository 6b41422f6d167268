"""The facts of the machine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgelift import __version__
from edgelift.evaluate import machine as module
from edgelift.evaluate.machine import machine

TWO_CHIPS = """processor\t: 0
model name\t: Some CPU @ 2 GHz
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu

processor\t: 1
model name\t: Some CPU @ 2 GHz
physical id\t: 0
core id\t\t: 0

processor\t: 2
model name\t: Some CPU @ 2 GHz
physical id\t: 1
core id\t\t: 0
"""


def test_name_and_cores_as_linux_lists_them(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(TWO_CHIPS)
    facts = machine(info)
    assert (facts["cpu"], facts["cores"]) == ("Some CPU @ 2 GHz", 2)


def test_without_the_list(tmp_path: Path) -> None:
    facts = machine(tmp_path / "none")
    assert facts["cores"] is None
    assert facts["cpu"]
    assert isinstance(facts["threads"], int)
    assert facts["threads"] >= 1


def test_versions_and_json() -> None:
    facts = machine()
    assert (facts["edgelift"], facts["numpy"]) == (__version__, np.__version__)
    assert json.loads(json.dumps(facts)) == facts


def test_vector_units_follow_the_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cpu_flags", lambda: frozenset({"avx_vnni"}))
    assert machine()["vnni"] is True
    monkeypatch.setattr(module, "cpu_flags", lambda: frozenset({"avx2"}))
    assert machine()["vnni"] is False
