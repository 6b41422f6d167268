"""Which shapes OpenVINO compiles for themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgelift.io.bundle import read_bundle
from edgelift.runtime.engine import Options, blocks_shape
from edgelift.runtime.engines import openvino as module
from edgelift.runtime.engines.openvino import MAX_STATIC, OFTEN, OpenVINOEngine

pytest.importorskip("openvino")


class Watched:
    """An engine that runs windows of a height, and which heights it compiled for themselves."""

    def __init__(self, engine: OpenVINOEngine) -> None:
        self.engine, self.compiled = engine, list[int]()
        whole = engine._compile

        def compile(variant: int, shape: tuple[int, ...] | None) -> Any:
            if shape is not None:
                self.compiled.append(shape[1])
            return whole(variant, shape)

        engine._compile = compile  # type: ignore[method-assign]

    def run(self, *heights: int) -> list[int]:
        """Run those in turn; the heights that were compiled for it."""
        before = len(self.compiled)
        for height in heights:
            batch = np.full((1, height, 5, 3), height, np.uint8)
            self.engine.run(batch, 1, np.empty(blocks_shape(self.engine.spec, batch.shape), np.uint8))
        return self.compiled[before:]


@pytest.fixture
def watched(small_bundle: Path) -> Iterator[Watched]:
    engine = OpenVINOEngine(read_bundle(small_bundle), Options(precision="f32", threads=1))
    yield Watched(engine)
    engine.close()


EIGHT = tuple(range(8, 8 + MAX_STATIC))


def test_a_shape_that_comes_often_is_compiled_once(watched: Watched) -> None:
    assert watched.run(*[8] * OFTEN) == []
    assert watched.run(*[8] * 5) == [8]


def test_shapes_that_take_turns_are_not_compiled_again_and_again(watched: Watched) -> None:
    watched.run(*(*EIGHT, 99) * (OFTEN + 1))
    assert watched.run(*(*EIGHT, 99) * 3 * (OFTEN + 1)) == []
    assert sorted(watched.compiled) == list(EIGHT)


def test_a_shape_that_comes_no_more_makes_room(watched: Watched) -> None:
    watched.run(*EIGHT * (OFTEN + 1))
    assert watched.run(*EIGHT[1:] * OFTEN, *[99] * (OFTEN + 1)) == [99]
    assert watched.run(*EIGHT[1:], 99) == [], "the one that was not used for longest has gone"
    assert watched.run(*[8] * OFTEN) == []
    assert watched.run(8) == [8], "it earned its place again"


def test_new_shapes_after_old_ones_are_compiled(watched: Watched) -> None:
    watched.run(*EIGHT * (OFTEN + 1))
    later = tuple(height + 50 for height in EIGHT)
    assert sorted(watched.run(*later * (OFTEN + 1))) == list(later)


def test_many_shapes_are_never_compiled(small_bundle: Path) -> None:
    engine = OpenVINOEngine(read_bundle(small_bundle), Options(precision="f32", threads=1, many_shapes=True))
    watched = Watched(engine)
    assert watched.run(*[8] * 2 * OFTEN) == []
    assert list(engine._free[1]._pools) == [(1, 8, 5, 3)]


def test_the_pools_of_the_last_shapes_are_kept(small_bundle: Path) -> None:
    engine = OpenVINOEngine(read_bundle(small_bundle), Options(precision="f32", threads=1, many_shapes=True))
    others = range(20, 20 + module.MAX_POOLS)
    Watched(engine).run(*(height for other in others for height in (8, other)))
    assert (1, 8, 5, 3) in engine._free[1]._pools
    assert len(engine._free[1]._pools) == module.MAX_POOLS


def test_no_two_models_are_compiled_at_once(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO would leave the process in another locale, in which files are no longer read as UTF-8."""
    core, inside, most = module._core(), [0], [0]

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(core, name)

        def compile_model(self, *arguments: Any) -> Any:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            inside[0] -= 1
            return core.compile_model(*arguments)

    monkeypatch.setattr(module, "_core", Slow)

    def compiled(height: int) -> None:
        engine = OpenVINOEngine(read_bundle(small_bundle), Options(precision="f32", threads=1))
        engine._compile(1, (1, height, 20, 3))
        engine.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(compiled, range(20, 26)))
    assert most[0] == 1
