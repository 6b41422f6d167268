"""Bundles: what is written comes back, and what is no bundle, damaged or hostile is refused with one kind of error."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from edgelift.core import spec as spec_module
from edgelift.core.errors import BundleError, OutputError, RequestError
from edgelift.core.resize import KERNELS
from edgelift.core.spec import COLOURS, MAX_FACTS, PADDINGS, TASKS, VERSION, ModelSpec
from edgelift.io import bundle as module
from edgelift.io.bundle import Bundle, bundled, find_bundle, parse_bundle, read_bundle, write_bundle

FACTS: dict[str, Any] = {
    "name": "small-x2", "architecture": "abpn", "config": {"scale": 2, "list": [1, None]}, "scale": 2, "shuffle": 2,
    "halo": 1, "multiple_of": 1, "padding": "zeros", "colour": "rgb", "parameters": 36, "macs": 36,
    "licence": "CC0-1.0", "task": "super-resolution", "variants": ["full"], "routing": {"macs": [36]},
    "training": {"recipe": "naïve ×2", "seconds": 1.5}, "quality": {"Set5": {"psnr_y": 33.25}},
}  # fmt: skip
OPTIONAL = {"task", "variants", "routing", "training", "quality"}


def _node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def _model(variants: int = 1) -> onnx.ModelProto:
    """A valid graph without facts: one 1 × 1 convolution to blocks of 2 × 2, which serves all variants."""
    weight = np.arange(36, dtype=np.float32).reshape(12, 3, 1, 1) / 36
    nodes = [
        _node("Cast", "image", "float", to=TensorProto.FLOAT),
        _node("Transpose", "float", "core_in", perm=[0, 3, 1, 2]),
        _node("Conv", "core_in w", "core_out"),
        *[_node("Identity", "core_out", f"core_out.{k}") for k in range(1, variants)],
        _node("Cast", "core_out", "bytes", to=TensorProto.UINT8),
        _node("DepthToSpace", "bytes", "planes", blocksize=2, mode="DCR"),
        _node("Transpose", "planes", "larger", perm=[0, 2, 3, 1]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.UINT8, ["n", "h", "w", 3]) for n in ("image", "larger")]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _with_facts(model: onnx.ModelProto, facts: Any = FACTS, version: str = str(VERSION)) -> bytes:
    text = facts if isinstance(facts, str) else json.dumps(facts)
    helper.set_model_props(model, {"edgelift.version": version, "edgelift.facts": text})
    return model.SerializeToString(deterministic=True)


GOOD = _with_facts(_model())


# -- what is written comes back
def test_a_good_bundle_is_read() -> None:
    bundle = parse_bundle(GOOD, "here")
    assert bundle.spec == ModelSpec(**FACTS)
    assert bundle.spec.variants == ("full",)
    assert (bundle.source, bundle.data) == ("here", GOOD)
    assert bundle.graph().graph.name == "small"
    onnx.checker.check_model(bundle.graph())


def test_the_round_trip_through_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "small.onnx"
    written = write_bundle(_model(), ModelSpec(**FACTS), path)
    assert read_bundle(path) == written
    assert written.spec == ModelSpec(**FACTS)
    assert written.source == str(path)
    assert [p.name for p in path.parent.iterdir()] == ["small.onnx"]
    assert path.stat().st_mode & 0o777 == 0o644


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=4)


@settings(max_examples=40)
@given(
    scale=st.integers(1, 8), shuffled=st.booleans(), halo=st.none() | st.integers(0, 512),
    multiple_of=st.integers(1, 256), padding=st.sampled_from(PADDINGS), colour=st.sampled_from(COLOURS),
    task=st.sampled_from(TASKS), name=st.text(min_size=1, max_size=100).filter(str.isprintable),
    licence=st.text(max_size=20),
    variants=st.lists(st.text(max_size=5), min_size=1, max_size=3),
    config=OBJECTS, routing=OBJECTS, training=OBJECTS, quality=OBJECTS, macs=st.integers(0, 2**70),
)  # fmt: skip
def test_all_facts_survive(shuffled: bool, scale: int, variants: list[str], **facts: Any) -> None:
    made = ModelSpec(
        architecture="foreign", parameters=36, scale=scale, shuffle=scale if shuffled else 1, variants=tuple(variants),
        **facts,
    )  # fmt: skip
    assert parse_bundle(_with_facts(_model(len(variants)), made.to_json())).spec == made


def test_optional_facts_may_be_left_out() -> None:
    facts = {key: value for key, value in FACTS.items() if key not in OPTIONAL}
    spec = parse_bundle(_with_facts(_model(), facts)).spec
    assert (spec.task, spec.variants) == ("super-resolution", ("full",))
    assert spec.routing == spec.training == spec.quality == {}


def test_every_variant_needs_its_cut_point() -> None:
    facts = {**FACTS, "variants": ["narrow", "middle", "wide"]}
    assert parse_bundle(_with_facts(_model(3), facts)).spec.widest == 3
    with pytest.raises(BundleError, match=r"no tensor called 'core_out.2', a cut point"):
        parse_bundle(_with_facts(_model(2), facts))


def test_the_same_bundle_is_the_same_bytes(tmp_path: Path) -> None:
    data = [write_bundle(_model(), ModelSpec(**FACTS), tmp_path / f"{k}.onnx").data for k in range(2)]
    turned = dict(reversed(FACTS.items()))
    assert data[0] == data[1] == write_bundle(_model(), ModelSpec(**turned), tmp_path / "3.onnx").data


# -- what is refused
Spoil = Callable[[onnx.ModelProto], Any]


def _constant(**value: Any) -> onnx.NodeProto:
    node = helper.make_node("Constant", [], ["extra"])
    attribute = node.attribute.add()
    ((attribute.name, content),) = value.items()
    if isinstance(content, list):
        attribute.type = AttributeProto.TENSORS
        attribute.tensors.extend(content)
    elif isinstance(content, onnx.SparseTensorProto):
        attribute.type = AttributeProto.SPARSE_TENSOR
        attribute.sparse_tensor.CopyFrom(content)
    else:
        attribute.type = AttributeProto.TENSOR
        attribute.t.CopyFrom(content)
    return node


def _outside(name: str = "extra") -> TensorProto:
    """A tensor whose values are to be read from a file of the attacker's choice."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def _sparse_outside() -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=_outside("v"), indices=_outside("i"), dims=[4])


