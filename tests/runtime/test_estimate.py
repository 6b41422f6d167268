"""What a run is going to take, with an engine that copies pixels and prices that are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

from edgelift.core.errors import InputError, OutputError, RequestError
from edgelift.io.formats import SUFFIXES
from edgelift.io.standard import STANDARD
from edgelift.runtime import prices, upscaler
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.runtime.estimate import Facts, estimate, estimate_file, raw_bytes, require_disk, stages, typical_bytes
from edgelift.runtime.files import Job
from edgelift.runtime.footprint import resident_bytes
from edgelift.runtime.prices import Measurement
from edgelift.runtime.sizes import Goal, SizedUpscaler
from edgelift.runtime.upscaler import Upscaler
from edgelift.tiling.cost import CostModel, Measured

OUT = Path("out.png")
PICTURE = Facts(400, 600)
FLAT = CostModel((Measured(1, 512, 512, 0.5),))


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Engines that copy pixels, and measurements that say what they are told; the samples of each are kept."""
    measured: list[str] = []

    def measure(engine: FakeEngine, samples: str, *, most: int) -> Measurement:
        measured.append(samples)
        return Measurement(FLAT, 1.0)

    monkeypatch.setenv("EDGELIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        upscaler, "open_engine", lambda bundle, name, options: FakeEngine(bundle.spec, samples=options.samples)
    )
    monkeypatch.setattr(prices, "measure", measure)
    return measured


@pytest.fixture
def small(small_bundle: Path) -> Upscaler:
    return Upscaler(small_bundle)


def test_a_small_picture(small: Upscaler, fake: list[str]) -> None:
    found = estimate(small, PICTURE, OUT)
    assert (found.size_in, found.size_out) == ((400, 600), (800, 1200))
    assert found.disk_most == 800 * 1200 * 3
    assert 0.3 * found.disk_most < found.disk < 0.6 * found.disk_most
    assert found.seconds > 0
    assert not found.measured
    assert fake == []
    added = found.memory - resident_bytes()
    assert 5_000_000 < added < 300_000_000
    assert [choice.tile for choice in found.tiles] == [(400, 600)]


def test_measured_prices(small: Upscaler, fake: list[str]) -> None:
    found = estimate(small, PICTURE, OUT, measure=True)
    assert found.measured
    assert fake == ["uint8"]
    engine = 400 * 600 * 0.5 / 512**2
    assert engine < found.seconds < engine + 0.3
    twice = estimate(small, Facts(400, 600, channels=4), OUT)
    assert 2 * engine < twice.seconds  # transparency is run as a picture of its own
    assert twice.memory > found.memory
    assert estimate(small, Facts(400, 600, frames=5), OUT).seconds == pytest.approx(5 * found.seconds)


def test_a_budget_is_the_most_that_is_taken() -> None:
    with Upscaler("anytime-x2", budget="1000s") as routed:
        assert routed.spec is not None
        table = tuple(Measured(1, 512, 512, 5.0, variant) for variant in prices.priced(routed.spec))
        routed.planner()._known, routed.planner()._looked = CostModel(table), True
        seconds = {}
        for budget in ("1000s", "1s", "50%", "200%", "auto"):
            routed.budget = budget
            seconds[budget] = estimate(routed, Facts(512, 512), OUT).seconds
        encoder = seconds["1000s"] - 5
        assert 0 < encoder < 1
        expected = {"1000s": 5 + encoder, "1s": 1, "50%": 2.5 + encoder, "200%": 5 + encoder, "auto": 2.4 + encoder}
        assert seconds == pytest.approx(expected)
        routed.budget = "1s"
        assert estimate(routed, Facts(512, 512, frames=3), OUT).seconds == pytest.approx(3)


