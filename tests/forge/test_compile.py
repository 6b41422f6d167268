"""Compiling and quantising as a whole: what is written, what passes the gate, what is refused, what is left behind."""

from __future__ import annotations

import json
import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgelift.core.errors import BundleError, EngineError, InputError, OutputError, RequestError
from edgelift.evaluate.profile.synthetic import scene, write_png
from edgelift.forge import compile as compiling
from edgelift.forge.compile import Order, compile_bundle, converted, one_network
from edgelift.forge.gate import Parity, enlarge, measured
from edgelift.forge.maps import Maps
from edgelift.forge.tiles import TILE, Proof, calibration_tiles, proofs
from edgelift.io import places
from edgelift.io.bundle import Bundle, bundled, read_bundle, write_bundle
from edgelift.io.compiled import read_model
from edgelift.runtime.engine import Options
from edgelift.runtime.engines import availability, open_engine
from edgelift.runtime.engines.onnxruntime import open_exact
from edgelift.runtime.upscaler import Upscaler
from edgelift.targets.base import load_target

HERE = [found.engine for found in availability() if not found.problem]
pytestmark = pytest.mark.skipif("onnxruntime" not in HERE, reason="calibration runs on ONNX Runtime")
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "litert": ".tflite"}
TARGETS = pytest.mark.parametrize("target", [name for name in SUFFIXES if not load_target(name).missing()])


@pytest.fixture(scope="module")
def plain(plain_bundle: Path) -> Bundle:
    return read_bundle(plain_bundle)


@pytest.fixture(scope="module")
def eight(plain: Bundle, calibration: Path) -> Bundle:
    return converted(plain, Order(precision="int8", calibration=calibration))


# -- what is written
@TARGETS
def test_a_compiled_file_is_written_with_what_the_gate_found(
    tmp_path: Path, plain: Bundle, eight: Bundle, target: str
) -> None:
    path = tmp_path / f"m{SUFFIXES[target]}"
    parity = compile_bundle(eight, Order(target), path)
    made = read_model(path)
    assert made.spec.bits == "int8"
    assert made.spec.quality["parity"] == parity.facts()
    beside = json.loads((tmp_path / f"{path.name}.json").read_text())
    assert beside["parity"]["bytes"] == len(made.data) + len(made.weights) == parity.bytes
    assert beside["parity"]["ms"] > 0
    assert beside["machine"]["cpu"]
    files = {path.name, f"{path.name}.json", *(["m.bin"] if target == "openvino" else [])}
    assert {p.name for p in tmp_path.iterdir()} == files, "and nothing else is left behind"
    assert parity.psnr_to_parent is None or parity.psnr_to_parent > 45


@TARGETS
def test_tiles_of_an_int8_file_are_its_whole(tmp_path: Path, eight: Bundle, target: str) -> None:
    path = tmp_path / f"m{SUFFIXES[target]}"
    compile_bundle(eight, Order(target), path)
    picture = scene(61, 74)
    for engine in [name for name in HERE if made_for(name, target)]:
        with (
            Upscaler(path, engine=engine, tile=(61, 74)) as whole,
            Upscaler(path, engine=engine, tile=(24, 31)) as tiled,
        ):
            assert "int8" in whole.runs_on
            assert np.array_equal(whole(picture), tiled(picture)), engine


def made_for(engine: str, target: str) -> bool:
    from edgelift.runtime.engines import ENGINES

    return target in ENGINES.load(engine).forms


def test_quantising_states_how_it_was_done(plain: Bundle, eight: Bundle, calibration: Path) -> None:
    made = eight.spec.training["quantised"]
    assert (made["bits"], made["tiles"], made["pictures"], made["parent"]) == ("int8", 10, calibration.name, "plain")
    assert len(made["tried"]) == 15
    assert made["psnr_to_float"] == max(made["tried"].values())
    assert eight.spec.name == "plain-int8"
    assert eight.spec.quality == {}
    assert len(eight.data) < len(plain.data) + 3000


def test_the_same_pictures_give_the_same_file(plain: Bundle, eight: Bundle, calibration: Path) -> None:
    assert converted(plain, Order(precision="int8", calibration=calibration)).data == eight.data


