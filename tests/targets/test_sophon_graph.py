"""What SOPHON's compiler is given: static graphs of floats that compute what the core does, and tables of ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.forge.compile import Order, _prepared, converted
from edgelift.io.bundle import Bundle, read_bundle
from edgelift.targets.base import Source, load_target
from edgelift.targets.sophon import SophonTarget
from edgelift.targets.sophon_graph import plain_core, static_model

ort = pytest.importorskip("onnxruntime")


def source_of(bundle: Bundle, order: Order, monkeypatch: pytest.MonkeyPatch) -> Source:
    """What the target is given, whether its tool chain is installed or not."""
    monkeypatch.setattr(SophonTarget, "missing", classmethod(lambda cls: ""))
    return _prepared(bundle, order, load_target("bm1684x"), lambda words: None)


def run(model: onnx.ModelProto, image: NDArray[Any]) -> NDArray[Any]:
    onnx.checker.check_model(model)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: image})[0])


def larger(bundle: Bundle, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a bundle's whole graph gives."""
    return run(bundle.graph(), image)


@pytest.mark.parametrize("precision", ["float", "fp16", "bf16"])
def test_a_static_graph_gives_the_blocks_of_the_bundle(
    plain_bundle: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    bundle = read_bundle(plain_bundle)
    source = source_of(bundle, Order("bm1684x", precision, sizes=((8, 12),)), monkeypatch)
    made = static_model(source, source.sizes[0])
    image = np.random.default_rng(1).integers(0, 256, (1, 8, 12, 3), np.uint8)
    blocks = np.rint(run(made.graph, image.astype(np.float32)))
    wanted = larger(bundle, image).reshape(1, 8, 2, 12, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(1, 8, 12, 12)
    assert np.abs(blocks - wanted).max() <= (1 if precision == "fp16" else 0)
    assert made.name == made.graph.graph.name == "window_8x12"
    assert made.ranges.splitlines()[1] == "image 255 0 255"
    assert {"Cast", "QuantizeLinear"}.isdisjoint(node.op_type for node in made.graph.graph.node)


@pytest.mark.parametrize("symmetric", [True, False])
def test_grids_become_ranges_of_the_table(
    plain_bundle: Path, calibration: Path, monkeypatch: pytest.MonkeyPatch, symmetric: bool
) -> None:
    order = Order("bm1684x", "int8", calibration, 8, symmetric, sizes=((8, 8),))
    source = source_of(read_bundle(plain_bundle), order, monkeypatch)
    made = static_model(source, (8, 8))
    rows = {line.split()[0]: [float(n) for n in line.split()[1:]] for line in made.ranges.splitlines()[1:]}
    kinds = {f"{node.output[0]}_{node.op_type}" for node in made.graph.graph.node}
    assert set(rows) - {"image"} <= kinds, "each line names a tensor as the compiler does"
    ends = ("image", "core_in_Transpose", "core_out_Add", "anchor_Concat", "clipped_Clip", "blocks_Transpose")
    assert all(rows[name] == [255, 0, 255] for name in ends)
    for threshold, low, high in rows.values():
        assert threshold == pytest.approx(max(-low, high))
    assert rows["active_Relu"][1] == 0
    assert rows["details_Conv"][1] < 0 < rows["details_Conv"][2]
    assert {"QuantizeLinear", "DequantizeLinear"}.isdisjoint(node.op_type for node in made.graph.graph.node)
    quantised = converted(read_bundle(plain_bundle), Order("onnx", "int8", calibration, 8, symmetric))
    image = np.random.default_rng(2).integers(0, 256, (1, 8, 8, 3), np.uint8)
    blocks = np.rint(run(made.graph, image.astype(np.float32)))
    wanted = larger(quantised, image).reshape(1, 8, 2, 8, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(blocks.shape)
    assert np.abs(blocks - wanted).mean() < 1, "the weights are those of the quantised bundle"


def test_names_are_fit_for_a_table_and_no_two_are_alike(plain_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(read_bundle(plain_bundle), Order("bm1684x"), monkeypatch)
    names = {"wide": "a b", "active": "a_b", "details": "blocks", "head.weight": "image"}
    for node in source.core.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for tensor in source.core.graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    outputs = [node.output[0] for node in plain_core(source).nodes]
    assert outputs == ["a_b", "a_b_2", "blocks_2", "anchor", "core_out"]
    onnx.checker.check_model(static_model(source, (8, 8)).graph)


def test_a_network_without_an_end_and_other_precisions_are_refused(
    plain_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    bundle = read_bundle(plain_bundle)
    endless = replace(bundle, spec=replace(bundle.spec, halo=None))
    with pytest.raises(RequestError, match=r"bm1684x cannot take plain: it sees the whole picture"):
        source_of(endless, Order("bm1684x"), monkeypatch)
    with pytest.raises(RequestError, match="bm1684x has no int16x8; it has float, bf16, fp16, int8"):
        source_of(bundle, Order("bm1684x", "int16x8"), monkeypatch)
    with pytest.raises(RequestError, match="files of onnx name one size, got 2; any size runs"):
        converted(bundle, Order("onnx", sizes=((8, 8), (9, 9))))
