"""`edgelift plan`, `upscale --dry-run`, `--batch` and `--memory`, with an engine that copies pixels."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pyvips

from edgelift.io.bundle import bundled
from edgelift.runtime import estimate, prices, upscaler
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.runtime.prices import Measurement
from edgelift.tiling.cost import CostModel, Measured

TABLE = CostModel((Measured(1, 64, 64, 0.001), Measured(1, 128, 128, 0.006), Measured(2, 64, 64, 0.00199)))
MODEL = "abpn-x3"
pytestmark = pytest.mark.skipif(MODEL not in bundled(), reason="the network is not bundled")


class Counter:
    """Stands in for `prices.measure`."""

    count = 0

    def __call__(self, engine: FakeEngine, samples: str, *, most: int) -> Measurement:
        self.count += 1
        return Measurement(TABLE, 1.0)


@pytest.fixture(autouse=True)
def measuring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counter:
    counter = Counter()
    monkeypatch.setenv("EDGELIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        upscaler, "open_engine", lambda bundle, name, options: FakeEngine(bundle.spec, samples=options.samples)
    )
    monkeypatch.setattr(prices, "measure", counter)
    return counter


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "photo.png"
    path.parent.mkdir()
    pyvips.Image.new_from_array(np.random.default_rng(1).integers(0, 256, (150, 200, 3), np.uint8)).pngsave(str(path))
    return path


def test_a_table_and_what_it_comes_to(edgelift: Any, photo: Path, measuring: Counter) -> None:
    said = edgelift("plan", photo, "-m", MODEL)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "abpn-x3 on fake CPU f32"
    assert lines[1].split() == ["tile", "batch", "windows", "redundant", "price", "seconds", "memory"]
    body = lines[2:-1]
    assert sum("taken" in line for line in body) == 1
    assert sum("least redundant" in line for line in body) == 1
    assert [line.split()[:2] for line in body if "least price" in line] == [["64×64", "2"]]
    assert "8.138e-08" in said.out  # 0.001 s / (3 · 64 · 64)
    assert lines[-1].startswith("photo.png: 200×150 -> 600×450, about 0.0")
    assert "not measured" not in said.out
    assert measuring.count == 1
    assert sorted(path.name for path in photo.parent.iterdir()) == ["photo.png"]


def test_prices_are_kept_and_can_be_measured_again(edgelift: Any, photo: Path, measuring: Counter) -> None:
    edgelift("plan", photo, "-m", MODEL)
    edgelift("plan", photo, "-m", MODEL)
    assert measuring.count == 1
    edgelift("plan", photo, "-m", MODEL, "--measure")
    assert measuring.count == 2


def test_as_json(edgelift: Any, photo: Path) -> None:
    said = edgelift("plan", photo, "-m", MODEL, "--json", "-f", "jpg")
    facts = json.loads(said.out)
    assert facts["size_out"] == [450, 600]
    assert facts["measured"] is True
    assert facts["disk"] < facts["disk_most"] == 450 * 600 * 3
    (network,) = facts["networks"]
    assert network["model"] == MODEL
    (taken,) = [row for row in network["candidates"] if "taken" in row["marks"]]
    assert set(taken) == {"tile", "batch", "windows", "seconds", "memory", "redundancy", "price", "marks"}


def test_an_interpolation_has_no_table(edgelift: Any, photo: Path) -> None:
    said = edgelift("plan", photo, "-m", "bicubic", "-s", 2)
    assert (said.code, len(said.out.splitlines())) == (0, 1)


def test_a_settled_tile_is_the_one_taken(edgelift: Any, photo: Path) -> None:
    said = edgelift("plan", photo, "-m", MODEL, "-t", "50x60")
    (line,) = [line for line in said.out.splitlines() if "taken" in line]
    assert line.split()[0] == "50×60"


# -- what is not possible


@pytest.mark.parametrize("command", [["plan"], ["upscale", "-o", "out.png"]])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--memory", "12parsecs"], "such as 500M or 2G; got '12parsecs'"),
        (["--memory", "1M"], "the smallest need for this picture"),
        (["--batch", "0"], "a batch is 'auto' or at least one window, got 0"),
        (["--batch", "many"], "--batch is auto or a whole number above 0"),
        (["--batch", "65"], "at most 64 windows in a batch, got 65"),
        (["--tile", "big"], "--tile is auto or HEIGHTxWIDTH"),
    ],
)
def test_one_line_for_what_is_wrong(
    edgelift: Any, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    command: list[str], words: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    said = edgelift(*command, photo, "-m", MODEL, *words)
    assert said.code == 2
    assert len(said.err.splitlines()) == 1
    assert message in said.err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["in"]


def test_a_full_disk(edgelift: Any, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda folder: SimpleNamespace(free=5))
    said = edgelift("upscale", photo, "-o", tmp_path / "out.png", "-m", MODEL)
    assert said.code == 4
    assert "need about" in said.err
    assert "5 bytes free" in said.err
    assert not (tmp_path / "out.png").exists()


# -- dry runs


def test_a_dry_run_of_one(edgelift: Any, photo: Path, tmp_path: Path, measuring: Counter) -> None:
    said = edgelift("upscale", photo, "-o", tmp_path / "out.png", "-m", MODEL, "--dry-run")
    assert (said.code, said.err) == (0, "")
    (line,) = said.out.splitlines()
    assert "200×150 -> 600×450, about" in line
    assert "of memory" in line
    assert "on the disk (at most 810 kB)" in line
    assert not (tmp_path / "out.png").exists()
    assert measuring.count == 1


def test_a_dry_run_of_a_folder(edgelift: Any, photo: Path, tmp_path: Path) -> None:
    (photo.parent / "another.png").write_bytes(photo.read_bytes())
    (photo.parent / "bad.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    said = edgelift("upscale", photo.parent, "-o", out, "-m", MODEL, "--dry-run")
    assert said.code == 3
    assert said.out.splitlines()[-1].startswith("2 pictures: about")
    assert "(at most 1.62 MB)" in said.out.splitlines()[-1]
    assert len(said.err.splitlines()) == 1
    assert not out.exists()


def test_a_dry_run_refuses_what_the_run_would(edgelift: Any, photo: Path, tmp_path: Path) -> None:
    clear, old, shut = tmp_path / "clear.png", tmp_path / "old.png", tmp_path / "file" / "deep"
    pyvips.Image.new_from_array(np.full((9, 9, 4), 9, np.uint8)).copy(interpretation="srgb").pngsave(str(clear))
    old.write_bytes(b"old")
    (tmp_path / "file").write_bytes(b"")
    for words in (
        (photo, "-o", old),
        (photo, "-o", photo, "--overwrite"),
        (photo, "-o", tmp_path / "o.webp", "--width", 20_000),
        (clear, "-o", tmp_path / "o.jpg"),
        (photo, "-o", shut / "o.png"),
    ):
        dry, real = (edgelift("upscale", *words, "-m", "nearest", *more) for more in (("--dry-run",), ()))
        assert dry.code == real.code > 0, words
        assert dry.out == ""
        assert dry.err == real.err or words[2] == shut / "o.png"
    for words in (("-o", old, "--overwrite"), ("-o", tmp_path / "new" / "o.png")):
        assert edgelift("upscale", photo, *words, "-m", "nearest", "--dry-run").code == 0
    assert not (tmp_path / "new").exists()


def test_a_dry_run_knows_a_full_disk(edgelift: Any, photo: Path, tmp_path: Path, monkeypatch: Any) -> None:
    full = SimpleNamespace(free=10)
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda folder: full)
    said = edgelift("upscale", photo, "-o", tmp_path / "out.png", "-m", MODEL, "--dry-run")
    assert (said.code, "the disk has 10" in said.err) == (4, True)


def test_an_animation_is_planned(edgelift: Any, tmp_path: Path) -> None:
    frames = pyvips.Image.new_from_array(np.random.default_rng(1).integers(0, 256, (80, 30, 3), np.uint8)).copy()
    frames.set_type(pyvips.GValue.gint_type, "page-height", 40)
    frames.gifsave(str(tmp_path / "a.gif"))
    said = edgelift("plan", tmp_path / "a.gif", "-m", MODEL, "--json")
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out)["size_out"] == [120, 90]


def test_a_dry_run_writes_nothing_at_all(edgelift: Any, photo: Path, tmp_path: Path) -> None:
    said = edgelift("upscale", photo, "-o", tmp_path / "o.png", "-m", MODEL, "--dry-run", "--json", tmp_path / "r.json")
    assert said.code == 2
    assert "--dry-run writes nothing" in said.err


def test_memory_and_batch_reach_the_engine(edgelift: Any, photo: Path, tmp_path: Path) -> None:
    plain, small = tmp_path / "plain.png", tmp_path / "small.png"
    assert edgelift("upscale", photo, "-o", plain, "-m", MODEL).code == 0
    assert edgelift("upscale", photo, "-o", small, "-m", MODEL, "--memory", "2G", "--batch", 3).code == 0
    assert small.read_bytes() == plain.read_bytes()
