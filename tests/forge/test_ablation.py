"""The ablation: every variant can be trained, quantised and measured; what is finished is not trained again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgelift.core.errors import RequestError
from edgelift.forge import ablation
from edgelift.forge.ablation import Row, ablate, recipe_for, table
from edgelift.forge.bundles import bundle_network
from edgelift.forge.tiles import calibration_tiles, proofs
from edgelift.io.blocks import core_model
from edgelift.nets import zoo
from edgelift.runtime.engines import availability
from edgelift.runtime.engines.onnxruntime import open_exact
from edgelift.shrink.calibrate import by_minmax

HERE = [found.engine for found in availability() if not found.problem]
pytestmark = pytest.mark.skipif("onnxruntime" not in HERE, reason="calibration runs on ONNX Runtime")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "ROUNDS", 1)
    monkeypatch.setattr(ablation, "SIZE", (16, 16))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn scenes, large enough to calibrate on at ×3."""
    from edgelift.evaluate.profile.synthetic import scene, write_png

    folder = tmp_path_factory.mktemp("scenes")
    for k in range(12):
        write_png(scene(200 + k, 210), folder / f"{k}.png")
    return folder


def test_variants_are_trained_once_and_measured(pictures: Path, tmp_path: Path) -> None:
    said: list[str] = []
    names = ["anchor", "norm"]
    rows = ablate([pictures], tmp_path, names=names, steps=4, count=8, tiles=1, say=said.append)
    assert [row.name for row in rows] == names
    assert all(row.ms > 0 and row.ms_int8 > 0 and 5 < row.psnr < 60 for row in rows)
    assert rows[0].macs == rows[1].macs, "a normalisation is a part of its convolution"
    ablation._trained(recipe_for("anchor", 4), [], tmp_path / "anchor", print, said.append, lambda: False)
    assert said[-1] == "ablation-anchor: trained already", "so that no pictures were read"
    lines = table(rows).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| anchor | 20,097 | ")


def test_every_variant_is_a_network_that_quantises(pictures: Path, tmp_path: Path) -> None:
    for name in ("image", "norm"):
        part = recipe_for(name, 4).network
        torch.manual_seed(0)
        network = zoo.build(part.architecture, **{**part.config, "channels": 4, "layers": 0})
        bundle = bundle_network(network, name, "CC0-1.0", {}, tmp_path / f"{name}.onnx")
        core, tiles = core_model(bundle), calibration_tiles(pictures, bundle.spec, 8)
        shown = proofs(None, bundle.spec, 1)[:1]
        whole = ablation._psnr(core, bundle, shown)
        assert whole - ablation._psnr(by_minmax(core, tiles, open_exact), bundle, shown) < 3


def test_without_a_clip_what_lies_beyond_white_wraps_around(pictures: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = zoo.build("abpn", channels=4, layers=0)
    bundle = bundle_network(network, "loud", "CC0-1.0", {}, tmp_path / "loud.onnx")
    core, tiles = core_model(bundle), calibration_tiles(pictures, bundle.spec, 8)
    clipped, free = (by_minmax(core, tiles, open_exact, clip=clip) for clip in (True, False))
    white = np.full((1, 3, 8, 8), 255, np.float32)
    assert open_exact(clipped)(white)[0].max() <= 255
    assert open_exact(free)(white)[0].max() > 255
    shown = proofs(None, bundle.spec, 1)[:1]
    assert ablation._psnr(free, bundle, shown, wraps=True) < ablation._psnr(clipped, bundle, shown) - 1


def test_a_grid_a_layer_is_worse_than_a_grid_a_filter(pictures: Path, tmp_path: Path) -> None:
    from edgelift.forge.compile import Order, converted

    torch.manual_seed(0)
    network = zoo.build("abpn", channels=6, layers=1, residual="none")
    with torch.no_grad():
        network.get_parameter("head.weight")[0] *= 30
        network.get_parameter("trunk.0.weight")[:, 0] /= 30
    bundle = bundle_network(network, "uneven", "CC0-1.0", {}, tmp_path / "uneven.onnx")
    tiles = calibration_tiles(pictures, bundle.spec, 8)
    floats = open_exact(core_model(bundle))(tiles)[0]
    errors = [
        float(np.mean((open_exact(core)(tiles)[0] - floats.clip(0, 255)) ** 2))
        for core in (
            by_minmax(core_model(bundle), tiles, open_exact),
            core_model(converted(bundle, Order(precision="int8", calibration=pictures, count=8))),
        )
    ]
    assert errors[0] > 3 * errors[1]


def test_a_row_shows_what_is_lost() -> None:
    line = table([Row("none", 4, 20097, 27.123, 1.931, 8.0, 0.05, 12.34, 6.0)]).splitlines()[2]
    assert line == "| none | 20,097 | 27.12 | 1.93 | 8.00 | 0.05 | 12.3 | 6.0 |"


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(RequestError, match="there is no variant 'magic'; there are anchor, image,"):
        recipe_for("magic", 4)