def test_a_busy_machine_shows(small: Upscaler, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not estimate(small, PICTURE, OUT, measure=True).busy
    monkeypatch.setattr(prices, "measure", lambda engine, samples, *, most: Measurement(FLAT, 2.0))
    busy = estimate(Upscaler(small.model.source), Facts(401, 600), OUT, measure=True)
    assert not busy.busy  # the first measurement was kept
    deep = estimate(Upscaler(small.model.source), Facts(401, 600, dtype="uint16"), OUT, measure=True)
    assert (deep.busy, deep.measured) == (True, True)


def test_deep_pictures_are_measured_as_they_run(small: Upscaler, fake: list[str]) -> None:
    found = estimate(small, Facts(400, 600, dtype="uint16"), OUT, measure=True)
    assert fake == ["float32"]
    assert found.disk_most == 800 * 1200 * 6
    assert found.disk > 0.7 * found.disk_most


def test_an_interpolation(fake: list[str]) -> None:
    found = estimate(Upscaler("bicubic", scale=3), Facts(1000, 1000), OUT, measure=True)
    assert (found.size_out, found.tiles, found.measured, fake) == ((3000, 3000), (), False, [])
    assert 0.1 < found.seconds < 10


def test_a_reduction_reads_the_whole_picture(fake: list[str]) -> None:
    wide, tall = (
        estimate(SizedUpscaler(Goal(width=100), "bicubic"), Facts(height, 40_000), OUT) for height in (4000, 40_000)
    )
    assert tall.size_out == (100, 100)
    assert tall.seconds > 5 * wide.seconds > 10
    assert tall.memory > resident_bytes() + 400 * 40_000 * 3  # of which a row of the result is made


def test_two_networks_and_a_reduction(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SizedUpscaler(Goal(scale=3.5), small_bundle) as sized:
        assert [(height, width) for _, height, width in stages(sized, 400, 600)] == [(400, 600), (800, 1200)]
        found = estimate(sized, PICTURE, OUT, measure=True)
    assert found.size_out == (1400, 2100)
    assert len(found.tiles) == 2
    assert found.measured
    one = estimate(Upscaler(small_bundle), PICTURE, OUT)
    assert found.seconds > 4 * one.seconds
    assert found.memory > one.memory


def test_too_little_memory(small_bundle: Path) -> None:
    with pytest.raises(RequestError, match="the smallest need for this picture"):
        estimate(Upscaler(small_bundle, memory="2M"), PICTURE, OUT)


@pytest.mark.parametrize(
    ("suffix", "options", "low", "high"),
    [
        (".png", {}, 0.3, 0.6),
        (".jpg", {}, 0.1, 0.2),
        (".jpg", {"quality": 50}, 0.03, 0.05),
        (".jpg", {"quality": 98}, 0.15, 0.3),
        (".jpg", {"quality": 1}, 0.03, 0.05),
        (".webp", {}, 0.05, 0.1),
        (".webp", {"lossless": True}, 0.2, 0.6),
        (".tif", {"dtype": "uint16"}, 0.7, 1.0),
        (".heic", {}, 0.1, 1.0),
    ],
)
def test_typical_sizes(suffix: str, options: dict[str, Any], low: float, high: float) -> None:
    assert low < typical_bytes(1_000_000, SUFFIXES[suffix], **options) / 1_000_000 < high


# -- files


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    pyvips.Image.new_from_array(np.full((30, 20, 4), 9, np.uint8)).pngsave(str(path))
    return path


def test_a_file(small: Upscaler, photo: Path, tmp_path: Path) -> None:
    found = estimate_file(small, Job(photo, tmp_path / "o.png"))
    assert (found.size_in, found.size_out, found.disk_most) == ((30, 20), (60, 40), 60 * 40 * 4)
    with pytest.raises(InputError):
        estimate_file(small, Job(tmp_path / "none.png", tmp_path / "o.png"))


def test_a_full_disk_is_known_before(small: Upscaler, photo: Path, tmp_path: Path) -> None:
    jobs = [Job(photo, tmp_path / "new" / f"{k}.png") for k in range(10)]
    typical = typical_bytes(60 * 40 * 4, SUFFIXES[".png"])
    asked: list[Path] = []

    def free(folder: Path) -> int:
        asked.append(folder)
        return 10 * typical

    require_disk(small, jobs, free=free)
    assert asked == [tmp_path]  # the nearest folder that is there, once for all
    message = r"the results need about 43.2 kB and the disk has 43.2 kB free; make room"
    with pytest.raises(OutputError, match=message):
        require_disk(small, jobs, free=lambda folder: 10 * typical - 1)
    require_disk(small, jobs, format="jpg", free=lambda folder: 10 * typical - 1)


def test_what_cannot_be_read_is_left_to_its_turn(small: Upscaler, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    jobs = [Job(bad, tmp_path / "o.png"), Job(STANDARD, tmp_path / "o.png"), Job(bad, STANDARD)]
    require_disk(small, jobs, free=lambda folder: 0)


def test_samples_of_the_result(small: Upscaler) -> None:
    assert raw_bytes(small, Facts(10, 20, channels=2, dtype="uint16", frames=3)) == 20 * 40 * 2 * 3 * 2


def test_an_unknown_format(small: Upscaler) -> None:
    with pytest.raises(RequestError, match="cannot write"):
        estimate(small, PICTURE, Path("out.xyz"))
