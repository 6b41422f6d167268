"""Single operators: that each graph is what its row says, and what becomes of the times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, RequestError
from edgelift.evaluate.profile.bench import Bench
from edgelift.evaluate.profile.macs import work_of
from edgelift.evaluate.profile.metagraphs import COPY, META_NODES, REFERENCE, model_of
from edgelift.evaluate.profile.metanodes import MetaNodes, meta_nodes
from edgelift.io.bundle import bundled, read_bundle
from edgelift.runtime.engine import Options
from edgelift.runtime.engines import ENGINES, availability
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.runtime.probe import NodeTime

HERE = [f.engine for f in availability() if not f.problem and hasattr(ENGINES.load(f.engine), "probe")]
MODEL = "abpn-x2"
BY_NAME = {node.name: node for node in META_NODES}
needs_model = pytest.mark.skipif(MODEL not in bundled(), reason="the network is not bundled")


def planes(name: str, channels: int, height: int, width: int) -> dict[str, NDArray[np.float32]]:
    node = BY_NAME[name]
    shape = (1, height, width, channels) if node.nhwc else (1, channels, height, width)
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name in node.inputs}


def test_names_are_unique_and_the_reference_is_there() -> None:
    assert len(BY_NAME) == len(META_NODES)
    assert {REFERENCE, COPY.name} <= set(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_each_graph_is_valid_and_gives_finite_values(name: str) -> None:
    model = model_of(BY_NAME[name], 8)
    onnx.checker.check_model(model, full_check=True)
    results = onnx.reference.ReferenceEvaluator(model).run(None, planes(name, 8, 6, 10))
    assert len(results) == len(BY_NAME[name].outputs)
    assert all(np.isfinite(np.asarray(each)).all() for each in results)


SHAPES = {
    "convolution 5×5": [(1, 8, 6, 10)], "depthwise 3×3": [(1, 8, 6, 10)], "transposed 4×4, ×2, to 3": [(1, 3, 12, 20)],
    "concat": [(1, 16, 6, 10)], "split in two": [(1, 4, 6, 10)] * 2, "slice half": [(1, 4, 6, 10)],
    "pixel shuffle ×2 (DCR)": [(1, 2, 12, 20)], "nearest resize ×2": [(1, 8, 12, 20)], "pad, repeated edge": [(1, 8, 8, 12)],
    "global average pool": [(1, 8, 1, 1)], "channel attention": [(1, 8, 6, 10)],
    "transpose NCHW → NHWC": [(1, 6, 10, 8)], "transpose NHWC → NCHW": [(1, 8, 6, 10)],
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_what_comes_out(name: str) -> None:
    results = onnx.reference.ReferenceEvaluator(model_of(BY_NAME[name], 8)).run(None, planes(name, 8, 6, 10))
    assert [np.asarray(each).shape for each in results] == SHAPES[name]


def test_the_two_shuffles_differ() -> None:
    given = planes("add", 8, 2, 2)["x"]
    there = {
        mode: np.asarray(
            onnx.reference.ReferenceEvaluator(model_of(BY_NAME[f"pixel shuffle ×2 ({mode})"], 8)).run(
                None, {"x": given}
            )
        )[0]
        for mode in ("DCR", "CRD")
    }
    assert there["DCR"][0, 0, 0, 1] == given[0, 2, 0, 0]  # the block is the outer index of the channels
    assert there["CRD"][0, 0, 0, 1] == given[0, 1, 0, 0]  # and here the inner one


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("convolution 3×3", 60 * 8 * 8 * 9),
        ("convolution 1×1", 60 * 8 * 8),
        ("convolution 5×5", 60 * 8 * 8 * 25),
        ("depthwise 3×3", 60 * 8 * 9),
        ("transposed 4×4, ×2, to 3", 60 * 8 * 3 * 16),
        ("channel attention", 2 * 8 * 2),
        ("add", 0),
    ],
)
def test_multiply_adds(name: str, macs: int) -> None:
    shapes = {each: value.shape for each, value in planes(name, 8, 6, 10).items()}
    assert sum(work_of(model_of(BY_NAME[name], 8), shapes).macs.values()) == macs


def test_channels_that_an_operator_cannot_have() -> None:
    with pytest.raises(
        RequestError, match=r"pixel shuffle ×2 \(DCR\) needs 1 to 1024 channels, a multiple of 4, got 6"
    ):
        model_of(BY_NAME["pixel shuffle ×2 (DCR)"], 6)
    with pytest.raises(RequestError, match="got 0"):
        model_of(BY_NAME["add"], 0)


# -- with an engine that takes as long as it is told


class Timed(FakeEngine):
    """Probes of graphs, by their first operator, that move a clock."""

    name = "timed"
    cost: Mapping[str, float] = {"Identity": 0.5, "Conv": 4.5, "Add": 0.5, "Relu": 1.5}

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.now, self.open = 0.0, 0

    def probe(self, graph: bytes, inputs: Mapping[str, NDArray[Any]], *, count: bool = False) -> Any:
        node = onnx.load_model_from_string(graph).graph.node[0]
        if node.op_type not in self.cost:
            raise EngineError(f"no kernel for {node.op_type}")
        self.open += 1
        return _Probe(self, node, inputs["x"].shape, count)


class _Probe:
    def __init__(self, engine: Timed, node: Any, shape: tuple[int, ...], count: bool) -> None:
        self.engine, self.node, self.count, self.runs = engine, node, count, []
        small = shape[2:] == (1, 1)
        self.seconds = 0.25 if small else engine.cost[node.op_type]

    def run(self) -> None:
        self.engine.now += self.seconds
        order = NodeTime("order", "Reorder", 9.0)
        self.runs.append([order, NodeTime("k", "Kernel", self.seconds / 2, (self.node.name,))])

    def counted(self) -> list[list[NodeTime]]:
        return self.runs if self.count else []

    def close(self) -> None:
        self.engine.open -= 1


def measured(*names: str) -> tuple[MetaNodes, Timed]:
    bundle = read_bundle(bundled()[MODEL])
    engine = Timed(bundle.spec)
    with Bench(bundle, open=lambda bundle, asked: engine) as bench:
        nodes = [BY_NAME[name] for name in names]
        return meta_nodes(bench, (6, 10), 8, rounds=3, nodes=nodes, clock=lambda: engine.now), engine


@needs_model
def test_an_empty_call_is_taken_off() -> None:
    found, engine = measured("convolution 3×3", "add", "ReLU", COPY.name)
    assert found.empty.seconds == 0.25
    assert [(row.name, row.seconds, row.inside) for row in found.rows] == [
        ("convolution 3×3", 4.25, 2.25), ("add", 0.25, 0.25), ("ReLU", 1.25, 0.75), (COPY.name, 0.25, 0.25),
    ]  # fmt: skip
    assert found.ratio(found.rows[2]) == pytest.approx(1.25 / 4.25)
    assert found.ratio_inside(found.rows[2]) == pytest.approx(1 / 3)
    assert engine.open == 0


@needs_model
def test_rates_are_of_work_or_of_memory() -> None:
    found, _ = measured("convolution 3×3", "add")
    conv, add = found.rows
    assert (conv.macs, conv.bytes, conv.computes) == (60 * 8 * 8 * 9, 2 * 60 * 8 * 4, True)
    assert conv.rate == pytest.approx(60 * 8 * 8 * 9 / 2.25)
    assert (add.bytes, add.computes) == (3 * 60 * 8 * 4, False)
    assert add.rate == pytest.approx(3 * 60 * 8 * 4 / 0.25)


@needs_model
def test_an_operator_that_cannot_run_is_a_row() -> None:
    found, engine = measured("sigmoid", "convolution 3×3")
    assert (found.rows[0].whole, found.rows[0].problem) == (None, "no kernel for Sigmoid")
    assert found.ratio(found.rows[0]) is None
    assert found.rows[1].certain
    assert engine.open == 0


@needs_model
def test_no_longer_than_an_empty_call_is_not_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timed, "cost", {**Timed.cost, "Relu": 0.25})
    found, _ = measured("convolution 3×3", "ReLU")
    assert (found.rows[1].seconds, found.rows[1].certain) == (0.0, False)
    assert found.ratio(found.rows[1]) is None


@needs_model
def test_bad_requests() -> None:
    bundle = read_bundle(bundled()[MODEL])
    plain = Bench(bundle, open=lambda bundle, asked: FakeEngine(bundle.spec))
    with plain, pytest.raises(RequestError, match="the engine fake runs networks only"):
        meta_nodes(plain)
    probed = Bench(bundle, open=lambda bundle, asked: Timed(bundle.spec))
    with probed, pytest.raises(RequestError, match="give a smaller size"):
        meta_nodes(probed, (10_000, 10_000))


@needs_model
@pytest.mark.parametrize("engine", HERE)
def test_each_engine_runs_all_of_them(engine: str) -> None:
    told: list[str] = []
    with Bench(read_bundle(bundled()[MODEL]), Options(precision="f32", threads=1), engine) as bench:
        found = meta_nodes(bench, (32, 48), 16, rounds=2, report=lambda name, done: told.append(name))
    assert told == list(BY_NAME)
    assert [row.name for row in found.rows if row.problem] == []
    assert all(row.whole is not None and row.whole.seconds > 0 for row in found.rows)
    assert found.rows[0].inside is not None
    assert found.rows[0].inside > 0
