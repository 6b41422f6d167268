"""From a network to a bundle and back."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from edgelift.core.errors import BundleError, OutputError
from edgelift.forge import bundles
from edgelift.forge.bundles import bundle_checkpoint, network_from, set_quality, spec_of
from edgelift.io.bundle import Bundle, read_bundle, write_bundle
from edgelift.nets.network import Network, parameters
from edgelift.training.checkpoint import Checkpoint

SMALL = {"scale": 2, "padding": "zeros", "channels": 6, "layers": 1}
"""One of those that other tests export too."""


def _difference(a: Network, b: Network) -> float:
    x = torch.rand(2, 3, 19, 17, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return float((a(x) - b(x)).abs().max())


# -- the round trip
def test_a_network_comes_back_from_its_bundle(export: Any, tmp_path: Path) -> None:
    bundle = write_bundle(export.model(), export.spec, tmp_path / "round.onnx")
    back = network_from(read_bundle(tmp_path / "round.onnx"))
    assert back.config == export.network.config
    assert not back.training
    assert _difference(back, export.network) <= 1e-4
    assert bundle.spec == export.spec


def test_the_facts_are_those_of_the_network(export: Any) -> None:
    network, spec = export.network, export.spec
    for name in ("architecture", "config", "task", "scale", "shuffle", "halo", "multiple_of", "padding", "colour"):
        assert getattr(spec, name) == getattr(network, name), name
    runs = copy.deepcopy(network)
    runs.fold()
    fewer = spec.architecture == "srresnet" or spec.config.get("block") == "reparam"  # which fold to less
    assert spec.parameters == parameters(runs if fewer else network)
    assert spec.macs == network.macs_per_pixel()
    assert spec.variants == network.variants
    assert spec.routing == ({"macs": list(network.costs)} if len(spec.variants) > 1 else {})
    assert spec.grid * spec.shuffle == spec.scale


def test_a_second_export_gives_the_same_network(exports: Any, tmp_path: Path) -> None:
    """Bundle -> network -> bundle -> network changes nothing but roundings of the range."""
    first = exports.exported("espcn-rgb", scale=2, padding="zeros")
    write_bundle(first.model(), first.spec, tmp_path / "a.onnx")
    once = network_from(read_bundle(tmp_path / "a.onnx"))
    write_bundle(bundles.export(once, first.spec), first.spec, tmp_path / "b.onnx")
    assert _difference(network_from(read_bundle(tmp_path / "b.onnx")), once) <= 1e-4


def _changed(bundle: Bundle, **facts: Any) -> Bundle:
    return dataclasses.replace(bundle, spec=dataclasses.replace(bundle.spec, **facts))


def _lose(bundle: Bundle, weight: str) -> Bundle:
    model = bundle.graph()
    model.graph.initializer.remove(next(t for t in model.graph.initializer if t.name == weight))
    return dataclasses.replace(bundle, data=model.SerializeToString())


@pytest.fixture
def small(exports: Any, tmp_path: Path) -> Bundle:
    made = exports.exported("abpn", scale=2, padding="zeros", **exports.SMALL["abpn"])
    return write_bundle(made.model(), made.spec, tmp_path / "small.onnx")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda b: _changed(b, architecture="foreign"),
        lambda b: _changed(b, architecture="no-such-network"),
        lambda b: _changed(b, config={**b.spec.config, "channels": 7}),
        lambda b: _changed(b, config={**b.spec.config, "channels": "many"}),
        lambda b: _changed(b, config={**b.spec.config, "channels": -1}),
        lambda b: _changed(b, config={**b.spec.config, "scale": 0}),
        lambda b: _changed(b, config={**b.spec.config, "residual": "other"}),
        lambda b: _changed(b, config={**b.spec.config, "depth": 3}),
        lambda b: _changed(b, config={**b.spec.config, "architecture": "abpn"}),
        lambda b: _changed(b, config={**b.spec.config, "layers": 2}),
        lambda b: _lose(b, "head.bias"),
    ],
    ids=[
        "foreign", "unknown", "other width", "text", "negative", "no scale", "other form", "unknown argument",
        "the name twice", "more layers", "a weight is missing",
    ],
)  # fmt: skip
def test_a_bundle_that_no_network_fits_is_refused(small: Bundle, spoil: Callable[[Bundle], Bundle]) -> None:
    with pytest.raises(BundleError, match="no network can be rebuilt from it"):
        network_from(spoil(small))


# -- from a checkpoint
def _checkpoint(exports: Any) -> Checkpoint:
    network = exports.drawn("abpn", **SMALL)
    recipe = {"name": "tiny-x2", "network": {"architecture": "abpn", **SMALL}}
    meta = {
        "recipe": recipe, "step": 12, "seconds": 3.5, "device": "cpu", "data": ["a"], "pictures": 5,
        "best_psnr_y": 30.5, "started_from": None, "history": [1, 2, 3],
    }  # fmt: skip
    return Checkpoint(network.state_dict(), meta)


@pytest.fixture
def exported_once(exports: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not test the exporter takes the graph that there is."""
    made = exports.exported("abpn", **SMALL)
    monkeypatch.setattr(bundles, "export", lambda network, spec: made.model())


