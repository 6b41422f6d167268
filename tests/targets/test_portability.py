"""The tables of accelerators, and what is found by them."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from edgelift.core.errors import RequestError
from edgelift.forge.compile import Order, checked, converted
from edgelift.io.blocks import core_model
from edgelift.io.bundle import read_bundle, write_bundle
from edgelift.io.tflite import read_graph
from edgelift.runtime.engines import open_engine
from edgelift.targets.base import PRECISIONS, Source, load_target
from edgelift.targets.portability import (
    ACCELERATORS,
    RUNS,
    WAYS_OUT,
    Table,
    Verdict,
    _findings,
    _tables,
    check,
    check_kinds,
    named,
    table_of,
)
from edgelift.targets.rewrites import EXACT

EACH = pytest.mark.parametrize("name", ACCELERATORS)
WITH_LITERT = pytest.mark.skipif(bool(load_target("litert").missing()), reason="LiteRT is not installed")


def source_of(path: Path, **facts: Any) -> Source:
    bundle = read_bundle(path)
    return Source(replace(bundle.spec, **facts), bundle.graph(), core_model(bundle))


@pytest.fixture
def bundle_of(exports: Any, tmp_path: Path) -> Any:
    def make(name: str, config: dict[str, Any]) -> Any:
        made = exports.exported(name, **config)
        return write_bundle(made.model(), made.spec, tmp_path / "m.onnx", overwrite=True)

    return make


@EACH
def test_a_table_says_where_it_is_from(name: str) -> None:
    table = table_of(name)
    assert list(_tables()) == list(ACCELERATORS)
    assert table.title
    assert table.source
    assert datetime.date.fromisoformat(table.read)
    assert table.dialect in ("onnx", "tflite")
    assert table.otherwise
    assert set(table.precisions) <= set(PRECISIONS)
    known = frozenset().union(*table.operators.values())
    assert (table.only.keys() | table.slow.keys()) <= known
    assert all(each["why"] and each["source"] for each in table.slow.values())
    if table.dialect == "onnx":
        assert all(onnx.defs.has(operator) for operator in known)
    else:
        builtin = pytest.importorskip("ai_edge_litert.schema_py_generated").BuiltinOperator
        assert all(hasattr(builtin, operator) for operator in known)


FALLS = Verdict("falls back to the CPU", "not in the table")


def verdicts_of(bundle: Any, name: str) -> dict[str, Verdict]:
    """Of an operator, where it is the same in every precision."""
    found = {each.operator: set(each.verdicts.values()) for each in checked(bundle, name)}
    return {operator: next(iter(each)) for operator, each in found.items() if len(each) == 1}


def test_what_falls_back_comes_first_with_a_way_out(plain_bundle: Path) -> None:
    first, *rest = checked(read_bundle(plain_bundle), "onnx-nnapi")
    assert (first.operator, first.count) == ("Round", 1)
    assert first.verdicts == dict.fromkeys(("float", "fp16", "int8"), FALLS)
    assert first.advice == WAYS_OUT["Round"]
    assert {each.operator: each.count for each in rest} == {
        "Add": 1, "Cast": 2, "Clip": 1, "Concat": 1, "Conv": 2, "DepthToSpace": 1, "Relu": 1, "Transpose": 2,
    }  # fmt: skip
    assert all(each.runs and not each.advice for each in rest)


def test_an_attribute_may_decide(plain_bundle: Path) -> None:
    source = source_of(plain_bundle)
    node = next(node for node in source.whole.graph.node if node.op_type == "DepthToSpace")
    next(a for a in node.attribute if a.name == "mode").s = b"CRD"
    first = check(source, "onnx-nnapi")[0]
    assert first.operator == "DepthToSpace CRD"
    assert set(first.verdicts.values()) == {Verdict("falls back to the CPU", "mode is CRD, only DCR runs")}
    assert first.rewrite == "crd-to-dcr"


@WITH_LITERT
def test_a_litert_file_is_looked_at_as_it_would_be_written(plain_bundle: Path) -> None:
    assert verdicts_of(read_bundle(plain_bundle), "litert-gpu") == {
        "DEPTH_TO_SPACE": FALLS, "ADD": RUNS, "CONCATENATION": RUNS, "CONV_2D": RUNS, "MINIMUM": RUNS, "RELU": RUNS,
    }  # fmt: skip
    found = {each.operator: each for each in checked(read_bundle(plain_bundle), "litert-xnnpack")}
    assert found["CONV_2D"].verdicts["int8"] == RUNS
    assert found["CONV_2D"].verdicts["int16x8"].word == table_of("litert-xnnpack").otherwise
    assert set(found["RELU"].verdicts) == {"float", "fp16"}, "whole numbers clip by their grid"
    assert set(found["QUANTIZE"].verdicts) == {"int16x8"}


@WITH_LITERT
def test_the_table_of_xnnpack_says_what_xnnpack_does(bundle_of: Any) -> None:
    """On the version that is installed: a file whose operators all are in the table is run whole, any other is not."""
    for name, config in (
        ("abpn", {"scale": 3, "channels": 6, "layers": 1}),
        ("abpn", {"scale": 2, "channels": 6, "layers": 1, "padding": "replicate"}),
        ("fsrcnn", {"scale": 2, "channels": 8, "shrunk": 4, "layers": 1}),
    ):
        bundle = bundle_of(name, config)
        made = converted(bundle, Order("litert"))
        remark = getattr(open_engine(made, "litert"), "remark", "")
        runs = all(
            each.verdicts["float"] == RUNS for each in checked(bundle, "litert-xnnpack") if "float" in each.verdicts
        )
        assert (remark == "XNNPACK runs all of it") == runs, (name, config, remark)
        again = check_kinds([op.kind for op in read_graph(made.data).operators], "float", "litert-xnnpack")
        assert all(each.runs for each in again) == runs


def test_a_precision_that_is_not_run(plain_bundle: Path) -> None:
    source = source_of(plain_bundle, training={"quantised": {"bits": "int8"}})
    with pytest.raises(RequestError, match="onnx-coreml has no int8; it has float, fp16"):
        check(source, "onnx-coreml")
    with pytest.raises(RequestError, match="no accelerator is called 'abacus'; choose from onnx-nnapi"):
        check(source, "abacus")
    with pytest.raises(RequestError, match=r"onnx-nnapi runs ONNX, not \.tflite files"):
        check_kinds(["ADD"], "float", "onnx-nnapi")


def test_a_runtime_stands_for_all_that_it_runs_on() -> None:
    assert named([]) == list(ACCELERATORS)
    assert named(["litert-gpu", "litert"]) == ["litert-gpu", "litert-xnnpack", "litert-qualcomm", "litert-mediatek"]
    assert named(["onnx", "bm1684x"]) == ["onnx-nnapi", "onnx-coreml", "onnx-coreml-nn", "bm1684x"]
    with pytest.raises(RequestError, match="no accelerator is called 'tpu'"):
        named(["tpu"])


def table(*runs: str, slow: tuple[str, ...] = (), only: dict[str, dict[str, str]] | None = None) -> Table:
    return Table(
        "t", "onnx", "s", "2026-01-01", "falls back to the CPU", "", {"float": frozenset(runs)}, only or {},
        {kind: {"why": "it is", "source": "us"} for kind in slow},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("there", "operator", "mode", "rewrite"),
    [
        (table("Conv", "DepthToSpace"), "ConvTranspose", "", "transposed-as-shuffle"),
        (table("Conv"), "ConvTranspose", "", ""),
        (table("ConvTranspose"), "DepthToSpace", "DCR", "shuffle-as-transposed"),
        (table("ConvTranspose", slow=("ConvTranspose",)), "DepthToSpace", "DCR", "shuffle-as-transposed"),
        (table("ConvTranspose", slow=("ConvTranspose",)), "ConvTranspose", "", ""),
        (table("Relu", "Neg", "Mul", "Sub"), "PRelu", "", "prelu-as-relu"),
        (table("Relu", "Neg", "Mul"), "PRelu", "", ""),
        (table("Slice", "Concat"), "Pad", "edge", "pad-as-concat"),
        (table("Slice", "Concat"), "Pad", "reflect", ""),
        # the padding that a resize becomes is rewritten in turn
        (table("Pad", "Slice", "Concat", "Conv", "DepthToSpace", only={"Pad": {"mode": "constant"}}), "Resize", "",
         "resize-as-conv"),
        (table("Pad", "Conv", "Concat", "DepthToSpace", only={"Pad": {"mode": "constant"}}), "Resize", "", ""),
    ],
)  # fmt: skip
def test_a_rewrite_is_proposed_where_it_helps(there: Table, operator: str, mode: str, rewrite: str) -> None:
    attributes = {"mode": mode.encode()} if mode else {}
    (found,) = _findings(there, {"float": [(operator, attributes)]})
    assert found.rewrite == rewrite
    assert rewrite in ("", *(each.name for each in EXACT))
