"""The pipeline with each merge, with several windows in flight, and with an engine that runs out of memory."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, EngineMemoryError, RequestError
from edgelift.core.spec import ModelSpec
from edgelift.io.bundle import read_bundle, write_bundle
from edgelift.runtime import upscaler as module
from edgelift.runtime.engine import Limits, engine_error
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.runtime.filters import parse_filter
from edgelift.runtime.pipeline import run_plan
from edgelift.runtime.rows import ArraySource, ArrayTarget, CallbackTarget, Rows
from edgelift.runtime.sizes import Goal, SizedUpscaler
from edgelift.runtime.upscaler import Upscaler
from edgelift.tiling.merge import MERGES, sharing
from edgelift.tiling.plan import Plan, plan

Spec = Callable[..., ModelSpec]


def _noise(height: int, width: int, dtype: str = "uint8", layers: int = 1) -> NDArray[Any]:
    rng = np.random.default_rng(height * 1000 + width)
    if dtype == "float32":
        return rng.uniform(0, 255, (layers, height, width, 3)).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, (layers, height, width, 3), dtype)


def _nearest(layers: NDArray[Any], scale: int) -> NDArray[Any]:
    return np.repeat(np.repeat(layers, scale, axis=1), scale, axis=2)


class Stack:
    """Layers as a source."""

    def __init__(self, layers: NDArray[Any]) -> None:
        self.layers, self.height, self.width = layers.shape[:3]
        self.dtype, self._all = layers.dtype, layers

    def rows(self, start: int, stop: int) -> Rows:
        return self._all[:, start:stop]


def _run(engine: Any, made: Plan, layers: NDArray[Any], **options: Any) -> NDArray[Any]:
    strips: list[Rows] = []
    target = CallbackTarget(len(layers), made.width * engine.spec.scale, layers.dtype, strips.append)
    run_plan(engine, made, Stack(layers), target, **options)
    return np.concatenate(strips, axis=1)


def _plan(
    merge: str, size: tuple[int, int], tile: tuple[int, int], spec: ModelSpec, overlap: int | None = None
) -> Plan:
    halo, shared = sharing(merge, overlap, spec.halo)
    return plan(*size, tile, halo, spec.multiple_of, shared)


class Smearing(FakeEngine):
    """Sums of `halo` neighbours on each side, zeros beyond the window, modulo 256, then enlarged: what is nearer to a
    window's edge than the halo is wrong, and everything else exact."""

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        halo = self.spec.halo or 0
        total = np.cumsum(np.pad(batch.astype(np.int64), ((0, 0), (halo + 1, halo), (halo + 1, halo), (0, 0))), axis=1)
        total = np.cumsum(total[:, 2 * halo + 1 :] - total[:, : -2 * halo - 1], axis=2)
        total = total[:, :, 2 * halo + 1 :] - total[:, :, : -2 * halo - 1]
        super().run((total % 256).astype(batch.dtype), variant, out)


# -- merges
@settings(max_examples=80)
@given(
    merge=st.sampled_from(MERGES),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    tile=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    scale=st.integers(1, 3),
    blocks=st.booleans(),
    layers=st.integers(1, 2),
    dtype=st.sampled_from(["uint8", "uint16"]),
    workers=st.integers(1, 3),
    batch=st.integers(1, 3),
)
def test_every_merge_gives_the_picture(
    make_spec: Spec, merge: str, size: tuple[int, int], tile: tuple[int, int], scale: int, blocks: bool, layers: int,
    dtype: str, workers: int, batch: int,
) -> None:  # fmt: skip
    """With an engine of halo 0 all windows agree, so that every merge must give the same, on any grid of blocks."""
    spec = make_spec(scale=scale, shuffle=scale if blocks else 1, halo=0)
    overlap = 2 if merge in ("feather", "average") else None
    picture = _noise(*size, dtype, layers)
    engine = FakeEngine(spec, samples="uint8" if dtype == "uint8" else "float32")
    made = _plan(merge, size, tile, spec, overlap)
    merged = _run(engine, made, picture, merge=merge, workers=workers, batch=batch)
    assert np.array_equal(merged, _nearest(picture, scale))
    assert sum(call[0] for call in engine.calls) == len(made) * layers


