"""What targets write, for networks of the zoo: run by the target's own engine beside PyTorch, and twice the same."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgelift.core.errors import EngineMissingError, RequestError
from edgelift.forge.compile import Order, converted
from edgelift.forge.gate import enlarge
from edgelift.forge.reference import ReferenceEngine
from edgelift.io.blocks import core_model
from edgelift.io.bundle import Bundle, read_bundle, write_bundle
from edgelift.runtime.engine import Options
from edgelift.runtime.engines import ENGINES, open_engine
from edgelift.targets.base import TARGETS, Source, load_target

NETWORKS: list[tuple[str, dict[str, Any]]] = [
    ("abpn", {"scale": 2, "channels": 6, "layers": 1}),
    ("abpn", {"scale": 3, "channels": 6, "layers": 1}),
    ("abpn", {"scale": 4, "channels": 6, "layers": 1}),
    ("abpn", {"scale": 3, "channels": 6, "layers": 1, "padding": "replicate"}),
    ("abpn", {"scale": 2, "residual": "feature", "channels": 6, "layers": 1}),
    ("fsrcnn", {"scale": 2, "channels": 8, "shrunk": 4, "layers": 1}),
    ("fsrcnn", {"scale": 2, "channels": 8, "shrunk": 4, "layers": 1, "luma": "limited"}),
    ("plain", {"scale": 3, "channels": 6, "layers": 1}),
]
HERE = [name for name in ("openvino", "litert") if not load_target(name).missing()]
EACH = pytest.mark.parametrize("target", HERE)


@pytest.fixture(scope="module")
def bundle_of(exports: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Bundle, Any]]:
    folder = tmp_path_factory.mktemp("targets")

    def make(name: str, config: dict[str, Any]) -> tuple[Bundle, Any]:
        made = exports.exported(name, **config)
        path = folder / f"{made.spec.name}.onnx"
        return write_bundle(made.model(), made.spec, path, overwrite=True), made.network

    return make


def picture(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height)
    return np.clip(rng.normal(0, 20, (height, width, 3)) + np.linspace(0, 255, width)[:, None], 0, 255).astype(np.uint8)


@EACH
@pytest.mark.parametrize(("name", "config"), NETWORKS, ids=lambda case: case if isinstance(case, str) else "")
@pytest.mark.parametrize("precision", ["float", "fp16"])
def test_pictures_are_those_of_pytorch(
    bundle_of: Callable[..., tuple[Bundle, Any]], target: str, name: str, config: dict[str, Any], precision: str
) -> None:
    bundle, network = bundle_of(name, config)
    made = converted(bundle, Order(target, precision))
    engine, reference = (
        open_engine(made, target, Options(precision="f32", threads=1)),
        ReferenceEngine(network, bundle.spec),
    )
    for size in ((1, 1), (13, 24)):
        here, there = enlarge(engine, picture(*size)), enlarge(reference, picture(*size))
        assert np.abs(here.astype(int) - there.astype(int)).max() <= 1
        assert np.mean(here != there) < (0.01 if precision == "float" else 0.2)
    assert there.std() > 10
    engine.close()


@EACH
@pytest.mark.parametrize("precision", ["float", "fp16"])
def test_the_same_bundle_gives_the_same_bytes(plain_bundle: Path, target: str, precision: str) -> None:
    first, second = (converted(read_bundle(plain_bundle), Order(target, precision)) for _ in range(2))
    assert (first.data, first.weights) == (second.data, second.weights)


@EACH
def test_a_compiled_file_states_the_facts_and_no_place(plain_bundle: Path, target: str) -> None:
    made = converted(read_bundle(plain_bundle), Order(target))
    spec = read_bundle(plain_bundle).spec
    assert made.form == target
    assert (made.spec.name, made.spec.scale, made.spec.halo, made.spec.licence) == (
        spec.name,
        2,
        spec.halo,
        spec.licence,
    )
    stated = made.spec.training["compiled"]
    assert stated["target"] == target
    assert stated["activation_bytes"] > 0
    assert str(plain_bundle.parent).encode() not in made.data


@EACH
def test_weights_of_16_bits_take_half_the_room(plain_bundle: Path, target: str) -> None:
    wide, half = (converted(read_bundle(plain_bundle), Order(target, p)) for p in ("float", "fp16"))
    saved = len(wide.weights or wide.data) - len(half.weights or half.data)
    assert saved > 1.2 * 1100


@pytest.mark.skipif("litert" not in HERE, reason="LiteRT is not installed")
class TestLiteRT:
    @staticmethod
    def _interpreter(bundle: Bundle) -> Any:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        made = Interpreter(
            model_content=bundle.data, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        made.allocate_tensors()
        return made

    def test_no_stray_operators(self, bundle_of: Callable[..., tuple[Bundle, Any]]) -> None:
        bundle, _ = bundle_of(*NETWORKS[1])
        kinds = [op["op_name"] for op in self._interpreter(converted(bundle, Order("litert")))._get_ops_details()]
        ends = ["ADD", "RELU", "MINIMUM", "DEPTH_TO_SPACE"]
        assert kinds == ["CONV_2D"] * 4 + ["CONCATENATION"] * 2 + ends, "nine copies are joined three by three"

    def test_xnnpack_runs_all_of_a_network_with_an_anchor(self, bundle_of: Callable[..., tuple[Bundle, Any]]) -> None:
        bundle, _ = bundle_of(*NETWORKS[1])
        assert open_engine(converted(bundle, Order("litert"))).remark == "XNNPACK runs all of it"  # type: ignore[attr-defined]

    def test_and_says_where_it_does_not(self, bundle_of: Callable[..., tuple[Bundle, Any]]) -> None:
        bundle, _ = bundle_of(*NETWORKS[3])
        assert "LiteRT's own operators run the rest" in open_engine(converted(bundle, Order("litert"))).remark  # type: ignore[attr-defined]

    def test_whole_numbers_have_no_prelu(self, bundle_of: Callable[..., tuple[Bundle, Any]], calibration: Path) -> None:
        pytest.importorskip("onnxruntime", reason="calibration runs on ONNX Runtime")
        bundle, _ = bundle_of(*NETWORKS[5])
        made = converted(bundle, Order("litert", "int8", calibration))
        assert "PRELU" not in {op["op_name"] for op in self._interpreter(made)._get_ops_details()}
        assert made.spec.macs > bundle.spec.macs
        here, there = (enlarge(open_engine(m), picture(40, 50)).astype(int) for m in (made, bundle))
        assert np.abs(here - there).mean() < 2

    @pytest.mark.parametrize("bits", ["int8", "int16x8"])
    def test_a_number_that_is_added_has_a_grid_of_its_own(
        self, bundle_of: Callable[..., tuple[Bundle, Any]], calibration: Path, bits: str
    ) -> None:
        pytest.importorskip("onnxruntime", reason="calibration runs on ONNX Runtime")
        bundle, _ = bundle_of(*NETWORKS[6])
        made = converted(bundle, Order("litert", bits, calibration))
        here, there = (enlarge(open_engine(m), picture(40, 50)).astype(int) for m in (made, bundle))
        assert np.abs(here - there).mean() < 3

    @pytest.mark.parametrize(
        ("kind", "shape", "says"),
        [
            ("Add", (1, 8, 5, 5), "not one number for each channel"),
            ("Relu", (1, 8, 1, 1), "Relu of a constant has no form"),
        ],
    )
    def test_other_constants_are_problems(
        self, plain_bundle: Path, kind: str, shape: tuple[int, ...], says: str
    ) -> None:
        bundle = read_bundle(plain_bundle)
        core = core_model(bundle)
        core.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(shape, np.float32), "held"))
        given = ["wide", "held"] if kind == "Add" else ["held"]
        core.graph.node.insert(1, onnx.helper.make_node(kind, given, ["more"]))
        problems = load_target("litert").problems(Source(bundle.spec, bundle.graph(), core))
        assert len(problems) == 1
        assert says in problems[0]

    def test_the_file_names_the_size_that_was_asked_for(self, plain_bundle: Path) -> None:
        made = self._interpreter(converted(read_bundle(plain_bundle), Order("litert", sizes=((24, 40),))))
        assert made.get_input_details()[0]["shape"].tolist() == [1, 24, 40, 3]
        assert made.get_output_details()[0]["shape"].tolist() == [1, 48, 80, 3]
        assert made.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["larger"]}}

    def test_what_it_cannot_take_is_named(self, bundle_of: Callable[..., tuple[Bundle, Any]]) -> None:
        bundle, _ = bundle_of("abpn", {"scale": 3, "residual": "image", "channels": 6, "layers": 1})
        with pytest.raises(RequestError, match=r"litert cannot take .*: its core enlarges inside"):
            converted(bundle, Order("litert"))

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"op_type": "Sigmoid"}, "the operator 'Sigmoid' has no form here; there are Add"),
            ({"group": 2}, "a convolution in groups"),
            ({"strides": [2, 2]}, "strides or dilations"),
            ({"dilations": [2, 2]}, "strides or dilations"),
        ],
    )
    def test_problems(self, plain_bundle: Path, change: dict[str, Any], says: str) -> None:
        bundle = read_bundle(plain_bundle)
        core = core_model(bundle)
        node = core.graph.node[0]
        if "op_type" in change:
            node.op_type = change["op_type"]
        else:
            node.attribute.append(onnx.helper.make_attribute(*next(iter(change.items()))))
        problems = load_target("litert").problems(Source(bundle.spec, bundle.graph(), core))
        assert len(problems) == 1
        assert says in problems[0]


def test_every_target_of_the_table_is_whole() -> None:
    assert list(TARGETS) == ["onnx", "openvino", "litert", "bm1684x"]
    for name in TARGETS:
        target = load_target(name)
        assert target.name == name
        assert target.suffix.startswith(".")
        assert target.about
        assert "float" in target.precisions
    with pytest.raises(
        RequestError, match="no target is called 'toaster'; choose from onnx, openvino, litert, bm1684x"
    ):
        load_target("toaster")


@pytest.mark.parametrize(("target", "package"), [("openvino", "openvino"), ("litert", "ai_edge_litert")])
def test_a_tool_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, plain_bundle: Path, target: str, package: str
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == package else real(name, *more))
    with pytest.raises(EngineMissingError, match=rf"is not installed; pip install 'edgelift\[{target}\]'"):
        converted(read_bundle(plain_bundle), Order(target))
    assert target in ENGINES, "what runs a target's files has the same extra"


@pytest.mark.parametrize(
    ("target", "package", "says"),
    [
        ("litert", "flatbuffers", r"LiteRT is installed in part \(half a package\)"),
        ("litert", "ai_edge_litert", r"LiteRT is installed in part \("),
        ("openvino", "openvino", r"OpenVINO is installed, but does not start \(half a package\)"),
    ],
)
def test_a_tool_that_is_installed_in_part_is_named(
    monkeypatch: pytest.MonkeyPatch, plain_bundle: Path, tmp_path: Path, target: str, package: str, says: str
) -> None:
    if load_target(target).missing():
        pytest.skip(f"{target} is not installed")
    (tmp_path / package).mkdir()
    text = "" if package == "ai_edge_litert" else "raise ImportError('half a package')"
    (tmp_path / package / "__init__.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] in (package, "ai_edge_litert")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(EngineMissingError, match=rf"{says}.*; pip install --force-reinstall 'edgelift\[{target}\]'"):
        converted(read_bundle(plain_bundle), Order(target))
