"""Scores as a table, as JSON and as a page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgelift.core.errors import InputError
from edgelift.evaluate.niqe_model import NiqeModel
from edgelift.evaluate.score import PictureScore, Row
from edgelift.evaluate.score_table import COLUMNS, Line, Outcome, document, page

MODEL = NiqeModel(np.zeros(36), np.eye(36), "own", "fitted to nothing")
GOOD = Row((PictureScore(Path("a.png"), (9, 9), 0.5, 6.0),))
POOR = Row((PictureScore(Path("a.png"), (9, 9), 0.1, 7.5),))
BROKEN = Row((*GOOD.pictures, PictureScore(Path("<b>.png"), error=InputError("<b>.png: is empty"))))


def net(row: Row | None, **other: object) -> Line:
    facts = {"model": "n.onnx", "filter": "none", "jobs": 2, "tile": "64x80", "merge": "crop", "name": "net"}
    return Line(**{**facts, "runs_on": "warp drive", "scale": 3.0, "row": row, **other})  # type: ignore[arg-type]


BICUBIC = Line("bicubic", "edge", name="bicubic", runs_on="interpolation", scale=3.0, row=POOR)


def outcome(*lines: Line) -> Outcome:
    return Outcome(lines, MODEL, "by the sun", ())


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        (net(GOOD), ["net", "none", "2", "64×80", "0.5000", "6.0000", "400.0"]),
        (net(GOOD, merge="feather"), ["net", "none", "2", "64×80 feather", "0.5000", "6.0000", "400.0"]),
        (BICUBIC, ["bicubic", "edge", "–", "–", "0.1000", "7.5000", "0.0"]),
        (Line("", "none", 1, "auto", "crop"), ["default", "none", "1", "auto", "–", "–", "–"]),
        (Line("x\x1b[2J\ny"), ["x\\x1b[2J y", "–", "–", "–", "–", "–", "–"]),
    ],
)
def test_cells(line: Line, cells: list[str]) -> None:
    assert line.cells() == cells
    assert len(cells) == len(COLUMNS)


def test_words_name_what_the_combination_has() -> None:
    assert net(GOOD, merge="naive").words == "net, filter none, jobs 2, tile 64x80, merge naive"
    assert BICUBIC.words == "bicubic, filter edge"
    assert Line("run", name="run").words == "run"


def test_the_best_is_one_of_several() -> None:
    assert outcome(net(POOR), BICUBIC, net(None), net(GOOD)).best == 3
    assert outcome(net(GOOD)).best is None
    assert outcome(net(POOR), BICUBIC).best is None  # both score 0


def test_notes() -> None:
    assert outcome(net(GOOD)).notes == ["means of 1 picture", "seconds: by the sun", "net: warp drive, ×3",
                                        "NIQE model: own"]  # fmt: skip
    notes = outcome(net(GOOD), BICUBIC, net(None)).notes
    assert "a NIQE of 7 or more scores 0" in notes
    assert "bicubic: interpolation, ×3" in notes
    assert any("see the messages" in note for note in notes)
    assert outcome(net(None)).notes[0] == "nothing was measured"
    assert any("see the messages" in note for note in outcome(net(BROKEN)).notes)


def test_scales_that_differ_are_said() -> None:
    words = "the scales differ, and so do the sizes of the results: such scores do not compare"
    assert words in outcome(net(GOOD), net(GOOD, name="other", scale=2.0)).notes
    assert words not in outcome(net(GOOD), net(None, name="other", scale=None)).notes  # it did not run


def test_json() -> None:
    found = json.loads(json.dumps(document(outcome(net(BROKEN), BICUBIC, Line("gone")))))
    assert list(found) == ["edgelift", "machine", "niqe_model", "notes", "rows"]
    assert found["niqe_model"] == {"name": "own", "provenance": "fitted to nothing"}
    first, second, third = found["rows"]
    assert [row["best"] for row in found["rows"]] == [True, False, False]
    assert {key: first[key] for key in ("model", "tile", "merge", "score", "measured")} == {
        "model": "net", "tile": "64x80", "merge": "crop", "score": 400.0, "measured": 1
    }  # fmt: skip
    assert first["pictures"][1]["message"] == "<b>.png: is empty"
    assert (second["jobs"], second["tile"], second["merge"]) == (None, None, None)
    assert (third["model"], third["score"], third["pictures"]) == ("gone", None, [])


def test_the_page() -> None:
    made = page(outcome(net(BROKEN), BICUBIC, net(None))).render()
    for words in ("Contest score", "fitted to nothing", "net, filter none, jobs 2, tile 64x80, merge crop",
                  "&lt;b&gt;.png: is empty", "by the sun", "cpu: "):  # fmt: skip
        assert words in made
    assert "<b>" not in made
    assert made.count("<details>") == 2  # not of the combination that could not run


def test_no_score_of_nothing_is_marked_as_the_best() -> None:
    assert page(outcome(net(GOOD), BICUBIC)).render().count(" best'") == 3
    assert page(outcome(net(POOR), BICUBIC)).render().count(" best'") == 4, "of seconds and NIQE, which are equal"