@pytest.mark.parametrize("merge", MERGES)
def test_floats_go_through_every_merge(make_spec: Spec, merge: str) -> None:
    picture = _noise(30, 41, "float32")
    spec = make_spec(halo=2)
    engine = FakeEngine(spec, samples="float32")
    merged = _run(engine, _plan(merge, (30, 41), (12, 14), spec), picture, merge=merge)
    assert np.allclose(merged, _nearest(picture, 2), atol=1e-4)
    if merge in ("crop", "naive"):
        assert np.array_equal(merged, _nearest(picture, 2))


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("size", [(10, 20), (64, 5), (64, 64), (65, 130)])
def test_every_merge_with_an_engine_of_one_shape(make_spec: Spec, merge: str, size: tuple[int, int]) -> None:
    """Also where windows reach beyond the picture."""
    picture = _noise(*size)
    spec = make_spec(halo=7)
    engine = FakeEngine(spec, shapes=((64, 64),))
    merged = _run(engine, _plan(merge, size, (64, 64), spec), picture, merge=merge, workers=2)
    assert np.array_equal(merged, _nearest(picture, 2))


def test_seams_of_each_merge(make_spec: Spec) -> None:
    """How far results are from the whole picture's: crop not at all, feathering least, pasting most."""
    picture = np.full((1, 60, 60, 3), 3, np.uint8)
    spec = make_spec(halo=3, scale=1, shuffle=1)
    whole = _run(Smearing(spec), plan(60, 60, (60, 60), 3), picture).astype(int)
    worst = {}
    for merge in MERGES:
        merged = _run(Smearing(spec), _plan(merge, (60, 60), (20, 20), spec), picture, merge=merge).astype(int)
        worst[merge] = np.abs(merged - whole).max()
    assert worst["crop"] == 0
    assert 0 < worst["feather"] < worst["average"] < worst["naive"], worst


def test_a_larger_overlap_than_needed_is_still_exact(make_spec: Spec) -> None:
    picture = _noise(50, 61)
    spec = make_spec(halo=3)
    whole = _run(Smearing(spec), plan(50, 61, (50, 61), 3), picture)
    for overlap in (None, 6, 7, 12):
        made = _plan("crop", (50, 61), (18, 20), spec, overlap)
        assert len(made) > 4
        assert np.array_equal(_run(Smearing(spec), made, picture), whole)


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("workers", [1, 2])
def test_memory_does_not_grow_with_the_height(make_spec: Spec, merge: str, workers: int) -> None:
    width, spec = 256, make_spec(halo=4)

    class Endless:
        layers, dtype, width = 1, np.dtype(np.uint8), 256

        def __init__(self, height: int) -> None:
            self.height = height

        def rows(self, start: int, stop: int) -> Rows:
            return np.full((1, stop - start, self.width, 3), 7, np.uint8)

    def peak(height: int) -> int:
        made = _plan(merge, (height, width), (64, 64), spec)
        target = CallbackTarget(1, 2 * width, np.dtype(np.uint8), lambda strip: None)
        tracemalloc.start()
        run_plan(FakeEngine(spec), made, Endless(height), target, merge=merge, workers=workers)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(100)  # what is made once
    low, high = peak(500), peak(2000)
    assert high < low * 1.25 + 300_000  # spans and weights of rows: a few numbers each
    assert high < 2000 * width * 3 * 4 / 2


def test_an_unknown_merge_is_refused_before_anything_is_read(make_spec: Spec) -> None:
    with pytest.raises(RequestError, match="merge must be one of crop, feather, average, naive"):
        _run(FakeEngine(make_spec()), plan(4, 4, (4, 4), 1), _noise(4, 4), merge="glue")


# -- several windows in flight
class Slow(FakeEngine):
    """Takes longer for some windows than for others, and counts how many it runs at once."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.running = self.most = self.begun = 0
        self._lock = threading.Lock()

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        with self._lock:
            self.running, self.begun = self.running + 1, self.begun + 1
            self.most = max(self.most, self.running)
        time.sleep(0.004 if int(batch.flat[0]) % 2 else 0.0)
        try:
            super().run(batch, variant, out)
        finally:
            with self._lock:
                self.running -= 1


@pytest.mark.parametrize("merge", ["crop", "feather"])
@pytest.mark.parametrize("workers", [2, 4])
def test_workers_change_nothing_but_the_time(make_spec: Spec, merge: str, workers: int) -> None:
    """Floats, whose sums depend on their order: they must still be added in the plan's."""
    spec = make_spec(halo=2)
    picture = _noise(40, 50, "float32")
    made = _plan(merge, (40, 50), (12, 13), spec, 9)
    alone = _run(FakeEngine(spec, samples="float32"), made, picture, merge=merge)
    engine = Slow(spec, samples="float32")
    assert np.array_equal(_run(engine, made, picture, merge=merge, workers=workers), alone)
    assert 1 < engine.most <= workers


