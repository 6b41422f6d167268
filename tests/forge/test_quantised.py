"""From quantised training to files: the graph on whole numbers computes what the network in training computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgelift.core.errors import BundleError, RequestError
from edgelift.forge.bundles import bundle_checkpoint
from edgelift.forge.compile import Order, compile_bundle, converted
from edgelift.forge.gate import enlarge
from edgelift.io.blocks import core_model
from edgelift.io.bundle import Bundle
from edgelift.nets import zoo
from edgelift.runtime.engine import Options
from edgelift.runtime.engines import availability, open_engine
from edgelift.runtime.engines.onnxruntime import open_exact
from edgelift.shrink.learnt import on_learnt_ranges, tensor_keys
from edgelift.targets.base import load_target
from edgelift.training.checkpoint import Checkpoint, network_of
from edgelift.training.quantised import Quantised

HERE = [found.engine for found in availability() if not found.problem]
pytestmark = pytest.mark.skipif("onnxruntime" not in HERE, reason="the graph is run by ONNX Runtime")
CASES: list[tuple[str, dict[str, Any]]] = [
    ("abpn", {"scale": 2, "channels": 6, "layers": 1}),
    ("abpn", {"scale": 3, "channels": 6, "layers": 1, "residual": "image"}),
    ("abpn", {"scale": 2, "channels": 6, "layers": 1, "residual": "feature"}),
    ("abpn", {"scale": 2, "channels": 6, "layers": 1, "residual": "none", "block": "reparam"}),
    ("fsrcnn", {"scale": 3, "channels": 8, "shrunk": 4, "layers": 1}),
    ("espcn", {"scale": 2}),
]


def smooth(seed: int = 0) -> torch.Tensor:
    """Pictures of whole samples, 2 × 3 × 16 × 20, in 0 … 1."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.linspace(0, 6, 20) + rng.uniform(0, 6, (2, 3, 16, 1)))
    return torch.from_numpy(np.rint(127.5 + 100 * waves + rng.normal(0, 8, waves.shape)) / 255).float().clamp(0, 1)


