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
from edgelift.runtime.engines import availability, open_engine
from edgelift.runtime.pipeline import run_plan
from edgelift.runtime.rows import ArraySource, ArrayTarget
from edgelift.tiling.plan import Plan, auto_tile, plan

EVERY = [
    (found.engine, device.name, precision)
    for found in availability()
    for device in found.devices
    for precision in device.precisions
]
HEIGHT, WIDTH = 143, 190
AREAS = (1 << 10, 1 << 11, 1 << 12, 1 << 13)
TILES = ((15, 15), (16, 33), (64, 20), (143, 48), (31, 190), (80, 101), (90, 190))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(bundled()["abpn-x3"])


def _plans(bundle: Bundle) -> list[Plan]:
    """Tiles by hand, from the smallest that the halo allows, and those that the planner takes for several areas."""
    halo, multiple = bundle.spec.halo, bundle.spec.multiple_of
    assert halo is not None
    chosen = [auto_tile(HEIGHT, WIDTH, halo, multiple, area) for area in AREAS]
    least = (2 * halo + multiple, 2 * halo + multiple + 40)
    fits = {t for t in (*TILES, *chosen, least) if min(t) >= 2 * halo + multiple and not t[0] % multiple + t[1] % multiple}
    made = [plan(HEIGHT, WIDTH, tile, halo, multiple) for tile in sorted(fits)]
    return [p for p in made if len(p) >= 2]


def _upscale(engine: Engine, made: Plan, picture: NDArray[Any]) -> NDArray[Any]:
    target = ArrayTarget(made.height * engine.spec.scale, made.width * engine.spec.scale, picture.dtype)
    run_plan(engine, made, ArraySource(picture), target)
    return target.picture


@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize(("name", "device", "precision"), EVERY, ids=["-".join(case) for case in EVERY])
def test_tiles_do_not_show(
    bundle: Bundle, photograph: Callable[[int, int], Any], name: str, device: str, precision: str, samples: str
) -> None:
    picture = photograph(HEIGHT, WIDTH)
    if samples == "float32":
        picture = np.clip(picture + np.float32(0.37), 0, 255).astype(np.float32)
    plans = _plans(bundle)
    assert sum(len(made) >= 4 for made in plans) >= 6
    engine = open_engine(bundle, name, Options(device=device, precision=precision, samples=samples, threads=2))
    whole = _upscale(engine, plan(HEIGHT, WIDTH, (HEIGHT, WIDTH), bundle.spec.halo), picture)
    assert whole.std() > 30, "the picture has something to compare"
    different = {}
    for made in plans:
        off = np.abs(_upscale(engine, made, picture).astype(np.float64) - whole)
        if off.any():
            different[made.tile] = f"{np.count_nonzero(off)} of {off.size} samples, by {off.max():.3g} at most"
    engine.close()
    assert different == {}


@pytest.mark.parametrize("samples", SAMPLES)
def test_a_halo_that_is_one_too_small_shows(
    bundle: Bundle, photograph: Callable[[int, int], Any], samples: str
) -> None:
    """Else the test above would prove nothing about the halo."""
    if not EVERY:
        pytest.skip("no engine is installed")
    halo = bundle.spec.halo
    assert halo is not None
    picture = photograph(HEIGHT, WIDTH).astype(samples)
    engine = open_engine(bundle, EVERY[0][0], Options(precision="f32", samples=samples, threads=2))
    whole = _upscale(engine, plan(HEIGHT, WIDTH, (HEIGHT, WIDTH), halo), picture)
    for short, differs in ((halo, False), (halo - 1, samples == "float32"), (halo // 2, True)):
        tiled = _upscale(engine, plan(HEIGHT, WIDTH, (40, 40), short), picture)
        assert (not np.array_equal(tiled, whole)) == differs or (short == halo - 1 and samples == "uint8"), short
    engine.close()