def test_one_column_of_windows_still_runs_at_once(make_spec: Spec) -> None:
    engine = Slow(make_spec())
    picture = np.ones((1, 60, 8, 3), np.uint8)
    assert np.array_equal(_run(engine, plan(60, 8, (8, 8), 1), picture, workers=2), _nearest(picture, 2))
    assert engine.most == 2


def test_reports_grow_in_order(make_spec: Spec) -> None:
    reports: list[float] = []
    made = plan(40, 40, (8, 8), 1)
    _run(Slow(make_spec()), made, _noise(40, 40), workers=3, report=reports.append)
    assert reports == [(k + 1) / len(made) for k in range(len(made))]


def test_the_first_error_of_a_worker_ends_the_run(make_spec: Spec) -> None:
    engine = Slow(make_spec(), fail_at=5)
    with pytest.raises(EngineError, match="as it was told to"):
        _run(engine, plan(80, 80, (8, 8), 1), _noise(80, 80), workers=3)
    assert engine.begun <= 5 + 3 * 3
    assert engine.running == 0
    assert not [t for t in threading.enumerate() if t.name.startswith("edgelift-")]


def test_an_interruption_stops_the_workers(make_spec: Spec) -> None:
    def stop(done: float) -> None:
        if done > 0.1:
            raise KeyboardInterrupt

    engine = Slow(make_spec())
    with pytest.raises(KeyboardInterrupt):
        _run(engine, plan(80, 80, (8, 8), 1), _noise(80, 80), workers=3, report=stop)
    assert engine.running == 0
    assert engine.begun < 40
    assert not [t for t in threading.enumerate() if t.name.startswith("edgelift-")]


def test_buffers_are_used_again(make_spec: Spec) -> None:
    """One pair a worker: engines that share memory with them then map it once."""

    class Noting(FakeEngine):
        places: set[int] = set()  # noqa: RUF012  # of this test only

        def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
            self.places.add(out.ctypes.data)
            super().run(batch, variant, out)

    engine = Noting(make_spec())
    _run(engine, plan(60, 60, (8, 8), 1), _noise(60, 60))
    assert len(engine.places) == 1


# -- too little memory
@settings(max_examples=60)
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    memory=st.integers(400, 1200),
    multiple=st.integers(1, 3),
    workers=st.integers(1, 2),
)
def test_halved_windows_give_the_same_bits(
    make_spec: Spec, size: tuple[int, int], memory: int, multiple: int, workers: int
) -> None:
    spec = make_spec(halo=2, multiple_of=multiple)
    picture = _noise(*size)
    tile = (30 + -30 % multiple, 40 + -40 % multiple)
    whole = tuple(n + -n % multiple for n in size)
    made = plan(*size, (min(tile[0], whole[0]), min(tile[1], whole[1])), 2, multiple)
    expected = _run(Smearing(spec), made, picture)
    engine, said = Smearing(spec, memory_pixels=memory), []
    assert np.array_equal(_run(engine, made, picture, workers=workers, warn=said.append), expected)
    too_large = [call for call in engine.calls if call[0] * call[1] * call[2] > memory]
    assert len(said) <= len(too_large) <= len(said) * workers, "what failed is not tried again"
    assert bool(said) == (made.tile[0] * made.tile[1] > memory)


def test_what_is_said_when_windows_are_halved(make_spec: Spec) -> None:
    said: list[str] = []
    spec = make_spec(halo=2)
    _run(FakeEngine(spec, memory_pixels=1000), plan(50, 60, (40, 40), 2), _noise(50, 60), warn=said.append)
    assert said == [
        "the engine has too little memory for a window of 40×40; going on with a window of 22×40, which gives the "
        "same result"
    ]


