"""The tables of accelerators, and what is found by them."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from edgelift.core.errors import RequestError
from edgelift.forge.compile import checked
from edgelift.io.blocks import core_model
from edgelift.io.bundle import read_bundle
from edgelift.targets.base import Source, load_target
from edgelift.targets.portability import ACCELERATORS, WAYS_OUT, _tables, check, table_of

EACH = pytest.mark.parametrize("name", ACCELERATORS)
WITH_LITERT = pytest.mark.skipif(bool(load_target("litert").missing()), reason="LiteRT is not installed")


def source_of(path: Path, **facts: Any) -> Source:
    bundle = read_bundle(path)
    return Source(replace(bundle.spec, **facts), bundle.graph(), core_model(bundle))


@EACH
def test_a_table_says_where_it_is_from(name: str) -> None:
    table = table_of(name)
    assert list(_tables()) == list(ACCELERATORS)
    assert table.title
    assert table.source
    assert datetime.date.fromisoformat(table.read)
    assert table.dialect in ("onnx", "tflite")
    assert table.only.keys() <= table.operators
    if table.dialect == "onnx":
        assert all(onnx.defs.has(operator) for operator in table.operators)
    else:
        builtin = pytest.importorskip("ai_edge_litert.schema_py_generated").BuiltinOperator
        assert all(hasattr(builtin, operator) for operator in table.operators)


def test_what_falls_back_comes_first_with_a_way_out(plain_bundle: Path) -> None:
    first, *rest = checked(read_bundle(plain_bundle), "onnx-nnapi")
    assert (first.operator, first.count, first.problem) == ("Round", 1, "not in the table")
    assert first.advice == WAYS_OUT["Round"]
    assert {each.operator: each.count for each in rest} == {
        "Add": 1, "Cast": 2, "Clip": 1, "Concat": 1, "Conv": 2, "DepthToSpace": 1, "Relu": 1, "Transpose": 2,
    }  # fmt: skip
    assert not any(each.problem or each.advice for each in rest)


def test_an_attribute_may_decide(plain_bundle: Path) -> None:
    source = source_of(plain_bundle)
    node = next(node for node in source.whole.graph.node if node.op_type == "DepthToSpace")
    next(a for a in node.attribute if a.name == "mode").s = b"CRD"
    found = {each.operator: each.problem for each in check(source, "onnx-nnapi")}
    assert found["DepthToSpace"] == "mode is CRD, only DCR runs"


@WITH_LITERT
def test_a_litert_file_is_looked_at_as_it_would_be_written(plain_bundle: Path) -> None:
    found = {each.operator: each.problem for each in checked(read_bundle(plain_bundle), "litert-gpu")}
    assert found == {
        "DEPTH_TO_SPACE": "not in the table", "ADD": "", "CONCATENATION": "", "CONV_2D": "", "MINIMUM": "", "RELU": "",
    }  # fmt: skip


def test_a_precision_that_is_not_run(plain_bundle: Path) -> None:
    source = source_of(plain_bundle, training={"quantised": {"bits": "int8"}})
    with pytest.raises(RequestError, match="onnx-coreml has no int8; it has float, fp16"):
        check(source, "onnx-coreml")
    with pytest.raises(RequestError, match="no accelerator is called 'abacus'; choose from onnx-nnapi"):
        check(source, "abacus")
