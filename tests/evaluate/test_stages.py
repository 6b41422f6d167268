"""Stages of a picture: which moment belongs to which, with a clock that only the parts under test move."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

from edgelift.core.errors import InputError, RequestError
from edgelift.evaluate.profile.bench import SETTLE, Bench
from edgelift.evaluate.profile.stages import NAMES, Stages, stages
from edgelift.evaluate.profile.synthetic import scene, write_png
from edgelift.io.bundle import bundled, read_bundle
from edgelift.io.read import PictureReader
from edgelift.io.write import PictureWriter
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.runtime.filters import Kernel
from edgelift.runtime.windows import WindowRunner
from edgelift.tiling.merge import Crop

MODEL = "abpn-x2"
pytestmark = pytest.mark.skipif(MODEL not in bundled(), reason="the network is not bundled")


class HandClock:
    """Seconds that pass only where a test says so, and only in the thread that made it."""

    def __init__(self) -> None:
        self.now, self._thread = 100.0, threading.current_thread()

    def __call__(self) -> float:
        return self.now

    def during(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, seconds: float) -> None:
        """Let `owner.name` take that long."""
        real: Callable[..., Any] = getattr(owner, name)

        def slow(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is self._thread:
                self.now += seconds
            return real(*arguments, **named)

        monkeypatch.setattr(owner, name, slow)


def bench(**options: Any) -> Bench:
    bundle = read_bundle(bundled()[MODEL])
    engines: list[FakeEngine] = []

    def open(bundle: Any, asked: Any) -> FakeEngine:
        engines.append(FakeEngine(bundle.spec, samples=asked.samples, **options))
        return engines[-1]

    made = Bench(bundle, open=open)
    made.engines = engines  # type: ignore[attr-defined]  # for the tests
    return made


def seconds(found: Stages) -> dict[str, float | None]:
    return {stage.name: stage.seconds for stage in found.stages}


def test_every_moment_belongs_to_its_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock()
    clock.during(monkeypatch, PictureReader, "rows", 1.0)  # one row of windows is read in the calling thread
    clock.during(monkeypatch, WindowRunner, "_cut", 2.0)
    clock.during(monkeypatch, FakeEngine, "run", 4.0)
    clock.during(monkeypatch, Crop, "add", 8.0)
    clock.during(monkeypatch, Kernel, "fill", 16.0)
    clock.during(monkeypatch, PictureWriter, "write", 32.0)
    with bench() as made:
        found = stages(made, size=(40, 64), filter="edge", rounds=3, clock=clock)
    assert seconds(found) == {
        "open": 0.0, "plan": 0.0, "decode": 1.0, "preprocess": 2.0, "inference": 4.0, "postprocess": None,
        "merge": 8.0, "filter": 16.0, "encode": 32.0,
    }  # fmt: skip
    assert (found.total, found.rest, found.whole.seconds, found.first) == (63.0, 0.0, 63.0, 63.0)
    alone = {stage.name: stage.alone.seconds for stage in found.stages if stage.alone}
    assert alone == {"decode": 1.0, "encode": 32.0}


def test_the_median_round_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, calls = HandClock(), [0]

    class Uneven(FakeEngine):
        def run(self, batch: Any, variant: int, out: Any) -> None:
            super().run(batch, variant, out)
            calls[0] += 1
            clock.now += {SETTLE + 1: 9.0, SETTLE + 2: 5.0}.get(calls[0], 1.0)

    bundle = read_bundle(bundled()[MODEL])
    with Bench(bundle, open=lambda bundle, asked: Uneven(bundle.spec, samples=asked.samples)) as made:
        monkeypatch.setattr("edgelift.evaluate.profile.stages.SETTLE", 1)  # the first run settles it
        calls[0] = SETTLE - 1
        found = stages(made, size=(16, 16), rounds=3, clock=clock)
    assert found.total == 5.0
    assert seconds(found)["inference"] == 5.0
    assert (found.whole.low, found.whole.seconds, found.whole.high) == (3.0, 5.0, 7.0)


def test_many_windows_add_up_and_fit_the_engine() -> None:
    with bench(shapes=((32, 32),)) as made:
        found = stages(made, size=(80, 100), rounds=2)
    assert found.windows > 6
    assert found.tile == (32, 32)
    assert [stage.name for stage in found.stages] == [name for name in NAMES if name != "filter"]
    taken = [stage.seconds for stage in found.stages if stage.seconds is not None]
    assert sum(taken) + found.rest == pytest.approx(found.total)
    assert (found.size_in, found.size_out) == ((80, 100), (160, 200))


def test_what_is_timed_is_what_upscaling_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[np.ndarray] = []
    real = PictureWriter.write

    def keep(self: Any, colour: np.ndarray, alpha: Any) -> None:
        written.append(colour.copy())
        real(self, colour, alpha)

    monkeypatch.setattr(PictureWriter, "write", keep)
    picture = scene(20, 30)
    write_png(picture, tmp_path / "p.png")
    with bench() as made:
        stages(made, tmp_path / "p.png", rounds=1)
    enlarged = picture.repeat(2, axis=0).repeat(2, axis=1)  # by the engine of these tests
    assert len(written) > SETTLE
    assert all((each == enlarged).all() for each in written)


def test_the_engine_is_used_to_the_shape_before_the_clock_counts() -> None:
    with bench() as made:
        stages(made, size=(16, 24), rounds=2)
        (engine,) = made.engines  # type: ignore[attr-defined]
    assert len(engine.calls) >= SETTLE + 2


def test_16_bits_run_in_floats(tmp_path: Path) -> None:
    values = np.arange(16 * 16 * 3, dtype=np.uint16).reshape(16, 16, 3) * 80
    pyvips.Image.new_from_memory(values, 16, 16, 3, "ushort").copy(interpretation="rgb16").pngsave(
        str(tmp_path / "d.png")
    )
    with bench() as made:
        found = stages(made, tmp_path / "d.png", rounds=1)
        (engine,) = made.engines  # type: ignore[attr-defined]
    assert found.samples == "uint16"
    assert engine._samples == "float32"


def test_the_made_picture_is_a_readable_png(tmp_path: Path) -> None:
    picture = scene(31, 47)
    write_png(picture, tmp_path / "p.png")
    read = np.frombuffer(pyvips.Image.pngload(str(tmp_path / "p.png")).write_to_memory(), np.uint8).reshape(31, 47, 3)
    assert (read == picture).all()
    assert (scene(31, 47) == picture).all()
    assert scene(200, 300).std() > 30


def test_bad_requests(tmp_path: Path) -> None:
    frames = pyvips.Image.xyz(8, 16).bandjoin(7).cast("uchar").copy(interpretation="srgb")  # two that differ
    frames.set_type(pyvips.GValue.gint_type, "page-height", 8)
    frames.gifsave(str(tmp_path / "moving.gif"))
    (tmp_path / "text.png").write_text("no picture")
    with bench() as made:
        with pytest.raises(InputError, match=r"animation of 2 frames; give a single picture"):
            stages(made, tmp_path / "moving.gif", rounds=1)
        with pytest.raises(InputError, match=r"text\.png"):
            stages(made, tmp_path / "text.png", rounds=1)
        with pytest.raises(InputError, match=r"absent\.png"):
            stages(made, tmp_path / "absent.png", rounds=1)
        with pytest.raises(RequestError, match="filter must be"):
            stages(made, filter="blur", rounds=1)


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with bench() as made:
        stages(made, size=(8, 8), rounds=1)
        with pytest.raises(InputError):
            stages(made, tmp_path / "absent.png", rounds=1)
    assert list(tmp_path.iterdir()) == []
