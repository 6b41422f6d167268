"""LiteRT (TensorFlow Lite) files, for phones and small boards; translated from the bundle's core, operator by operator.

The whole file is NHWC, so nothing is transposed; the pixel shuffle is one DEPTH_TO_SPACE, whose order of channels is that
of a bundle. A file names one size of window, but no operator depends on it: runtimes may resize its input. Only where the
bundle was rewritten so that its pixel shuffle is a transposed convolution, that is one here, too, and fixes the size.

precision   takes                            gives                       clipped by
float       float32, 0 … 255                 float32, 0 … 255            RELU and MINIMUM
fp16        the same; weights are float16    the same                    RELU and MINIMUM
int8        int8, the sample less 128        int8, the sample less 128   saturation
int16x8     int16, 128 times the sample      int8, the sample less 128   saturation
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgelift.core.errors import BundleError, EngineMissingError, RequestError
from edgelift.core.grids import LEAST
from edgelift.core.spec import ModelSpec
from edgelift.shrink.relu_only import relu_only
from edgelift.targets.base import Files, Source
from edgelift.targets.tflite import Builder, Steps

__all__ = ["LiteRTTarget"]

JOINED = 4
"""Tensors that one CONCATENATION joins: XNNPACK takes no more, and longer ones are nested."""
SHIFT = {"int8": 128, "int16": 0}
"""Of zero points: a bundle's activations of 8 bits are uint8, a .tflite's int8."""


class LiteRTTarget:
    """See the module's text."""

    name: ClassVar[str] = "litert"
    suffix: ClassVar[str] = ".tflite"
    static: ClassVar[bool] = False
    precisions: ClassVar[tuple[str, ...]] = ("float", "fp16", "int8", "int16x8")
    about: ClassVar[str] = "LiteRT (TensorFlow Lite, .tflite), for phones and small boards"

    @classmethod
    def missing(cls) -> str:
        """See `Target.missing`."""
        if importlib.util.find_spec("ai_edge_litert") is None:
            return "LiteRT is not installed; pip install 'edgelift[litert]'"
        try:
            import_module("ai_edge_litert.schema_py_generated")  # brings flatbuffers
        except ImportError as exc:
            return f"LiteRT is installed in part ({exc}); pip install --force-reinstall 'edgelift[litert]'"
        return ""

    @classmethod
    def problems(cls, source: Source) -> list[str]:
        """See `Target.problems`."""
        if source.spec.grid != 1:
            return [
                "its core enlarges inside; only networks that give blocks of input pixels have a form in LiteRT here"
            ]
        found, constants = [], _constants(source.core)
        for node in source.core.graph.node:
            problem = _problem(node) or _misplaced(node, constants)
            if problem and problem not in found:
                found.append(problem)
        return found

    @classmethod
    def compile(cls, source: Source) -> Files:
        """See `Target.compile`. Raises `RequestError` where `problems` has something to say."""
        if found := cls.problems(source):
            raise RequestError(f"litert cannot take {source.spec.name}: {'; '.join(found)}")
        return {cls.suffix: _Translation(source).file()}

    @classmethod
    def operators(cls, source: Source, precision: str | None = None) -> list[str]:
        """The kinds of operators of its file, without those that widen weights; of a float source as they would be in that
        precision. Raises as `compile`, and `EngineMissingError`."""
        if missing := cls.missing():
            raise EngineMissingError(missing)
        if found := cls.problems(source):
            raise RequestError(f"litert cannot take {source.spec.name}: {'; '.join(found)}")
        whole = source.spec.bits == "float" and precision in ("int8", "int16x8")
        made = _Translation(replace(source, core=relu_only(source.core)) if whole else source)
        made.file()
        kinds = [kind for kind in made.kinds if kind != "DEQUANTIZE"]
        if whole:
            for clip in ("RELU", "MINIMUM"):  # a grid clips by itself
                del kinds[len(kinds) - 1 - kinds[::-1].index(clip)]
            kinds += ["QUANTIZE"] * (precision == "int16x8")
        return kinds


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _problem(node: onnx.NodeProto) -> str:
    """Why this node has no form in LiteRT; empty where it has one."""
    given = _attributes(node)
    if node.op_type not in _OPERATORS:
        return f"the operator {node.op_type!r} has no form here; there are {', '.join(sorted(_OPERATORS))}"
    if node.op_type == "Conv":
        if given.get("group", 1) != 1:
            return f"{node.name or node.output[0]}: a convolution in groups has no form here"
        if set(given.get("dilations", [1])) != {1} or set(given.get("strides", [1])) != {1}:
            return f"{node.name or node.output[0]}: a convolution with strides or dilations has no form here"
    if node.op_type == "Pad" and given.get("mode", b"constant") not in (b"constant", b"edge"):
        return f"padding by {given['mode'].decode()} has no form here; there are constant and edge"
    if node.op_type == "Concat" and given["axis"] != 1:
        return f"joining along axis {given['axis']} has no form here; only channels (1) are joined"
    if node.op_type == "DepthToSpace" and given.get("mode", b"DCR") != b"DCR":
        return "a pixel shuffle in the order CRD has no form here; there is DCR"
    return ""


