"""Every rewrite is the same function: graphs beside themselves rewritten, by ONNX's own reference."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgelift.targets.rewrites import EXACT, apply

BY_NAME = {rewrite.name: rewrite for rewrite in EXACT}
RNG = np.random.default_rng(0)


def graph(nodes: list[onnx.NodeProto], held: dict[str, Any], channels: int = 3, out: int = 3) -> onnx.ModelProto:
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", channels, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", out, "H", "W"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )  # fmt: skip
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    return np.asarray(onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})[0])


def same(
    model: onnx.ModelProto, name: str, times: int = 1, sizes: tuple[tuple[int, int], ...] = ((5, 7), (1, 1))
) -> onnx.ModelProto:
    """`model` rewritten; proven equal, in as many places as are said."""
    made, count = apply(model, BY_NAME[name])
    assert count == times
    onnx.checker.check_model(made, full_check=True)
    channels = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    for height, width in sizes:
        x = RNG.normal(0, 60, (2, channels, height, width)).astype(np.float32)
        before, after = run(model, x), run(made, x)
        assert before.shape == after.shape
        assert np.abs(before - after).max() <= 2e-4 * max(1, np.abs(before).max())
        assert before.std() > 0 or before.size < 20
    return made


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(0, 0.3, shape).astype(np.float32)


def conv(channels: int, given: int = 3) -> tuple[onnx.NodeProto, dict[str, Any]]:
    held = {"w": normal(channels, given, 3, 3), "b": normal(channels)}
    return helper.make_node("Conv", ["x", "w", "b"], ["wide"], pads=[1, 1, 1, 1]), held


@pytest.mark.parametrize("between", [(), ("Relu",), ("LeakyRelu", "Relu")])
@pytest.mark.parametrize("block", [2, 3])
def test_an_order_of_a_shuffle_goes_into_the_weights(between: tuple[str, ...], block: int) -> None:
    first, held = conv(3 * block**2)
    nodes, last = [first], "wide"
    for k, kind in enumerate(between):
        nodes.append(helper.make_node(kind, [last], [f"t{k}"]))
        last = f"t{k}"
    nodes.append(helper.make_node("DepthToSpace", [last], ["y"], blocksize=block, mode="CRD"))
    made = same(graph(nodes, held), "crd-to-dcr")
    assert kinds(made) == Counter({"Conv": 1, "DepthToSpace": 1}) + Counter(between)
    assert not any(a.s == b"CRD" for node in made.graph.node for a in node.attribute)


def test_an_order_that_others_read_too_is_a_convolution() -> None:
    first, held = conv(12)
    nodes = [
        first, helper.make_node("DepthToSpace", ["wide"], ["one"], blocksize=2, mode="CRD"),
        helper.make_node("DepthToSpace", ["wide"], ["other"], blocksize=2, mode="DCR"),
        helper.make_node("Sub", ["one", "other"], ["y"]),
    ]  # fmt: skip
    assert kinds(same(graph(nodes, held), "crd-to-dcr"))["Conv"] == 2


@pytest.mark.parametrize("mode", ["CRD", "DCR"])
def test_a_shuffle_as_a_transposed_convolution_and_back(mode: str) -> None:
    first, held = conv(12)
    model = graph([first, helper.make_node("DepthToSpace", ["wide"], ["y"], blocksize=2, mode=mode)], held)
    made = same(model, "shuffle-as-transposed")
    assert kinds(made) == {"Conv": 1, "ConvTranspose": 1}
    back = same(made, "transposed-as-shuffle")
    assert kinds(back) == {"Conv": 1 if mode == "DCR" else 2, "DepthToSpace": 1}


def test_a_shuffle_of_bytes_is_done_before_they_are_bytes() -> None:
    first, held = conv(12)
    nodes = [
        first, helper.make_node("Clip", ["wide", "black", "white"], ["clipped"]), helper.make_node("Round", ["clipped"], ["r"]),
        helper.make_node("Cast", ["r"], ["bytes"], to=TensorProto.UINT8),
        helper.make_node("DepthToSpace", ["bytes"], ["z"], blocksize=2, mode="DCR"),
        helper.make_node("Cast", ["z"], ["y"], to=TensorProto.FLOAT),
    ]  # fmt: skip
    model = graph(nodes, {**held, "black": np.float32(0), "white": np.float32(255)})
    assert kinds(same(model, "shuffle-as-transposed"))["Cast"] == 2


@pytest.mark.parametrize(
    ("kernel", "stride", "pads", "extra"),
    [
        (2, 2, 0, 0),
        (4, 2, 1, 0),
        (3, 2, 1, 1),
        (6, 2, 2, 0),
        (3, 3, 0, 0),
        (9, 3, 3, 0),
        (5, 3, 1, 0),
        (8, 4, 2, 0),
        (9, 3, 4, 2),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_a_transposed_convolution_as_a_shuffle(kernel: int, stride: int, pads: int, extra: int, bias: bool) -> None:
    held: dict[str, Any] = {"w": normal(3, 5, kernel, kernel)} | ({"b": normal(5)} if bias else {})
    node = helper.make_node(
        "ConvTranspose", ["x", *held], ["y"], strides=[stride] * 2, pads=[pads] * 4, output_padding=[extra] * 2
    )
    made = same(graph([node], held, out=5), "transposed-as-shuffle")
    assert kinds(made) == {"Conv": 1, "DepthToSpace": 1}


@pytest.mark.parametrize("change", [{"group": 3}, {"pads": [0, 0, 0, 0]}, {"dilations": [2, 2]}, {"strides": [1, 1]}])
def test_other_transposed_convolutions_are_left(change: dict[str, Any]) -> None:
    held = {"w": normal(3, 1 if "group" in change else 3, 4, 4)}
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], **{"strides": [2, 2], "pads": [1, 1, 1, 1], **change})
    model = graph([node], held)
    assert apply(model, BY_NAME["transposed-as-shuffle"]) == (model, 0)


def test_prelu_between_convolutions_and_elsewhere() -> None:
    first, held = conv(6)
    held |= {"a": normal(6, 1, 1), "c": normal(4, 6, 1, 1), "d": normal(4, 1, 1)}
    nodes = [
        first, helper.make_node("PRelu", ["wide", "a"], ["one"]), helper.make_node("Conv", ["one", "c"], ["two"]),
        helper.make_node("PRelu", ["two", "d"], ["three"]), helper.make_node("LeakyRelu", ["three"], ["y"], alpha=0.2),
    ]  # fmt: skip
    made = same(graph(nodes, held, out=4), "prelu-as-relu", 3)
    assert kinds(made) == {"Conv": 2, "Relu": 5, "Neg": 2, "Mul": 2, "Sub": 2}


def test_copies_of_all_channels_and_of_each() -> None:
    nodes = [
        helper.make_node("Expand", ["x", "ones"], ["same"]), helper.make_node("Tile", ["same", "times"], ["y"]),
    ]  # fmt: skip
    held: dict[str, Any] = {"ones": np.ones(4, np.int64), "times": np.array([1, 4, 1, 1])}
    assert kinds(same(graph(nodes, held, out=12), "repeat-as-concat")) == {"Concat": 1}
    nodes = [
        helper.make_node("Unsqueeze", ["x", "two"], ["a"]), helper.make_node("Expand", ["a", "sides"], ["b"]),
        helper.make_node("Shape", ["x"], ["c"], start=2), helper.make_node("Concat", ["one", "rest", "c"], ["d"], axis=0),
        helper.make_node("Reshape", ["b", "d"], ["e"]), helper.make_node("DepthToSpace", ["e"], ["y"], blocksize=2, mode="CRD"),
    ]  # fmt: skip
    held = {"two": [2], "sides": [1, 1, 4, 1, 1], "one": [0], "rest": [12]}
    model = graph(nodes, {name: np.array(value, np.int64) for name, value in held.items()})
    assert kinds(same(model, "repeat-as-concat")) == {"Conv": 1, "DepthToSpace": 1}


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("channels", [3, 6])
@pytest.mark.parametrize(
    "how",
    [
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        {"mode": "nearest", "coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_floor"},
        {"mode": "nearest", "coordinate_transformation_mode": "half_pixel", "nearest_mode": "ceil"},
        {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
        {"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
        {"mode": "cubic", "coordinate_transformation_mode": "half_pixel", "cubic_coeff_a": -0.75},
        {"mode": "cubic", "coordinate_transformation_mode": "half_pixel", "cubic_coeff_a": -0.5},
    ],
    ids=lambda how: "-".join(map(str, how.values())),
)
def test_a_resize_as_a_convolution(factor: int, channels: int, how: dict[str, Any]) -> None:
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], **how)
    model = graph([node], {"s": np.array([1, 1, factor, factor], np.float32)}, channels, channels)
    made = same(model, "resize-as-conv", sizes=((5, 7), (3, 2)))
    assert set(kinds(made)) <= {"Conv", "DepthToSpace", "Pad", "Concat"}


@pytest.mark.parametrize(
    ("scales", "how"),
    [
        ((1, 1, 1.5, 1.5), {}), ((1, 1, 2, 3), {}), ((1, 1, 0.5, 0.5), {}), ((1, 2, 2, 2), {}),
        ((1, 1, 2, 2), {"coordinate_transformation_mode": "align_corners"}),
        ((1, 1, 2, 2), {"mode": "cubic", "exclude_outside": 1}),
    ],
)  # fmt: skip
def test_other_resizes_are_left(scales: tuple[float, ...], how: dict[str, Any]) -> None:
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], **{"mode": "linear", **how})
    assert apply(graph([node], {"s": np.array(scales, np.float32)}), BY_NAME["resize-as-conv"])[1] == 0


@pytest.mark.parametrize("pads", [(1, 1, 1, 1), (2, 0, 0, 3), (0, 0, 0, 1)])
def test_padding_by_the_edge_as_a_concatenation(pads: tuple[int, ...]) -> None:
    held = {"p": np.array([0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]], np.int64)}
    made = same(graph([helper.make_node("Pad", ["x", "p"], ["y"], mode="edge")], held), "pad-as-concat")
    assert set(kinds(made)) == {"Slice", "Concat"}
    other = graph([helper.make_node("Pad", ["x", "p"], ["y"], mode="reflect")], held)
    assert apply(other, BY_NAME["pad-as-concat"])[1] == 0