@pytest.mark.parametrize("engine", [name for name in HERE if made_for(name, "onnx")])
def test_engines_run_whole_numbers_as_they_are_written(eight: Bundle, engine: str) -> None:
    """Byte arithmetic without VNNI saturates where weights are free to be large; these are not."""
    from edgelift.forge.gate import enlarge
    from edgelift.io.blocks import core_model

    picture = scene(40, 50)
    blocks = open_exact(core_model(eight))(picture.transpose(2, 0, 1)[None].astype(np.float32))[0]
    wanted = blocks[0].reshape(2, 2, 3, 40, 50).transpose(3, 0, 4, 1, 2).reshape(80, 100, 3)
    made = enlarge(open_engine(eight, engine, Options(threads=1)), picture)
    assert np.abs(made - wanted).max() <= 1
    assert np.mean(np.abs(made - wanted)) < 0.25, (
        "roundings: engines join steps and round once where the text rounds twice"
    )


def test_the_largest_sums_do_not_saturate(plain: Bundle, calibration: Path, tmp_path: Path) -> None:
    """White everywhere and all weights of a filter alike: the worst that a pair of bytes can come to."""
    model = plain.graph()
    for tensor in model.graph.initializer:
        if tensor.name == "head.weight":
            tensor.CopyFrom(numpy_helper.from_array(np.full((8, 3, 3, 3), 0.1, np.float32), tensor.name))
    even = write_bundle(model, replace(plain.spec, name="even"), tmp_path / "even.onnx")
    made = converted(even, Order(precision="int8", calibration=calibration))
    white = np.full((20, 20, 3), 255, np.uint8)
    from edgelift.forge.gate import enlarge
    from edgelift.io.blocks import core_model

    wanted = open_exact(core_model(made))(white.transpose(2, 0, 1)[None].astype(np.float32))[0][0]
    for engine in [name for name in HERE if made_for(name, "onnx")]:
        found = enlarge(open_engine(made, engine, Options(threads=1)), white)
        assert np.abs(found - wanted.reshape(2, 2, 3, 20, 20).transpose(3, 0, 4, 1, 2).reshape(40, 40, 3)).max() <= 1


def test_a_supernet_gives_one_of_its_networks() -> None:
    bundle = read_bundle(bundled()["anytime-x2"])
    _gives(bundle, 2, "w16")
    assert len(one_network(bundle, "w16").data) < len(bundle.data) / 3
    with pytest.raises(RequestError, match="has no variant 'w17'; it has w8, w16, w32, w48"):
        one_network(bundle, "w17")


def test_a_supernet_that_shares_its_weights_does_too(exports: Any, tmp_path: Path) -> None:
    made = exports.exported("slim-plain", scale=2, widths=(2, 4, 6), layers=1)
    _gives(write_bundle(made.model(), made.spec, tmp_path / "slim.onnx"), 1, "w2")


def _gives(bundle: Bundle, number: int, name: str) -> None:
    narrow = one_network(bundle, name)
    assert (narrow.spec.variants, narrow.spec.architecture) == (("full",), "foreign")
    assert narrow.spec.macs == bundle.spec.macs_of(number)
    picture = scene(20, 24)
    from edgelift.forge.gate import enlarge
    from edgelift.runtime.engine import blocks_shape

    engine = open_engine(bundle, "onnxruntime", Options(threads=1))
    blocks = np.empty(blocks_shape(bundle.spec, (1, 20, 24, 3)), np.uint8)
    engine.run(picture[None], number, blocks)
    alone = enlarge(open_engine(narrow, "onnxruntime", Options(threads=1)), picture)
    assert np.array_equal(alone, blocks.transpose(0, 1, 3, 2, 4, 5).reshape(40, 48, 3))