def _subgraph(kind: str, attribute: str) -> onnx.NodeProto:
    inner = helper.make_graph([_node("Identity", "core_in", "y")], "inner", [], [])
    return helper.make_node(kind, ["core_in"], ["extra"], **{attribute: inner})


def _set(values: Any, **changes: Any) -> None:
    value = values[0]
    value.name = changes.get("name", value.name)
    tensor = value.type.tensor_type
    tensor.elem_type = changes.get("kind", tensor.elem_type)
    if "shape" in changes:
        tensor.shape.CopyFrom(
            helper.make_tensor_value_info("x", TensorProto.UINT8, changes["shape"]).type.tensor_type.shape
        )


def _rename(model: onnx.ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]


def _function(model: onnx.ModelProto) -> None:
    function = helper.make_function("", "Twice", ["a"], ["b"], [_node("Add", "a a", "b")], model.opset_import)
    model.functions.append(function)


HOSTILE_GRAPHS: dict[str, tuple[Spoil, str]] = {
    "custom domain": (lambda m: setattr(m.graph.node[2], "domain", "com.evil"), "of 'com.evil'; only standard ONNX"),
    "training domain": (lambda m: setattr(m.graph.node[2], "domain", "ai.onnx.training"), "only standard ONNX is run"),
    "if": (lambda m: m.graph.node.append(_subgraph("If", "then_branch")), "'If' holds a graph of its own"),
    "loop": (lambda m: m.graph.node.append(_subgraph("Loop", "body")), "'Loop' holds a graph of its own"),
    "functions": (_function, "the model defines functions"),
    "external initializer": (lambda m: m.graph.initializer.append(_outside()), "kept in another file"),
    "external constant": (lambda m: m.graph.node.append(_constant(value=_outside())), "kept in another file"),
    "external list": (lambda m: m.graph.node.append(_constant(values=[_outside()])), "kept in another file"),
    "external sparse constant": (
        lambda m: m.graph.node.append(_constant(sparse_value=_sparse_outside())), "kept in another file",
    ),
    "external sparse initializer": (
        lambda m: m.graph.sparse_initializer.append(_sparse_outside()), "kept in another file",
    ),
    "no core_in": (lambda m: _rename(m, "core_in", "other"), "no tensor called 'core_in', a cut point"),
    "no core_out": (lambda m: _rename(m, "core_out", "other"), "no tensor called 'core_out', a cut point"),
    "no nodes": (lambda m: m.graph.ClearField("node"), "no tensor called 'core_in'"),
    "input name": (lambda m: _set(m.graph.input, name="x"), "exactly 'image' there, it has x"),
    "output name": (lambda m: _set(m.graph.output, name="y"), "exactly 'larger' there, it has y"),
    "two inputs": (lambda m: m.graph.input.append(m.graph.input[0]), "it has image, image"),
    "no input": (lambda m: m.graph.ClearField("input"), "it has nothing"),
    "no output": (lambda m: m.graph.ClearField("output"), "exactly 'larger' there, it has nothing"),
    "float input": (lambda m: _set(m.graph.input, kind=TensorProto.FLOAT), "'image' must be uint8 with the shape"),
    "float output": (lambda m: _set(m.graph.output, kind=TensorProto.FLOAT), "'larger' must be uint8"),
    "three dimensions": (lambda m: _set(m.graph.input, shape=["h", "w", 3]), "'image' must be uint8 with the shape"),
    "five dimensions": (lambda m: _set(m.graph.input, shape=["n", "n", "h", "w", 3]), "'image' must be"),
    "no shape": (lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"), "'image' must be"),
    "four channels": (lambda m: _set(m.graph.input, shape=["n", "h", "w", 4]), "'image' must be"),
    "free channels": (lambda m: _set(m.graph.input, shape=["n", "h", "w", "c"]), "'image' must be"),
    "fixed batch": (lambda m: _set(m.graph.input, shape=[1, "h", "w", 3]), "the first three free"),
    "fixed height": (lambda m: _set(m.graph.input, shape=["n", 64, "w", 3]), "the first three free"),
    "fixed width": (lambda m: _set(m.graph.output, shape=["n", "h", 64, 3]), "'larger' must be"),
    "no graph": (lambda m: m.ClearField("graph"), "exactly 'image' there"),
    "a circle": (lambda m: m.graph.node[2].input.__setitem__(0, "core_out"), ""),  # one engine never ends on these
    "a wide circle": (lambda m: m.graph.node[1].input.__setitem__(0, "planes"), ""),
    "a missing input": (lambda m: m.graph.node[2].input.__delitem__(1), ""),  # and crashes on this
    "an input from nowhere": (lambda m: m.graph.node[2].input.__setitem__(1, "nowhere"), ""),
    "an output made twice": (lambda m: m.graph.node.append(m.graph.node[2]), ""),
    "nodes out of order": (lambda m: m.graph.node.insert(0, m.graph.node.pop(3)), ""),
    "an operator that there is not": (lambda m: setattr(m.graph.node[2], "op_type", "Wobble"), ""),
    "no opset": (lambda m: m.ClearField("opset_import"), ""),
    "a weight of negative size": (lambda m: m.graph.initializer[0].dims.__setitem__(0, -12), ""),
    "a weight without values": (lambda m: m.graph.initializer[0].ClearField("raw_data"), ""),
    "few weights": (lambda m: m.graph.ClearField("initializer"), "state 36 parameters, the graph holds 0 values"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE_GRAPHS)
def test_a_graph_that_is_not_as_described_is_refused(what: str) -> None:
    spoil, message = HOSTILE_GRAPHS[what]
    model = _model()
    spoil(model)
    with pytest.raises(BundleError) as caught:
        parse_bundle(_with_facts(model), "odd.onnx")
    assert str(caught.value).startswith("odd.onnx: ")
    assert message in str(caught.value)


HOSTILE_FACTS: dict[str, tuple[Any, str]] = {
    "nothing": ("", "the facts are not JSON"),
    "text": ("hello", "the facts are not JSON"),
    "cut short": (json.dumps(FACTS)[:-5], "the facts are not JSON"),
    "a list": ([FACTS], "must be a JSON object, got list"),
    "a number": ("7", "must be a JSON object, got int"),
    "null": ("null", "must be a JSON object, got NoneType"),
    "deeply nested": ("[" * 100_000, "the facts are not JSON"),
    "deeply nested objects": ('{"a":' * 100_000, "the facts are not JSON"),
    "a huge number": ('{"scale": 1' + "0" * 5000 + "}", "the facts are not JSON"),
    "too long": (json.dumps({**FACTS, "training": {"log": "x" * MAX_FACTS}}), f"at most {MAX_FACTS} are read"),
    "an unknown fact": ({**FACTS, "speed": 3}, "unknown fact 'speed': the file may come from a newer edgelift"),
    **{
        f"no {key}": ({k: v for k, v in FACTS.items() if k != key}, f"the fact {key!r} is missing")
        for key in sorted(set(FACTS) - OPTIONAL)
    },
    "scale 0": ({**FACTS, "scale": 0}, "fact 'scale': expected 1 to 8, got 0"),
    "scale 9": ({**FACTS, "scale": 9}, "fact 'scale': expected 1 to 8, got 9"),
    "shuffle 0": ({**FACTS, "shuffle": 0}, "fact 'shuffle': expected a divisor of scale, got 0"),
    "shuffle -1": ({**FACTS, "shuffle": -1}, "fact 'shuffle'"),
    "shuffle no divisor": ({**FACTS, "scale": 4, "shuffle": 3}, "fact 'shuffle'"),
    "shuffle above scale": ({**FACTS, "shuffle": 4}, "fact 'shuffle'"),
    "halo -1": ({**FACTS, "halo": -1}, "fact 'halo': expected 0 to 512, or null, got -1"),
    "halo 513": ({**FACTS, "halo": 513}, "fact 'halo'"),
    "multiple_of 0": ({**FACTS, "multiple_of": 0}, "fact 'multiple_of': expected 1 to 256"),
    "multiple_of 257": ({**FACTS, "multiple_of": 257}, "fact 'multiple_of'"),
    "padding": ({**FACTS, "padding": "mirror"}, "fact 'padding': expected zeros or replicate, got 'mirror'"),
    "colour": ({**FACTS, "colour": "cmyk"}, "fact 'colour': expected rgb or y"),
    "task": ({**FACTS, "task": "mining"}, "fact 'task': expected super-resolution or restoration"),
    "parameters -1": ({**FACTS, "parameters": -1}, "parameters and macs of 0 to"),
    "macs -1": ({**FACTS, "macs": -1}, "parameters and macs of 0 to"),
    "macs without end": ({**FACTS, "macs": 10**400}, "parameters and macs of 0 to"),
    "macs of variants": ({**FACTS, "routing": {"macs": 5}}, "fact 'routing': expected macs as a list of 0 to"),
    "macs of a variant": ({**FACTS, "routing": {"macs": ["5"]}}, "fact 'routing': expected macs as a list of 0 to"),
    "parameters that are not there": ({**FACTS, "parameters": 37}, "state 37 parameters, the graph holds 36 values"),
    "no variants": ({**FACTS, "variants": []}, "fact 'variants': expected at least one name"),
    "variants that are no names": ({**FACTS, "variants": ["full", 2]}, "fact 'variants'"),
    "an empty name": ({**FACTS, "name": ""}, "fact 'name': expected 1 to 100 printable characters"),
    "a long name": ({**FACTS, "name": "x" * 101}, "fact 'name'"),
    "a name with an escape": ({**FACTS, "name": "\x1b[2J"}, "fact 'name'"),
    "half a character in the name": (json.dumps({**FACTS, "name": "\ud800"}), "fact 'name'"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE_FACTS)
def test_facts_that_do_not_hold_are_refused(what: str) -> None:
    facts, message = HOSTILE_FACTS[what]
    with pytest.raises(BundleError) as caught:
        parse_bundle(_with_facts(_model(), facts), "odd.onnx")
    assert str(caught.value).startswith("odd.onnx: ")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 10_000


WRONG = {"str": 7, "int": "7", "int | None": "7", "tuple[str, ...]": "full", "dict[str, Any]": []}


@pytest.mark.parametrize("field", dataclasses.fields(ModelSpec), ids=lambda f: f.name)
def test_every_fact_has_its_type(field: dataclasses.Field[Any]) -> None:
    kind = str(field.type)
    fits = {"int | None": [None], "tuple[str, ...]": [[]], "dict[str, Any]": [{}]}.get(kind, [])
    for wrong in (WRONG[kind], True, 1.5, None, [], {}):
        if not any(type(wrong) is type(fit) for fit in fits):
            with pytest.raises(BundleError, match=f"fact '{field.name}': expected"):
                parse_bundle(_with_facts(_model(), {**FACTS, field.name: wrong}))


@pytest.mark.parametrize("version", ["2", "0", "", "1.0", "one", "1" * 1000, " 1"])
def test_another_version_is_refused(version: str) -> None:
    with pytest.raises(BundleError, match=f"this edgelift reads {VERSION}; a newer edgelift may read it") as caught:
        parse_bundle(_with_facts(_model(), version=version))
    assert len(str(caught.value)) < 200


def test_a_version_without_facts_is_refused() -> None:
    model = _model()
    helper.set_model_props(model, {"edgelift.version": str(VERSION)})
    with pytest.raises(BundleError, match="the facts are not JSON"):
        parse_bundle(model.SerializeToString())


NO_BUNDLES: dict[str, tuple[bytes, str | None]] = {
    "an empty file": (b"", "an empty file"),
    "text": (b"This is not a model.\n" * 10, "not an ONNX file, or a damaged one"),
    "a PNG": (b"\x89PNG\r\n\x1a\n" + bytes(100), "not an ONNX file, or a damaged one"),
    "zeros": (bytes(1000), "not an ONNX file, or a damaged one"),
    "a plain ONNX model": (_model().SerializeToString(), "no edgelift facts in it; it is not a bundle"),
    "two bundles": (GOOD + GOOD, ""),
    "text that is not UTF-8": (GOOD.replace(b"edgelift.version", b"edgelift.\xff\xfe\xfdsion"), ""),
    "facts that are not UTF-8": (GOOD.replace(b"small-x2", b"\xff\xfe\xfd\xfc\xff\xfe\xfd\xfc"), ""),
    "names that are not UTF-8": (GOOD.replace(b"image", b"im\xff\xfee"), "there is text in it that is none"),
    "an operator that is not UTF-8": (GOOD.replace(b"DepthToSpace", b"\xff\xfe\xfd\xfcToSpace"), None),
}


@pytest.mark.parametrize("what", NO_BUNDLES)
def test_what_is_no_bundle_is_refused(what: str, tmp_path: Path) -> None:
    data, message = NO_BUNDLES[what]
    path = tmp_path / "odd.onnx"
    path.write_bytes(data)
    if message is None:  # either it is refused, or it is read as what it is
        _parse_or_refuse(data)
        return
    with pytest.raises(BundleError) as caught:
        read_bundle(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def _parse_or_refuse(data: bytes) -> Bundle | None:
    """Nothing but `BundleError` may come out of it."""
    try:
        return parse_bundle(data)
    except BundleError:
        return None


@pytest.mark.parametrize("share", [0, 1, 2, 3])
def test_a_file_that_is_cut_short_is_refused(share: int) -> None:
    """At every length: facts and version stand last, so that none of these is whole."""
    for length in range(share, len(GOOD), 4):
        assert _parse_or_refuse(GOOD[:length]) is None, length


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(1, 255)), min_size=1, max_size=8))
def test_flipped_bytes_are_refused_or_read(flips: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD)
    for at, bits in flips:
        data[at] ^= bits
    _parse_or_refuse(bytes(data))


def test_every_single_bit_flip_is_refused_or_read() -> None:
    """A sample of one in three, drawn once: the whole takes seconds."""
    draw = random.Random(0)
    for at in draw.sample(range(8 * len(GOOD)), 8 * len(GOOD) // 3):
        data = bytearray(GOOD)
        data[at // 8] ^= 1 << at % 8
        _parse_or_refuse(bytes(data))


@settings(max_examples=200)
@given(st.integers(0, len(GOOD)), st.integers(0, 40), st.binary(max_size=40))
def test_replaced_parts_are_refused_or_read(at: int, removed: int, added: bytes) -> None:
    _parse_or_refuse(GOOD[:at] + added + GOOD[at + removed :])


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_noise_is_refused(data: bytes) -> None:
    assert _parse_or_refuse(data) is None


@settings(max_examples=200)
@given(st.sampled_from(sorted(FACTS)), JSON_VALUES)
def test_any_value_of_a_fact_is_refused_or_read(key: str, value: Any) -> None:
    bundle = _parse_or_refuse(_with_facts(_model(), {**FACTS, key: value}))
    assert bundle is None or bundle.spec == ModelSpec(**{**FACTS, key: value})


# -- limits
def test_a_file_that_is_too_large_is_not_even_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.onnx"
    path.write_bytes(GOOD)
    monkeypatch.setattr(module, "MAX_BYTES", len(GOOD))
    read_bundle(path)
    monkeypatch.setattr(module, "MAX_BYTES", len(GOOD) - 1)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("it was read"))
    with pytest.raises(
        BundleError, match=rf"large\.onnx: {len(GOOD)} bytes; bundles of at most {len(GOOD) - 1} are read"
    ):
        read_bundle(path)


def test_too_many_nodes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NODES", 5)
    with pytest.raises(BundleError, match="the graph has 6 nodes; at most 5 are read"):
        parse_bundle(GOOD)


def test_the_limit_of_facts_counts_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As its description says: text beyond ASCII takes more than one byte a character."""
    facts = json.dumps({**FACTS, "training": {"note": "×" * 500}}, ensure_ascii=False)
    monkeypatch.setattr(spec_module, "MAX_FACTS", len(facts.encode()))
    parse_bundle(_with_facts(_model(), facts))
    monkeypatch.setattr(spec_module, "MAX_FACTS", len(facts.encode()) - 1)
    with pytest.raises(BundleError, match="are read"):
        parse_bundle(_with_facts(_model(), facts))


# -- reading and writing files
def test_a_file_that_cannot_be_read_is_a_bundle_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"none\.onnx: cannot be read \(No such file or directory\)"):
        read_bundle(tmp_path / "none.onnx")
    with pytest.raises(BundleError, match="cannot be read"):
        read_bundle(tmp_path)


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"small\.onnx: exists already"):
        write_bundle(_model(), ModelSpec(**FACTS), path)
    assert path.read_bytes() == b"mine"
    write_bundle(_model(), ModelSpec(**FACTS), path, overwrite=True)
    assert read_bundle(path).spec.name == "small-x2"
    assert [p.name for p in tmp_path.iterdir()] == ["small.onnx"]


def test_the_longest_name_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / f"{'n' * 250}.onnx"
    write_bundle(_model(), ModelSpec(**FACTS), path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with pytest.raises(OutputError, match="File name too long"):
        write_bundle(_model(), ModelSpec(**FACTS), tmp_path / f"{'n' * 251}.onnx")


def test_a_model_that_is_no_bundle_is_not_written(tmp_path: Path) -> None:
    model = _model()
    _rename(model, "core_in", "other")
    with pytest.raises(BundleError, match="core_in"):
        write_bundle(model, ModelSpec(**FACTS), tmp_path / "new" / "small.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("when", ["replace", "fsync"])
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "stopped"]
)
def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, error: BaseException
) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(b"old")

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(os, when, fail)
    expected = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write_bundle(_model(), ModelSpec(**FACTS), path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["small.onnx"]
    assert path.read_bytes() == b"old"


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="the folder cannot be made"):
        write_bundle(_model(), ModelSpec(**FACTS), tmp_path / "file" / "small.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write_bundle(_model(), ModelSpec(**FACTS), tmp_path / "folder.onnx", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.onnx"]


# -- bundled networks
def test_the_bundles_of_the_package_are_good() -> None:
    found = bundled()
    assert list(found) == sorted(found)
    assert "abpn-x3" in found
    for name, path in found.items():
        spec = read_bundle(path).spec
        assert spec.name == name
        assert spec.licence
        assert spec.halo is not None
        onnx.checker.check_model(str(path))


def test_a_name_or_a_path_finds_a_bundle(tmp_path: Path) -> None:
    assert find_bundle("abpn-x3") == bundled()["abpn-x3"]
    path = tmp_path / "mine.onnx"
    path.write_bytes(GOOD)
    assert find_bundle(path) == path
    assert find_bundle(str(path)) == path


@pytest.mark.parametrize("name", ["abpn-x9", "", ".", "no/such.onnx", "x" * 5000, "a\0b"], ids=lambda n: repr(n[:12]))
def test_an_unknown_name_lists_those_there_are(name: str) -> None:
    with pytest.raises(RequestError, match="no model is called") as caught:
        find_bundle(name)
    assert all(known in str(caught.value) for known in (*bundled(), *KERNELS))


@settings(max_examples=100)
@given(st.text(max_size=20).filter(lambda s: "\x00" not in s))
def test_looking_for_any_name_ends_well(name: str) -> None:
    with contextlib.suppress(RequestError):
        assert find_bundle(name).is_file()


# -- the description
@pytest.fixture(scope="module")
def description(repository: Path) -> str:
    return (repository / "docs" / "bundle-format.md").read_text(encoding="utf-8")


def test_the_description_names_every_fact_and_every_limit(description: str) -> None:
    rows = {line.split("|")[1].strip(" `"): line for line in description.splitlines() if line.startswith("| `")}
    for field in dataclasses.fields(ModelSpec):
        row = rows[field.name]
        assert ("| yes |" in row) == (field.name not in OPTIONAL), field.name
        if isinstance(field.default, str):
            assert f'`"{field.default}"`' in row
    for names in (PADDINGS, COLOURS, TASKS):
        assert all(f"`{name}`" in description for name in names)
    for where in (module, spec_module):
        for name in (name for name in vars(where) if name.startswith("MAX_")):
            assert f"| {getattr(where, name):,} |".replace(",", " ") in rows[name]
            assert f"`{where.__name__}`" in rows[name]
    assert f"version **{VERSION}**" in description


def test_what_the_description_shows_runs(description: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = description.split("```python\n")[1].split("```")[0]
    path = tmp_path / "abpn-x3.onnx"
    path.write_bytes(GOOD)
    exec(code.replace('"abpn-x3.onnx"', repr(str(path))), {})
    assert capsys.readouterr().out == "small-x2 enlarges ×2, halo 1, licence CC0-1.0\n"


def _messages() -> list[str]:
    """What the hostile cases above are refused with."""
    data = [data for data, _ in NO_BUNDLES.values()]
    data += [_with_facts(_model(), facts) for facts, _ in HOSTILE_FACTS.values()] + [_with_facts(_model(), version="2")]
    for spoil, _ in HOSTILE_GRAPHS.values():
        model = _model()
        spoil(model)
        data.append(_with_facts(model))
    came = []
    for each in data:
        try:
            parse_bundle(each)
        except BundleError as exc:
            came.append(str(exc).removeprefix("bundle: "))
    return came


def test_the_messages_that_the_description_shows_are_given(description: str) -> None:
    rows = description.split("## What is refused")[1].split("## Read")[0].splitlines()
    shown = [line.split("|")[2].strip(" `") for line in rows if line.startswith("| ")][1:]
    elsewhere = ("cannot be read", "bytes; bundles", "60000 nodes", "the core ")  # these take more than a file's bytes
    shown = [message for message in shown if not any(part in message for part in elsewhere)]
    assert len(shown) >= 18
    came = _messages()
    for message in shown:
        parts = re.split(r"'[^']*'|\b\d+\b|…|list|x, y", message)  # names and numbers are examples
        form = ".*".join(re.escape(part) for part in parts)
        assert any(re.search(form, text) for text in came), message
