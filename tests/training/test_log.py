"""The log: a line for every run, whatever its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgelift.training.log import RunLog
from edgelift.training.recipe import recipe_from

RECIPE = recipe_from({"name": "own", "network": {"architecture": "plain"}})


def _saves(run: Path, step: int) -> None:
    run.mkdir(exist_ok=True)
    (run / "last.json").write_text(json.dumps({"step": step, "seconds": 90, "device": "cpu", "best_psnr_y": 30.5}))


def _cells(path: Path) -> list[str]:
    return [cell.strip() for cell in path.read_text(encoding="utf-8").splitlines()[-1].strip("|").split("|")[1:]]


def test_a_run_that_ends_well_and_one_that_is_stopped_have_their_figures(tmp_path: Path) -> None:
    log, run = tmp_path / "deep" / "LOG.md", tmp_path / "run"
    with RunLog(log, RECIPE, run):
        _saves(run, 5)
    assert _cells(log) == ["own", "5", "1.5", "cpu", "30.500", "finished"]
    noted = RunLog(log, RECIPE, run)
    _saves(run, 6)
    with pytest.raises(KeyboardInterrupt), noted:
        raise KeyboardInterrupt
    assert _cells(log) == ["own", "6", "1.5", "cpu", "30.500", "KeyboardInterrupt"]
    with RunLog(log, RECIPE, run):
        pass  # finished before
    assert _cells(log)[1] == "6"
    assert len(log.read_text(encoding="utf-8").splitlines()) == 6 + 3


@pytest.mark.parametrize("error", [ValueError("a | b\nc"), MemoryError("a | b\nc")])
def test_what_is_refused_has_none_of_an_earlier_run(tmp_path: Path, error: Exception) -> None:
    log, run = tmp_path / "LOG.md", tmp_path / "run"
    _saves(run, 5)
    with pytest.raises(type(error)), RunLog(log, RECIPE, run):
        raise error
    assert _cells(log) == ["own", "0", "0.0", "–", "–", "a / b c"]
