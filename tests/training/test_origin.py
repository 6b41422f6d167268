"""Where first weights come from, and the same by `python -m edgelift.training`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgelift.core.errors import TrainingError
from edgelift.training import __main__ as bare
from edgelift.training.checkpoint import Checkpoint
from edgelift.training.origin import seen_before, start_of
from edgelift.training.recipe import Recipe, recipe_from


def _recipe(start: str = "", count: int = 16, folder: str = "") -> Recipe:
    data = {"validation": count, "validation_folder": folder}
    return recipe_from({
        "name": "own", "network": {"architecture": "plain"}, "data": data, "train": {"start": start},
    })  # fmt: skip


def test_a_recipe_starts_from_the_run_beside_its_own_until_it_has_begun(tmp_path: Path) -> None:
    run, best = tmp_path / "own", tmp_path / "other" / "best.pt"
    assert start_of(_recipe(), run) is None
    with pytest.raises(
        TrainingError, match=r"own starts from other, but .*other/best\.pt is not there; train that first"
    ):
        start_of(_recipe("other"), run)
    for path in (best, run / "last.pt"):
        path.parent.mkdir()
        path.touch()
    assert start_of(_recipe("other"), run) is None
    (run / "last.pt").unlink()
    assert start_of(_recipe("other"), run) == best


def test_pictures_that_validated_are_known_by_folder_and_number() -> None:
    facts = {"recipe": _recipe(folder="Drawn").as_dict()}
    assert not seen_before(_recipe(folder="Drawn"), facts)
    assert not seen_before(_recipe(count=8, folder="Drawn"), facts)
    assert seen_before(_recipe(count=17, folder="Drawn"), facts)
    assert seen_before(_recipe(), facts)
    assert not seen_before(_recipe(), {"step": 0})
    assert not seen_before(_recipe(), {"recipe": {"data": {}}}), "fields that are not there have their defaults"


def test_without_the_command_line_a_recipe_starts_alike(
    waves: Callable[[Path, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    data = waves(tmp_path / "waves", 3)
    text = (
        '[network]\narchitecture = "plain"\nscale = 2\nchannels = 4\nlayers = 1\n'
        "[data]\npatch = 8\nbatch = 2\nvalidation = 1\n[train]\nsteps = 2\n"
    )
    (tmp_path / "first.toml").write_text(text)
    (tmp_path / "second.toml").write_text(f'{text}start = "first"\n')

    def ends(name: str) -> int:
        words = ["train", str(tmp_path / f"{name}.toml"), "--data", str(data)]
        monkeypatch.setattr(sys, "argv", words)
        return bare.main()

    monkeypatch.chdir(tmp_path)
    assert ends("second") == TrainingError.exit_code
    assert "second starts from first, but runs/first/best.pt is not there" in capsys.readouterr().err
    assert ends("first") == ends("second") == 0
    assert Checkpoint.load(Path("runs/second/last.pt")).meta["started_from"] == "first"
