"""A foreign ONNX graph in the form of a bundle: its own nodes between the cut points, our ends around them.

Nothing is known of what is inside, so the bundle states the whole picture as its halo, and no network can be rebuilt from it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgelift.core.errors import BundleError, RequestError
from edgelift.core.spec import KEY_FACTS, KEY_VERSION, ModelSpec
from edgelift.evaluate.profile.macs import named, work_of
from edgelift.forge.bundles import same_pictures
from edgelift.io.bundle import (
    CORE_IN,
    CORE_OUT,
    IMAGE,
    LARGER,
    Bundle,
    parse_bundle,
    write_bundle,
)

__all__ = ["LEAST_OPSET", "import_graph"]

LEAST_OPSET = 11
"""The first whose `Clip` takes its limits as our ends give them."""
PREFIX = "foreign/"
"""Before every name inside, so that none is one of ours."""
TO_PLANES, TO_PIXELS = [0, 3, 1, 2], [0, 2, 3, 1]
SIDES = ((16, 20), (28, 12))
"""Heights and widths that a graph is tried with, times what they must be a multiple of."""
_FAILED = (
    ArithmeticError, AttributeError, IndexError, KeyError, MemoryError, NotImplementedError, RuntimeError, TypeError, ValueError
)  # what ONNX's reference raises for graphs that cannot be run  # fmt: skip


def import_graph(
    data: bytes,
    origin: dict[str, str],
    output: Path,
    *,
    licence: str,
    white: int = 1,
    multiple_of: int = 1,
    overwrite: bool = False,
) -> Bundle:
    """Wrap the ONNX model `data`, which takes and gives float pictures, N × 3 × h × w or N × h × w × 3, of any size.

    `white`: what white is for it, 1 or 255. `multiple_of`: what sides of its pictures are a multiple of. `origin` is what
    the card says of its file. Raises `BundleError` for a graph that is none of this, or that no bundle may hold.
    """
    model = _parsed(data)
    try:
        ends = _ends(model.graph)
        wrapped = _wrapped(model, ends, white)
    except (TypeError, UnicodeError) as exc:  # protobuf hands out bytes where a name is no text
        raise BundleError("a damaged ONNX file: there is text in it that is none") from exc
    spec = ModelSpec(
        name=output.stem, architecture="foreign", config={}, scale=1, shuffle=1, halo=None, multiple_of=multiple_of,
        padding="zeros", colour="rgb", parameters=_weights(model.graph), macs=0, licence=licence,
        training={"imported": origin},
    )  # fmt: skip
    _refuse_unfit(wrapped, spec)
    spec = dataclasses.replace(spec, scale=_scale(wrapped, multiple_of), macs=_macs(wrapped, multiple_of))
    _prove(model, ends, wrapped, spec, white)
    return write_bundle(wrapped, spec, output, overwrite=overwrite)


@dataclass(frozen=True)
class _Ends:
    """The tensors at which a foreign graph begins and ends, and whether their channels stand last."""

    given: str
    given_last: bool
    made: str
    made_last: bool


def _ends(graph: onnx.GraphProto) -> _Ends:
    held = {tensor.name for tensor in graph.initializer}
    given = _picture([value for value in graph.input if value.name not in held], "input")
    made = _picture(list(graph.output), "output")
    last = _channels_last(given, "input")
    return _Ends(given.name, last, made.name, _channels_last(made, "output", unsaid=last))


def _parsed(data: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RuntimeError) as exc:
        raise BundleError("not an ONNX file, or a damaged one") from exc
    if any(entry.key == KEY_VERSION for entry in model.metadata_props):
        raise RequestError("it is a bundle already; run it as it is")
    opsets = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not opsets or opsets[0] < LEAST_OPSET:
        raise BundleError(f"ONNX operators of version {opsets[0] if opsets else 0}; {LEAST_OPSET} or newer is read")
    return model


def _picture(values: list[onnx.ValueInfoProto], what: str) -> onnx.ValueInfoProto:
    """The one float picture among `values`."""
    if len(values) != 1:
        raise BundleError(f"the graph has {len(values)} {what}s; one picture is expected")
    tensor = values[0].type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT or (
        len(tensor.shape.dim) != 4 and (what == "input" or tensor.HasField("shape"))
    ):
        raise BundleError(f"the {what} {values[0].name!r} is no float picture of four dimensions")
    return values[0]


def _channels_last(value: onnx.ValueInfoProto, what: str, unsaid: bool | None = None) -> bool:
    """Whether the colours are the last dimension; `unsaid` is the answer where no size tells."""
    sizes = [size.dim_value for size in value.type.tensor_type.shape.dim] or [0] * 4
    if 3 in (sizes[1], sizes[3]):
        return bool(sizes[1] != 3)
    if unsaid is None or sizes[1] or sizes[3]:
        raise BundleError(f"the {what} {value.name!r} has no dimension of 3 colours: its sizes are {sizes}")
    return unsaid


def _weights(graph: onnx.GraphProto) -> int:
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    return sum(math.prod(t.dims) for t in graph.initializer if t.data_type in floats)


def _wrapped(model: onnx.ModelProto, ends: _Ends, white: int) -> onnx.ModelProto:
    """The graph of a bundle."""
    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    for tensor in graph.initializer:
        tensor.name = PREFIX + tensor.name
    for node in graph.node:
        node.input[:] = [PREFIX + name if name else "" for name in node.input]
        node.output[:] = [PREFIX + name if name else "" for name in node.output]
        node.name = "".join(node.output[:1])  # many have none, and some engines want one each
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    given, made = PREFIX + ends.given, PREFIX + ends.made
    scaled, planes = ("scaled" if ends.given_last else given), ("made_planes" if ends.made_last else made)
    turn_in = [helper.make_node("Transpose", [scaled], [given], perm=TO_PIXELS)] if ends.given_last else []
    turn_out = [helper.make_node("Transpose", [made], [planes], perm=TO_PLANES)] if ends.made_last else []
    nodes = [
        helper.make_node("Cast", [IMAGE], ["image_float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["image_float"], [CORE_IN], perm=TO_PLANES),
        helper.make_node("Mul", [CORE_IN, "small"], [scaled]),
        *turn_in,
        *graph.node,
        *turn_out,
        helper.make_node("Mul", [planes, "large"], [CORE_OUT]),
        helper.make_node("Clip", [CORE_OUT, "black", "white"], ["clipped"]),
        helper.make_node("Round", ["clipped"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["bytes"], to=TensorProto.UINT8),
        helper.make_node("Transpose", ["bytes"], [LARGER], perm=TO_PIXELS),
    ]
    numbers = {"black": 0.0, "white": 255.0, "small": white / 255, "large": 255 / white}
    constants = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in numbers.items()]
    made_graph = helper.make_graph(
        nodes, "foreign",
        [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["batch", "height", "width", 3])],
        [helper.make_tensor_value_info(LARGER, TensorProto.UINT8, ["batch", "height_out", "width_out", 3])],
        [*graph.initializer, *constants],
    )  # fmt: skip
    out = helper.make_model(made_graph, opset_imports=list(model.opset_import), producer_name="edgelift")
    out.ir_version = model.ir_version
    return out


def _refuse_unfit(wrapped: onnx.ModelProto, spec: ModelSpec) -> None:
    """Raise `BundleError` for what no bundle may hold, before any of it is run."""
    whole = onnx.ModelProto()
    whole.CopyFrom(wrapped)
    helper.set_model_props(whole, {KEY_VERSION: "1", KEY_FACTS: spec.to_json()})
    parse_bundle(whole.SerializeToString(), "as a bundle")


def _run(model: onnx.ModelProto, name: str, value: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    try:
        return next(map(np.asarray, onnx.reference.ReferenceEvaluator(model).run(None, {name: value})))
    except _FAILED as exc:
        why = (str(exc).splitlines() or [type(exc).__name__])[0][:200]
        raise BundleError(
            f"it cannot be run on a picture of {size[1]}×{size[0]} ({why}); have it exported with free sizes, or say what "
            "sides must be a multiple of"
        ) from exc


def _scale(wrapped: onnx.ModelProto, multiple_of: int) -> int:
    """How much larger its results are. Raises `BundleError` where that is no whole number, or not the same everywhere."""
    found = []
    for height, width in SIDES:
        size = (height * multiple_of, width * multiple_of)
        result = _run(wrapped, IMAGE, np.full((1, *size, 3), 128, np.uint8), size).shape
        scale: int = result[1] // size[0]
        found.append(scale)
        if scale < 1 or scale != found[0] or result != (1, scale * size[0], scale * size[1], 3):
            raise BundleError(
                f"a picture of {size[1]}×{size[0]} becomes {'×'.join(map(str, result[1:]))}: not in colours, and a whole "
                "number of times as large in both directions, at every size"
            )
    return found[0]


def _macs(wrapped: onnx.ModelProto, multiple_of: int) -> int:
    """Multiply-adds for one pixel, as far as shapes can be worked out."""
    side = 32 * multiple_of
    work = work_of(named(wrapped), {IMAGE: (1, side, side, 3)})
    return round(sum(work.macs.values()) / side**2)


def _prove(model: onnx.ModelProto, ends: _Ends, wrapped: onnx.ModelProto, spec: ModelSpec, white: int) -> None:
    """Raise `BundleError` unless the bundle's picture is that of the foreign graph."""
    size = (SIDES[0][0] * spec.multiple_of, SIDES[0][1] * spec.multiple_of)
    picture = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    x = picture.astype(np.float32) * np.float32(white / 255)
    result = _run(model, ends.given, x if ends.given_last else x.transpose(TO_PLANES), size)
    wanted = np.rint(np.clip(result * np.float32(255 / white), 0, 255)).astype(np.uint8)
    same_pictures(
        _run(wrapped, IMAGE, picture, size), wanted if ends.made_last else wanted.transpose(TO_PIXELS), spec.name
    )
