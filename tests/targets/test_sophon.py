"""The BM1684X by its vendor's tool chain, where that is installed: compiled, proven, run tile by tile and planned."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from edgelift import Upscaler
from edgelift.core.errors import EngineError, OutputError, RequestError
from edgelift.evaluate.profile.document import Request, measure
from edgelift.forge.compile import Order, compile_bundle, converted
from edgelift.forge.cycles import CycleEngine, cycle_bench
from edgelift.io.bundle import Bundle, read_bundle
from edgelift.io.compiled import read_model
from edgelift.runtime.engine import Options
from edgelift.targets.base import Source
from edgelift.targets.sophon import SophonTarget
from edgelift.toolchain.sophon import SOPHON

pytestmark = pytest.mark.skipif(
    SOPHON.state().kind != "ready", reason=f"SOPHON's tool chain is {SOPHON.state().kind} here; {SOPHON.install}"
)
SIZES = ((12, 12), (12, 20))


@pytest.fixture(scope="module")
def bundle(plain_bundle: Path) -> Bundle:
    return read_bundle(plain_bundle)


@pytest.fixture(scope="module")
def half(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`plain` in F16, for two sizes."""
    path = tmp_path_factory.mktemp("sophon") / "plain.bmodel"
    compile_bundle(bundle, Order("bm1684x", "fp16", sizes=SIZES), path)
    return path


def test_a_proven_file_states_its_windows_and_what_they_take(half: Path) -> None:
    model = read_model(half)
    windows = model.spec.training["compiled"]["windows"]
    assert [window[:2] for window in windows] == [list(size) for size in SIZES]
    assert all(1e-7 < window[2] < 1e-2 for window in windows)
    found = json.loads(half.with_name("plain.bmodel.json").read_text())["parity"]
    assert found["psnr_to_parent"] is None or found["psnr_to_parent"] > 50
    assert (found["precision"], found["tile"], found["runs_on"]) == ("fp16", [12, 12], "sophon-simulator BM1684X f16")
    assert found["ms"] == pytest.approx(1000 * windows[0][2]), "of the chip, and not of the simulator"
    assert model.spec.quality["parity"]["psnr_to_parent"] == (
        found["psnr_to_parent"] and round(found["psnr_to_parent"], 2)
    )


def test_pictures_run_tile_by_tile(half: Path, plain_bundle: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (17, 23, 3)).astype(np.uint8)
    with Upscaler(plain_bundle, precision="f32") as upscaler:
        wanted = upscaler(picture)
    for tile in ("auto", (12, 12)):
        with Upscaler(half, tile=tile) as upscaler:
            assert upscaler.plan(17, 23).tile in SIZES
            assert np.abs(upscaler(picture).astype(int) - wanted).max() <= 1
    with (
        Upscaler(half, tile=(8, 8)) as upscaler,
        pytest.raises(RequestError, match=r"runs windows of 12×12, 12×20 only"),
    ):
        upscaler(picture)


@pytest.mark.parametrize("symmetric", [True, False])
def test_whole_numbers_pass_the_gate(bundle: Bundle, calibration: Path, tmp_path: Path, symmetric: bool) -> None:
    path = tmp_path / "plain.bmodel"
    order = Order("bm1684x", "int8", calibration, 8, symmetric, sizes=SIZES[:1])
    parity = compile_bundle(bundle, order, path, force=True)
    assert parity.psnr_to_parent is None or parity.psnr_to_parent > 30
    assert (parity.precision, read_model(path).spec.bits) == ("int8", "int8")
    with pytest.raises(OutputError, match="exists already"):
        compile_bundle(bundle, order, path)


def test_the_same_network_gives_the_same_file(bundle: Bundle) -> None:
    from edgelift.targets import sophon

    order = Order("bm1684x", "bf16", sizes=SIZES[:1])
    first = converted(bundle, order)
    sophon._built.cache_clear()
    assert converted(bundle, order).data == first.data


def test_what_the_compiler_cannot_take_is_said_with_its_words(bundle: Bundle) -> None:
    core = bundle.graph()
    del core.graph.node[:]
    core.graph.node.append(helper.make_node("Wobble", ["core_in"], ["core_out"], name="w"))
    source = Source(replace(bundle.spec, shuffle=1), core, core, SIZES[:1])
    with pytest.raises(EngineError) as caught:
        SophonTarget.compile(source)
    assert "Wobble" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_chip_is_profiled_that_is_not_here(bundle: Bundle) -> None:
    with cycle_bench(bundle, Options(precision="f16")) as bench:
        engine: Any = bench.engine()
        assert isinstance(engine, CycleEngine)
        found = measure(bench, Request(("operators", "stages"), (16, 16), rounds=1), clock=engine.clock)
    assert found.device.words.startswith("tpu_mlir 1.30.2, BM1684X SOPHON, by the compiler's cycle model, f16")
    assert [part for part, _ in found.problems] == ["stages"]
    operators = found.parts.operators
    assert operators is not None
    assert operators.seconds == pytest.approx(found.reference.timing.seconds)
    assert [node.macs for node in operators.nodes if node.macs] == [16 * 16 * 27 * 8, 16 * 16 * 72 * 12]