def test_a_checkpoint_becomes_a_bundle(exports: Any, tmp_path: Path) -> None:
    """Through the exporter, and through a file."""
    checkpoint = _checkpoint(exports)
    checkpoint.save(tmp_path / "last.pt")
    bundle = bundle_checkpoint(Checkpoint.load(tmp_path / "last.pt"), tmp_path / "deep" / "tiny.onnx", licence="MIT")
    assert read_bundle(tmp_path / "deep" / "tiny.onnx") == bundle
    spec = bundle.spec
    assert (spec.name, spec.architecture, spec.scale, spec.licence) == ("tiny-x2", "abpn", 2, "MIT")
    assert spec.training["step"] == 12
    assert spec.training["recipe"] == checkpoint.meta["recipe"]
    assert "history" not in spec.training
    assert _difference(network_from(bundle), exports.drawn("abpn", **SMALL)) <= 1e-4


def test_a_card_may_state_what_the_network_is_for(exports: Any, tmp_path: Path) -> None:
    assert "content" not in bundle_checkpoint(_checkpoint(exports), tmp_path / "a.onnx").spec.training
    made = bundle_checkpoint(_checkpoint(exports), tmp_path / "b.onnx", content="drawn")
    assert made.spec.training["content"] == "drawn"


def test_an_export_is_the_same_file_each_time(exports: Any, tmp_path: Path) -> None:
    """Contract 8: the same checkpoint gives the same bytes."""
    first = exports.exported("abpn", **SMALL)
    again = bundles.export(exports.drawn("abpn", **SMALL), first.spec)
    data = [write_bundle(m, first.spec, tmp_path / f"{k}.onnx").data for k, m in enumerate((first.model(), again))]
    assert data[0] == data[1]


@pytest.mark.usefixtures("exported_once")
def test_a_bundle_is_not_overwritten_unless_asked(exports: Any, tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"something else")
    with pytest.raises(OutputError, match="exists already"):
        bundle_checkpoint(_checkpoint(exports), path)
    assert path.read_bytes() == b"something else"
    assert bundle_checkpoint(_checkpoint(exports), path, overwrite=True).spec.licence == "Apache-2.0"
    assert read_bundle(path).spec.name == "tiny-x2"


def test_a_graph_that_differs_from_its_network_is_not_written(
    exports: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate: an exporter that goes wrong is noticed before there is a file."""

    def wrong(*_: Any) -> onnx.ModelProto:
        model: onnx.ModelProto = exports.exported("abpn", **SMALL).model()
        bias = next(t for t in model.graph.initializer if t.name == "tail.bias")
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + 3, "tail.bias"))
        return model

    monkeypatch.setattr(bundles, "export", wrong)
    with pytest.raises(BundleError, match="dB from the network; at least 60"):
        bundle_checkpoint(_checkpoint(exports), tmp_path / "tiny.onnx")
    assert not list(tmp_path.iterdir())


# -- the card
def test_quality_is_added_and_the_rest_is_kept(small: Bundle) -> None:
    path = Path(small.source)
    set_quality(path, {"Set5": {"psnr_y": 33.1, "ssim_y": 0.9}})
    bundle = set_quality(path, {"Set14": {"psnr_y": 30.0}})
    assert read_bundle(path) == bundle
    assert bundle.spec.quality == {"Set5": {"psnr_y": 33.1, "ssim_y": 0.9}, "Set14": {"psnr_y": 30.0}}
    assert dataclasses.replace(bundle.spec, quality={}) == small.spec
    assert bundle.graph().graph == small.graph().graph, "the network is untouched"
    assert _difference(network_from(bundle), network_from(small)) == 0
    again = set_quality(path, {"Set5": {"psnr_y": 1.0}})
    assert again.spec.quality["Set5"] == {"psnr_y": 1.0}, "a set is replaced as a whole"
    assert again.spec.quality["Set14"] == {"psnr_y": 30.0}


def test_facts_can_be_read_with_onnx_alone(small: Bundle) -> None:
    """As docs/bundle-format.md shows it."""
    model = onnx.load(small.source)
    facts = json.loads(next(entry.value for entry in model.metadata_props if entry.key == "edgelift.facts"))
    assert facts["scale"] == 2
    assert facts["halo"] == small.spec.halo


# -- the reference engine
@pytest.mark.parametrize("samples", ["uint8", "float32"])
def test_the_reference_engine_is_the_network(exports: Any, samples: str) -> None:
    from edgelift.forge.reference import ReferenceEngine

    network = exports.drawn("abpn", **SMALL)
    engine = ReferenceEngine(network, spec_of(network, "r", "MIT", {}), samples)
    batch = np.random.default_rng(0).integers(0, 256, (2, 7, 9, 3)).astype(samples)
    out = np.empty((2, 7, 9, 2, 2, 3), samples)
    engine.run(batch, 1, out)
    with torch.no_grad():
        wanted = (
            (network(torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255) * 255).clamp(0, 255).permute(0, 2, 3, 1)
        )
    picture = out.transpose(0, 1, 3, 2, 4, 5).reshape(2, 14, 18, 3)
    assert np.abs(picture - wanted.numpy()).max() <= (0.501 if samples == "uint8" else 1e-3)
    assert engine.available().problem == ""
    engine.close()
