"""Contract 3 on real engines: a picture in tiles is the picture in one piece, to the bit, with the bundled network.

The sums of a real network are not free of order, so this is a claim about the engines too: that a pixel's result does
not depend on the window it lies in. `tests/forge/test_exact_tiling.py` is the half of it that no engine can break.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgelift.io.bundle import Bundle, bundled, read_bundle
from edgelift.runtime.engine import SAMPLES, Engine, Options
from edgelift.runtime.engines import ENGINES, availability, open_engine
from edgelift.runtime.pipeline import run_plan
from edgelift.runtime.rows import ArraySource, ArrayTarget
from edgelift.runtime.upscaler import Upscaler
from edgelift.tiling.plan import Plan, auto_tile, plan

EVERY = [
    (found.engine, device.name, precision)
    for found in availability()
    for device in found.devices
    for precision in device.precisions
    if "onnx" in ENGINES.load(found.engine).forms
]
AREAS = (1 << 10, 1 << 11, 1 << 12)
TILES = ((16, 90), (70, 21), (31, 90), (75, 48), (40, 40), (50, 60))
"""For a picture of 75 × 90."""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(bundled()["abpn-x3"])


def _plans(bundle: Bundle) -> list[Plan]:
    """Tiles by hand, those that the planner takes for several areas, and the smallest that the halo allows."""
    halo, multiple = bundle.spec.halo, bundle.spec.multiple_of
    assert (halo, multiple) == (7, 1), "the tiles below are made for this network"
    chosen = [auto_tile(75, 90, halo, multiple, area) for area in AREAS]
    return [plan(75, 90, tile, halo) for tile in (*TILES, *chosen)] + [plan(19, 21, (15, 15), halo)]


def _upscale(engine: Engine, made: Plan, picture: NDArray[Any]) -> NDArray[Any]:
    target = ArrayTarget(made.height * engine.spec.scale, made.width * engine.spec.scale, picture.dtype)
    run_plan(engine, made, ArraySource(picture), target)
    return target.picture


@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize(("name", "device", "precision"), EVERY, ids=["-".join(case) for case in EVERY])
def test_tiles_do_not_show(
    bundle: Bundle, photograph: Callable[[int, int], Any], name: str, device: str, precision: str, samples: str
) -> None:
    picture = photograph(75, 90)
    if samples == "float32":
        picture = np.clip(picture + np.float32(0.37), 0, 255).astype(np.float32)
    plans = _plans(bundle)
    assert sum(len(made) >= 4 for made in plans) >= 6
    engine = open_engine(bundle, name, Options(device=device, precision=precision, samples=samples, threads=2))
    wholes = {
        size: _upscale(engine, plan(*size, size, 7), picture[: size[0], : size[1]]) for size in ((75, 90), (19, 21))
    }
    assert wholes[75, 90].std() > 30, "the picture has something to compare"
    different = {}
    for made in plans:
        tiled = _upscale(engine, made, picture[: made.height, : made.width])
        off = np.abs(tiled.astype(np.float64) - wholes[made.height, made.width])
        if off.any():
            different[made.tile] = f"{np.count_nonzero(off)} of {off.size} samples, by {off.max():.3g} at most"
    engine.close()
    assert different == {}


@pytest.mark.skipif(not EVERY, reason="no engine is installed")
def test_a_halo_that_is_one_too_small_shows(bundle: Bundle, photograph: Callable[[int, int], Any]) -> None:
    """Else the test above would prove nothing about the halo."""
    picture = photograph(75, 90).astype(np.float32)
    engine = open_engine(bundle, EVERY[0][0], Options(precision="f32", samples="float32", threads=2))
    whole = _upscale(engine, plan(75, 90, (75, 90), 7), picture)
    assert np.array_equal(_upscale(engine, plan(75, 90, (40, 40), 7), picture), whole)
    assert not np.array_equal(_upscale(engine, plan(75, 90, (40, 40), 6), picture), whole)
    engine.close()


@pytest.mark.skipif(not EVERY, reason="no engine is installed")
def test_a_ramp_of_sixteen_bits_keeps_its_steps() -> None:
    """Through the float core: 8 bits would leave 256 values, and bf16 about as many."""
    ramp = np.linspace(0, 65535, 200 * 200).astype(np.uint16).reshape(200, 200, 1).repeat(3, axis=2)
    with Upscaler("abpn-x3") as upscaler:
        assert len(np.unique(upscaler(ramp))) > 10_000
