"""The memory of inner tensors, counted by hand for one network and by the graph."""

from __future__ import annotations

import dataclasses

import onnx
import pytest
from onnx import shape_inference

from edgelift.io.activations import activation_bytes
from edgelift.io.bundle import Bundle, bundled, read_bundle


@pytest.fixture(scope="module")
def abpn() -> Bundle:
    return read_bundle(bundled()["abpn-x3"])


def test_abpn(abpn: Bundle) -> None:
    """At its widest: the last convolution's 27 channels in f32, nine copies of the input to be added, and their sum."""
    assert activation_bytes(abpn) == 3 * 27 * 4
    assert activation_bytes(abpn, "float32") == 3 * 27 * 4


def test_sides_that_must_be_a_multiple(abpn: Bundle) -> None:
    wide = dataclasses.replace(abpn, spec=dataclasses.replace(abpn.spec, multiple_of=48))
    assert activation_bytes(wide) == activation_bytes(abpn)


def test_a_graph_whose_shapes_are_not_known(abpn: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(model: onnx.ModelProto, **options: bool) -> onnx.ModelProto:
        raise shape_inference.InferenceError("no")

    monkeypatch.setattr(shape_inference, "infer_shapes", fails)
    assert activation_bytes(abpn) > 1000
    monkeypatch.setattr(shape_inference, "infer_shapes", lambda model, **options: model)
    assert activation_bytes(abpn) > 0
