"""Others' `.tflite` files with edgelift's facts put in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgelift.core.errors import BundleError, OutputError, RequestError
from edgelift.io.compiled import read_model

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")

from edgelift.forge import adopting  # needs LiteRT
from edgelift.forge.adopting import import_tflite, measured_halo  # needs LiteRT
from edgelift.runtime.engine import Options
from edgelift.runtime.engines import open_engine


@pytest.fixture
def theirs(others: Any, tmp_path: Path) -> Path:
    path = tmp_path / "theirs.tflite"
    path.write_bytes(others.theirs(scale=3))
    return path


def test_facts_are_put_in_and_the_graph_is_left_alone(theirs: Path, tmp_path: Path) -> None:
    made = import_tflite(theirs, tmp_path / "ours.tflite", licence="MIT")
    assert read_model(tmp_path / "ours.tflite") == made
    spec = made.spec
    assert (spec.name, spec.scale, spec.halo, spec.licence) == ("ours", 3, 2, "MIT")
    origin = spec.training["imported"]
    assert (origin["file"], origin["white"], origin["halo"]) == ("theirs.tflite", 1, "from the graph")
    assert len(origin["sha256"]) == 64
    first, second = import_tflite(theirs, tmp_path / "ours.tflite", licence="MIT", overwrite=True), made
    assert first.data == second.data, "the same file gives the same bytes"


@pytest.mark.parametrize("form", [{}, {"ends": "uint8"}, {"planes": True}])
def test_what_is_measured_is_the_halo(others: Any, tmp_path: Path, form: dict[str, Any]) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(others.theirs(**form))
    with_engine = open_engine(read_model(path), "litert", Options(threads=1))
    assert measured_halo(with_engine) == 2


def test_a_halo_that_the_graph_does_not_tell_is_measured(tmp_path: Path) -> None:
    from edgelift.targets.tflite import Builder

    builder = Builder()
    image, wide, out = (builder.tensor(name, (1, 32, 32, 3), "float32") for name in ("in", "wide", "out"))
    weight = np.random.default_rng(0).normal(0, 0.05, (3, 5, 5, 3)).astype(np.float32)
    weight[[0, 1, 2], 2, 2, [0, 1, 2]] += 0.5
    held = builder.constant("w", weight), builder.constant("b", np.zeros(3, np.float32))
    builder.operator("CONV_2D", [image, *held], wide, "float32", padding=0, strideH=1, strideW=1)
    axis = builder.constant("axis", np.array([1], np.int32))
    builder.operator(
        "REVERSE_V2", [wide, axis], turned := builder.tensor("turned", (1, 32, 32, 3), "float32"), "float32"
    )
    builder.operator("REVERSE_V2", [turned, axis], out, "float32")
    path = tmp_path / "a.tflite"
    path.write_bytes(builder.finish(image, out, {}))
    assert read_model(path).spec.halo is None
    made = import_tflite(path, tmp_path / "b.tflite", white=1)
    assert (made.spec.halo, made.spec.training["imported"]["halo"]) == (2, "measured")


def test_a_halo_of_blocks_is_measured_for_all_of_a_block(tmp_path: Path) -> None:
    """A stride of 2: the pixels of a block of 2 × 2 look differently far."""
    from edgelift.targets.tflite import Builder

    builder = Builder()
    image, half, out = (
        builder.tensor(name, shape, "float32")
        for name, shape in (("in", (1, 32, 32, 3)), ("half", (1, 16, 16, 48)), ("out", (1, 64, 64, 3)))
    )
    weight = np.random.default_rng(0).normal(0, 0.2, (48, 5, 5, 3)).astype(np.float32)
    held = builder.constant("w", weight), builder.constant("b", np.full(48, 0.5, np.float32))
    builder.operator("CONV_2D", [image, *held], half, "float32", padding=0, strideH=2, strideW=2)
    builder.operator("DEPTH_TO_SPACE", [half], out, "float32", blockSize=4)
    path = tmp_path / "a.tflite"
    path.write_bytes(builder.finish(image, out, {}))
    made = import_tflite(path, tmp_path / "b.tflite", white=1)
    assert (made.spec.scale, made.spec.multiple_of, made.spec.halo) == (2, 2, 2)
    assert measured_halo(open_engine(made, "litert", Options(threads=1))) == 2


def test_a_halo_that_the_graph_tells_wrongly_is_found(
    theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = read_model(theirs)
    monkeypatch.setattr(adopting, "read_model", lambda path: replace(real, spec=replace(real.spec, halo=1)))
    with pytest.raises(BundleError, match="by its operators it looks 1 pixels far, but more distant ones change"):
        import_tflite(theirs, tmp_path / "ours.tflite")
    assert not (tmp_path / "ours.tflite").exists()


def test_what_is_refused(theirs: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours.tflite"
    with pytest.raises(RequestError, match=r"a \.tflite stays one"):
        import_tflite(theirs, tmp_path / "ours.onnx")
    with pytest.raises(BundleError, match="cannot be read"):
        import_tflite(tmp_path / "absent.tflite", ours)
    ours.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        import_tflite(theirs, ours)
    assert ours.read_bytes() == b"mine"
    import_tflite(theirs, ours, overwrite=True)
    with pytest.raises(RequestError, match="it holds edgelift's facts already"):
        import_tflite(ours, tmp_path / "again.tflite")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours.tflite", "theirs.tflite"]
