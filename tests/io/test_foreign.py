"""What is read in others' `.tflite` files: scale, halo, precision; what is refused, and files that are damaged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelift.core.errors import BundleError
from edgelift.io import foreign, tflite
from edgelift.io.compiled import parse_compiled
from edgelift.io.tflite import KINDS, TYPES, read_graph

schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="LiteRT is not installed")

from edgelift.targets.tflite import Builder  # noqa: E402  # needs the schema


def facts(data: bytes) -> Any:
    return parse_compiled({".tflite": data}, "theirs.tflite").spec


def network(*steps: tuple[str, dict[str, Any], tuple[int, ...], list[Any]], size: int = 16) -> bytes:
    """A chain of operators: kind, options, shape of the result, constants beside the tensor that goes in."""
    builder = Builder()
    image = last = builder.tensor("in", (1, size, size, 3), "float32")
    for k, (kind, options, shape, constants) in enumerate(steps):
        held = [builder.constant(f"c{k}.{n}", np.asarray(value)) for n, value in enumerate(constants)]
        out = builder.tensor(f"t{k}", shape, "float32")
        order = [*held[:2], last] if kind == "TRANSPOSE_CONV" else [last, *held]
        builder.operator(kind, order, out, "float32", **options)
        last = out
    return builder.finish(image, last, {})


def conv(kernel: int, shape: tuple[int, ...], given: int = 3, **options: Any) -> Any:
    weight, bias = np.zeros((shape[3], kernel, kernel, given), np.float32), np.zeros(shape[3], np.float32)
    return "CONV_2D", {"padding": 0, "strideH": 1, "strideW": 1, **options}, shape, [weight, bias]


def test_long_lists_that_many_operators_share(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = Builder()
    image = last = builder.tensor("in", (1, 4, 4, 3), "float32")
    for _ in range(50):
        entering, last = last, builder.tensor("t", (1, 4, 4, 3), "float32")
        builder.operator("ADD", [entering] * 1000, last, "float32")
    data = builder.finish(image, last, {})
    assert len(read_graph(data).operators) == 50
    monkeypatch.setattr(tflite, "MAX_TOTAL", 40_000)
    with pytest.raises(BundleError, match="lists of more than 40000 entries together"):
        read_graph(data)


def test_reshapes_without_end_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[Any] = [("TRANSPOSE", {}, (1, 16, 16, 3), [np.array([0, 2, 1, 3], np.int32)])] * 8
    assert facts(network(*turns)).halo == 0
    monkeypatch.setattr(foreign, "MAX_FOLLOWED", 7 * 16 * 16 * 3)
    assert facts(network(*turns)).halo is None


@pytest.mark.parametrize("side", [512, 1 << 30])
def test_grids_without_end_are_not_followed(side: int) -> None:
    down = conv(1, (1, 16, 16, 3), strideH=side, strideW=side)
    up = ("DEPTH_TO_SPACE", {"blockSize": side}, (1, 16, 16, 3), [])
    for steps in ([down] * 40, [up] * 40, [down, up]):
        found = facts(network(*steps))
        assert (found.multiple_of, found.halo, found.scale) == (1, None, 1)


def test_codes_are_those_of_the_schema() -> None:
    for code, kind in KINDS.items():
        assert getattr(schema.BuiltinOperator, kind) == code
    for code, kind in TYPES.items():
        assert getattr(schema.TensorType, kind.upper()) == code


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("spelt", [False, True])
@pytest.mark.parametrize("planes", [False, True])
def test_scale_and_halo_are_read_from_the_graph(others: Any, scale: int, spelt: bool, planes: bool) -> None:
    spec = facts(others.theirs(scale=scale, spelt=spelt, planes=planes))
    assert (spec.scale, spec.shuffle, spec.halo, spec.multiple_of, spec.bits) == (scale, scale, 2, 1, "float")
    assert spec.task == ("restoration" if scale == 1 else "super-resolution")
    assert spec.macs == 9 * (3 * 4 + 4 * 3 * scale**2)
    assert spec.parameters == spec.macs + 4 + 3 * scale**2
    assert (spec.name, spec.architecture, spec.licence) == ("theirs", "foreign", "LicenseRef-Unknown")


@pytest.mark.parametrize(("ends", "inside"), [("uint8", ""), ("int8", ""), ("float32", "int8")])
def test_precision_is_that_of_the_convolutions(others: Any, ends: str, inside: str) -> None:
    assert facts(others.theirs(ends, inside=inside)).bits == "int8"


UP = ("DEPTH_TO_SPACE", {"blockSize": 2}, (1, 32, 32, 3), [])
SIZE = np.array([32, 32], np.int32)


@pytest.mark.parametrize(
    ("steps", "halo", "multiple"),
    [
        ([conv(5, (1, 16, 16, 12)), UP], 2, 1),
        ([conv(3, (1, 16, 16, 12), dilationWFactor=3, dilationHFactor=3), UP], 3, 1),
        ([conv(3, (1, 16, 16, 12)), UP, conv(3, (1, 32, 32, 3))], 2, 1),  # one pixel of the larger is half of one
        ([conv(3, (1, 16, 16, 12)), UP, conv(3, (1, 32, 32, 3)), conv(3, (1, 32, 32, 3))], 2, 1),
        ([conv(3, (1, 8, 8, 48), strideH=2, strideW=2), ("DEPTH_TO_SPACE", {"blockSize": 4}, (1, 32, 32, 3), [])], 1, 2),
        ([("PAD", {}, (1, 18, 18, 3), [np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)]),
          conv(3, (1, 16, 16, 12), padding=1), UP], 1, 1),
        ([("RESIZE_BILINEAR", {}, (1, 32, 32, 3), [SIZE])], 1, 1),
        ([("RESIZE_NEAREST_NEIGHBOR", {}, (1, 32, 32, 3), [SIZE])], 0, 1),
        ([("TRANSPOSE_CONV", {"padding": 0, "strideH": 2, "strideW": 2}, (1, 32, 32, 3),
           [np.array([1, 32, 32, 3], np.int32), np.zeros((3, 4, 4, 3), np.float32)])], 1, 1),
        ([("TRANSPOSE_CONV", {"padding": 0, "strideH": 2, "strideW": 2}, (1, 32, 32, 3),
           [np.array([1, 32, 32, 3], np.int32), np.zeros((3, 2, 2, 3), np.float32)])], 0, 1),
        ([("MEAN", {}, (1, 32, 32, 3), [np.array([1, 2], np.int32)])], None, 1),  # sees the whole picture
    ],
)  # fmt: skip
def test_halos_of_operators(steps: Any, halo: int | None, multiple: int) -> None:
    spec = facts(network(*steps))
    assert (spec.halo, spec.multiple_of) == (halo, multiple)


@pytest.mark.parametrize(
    ("shape", "larger", "type_", "says"),
    [
        ((1, 8, 8, 1), (1, 16, 16, 1), "float32", r"its input is 1 × 8 × 8 × 1; pictures in RGB are run"),
        ((1, 8, 8, 3), (1, 12, 16, 3), "float32", r"a picture of 8×8 becomes 16×12; .* a whole number"),
        ((1, 8, 8, 3), (1, 12, 12, 3), "float32", "a picture of 8×8 becomes 12×12"),
        ((1, 8, 8, 3), (1, 96, 96, 3), "float32", "a picture of 8×8 becomes 96×96"),
        ((1, 8, 8, 3), (1, 1000), "float32", "its output is 1 × 1000"),
        ((1, 8, 8, 3), (1, 16, 16, 3), "int32", "its input is int32; pictures of float32, uint8, int8, int16 are run"),
    ],
)
def test_what_is_no_network_on_pictures(shape: Any, larger: Any, type_: str, says: str) -> None:
    builder = Builder()
    ends = builder.tensor("in", shape, type_), builder.tensor("out", larger, type_)
    builder.operator("RELU", ends[:1], ends[1], type_)
    with pytest.raises(BundleError, match=rf"theirs\.tflite: {says}"):
        facts(builder.finish(*ends, {}))


@given(at=st.integers(0, 10_000), new=st.binary(min_size=1, max_size=4))
def test_damaged_files_are_bundle_errors(others: Any, at: int, new: bytes) -> None:
    whole = others.theirs(spelt=True)
    at %= len(whole)
    for data in (whole[:at], whole[:at] + new + whole[at + len(new) :]):
        try:
            read_graph(data)
            facts(data)
        except BundleError:
            continue