# -- the gate
def _parity(**changes: Any) -> Parity:
    facts: dict[str, Any] = {
        "name": "m", "parent": "p", "precision": "int8", "runs_on": "fake", "parent_runs_on": "fake", "tiles": 1,
        "pictures": "drawn", "psnr_to_parent": 40.0, "psnr_to_truth": 30.0, "parent_psnr_to_truth": 30.1, "loss": 0.1,
        "bytes": 1, "parent_bytes": 2, "ms": 1.0, "parent_ms": 2.0, "tile": (1, 1),
    }  # fmt: skip
    return Parity(**{**facts, **changes})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, ""),
        ({"loss": 0.16}, "it loses 0.16 dB against its parent, at most 0.15 are let pass"),
        ({"lost_before": 0.04}, ""),
        ({"lost_before": 0.06}, "it loses 0.10 dB against its parent after 0.06 that its parent lost, at most 0.15"),
        ({"precision": "int16x8", "loss": 0.3}, "it loses 0.30 dB"),
        ({"precision": "fp16", "psnr_to_parent": 49.9}, "49.9 dB from its parent's, at least 50 are asked"),
        ({"precision": "fp16", "psnr_to_parent": 50.1, "loss": 9}, ""),
        ({"precision": "float", "psnr_to_parent": 59.0}, "at least 60 are asked"),
        ({"precision": "float", "psnr_to_parent": None}, ""),
        ({"loss": -1.0}, ""),
    ],
)
def test_what_passes(changes: dict[str, Any], says: str) -> None:
    assert says in _parity(**changes).problem()
    assert bool(says) == bool(_parity(**changes).problem())
    assert _parity().ratio == 0.5


def test_what_was_lost_earlier_counts(plain: Bundle) -> None:
    for quality, lost in (
        ({}, 0.0),
        ({"parity": {"loss": 0.05}}, 0.05),
        ({"parity": {"loss": 0.05, "lost_before": 0.02}}, 0.07),
        ({"parity": {"loss": -0.05, "lost_before": None}}, 0.0),
        ({"parity": {"loss": math.nan}}, 0.0),
        ({"parity": {"loss": 10**400}}, 0.0),
        ({"parity": "none"}, 0.0),
    ):
        stated = replace(plain, spec=replace(plain.spec, quality=quality))
        found = measured(plain, stated, proofs(None, plain.spec, 1), "drawn", rounds=1)
        assert found.lost_before == pytest.approx(lost)
        assert found.facts().get("lost_before", 0.0) == pytest.approx(lost)


def test_a_model_against_itself_is_the_same(plain: Bundle) -> None:
    found = measured(plain, plain, proofs(None, plain.spec, 1), "drawn", rounds=1)
    assert (found.psnr_to_parent, found.loss) == (None, 0.0)
    assert found.psnr_to_truth == found.parent_psnr_to_truth


