"""What the graph of a `.tflite` that another tool made tells of it: scale, halo, multiple of sides, precision, multiply-adds.

The halo is followed through the operators: each position of a tensor depends on a range of input pixels, which a
convolution widens and a pixel shuffle leaves alone, also one that is spelt as reshapes and transposes. Where an operator's
reach is not known the network is taken to see the whole picture. What white is for a float file stands nowhere in it (see
`runtime.ends`).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import BundleError
from edgelift.core.spec import MAX_HALO, MAX_MULTIPLE, MAX_SCALE, ModelSpec
from edgelift.io.tflite import Graph, Operator, Tensor, read_graph

__all__ = ["Ends", "ends_of", "foreign_spec", "sides_of"]

SAMPLES = ("float32", "uint8", "int8", "int16")
"""Types of pictures that are taken."""
UNKNOWN_LICENCE = "LicenseRef-Unknown"
MAX_PLACES = 1 << 26
"""Of a tensor that is followed through reshapes."""
MAX_FOLLOWED = 1 << 28
"""Places of all such tensors together, which are all held."""
MAX_RATE = 256
"""Positions in one input pixel along a side that are followed."""
SAME = 0
"""The code of padding that keeps the size."""
ALIKE = {
    "ADD", "MUL", "SUB", "DIV", "MAXIMUM", "MINIMUM", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "PRELU", "LEAKY_RELU",
    "LOGISTIC", "TANH", "QUANTIZE", "DEQUANTIZE", "CAST", "NEG", "ABS", "SQUARE", "SQRT", "RSQRT", "EXP", "ELU", "HARD_SWISH",
    "GELU", "SQUARED_DIFFERENCE", "ROUND", "CEIL", "FLOOR", "POW",
}  # fmt: skip
"""Operators of which a position depends on that position of what goes in."""


@dataclass(frozen=True)
class Ends:
    """The picture that goes in, the one that comes out, and whether their colours stand before the rows."""

    given: Tensor
    made: Tensor
    given_planes: bool
    made_planes: bool


def ends_of(graph: Graph) -> Ends:
    """The ends of a network on pictures. Raises `BundleError` for any other."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise BundleError(
            f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs; files that take one picture and give one are run"
        )
    given, made = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    return Ends(given, made, _planes(given, "input"), _planes(made, "output"))


def _planes(tensor: Tensor, what: str) -> bool:
    sizes = _sizes(tensor)
    if tensor.type not in SAMPLES:
        raise BundleError(f"its {what} is {tensor.type}; pictures of {', '.join(SAMPLES)} are run")
    if len(sizes) != 4 or 3 not in (sizes[1], sizes[3]):
        shown = " × ".join(map(str, sizes)) or "of no stated shape"
        raise BundleError(
            f"its {what} is {shown}; pictures in RGB are run, 1 × height × width × 3 or 1 × 3 × height × width"
        )
    if len(tensor.scale) > 1:
        raise BundleError(f"its {what} has a grid for each channel; pictures have one grid")
    return sizes[3] != 3


def _sizes(tensor: Tensor) -> tuple[int, ...]:
    """Sides, -1 where they are free."""
    return tensor.signature if len(tensor.signature) == len(tensor.shape) else tensor.shape


def sides_of(tensor: Tensor, planes: bool) -> tuple[int, int]:
    """Height and width as the file states them."""
    return (tensor.shape[2], tensor.shape[3]) if planes else (tensor.shape[1], tensor.shape[2])


def foreign_spec(data: bytes, name: str) -> ModelSpec:
    """The facts of the `.tflite` file `data`, as far as it tells them. Raises `BundleError` for one that is not run here."""
    graph = read_graph(data)
    ends = ends_of(graph)
    try:
        walk = _Walk(graph, ends)
    except struct.error as exc:
        raise BundleError("a damaged .tflite file") from exc
    scale = _scale(ends, walk)
    return ModelSpec(
        name=(name if name.isprintable() else "foreign")[:100] or "foreign", architecture="foreign", config={}, scale=scale,
        shuffle=scale, halo=walk.halo, multiple_of=walk.multiple_of, padding="zeros", colour="rgb",
        parameters=_parameters(graph), macs=walk.macs, licence=UNKNOWN_LICENCE,
        training={"imported": {"form": "LiteRT"}, **_bits(graph)},
        task="super-resolution" if scale > 1 else "restoration",
    )  # fmt: skip


