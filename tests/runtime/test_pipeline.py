"""The pipeline with an engine that only copies pixels: order, completeness, memory, errors. No engine is needed."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, InputError, OutputError
from edgelift.core.resize import KERNELS, resize
from edgelift.core.spec import ModelSpec
from edgelift.runtime import pipeline
from edgelift.runtime.engine import Limits
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.runtime.pipeline import interpolate, run_plan
from edgelift.runtime.rows import ArraySource, ArrayTarget, CallbackTarget, Rows
from edgelift.tiling.plan import Plan, plan

Spec = Callable[..., ModelSpec]


def _noise(height: int, width: int, dtype: str = "uint8", layers: int = 1) -> NDArray[Any]:
    rng = np.random.default_rng(height * 1000 + width)
    if dtype == "float32":
        return rng.uniform(0, 255, (layers, height, width, 3)).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, (layers, height, width, 3), dtype)


def _nearest(layers: NDArray[Any], scale: int) -> NDArray[Any]:
    return np.repeat(np.repeat(layers, scale, axis=1), scale, axis=2)


class Source:
    """Layers as rows; notes what it is asked for, and can fail or take its time."""

    def __init__(self, layers: NDArray[Any], fail_at: int = -1, seconds: float = 0.0) -> None:
        self.layers, self.height, self.width = layers.shape[:3]
        self.dtype = layers.dtype
        self.asked: list[tuple[int, int]] = []
        self.busy = 0
        self.error = InputError("the decoder gave up")
        self._all, self._fail_at, self._seconds = layers, fail_at, seconds

    def rows(self, start: int, stop: int) -> Rows:
        self.busy += 1
        self.asked.append((start, stop))
        time.sleep(self._seconds)
        self.busy -= 1
        if len(self.asked) - 1 == self._fail_at:
            raise self.error
        return self._all[:, start:stop]


class Target:
    """Keeps the strips; checks that they come one at a time, from the top, each finished before the next."""

    def __init__(self, layers: int, width: int, dtype: np.dtype[Any], fail_at: int = -1) -> None:
        self._shape, self._dtype, self._fail_at = (layers, width), dtype, fail_at
        self.rooms: list[tuple[int, int]] = []
        self.strips: list[Rows] = []
        self.error = OutputError("the disk is full")

    def room(self, start: int, stop: int) -> Rows:
        assert len(self.rooms) == len(self.strips), "a second strip is asked for before the first is done"
        assert start == (self.rooms[-1][1] if self.rooms else 0), "strips follow one another"
        assert stop > start
        self.rooms.append((start, stop))
        return np.zeros((self._shape[0], stop - start, self._shape[1], 3), self._dtype)

    def done(self, strip: Rows) -> None:
        start, stop = self.rooms[-1]
        assert strip.shape[1] == stop - start
        if len(self.strips) == self._fail_at:
            raise self.error
        self.strips.append(strip)

    @property
    def picture(self) -> NDArray[Any]:
        return np.concatenate(self.strips, axis=1)


def _run(engine: Any, made: Plan, layers: NDArray[Any]) -> tuple[Source, Target, list[float]]:
    source = Source(layers)
    target = Target(len(layers), made.width * engine.spec.scale, layers.dtype)
    reports: list[float] = []
    run_plan(engine, made, source, target, reports.append)
    return source, target, reports


# -- windows through an engine
@settings(max_examples=150)
@given(
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    halo=st.integers(0, 4),
    beyond=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    scale=st.integers(1, 4),
    multiple=st.integers(1, 4),
    blocks=st.booleans(),
)
def test_every_plan_gives_the_whole_picture(
    make_spec: Spec, size: tuple[int, int], halo: int, beyond: tuple[int, int], scale: int, multiple: int, blocks: bool
) -> None:
    spec = make_spec(scale=scale, shuffle=scale if blocks else 1, halo=halo, multiple_of=multiple)
    least = -(-(2 * halo + multiple) // multiple)
    tile = ((least + beyond[0]) * multiple, (least + beyond[1]) * multiple)
    made = plan(*size, tile, halo, multiple)
    layers = _noise(*size)
    engine = FakeEngine(spec)
    source, target, reports = _run(engine, made, layers)
    assert np.array_equal(target.picture, _nearest(layers, scale))
    assert target.rooms == [(keep.start * scale, keep.stop * scale) for _, keep in made.rows]
    assert source.asked == sorted(source.asked), "rows are never asked for again once they are past"
    assert [stop for _, stop in source.asked] == sorted(stop for _, stop in source.asked)
    assert max(stop - start for start, stop in source.asked) <= tile[0]
    assert engine.calls == [(1, *tile, 3)] * len(made), "an engine sees one shape"
    assert reports == [(k + 1) / len(made) for k in range(len(made))]
    assert reports[-1] == 1.0


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_two_layers_are_upscaled_alike_and_apart(make_spec: Spec, dtype: str) -> None:
    layers = _noise(17, 23, dtype, layers=2)
    engine = FakeEngine(make_spec(), samples="uint8" if dtype == "uint8" else "float32")
    _, target, reports = _run(engine, plan(17, 23, (8, 9), 1), layers)
    assert np.array_equal(target.picture, _nearest(layers, 2))
    assert {call[0] for call in engine.calls} <= {1, 2}
    assert reports[-1] == 1.0


def test_layers_do_not_exceed_an_engines_batch(make_spec: Spec) -> None:
    """A picture with alpha also runs on an engine that takes one window at a time."""
    layers = _noise(17, 23, layers=2)
    engine = FakeEngine(make_spec())
    engine.limits = Limits(max_batch=1)
    _, target, _ = _run(engine, plan(17, 23, (8, 9), 1), layers)
    assert np.array_equal(target.picture, _nearest(layers, 2))


def test_every_16_bit_value_survives(make_spec: Spec) -> None:
    """To the engine's range and back: all 65536 values, none is off by one."""
    layers = np.arange(65536, dtype=np.uint16).reshape(1, 256, 256, 1).repeat(3, axis=3)
    engine = FakeEngine(make_spec(), samples="float32")
    _, target, _ = _run(engine, plan(256, 256, (100, 90), 1), layers)
    assert target.picture.dtype == np.uint16
    assert np.array_equal(target.picture, _nearest(layers, 2))