def test_what_does_not_pass_is_not_kept_unless_forced(
    tmp_path: Path, plain: Bundle, calibration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coarse = compiling.calibrate.calibrated

    def spoilt(*given: Any, **named: Any) -> Any:
        made = coarse(*given, **named)
        for tensor in made.core.graph.initializer:
            if tensor.name == "anchor/scale":
                tensor.CopyFrom(numpy_helper.from_array(np.array(40.0, np.float32), tensor.name))
        return made

    monkeypatch.setattr(compiling.calibrate, "calibrated", spoilt)
    order, path = Order(precision="int8", calibration=calibration), tmp_path / "m.onnx"
    with pytest.raises(BundleError, match=r"plain-int8 on \w+ CPU int8: it loses .* \(--force\)"):
        compile_bundle(plain, order, path)
    assert list(tmp_path.iterdir()) == []
    parity = compile_bundle(plain, order, path, force=True)
    assert parity.loss > 0.15
    assert path.exists()


def test_models_of_two_scales_are_not_compared(plain: Bundle) -> None:
    other = replace(plain, spec=replace(plain.spec, scale=3, shuffle=3))
    with pytest.raises(RequestError, match=r"enlarges ×2, .* ×3; compare models of one scale"):
        measured(plain, other, proofs(None, plain.spec, 1), "drawn")
    other = replace(plain, spec=replace(plain.spec, multiple_of=4))
    with pytest.raises(RequestError, match=r"multiples of 1, .* of 4; compare models that take the same windows"):
        measured(plain, other, proofs(None, plain.spec, 1), "drawn")


def test_losses_are_finite_numbers(plain: Bundle) -> None:
    small = proofs(None, plain.spec, 1)[0].small
    with closing(open_engine(plain, options=Options(precision="f32"))) as engine:
        made = enlarge(engine, small)
    model = plain.graph()
    bias = next(t for t in model.graph.initializer if t.name == "tail.bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + 40, "tail.bias"))
    near = replace(plain, data=model.SerializeToString())
    for one, other, sign in ((near, plain, 1), (plain, near, -1)):
        found = measured(one, other, [Proof("a", small, made)], "drawn", rounds=1)
        assert sign * found.loss > 10
        json.dumps([found.document(), found.facts()], allow_nan=False)


def test_windows_of_a_fixed_size_are_from_pictures_that_hold_them(tmp_path: Path, plain: Bundle) -> None:
    for number, side in enumerate((20, 20, 20, 90)):
        write_png(scene(side, side), tmp_path / f"{number}.png")
    (tile,) = proofs(tmp_path, plain.spec, 1, (40, 44))
    assert (tile.name, tile.small.shape) == ("3", (40, 44, 3))


def test_maps_show_both_and_the_difference(tmp_path: Path, plain: Bundle, eight: Bundle) -> None:
    maps = Maps(tmp_path / "maps")
    measured(eight, plain, proofs(None, plain.spec, 1), "drawn", rounds=1, see=maps)
    assert [path.name for path in maps.written] == ["drawn 1.png", "drawn 2.png", "drawn 3.png", "drawn 4.png"]
    from edgelift.io.pictures import open_picture

    with open_picture(maps.written[0]) as reader:
        assert (reader.height, reader.width) == (256, 768)
        rows = reader.rows(0, 256)[0]
    assert rows[:, 512:].max() > 0
    assert rows[:, 512:].mean() < rows[:, :256].mean()


# -- bad input
def test_too_few_pictures(tmp_path: Path, plain: Bundle) -> None:
    for number in range(3):
        write_png(scene(140, 150), tmp_path / f"{number}.png")
    with pytest.raises(InputError, match="3 of 3 pictures can be calibrated on, at least 8 are needed; add pictures"):
        calibration_tiles(tmp_path, plain.spec, 200)


def test_pictures_that_are_too_small_are_counted_and_one_is_named(tmp_path: Path, plain: Bundle) -> None:
    for number in range(10):
        write_png(scene(140 if number < 5 else 127, 150), tmp_path / f"{number}.png")
    with pytest.raises(InputError, match=r"5 of 10 pictures .*; 5 are smaller than 128×128 pixels, such as .*5\.png"):
        calibration_tiles(tmp_path, plain.spec, 200)


def test_no_folder_and_no_pictures(tmp_path: Path, plain: Bundle) -> None:
    with pytest.raises(InputError, match="is no folder; name one with pictures"):
        calibration_tiles(tmp_path / "absent", plain.spec, 200)
    with pytest.raises(InputError, match="0 of 0 pictures"):
        calibration_tiles(tmp_path, plain.spec, 200)
    with pytest.raises(InputError, match="no pictures in this folder"):
        proofs(tmp_path, plain.spec, 5)


def test_tiles_are_spread_over_a_folder_and_its_folders(calibration: Path, plain: Bundle) -> None:
    tiles = calibration_tiles(calibration.parent / calibration.name, plain.spec, 9)
    assert tiles.shape == (9, 3, TILE, TILE)
    assert tiles.dtype == np.float32
    assert 0 <= tiles.min() < tiles.max() <= 255
    assert np.array_equal(tiles, np.rint(tiles))


@pytest.mark.parametrize(
    ("order", "says"),
    [
        (Order(precision="int8"), "int8 needs pictures that ranges are taken from"),
        (Order(calibration=Path(), symmetric=True), "--calibration, --symmetric: how ranges .* plain stays float"),
        (Order(precision="fp16", relu_only=True, count=3), "--relu-only, --count: how ranges .* fp16 has none"),
        (Order(precision="int8", calibration=Path(), count=3), "at least 8 pictures are needed .* a count of 3"),
        (Order("openvino", "int16x8"), "openvino has no int16x8; it has float, fp16, int8"),
        (Order("toaster"), "no target is called 'toaster'"),
    ],
)
def test_orders_that_cannot_be_served(tmp_path: Path, plain: Bundle, order: Order, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        compile_bundle(plain, order, tmp_path / ("m.xml" if order.target == "openvino" else "m.onnx"))
    assert list(tmp_path.iterdir()) == []


def test_orders_that_make_no_sense() -> None:
    with pytest.raises(RequestError, match="precision must be one of float, fp16, bf16, int8, int16x8, got 'int4'"):
        Order(precision="int4")
    with pytest.raises(RequestError, match="at least 1"):
        Order(count=0)


def test_a_quantised_model_is_not_made_something_else(tmp_path: Path, eight: Bundle) -> None:
    with pytest.raises(
        RequestError, match="plain-int8 is int8 already and cannot be made fp16; start from its float parent"
    ):
        compile_bundle(eight, Order(precision="fp16"), tmp_path / "m.onnx")


@pytest.mark.parametrize("there", ["m.onnx", "m.onnx.json"])
def test_files_that_exist_are_kept(tmp_path: Path, plain: Bundle, there: str) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(OutputError, match=f"{there}: exists already; choose another name, or say --overwrite"):
        compile_bundle(plain, Order(precision="fp16"), tmp_path / "m.onnx")
    assert (tmp_path / there).read_text() == "mine"
    compile_bundle(plain, Order(precision="fp16"), tmp_path / "m.onnx", overwrite=True)
    assert read_bundle(tmp_path / "m.onnx").spec.bits == "fp16"


def test_a_wrong_suffix(tmp_path: Path, plain: Bundle) -> None:
    with pytest.raises(RequestError, match=r"m\.bin: files of onnx end in \.onnx"):
        compile_bundle(plain, Order(), tmp_path / "m.bin")


def test_an_operator_that_no_target_has(tmp_path: Path, plain: Bundle, calibration: Path) -> None:
    model = plain.graph()
    node = next(node for node in model.graph.node if node.op_type == "Relu")
    node.op_type = "Sigmoid"
    odd = write_bundle(model, replace(plain.spec, name="odd"), tmp_path / "odd.onnx")
    with pytest.raises(RequestError, match="odd cannot be made int8: the operator 'Sigmoid' has no whole-number form"):
        converted(odd, Order(precision="int8", calibration=calibration))
    with pytest.raises(RequestError, match="litert cannot take odd: the operator 'Sigmoid' has no form here"):
        converted(odd, Order("litert"))


def test_nothing_is_left_of_a_write_that_fails(tmp_path: Path, plain: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(places.os, "fsync", full)
    with pytest.raises(OutputError, match="cannot be written"):
        compile_bundle(plain, Order(precision="fp16"), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


# -- engines and quantised models
@pytest.mark.parametrize("engine", [name for name in HERE if made_for(name, "onnx")])
def test_what_an_int8_model_cannot_do_is_said(eight: Bundle, engine: str) -> None:
    with pytest.raises(RequestError, match="is quantised to int8 and runs in nothing else, not in f32"):
        open_engine(eight, engine, Options(precision="f32"))
    with pytest.raises(RequestError, match="takes pictures of 8 bits; run those of 16 bits with its float parent"):
        open_engine(eight, engine, Options(samples="float32"))
    made = open_engine(eight, engine, Options(precision="int8"))
    assert made.precision == "int8"


def test_a_graph_that_does_not_load_is_an_engine_error() -> None:
    broken = onnx.ModelProto()
    broken.graph.name = "broken"
    with pytest.raises((EngineError, IndexError)):
        open_exact(broken)


def test_no_network_is_rebuilt_from_whole_numbers(eight: Bundle) -> None:
    pytest.importorskip("torch")
    from edgelift.forge.bundles import network_from

    with pytest.raises(BundleError, match="its weights are int8; the network is rebuilt from plain"):
        network_from(eight)


def test_facts_that_make_no_sense_are_a_bundle_error(eight: Bundle) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    training = {"quantised": {**eight.spec.training["quantised"], "inner": {"wide": 7}}}
    odd = replace(eight, spec=replace(eight.spec, training=training))
    with pytest.raises(BundleError, match=r"expected name -> \[scale, zero point\]"):
        converted(odd, Order("litert"))


def test_what_a_target_cannot_take_is_found_before_calibration(
    plain: Bundle, tmp_path: Path, calibration: Path
) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    model = plain.graph()
    next(node for node in model.graph.node if node.op_type == "Conv").attribute.append(
        onnx.helper.make_attribute("dilations", [1, 2])
    )
    odd = write_bundle(model, replace(plain.spec, name="odd"), tmp_path / "odd.onnx")
    told: list[str] = []
    with pytest.raises(RequestError, match="litert cannot take odd"):
        converted(odd, Order("litert", "int8", calibration), told.append)
    assert told == []