def trained(name: str, config: dict[str, Any]) -> tuple[Quantised, Checkpoint]:
    """A network on whole numbers, its ranges measured, as a run would save it."""
    torch.manual_seed(3)
    network = Quantised(zoo.build(name, **config)).requires_grad_(False).eval()
    network.calibrate([smooth(k) for k in range(3)])
    recipe = {"name": "tiny-qat", "network": {"architecture": name, **config}, "train": {"quantize": "int8"}}
    return network, Checkpoint(dict(network.state_dict()), {"recipe": recipe, "step": 1})


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A float bundle with learnt ranges."""
    return bundle_checkpoint(trained(*CASES[0])[1], tmp_path_factory.mktemp("learnt") / "qat.onnx")


@pytest.mark.parametrize(("name", "config"), CASES)
def test_the_graph_computes_what_training_saw(name: str, config: dict[str, Any], tmp_path: Path) -> None:
    network, checkpoint = trained(name, config)
    bundle = bundle_checkpoint(checkpoint, tmp_path / "qat.onnx")
    assert set(bundle.spec.training["ranges"]) == set(network.ranges)
    made = converted(bundle, Order(precision="int8"))
    assert made.spec.training["quantised"]["method"] == "learnt"
    x = smooth(9)
    wanted = (network.core(x) * 255).round().numpy()
    found = np.clip(np.rint(open_exact(core_model(made))((x * 255).round().numpy())[0]), 0, 255)
    # one level apart where a value lies in the middle between two, as floats of 0 … 1 and of 0 … 255 round it
    assert np.abs(found - wanted).max() <= 2
    assert np.mean(found != wanted) < 0.01
    floats = network_of(checkpoint, tmp_path).core(x).clamp(0, 1).mul(255).round().numpy()
    assert np.mean(found != floats) > 0.05, "a test that floats pass tells nothing"


@pytest.mark.parametrize("target", [name for name in ("openvino", "litert") if not load_target(name).missing()])
def test_learnt_ranges_go_into_every_target(learnt: Bundle, tmp_path: Path, target: str) -> None:
    path = tmp_path / ("m.xml" if target == "openvino" else "m.tflite")
    parity = compile_bundle(learnt, Order(target, "int8"), path, force=True)
    assert parity.precision == "int8"
    picture = (smooth(5)[0].permute(1, 2, 0) * 255).round().byte().numpy()
    from edgelift.io.compiled import read_model

    wanted = enlarge(
        open_engine(converted(learnt, Order(precision="int8")), "onnxruntime", Options(threads=1)), picture
    )
    found = enlarge(open_engine(read_model(path), options=Options(threads=1)), picture)
    assert np.abs(found.astype(int) - wanted).max() <= 2


@pytest.mark.skipif(load_target("litert").missing() != "", reason="LiteRT is not installed")
def test_relu_pairs_of_a_prelu_share_its_learnt_range(tmp_path: Path) -> None:
    _, checkpoint = trained(*CASES[4])
    bundle = bundle_checkpoint(checkpoint, tmp_path / "qat.onnx")
    picture = (smooth(5)[0].permute(1, 2, 0) * 255).round().byte().numpy()
    floats = enlarge(open_engine(bundle, "onnxruntime", Options(threads=1)), picture).astype(float)
    errors = [
        np.mean((enlarge(open_engine(made, engine, Options(threads=1)), picture) - floats) ** 2)
        for made, engine in (
            (converted(bundle, Order(precision="int8")), "onnxruntime"),
            (converted(bundle, Order("litert", "int8")), "litert"),
        )
    ]
    assert errors[1] < 2 * errors[0] + 0.5


def test_pictures_that_are_named_are_measured_in_place_of_what_was_learnt(learnt: Bundle, calibration: Path) -> None:
    made = converted(learnt, Order(precision="int8", calibration=calibration))
    assert made.spec.training["quantised"]["method"] != "learnt"


def test_ranges_hold_for_16_bits_and_symmetric_grids(learnt: Bundle) -> None:
    x = (smooth(9) * 255).round().numpy()
    floats = open_exact(core_model(learnt))(x)[0].clip(0, 255)
    errors = {}
    for order in (Order(precision="int16x8"), Order(precision="int8"), Order(precision="int8", symmetric=True)):
        found = open_exact(core_model(converted(learnt, order)))(x)[0].clip(0, 255)
        errors[order.precision, order.symmetric] = np.mean((found - floats) ** 2)
    assert errors["int16x8", False] < errors["int8", False] < 2 * errors["int8", True]


def test_a_network_whose_ranges_were_not_learnt_says_what_there_is_to_do(plain_bundle: Path, tmp_path: Path) -> None:
    from edgelift.io.bundle import read_bundle

    with pytest.raises(RequestError, match=r"int8 needs pictures .* \(edgelift train --quantize\)"):
        compile_bundle(read_bundle(plain_bundle), Order(precision="int8"), tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tail": None}, "no range was learnt for 'tail'; say --calibration DIR"),
        ({"tail": [1.0]}, "must be two numbers"),
        ({"tail": "wide"}, "must be two numbers"),
        ({"tail": [3.0, 9.0]}, "must hold 0"),
        ({"tail": [float("nan"), 9.0]}, "must hold 0"),
        ({"tail": [-1.0, float("inf")]}, "must hold 0"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(learnt: Bundle, changes: dict[str, Any], says: str) -> None:
    ranges = {**learnt.spec.training["ranges"], **changes}
    ranges = {key: value for key, value in ranges.items() if value is not None}
    with pytest.raises(BundleError, match=says):
        on_learnt_ranges(core_model(learnt), ranges, "int8")


def test_tensors_are_called_after_their_convolutions(learnt: Bundle) -> None:
    assert list(tensor_keys(core_model(learnt)).values()) == ["head", "trunk/0", "widen", "tail", "concat0", "add0"]
