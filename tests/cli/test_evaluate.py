"""`edgelift evaluate` as a user meets it. Interpolations need no engine, so most of this uses them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import pyvips

from edgelift.evaluate import plots

RNG = np.random.default_rng(11)


@pytest.fixture
def references(tmp_path: Path) -> Path:
    folder = tmp_path / "hr"
    folder.mkdir()
    for name in ("one", "two"):
        smooth = RNG.integers(0, 256, (6, 7, 3)).repeat(9, axis=0).repeat(9, axis=1).astype(np.uint8)
        pyvips.Image.new_from_array(smooth).pngsave(str(folder / f"{name}.png"))
    return folder


def test_a_table(edgelift, references: Path) -> None:
    said = edgelift("evaluate", "bicubic", "nearest", "--hr", references, "-s", 3, "--rows")
    assert (said.code, said.err) == (0, "")
    lines = [line.split() for line in said.out.splitlines() if line.strip()]
    assert [line[:3] for line in lines[1:5]] == [
        [picture, model, "63×54"] for picture in ("one", "two") for model in ("bicubic", "nearest")
    ]
    assert lines[5] == [
        "model",
        "PSNR-Y",
        "SSIM-Y",
        "PSNR-RGB",
        "SSIM-RGB",
        "NIQE",
        "s/picture",
        "s/Mpixel",
        "pictures",
    ]
    assert [(line[0], line[5], line[-1]) for line in lines[6:8]] == [("bicubic", "–", "2"), ("nearest", "–", "2")]
    assert "bicubic: interpolation" in said.out


def test_json_is_one_document(edgelift, references: Path) -> None:
    said = edgelift("evaluate", "bicubic", "--hr", references, "-s", 3, "--json", "--rounds", 0, "--no-niqe")
    assert said.code == 0
    facts = json.loads(said.out)
    assert facts["machine"]["numpy"] == np.__version__
    assert facts["problems"] == []
    assert facts["niqe_model"] is None
    assert [row["picture"] for row in facts["models"][0]["rows"]] == ["one", "two"]
    assert facts["models"][0]["mean"]["seconds"] is None


def test_report_plot_and_results(edgelift, references: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    html, plot, out = tmp_path / "r.html", tmp_path / "p.svg", tmp_path / "out"
    said = edgelift(
        "evaluate", "bicubic", "lanczos", "--hr", references, "-s", 3, "--html", html, "--plot", plot, "--save", out
    )
    assert said.code == 0
    text = html.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert text.count("data:image/svg+xml") == 1
    assert text.count('type="range"') == 2
    assert "<svg" in plot.read_text(encoding="utf-8")
    assert len(list(out.rglob("*_x3.png"))) == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hr", "out", "p.svg", "r.html"]


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_only_an_earlier_report_is_replaced(edgelift, references: Path, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    html, plot = tmp_path / "r.html", tmp_path / f"p.{suffix}"
    words = ("evaluate", "bicubic", "--hr", references, "-s", 3, "--rounds", 1, "--no-niqe")
    for _ in range(2):
        assert edgelift(*words, "--html", html, "--plot", plot).code == 0
    before = (references / "one.png").read_bytes()
    for option in ("--html", "--plot"):
        said = edgelift(*words, option, references / "one.png")
        assert (said.code, said.out) == (4, "")
        assert "one.png: exists already, and is no earlier" in said.err
        assert (references / "one.png").read_bytes() == before


def test_results_never_replace_the_pictures(edgelift, references: Path, tmp_path: Path) -> None:
    small = tmp_path / "sets" / "bicubic"
    assert edgelift("upscale", references, "-m", "bicubic", "--scale", 1 / 3, "-o", small).code == 0
    partners = {path: path.read_bytes() for path in small.iterdir()}
    for path in partners:
        path.rename(path.with_name(f"{path.stem.partition('_')[0]}_x3.png"))
    partners = {path: path.read_bytes() for path in small.iterdir()}
    said = edgelift("evaluate", "bicubic", "--hr", references, "--lr", small, "-s", 3, "--save", tmp_path / "sets")
    assert said.code == 4
    assert "is a picture being read" in said.err
    assert {path: path.read_bytes() for path in small.iterdir()} == partners


def test_what_is_bad_is_named_and_the_rest_is_measured(edgelift, references: Path, tmp_path: Path) -> None:
    (references / "bad.png").write_bytes(b"no picture")
    model = tmp_path / "bad.onnx"
    model.write_bytes(b"no model")
    said = edgelift("evaluate", model, "bicubic", "--hr", references, "-s", 3, "--json", "--rounds", 0)
    facts = json.loads(said.out)
    assert said.code == 5  # of the first problem
    assert [(p["code"], p["picture"]) for p in facts["problems"]] == [(5, None), (3, "bad")]
    assert [len(m["rows"]) for m in facts["models"]] == [2]
    first, second = said.err.splitlines()
    assert first.startswith(f"edgelift: {model}: ")
    assert second.startswith("edgelift: bad: ")
    assert "is not a picture" in second


def test_without_any_model_there_is_no_table(edgelift, references: Path) -> None:
    said = edgelift("evaluate", "fsrcnn-x3", "--hr", references, "-s", 2)
    assert said.code == 2
    assert said.out == ""
    assert "enlarges ×3, not ×2" in said.err


def test_hostile_names_are_spelled_out(edgelift, references: Path, tmp_path: Path) -> None:
    (references / "one.png").rename(references / "[red]<b>\x1b[2J\u202e.png")
    (references / "two.png").rename(references / "\udcff[.png")
    html = tmp_path / "r.html"
    said = edgelift("evaluate", "bicubic", "--hr", references, "-s", 3, "--rows", "--html", html, "--rounds", 0)
    assert said.code == 0, said.err
    assert "[red]<b>\\x1b[2J\\u202e" in said.out
    assert "\\udcff[" in said.out
    assert "\x1b[2J" not in said.out
    assert "&lt;b&gt;\\x1b[2J\\u202e" in html.read_text(encoding="utf-8")
    said = edgelift("evaluate", "bicubic", "--hr", references, "-s", 3, "--json", "--rounds", 0)
    assert {row["picture"] for row in json.loads(said.out)["models"][0]["rows"]} == {"[red]<b>\x1b[2J\u202e", "\udcff["}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["bicubic", "--hr", "HR"], 2, "--scale"),
        (["bicubic", "--hr", "none", "-s", "3"], 3, "none: cannot be read"),
        (["bicubic", "--hr", "empty", "-s", "3"], 3, "no pictures in this folder"),
        (["bicubic", "--hr", "HR", "-s", "3", "--lr", "empty"], 3, "empty: no pictures"),
        (["bicubic", "--hr", "HR", "-s", "3", "--html", "none/r.html"], 4, "does not exist"),
        (["bicubic", "--hr", "HR", "-s", "3", "--plot", "none/p.svg"], 4, "does not exist"),
        (["bicubic", "--hr", "HR", "-s", "3", "--plot", "p.pdf"], 2, ".svg or .png"),
        (["bicubic", "--hr", "HR", "-s", "3", "--plot", "p.svg", "--rounds", "0"], 2, "--rounds 0"),
        (["bicubic", "--hr", "HR", "-s", "3", "--tile", "0"], 2, "--tile is auto"),
        (["bicubic", "--hr", "HR", "-s", "3", "--niqe-model", "none"], 3, "none: cannot be read"),
        (["nothing", "--hr", "HR"], 2, "no model is called 'nothing'"),
    ],
)
def test_what_cannot_be_done(
    edgelift, references: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, said: str
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(references.parent)
    (references.parent / "empty").mkdir()
    (references.parent / "HR").symlink_to(references)
    answer = edgelift("evaluate", *words)
    assert answer.code == code
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1
    assert answer.out == ""
    assert not list(references.parent.glob("*.pdf"))


def test_a_plot_without_matplotlib_is_refused_before_the_work(
    edgelift, references: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "available", lambda: False)
    said = edgelift("evaluate", "bicubic", "--hr", references, "-s", 3, "--plot", tmp_path / "p.svg")
    assert said.code == 7
    assert "pip install 'edgelift[report]'" in said.err
    said = edgelift("evaluate", "bicubic", "--hr", references, "-s", 3, "--html", tmp_path / "r.html")
    assert said.code == 0
    assert "matplotlib is not installed" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_network_with_its_options(edgelift, references: Path) -> None:
    pytest.importorskip("openvino")
    words = ["--engine", "openvino", "--precision", "f32", "--tile", "64x64", "--json", "--rounds", "1"]
    said = edgelift("evaluate", "abpn-x3", "bicubic", "--hr", references, *words)
    assert said.code == 0, said.err
    network, bicubic = json.loads(said.out)["models"]
    assert network["runs_on"] == "openvino CPU f32"
    assert network["parameters"] == 42539
    assert network["mean"]["seconds"] > 0
    assert bicubic["runs_on"] == "interpolation"