def _scale(ends: Ends, walk: _Walk) -> int:
    (height, width), (tall, wide) = sides_of(ends.given, ends.given_planes), sides_of(ends.made, ends.made_planes)
    scale = Fraction(tall, height) if height else Fraction(0)
    if -1 in _sizes(ends.made) and walk.rate is not None:  # free sizes are stated as 1, and the result may not be
        scale = walk.rate
    elif tall * width != wide * height:
        scale = Fraction(0)
    if scale.denominator != 1 or not 1 <= scale <= MAX_SCALE:
        raise BundleError(
            f"a picture of {width}×{height} becomes {wide}×{tall}; files that enlarge 1 to {MAX_SCALE} times, a whole number "
            "and alike in both directions, are run"
        )
    return int(scale)


def _parameters(graph: Graph) -> int:
    read = {number for op in graph.operators if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "PRELU",
            "FULLY_CONNECTED", "DEQUANTIZE") for number in op.inputs if number >= 0}  # fmt: skip
    return sum(math.prod(graph.tensors[n].shape) for n in read if graph.tensors[n].held)


def _bits(graph: Graph) -> dict[str, dict[str, str]]:
    """In what the convolutions work."""
    kinds = {graph.tensors[op.inputs[0]].type for op in graph.operators if "CONV" in op.kind and op.inputs}
    if kinds & {"int8", "uint8"}:
        return {"quantised": {"bits": "int8"}}
    return {"quantised": {"bits": "int16x8"}} if "int16" in kinds else {}


@dataclass(frozen=True)
class _Reach:
    """Of a tensor: positions in one input pixel along a side, and how far the first of them looks before the pixel (`low`, 0
    or less) and the last behind it (`high`), in input pixels."""

    rate: Fraction
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)

    def moved(self, low: int | Fraction, high: int | Fraction) -> _Reach:
        """Further by so many of its positions."""
        return _Reach(self.rate, self.low + Fraction(low) / self.rate, self.high + Fraction(high) / self.rate)

    def times(self, factor: Fraction) -> _Reach:
        """On a finer or coarser grid."""
        return _Reach(self.rate * factor, self.low, self.high)

    def joined(self, other: _Reach) -> _Reach:
        """Of what depends on both. Raises `_UnknownError` where their grids differ."""
        if self.rate != other.rate:
            raise _UnknownError
        return _Reach(self.rate, min(self.low, other.low), max(self.high, other.high))


class _UnknownError(Exception):
    """The reach of an operator cannot be told."""


@dataclass(frozen=True)
class _Turned:
    """A tensor that is another's values in another order: for each of its places the number of the pixel that it is from."""

    reach: _Reach
    sides: tuple[int, int]
    """Height and width of the tensor that it is of."""
    pixels: NDArray[Any]

    def settled(self) -> _Reach:
        """Its reach where it is a picture again, of the same pixels or of blocks of them. Raises `_UnknownError`."""
        if self.pixels.ndim != 4 or len(self.pixels) != 1:
            raise _UnknownError
        factors = []
        for axis, here, there in zip((1, 2), self.pixels.shape[1:3], self.sides, strict=True):
            places = self.pixels // self.sides[1] if axis == 1 else self.pixels % self.sides[1]
            wanted = np.arange(here, dtype=np.int64).reshape((-1, 1, 1) if axis == 1 else (-1, 1))
            same = places == wanted * there // here if here >= there else places * here // there == wanted
            if max(here, there) % min(here, there) or not same.all():
                raise _UnknownError
            factors.append(Fraction(here, there))
        if factors[0] != factors[1]:
            raise _UnknownError
        return self.reach.times(factors[0])


