"""`edgelift upscale`: how tiles are merged, what is sharpened, and what runs at once. No engine is needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgelift.cli import upscale as command
from edgelift.runtime import sizes, upscaler
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.runtime.filters import parse_filter
from edgelift.runtime.upscaler import Upscaler

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)).save(tmp_path / "in.png")
    return tmp_path / "in.png"


def test_a_filter_sharpens_the_file(edgelift: Callable[..., Any], picture: Path, tmp_path: Path) -> None:
    words = ("upscale", picture, "-m", "bicubic", "-o")
    assert edgelift(*words, tmp_path / "plain.png").code == 0
    assert edgelift(*words, tmp_path / "sharp.png", "--filter", "unsharp:1,80,0", "--jobs", "2:1:3").code == 0
    plain, sharp = (np.asarray(Image.open(tmp_path / name)) for name in ("plain.png", "sharp.png"))
    sharpen = parse_filter("unsharp:1,80,0")
    assert sharpen is not None
    sharpen.fill(expected := np.empty_like(plain), plain, 0)
    assert np.array_equal(sharp, expected)


def test_options_reach_the_upscaler(
    edgelift: Callable[..., Any], picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def instead(model: str, goal: object, **options: Any) -> Upscaler:
        asked.update(options)
        return Upscaler("nearest", scale=2)

    monkeypatch.setattr(sizes, "open_upscaler", instead)
    words = ("--merge", "feather", "--overlap", 9, "--filter", "edge", "-j", "4:3:2")
    assert edgelift("upscale", picture, "-o", tmp_path / "out.png", *words).code == 0
    expected = {"merge": "feather", "overlap": 9, "filter": "edge", "ahead": 4, "workers": 3, "behind": 1}
    assert {name: asked[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--tta",), "plain-x2+tta"),
        (("--blend", "abpn-x2:0.7,anytime-x2:0.3"), "abpn-x2:0.7,anytime-x2:0.3"),
        (("--tta", "--blend", "abpn-x2:0.7,anytime-x2:0.3", "-s", 3), "abpn-x2:0.7,anytime-x2:0.3+tta"),
    ],
    ids=str,
)
def test_reports_name_ensembles(
    edgelift: Callable[..., Any],
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[object, ...],
    name: str,
) -> None:
    monkeypatch.setattr(upscaler, "open_engine", lambda b, name, o: FakeEngine(b.spec, samples=o.samples))
    out, report = tmp_path / "out.png", tmp_path / "report.json"
    assert edgelift("upscale", picture, "-o", out, "--json", report, *words).code == 0
    assert json.loads(report.read_text())["model"] == name
    larger, scale = np.asarray(Image.open(out)), 3 if "-s" in words else 2
    assert larger.shape == (40 * scale, 30 * scale, 3)
    if scale == 2:
        assert np.array_equal(larger, np.asarray(Image.open(picture)).repeat(2, axis=0).repeat(2, axis=1))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--tta", "--budget", "1s"), "leave tta and blend out"),
        (("--tta", "--fps", 5), "leave tta and blend out"),
        (("--tta", "-m", "bicubic"), "bicubic is an interpolation"),
        (("--blend", "abpn-x2:0.5,abpn-x2:0.5", "-m", "abpn-x2"), "leave the model abpn-x2 out"),
        (("--blend", "abpn-x2:0.5,abpn-x4:0.5"), "scale is 2 in the one and 4 in the other"),
        (("--blend", "abpn-x2:0.5"), "two models or more"),
    ],
    ids=str,
)
def test_ensembles_that_are_refused(
    edgelift: Callable[..., Any], picture: Path, tmp_path: Path, words: tuple[object, ...], message: str
) -> None:
    said = edgelift("upscale", picture, "-o", tmp_path / "out.png", *words)
    assert said.code == 2
    assert message in said.err
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-j", "2:2"), "three whole numbers above 0"),
        (("-j", "0:1:1"), "three whole numbers above 0"),
        (("-j", "a:b:c"), "got 'a:b:c'"),
        (("--filter", "glow"), "filter must be none, edge, sharpen, unsharp"),
        (("--filter", "unsharp:2,x"), "unsharp:2,150,3"),
        (("--merge", "feather"), "needs no tiles"),
        (("--overlap", 4), "needs no tiles"),
        (("--overlap", -1), "overlap"),
        (("--tile", "8x8"), "needs no tiles"),
    ],
    ids=str,
)
def test_what_is_refused(
    edgelift: Callable[..., Any], picture: Path, tmp_path: Path, words: tuple[object, ...], message: str
) -> None:
    said = edgelift("upscale", picture, "-m", "bicubic", "-o", tmp_path / "out.png", *words)
    assert said.code == 2
    assert message in said.err
    assert not (tmp_path / "out.png").exists()


def test_warnings_go_to_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    command._warn("halved")
    assert capsys.readouterr() == ("", "edgelift: halved\n")
