"""Bundles with operators written in others: the same function, on real engines, and nothing half-written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import helper, numpy_helper

from edgelift.core.errors import BundleError, OutputError, RequestError
from edgelift.forge import rewriting
from edgelift.forge.compile import Order, checked, converted
from edgelift.forge.gate import enlarge
from edgelift.forge.rewriting import approximate_bundle, rewrite_bundle
from edgelift.io.bundle import Bundle, read_bundle, write_bundle
from edgelift.runtime.engine import Options
from edgelift.runtime.engines import availability, open_engine
from edgelift.targets.resize_conv import resize_conv
from edgelift.targets.rewrites import Rewrite

HERE = [found.engine for found in availability() if not found.problem]
pytestmark = pytest.mark.skipif("onnxruntime" not in HERE, reason="rewrites are proven on ONNX Runtime")
PICTURE = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)


@pytest.fixture
def hard(plain_bundle: Path, tmp_path: Path) -> Bundle:
    """A bundle of what accelerators do not like: padding by the edge, PReLU, a transposed convolution, a resize; scale 2."""
    rng = np.random.default_rng(1)
    plain = read_bundle(plain_bundle)
    model, held = plain.graph(), {
        "around": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), "w": rng.normal(0, 0.2, (8, 3, 3, 3)),
        "slope": rng.uniform(0.1, 0.4, (8, 1, 1)), "up": rng.normal(0, 0.2, (8, 3, 4, 4)), "twice": np.array([1, 1, 2, 2]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Pad", ["core_in", "around"], ["padded"], mode="edge"), helper.make_node("Conv", ["padded", "w"], ["a"]),
        helper.make_node("PRelu", ["a", "slope"], ["b"]),
        helper.make_node("ConvTranspose", ["b", "up"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Resize", ["core_in", "", "twice"], ["d"], mode="linear"),
        helper.make_node("Add", ["c", "d"], ["core_out"]), helper.make_node("Clip", ["core_out", "black", "white"], ["clipped"]),
        helper.make_node("Round", ["clipped"], ["rounded"]), helper.make_node("Cast", ["rounded"], ["planes"], to=2),
        helper.make_node("Transpose", ["planes"], ["larger"], perm=[0, 2, 3, 1]),
    ]  # fmt: skip
    ends = [node for node in model.graph.node if node.output[0] in ("float", "core_in")]
    kept = [t for t in model.graph.initializer if t.name in ("black", "white")]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend([*ends, *nodes])
    model.graph.initializer.extend(kept)
    for name, value in held.items():
        array = value if name == "around" else value.astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    from dataclasses import replace

    return write_bundle(model, replace(plain.spec, name="hard", shuffle=1, parameters=0), tmp_path / "hard.onnx")


@pytest.mark.parametrize(
    ("names", "done"),
    [
        (["onnx-nnapi"], {"transposed-as-shuffle", "resize-as-conv", "pad-as-concat"}),
        (["onnx-coreml-nn"], {"transposed-as-shuffle", "resize-as-conv", "pad-as-concat"}),
        (["litert-mediatek", "onnx-coreml"], {"transposed-as-shuffle", "pad-as-concat"}),
    ],
)
def test_what_falls_back_is_written_in_what_runs(
    hard: Bundle, tmp_path: Path, names: list[str], done: set[str]
) -> None:
    made = rewrite_bundle(hard, names, tmp_path / "easy.onnx")
    assert {rewrite.name for rewrite in made.done} == done
    assert read_bundle(tmp_path / "easy.onnx") == made.bundle
    assert made.bundle.spec.training["rewritten"]["of"] == "hard"
    left = {each.operator for name in names for each in checked(made.bundle, name) if not each.runs}
    assert "Pad edge" not in left
    assert made.core_difference < 1e-3
    assert made.differing < 1e-3
    for engine in ("openvino", "onnxruntime"):
        if engine in HERE:
            options = Options(precision="f32", threads=1)
            here, there = (enlarge(open_engine(b, engine, options), PICTURE).astype(int) for b in (made.bundle, hard))
            assert np.abs(here - there).max() <= 1
            assert there.std() > 10


@pytest.mark.skipif("litert" not in HERE, reason="LiteRT is not installed")
def test_a_shuffle_that_was_rewritten_is_one_in_litert_too(plain_bundle: Path, tmp_path: Path) -> None:
    bundle = read_bundle(plain_bundle)
    made = rewrite_bundle(bundle, ["litert-mediatek"], tmp_path / "m.onnx").bundle
    assert "DepthToSpace" not in {node.op_type for node in made.graph().graph.node}
    file = converted(made, Order("litert", sizes=((24, 20),)))
    assert {each.operator for each in checked(file, "litert-mediatek")} >= {"TRANSPOSE_CONV"}
    engine = open_engine(file, "litert", Options(threads=1))
    other = open_engine(converted(bundle, Order("litert")), "litert", Options(threads=1))
    for picture in (PICTURE, *([PICTURE[:17, :15]] if not engine.limits.shapes else [])):
        picture = np.ascontiguousarray(picture)
        assert np.array_equal(enlarge(engine, picture), enlarge(other, picture))


def test_what_is_refused(hard: Bundle, plain_bundle: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.onnx"
    there.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        rewrite_bundle(hard, ["onnx-nnapi"], there)
    with pytest.raises(RequestError, match=r"a bundle's name ends in \.onnx"):
        rewrite_bundle(hard, ["onnx-nnapi"], tmp_path / "a.tflite")
    with pytest.raises(RequestError, match="no exact rewrite helps on onnx-coreml; nothing is written"):
        rewrite_bundle(read_bundle(plain_bundle), ["onnx-coreml"], tmp_path / "a.onnx")
    assert there.read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hard.onnx", "there.onnx"]


def test_a_rewrite_that_is_not_exact_is_not_written(
    hard: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(model: onnx.ModelProto, rewrite: Rewrite) -> tuple[onnx.ModelProto, int]:
        made = onnx.ModelProto()
        made.CopyFrom(model)
        weight: Any = next(t for t in made.graph.initializer if t.name == "up")
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.01), "up"))
        return made, 1

    monkeypatch.setattr(rewriting, "apply", spoil)
    with pytest.raises(BundleError, match=r"rewritten it differs by .* levels before rounding"):
        rewrite_bundle(hard, ["onnx-nnapi"], tmp_path / "easy.onnx")
    assert not (tmp_path / "easy.onnx").exists()


def test_resize_and_convolution_come_near_a_transposed_convolution(hard: Bundle, tmp_path: Path) -> None:
    parity, count = approximate_bundle(hard, tmp_path / "near.onnx")
    made = read_bundle(tmp_path / "near.onnx")
    assert count == 1
    kinds = [node.op_type for node in made.graph().graph.node]
    assert (kinds.count("ConvTranspose"), kinds.count("Resize")) == (0, 2)
    assert made.spec.training["rewritten"]["places"] == {"transposed-as-resize": 1}
    assert made.spec.halo is None, "the resize looks further"
    assert parity.psnr_to_parent is not None
    assert parity.psnr_to_parent > 15, (
        "a random transposed convolution is far from a smooth enlargement, but it is not lost"
    )


def test_an_enlargement_that_is_smooth_is_found(tmp_path: Path) -> None:
    """A transposed convolution that is bilinear resize but at the borders, so that the best fit is known."""
    line = np.array([0.25, 0.75, 0.75, 0.25], np.float32)
    weight = np.einsum("a,b,io->ioab", line, line, np.eye(2, dtype=np.float32))
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1])
    ends = [helper.make_tensor_value_info(name, 1, ["n", 2, f"{name}h", f"{name}w"]) for name in ("x", "y")]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    made, count = resize_conv(model)
    assert count == 1
    x = np.random.default_rng(0).normal(0, 1, (1, 2, 20, 20)).astype(np.float32)
    before, after = (
        np.asarray(onnx.reference.ReferenceEvaluator(each).run(None, {"x": x})[0])[:, :, 6:-6, 6:-6]
        for each in (model, made)
    )
    assert np.abs(before - after).max() < 0.02 * before.std()


def test_nothing_to_approximate_is_said(plain_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="plain has no transposed convolution that a resize can stand for"):
        approximate_bundle(read_bundle(plain_bundle), tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()