class Recorder(FakeEngine):
    """A fake engine that keeps what it was given."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.batches: list[NDArray[Any]] = []

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        self.batches.append(batch.copy())
        assert batch.flags.c_contiguous
        super().run(batch, variant, out)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("size", [(1, 1), (10, 20), (64, 5), (63, 64), (64, 64)])
def test_a_static_shape_sees_the_picture_extended_by_its_edge(
    make_spec: Spec, size: tuple[int, int], dtype: str
) -> None:
    samples = "uint8" if dtype == "uint8" else "float32"
    engine = Recorder(make_spec(halo=7), shapes=((64, 64),), samples=samples)
    layers = _noise(*size, dtype)
    _, target, _ = _run(engine, plan(*size, (64, 64), 7), layers)
    extended = np.pad(layers, ((0, 0), (0, 64 - size[0]), (0, 64 - size[1]), (0, 0)), mode="edge")
    given_ = extended / np.float32(257) if dtype == "uint16" else extended
    assert len(engine.batches) == 1
    assert np.allclose(engine.batches[0], given_, rtol=1e-6, atol=0)
    assert np.array_equal(target.picture, _nearest(layers, 2))


def test_a_static_shape_smaller_than_one_side_only(make_spec: Spec) -> None:
    layers = _noise(10, 200)
    engine = Recorder(make_spec(halo=7), shapes=((64, 64),))
    _, target, _ = _run(engine, plan(10, 200, (64, 64), 7), layers)
    assert np.array_equal(target.picture, _nearest(layers, 2))
    assert all(np.array_equal(b[0, 9:], b[0, 9:10].repeat(55, axis=0)) for b in engine.batches)


def test_windows_are_read_where_the_plan_says(make_spec: Spec) -> None:
    layers = _noise(30, 31)
    engine = Recorder(make_spec(halo=2, multiple_of=4))
    made = plan(30, 31, (12, 16), 2, 4)
    _run(engine, made, layers)
    extended = np.pad(layers, ((0, 0), (0, 2), (0, 1), (0, 0)), mode="edge")
    windows = [w for row in made.windows() for w in row]
    assert len(windows) == len(engine.batches) > 4
    for window, batch in zip(windows, engine.batches, strict=True):
        there = extended[:, window.rows.start : window.rows.stop, window.columns.start : window.columns.stop]
        assert np.array_equal(batch, there)


def test_a_read_only_picture_is_not_written_to(make_spec: Spec) -> None:
    picture = _noise(20, 20)[0]
    before = picture.copy()
    picture.flags.writeable = False
    target = ArrayTarget(40, 40, picture.dtype)
    run_plan(FakeEngine(make_spec()), plan(20, 20, (20, 20), 1), ArraySource(picture), target)
    assert np.array_equal(target.picture, _nearest(before[None], 2)[0])
    assert np.array_equal(picture, before)


# -- memory
class Endless:
    """A picture that is made row by row as it is read."""

    layers, dtype = 1, np.dtype(np.uint8)

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width

    def rows(self, start: int, stop: int) -> Rows:
        line = np.arange(self.width, dtype=np.uint8)[None, None, :, None]
        return np.broadcast_to(line, (1, stop - start, self.width, 3)).copy()


def _peak(work: Callable[[], None]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [(400, 25), (800, 25), (400, 50)])
def test_a_reduction_reads_few_rows_at_once(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "STRIP_PIXELS", 64 * 256)
    read: list[int] = []

    class Source(Endless):
        def rows(self, start: int, stop: int) -> Rows:
            read.append(stop - start)
            return super().rows(start, stop)

    parts: list[Rows] = []
    interpolate("bicubic", size, Source(8000, 256), CallbackTarget(1, size[1], np.dtype(np.uint8), parts.append))
    assert max(read) < 2 * 64 + 4 * 8000 / size[0]  # a strip, and what the kernel reaches beyond it
    whole = Endless(8000, 256).rows(0, 8000)[0]
    assert np.array_equal(np.concatenate(parts, axis=1)[0], resize(whole, *size))


@pytest.mark.parametrize("way", ["windows", "bicubic"])
def test_memory_depends_on_the_tile_and_the_width_not_on_the_height(
    make_spec: Spec, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contract 7: ten times the picture, the same memory; and that is a few strips, far less than the picture."""
    monkeypatch.setattr(pipeline, "STRIP_PIXELS", 64 * 512)
    width = 256

    def upscale(height: int) -> None:
        target = CallbackTarget(1, 2 * width, np.dtype(np.uint8), lambda strip: None)
        if way == "windows":
            made = plan(height, width, (64, 64), 4)
            run_plan(FakeEngine(make_spec(halo=4)), made, Endless(height, width), target)
        else:
            interpolate("bicubic", (2 * height, 2 * width), Endless(height, width), target)

    upscale(200)  # what is made once
    low, high = _peak(lambda: upscale(400)), _peak(lambda: upscale(4000))
    strip = 64 * width * 3 * (1 + 4)  # read and result
    slack = 4000 * 400  # taps and spans: a few numbers for each row
    assert high < low + slack
    if way == "windows":
        assert high < 4 * strip + slack < 4000 * width * 3 * 4


