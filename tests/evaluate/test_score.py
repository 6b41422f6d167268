"""The contest's score: its published figures, what is timed, and reports of runs that are over."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from edgelift.core.errors import EngineError, InputError, RequestError
from edgelift.core.resize import resize
from edgelift.evaluate.niqe import NotDefinedError, niqe
from edgelift.evaluate.niqe_model import load_model
from edgelift.evaluate.score import PictureScore, Row, best_of, contest_score, measure, read_report, score_report


def grain(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(128, 30, (height, width, 3)).clip(0, 255).astype(np.uint8)


def save(path: Path, picture: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    pyvips.Image.new_from_array(picture).pngsave(str(path))
    return path


# -- the formula


@pytest.mark.parametrize(
    ("figure", "seconds", "score"),
    [(5.5697, 0.1852, 1291.6), (4.5679, 0.1615, 1930.9), (4.5242, 0.1140, 2761.1), (4.2143, 0.1164, 2867.1)],
)
def test_the_published_table(figure: float, seconds: float, score: float) -> None:
    assert contest_score(figure, seconds) == pytest.approx(score, rel=5e-4)  # its seconds are rounded to four digits


@pytest.mark.parametrize(("figure", "seconds", "score"), [(3, 1, 400), (6, 0.5, 400), (7, 0.1, 0), (12, 0.1, 0)])
def test_by_hand(figure: float, seconds: float, score: float) -> None:
    assert contest_score(figure, seconds) == score


@given(st.floats(0, 6.9), st.floats(1e-3, 100), st.floats(0.01, 0.99))
def test_less_time_and_less_niqe_score_more(figure: float, seconds: float, part: float) -> None:
    assert contest_score(figure, seconds * part) > contest_score(figure, seconds)
    assert contest_score(figure * part, seconds) >= contest_score(figure, seconds)


@pytest.mark.parametrize(
    ("figure", "seconds"), [(5, 0), (5, -1), (float("nan"), 1), (5, float("nan")), (5, float("inf"))]
)
def test_what_has_no_score(figure: float, seconds: float) -> None:
    with pytest.raises(RequestError, match="above 0"):
        contest_score(figure, seconds)


def test_a_row_is_of_the_pictures_that_have_both() -> None:
    path, error = Path("x.png"), InputError("no")
    row = Row(
        (
            PictureScore(path, seconds=1.0, niqe=2.0),
            PictureScore(path, seconds=3.0, niqe=4.0),
            PictureScore(path, seconds=99.0, error=error),
            PictureScore(path, error=error),
        )
    )
    assert (row.seconds, row.niqe, row.score, row.errors) == (2.0, 3.0, 200.0, [error, error])
    nothing = Row((PictureScore(path, error=error),))
    assert (nothing.seconds, nothing.niqe, nothing.score) == (None, None, None)
    assert best_of([None, nothing, row, row]) == 2
    assert best_of([None, nothing]) is None
    worst = Row((PictureScore(path, seconds=1.0, niqe=8.0),))
    assert worst.score == 0
    assert best_of([worst]) is None


# -- measuring


class Doubles:
    """An upscaler by two that counts, and takes as many ticks of the clock as it is told."""

    def __init__(self, ticks: tuple[float, ...] = (1.0,), fails_on: int | None = None) -> None:
        self.sizes: list[tuple[int, ...]] = []
        self.now = 0.0
        self._ticks, self._fails_on = ticks, fails_on

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        if picture.shape[1] == self._fails_on:
            raise EngineError("told to fail")
        self.now += self._ticks[len(self.sizes) % len(self._ticks)]
        self.sizes.append(picture.shape)
        return resize(picture, picture.shape[0] * 2, picture.shape[1] * 2)

    def clock(self) -> float:
        return self.now


def test_a_first_run_of_each_size_is_not_timed(tmp_path: Path) -> None:
    files = [save(tmp_path / f"{n}.png", grain(100, width, n)) for n, width in enumerate((110, 110, 120))]
    upscaler = Doubles((50.0, 1.0, 2.0, 60.0, 3.0))
    row = measure(upscaler, files, load_model(), clock=upscaler.clock)
    assert [picture.seconds for picture in row.pictures] == [1.0, 2.0, 3.0]
    assert [picture.size for picture in row.pictures] == [(100, 110), (100, 110), (100, 120)]
    for picture, seed in zip(row.pictures, range(3), strict=True):
        source = grain(100, (110, 110, 120)[seed], seed)
        assert picture.niqe == niqe(resize(source, 200, source.shape[1] * 2))


def test_a_first_run_of_each_depth_is_not_timed_either(tmp_path: Path) -> None:
    shallow, deep = tmp_path / "a.png", tmp_path / "b.png"
    save(shallow, grain(100, 110))
    pyvips.Image.new_from_array(grain(100, 110).astype(np.uint16) * 257, interpretation="rgb16").pngsave(str(deep))
    upscaler = Doubles((50.0, 1.0, 60.0, 2.0))
    row = measure(upscaler, [shallow, deep], load_model(), clock=upscaler.clock)
    assert [picture.seconds for picture in row.pictures] == [1.0, 2.0]


def test_the_median_of_several_runs_counts(tmp_path: Path) -> None:
    upscaler = Doubles((9.0, 1.0, 7.0, 2.0))
    row = measure(
        upscaler, [save(tmp_path / "a.png", grain(100, 100))], load_model(), repeat=3, clock=upscaler.clock
    )  # fmt: skip
    assert row.seconds == 2.0
    assert len(upscaler.sizes) == 4
    with pytest.raises(RequestError, match="repeat"):
        measure(upscaler, [], load_model(), repeat=0)


def test_bad_pictures_are_named_and_the_rest_is_measured(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("words")
    files = [
        tmp_path / "text.png",
        save(tmp_path / "small.png", grain(40, 40)),
        save(tmp_path / "fails.png", grain(100, 130)),
        save(tmp_path / "good.png", grain(100, 100)),
    ]
    upscaler, heard = Doubles(fails_on=130), list[PictureScore]()
    row = measure(upscaler, files, load_model(), clock=upscaler.clock, heard=heard.append)
    assert heard == list(row.pictures)
    assert [type(error) for error in row.errors] == [InputError, NotDefinedError, EngineError]
    for error, path in zip(row.errors, files, strict=False):
        assert str(path) in str(error)
    assert [picture.path.name for picture in row.measured] == ["good.png"]


# -- reports


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for n, name in enumerate(("a_x2.png", "b_x2.png", "sub/a_x2.png", "sub/deep/a_x2.png")):
        save(folder / name, grain(100, 200, n))
    return folder


def report(tmp_path: Path, document: Any) -> Path:
    path = tmp_path / "run.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_a_report_of_upscale(tmp_path: Path, results: Path) -> None:
    rows = [
        {"input": "a.png", "output": "out/b_x2.png", "status": "done", "seconds": 0.5},
        {"input": "s.png", "output": "out/s_x2.png", "status": "skipped"},
        {"input": "f.png", "output": "out/f_x2.png", "status": "failed", "message": "no"},
        {"input": "g.png", "output": "out/gone_x2.png", "status": "done", "seconds": 0.25},
    ]
    found = read_report(report(tmp_path, {"model": "m", "scale": 2, "runs_on": "x", "pictures": rows}))
    assert found.with_files
    assert found.facts == {"model": "m", "scale": "2", "runs_on": "x"}
    row = score_report(results, found, load_model())
    assert row.seconds == 0.5
    assert row.niqe == niqe(grain(100, 200, 1))
    assert [str(error).partition(":")[0] for error in row.errors] == ["out/f_x2.png", "out/gone_x2.png"]


@pytest.mark.parametrize(
    "document",
    [
        {"A": [{"runtime_avg": "0.5", "images": [{"img_name": "b_x2", "runtime": "0.5000", "niqe": "4.0"}]}]},
        [{"name": "b_x2.png", "seconds": 0.5}],
        {"b_x2": 0.5},
        {"elsewhere/b_x2.png": 0.5},
        {"C:\\out\\b_x2.png": 0.5},
    ],
)
def test_the_contests_form_and_plain_ones(tmp_path: Path, results: Path, document: object) -> None:
    found = read_report(report(tmp_path, document))
    assert not found.with_files
    row = score_report(results, found, load_model())
    assert (row.errors, row.seconds, row.niqe) == ([], 0.5, niqe(grain(100, 200, 1)))


@pytest.mark.parametrize(
    ("name", "seed"),
    [("r/a_x2.png", 0), ("r/sub/a_x2.png", 2), ("r/sub/deep/a_x2.png", 3), ("a_x2", 0), ("sub/a_x2", 2)],
)
def test_results_of_one_name_are_told_apart_by_their_folders(
    results: Path, tmp_path: Path, name: str, seed: int
) -> None:
    row = score_report(results, read_report(report(tmp_path, {name: 1.0})), load_model())
    assert row.niqe == niqe(grain(100, 200, seed))


def test_results_that_cannot_be_told_apart(results: Path, tmp_path: Path) -> None:
    (results / "a_x2.png").unlink()
    row = score_report(results, read_report(report(tmp_path, {"a_x2.png": 1.0})), load_model())
    assert row.score is None
    assert "2 pictures" in str(row.errors[0])


NOT_REPORTS: dict[str, Any] = {
    "not JSON": "{",
    "binary": "\udcff",
    "deep": "[" * 100_000,
    "a number": "3",
    "words": {"a.png": "fast"},
    "no seconds": [{"name": "a.png"}],
    "no name": [{"seconds": 1}],
    "a list of lists": [[1, 2]],
    "below 0": {"a.png": -1},
    "zero": {"a.png": 0},
    "not finite": '{"a.png": NaN}',
    "huge": {"a.png": "1e999"},
    "true": {"a.png": True},
    "pictures of another kind": {"pictures": [3]},
    "no list": {"pictures": None},
    "no output": {"pictures": [{"seconds": 1}]},
    "no images": {"A": [{}]},
}


@pytest.mark.parametrize("name", NOT_REPORTS)
def test_what_is_no_report(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run.json"
    document = NOT_REPORTS[name]
    text = document if isinstance(document, str) else json.dumps(document)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"run\.json"):
        read_report(path)


def test_reports_and_folders_that_are_not_there(tmp_path: Path, results: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_report(tmp_path / "none.json")
    nothing = read_report(report(tmp_path, {}))
    with pytest.raises(InputError, match="names no pictures"):
        score_report(results, nothing, load_model())
    for folder in (tmp_path / "none", results / "b_x2.png"):
        with pytest.raises(InputError, match="is not a folder"):
            score_report(folder, nothing, load_model())


KEYS = ["pictures", "A", "images", "img_name", "runtime", "output", "seconds"]
LEAVES = st.none() | st.booleans() | st.floats() | st.text(max_size=5)


@given(st.recursive(LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(KEYS), x, max_size=3)))
def test_any_json_is_a_report_or_an_input_error(document: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.json"
        path.write_text(json.dumps(document))
        try:
            found = read_report(path)
        except InputError:
            return
        assert all(seconds is None or seconds > 0 for _, seconds in found.pictures)
