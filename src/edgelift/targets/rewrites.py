"""Operators that accelerators do not run, written in others: the same function, but for roundings of the sums.

Each rewrite says which operator it removes and what it is. Those of `EXACT` are the same function of any input; what takes
their place is plain convolutions with fixed weights, concatenations and pixel shuffles.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edgelift.shrink.relu_only import relu_only
from edgelift.targets.draft import Draft, attributes_of, float_array

__all__ = ["EXACT", "Rewrite", "apply"]

MOST_COPIES = 64
"""Of a tensor that are joined."""
DENSE = 4
"""Channels up to which a fixed resize is one convolution of all channels; above it is one of each channel by itself."""
LAYERS = ("Relu", "LeakyRelu", "Clip", "Sigmoid", "Tanh")
"""Operators that treat all channels alike, so that an order of channels goes through them."""


@dataclass(frozen=True)
class Rewrite:
    """One way to do without an operator."""

    name: str
    removes: tuple[str, ...]
    """The operators that are gone afterwards; a mode behind the name is that alone."""
    makes: tuple[str, ...]
    """The operators that take their place."""
    dialects: tuple[str, ...]
    """`onnx`, and `tflite` where the result has a form in LiteRT."""
    what: str
    run: Callable[[Draft], int]
    """Changes a draft; how many places were changed."""


def apply(model: onnx.ModelProto, rewrite: Rewrite) -> tuple[onnx.ModelProto, int]:
    """`model` with that rewrite wherever it serves, and in how many places it did."""
    draft = Draft(model)
    count = rewrite.run(draft)
    return (draft.finish(), count) if count else (model, 0)


# -- pixel shuffles


def _to_dcr(draft: Draft) -> int:
    """CRD as DCR: the channels of the convolution before it change places."""
    count = 0
    for node in draft.of("DepthToSpace"):
        given = attributes_of(node)
        if given.get("mode", b"DCR") != b"CRD":
            continue
        block = int(given["blocksize"])
        channels = draft.channels(node.input[0])
        if channels % block**2 or not channels:
            continue
        order = np.arange(channels).reshape(-1, block**2).T.reshape(-1)  # (colour, place) -> (place, colour)
        start = _reordered(draft, node.input[0], order)
        draft.replace(node, [helper.make_node("DepthToSpace", [start], node.output, blocksize=block, mode="DCR")])
        count += 1
    return count


def _reordered(draft: Draft, name: str, order: NDArray[Any]) -> str:
    """A tensor with the channels of `name` in `order`: by the weights of the convolution that makes it where only it is
    concerned, else by a convolution of 1 × 1."""
    above, chain = name, []
    while True:
        maker = draft.maker(above)
        if maker is None or len(draft.readers(above)) != 1 or draft.is_end(above) or above in CUTS:
            break
        if maker.op_type == "Conv" and _own_weights(draft, maker):
            for held in maker.input[1:]:
                draft.held[held] = np.ascontiguousarray(draft.held[held][order])
            return name
        if maker.op_type not in LAYERS:
            break
        chain.append(maker)
        above = maker.input[0]
    mixed = draft.fresh(name)
    weight = draft.hold(float_array(np.eye(len(order))[order][:, :, None, None]), "order")
    at = draft.readers(name)[0]
    draft.replace(at, [helper.make_node("Conv", [name, weight], [mixed]), at])
    return mixed


CUTS = ("core_in", "core_out")
"""Tensors whose channels have an order of their own."""


def _own_weights(draft: Draft, conv: onnx.NodeProto) -> bool:
    held = conv.input[1:]
    return attributes_of(conv).get("group", 1) == 1 and all(
        name in draft.held and len(draft.readers(name)) == 1 for name in held
    )


def _shuffle_as_transposed(draft: Draft) -> int:
    """A pixel shuffle as a transposed convolution whose weights are 0 and 1.

    One of bytes, as at the end of a bundle, is done on floats, before they become bytes.
    """
    count = 0
    for node in draft.of("DepthToSpace"):
        given = attributes_of(node)
        block, channels = int(given["blocksize"]), draft.channels(node.input[0])
        if not channels or channels % block**2:
            continue
        colours = channels // block**2
        places = np.arange(channels)
        if given.get("mode", b"DCR") == b"DCR":
            place, colour = np.divmod(places, colours)
        else:
            colour, place = np.divmod(places, block**2)
        weight = np.zeros((channels, colours, block, block), np.float32)
        weight[places, colour, place // block, place % block] = 1
        held = draft.hold(weight, "shuffle")
        cast = draft.maker(node.input[0])
        if cast is not None and cast.op_type == "Cast" and attributes_of(cast)["to"] == TensorProto.UINT8:
            if len(draft.readers(cast.output[0])) != 1:
                continue
            larger = draft.fresh(node.output[0])
            draft.replace(node, [
                helper.make_node("ConvTranspose", [cast.input[0], held], [larger], strides=[block] * 2),
                helper.make_node("Cast", [larger], node.output, to=TensorProto.UINT8),
            ])  # fmt: skip
        else:
            made = helper.make_node("ConvTranspose", [node.input[0], held], node.output, strides=[block] * 2)
            draft.replace(node, [made])
        count += 1
    return count


def _transposed_as_shuffle(draft: Draft) -> int:
    """A transposed convolution as a convolution and a pixel shuffle (Shi et al. 2016, note on deconvolution)."""
    count = 0
    for node in draft.of("ConvTranspose"):
        found = _subpixel(draft, node)
        if found is None:
            continue
        weight, pads, stride = found
        outs = weight.shape[0] // stride**2
        if weight.shape[2:] == (1, 1) and np.array_equal(weight[:, :, 0, 0], np.eye(len(weight), weight.shape[1])):
            if len(node.input) > 2:
                continue
            made = [helper.make_node("DepthToSpace", [node.input[0]], node.output, blocksize=stride, mode="DCR")]
        else:
            inputs = [node.input[0], draft.hold(weight, "subpixel")]
            if len(node.input) > 2:
                inputs.append(draft.hold(np.tile(draft.held[node.input[2]], stride**2), "subpixel"))
            fine = draft.fresh(node.output[0])
            made = [
                helper.make_node("Conv", inputs, [fine], pads=pads),
                helper.make_node("DepthToSpace", [fine], node.output, blocksize=stride, mode="DCR"),
            ]
        assert len(weight) == outs * stride**2
        draft.replace(node, made)
        count += 1
    return count


def _subpixel(draft: Draft, node: onnx.NodeProto) -> tuple[NDArray[np.float32], list[int], int] | None:
    """Weights and pads of the convolution that gives all stride² results of a pixel as channels, (row, column, channel); None
    where the result is not stride times as large, or channels are in groups.

    Result s·n + r of a side depends on input n - d by the tap k = s·d + r + p, with p the padding before.
    """
    given = attributes_of(node)
    stride = int(given.get("strides", [1, 1])[0])
    plain = (
        given.get("group", 1) == 1 and set(given.get("dilations", [1])) == {1} and given.get("auto_pad", b"NOTSET") == b"NOTSET"
        and set(given.get("strides", [1, 1])) == {stride} and "output_shape" not in given and stride > 1
    )  # fmt: skip
    if not plain or any(name not in draft.held for name in node.input[1:]):
        return None
    taps = draft.held[node.input[1]]
    pads, extra = given.get("pads", [0] * 4), given.get("output_padding", [0, 0])
    sides = []
    for axis in (0, 1):
        kernel, before = taps.shape[2 + axis], pads[axis]
        if kernel - before - pads[2 + axis] + extra[axis] != stride:
            return None
        sides.append((kernel, before, (stride - 1 + before) // stride, (kernel - 1 - before) // stride))
    (_, _, above, below), (_, _, left, right) = sides
    weight = np.zeros((stride, stride, taps.shape[1], taps.shape[0], above + below + 1, left + right + 1), np.float32)
    for row, column, dy, dx in np.ndindex(stride, stride, above + below + 1, left + right + 1):
        at = [
            stride * (last - d) + r + before
            for d, r, (_, before, _, last) in zip((dy, dx), (row, column), sides, strict=True)
        ]
        if all(0 <= k < kernel for k, (kernel, *_) in zip(at, sides, strict=True)):
            weight[row, column, :, :, dy, dx] = taps[:, :, at[0], at[1]].T
    flat = np.ascontiguousarray(weight.reshape(-1, *weight.shape[3:]))
    return flat, [below, right, above, left], stride


# -- activations


def _prelu_as_relu(draft: Draft) -> int:
    """PReLU between convolutions as ReLU of twice the channels; elsewhere as the difference of two ReLUs."""
    before = len(draft.of("PRelu", "LeakyRelu"))
    for node in draft.of("LeakyRelu"):
        channels = draft.channels(node.input[0])
        if channels:
            slope = np.full((channels, 1, 1), attributes_of(node).get("alpha", 0.01), np.float32)
            draft.replace(node, [helper.make_node("PRelu", [node.input[0], draft.hold(slope, "slope")], node.output)])
    whole = relu_only(draft.finish())
    draft.nodes[:] = list(whole.graph.node)
    draft.held.clear()
    draft.held.update({t.name: onnx.numpy_helper.to_array(t) for t in whole.graph.initializer})
    for node in draft.of("PRelu"):
        x, slope = node.input
        if slope not in draft.held:
            continue
        names = [draft.fresh(node.output[0]) for _ in range(4)]
        draft.replace(node, [
            helper.make_node("Relu", [x], [names[0]]),
            helper.make_node("Neg", [x], [names[1]]),
            helper.make_node("Relu", [names[1]], [names[2]]),
            helper.make_node("Mul", [names[2], slope], [names[3]]),
            helper.make_node("Sub", [names[0], names[3]], node.output),
        ])  # fmt: skip
    return before - len(draft.of("PRelu", "LeakyRelu"))


# -- copies of channels


def _repeat_as_concat(draft: Draft) -> int:
    """Copies of all channels behind one another as a concatenation; copies of each beside itself as a convolution of 1 × 1."""
    count = 0
    for node in draft.of("Tile"):
        repeats = draft.held.get(node.input[1])
        if repeats is None or repeats.size != 4 or set(repeats[[0, 2, 3]].tolist()) != {1}:
            continue
        copies, start = int(repeats[1]), _through_expand(draft, node.input[0])
        if 1 < copies <= MOST_COPIES:
            draft.replace(node, [helper.make_node("Concat", [start] * copies, node.output, axis=1)])
            count += 1
    for node in draft.of("Reshape"):
        found = _interleaved(draft, node)
        if found is None:
            continue
        start, channels, copies = found
        weight = np.repeat(np.eye(channels, dtype=np.float32), copies, axis=0)[:, :, None, None]
        made = helper.make_node("Conv", [start, draft.hold(weight, "copies")], node.output)
        draft.replace(node, [made])
        count += 1
    return count


def _through_expand(draft: Draft, name: str) -> str:
    """What an Expand by ones is of."""
    maker = draft.maker(name)
    if maker is not None and maker.op_type == "Expand":
        sides = draft.held.get(maker.input[1])
        if sides is not None and set(sides.tolist()) == {1}:
            return str(maker.input[0])
    return name


def _interleaved(draft: Draft, node: onnx.NodeProto) -> tuple[str, int, int] | None:
    """Where `node` ends Unsqueeze, Expand, Reshape of each channel beside itself: of what tensor, its channels, copies."""
    expand = draft.maker(node.input[0])
    if expand is None or expand.op_type not in ("Expand", "Tile"):
        return None
    sides, unsqueeze = draft.held.get(expand.input[1]), draft.maker(expand.input[0])
    if sides is None or sides.size != 5 or set(sides[[0, 1, 3, 4]].tolist()) != {1} or unsqueeze is None:
        return None
    axes = draft.held.get(unsqueeze.input[1]) if unsqueeze.op_type == "Unsqueeze" else None
    channels = draft.channels(unsqueeze.input[0])
    if (
        axes is None
        or axes.tolist() != [2]
        or not channels
        or draft.channels(node.output[0]) not in (0, channels * sides[2])
    ):
        return None
    return str(unsqueeze.input[0]), channels, int(sides[2])


# -- resizes


def _resize_as_conv(draft: Draft) -> int:
    """A resize by a whole factor as a convolution with fixed weights and a pixel shuffle; edges are repeated before it."""
    count = 0
    for node in draft.of("Resize"):
        channels = draft.channels(node.input[0])
        lines = _resize_lines(draft, node)
        if lines is None or not channels:
            continue
        weights, reach = lines
        factor, name = len(weights), node.output[0]
        start, made = node.input[0], []
        if any(reach):
            around = draft.hold(np.array([0, 0, reach[0], reach[0], 0, 0, reach[1], reach[1]], np.int64), "around")
            start = draft.fresh(name)
            made.append(helper.make_node("Pad", [node.input[0], around], [start], mode="edge"))
        planes = np.einsum("ia,jb->ijab", weights, weights).reshape(factor**2, *[weights.shape[1]] * 2)
        fine = draft.fresh(name)
        if channels <= DENSE:
            dense = np.einsum("pab,oc->pocab", planes, np.eye(channels)).reshape(-1, channels, *planes.shape[1:])
            made.append(helper.make_node("Conv", [start, draft.hold(float_array(dense), "resize")], [fine]))
        else:
            parts = [draft.fresh(name) for _ in planes]
            for part, plane in zip(parts, planes, strict=True):
                each = draft.hold(float_array(np.broadcast_to(plane, (channels, 1, *plane.shape))), "resize")
                made.append(helper.make_node("Conv", [start, each], [part], group=channels))
            made.append(helper.make_node("Concat", parts, [fine], axis=1))
        made.append(helper.make_node("DepthToSpace", [fine], node.output, blocksize=factor, mode="DCR"))
        draft.replace(node, made)
        count += 1
    return count


def _resize_lines(draft: Draft, node: onnx.NodeProto) -> tuple[NDArray[np.float64], tuple[int, int]] | None:
    """Weights along a side, places in the larger pixel × taps, and how many pixels they reach before and behind; None where
    the resize is not by a whole factor, or not the same at each pixel."""
    given = attributes_of(node)
    scales = draft.held.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if scales is None or scales.size != 4 or scales[:2].tolist() != [1, 1] or scales[2] != scales[3]:
        return None
    factor = float(scales[2])
    place = given.get("coordinate_transformation_mode", b"half_pixel")
    if factor != int(factor) or factor < 2 or place not in (b"half_pixel", b"asymmetric", b"pytorch_half_pixel"):
        return None
    if given.get("antialias", 0) or given.get("exclude_outside", 0):
        return None
    count = int(factor)
    at = (np.arange(count) + 0.5) / count - 0.5 if place != b"asymmetric" else np.arange(count) / count
    kernel = _KERNELS.get(given.get("mode", b"nearest"))
    if kernel is None:
        return None
    weights: dict[tuple[int, int], float] = {}
    for i, x in enumerate(at.tolist()):
        for tap, weight in kernel(x, given):
            if weight:
                weights[i, tap] = weights.get((i, tap), 0.0) + weight
    first, last = min(0, *(tap for _, tap in weights)), max(0, *(tap for _, tap in weights))
    lines = np.zeros((count, last - first + 1))
    for (i, tap), weight in weights.items():
        lines[i, tap - first] = weight
    return lines, (-first, last)


def _pad_as_concat(draft: Draft) -> int:
    """Padding by the edge as what it is: its first and last rows, and then columns, joined to it as often as is said."""
    count = 0
    for node in draft.of("Pad"):
        pads = draft.held.get(node.input[1])
        edge = attributes_of(node).get("mode", b"constant") == b"edge" and len(node.input) < 4
        if not edge or pads is None or pads.size != 8 or pads[[0, 1, 4, 5]].any():
            continue
        if pads.min() < 0 or pads.max() > MOST_COPIES:
            continue
        last, made = node.input[0], []
        for axis in (2, 3):
            parts = [last]
            for side, (start, end) in ((0, (0, 1)), (4, (-1, np.iinfo(np.int64).max))):
                if copies := int(pads[axis + side]):
                    line = draft.fresh(node.output[0])
                    limits = [draft.hold(np.array([value], np.int64), "line") for value in (start, end, axis)]
                    made.append(helper.make_node("Slice", [last, *limits], [line]))
                    parts = [*[line] * copies, *parts] if side == 0 else [*parts, *[line] * copies]
            if len(parts) > 1:
                last = draft.fresh(node.output[0])
                made.append(helper.make_node("Concat", parts, [last], axis=axis))
        if made:
            made[-1].output[0] = node.output[0]
            draft.replace(node, made)
            count += 1
    return count


Taps = list[tuple[int, float]]


def _nearest(x: float, given: dict[str, Any]) -> Taps:
    said = given.get("nearest_mode", b"round_prefer_floor")
    ways: dict[bytes, Callable[[float], int]] = {
        b"floor": math.floor, b"ceil": math.ceil, b"round_prefer_floor": lambda v: math.ceil(v - 0.5),
        b"round_prefer_ceil": lambda v: math.floor(v + 0.5),
    }  # fmt: skip
    return [(ways[said](x), 1.0)]


def _linear(x: float, given: dict[str, Any]) -> Taps:
    low = math.floor(x)
    return [(low, 1 - (x - low)), (low + 1, x - low)]


def _cubic(x: float, given: dict[str, Any]) -> Taps:
    """Keys' kernel with the coefficient that the graph states."""
    a, low = float(given.get("cubic_coeff_a", -0.75)), math.floor(x)

    def weight(d: float) -> float:
        if d <= 1:
            return ((a + 2) * d - (a + 3)) * d * d + 1
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a if d < 2 else 0.0

    return [(low + k, weight(abs(x - low - k))) for k in (-1, 0, 1, 2)]