# -- errors
def test_an_error_of_the_engine_passes_through_and_ends_all_reading(make_spec: Spec) -> None:
    source = Source(_noise(60, 20), seconds=0.02)
    target = Target(1, 40, source.dtype)
    engine = FakeEngine(make_spec(), fail_at=3)
    with pytest.raises(EngineError, match="as it was told to"):
        run_plan(engine, plan(60, 20, (10, 20), 1), source, target)
    assert len(target.strips) == 3, "finished strips were handed on, the failed one was not"
    assert source.busy == 0, "no thread still reads from a source that the caller now closes"
    assert len(source.asked) <= 5
    assert not [t for t in threading.enumerate() if t.name.startswith("edgelift-read")]


@pytest.mark.parametrize("fail_at", [0, 1, 3])
def test_an_error_of_the_source_passes_through(make_spec: Spec, fail_at: int) -> None:
    source = Source(_noise(60, 20), fail_at=fail_at)
    target = Target(1, 40, source.dtype)
    with pytest.raises(InputError) as caught:
        run_plan(FakeEngine(make_spec()), plan(60, 20, (10, 20), 1), source, target)
    assert caught.value is source.error
    assert len(target.strips) <= fail_at
    assert len(source.asked) <= fail_at + 2, "nothing more is read once the source has failed"


