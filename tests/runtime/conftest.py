"""What the runtime's tests share. Without torch and without an engine, except where a fixture says otherwise."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgelift.core.resize import resize
from edgelift.core.spec import ModelSpec
from edgelift.io.bundle import write_bundle

FACTS: dict[str, Any] = {
    "name": "small", "architecture": "foreign", "config": {}, "scale": 2, "shuffle": 2, "halo": 1, "multiple_of": 1,
    "padding": "zeros", "colour": "rgb", "parameters": 0, "macs": 0, "licence": "CC0-1.0",
}  # fmt: skip


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., ModelSpec]:
    """Facts of a small model; arguments replace single ones."""
    return lambda **changes: ModelSpec(**{**FACTS, **changes})


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory, make_spec: Callable[..., ModelSpec]) -> Path:
    """A bundle made by hand, `small.onnx`: one 3 × 3 convolution, scale 2, halo 1."""
    weight = np.random.default_rng(0).normal(0, 0.2, (12, 3, 3, 3)).astype(np.float32)
    held = {"w": weight, "black": np.array(0, np.float32), "white": np.array(255, np.float32)}
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["core_in"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["core_in", "w"], ["core_out"], pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["core_out", "black", "white"], ["clipped"]),
        helper.make_node("Round", ["clipped"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["bytes"], to=TensorProto.UINT8),
        helper.make_node("DepthToSpace", ["bytes"], ["planes"], blocksize=2, mode="DCR"),
        helper.make_node("Transpose", ["planes"], ["larger"], perm=[0, 2, 3, 1]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, ["n", h, w, 3])
        for name, h, w in (("image", "h", "w"), ("larger", "H", "W"))
    ]
    graph = helper.make_graph(
        nodes, "small", ends[:1], ends[1:], [numpy_helper.from_array(value, name) for name, value in held.items()]
    )
    path = tmp_path_factory.mktemp("bundles") / "small.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    write_bundle(model, make_spec(parameters=weight.size), path)
    return path


@pytest.fixture(scope="session")
def photograph() -> Callable[[int, int], np.ndarray]:
    """Makes a picture with what photographs have: shading, edges, texture, noise, black and blown-out parts."""

    def make(height: int, width: int) -> np.ndarray:
        rng = np.random.default_rng(height * 1000 + width)
        y, x = np.mgrid[:height, :width][..., None] / 16.0
        tint = np.array([1.0, 0.8, 0.55])
        shading = 110 + 90 * np.sin(y / 3 + tint) * np.cos(x / 4)
        texture = 40 * np.sin(7 * x + 3 * y + 2 * np.sin(y * tint)) * (np.sin(x / 2) > 0)
        edges = 70 * ((x * tint + y) % 3 > 2.2)
        grain = rng.normal(0, 6, (height, width, 3))
        return np.clip(np.rint(shading + texture + edges + grain), 0, 255).astype(np.uint8)

    return make


@pytest.fixture
def leaves() -> Callable[[int, int], np.ndarray]:
    """Makes a sharp picture without noise: rectangles of all sizes that cover each other, reduced four times."""

    def make(height: int, width: int) -> np.ndarray:
        rng = np.random.default_rng(height * 1000 + width)
        large = np.zeros((4 * height, 4 * width, 3), np.uint8)
        for side in np.geomspace(4 * max(height, width), 4, 600):
            high, wide = (max(2, int(n)) for n in side * rng.uniform(0.3, 1, 2))
            top, left = int(rng.integers(-high, 4 * height)), int(rng.integers(-wide, 4 * width))
            large[max(0, top) : max(0, top + high), max(0, left) : max(0, left + wide)] = rng.integers(20, 236, 3)
        return resize(large, height, width)

    return make


@pytest.fixture(scope="session")
def exports(repository: Path) -> Any:
    """`tests/forge/exports.py`: networks with drawn weights and their graphs. Needs torch."""
    pytest.importorskip("torch")
    name = "edgelift_test_exports"
    if name not in sys.modules:
        place = importlib.util.spec_from_file_location(name, repository / "tests" / "forge" / "exports.py")
        assert place is not None
        assert place.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(place)
        place.loader.exec_module(sys.modules[name])
    return sys.modules[name]