def _constants(core: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    """Name -> values of what `core` holds, whose precision a Cast may change."""
    found = {t.name: numpy_helper.to_array(t) for t in core.graph.initializer}
    casts = [node for node in core.graph.node if node.op_type == "Cast"]
    return found | {node.output[0]: found[node.input[0]] for node in casts if node.input[0] in found}


def _misplaced(node: onnx.NodeProto, constants: Mapping[str, NDArray[Any]]) -> str:
    """Why the constants that this node takes in place of a picture have no form in LiteRT; empty where they have one."""
    if node.op_type in ("Cast", "QuantizeLinear", "DequantizeLinear"):
        return ""
    pictures = list(node.input) if node.op_type in ("Add", "Concat") else [node.input[0]]
    held = [constants[name] for name in pictures if name in constants]
    if node.op_type == "Add" and len(held) < 2 and all(map(_is_by_channel, held)):
        return ""
    what = " that is not one number for each channel" if node.op_type == "Add" else ""
    return f"{node.name or node.output[0]}: {node.op_type} of a constant{what} has no form here" if held else ""


def _is_by_channel(values: NDArray[Any]) -> bool:
    return values.size == 1 or (values.ndim in (3, 4) and values.shape[-3] == values.size)


@dataclass(frozen=True)
class _Value:
    """A tensor of the file."""

    number: int
    shape: tuple[int, int, int]
    """Height, width, channels."""
    steps: Steps | None = None


class _Translation:
    """One core on its way into one file."""

    def __init__(self, source: Source) -> None:
        self._source, self._builder = source, Builder()
        self._dtype = {"int8": "int8", "int16x8": "int16"}.get(source.spec.bits, "float32")
        self._constants = {t.name: numpy_helper.to_array(t) for t in source.core.graph.initializer}
        self._weights: dict[str, tuple[NDArray[Any], NDArray[np.float32]]] = {}
        self._steps: dict[str, Steps] = _inner(source.spec)
        self._same: dict[str, str] = {}
        self._joined: dict[tuple[int, ...], _Value] = {}
        self._values: dict[str, _Value] = {}
        self._nodes = [node for node in source.core.graph.node if not self._is_precision(node)]
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self._nodes:
            for name in node.input:
                self._readers.setdefault(self._root(name), []).append(node)

    @property
    def kinds(self) -> list[str]:
        """Of the operators so far."""
        return self._builder.kinds

    def _is_precision(self, node: onnx.NodeProto) -> bool:
        """Whether this node says how numbers are kept, and nothing else; what it says is noted."""
        first, name = node.input[0], node.output[0]
        if node.op_type == "Cast":
            self._constants[name] = self._constants[first]
        elif node.op_type == "QuantizeLinear":
            scale, zero = (self._constants[given] for given in node.input[1:3])
            self._steps[first] = Steps(scale.reshape(1), int(zero) - SHIFT[self._dtype])
            self._same[name] = first
        elif node.op_type == "DequantizeLinear":
            if first in self._constants:
                self._weights[name] = self._constants[first], self._constants[node.input[1]]
            else:
                self._same[name] = first
        else:
            return False
        return True

    def _root(self, name: str) -> str:
        while name in self._same:
            name = self._same[name]
        return name

    def _value(self, name: str) -> _Value:
        return self._values[self._root(name)]

    def file(self) -> bytes:
        """The whole file."""
        spec, (height, width) = self._source.spec, self._source.size
        image = self._new("core_in", (height, width, 3), "image")
        done: set[str] = set()
        for node in self._nodes:
            if node.output[0] not in done:
                done.update(_OPERATORS[node.op_type](self, node))
        last = self._picture(self._clipped(self._value("core_out")))
        return self._builder.finish(image.number, last.number, spec.metadata())

    def _new(
        self, name: str, shape: tuple[int, int, int], title: str | None = None, steps: Steps | None = None
    ) -> _Value:
        """A tensor for the ONNX tensor `name`; of whole numbers with the grid that it has there."""
        steps = steps or self._steps.get(name)
        if steps is None and self._dtype != "float32":
            raise RequestError(
                f"{self._source.spec.name}: the tensor {name!r} has no grid; quantise the float parent with edgelift quantize"
            )
        label = title or name.removesuffix("/exact")
        value = _Value(self._builder.tensor(label, (1, *shape), self._dtype, steps), shape, steps)
        self._values[name] = value
        return value

    def _clipped(self, value: _Value) -> _Value:
        """`value` within 0 … 255; whole numbers are by their grid."""
        if self._dtype != "float32":
            return value
        above = self._new("above_black", value.shape)
        self._builder.operator("RELU", [value.number], above.number, self._dtype)
        white = self._builder.constant("white", np.array([255.0], np.float32))
        inside = self._new("below_white", value.shape)
        self._builder.operator("MINIMUM", [above.number, white], inside.number, self._dtype)
        return inside

    def _picture(self, blocks: _Value) -> _Value:
        """The pixel shuffle. LiteRT has none of 16 bits, and a picture needs 8: whole numbers leave as int8."""
        b, dtype = self._source.spec.shuffle, self._dtype
        if dtype == "int16":
            dtype, steps = "int8", Steps(np.ones(1, np.float32), -128)
            number = self._builder.tensor("pixels", (1, *blocks.shape), dtype, steps)
            self._builder.operator("QUANTIZE", [blocks.number], number, "int16")
            blocks = _Value(number, blocks.shape, steps)
        if b == 1:
            return blocks
        shape = (blocks.shape[0] * b, blocks.shape[1] * b, 3)
        number = self._builder.tensor("larger", (1, *shape), dtype, blocks.steps)
        if any(node.op_type == "ConvTranspose" for node in self._source.whole.graph.node):
            self._transposed(blocks, shape, number, dtype)
        else:
            self._builder.operator("DEPTH_TO_SPACE", [blocks.number], number, dtype, blockSize=b)
        return _Value(number, shape, blocks.steps)

    # -- operators: each makes what a node gives and returns the names of the nodes' results that it made
    def _transposed(self, blocks: _Value, shape: tuple[int, int, int], number: int, dtype: str) -> None:
        """The pixel shuffle as a transposed convolution of zeros and ones; it names the size of its result."""
        b = self._source.spec.shuffle
        weight = np.zeros((3, b, b, 3 * b * b), np.float32 if dtype == "float32" else np.int8)
        for channel in range(3 * b * b):
            place, colour = divmod(channel, 3)
            weight[colour, place // b, place % b, channel] = 1
        sides = self._builder.constant("larger/sides", np.array([1, *shape], np.int32))
        steps = None if dtype == "float32" else Steps(np.ones(3, np.float32))
        held = self._builder.constant("larger/shuffle", weight, steps)
        self._builder.operator(
            "TRANSPOSE_CONV", [sides, held, blocks.number], number, dtype, padding=1, strideH=b, strideW=b
        )

    def conv(self, node: onnx.NodeProto) -> list[str]:
        """A convolution, with the ReLU behind it."""
        given, entering = _attributes(node), self._value(node.input[0])
        weight, weight_steps = self._weight(node.input[1])
        kernel = weight.shape[2:]
        padding, entering = self._padded(entering, kernel, given.get("pads", [0, 0, 0, 0]), node.output[0])
        height, width = entering.shape[:2]
        if padding == "VALID":
            height, width = height - kernel[0] + 1, width - kernel[1] + 1
        readers = self._readers.get(node.output[0], [])
        relu = readers[0] if len(readers) == 1 and readers[0].op_type == "Relu" else None
        name = relu.output[0] if relu is not None else node.output[0]
        filters = self._held(node.input[1], np.ascontiguousarray(weight.transpose(0, 2, 3, 1)), weight_steps)
        inputs = [entering.number, filters, self._bias(node, len(weight), entering, weight_steps)]
        out = self._new(name, (height, width, len(weight)))
        self._builder.operator(
            "CONV_2D", inputs, out.number, self._dtype,
            padding=int(padding == "VALID"), strideH=1, strideW=1, fusedActivationFunction=int(relu is not None),
        )  # fmt: skip
        return [node.output[0], name]

    def _weight(self, name: str) -> tuple[NDArray[Any], Steps | None]:
        if name in self._weights:
            values, scale = self._weights[name]
            return values, Steps(scale)
        return self._constants[name], None

    def _held(self, name: str, values: NDArray[Any], steps: Steps | None) -> int:
        """A constant as the operators read it: weights of 16 bits are widened by the runtime when it opens the file."""
        number = self._builder.constant(name.removesuffix("/on-grid"), values, steps)
        if values.dtype != np.float16:
            return number
        wide = self._builder.tensor(f"{name}/float", values.shape, "float32")
        self._builder.operator("DEQUANTIZE", [number], wide, "float16")
        return wide

    def _bias(self, node: onnx.NodeProto, channels: int, entering: _Value, weight: Steps | None) -> int:
        name = node.input[2] if len(node.input) > 2 else ""
        if weight is None or entering.steps is None:
            zeros = np.zeros(channels, np.float32)
            return self._held(name or f"{node.output[0]}/bias", self._constants[name] if name else zeros, None)
        dtype = np.int64 if self._dtype == "int16" else np.int32
        whole = self._weights[name][0] if name else np.zeros(channels, np.int32)
        steps = Steps((weight.scale * entering.steps.scale).astype(np.float32))
        return self._builder.constant(
            (name or f"{node.output[0]}/bias").removesuffix("/on-grid"), whole.astype(dtype), steps
        )

    def _padded(self, value: _Value, kernel: Sequence[int], pads: Sequence[int], name: str) -> tuple[str, _Value]:
        """The way of padding for that kernel, and the tensor to convolve: SAME where zeros all around keep the size."""
        top, left, bottom, right = pads
        if (top + bottom, left + right) == (kernel[0] - 1, kernel[1] - 1) and (top, left) == (bottom, right):
            return ("SAME" if any(pads) else "VALID"), value
        if not any(pads):
            return "VALID", value
        return "VALID", self._pad_by(value, "PAD", (top, left, bottom, right), f"{name}/padded")

    def _pad_by(self, value: _Value, kind: str, pads: tuple[int, int, int, int], name: str) -> _Value:
        top, left, bottom, right = pads
        amounts = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        shape = (value.shape[0] + top + bottom, value.shape[1] + left + right, value.shape[2])
        out = self._new(name, shape, steps=value.steps)
        options = {"mode": 1} if kind == "MIRROR_PAD" else {}  # 1 is SYMMETRIC, which repeats the edge itself
        self._builder.operator(
            kind, [value.number, self._builder.constant(f"{name}/amounts", amounts)], out.number, self._dtype, **options
        )
        return out

    def pad(self, node: onnx.NodeProto) -> list[str]:
        """Padding by zeros; by repeating the edge as many mirrored pads of one pixel as are asked for."""
        value, pads = self._value(node.input[0]), self._constants[node.input[1]].tolist()
        top, left, bottom, right = pads[2], pads[3], pads[6], pads[7]
        if _attributes(node).get("mode", b"constant") == b"constant":
            value = self._pad_by(value, "PAD", (top, left, bottom, right), node.output[0])
        else:
            for step in range(max(top, left, bottom, right)):
                one = tuple(int(step < side) for side in (top, left, bottom, right))
                value = self._pad_by(value, "MIRROR_PAD", one, f"{node.output[0]}/{step}")  # type: ignore[arg-type]  # four
        self._values[node.output[0]] = value
        return [node.output[0]]

    def relu(self, node: onnx.NodeProto) -> list[str]:
        """A ReLU that is not part of a convolution."""
        return self._alike(node, "RELU")

    def prelu(self, node: onnx.NodeProto) -> list[str]:
        """A leaky ReLU with a slope for each channel."""
        slopes = self._constants[node.input[1]]
        slopes = np.ascontiguousarray(slopes.reshape(1, 1, -1))
        if self._dtype != "float32":
            scale = np.array([max(float(np.abs(slopes).max()), 1e-8) / 127], np.float32)
            whole = np.clip(np.rint(slopes / scale[0]), -127, 127).astype(np.int8)
            held = self._builder.constant(node.input[1], whole, Steps(scale))
        else:
            held = self._held(node.input[1], slopes, None)
        return self._alike(node, "PRELU", held)

    def leaky_relu(self, node: onnx.NodeProto) -> list[str]:
        """A leaky ReLU with one slope."""
        return self._alike(node, "LEAKY_RELU", alpha=float(_attributes(node).get("alpha", 0.01)))

    def _alike(self, node: onnx.NodeProto, kind: str, *more: int, **options: Any) -> list[str]:
        entering = self._value(node.input[0])
        out = self._new(node.output[0], entering.shape)
        self._builder.operator(kind, [entering.number, *more], out.number, self._dtype, **options)
        return [node.output[0]]

    def add(self, node: onnx.NodeProto) -> list[str]:
        """A sum of two tensors, or of one and a number for each channel."""
        shape = next(self._value(name).shape for name in node.input if name not in self._constants)
        parts = [self._summand(name) if name in self._constants else self._value(name).number for name in node.input]
        out = self._new(node.output[0], shape)
        self._builder.operator("ADD", parts, out.number, self._dtype, potScaleInt16=False, fusedActivationFunction=0)
        return [node.output[0]]

    def _summand(self, name: str) -> int:
        """A constant that is added, one number for each channel; whole numbers on a grid of their own."""
        values = np.ascontiguousarray(self._constants[name].reshape(1, 1, 1, -1))
        if self._dtype == "float32":
            return self._held(name, values, None)
        dtype = np.dtype(self._dtype)
        peak = np.iinfo(dtype).max
        scale = np.array([max(float(np.abs(values).max()), LEAST) / peak], np.float32)
        return self._builder.constant(name, np.rint(values / scale[0]).astype(dtype), Steps(scale))

    def concat(self, node: onnx.NodeProto) -> list[str]:
        """Channels behind one another, at most `JOINED` tensors at once; equal parts are made once."""
        name, parts = node.output[0], [self._value(given) for given in node.input]
        level = 0
        while len(parts) > 1:
            size = len(parts) if len(parts) <= JOINED else min(JOINED, -(-len(parts) // JOINED))
            groups = [parts[k : k + size] for k in range(0, len(parts), size)]
            level += 1
            parts = [self._join(group, f"{name}/{level}" if len(groups) > 1 else name) for group in groups]
        self._values[name] = replace(parts[0], steps=self._steps.get(name, parts[0].steps))
        return [name]

    def _join(self, parts: Sequence[_Value], name: str) -> _Value:
        key = tuple(part.number for part in parts)
        if len(parts) == 1:
            return parts[0]
        if len({None if p.steps is None else (float(p.steps.scale[0]), p.steps.zero) for p in parts}) > 1:
            raise RequestError(
                f"{self._source.spec.name}: {name!r} joins tensors of several grids, which LiteRT cannot"
            )
        if key not in self._joined:
            height, width, _ = parts[0].shape
            out = self._new(name, (height, width, sum(part.shape[2] for part in parts)), steps=parts[0].steps)
            self._builder.operator("CONCATENATION", key, out.number, self._dtype, axis=3, fusedActivationFunction=0)
            self._joined[key] = out
        return self._joined[key]

    def depth_to_space(self, node: onnx.NodeProto) -> list[str]:
        """A pixel shuffle inside the network."""
        entering, side = self._value(node.input[0]), int(_attributes(node)["blocksize"])
        height, width, channels = entering.shape
        out = self._new(node.output[0], (height * side, width * side, channels // side**2), steps=entering.steps)
        self._builder.operator("DEPTH_TO_SPACE", [entering.number], out.number, self._dtype, blockSize=side)
        return [node.output[0]]

    def passed_over(self, node: onnx.NodeProto) -> list[str]:
        """Nodes that say how numbers are kept never get here."""
        raise AssertionError(node.op_type)


_OPERATORS: dict[str, Any] = {
    "Add": _Translation.add, "Cast": _Translation.passed_over, "Concat": _Translation.concat, "Conv": _Translation.conv,
    "DepthToSpace": _Translation.depth_to_space, "DequantizeLinear": _Translation.passed_over,
    "LeakyRelu": _Translation.leaky_relu, "PRelu": _Translation.prelu, "Pad": _Translation.pad,
    "QuantizeLinear": _Translation.passed_over, "Relu": _Translation.relu,
}  # fmt: skip


def _inner(spec: ModelSpec) -> dict[str, Steps]:
    """Grids of tensors that have none in the graph (see `shrink.calibrate.Calibrated.inner`), from the facts."""
    if spec.bits not in ("int8", "int16x8"):
        return {}
    shift = SHIFT["int8" if spec.bits == "int8" else "int16"]
    try:
        stated = dict(spec.training["quantised"].get("inner", {})).items()
        return {str(name): Steps(np.array([scale], np.float32), int(zero) - shift) for name, (scale, zero) in stated}
    except (TypeError, ValueError) as exc:
        raise BundleError(f"{spec.name}: expected name -> [scale, zero point] in the fact 'quantised.inner'") from exc
