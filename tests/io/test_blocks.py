"""The form of a bundle that engines run: the core as it is, with exact conversions around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgelift.core.errors import BundleError
from edgelift.core.spec import ModelSpec
from edgelift.io.blocks import blocks_model, core_nodes
from edgelift.io.bundle import Bundle, bundled, parse_bundle, read_bundle

SAMPLES = ("uint8", "float32")


def _bundle(core: list[onnx.NodeProto], weights: dict[str, NDArray[Any]], shuffle: int = 2) -> Bundle:
    """A bundle with that core. What lies outside it is there and leads nowhere: engines replace it."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["core_in"], perm=[0, 3, 1, 2]),
        *core,
        helper.make_node("Clip", ["core_out", "black"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["larger"], to=TensorProto.UINT8),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.UINT8, ["n", "h", "w", 3]) for n in ("image", "larger")]
    held = {**weights, "black": np.array(0, np.float32)}
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(v, n) for n, v in held.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    spec = ModelSpec("b", "foreign", {}, shuffle, shuffle, 1, 1, "zeros", "rgb", 0, 0, "MIT")
    helper.set_model_props(model, {"edgelift.version": "1", "edgelift.facts": spec.to_json()})
    return parse_bundle(model.SerializeToString())


def _scaled(factor: float, offset: float) -> Bundle:
    """core_out = factor · core_in + offset, blocks of one pixel."""
    core = [
        helper.make_node("Mul", ["core_in", "factor"], ["product"]),
        helper.make_node("Add", ["product", "offset"], ["core_out"]),
    ]
    return _bundle(
        core, {"factor": np.array([factor], np.float32), "offset": np.array([offset], np.float32)}, shuffle=1
    )


def _run(model: onnx.ModelProto, batch: NDArray[Any]) -> NDArray[Any]:
    onnx.checker.check_model(model, full_check=True)
    (blocks,) = onnx.reference.ReferenceEvaluator(model.SerializeToString()).run(None, {"image": batch})
    return np.asarray(blocks)


def _ramp(samples: str) -> NDArray[Any]:
    return np.arange(256).reshape(1, 16, 16, 1).repeat(3, axis=3).astype(samples)


@pytest.mark.parametrize("samples", SAMPLES)
def test_what_goes_in_comes_out(samples: str) -> None:
    batch = _ramp(samples)
    out = _run(blocks_model(_scaled(1, 0), samples), batch)
    assert out.dtype == batch.dtype
    assert np.array_equal(out, batch)


def test_bytes_are_rounded_half_to_even() -> None:
    out = _run(blocks_model(_scaled(0.5, 0), "uint8"), _ramp("uint8"))
    assert out.ravel()[::3][:8].tolist() == [0, 0, 1, 2, 2, 2, 3, 4]
    assert np.array_equal(out, np.rint(_ramp("uint8") * 0.5))


@pytest.mark.parametrize("samples", SAMPLES)
def test_what_lies_beyond_black_and_white_is_clipped(samples: str) -> None:
    out = _run(blocks_model(_scaled(3, -200), samples), _ramp(samples))
    assert np.array_equal(out, np.clip(3.0 * _ramp("float32") - 200, 0, 255))


def test_floats_are_not_rounded() -> None:
    out = _run(blocks_model(_scaled(0.25, 0.125), "float32"), _ramp("float32"))
    assert np.array_equal(out, 0.25 * _ramp("float32") + 0.125)


@pytest.mark.parametrize("samples", SAMPLES)
def test_channels_of_a_block_stay_in_order(samples: str) -> None:
    """Channel (row · b + column) · 3 + colour of `core_out` is sample [row, column, colour] of a block."""
    weight = np.zeros((12, 3, 1, 1), np.float32)
    bias = np.arange(12, dtype=np.float32) * 10
    core = [helper.make_node("Conv", ["core_in", "w", "b"], ["core_out"])]
    out = _run(blocks_model(_bundle(core, {"w": weight, "b": bias}), samples), np.zeros((2, 3, 4, 3), samples))
    assert out.shape == (2, 3, 4, 12)
    block = out.reshape(2, 3, 4, 2, 2, 3)
    assert all(block[1, 2, 3, r, c, k] == ((r * 2 + c) * 3 + k) * 10 for r in (0, 1) for c in (0, 1) for k in (0, 1, 2))


def test_the_form_holds_the_core_and_nothing_else() -> None:
    bundle = _scaled(1, 0)
    model = blocks_model(bundle, "uint8")
    assert [node.op_type for node in core_nodes(bundle.graph().graph)] == ["Mul", "Add"]
    assert {t.name for t in model.graph.initializer} >= {"factor", "offset"}
    assert "black" not in {t.name for t in model.graph.initializer}, "a weight of what was cut away"
    assert list(model.opset_import) == list(bundle.graph().opset_import)
    assert model.ir_version == bundle.graph().ir_version
    assert not model.metadata_props


def test_a_core_that_reaches_around_its_cut_point_is_refused() -> None:
    core = [
        helper.make_node("Transpose", ["float"], ["again"], perm=[0, 3, 1, 2]),
        helper.make_node("Add", ["core_in", "again"], ["core_out"]),
    ]
    with pytest.raises(BundleError, match="the core needs 'image', which does not come from 'core_in'"):
        blocks_model(_bundle(core, {}, shuffle=1), "uint8")


def test_an_optional_input_may_be_left_out() -> None:
    core = [helper.make_node("Clip", ["core_in", "", "most"], ["core_out"])]
    out = _run(blocks_model(_bundle(core, {"most": np.array(99, np.float32)}, shuffle=1), "uint8"), _ramp("uint8"))
    assert out.max() == 99


@pytest.mark.parametrize("name", ["_black", "blocks", "_core_in_1", "_blocks_2"])
def test_names_inside_a_core_may_be_any(name: str) -> None:
    """A graph from elsewhere chooses its own names; where one meets those that are added, it works or is refused."""
    core = [
        helper.make_node("Mul", ["core_in", name], ["product"]),
        helper.make_node("Relu", ["product"], ["core_out"]),
    ]
    bundle = _bundle(core, {name: np.array([1], np.float32)}, shuffle=1)
    try:
        model = blocks_model(bundle, "uint8")
    except BundleError:
        return
    assert np.array_equal(_run(model, _ramp("uint8")), _ramp("uint8"))


@pytest.mark.parametrize("name", sorted(bundled()))
def test_bundled_networks_have_a_block_form(name: str) -> None:
    bundle = read_bundle(bundled()[name])
    batch = np.random.default_rng(0).integers(0, 256, (1, 5, 4, 3), np.uint8)
    (larger,) = onnx.reference.ReferenceEvaluator(bundle.data).run(None, {"image": batch})
    grid, side = bundle.spec.grid, bundle.spec.shuffle
    blocks = _run(blocks_model(bundle, "uint8"), batch).reshape(1, 5 * grid, 4 * grid, side, side, 3)
    assert np.array_equal(blocks.transpose(0, 1, 3, 2, 4, 5).reshape(np.asarray(larger).shape), larger)
