"""`edgelift upscale` with --quality, --content and --denoise, and `edgelift sheet`. No engine is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgelift.evaluate.sheet import shown
from edgelift.runtime import upscaler
from edgelift.runtime.engines.fake import FakeEngine

Image = pytest.importorskip("PIL.Image")
Edgelift = Callable[..., Any]


def _read(path: Path) -> Any:
    with Image.open(path) as opened:
        return np.asarray(opened)


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upscaler, "open_engine", lambda b, name, o: FakeEngine(b.spec, samples=o.samples))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    y, x = np.mgrid[:80, :96][..., None] / 20.0
    for number, sigma in enumerate((0, 25)):
        noise = np.random.default_rng(number).normal(0, sigma, (80, 96, 3))
        picture = np.clip(120 + 60 * np.sin(y + np.arange(3)) * np.cos(x) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / "in" / f"{number}.png")
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("words", "model"),
    [
        ((), "plain-x4"),
        (("--quality", "fast"), "plain-x4"),
        (("--quality", "best"), "+tta"),
        (("--content", "photo"), "photo-x4"),
        (("--content", "clean"), "plain-x4"),
        (("--content", "clean", "--denoise", 0.25), "photo-x4:0.25,plain-x4:0.75"),
    ],
    ids=str,
)
def test_flags_choose_the_network(edgelift: Edgelift, folder: Path, words: tuple[object, ...], model: str) -> None:
    out, report = folder.parent / "out.png", folder.parent / "r.json"
    assert edgelift("upscale", folder / "0.png", "-o", out, "-s", 4, "--json", report, *words).code == 0
    assert json.loads(report.read_text())["model"].endswith(model)


def test_auto_says_what_it_took(edgelift: Edgelift, folder: Path) -> None:
    out, report = folder.parent / "out", folder.parent / "r.json"
    said = edgelift("upscale", folder, "-o", out, "-s", 4, "--content", "auto", "--json", report)
    assert said.code == 0
    assert "photo-x4: 1 of 2 pictures" in said.err
    rows = json.loads(report.read_text())["pictures"]
    smooth, noisy = (row["taken"]["model"] for row in rows)
    assert "plain-x4" in smooth
    assert noisy == "photo-x4"
    one = edgelift("upscale", folder / "1.png", "-o", folder.parent / "o.png", "-s", 4, "--content", "auto")
    assert "no traces of JPEG: denoise 1, photo-x4" in one.err
    dry = edgelift("upscale", folder, "-o", out, "-s", 4, "--content", "auto", "--dry-run", "--overwrite")
    assert dry.code == 0
    assert "2 pictures: about" in dry.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--quality", "90"), "--quality is fast, balanced or best; that of a JPEG file is --file-quality 90"),
        (("--quality", "nice"), "quality is fast, balanced, best; got 'nice'"),
        (("--content", "cat"), "content is auto, photo, drawn, clean; got 'cat'"),
        (("--content", "cat", "-s", "1.7"), "content is auto, photo, drawn, clean; got 'cat'"),
        (("--denoise", "2"), "denoise is a number from 0 to 1, got 2"),
        (("--content", "photo", "-m", "abpn-x2"), "and so does the model abpn-x2; leave one of them out"),
        (("--content", "auto", "-m", "abpn-x2"), "and so does the model abpn-x2; leave one of them out"),
        (("--quality", "best", "--budget", "1s"), "and so does a budget; leave one of them out"),
    ],
    ids=str,
)
def test_what_is_refused(edgelift: Edgelift, folder: Path, words: tuple[str, ...], message: str) -> None:
    said = edgelift("upscale", folder / "0.png", "-o", folder.parent / "out.png", *words)
    assert said.code == 2
    assert message in said.err
    assert not (folder.parent / "out.png").exists()


def test_models_show_content_and_class(edgelift: Edgelift) -> None:
    rows = {line.split()[0]: line.split() for line in edgelift("models").out.splitlines() if line.strip()}
    assert rows["photo-x4"][1:3] == ["×4", "photo"]
    assert rows["abpn-x2"][1:4] == ["×2", "clean", "fast"]
    assert "content: clean\nclass: fast\n" in edgelift("models", "show", "abpn-x2").out


# -- sheets
def test_a_sheet_shows_every_form(edgelift: Edgelift, folder: Path, tmp_path: Path) -> None:
    words = ("sheet", folder, "-m", "abpn-x4", "-m", "auto", "--details", 1)
    alone, beside = tmp_path / "alone.png", tmp_path / "beside.png"
    said = edgelift(*words, "-o", alone)
    assert (said.code, said.out.strip()) == (0, f"{alone}: 2 pictures")
    (tmp_path / "hr").mkdir()
    for path in folder.iterdir():
        with Image.open(path) as small:
            small.resize((384, 320)).save(tmp_path / "hr" / path.name)
    assert edgelift(*words, "-o", beside, "--hr", tmp_path / "hr").code == 0
    sizes = [np.asarray(_read(path)).shape[1::-1] for path in (alone, beside)]
    assert sizes[1][0] - sizes[0][0] == 2 * 96 + 6, "truth is one cell more"
    assert sizes[0][1] == sizes[1][1]
    assert edgelift(*words, "-o", alone).code == 4
    assert edgelift(*words, "-o", alone, "--overwrite").code == 0
    for path in (next(folder.iterdir()), next((tmp_path / "hr").iterdir())):
        before = path.read_bytes()
        assert edgelift(*words, "-o", path, "--hr", tmp_path / "hr", "--overwrite").code == 4
        assert path.read_bytes() == before


def test_captions_of_grey_pictures_are_of_their_one_channel() -> None:
    rng = np.random.default_rng(0)
    truth, near = (rng.integers(0, 256, (64, 64, 1), np.uint8).repeat(3, axis=2) for _ in range(2))
    made = shown("a", truth[::2, ::2], {"near": near}, truth, 1, grey=True)
    error = np.mean((truth[2:-2, 2:-2, 0].astype(float) - near[2:-2, 2:-2, 0]) ** 2)
    assert f"near {10 * np.log10(255**2 / error):.2f} dB" in made.forms


def test_sheets_of_bad_input(edgelift: Edgelift, folder: Path, tmp_path: Path) -> None:
    (folder / "2.png").write_bytes(b"no picture")
    said = edgelift("sheet", folder, "-m", "abpn-x4", "-o", tmp_path / "s.png")
    assert said.code == 3
    assert "2.png" in said.err
    assert (tmp_path / "s.png").exists()
    assert edgelift("sheet", folder, "-m", "abpn-x4", "-o", tmp_path / "s.jpg").code == 2
    assert edgelift("sheet", folder, "-m", "absent", "-o", tmp_path / "t.png").code == 2
    assert edgelift("sheet", folder, "-m", "abpn-x4", "-o", tmp_path / "t.png", "--hr", tmp_path / "in").code == 3
    assert not (tmp_path / "t.png").exists()


@pytest.mark.parametrize("piped", [True, False], ids=["pipe", "redirected"])
def test_auto_looks_at_standard_input_and_then_runs_it(folder: Path, piped: bool) -> None:
    """The same bytes as for the file; Lanczos needs no engine, but looks at nothing, so that bundled networks run."""
    command = [sys.executable, "-c", PIPED, "upscale", "-", "-o", "-", "-f", "png", "-s", "4", "--content", "auto"]
    data = (folder / "1.png").read_bytes()
    if piped:
        done = subprocess.run(command, input=data, capture_output=True, check=False)
    else:
        with (folder / "1.png").open("rb") as source:
            done = subprocess.run(command, stdin=source, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder.parent / "piped.png").write_bytes(done.stdout)
    assert _read(folder.parent / "piped.png").shape == (320, 384, 3)
    assert b"photo" in done.stderr


PIPED = """
import sys
from edgelift.runtime import upscaler
from edgelift.runtime.engines.fake import FakeEngine
upscaler.open_engine = lambda b, name, o: FakeEngine(b.spec, samples=o.samples)
from edgelift.cli.app import run
sys.exit(run(sys.argv[1:]))
"""