class _Walk:
    """The reach of the result; `halo` None where it cannot be told."""

    def __init__(self, graph: Graph, ends: Ends) -> None:
        self._graph = graph
        self._reach: dict[int, _Reach] = {}
        self._turned: dict[int, _Turned] = {}
        self.macs, self.multiple_of, self._followed = 0, 1, 0
        self.rate: Fraction | None = None
        self.halo: int | None = None
        first = _Reach(Fraction(1))
        try:
            if ends.given_planes:
                self._turned[graph.inputs[0]] = _in_order(first, sides_of(ends.given, True), (1, 3), last=False)
            else:
                self._reach[graph.inputs[0]] = first
            for operator in graph.operators:
                self._step(operator)
            last = self._last(graph.outputs[0], ends.made_planes)
        except (_UnknownError, KeyError, IndexError, ValueError, ZeroDivisionError):
            self.macs, self.multiple_of = 0, 1
            return
        self.rate = last.rate
        halo = max(math.ceil(-last.low), math.ceil(last.high), 0)
        if halo <= MAX_HALO:
            self.halo = halo

    def _last(self, number: int, planes: bool) -> _Reach:
        if not planes:
            return self._reach_of(number)
        turned = self._turned[number]
        return _Turned(turned.reach, turned.sides, turned.pixels.transpose(0, 2, 3, 1)).settled()

    def _reach_of(self, number: int) -> _Reach:
        if number not in self._reach:
            self._reach[number] = self._turned[number].settled()
        return self._reach[number]

    def _step(self, operator: Operator) -> None:
        entering = [n for n in operator.inputs if n in self._reach or n in self._turned]
        if not entering:  # of constants alone
            return
        if operator.kind in ("RESHAPE", "TRANSPOSE"):
            self._turned[operator.outputs[0]] = self._turn(operator)
            return
        together = self._reach_of(entering[0])
        for other in entering[1:]:
            together = together.joined(self._reach_of(other))
        if operator.kind in ALIKE:
            if any(self._placed(n) for n in operator.inputs if n >= 0 and n not in entering):
                raise _UnknownError
            reach = together
        elif operator.kind in _STEPS:
            reach = _STEPS[operator.kind](self, operator, together)
        else:
            raise _UnknownError
        self.multiple_of = math.lcm(self.multiple_of, reach.rate.denominator)
        if (
            self.multiple_of > MAX_MULTIPLE or not 0 < reach.rate <= MAX_RATE
        ):  # fractions of a crafted file grow without end
            raise _UnknownError
        for number in operator.outputs:
            self._reach[number] = reach

    def _placed(self, number: int) -> bool:
        """Whether that constant has values of its own for places of the picture."""
        return max(self._graph.tensors[number].shape[-3:-1], default=1) > 1

    def _turn(self, operator: Operator) -> _Turned:
        """What a reshape or a transpose makes of the places."""
        number = operator.inputs[0]
        turned = self._turned.get(number)
        if turned is None:
            shape = self._graph.tensors[number].shape
            turned = _in_order(self._reach_of(number), self._sides(number), (1, shape[3]), last=True)
        if operator.kind == "RESHAPE":
            pixels = turned.pixels.reshape(self._graph.tensors[operator.outputs[0]].shape)
        else:
            pixels = turned.pixels.transpose(self._graph.tensors[operator.inputs[1]].numbers)
        self._followed += pixels.size
        if self._followed > MAX_FOLLOWED:
            raise _UnknownError
        return _Turned(turned.reach, turned.sides, pixels)

    def _options(self, operator: Operator, *numbers: int, form: str = "<i", default: int = 0) -> list[int]:
        table = operator.options
        return [table.integer(n, default, form) if table is not None else default for n in numbers]

    def _sides(self, number: int) -> tuple[int, int]:
        shape = self._graph.tensors[number].shape
        if len(shape) != 4:
            raise _UnknownError
        return shape[1], shape[2]

    def _window(self, reach: _Reach, kernel: int, stride: int, same: bool) -> _Reach:
        before = max(kernel - stride, 0) // 2 if same else 0
        return reach.moved(-before, kernel - stride - before).times(Fraction(1, stride))

    def conv(self, operator: Operator, reach: _Reach) -> _Reach:
        """A convolution: its kernel times its dilation; the wider direction counts."""
        depthwise = operator.kind == "DEPTHWISE_CONV_2D"
        filters = self._graph.tensors[operator.inputs[1]].shape
        strides = self._options(operator, 2, 1, default=1)
        dilations = self._options(operator, 6 if depthwise else 5, 5 if depthwise else 4, default=1)
        if strides[0] != strides[1] or len(filters) != 4 or min(*strides, *dilations) < 1:
            raise _UnknownError
        same = self._options(operator, 0, form="<b")[0] == SAME
        spans = [(filters[1 + k] - 1) * dilations[k] + 1 for k in (0, 1)]
        rows, columns = (self._window(reach, span, strides[0], same) for span in spans)
        made = rows.joined(columns)
        self.macs += round(math.prod(filters) * made.rate**2)
        return made

    def pool(self, operator: Operator, reach: _Reach) -> _Reach:
        """A pooling window."""
        wide, tall, width, height = self._options(operator, 1, 2, 3, 4)
        if wide != tall or min(wide, width, height) < 1:
            raise _UnknownError
        same = self._options(operator, 0, form="<b")[0] == SAME
        return self._window(reach, height, tall, same).joined(self._window(reach, width, wide, same))

    def transposed(self, operator: Operator, reach: _Reach) -> _Reach:
        """A transposed convolution: result i depends on j where 0 <= i + padding - stride * j < kernel."""
        filters = self._graph.tensors[operator.inputs[1]].shape
        strides = self._options(operator, 2, 1)
        if strides[0] != strides[1] or len(filters) != 4 or strides[0] < 1:
            raise _UnknownError
        stride, same = strides[0], self._options(operator, 0, form="<b")[0] == SAME
        ranges = []
        for kernel in filters[1:3]:
            before = max(kernel - stride, 0) // 2 if same else 0
            ranges.append(reach.moved(-((kernel - 1 - before) // stride), (stride - 1 + before) // stride))
        made = ranges[0].joined(ranges[1])
        self.macs += round(math.prod(filters) * made.rate**2)
        return made.times(Fraction(stride))

    def shuffled(self, operator: Operator, reach: _Reach) -> _Reach:
        """A pixel shuffle, or its reverse."""
        block = self._options(operator, 0)[0]
        return reach.times(Fraction(block) if operator.kind == "DEPTH_TO_SPACE" else Fraction(1, block))

    def resized(self, operator: Operator, reach: _Reach) -> _Reach:
        """Enlargement by a whole factor; corners that are aligned make every position a case of its own."""
        (height, width), (tall, wide) = self._sides(operator.inputs[0]), self._sides(operator.outputs[0])
        bilinear = operator.kind == "RESIZE_BILINEAR"
        aligned = self._options(operator, 2 if bilinear else 0, form="<b")[0]
        if aligned or tall % height or wide % width or tall // height != wide // width:
            raise _UnknownError
        return (reach.moved(-1, 1) if bilinear else reach).times(Fraction(tall // height))

    def padded(self, operator: Operator, reach: _Reach) -> _Reach:
        """Padding moves positions by what is added before, rows and columns alike or not."""
        amounts = self._graph.tensors[operator.inputs[1]].numbers
        if len(amounts) != 8 or amounts[:2] != (0, 0) or amounts[6:] != (0, 0):
            raise _UnknownError
        return reach.moved(-amounts[2], -amounts[2]).joined(reach.moved(-amounts[4], -amounts[4]))

    def concatenated(self, operator: Operator, reach: _Reach) -> _Reach:
        """Joined channels."""
        if self._options(operator, 0)[0] not in (3, -1):
            raise _UnknownError
        return reach


def _in_order(reach: _Reach, sides: tuple[int, int], around: tuple[int, int], last: bool) -> _Turned:
    """A picture's places: 1 × h × w × channels, or 1 × channels × h × w where `last` is not said."""
    if min(*sides, *around) < 1 or math.prod((*sides, *around)) > MAX_PLACES:
        raise _UnknownError
    pixels = np.arange(math.prod(sides), dtype=np.int32).reshape(1, *sides, 1)
    everywhere = np.broadcast_to(pixels, (1, *sides, around[1]))
    return _Turned(reach, sides, everywhere if last else everywhere.transpose(0, 3, 1, 2))


_STEPS: dict[str, Callable[[_Walk, Operator, _Reach], _Reach]] = {
    "CONV_2D": _Walk.conv, "DEPTHWISE_CONV_2D": _Walk.conv, "AVERAGE_POOL_2D": _Walk.pool, "MAX_POOL_2D": _Walk.pool,
    "TRANSPOSE_CONV": _Walk.transposed, "DEPTH_TO_SPACE": _Walk.shuffled, "SPACE_TO_DEPTH": _Walk.shuffled,
    "RESIZE_BILINEAR": _Walk.resized, "RESIZE_NEAREST_NEIGHBOR": _Walk.resized, "PAD": _Walk.padded, "PADV2": _Walk.padded,
    "MIRROR_PAD": _Walk.padded, "CONCATENATION": _Walk.concatenated,
}  # fmt: skip