_KERNELS: dict[bytes, Callable[[float, dict[str, Any]], Taps]] = {
    b"nearest": _nearest,
    b"linear": _linear,
    b"cubic": _cubic,
}

BOTH = ("onnx", "tflite")
EXACT = (
    Rewrite("repeat-as-concat", ("Tile", "Expand", "Unsqueeze", "Reshape"), ("Concat", "Conv"), BOTH,
            "copies of channels as a concatenation, or as a fixed convolution of 1 × 1", _repeat_as_concat),
    Rewrite("resize-as-conv", ("Resize",), ("Pad edge", "Conv", "Concat", "DepthToSpace"), BOTH,
            "a resize by a whole factor as a fixed convolution and a pixel shuffle", _resize_as_conv),
    Rewrite("transposed-as-shuffle", ("ConvTranspose",), ("Conv", "DepthToSpace"), BOTH,
            "a transposed convolution as a convolution and a pixel shuffle", _transposed_as_shuffle),
    Rewrite("crd-to-dcr", ("DepthToSpace CRD",), ("DepthToSpace", "Conv"), BOTH,
            "a pixel shuffle in the order CRD as one in DCR, by the order of the channels before it", _to_dcr),
    Rewrite("prelu-as-relu", ("PRelu", "LeakyRelu"), ("Relu", "Neg", "Mul", "Sub"), BOTH,
            "PReLU as ReLU of twice the channels, or as the difference of two ReLUs", _prelu_as_relu),
    Rewrite("pad-as-concat", ("Pad edge",), ("Slice", "Concat"), ("onnx",),
            "padding by the edge as a concatenation of its first and last rows and columns", _pad_as_concat),
    Rewrite("shuffle-as-transposed", ("DepthToSpace", "DepthToSpace CRD"), ("ConvTranspose",), BOTH,
            "a pixel shuffle as a transposed convolution of zeros and ones", _shuffle_as_transposed),
)  # fmt: skip
"""In the order in which they are applied."""
