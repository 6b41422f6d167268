"""A core on whole numbers: what it computes, how it is written, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import helper, numpy_helper

from edgelift.core.errors import RequestError
from edgelift.core.grids import PIXELS, activation_grid
from edgelift.io.blocks import core_model, with_core
from edgelift.io.bundle import parse_bundle, read_bundle
from edgelift.runtime.engines.onnxruntime import open_exact
from edgelift.shrink.calibrate import Trial, calibrated
from edgelift.shrink.equalise import equalised
from edgelift.shrink.half import halved
from edgelift.shrink.quantize import fused, graded, problems, quantised, weights_of
from edgelift.shrink.ranges import METHODS, Seen
from edgelift.shrink.relu_only import conv_macs, relu_only


def run(model: onnx.ModelProto) -> Any:
    pytest.importorskip("onnxruntime", reason="calibration runs on ONNX Runtime")
    return open_exact(model)


@pytest.fixture(scope="module")
def core(plain_bundle: Path) -> onnx.ModelProto:
    return core_model(read_bundle(plain_bundle))


@pytest.fixture(scope="module")
def tiles() -> np.ndarray:
    rng = np.random.default_rng(1)
    smooth = np.linspace(0, 200, 16) * np.ones((3, 3, 16, 1))
    return np.clip(np.rint(smooth + rng.normal(0, 20, smooth.shape)), 0, 255).astype(np.float32).repeat(16, axis=3)


@pytest.fixture(scope="module")
def made(core: onnx.ModelProto, tiles: np.ndarray) -> Any:
    return calibrated(core, tiles, "int8", run)


def test_the_core_of_a_bundle_and_back(plain_bundle: Path, core: onnx.ModelProto) -> None:
    bundle = read_bundle(plain_bundle)
    again = with_core(bundle, core)
    picture = np.random.default_rng(0).integers(0, 256, (1, 5, 6, 3), np.uint8)
    both = [onnx.reference.ReferenceEvaluator(m).run(None, {"image": picture})[0] for m in (bundle.graph(), again)]
    assert np.array_equal(*both)
    onnx.checker.check_model(core)


def test_all_candidates_are_tried_and_the_best_is_kept(made: Any) -> None:
    assert {trial.method for trial in made.trials} == set(METHODS)
    assert made.trial.decibels == max(trial.decibels for trial in made.trials)
    assert made.trial.decibels > 40


def test_the_choice_is_the_same_each_time(core: onnx.ModelProto, tiles: np.ndarray, made: Any) -> None:
    told: list[Trial] = []
    again = calibrated(core, tiles, "int8", run, report=told.append)
    assert again.core.SerializeToString(deterministic=True) == made.core.SerializeToString(deterministic=True)
    assert tuple(told) == made.trials


def test_the_result_is_a_bundle_whose_every_tensor_is_whole_numbers(plain_bundle: Path, made: Any) -> None:
    model = with_core(read_bundle(plain_bundle), made.core)
    parse_bundle(model.SerializeToString())
    kinds = [node.op_type for node in made.core.graph.node]
    assert kinds.count("QuantizeLinear") == 5, "in, after the ReLU, the sum's two sides, out"
    types = {t.name: numpy_helper.to_array(t).dtype.name for t in made.core.graph.initializer}
    assert {types[name] for name in types if name.endswith("weight/whole")} == {"int8"}
    assert {types[name] for name in types if name.endswith("bias/whole")} == {"int32"}
    assert {types[name] for name in types if name.endswith(("core_in/on-grid/zero", "active/zero"))} == {"uint8"}


def test_weights_have_a_grid_for_each_channel(made: Any) -> None:
    scales = {t.name: numpy_helper.to_array(t) for t in made.core.graph.initializer if t.name.endswith("weight/scale")}
    assert {name: len(scale) for name, scale in scales.items()} == {"head.weight/scale": 8, "tail.weight/scale": 12}
    assert all(len(np.unique(scale)) > 1 for scale in scales.values())


@pytest.mark.parametrize("by_layer", [False, True])
@pytest.mark.parametrize("bits", ["int8", "int16x8"])
def test_a_filter_of_nothing_keeps_its_bias(
    core: onnx.ModelProto, tiles: np.ndarray, bits: str, by_layer: bool
) -> None:
    weights = weights_of(core)
    weights["head.weight"], weights["head.bias"] = np.zeros((8, 3, 3, 3), np.float32), np.float32([100, *[-3] * 7])
    free = {name: activation_grid(-9, 300, bits) for node in core.graph.node for name in node.output}
    grids = graded(core, free, bits)
    model = quantised(core, weights, grids, bits, set(grids) - fused(core) - {"core_in"}, by_layer=by_layer)
    model.graph.output.append(onnx.ValueInfoProto(name="active"))
    model.opset_import[0].version = 21  # ONNX's reference has no older form of these operators
    active = onnx.reference.ReferenceEvaluator(model).run(None, {"core_in": tiles})[-1]
    assert np.abs(active[:, 0] - 100).max() <= grids["active"].scale
    assert np.abs(active[:, 1:]).max() == 0


def test_ends_are_the_grid_of_pictures_and_the_anchor_is_exact(core: onnx.ModelProto, made: Any) -> None:
    free = {name: activation_grid(-9, 100, "int8") for node in core.graph.node for name in node.output}
    grids = graded(core, free, "int8")
    assert grids["core_in"] == grids["anchor"] == grids["core_out"] == PIXELS["int8"]
    opened = onnx.ModelProto.FromString(made.core.SerializeToString())
    opened.graph.output.append(helper.make_tensor_value_info("anchor", 1, None))
    batch = np.random.default_rng(2).integers(0, 256, (1, 3, 7, 8)).astype(np.float32)
    out, anchor = run(opened)(batch)
    assert np.array_equal(anchor, np.tile(batch, (1, 4, 1, 1)))
    assert out.min() >= 0
    assert out.max() <= 255
    assert np.array_equal(out, np.rint(out)), "whole samples leave: rounding behind costs nothing"


def test_a_convolution_and_its_activation_are_one(core: onnx.ModelProto, made: Any) -> None:
    assert fused(core) == {"wide"}
    assert set(made.inner) == {"wide"}


def test_sixteen_bits_are_nearer(core: onnx.ModelProto, tiles: np.ndarray, made: Any) -> None:
    deep = calibrated(core, tiles, "int16x8", run)
    assert deep.trial.decibels > made.trial.decibels + 1
    assert {each.version for each in deep.core.opset_import} == {21}
    onnx.checker.check_model(deep.core)


def test_symmetric_grids_have_their_zero_in_the_middle(core: onnx.ModelProto, tiles: np.ndarray) -> None:
    made = calibrated(core, tiles, "int8", run, symmetric=True)
    zeros = {
        t.name: int(numpy_helper.to_array(t))
        for t in made.core.graph.initializer
        if t.name.endswith("/zero") and not t.dims
    }
    assert zeros == {
        "core_in/on-grid/zero": 0,
        "active/zero": 0,
        "details/zero": 128,
        "anchor/zero": 0,
        "core_out/zero": 0,
    }


def test_equalising_changes_weights_and_not_the_function(core: onnx.ModelProto, tiles: np.ndarray) -> None:
    weights = weights_of(core)
    seen = {name: Seen(np.array([1.0, 2, 3, 4, 5, 6, 7, 0]), 0, 7) for name in ("active",)}
    changed = equalised(core, weights, seen, 1.0)
    assert not np.array_equal(changed["head.weight"], weights["head.weight"])
    other = onnx.ModelProto.FromString(core.SerializeToString())
    del other.graph.initializer[:]
    other.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in changed.items())
    assert np.abs(run(core)(tiles)[0] - run(other)(tiles)[0]).max() < 1e-2
    assert equalised(core, weights, seen, 0.0) == weights


def test_an_operator_without_a_form_is_named(core: onnx.ModelProto, tiles: np.ndarray) -> None:
    odd = onnx.ModelProto.FromString(core.SerializeToString())
    odd.graph.node[1].op_type = "Sigmoid"
    assert problems(odd) == ["the operator 'Sigmoid' has no whole-number form here; there are " + ", ".join(
        ["Conv", "Relu", "PRelu", "LeakyRelu", "Add", "Concat", "Pad", "DepthToSpace"])]  # fmt: skip
    with pytest.raises(RequestError, match="'Sigmoid' has no whole-number form"):
        quantised(odd, weights_of(odd), {"core_in": PIXELS["int8"]}, "int8", set())


def test_what_is_quantised_is_not_quantised_again(made: Any) -> None:
    assert problems(made.core) == ["it is quantised already; start from its float parent"]
    with pytest.raises(RequestError, match="quantised already"):
        halved(made.core)


def test_halves_are_half_as_large_and_near(core: onnx.ModelProto, tiles: np.ndarray) -> None:
    small = halved(core)
    onnx.checker.check_model(small)
    held = [numpy_helper.to_array(t) for t in small.graph.initializer]
    assert {a.dtype.name for a in held} == {"float16"}
    off = np.abs(run(core)(tiles)[0] - run(small)(tiles)[0]).max()
    assert 0 < off < 1


# -- PReLU as ReLU
def _with_prelu(slopes: list[float]) -> onnx.ModelProto:
    rng = np.random.default_rng(4)
    held = {
        "a": rng.normal(0, 0.2, (4, 3, 3, 3)), "b": rng.normal(0, 9, 4), "slopes": np.reshape(slopes, (1, 4, 1, 1)),
        "c": rng.normal(0, 0.2, (12, 4, 1, 1)),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["core_in", "a", "b"], ["wide"], pads=[1, 1, 1, 1]),
        helper.make_node("PRelu", ["wide", "slopes"], ["active"]),
        helper.make_node("Conv", ["active", "c"], ["core_out"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, 1, ["n", c, "h", "w"]) for name, c in (("core_in", 3), ("core_out", 12))
    ]
    weights = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "prelu", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("slopes", [[0.1, 0.5, 0.9, 0.2], [-0.3, 0.0, 1.0, -2.0]])
def test_prelu_as_relu_is_the_same_function(tiles: np.ndarray, slopes: list[float]) -> None:
    core = _with_prelu(slopes)
    made = relu_only(core)
    onnx.checker.check_model(made)
    assert [node.op_type for node in made.graph.node] == ["Conv", "Relu", "Conv"]
    assert np.abs(run(core)(tiles)[0] - run(made)(tiles)[0]).max() < 1e-3
    assert conv_macs(made) == 2 * conv_macs(core)


def test_prelu_that_something_else_reads_is_left(tiles: np.ndarray) -> None:
    core = _with_prelu([0.1, 0.2, 0.3, 0.4])
    core.graph.node.insert(2, helper.make_node("Relu", ["active"], ["other"]))
    assert "PRelu" in {node.op_type for node in relu_only(core).graph.node}
