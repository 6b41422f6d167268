"""`edgelift profile`, with an engine that copies pixels where none is named."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from edgelift.evaluate.profile import bench
from edgelift.io.bundle import bundled
from edgelift.runtime import prices
from edgelift.runtime.engines import ENGINES, availability, open_engine
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.tiling.cost import CostModel, Measured

MODEL = "abpn-x2"
HERE = [f.engine for f in availability() if not f.problem and "onnx" in ENGINES.load(f.engine).forms]
pytestmark = pytest.mark.skipif(MODEL not in bundled(), reason="the network is not bundled")
QUICK = ("--size", "16x24", "--rounds", "1")


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    def open(bundle: Any, name: str, options: Any) -> Any:
        return (
            FakeEngine(bundle.spec, samples=options.samples) if name == "auto" else open_engine(bundle, name, options)
        )

    table = CostModel((Measured(1, 8, 8, 0.1), Measured(2, 8, 8, 0.15)))
    monkeypatch.setattr(bench, "open_engine", open)
    monkeypatch.setattr(prices, "measure", lambda engine, samples, *, most: prices.Measurement(table, 1.0))


def test_tables(edgelift: Any) -> None:
    said = edgelift("profile", MODEL, *QUICK)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("abpn-x2 on fake 1, CPU nearest neighbour, f32; ")
    for words in ("Stages", "inference", "not accounted for", "Resolutions", "Tile prices", "2×3×8×8"):
        assert words in said.out
    assert "  5.208e-04\n" in said.out
    assert "3.906e-04*" in said.out  # the least price


def test_json(edgelift: Any) -> None:
    said = edgelift("profile", MODEL, *QUICK, "--only", "stages", "--filter", "edge", "--json")
    plain = json.loads(said.out)
    assert (said.code, said.err) == (0, "")
    assert plain["parts"]["stages"]["filter"] == "edge"
    assert list(plain["parts"]) == ["stages"]


def test_a_picture(edgelift: Any, repository: Path) -> None:
    said = edgelift("profile", MODEL, *QUICK, "--only", "stages", "--picture", repository / "samples" / "scene.png")
    assert said.code == 0
    assert "scene.png, " in said.out


def test_a_bad_picture_is_named_and_the_rest_measured(edgelift: Any, tmp_path: Path) -> None:
    said = edgelift("profile", MODEL, *QUICK, "--picture", tmp_path / "absent.png")
    assert said.code == 3
    assert said.err.startswith("edgelift: stages: ")
    assert "absent.png" in said.err
    assert "Tile prices" in said.out
    assert "Stages" not in said.out


def test_profiles_are_put_side_by_side(edgelift: Any, tmp_path: Path) -> None:
    first, second, page = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "all.html"
    assert edgelift("profile", MODEL, *QUICK, "--only", "prices", "-o", first).code == 0
    plain = json.loads(first.read_text())
    plain["device"]["machine"] = "another, 3 cores"
    second.write_text(json.dumps(plain))
    said = edgelift("profile", "--merge", first, second, "--html", page)
    assert (said.code, said.err) == (0, "")
    assert "B: fake 1, CPU nearest neighbour, f32; another, 3 cores" in said.out
    assert "B ms/MP" in said.out
    assert "another, 3 cores" in page.read_text(encoding="utf-8")
    said = edgelift("profile", "--merge", first, second, "--json")
    merged = json.loads(said.out)
    assert [device["machine"] for device in merged["devices"]][1] == "another, 3 cores"
    assert (merged["height"], merged["width"]) == (16, 24)
    assert [cell["device"] for cell in merged["models"][0]["latency"]] == [0, 1]


def test_the_same_profile_twice(edgelift: Any, tmp_path: Path) -> None:
    edgelift("profile", MODEL, *QUICK, "--only", "prices", "-o", tmp_path / "a.json")
    said = edgelift("profile", "--merge", tmp_path / "a.json", tmp_path / "a.json")
    assert said.code == 2
    assert "give one of them" in said.err


def test_a_page(edgelift: Any, tmp_path: Path) -> None:
    said = edgelift("profile", MODEL, *QUICK, "--html", tmp_path / "p.html")
    assert said.code == 0
    assert "Where the time of abpn-x2 goes" in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_only_an_earlier_report_is_replaced(edgelift: Any, tmp_path: Path) -> None:
    page, profile, own = tmp_path / "p.html", tmp_path / "p.json", tmp_path / "own.onnx"
    own.write_bytes(bundled()[MODEL].read_bytes())
    for _ in range(2):
        assert edgelift("profile", own, *QUICK, "--only", "prices", "--html", page, "-o", profile).code == 0
    for option, place in (("-o", own), ("-o", page), ("--html", own), ("--html", profile)):
        before = place.read_bytes()
        said = edgelift("profile", own, *QUICK, "--only", "prices", option, place)
        assert (said.code, said.out) == (4, "")
        assert "is the file being read" in said.err if place == own else "exists already, and is no earlier" in said.err
        assert place.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        ((MODEL, "--engine", "steam"), 2, "steam"),
        (("bicubic",), 2, "bicubic is an interpolation"),
        (("absent",), 2, "no model is called 'absent'"),
        ((MODEL, MODEL), 2, "one model is profiled at a time, got 2"),
        ((MODEL, "--only", "all"), 2, "got 'all'"),
        ((MODEL, "--size", "big"), 2, "--size is HEIGHTxWIDTH"),
        ((MODEL, "--size", "4x4"), 2, "each side 8 to 16384"),
        ((MODEL, "--filter", "blur"), 2, "filter must be"),
        ((MODEL, "--only", "nodes", "--size", "16x16"), 2, "nodes: the engine fake runs networks only"),
        ((MODEL, "-o", "/absent/p.json"), 4, "the folder /absent does not exist"),
        ((MODEL, "--html", "/absent/p.html"), 4, "the folder /absent does not exist"),
        (("--merge", "absent.json"), 3, "absent.json: cannot be read"),
        (("--merge", "absent.json", "-o", "x.json"), 2, "--merge reads profiles"),
        (("--merge", "a.json", "--size", "9x9", "--rounds", "2"), 2, "what was measured; leave --size, --rounds out"),
        (("a.tflite", "--device", "adb", "--channels", "8"), 2, "the whole file is timed; leave --channels out"),
    ],
)
def test_bad_requests(edgelift: Any, words: tuple[str, ...], code: int, expected: str) -> None:
    said = edgelift("profile", *words)
    assert said.code == code
    assert expected in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("engine", HERE)
def test_the_engines_that_are_here(edgelift: Any, engine: str) -> None:
    options = ("--engine", engine, "--precision", "f32", "--threads", "1", "--channels", "8")
    said = edgelift("profile", MODEL, *QUICK, *options)
    assert (said.code, said.err) == (0, "")
    for words in ("Operators by kind", "GMAC/s", "Single operators", "channel attention"):
        assert words in said.out


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_pytorch(edgelift: Any) -> None:
    said = edgelift("profile", MODEL, *QUICK, "--engine", "torch", "--only", "operators,stages")
    assert (said.code, said.err) == (0, "")
    assert "conv2d" in said.out
    said = edgelift("profile", MODEL, *QUICK, "--engine", "torch", "--device", "gpu")
    assert said.code == 2
    assert "runs on the cpu in f32" in said.err
