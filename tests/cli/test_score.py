"""`edgelift score` as a user meets it. Interpolation needs no engine, so most use it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import pyvips

from edgelift.core.resize import resize
from edgelift.evaluate.niqe import niqe
from edgelift.evaluate.score import contest_score


def grain(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(128, 30, (height, width, 3)).clip(0, 255).astype(np.uint8)


def save(path: Path, picture: np.ndarray) -> Path:
    pyvips.Image.new_from_array(picture).pngsave(str(path))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "in"
    inside.mkdir()
    for n, name in enumerate(("a.png", "b.png")):
        save(inside / name, grain(100, 120, n))
    return inside


def test_every_combination_once(edgelift, folder: Path) -> None:
    words = ["-m", "bicubic", "-m", "lanczos", "--filter", "none", "--filter", "edge", "-j", 1, "-j", 2]
    said = edgelift("score", folder, "-s", 2, *words, "--tile", "auto", "--tile", "64x64", "--json")
    assert (said.code, said.err) == (0, "")
    found = json.loads(said.out)
    assert [(row["model"], row["filter"]) for row in found["rows"]] == [
        ("bicubic", "none"), ("bicubic", "edge"), ("lanczos", "none"), ("lanczos", "edge")
    ]  # fmt: skip
    for row in found["rows"]:
        assert row["score"] == contest_score(row["niqe_avg"], row["runtime_avg"])
        assert (row["scale"], row["jobs"], row["tile"], row["measured"]) == (2.0, None, None, 2)
    plain = np.mean([niqe(resize(grain(100, 120, n), 200, 240)) for n in (0, 1)])
    assert found["rows"][0]["niqe_avg"] == pytest.approx(plain)
    best = max(row["score"] for row in found["rows"])
    assert [row["best"] for row in found["rows"]] == [row["score"] == best > 0 for row in found["rows"]]
    assert found["niqe_model"]["name"] == "edgelift"
    assert "cpu" in found["machine"]


def test_the_table(edgelift, folder: Path) -> None:
    said = edgelift("score", folder, "-m", "bicubic", "--repeat", 2)
    assert said.code == 0
    for words in ("runtime avg (s)", "NIQE avg", "score", "bicubic", "means of 2 pictures", "NIQE model: edgelift"):
        assert words in said.out


def test_seven_and_worse_scores_nothing_and_says_so(edgelift, tmp_path: Path) -> None:
    y, x = np.mgrid[:100, :200]
    stripes = (((x // 10 + y // 10) % 2) * 255).astype(np.uint8)
    save(tmp_path / "board.png", np.repeat(stripes[..., None], 3, axis=2))
    said = edgelift("score", tmp_path, "-m", "bicubic")
    assert said.code == 0
    assert "a NIQE of 7 or more scores 0" in said.out
    assert json.loads(edgelift("score", tmp_path, "-m", "bicubic", "--json").out)["rows"][0]["score"] == 0


def test_bad_pictures_are_named_once_and_the_rest_is_scored(edgelift, folder: Path) -> None:
    (folder / "bad.png").write_text("words")
    save(folder / "small.png", grain(30, 30))
    said = edgelift("score", folder, "-m", "bicubic", "-m", "nearest", "--json")
    assert said.code == 3
    assert [line.partition(": ")[2].partition(":")[0] for line in said.err.splitlines()] == [
        str(folder / "bad.png"), str(folder / "small.png")
    ]  # fmt: skip
    assert [row["measured"] for row in json.loads(said.out)["rows"]] == [2, 2]
    assert "see the messages" in edgelift("score", folder, "-m", "bicubic").out


def test_not_defined_is_a_failure_here(edgelift, tmp_path: Path) -> None:
    save(tmp_path / "small.png", grain(30, 30))
    said = edgelift("score", tmp_path, "-m", "bicubic")
    assert said.code == 2
    assert "not defined" in said.err
    assert "means of 0 pictures" in said.out


def test_a_run_that_is_over(edgelift, folder: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out", tmp_path / "run.json"
    assert edgelift("upscale", folder, "-o", out, "-m", "bicubic", "--json", report).code == 0
    said = edgelift("score", out, "--report", report, "--json")
    assert (said.code, said.err) == (0, "")
    (row,) = json.loads(said.out)["rows"]
    seconds = [picture["seconds"] for picture in json.loads(report.read_text())["pictures"]]
    assert row["runtime_avg"] == pytest.approx(np.mean(seconds))
    assert (row["model"], row["runs_on"]) == ("bicubic", "interpolation")
    assert "from opening the one file to closing the other" in edgelift("score", out, "--report", report).out
    (out / "a_x2.png").unlink()
    less = edgelift("score", out, "--report", report, "--json")
    assert less.code == 3
    assert "a_x2.png" in less.err
    assert json.loads(less.out)["rows"][0]["measured"] == 1


def test_a_page(edgelift, folder: Path, tmp_path: Path) -> None:
    (folder / "bad<i>.png").write_text("words")
    page = tmp_path / "score.html"
    assert edgelift("score", folder, "-m", "bicubic", "-m", "lanczos", "--html", page).code == 3
    text = page.read_text(encoding="utf-8")
    for words in ("bicubic", "lanczos", "runtime avg (s)", "a.png", "NIQE model", "bad&lt;i&gt;.png"):
        assert words in text
    assert "bad<i>" not in text
    assert edgelift("score", folder, "-m", "bicubic", "--html", page).code == 3
    before = (folder / "a.png").read_bytes()
    said = edgelift("score", folder, "-m", "bicubic", "--html", folder / "a.png")
    assert (said.code, said.out) == (4, "")
    assert "exists already, and is no earlier page" in said.err
    assert (folder / "a.png").read_bytes() == before


def test_networks_and_their_tiles(edgelift, folder: Path) -> None:
    if not any(importlib.util.find_spec(name) for name in ("openvino", "onnxruntime")):
        pytest.skip("no engine is installed")
    words = ["-m", "fsrcnn-x3", "-m", "bicubic", "--jobs", 1, "--jobs", 2, "--tile", "64x64", "--tile", "auto"]
    said = edgelift("score", folder, *words, "--json")
    assert said.code == 0, said.err
    rows = json.loads(said.out)["rows"]
    assert [(row["model"], row["jobs"], row["scale"]) for row in rows] == [
        *(("fsrcnn-x3", n, 3) for n in (1, 1, 2, 2)), ("bicubic", None, 3.0)
    ]  # fmt: skip
    assert [row["tile"].startswith("auto (") or row["tile"] for row in rows[:2]] == ["64x64", True]
    assert len({row["niqe_avg"] for row in rows[:4]}) == 1  # neither tiles nor jobs change the result


def test_merges_are_a_column_of_the_grid(edgelift, folder: Path) -> None:
    if not any(importlib.util.find_spec(name) for name in ("openvino", "onnxruntime")):
        pytest.skip("no engine is installed")
    words = ["-m", "fsrcnn-x3", "-m", "bicubic", "--tile", "64x64", "--merge", "crop", "--merge", "naive"]
    said = edgelift("score", folder, *words, "--json")
    assert said.code == 0, said.err
    rows = json.loads(said.out)["rows"]
    assert [(row["model"], row["merge"]) for row in rows] == [
        ("fsrcnn-x3", "crop"), ("fsrcnn-x3", "naive"), ("bicubic", None)
    ]  # fmt: skip
    assert rows[0]["niqe_avg"] != rows[1]["niqe_avg"]  # seams are seen
    shown = edgelift("score", folder, *words).out
    assert "64×64 naive" in shown
    assert "64×64 crop" not in shown
    assert "fsrcnn-x3: " in shown  # where it ran
    assert ", ×3" in shown


def test_a_combination_that_cannot_run_does_not_stop_the_rest(edgelift, folder: Path) -> None:
    said = edgelift("score", folder, "-m", "fsrcnn-x3", "-m", "bicubic", "--engine", "warp", "--json")
    assert said.code == 2
    assert "warp" in said.err
    assert [row["measured"] for row in json.loads(said.out)["rows"]] == [0, 2]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["none"], 3, "is not a folder"),
        (["in/a.png"], 3, "is not a folder"),
        (["empty"], 3, "no pictures"),
        (["in", "-m", "nope"], 2, "nope"),
        (["in", "-m", "fsrcnn-x3", "-s", 2], 2, "×3"),
        (["in", "-m", "bicubic", "--filter", "dull"], 2, "dull"),
        (["in", "-m", "bicubic", "--tile", "12"], 2, "HEIGHTxWIDTH"),
        (["in", "-m", "bicubic", "--merge", "glue"], 2, "crop, feather, average, naive"),
        (["in", "-m", "bicubic", "--html", "none/score.html"], 4, "does not exist"),
        (["in", "-m", "bicubic", "--jobs", "0"], 2, "jobs"),
        (["in", "--report", "none.json"], 3, "cannot be read"),
        (["in", "--report", "in/a.png"], 3, "not JSON"),
        (["in", "--report", "none.json", "-m", "bicubic"], 2, "leave"),
        (["in", "--report", "none.json", "--merge", "crop"], 2, "leave"),
        (["in", "--report", "none.json", "--engine", "nonsense"], 2, "leave"),
        (["in", "--report", "none.json", "--repeat", "2"], 2, "leave"),
        (["in", "-m", "bicubic", "--niqe-model", "none.npz"], 3, "cannot be read"),
    ],
)
def test_wrong_words(
    edgelift, folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(folder.parent)
    (folder.parent / "empty").mkdir()
    said = edgelift("score", *words)
    assert said.code == code
    assert message in said.err
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