def test_a_batch_is_halved_before_a_window(make_spec: Spec) -> None:
    said: list[str] = []
    picture = _noise(40, 90, layers=2)
    engine = FakeEngine(make_spec(halo=2), memory_pixels=500)
    merged = _run(engine, plan(40, 90, (20, 20), 2), picture, batch=3, warn=said.append)
    assert np.array_equal(merged, _nearest(picture, 2))
    assert [text.partition(";")[0].rpartition("for ")[2] for text in said] == [
        "6 windows of 20×20",
        "3 windows of 20×20",
    ]
    assert {call[1:] for call in engine.calls} == {(20, 20, 3)}


@pytest.mark.parametrize("merge", ["feather", "average", "naive"])
def test_halving_is_inside_a_window_for_every_merge(make_spec: Spec, merge: str) -> None:
    """Blended results depend on the tile: the engine's memory must not change them."""
    spec = make_spec(halo=2)
    picture = _noise(70, 80)
    made = _plan(merge, (70, 80), (30, 40), spec)
    expected = _run(Smearing(spec), made, picture, merge=merge)
    assert np.array_equal(_run(Smearing(spec, memory_pixels=800), made, picture, merge=merge), expected)


@pytest.mark.parametrize("changes", [{"halo": None}, {"halo": 9}, {"shapes": ((20, 20),)}])
def test_windows_that_cannot_be_halved_are_an_error(make_spec: Spec, changes: dict[str, Any]) -> None:
    """Where parts would give another result, hardly be smaller, or have a shape that the engine does not run."""
    spec = make_spec(halo=changes.get("halo", 1))
    engine = FakeEngine(spec, shapes=changes.get("shapes", ()), memory_pixels=100)
    with pytest.raises(EngineMemoryError, match=r"no memory for windows of .*; give a smaller tile, or close other"):
        _run(engine, plan(20, 20, (20, 20), spec.halo), _noise(20, 20))
    assert len(engine.calls) == 1


def test_halving_ends_where_nothing_helps(make_spec: Spec) -> None:
    engine = FakeEngine(make_spec(halo=1), memory_pixels=0)
    with pytest.raises(EngineMemoryError, match="give a smaller tile"):
        _run(engine, plan(300, 300, (300, 300), 1), _noise(300, 300))
    assert len(engine.calls) < 20


def test_other_errors_of_an_engine_are_no_reason_to_halve(make_spec: Spec) -> None:
    engine = FakeEngine(make_spec(), fail_at=0)
    with pytest.raises(EngineError) as caught:
        _run(engine, plan(20, 20, (20, 20), 1), _noise(20, 20))
    assert not isinstance(caught.value, EngineMemoryError)
    assert not engine.calls


def test_layers_are_split_for_an_engine_of_small_batches(make_spec: Spec) -> None:
    engine = FakeEngine(make_spec())
    engine.limits = Limits(max_batch=3)
    picture = _noise(20, 40, layers=2)
    assert np.array_equal(_run(engine, plan(20, 40, (12, 12), 1), picture, batch=2), _nearest(picture, 2))
    assert {call[0] for call in engine.calls} == {3, 1}


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("[GPU] Out of memory while allocating"), True),
        (RuntimeError("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 9"), True),
        (RuntimeError("CL_OUT_OF_RESOURCES"), True),
        (MemoryError(), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("allocate"), False),
    ],
    ids=str,
)
def test_which_errors_mean_memory(error: Exception, memory: bool) -> None:
    made = engine_error("it failed", error)
    assert isinstance(made, EngineMemoryError) == memory
    assert str(made) == "it failed"


