"""Choosing by the picture: what is taken, that it is the same every time, and what it shares with naming it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edgelift
from edgelift.core.errors import EngineError, RequestError
from edgelift.runtime import upscaler as module
from edgelift.runtime.batch import run_jobs
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.runtime.estimate import estimate_file
from edgelift.runtime.files import Job, upscale_file
from edgelift.runtime.named import open_named, scale_of_named
from edgelift.runtime.sizes import Goal
from edgelift.runtime.suited import SuitedUpscaler
from edgelift.runtime.upscaler import Upscaler

Image = pytest.importorskip("PIL.Image")
Noisy = Callable[[int, float], NDArray[np.uint8]]


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "open_engine", lambda b, name, o: FakeEngine(b.spec, samples=o.samples))


@pytest.fixture
def noisy(leaves: Callable[[int, int], NDArray[np.uint8]]) -> Noisy:
    """Makes a sharp picture with noise, by its seed and standard deviation."""

    def make(seed: int, sigma: float) -> NDArray[np.uint8]:
        noise = np.random.default_rng(seed).normal(0, sigma, (90, 120, 3))
        return np.clip(np.rint(leaves(90, 120) + noise), 0, 255).astype(np.uint8)

    return make


def test_noise_asks_for_a_network_that_removes_it(tmp_path: Path, noisy: Noisy) -> None:
    with SuitedUpscaler(Goal(4)) as upscaler:
        clean, what = upscaler.for_array(noisy(0, 0))
        assert (what.denoise, what.model) == (0.0, "plain-x4")
        some = upscaler.for_array(noisy(1, 12))[1]
        assert 0 < some.denoise < 1
        assert "photo-x4" in some.model
        assert "plain-x4" in some.model
        strong, much = upscaler.for_array(noisy(2, 50))
        assert (much.denoise, much.model) == (1.0, "photo-x4")
        assert strong is upscaler.for_array(noisy(2, 50))[0]
        assert strong is not clean
        assert upscaler(noisy(2, 50)).shape == (360, 480, 3)


@pytest.mark.parametrize(
    ("goal", "names"), [(Goal(1.7), "plain-x2"), (Goal(7), "plain-x4, plain-x2"), (Goal(width=60), "bicubic")]
)
def test_other_sizes_name_the_networks_too(tmp_path: Path, noisy: Noisy, goal: Goal, names: str) -> None:
    Image.fromarray(noisy(0, 0)).save(tmp_path / "a.png")
    with SuitedUpscaler(goal) as upscaler:
        result = upscale_file(upscaler, Job(tmp_path / "a.png", tmp_path / "b.png"))
    assert result.taken is not None
    assert result.taken.model == names


def test_denoise_that_is_given_is_taken(noisy: Noisy) -> None:
    with SuitedUpscaler(Goal(4), denoise=0.3) as upscaler:
        for sigma in (0, 50):
            assert upscaler.for_array(noisy(0, sigma))[1].denoise == 0.3


def test_files_say_what_was_taken(tmp_path: Path, noisy: Noisy) -> None:
    jobs = []
    for number, sigma in enumerate((0, 50)):
        Image.fromarray(noisy(number, sigma)).save(tmp_path / f"{number}.png")
        jobs.append(Job(tmp_path / f"{number}.png", tmp_path / f"out{number}.png"))
    with SuitedUpscaler(Goal(4)) as upscaler:
        outcomes = sorted(run_jobs(upscaler, jobs, workers=2), key=lambda outcome: outcome.number)
        assert estimate_file(upscaler, jobs[0]).size_out == (360, 480)
    taken = [outcome.result.taken for outcome in outcomes if outcome.result is not None]
    assert [each.model for each in taken if each is not None] == ["plain-x4", "photo-x4"]
    assert taken[1] is not None
    assert set(taken[1].as_plain()) == {"content", "drawn", "noise", "jpeg", "denoise", "model"}
    same = edgelift.upscale(jobs[1].source, scale=4, content="auto")
    with Image.open(jobs[1].target) as written:
        assert written.size == (480, 360)
        assert np.array_equal(same, np.asarray(written))


def test_what_is_refused(noisy: Noisy) -> None:
    for options in ({"model": "abpn-x2"}, {"blend": "abpn-x2:0.5,fsrcnn-x2:0.5"}, {"budget": "1s"}):
        with pytest.raises(RequestError, match=r"choose the network, and so does"):
            SuitedUpscaler(**options)  # type: ignore[arg-type]
        with pytest.raises(RequestError, match=r"choose the network, and so does"):
            Upscaler(content="photo", **options)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"chosen for each picture; use edgelift\.SuitedUpscaler"):
        Upscaler(content="auto")
    upscaler = SuitedUpscaler()
    upscaler.close()
    with pytest.raises(EngineError, match="closed"):
        upscaler(noisy(0, 0))


def test_what_is_missing_is_said_once(noisy: Noisy) -> None:
    said: list[str] = []
    with SuitedUpscaler(Goal(3), warn=said.append, quality="balanced") as upscaler:
        for seed in range(3):
            upscaler(noisy(seed, 20))
    assert len(said) == len(set(said)) >= 1


@pytest.mark.parametrize(
    ("name", "scale", "called"),
    [
        ("abpn-x3", 3, "abpn-x3"),
        ("abpn-x3+tta", 3, "abpn-x3+tta"),
        ("abpn-x2:0.5,fsrcnn-x2:0.5", 2, "abpn-x2:0.5,fsrcnn-x2:0.5"),
        ("abpn-x2:0.5,fsrcnn-x2:0.5+tta", 2, "abpn-x2:0.5,fsrcnn-x2:0.5+tta"),
        ("lanczos", None, "lanczos"),
        ("auto", None, "auto"),
        (None, 2, "plain-x2"),
    ],
)
def test_everything_that_can_be_measured_has_a_name(name: str | None, scale: int | None, called: str) -> None:
    assert scale_of_named(name) == scale
    with open_named(name, scale, precision="f32") as upscaler:
        assert upscaler.name == called


def test_names_of_nothing() -> None:
    for name in ("absent", "absent+tta", "abpn-x2:0.5,absent:0.5", "lanczos+tta"):
        with pytest.raises(RequestError):
            scale_of_named(name)
