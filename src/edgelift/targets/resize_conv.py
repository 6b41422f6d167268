"""Transposed convolution as bilinear resize and convolution: another function, near it, to be fine-tuned (Odena et al. 2016).

For accelerators that have neither transposed convolution nor pixel shuffle. The convolution's weights are those that come
nearest on smooth noise, by least squares: a start for fine-tuning, not a replacement by itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.reference
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgelift.targets.draft import Draft, attributes_of, float_array

__all__ = ["resize_conv"]

SIDE = 24
"""Of the noise that weights are fitted on."""
MOST_WEIGHTS = 4096
"""Of one result, beyond which no fit is made."""
RIDGE = 1e-7
"""Of the mean square of what goes in, so that what noise does not tell stays small."""


def resize_conv(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """`model` with resize and convolution in the place of transposed convolutions, and in how many places."""
    draft, count = Draft(model), 0
    for node in draft.of("ConvTranspose"):
        weight, given = draft.held.get(node.input[1]), attributes_of(node)
        stride = int(given.get("strides", [1, 1])[0])
        if weight is None or not _whole(given, weight.shape[2:], stride):
            continue
        kernel = max(3, weight.shape[2] | 1)
        if weight.shape[0] * kernel**2 > MOST_WEIGHTS:
            continue
        fitted = _fitted(node, weight, stride, kernel)
        larger = draft.fresh(node.output[0])
        scales = draft.hold(np.array([1, 1, stride, stride], np.float32), "times")
        inputs = [larger, draft.hold(fitted, "resize-conv"), *node.input[2:]]
        draft.replace(node, [
            helper.make_node("Resize", [node.input[0], "", scales], [larger], mode="linear"),
            helper.make_node("Conv", inputs, node.output, pads=[kernel // 2] * 4),
        ])  # fmt: skip
        count += 1
    return (draft.finish(), count) if count else (model, 0)


def _whole(given: dict[str, Any], kernel: tuple[int, ...], stride: int) -> bool:
    """Whether the result is stride times as large, and channels are in one group."""
    pads, extra = given.get("pads", [0] * 4), given.get("output_padding", [0, 0])
    sized = all(kernel[k] - pads[k] - pads[2 + k] + extra[k] == stride for k in (0, 1))
    return sized and stride > 1 and given.get("group", 1) == 1 and kernel[0] == kernel[1]


def _fitted(node: onnx.NodeProto, weight: NDArray[np.float32], stride: int, kernel: int) -> NDArray[np.float32]:
    """The weights (out × in × kernel × kernel) that come nearest."""
    channels, outs = weight.shape[:2]
    count = max(2, -(-2 * channels * kernel**2 // (stride * SIDE - kernel) ** 2))
    noise = np.random.default_rng(0).normal(0, 1, (count, channels, SIDE, SIDE)).astype(np.float32)
    smooth = noise + np.roll(noise, 1, 2) + np.roll(noise, 1, 3) + np.roll(noise, (1, 1), (2, 3))
    plain = helper.make_node("ConvTranspose", ["x", "w"], ["y"])
    plain.attribute.extend(node.attribute)
    wanted = _run([plain], {"w": weight}, smooth)
    scales = np.array([1, 1, stride, stride], np.float32)
    larger = _run([helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear")], {"s": scales}, smooth)
    around = kernel // 2
    views = np.lib.stride_tricks.sliding_window_view(larger, (kernel, kernel), (2, 3))
    rows = views.transpose(0, 2, 3, 1, 4, 5).reshape(-1, channels * kernel**2).astype(np.float64)
    targets = wanted[:, :, around:-around, around:-around].transpose(0, 2, 3, 1).reshape(-1, outs).astype(np.float64)
    square = rows.T @ rows
    square[np.diag_indices_from(square)] += RIDGE * np.trace(square) / len(square)
    solved = np.linalg.solve(square, rows.T @ targets)
    return float_array(solved.T.reshape(outs, channels, kernel, kernel))


def _run(
    nodes: list[onnx.NodeProto], held: dict[str, NDArray[np.float32]], x: NDArray[np.float32]
) -> NDArray[np.float32]:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    weights = [numpy_helper.from_array(value, name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "one", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return next(np.asarray(y, np.float32) for y in onnx.reference.ReferenceEvaluator(model).run(None, {"x": x}))
