"""`edgelift niqe` as a user meets it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import pyvips

from edgelift.evaluate.niqe import niqe
from edgelift.evaluate.niqe_model import NiqeModel, load_model, save_model


def grain(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(128, 30, (height, width, 3)).clip(0, 255).astype(np.uint8)


def save(path: Path, picture: np.ndarray) -> Path:
    pyvips.Image.new_from_array(picture).pngsave(str(path))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "in"
    inside.mkdir()
    for n, name in enumerate(("a.png", "[b]x.png")):
        save(inside / name, grain(200, 300, n))
    return inside


def test_a_row_a_picture_and_the_mean(edgelift, folder: Path) -> None:
    said = edgelift("niqe", folder)
    assert (said.code, said.err) == (0, "")
    figures = [niqe(grain(200, 300, n)) for n in (0, 1)]
    lines = said.out.splitlines()
    assert [line.split()[-1] for line in lines[1:3]] == [f"{figures[1]:.4f}", f"{figures[0]:.4f}"]
    assert "[b]x.png" in said.out
    assert "300×200" in said.out
    assert f"mean {sum(figures) / 2:.4f} of 2; NIQE model edgelift" in said.out


def test_hidden_folders_are_left_alone(edgelift, folder: Path) -> None:
    (folder / ".thumbs").mkdir()
    (folder / ".thumbs" / "c.png").write_bytes(b"no picture")
    said = edgelift("niqe", folder)
    assert (said.code, " of 2; " in said.out) == (0, True)


def test_json_and_another_model(edgelift, folder: Path, tmp_path: Path) -> None:
    other = NiqeModel(load_model().mean + 0.1, load_model().covariance, "other", "moved")
    save_model(other, tmp_path / "other.npz")
    said = edgelift("niqe", folder / "a.png", "--niqe-model", tmp_path / "other.npz", "--json")
    found = json.loads(said.out)
    assert found["niqe_model"] == {"name": "other", "provenance": "moved"}
    assert found["pictures"] == [
        {"input": str(folder / "a.png"), "height": 200, "width": 300, "status": "measured",
         "niqe": niqe(grain(200, 300), other)}
    ]  # fmt: skip
    assert (found["measured"], found["not_defined"], found["failed"]) == (1, 0, 0)
    assert found["mean"] == found["pictures"][0]["niqe"]


def test_names_that_are_no_text_are_in_json_too(edgelift, folder: Path) -> None:
    name = os.fsdecode(b"\xff.png")
    save(folder / "c.png", grain(200, 200)).rename(folder / name)
    said = edgelift("niqe", folder, "--json")
    said.out.encode()
    assert str(folder / name) in [picture["input"] for picture in json.loads(said.out)["pictures"]]


def test_a_picture_without_niqe_is_no_failure(edgelift, folder: Path) -> None:
    save(folder / "small.png", grain(90, 90))
    save(folder / "flat.png", np.full((200, 200, 3), 9, np.uint8))
    said = edgelift("niqe", folder, "--json")
    assert said.code == 0
    assert len(said.err.splitlines()) == 2
    assert "small.png: NIQE is not defined for 90×90" in said.err
    found = json.loads(said.out)
    assert [row["status"] for row in found["pictures"]] == ["measured", "measured", "not defined", "not defined"]
    assert found["not_defined"] == 2
    assert "2 not defined" in edgelift("niqe", folder).out


def test_where_no_picture_has_one_that_is_a_failure(edgelift, tmp_path: Path) -> None:
    said = edgelift("niqe", save(tmp_path / "small.png", grain(90, 90)))
    assert said.code == 2
    assert "no mean, 1 not defined" in said.out
    assert json.loads(edgelift("niqe", tmp_path, "--json").out)["mean"] is None


def test_a_bad_file_is_named_and_the_rest_is_measured(edgelift, folder: Path) -> None:
    (folder / "bad.png").write_text("words")
    said = edgelift("niqe", folder)
    assert said.code == 3
    assert "bad.png" in said.err
    assert "of 2, 1 failed" in said.out
    assert json.loads(edgelift("niqe", folder, "--json").out)["failed"] == 1


def test_a_grey_picture_is_taken_as_rgb(edgelift, tmp_path: Path) -> None:
    plane = grain(200, 300)[..., 0]
    found = json.loads(edgelift("niqe", save(tmp_path / "grey.png", plane), "--json").out)
    assert found["mean"] == niqe(np.repeat(plane[..., None], 3, axis=2))


def test_fit(edgelift, tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.mkdir()
    for n in range(3):
        save(good / f"{n}.png", grain(400, 500, n))
    said = edgelift("niqe", "--fit", good, "-o", tmp_path / "mine.npz", "--json")
    assert said.code == 0
    model = load_model(tmp_path / "mine.npz")
    assert (model.name, model.provenance) == ("mine", "fitted to 60 sharp blocks of 3 pictures (good)")
    assert json.loads(said.out)["blocks"] == 60
    (good / "bad.png").write_text("words")
    again = edgelift("niqe", "--fit", good, "-o", tmp_path / "two.npz", "--name", "mine")
    assert again.code == 3
    assert "bad.png" in again.err
    assert (tmp_path / "two.npz").read_bytes() == (tmp_path / "mine.npz").read_bytes()
    (tmp_path / "two.npz").write_text("words")
    taken = edgelift("niqe", "--fit", good, "-o", tmp_path / "two.npz", "--name", "mine")
    assert taken.code == 4
    assert (tmp_path / "two.npz").read_text() == "words"
    assert edgelift("niqe", "--fit", good, "-o", tmp_path / "two.npz", "--name", "mine", "--overwrite").code == 3
    assert (tmp_path / "two.npz").read_bytes() == (tmp_path / "mine.npz").read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nothing-here"], 3, "no such file"),
        (["--fit", "in"], 2, "-o"),
        (["in", "-o", "x.npz"], 2, "--fit"),
        (["in", "--name", "x"], 2, "--fit"),
        (["in", "--overwrite"], 2, "--fit"),
        (["--fit", "in", "-o", "x.mat"], 2, ".npz"),
        (["--fit", "in", "-o", "nowhere/x.npz"], 4, "does not exist"),
        (["--fit", "in", "-o", "x.npz"], 2, "more than 36"),
        (["--fit", "in", "-o", "x.npz", "--niqe-model", "y.npz"], 2, "one of them"),
        (["in", "--niqe-model", "in/a.png"], 3, "not a NIQE model"),
        (["in", "--niqe-model", "none.npz"], 3, "cannot be read"),
        (["empty"], 3, "no pictures"),
    ],
)
def test_wrong_words(
    edgelift, folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(folder.parent)
    (folder.parent / "empty").mkdir()
    said = edgelift("niqe", *words)
    assert said.code == code
    assert message in said.err
    assert len(said.err.splitlines()) == 1
    assert {path.name for path in folder.parent.iterdir()} == {"in", "empty"}