def test_an_error_of_a_source_with_one_strip_passes_through(make_spec: Spec) -> None:
    source = Source(_noise(9, 9), fail_at=0)
    with pytest.raises(InputError):
        run_plan(FakeEngine(make_spec()), plan(9, 9, (9, 9), 1), source, Target(1, 18, source.dtype))


@pytest.mark.parametrize("fail_at", [0, 2])
def test_an_error_of_the_target_passes_through(make_spec: Spec, fail_at: int) -> None:
    source = Source(_noise(60, 20), seconds=0.01)
    target = Target(1, 40, source.dtype, fail_at=fail_at)
    with pytest.raises(OutputError) as caught:
        run_plan(FakeEngine(make_spec()), plan(60, 20, (10, 20), 1), source, target)
    assert caught.value is target.error
    assert source.busy == 0


def test_a_report_that_raises_cancels(make_spec: Spec) -> None:
    """How a caller stops a run: what `report` raises comes out, and reading ends."""

    def stop(done: float) -> None:
        if done > 0.4:
            raise KeyboardInterrupt

    source = Source(_noise(60, 20), seconds=0.01)
    target = Target(1, 40, source.dtype)
    with pytest.raises(KeyboardInterrupt):
        run_plan(FakeEngine(make_spec()), plan(60, 20, (10, 20), 1), source, target, stop)
    assert source.busy == 0
    assert 0 < len(target.strips) < 6


# -- interpolation
@settings(max_examples=150)
@given(
    kernel=st.sampled_from(sorted(KERNELS)),
    scale=st.sampled_from([0.3, 0.5, 0.75, 1.0, 1.7, 2.0, 2.5, 3.0]),
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    layers=st.integers(1, 2),
    strip=st.integers(1, 400),
)
@example(kernel="bicubic", scale=0.5, size=(24, 24), dtype="uint8", layers=1, strip=1)
@example(kernel="lanczos", scale=1.7, size=(24, 24), dtype="uint16", layers=2, strip=1)
def test_interpolating_in_strips_is_resizing(
    kernel: str, scale: float, size: tuple[int, int], dtype: str, layers: int, strip: int
) -> None:
    picture = _noise(*size, dtype, layers)
    height, width = (max(1, round(n * scale)) for n in size)
    source, target = Source(picture), Target(layers, width, picture.dtype)
    reports: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "STRIP_PIXELS", strip)
        interpolate(kernel, (height, width), source, target, reports.append)
    for layer, whole in zip(target.picture, picture, strict=True):
        assert np.array_equal(layer, resize(whole, height, width, kernel)), "strips are the whole result's, to the bit"
    assert source.asked == sorted(source.asked)
    assert [stop for _, stop in source.asked] == sorted(stop for _, stop in source.asked)
    assert all(0 <= start < stop <= size[0] for start, stop in source.asked)
    assert all((stop - start) * width <= max(strip, width) for start, stop in target.rooms)
    assert reports == sorted(reports)
    assert reports[-1] == 1.0


def test_one_axis_may_shrink_while_the_other_grows() -> None:
    picture = _noise(40, 12)
    for size in ((10, 48), (80, 6)):
        target = Target(1, size[1], picture.dtype)
        interpolate("bicubic", size, Source(picture), target)
        assert np.array_equal(target.picture[0], resize(picture[0], *size))


def test_errors_pass_through_an_interpolation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "STRIP_PIXELS", 1)
    source = Source(_noise(30, 10), fail_at=4)
    with pytest.raises(InputError) as caught:
        interpolate("bicubic", (60, 20), source, Target(1, 20, source.dtype))
    assert caught.value is source.error
