"""ONNX models of others become bundles: in either layout and range, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgelift.cli.app import run
from edgelift.core.errors import BundleError, RequestError
from edgelift.forge.bundles import network_from
from edgelift.forge.importing import import_onnx
from edgelift.io.bundle import bundled, read_bundle
from edgelift.runtime.upscaler import Upscaler

SCALE = 2


def _model(
    *, last: bool = False, white: int = 1, stated: bool = True, opset: int = 13, pads: int = 1
) -> onnx.ModelProto:
    """conv3(3→12) · pixel shuffle, in float; names as our own ends have them, to see that these do not clash."""
    rng = np.random.default_rng(5)
    weight = rng.normal(0, 0.1, (3 * SCALE**2, 3, 3, 3)).astype(np.float32)
    bias = np.full(3 * SCALE**2, 0.4 * white, np.float32)
    start, end = ("turned", "planes") if last else ("core_in", "core_out")
    nodes = [
        helper.make_node("Conv", [start, "small", "large"], ["blocks"], pads=[pads] * 4),
        helper.make_node("DepthToSpace", ["blocks"], [end], blocksize=SCALE, mode="CRD"),
    ]
    shape: list[Any] = [1, 3, "h", "w"]
    if last:
        nodes.insert(0, helper.make_node("Transpose", ["core_in"], ["turned"], perm=[0, 3, 1, 2]))
        nodes.append(helper.make_node("Transpose", ["planes"], ["core_out"], perm=[0, 2, 3, 1]))
        shape = ["n", "h", "w", 3]
    result = [1, "rows", "columns", 3] if last else [1, 3, "rows", "columns"]
    graph = helper.make_graph(
        nodes, "theirs",
        [helper.make_tensor_value_info("core_in", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("core_out", TensorProto.FLOAT, result if stated else None)],
        [numpy_helper.from_array(weight, "small"), numpy_helper.from_array(bias, "large")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="/home/them")
    model.ir_version = 7
    return model


def _picture(height: int = 9, width: int = 14) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def _wanted(model: onnx.ModelProto, picture: NDArray[np.uint8], *, last: bool, white: int) -> NDArray[Any]:
    x = picture[None].astype(np.float32) * white / 255
    x = x.astype(np.float32) if last else x.astype(np.float32).transpose(0, 3, 1, 2)
    out = np.asarray(onnx.reference.ReferenceEvaluator(model).run(None, {"core_in": x})[0])
    out = out if last else out.transpose(0, 2, 3, 1)
    return np.asarray(np.clip(out[0] * 255 / white, 0, 255))


def _saved(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("white", [1, 255])
@pytest.mark.parametrize("last", [False, True])
def test_a_bundle_gives_what_the_model_gives(tmp_path: Path, last: bool, white: int, stated: bool) -> None:
    model = _model(last=last, white=white, stated=stated)
    bundle = import_onnx(_saved(model, tmp_path / "theirs.onnx"), tmp_path / "ours.onnx", white=white, licence="MIT")
    spec = bundle.spec
    assert (spec.name, spec.architecture, spec.scale, spec.shuffle, spec.halo) == ("ours", "foreign", SCALE, 1, None)
    assert (spec.parameters, spec.macs, spec.licence) == (12 * 27 + 12, 12 * 27, "MIT")
    assert spec.training["imported"]["file"] == "theirs.onnx"
    assert b"/home/them" not in bundle.data
    picture = _picture()
    wanted = _wanted(model, picture, last=last, white=white)
    assert 0.05 < wanted.std() / 255 < 0.4, "the test's own network"
    larger = np.asarray(onnx.reference.ReferenceEvaluator(bundle.graph()).run(None, {"image": picture[None]})[0])
    assert np.abs(larger[0] - wanted).max() <= 0.5 + 1e-3
    with pytest.raises(BundleError, match="no network can be rebuilt from it"):
        network_from(bundle)


def test_engines_run_it(tmp_path: Path) -> None:
    """Named as the tensors of our own ends, the foreign ones do not clash with them."""
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    model = _model()
    import_onnx(_saved(model, tmp_path / "theirs.onnx"), tmp_path / "ours.onnx")
    picture = _picture(31, 22)
    with Upscaler(str(tmp_path / "ours.onnx"), scale=SCALE, engine="onnxruntime", precision="f32") as upscaler:
        larger = upscaler(picture)
    assert np.abs(larger - _wanted(model, picture, last=False, white=1)).max() <= 0.5 + 1e-3


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _saved(_model(white=255), tmp_path / "theirs.onnx")
    monkeypatch.chdir(tmp_path)
    assert run(["import", "theirs.onnx", "-o", "ours.onnx", "--white", "255"]) == 0
    assert capsys.readouterr().out.startswith("ours.onnx: foreign ×2, from ONNX; 336 parameters, the whole picture")
    assert read_bundle(Path("ours.onnx")).spec.licence == "LicenseRef-Unknown"
    for words, reason in (
        (["theirs.onnx"], "theirs.onnx would be replaced by its bundle; name another by --output"),
        (["theirs.onnx", "-o", "b.onnx", "--white", "2"], "--white must be 1 or 255, got 2"),
        (["theirs.onnx", "-o", "b.onnx", "--scale", "2"], "--scale is for weights alone"),
        (["theirs.pth", "--white", "1"], "--white and --multiple-of are for .onnx and .tflite files"),
        (["ours.onnx", "-o", "b.onnx"], "ours.onnx: it is a bundle already"),
    ):
        assert run(["import", *words]) == RequestError.exit_code
        assert reason in capsys.readouterr().err
    assert run(["import", "absent.onnx", "-o", "b.onnx"]) == BundleError.exit_code
    assert "absent.onnx: cannot be read" in capsys.readouterr().err
    assert not Path("b.onnx").exists()


# -- what is refused
def _second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("noise", TensorProto.FLOAT, [1, 1, 1, 1]))


def _bytes(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8


def _grey(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1


def _custom(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.example"


def _branch(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["core_in"], ["either"], then_branch=inner, else_branch=inner))


def _outside(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


def _one_size(model: onnx.ModelProto) -> None:
    """As exporters write it that were given one size: a reshape to numbers."""
    model.graph.node[0].input[0] = "fixed"
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 3, 64, 64], np.int64), "shape"))
    model.graph.node.insert(0, helper.make_node("Reshape", ["core_in", "shape"], ["fixed"]))


def _half(model: onnx.ModelProto) -> None:
    """Every second pixel."""
    model.graph.node[0].attribute.append(helper.make_attribute("strides", [2, 1]))


def _no_result(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Relu", ["core_in"], []))


def _bomb(model: onnx.ModelProto) -> None:
    """A tensor larger than any memory."""
    model.graph.node[0].input[0] = "padded"
    model.graph.initializer.append(numpy_helper.from_array(np.array([0] * 6 + [10**7] * 2, np.int64), "amounts"))
    model.graph.node.insert(0, helper.make_node("Pad", ["core_in", "amounts"], ["padded"]))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_second_input, "the graph has 2 inputs; one picture is expected"),
        (_bytes, "the input 'core_in' is no float picture of four dimensions"),
        (_grey, r"the input 'core_in' has no dimension of 3 colours: its sizes are \[1, 1, 0, 0\]"),
        (_custom, "the graph uses the operator 'Conv' of 'com.example'"),
        (_branch, "the operator 'If' holds a graph of its own"),
        (_outside, "weights are kept in another file"),
        (_one_size, "it cannot be run on a picture of 20×16 .*; have it exported with free sizes"),
        (_no_result, "not a valid ONNX graph"),
        (_bomb, "it cannot be run on a picture of 20×16 .Unable to allocate"),
        (_half, "a picture of 20×16 becomes 16×40×3: not in colours, and a whole number of times"),
    ],
)
def test_what_no_bundle_can_be_is_refused(
    tmp_path: Path, spoil: Callable[[onnx.ModelProto], None], reason: str
) -> None:
    model = _model()
    spoil(model)
    path = _saved(model, tmp_path / "theirs.onnx")
    with pytest.raises(BundleError, match=reason) as caught:
        import_onnx(path, tmp_path / "ours.onnx")
    assert str(caught.value).startswith(f"{path}: ")
    assert not (tmp_path / "ours.onnx").exists()


def test_other_files_are_refused(tmp_path: Path) -> None:
    path, output = tmp_path / "theirs.onnx", tmp_path / "ours.onnx"
    for model, reason in (
        (_model(opset=9), "ONNX operators of version 9; 11 or newer is read"),
        (_model(pads=0), "a picture of 20×16 becomes 28×36×3"),
    ):
        with pytest.raises(BundleError, match=reason):
            import_onnx(_saved(model, path), output)
    path.write_bytes(b"text")
    with pytest.raises(BundleError, match="not an ONNX file, or a damaged one"):
        import_onnx(path, output)
    path.write_bytes(_model().SerializeToString().replace(b"core_in", b"core_\xff\xfe"))
    with pytest.raises(BundleError, match="there is text in it that is none"):
        import_onnx(path, output)
    with pytest.raises(RequestError, match="it is a bundle already"):
        import_onnx(bundled()["abpn-x3"], output)
    assert not output.exists()
