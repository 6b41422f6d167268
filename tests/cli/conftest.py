"""The command line in this process: fast, and with its exit code and both streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from edgelift.cli.app import run


@dataclass(frozen=True)
class Said:
    """What a command returned and printed."""

    code: int
    out: str
    err: str


Edgelift = Callable[..., Said]


@pytest.fixture
def edgelift(capsys: pytest.CaptureFixture[str]) -> Edgelift:
    """Run `edgelift` with words; checks that an error is one line and no traceback."""

    def call(*words: object) -> Said:
        code = run([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Said(code, out, err)

    return call
