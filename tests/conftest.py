"""What several rooms' tests share. Imports neither torch nor an engine, since the use half is tested without them."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Prices and compiled models of a test run are its own, and those of the user play no part in it.
_CACHE = tempfile.TemporaryDirectory(prefix="edgelift-tests-", ignore_cleanup_errors=True)
os.environ["EDGELIFT_CACHE"] = _CACHE.name
# Exported graphs are shared by the processes of a run: the first of them makes the folder, the others inherit its name.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _EXPORTS = tempfile.TemporaryDirectory(prefix="edgelift-exports-", ignore_cleanup_errors=True)
    os.environ["EDGELIFT_TEST_EXPORTS"] = _EXPORTS.name

REPOSITORY = Path(__file__).resolve().parent.parent

settings.register_profile("edgelift", deadline=None, database=None)  # slow machines; no folder left behind
settings.load_profile("edgelift")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def pictures() -> Path:
    """The folder with `train` and `test` pictures, EDGELIFT_DATA or ../shared/data; a test is skipped without it."""
    folder = Path(os.environ.get("EDGELIFT_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "test").is_dir():
        pytest.skip(f"no benchmark pictures in {folder}; set EDGELIFT_DATA to the folder that holds train/ and test/")
    return folder


@pytest.fixture(scope="session")
def benchmark_sets(pictures: Path) -> Path:
    """The folder of Set5, Set14 and BSD100, each with HR and LR_x2, LR_x3, LR_x4."""
    return pictures / "test"


@pytest.fixture(scope="session")
def others() -> Any:
    """`tests/others.py`: `.tflite` files as other tools write them. Needs LiteRT."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    place = importlib.util.spec_from_file_location("edgelift_test_others", REPOSITORY / "tests" / "others.py")
    assert place is not None
    assert place.loader is not None
    made = importlib.util.module_from_spec(place)
    place.loader.exec_module(made)
    return made


@pytest.fixture(scope="session")
def plain_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle made by hand, `plain.onnx`: two 3 × 3 convolutions, a ReLU and an anchor; scale 2, halo 2."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    from edgelift.core.spec import ModelSpec
    from edgelift.io.bundle import write_bundle

    rng = np.random.default_rng(3)
    held = {
        "head.weight": rng.normal(0, 0.2, (8, 3, 3, 3)), "head.bias": rng.normal(0, 9, 8),
        "tail.weight": rng.normal(0, 0.03, (12, 8, 3, 3)), "tail.bias": rng.normal(0, 4, 12), "black": 0, "white": 255,
    }  # fmt: skip
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["core_in"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["core_in", "head.weight", "head.bias"], ["wide"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["wide"], ["active"]),
        helper.make_node("Conv", ["active", "tail.weight", "tail.bias"], ["details"], pads=[1, 1, 1, 1]),
        helper.make_node("Concat", ["core_in"] * 4, ["anchor"], axis=1),
        helper.make_node("Add", ["details", "anchor"], ["core_out"]),
        helper.make_node("Clip", ["core_out", "black", "white"], ["clipped"]),
        helper.make_node("Round", ["clipped"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["blocks"], to=TensorProto.UINT8),
        helper.make_node("DepthToSpace", ["blocks"], ["planes"], blocksize=2, mode="DCR"),
        helper.make_node("Transpose", ["planes"], ["larger"], perm=[0, 2, 3, 1]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, ["n", h, w, 3])
        for name, h, w in (("image", "h", "w"), ("larger", "H", "W"))
    ]
    weights = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "plain", ends[:1], ends[1:], weights)
    spec = ModelSpec(
        name="plain", architecture="foreign", config={}, scale=2, shuffle=2, halo=2, multiple_of=1, padding="zeros",
        colour="rgb", parameters=1100, macs=1080, licence="CC0-1.0",
    )  # fmt: skip
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    write_bundle(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), spec, path)
    return path


@pytest.fixture(scope="session")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ten drawn pictures of 140 × 150 pixels."""
    from edgelift.evaluate.profile.synthetic import scene, write_png

    folder = tmp_path_factory.mktemp("calibration")
    for number in range(10):
        write_png(scene(140 + number, 150)[number:], folder / f"{number}.png")
    return folder