# -- through the facade
@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options for the fake engines that stand in for real ones."""
    settings_: dict[str, Any] = {}
    monkeypatch.setattr(module, "open_engine", lambda b, name, o: FakeEngine(b.spec, samples=o.samples, **settings_))
    return settings_


@pytest.mark.parametrize("merge", MERGES)
def test_the_upscaler_plans_for_its_merge(opened: dict[str, Any], small_bundle: Path, merge: str) -> None:
    picture = _noise(50, 60)[0]
    with Upscaler(small_bundle, merge=merge, tile=(20, 30), workers=2) as upscaler:
        assert np.array_equal(upscaler(picture), _nearest(picture[None], 2)[0])
        step = [
            b[0].start - a[0].start for a, b in zip(*[upscaler.plan(50, 60).rows[k:] for k in (0, 1)], strict=False)
        ]
        assert step[0] == {"crop": 18, "naive": 20, "feather": 18, "average": 18}[merge]
    with Upscaler(small_bundle, merge=merge) as upscaler:
        assert np.array_equal(upscaler(picture), _nearest(picture[None], 2)[0])


def test_a_network_that_sees_all_can_be_tiled_on_request(
    opened: dict[str, Any], small_bundle: Path, make_spec: Spec, tmp_path: Path
) -> None:
    write_bundle(read_bundle(small_bundle).graph(), make_spec(halo=None), tmp_path / "whole.onnx")
    for options in ({"overlap": 6}, {"merge": "naive"}, {"merge": "feather"}, {"merge": "average", "overlap": 3}):
        with Upscaler(tmp_path / "whole.onnx", tile=(20, 20), **options) as upscaler:  # type: ignore[arg-type]
            assert len(upscaler.plan(50, 50)) > 4
            assert np.array_equal(upscaler(_noise(50, 50)[0]), _nearest(_noise(50, 50), 2)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"merge": "glue"}, "merge must be one of"),
        ({"merge": "naive", "overlap": 2}, "naive pastes disjoint tiles"),
        ({"filter": "glow"}, "filter must be none, edge, sharpen, unsharp"),
        ({"workers": 0}, "workers and ahead are at least 1"),
        ({"ahead": 0}, "workers and ahead are at least 1"),
        ({"behind": -1}, "behind at least 0"),
    ],
)
def test_options_that_are_refused_at_once(
    opened: dict[str, Any], small_bundle: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        Upscaler(small_bundle, **options)


def test_a_small_overlap_is_refused_where_windows_are_planned(opened: dict[str, Any], small_bundle: Path) -> None:
    with Upscaler(small_bundle, overlap=1, tile=(9, 9)) as upscaler, pytest.raises(RequestError, match="show seams"):
        upscaler(_noise(40, 40)[0])


@pytest.mark.parametrize(
    "options", [{"merge": "feather"}, {"overlap": 0}, {"tile": (8, 8)}, {"workers": 2}, {"batch": 2}]
)
def test_interpolations_refuse_what_is_about_tiles(options: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="bicubic is an interpolation and needs no tiles"):
        Upscaler("bicubic", **options)
    with pytest.raises(RequestError, match="needs no tiles"):
        SizedUpscaler(Goal(width=30), "bicubic", **options)


@pytest.mark.parametrize("behind", [0, 2])
def test_the_filter_comes_last(opened: dict[str, Any], small_bundle: Path, behind: int) -> None:
    picture = _noise(40, 50)[0]
    sharpen = parse_filter("unsharp")
    assert sharpen is not None
    for model in (small_bundle, "bicubic"):
        with Upscaler(model, scale=2) as plain:
            expected = plain(picture)
        with Upscaler(model, scale=2, filter="unsharp", behind=behind, ahead=2) as upscaler:
            target = ArrayTarget(80, 100, picture.dtype)
            upscaler.run(ArraySource(picture), target)
        sharpen.fill(out := np.empty_like(expected), expected, 0)
        assert np.array_equal(target.picture, out)


def test_a_filter_leaves_alpha_alone(opened: dict[str, Any], small_bundle: Path) -> None:
    layers, strips = _noise(30, 20, layers=2), []
    with Upscaler(small_bundle, filter="edge", tile=(8, 8)) as upscaler:
        upscaler.run(Stack(layers), CallbackTarget(2, 40, layers.dtype, strips.append))
    result = np.concatenate(strips, axis=1)
    assert np.array_equal(result[1], _nearest(layers, 2)[1])
    assert not np.array_equal(result[0], _nearest(layers, 2)[0])


def test_the_upscaler_says_when_memory_is_short(
    opened: dict[str, Any], small_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened["memory_pixels"] = 500
    picture, said = _noise(40, 40)[0], []
    with Upscaler(small_bundle, tile=(40, 40), warn=said.append) as upscaler:
        assert np.array_equal(upscaler(picture), _nearest(picture[None], 2)[0])
    assert len(said) == 2
    with Upscaler(small_bundle, tile=(40, 40)) as upscaler:
        upscaler(picture)
    assert [record.getMessage() for record in caplog.records] == said
