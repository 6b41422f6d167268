"""Operators: multiply-adds of a graph, what engines count, and how the two are put together."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edgelift.core.errors import EngineError, RequestError
from edgelift.evaluate.profile.bench import Bench
from edgelift.evaluate.profile.macs import Work, named, work_of
from edgelift.evaluate.profile.operators import Operators, operators, summarise
from edgelift.io.blocks import blocks_model
from edgelift.io.bundle import bundled, read_bundle
from edgelift.runtime.engine import Options
from edgelift.runtime.engines import ENGINES, availability, open_engine
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.runtime.probe import NodeTime, Probe, Probing

HERE = [f.engine for f in availability() if not f.problem and hasattr(ENGINES.load(f.engine), "probe")]
MODELS = [name for name in ("abpn-x2", "abpn-x3", "fsrcnn-x3") if name in bundled()]
REAL = pytest.mark.parametrize("engine", HERE)


def graph(*nodes: onnx.NodeProto, weights: Mapping[str, tuple[int, ...]], channels: int = 4) -> onnx.ModelProto:
    """Nodes from `x`, 1 × channels × h × w, to `out`."""
    held = [
        helper.make_tensor(name, TensorProto.FLOAT, shape, np.ones(shape).ravel()) for name, shape in weights.items()
    ]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, "h", "w"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", "c", "H", "W"])],
        held,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def conv(name: str = "c", taken: str = "x", made: str = "out", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node("Conv", [taken, "w"], [made], name=name, **attributes)


@pytest.mark.parametrize(
    ("node", "weight", "expected"),
    [
        (conv(pads=[1, 1, 1, 1]), (8, 4, 3, 3), 10 * 6 * 8 * 4 * 9),
        (conv(), (8, 4, 3, 3), 8 * 4 * 8 * 4 * 9),  # without padding the result is smaller
        (conv(pads=[1, 1, 1, 1], strides=[2, 2]), (8, 4, 3, 3), 5 * 3 * 8 * 4 * 9),
        (conv(pads=[1, 1, 1, 1], group=4), (4, 1, 3, 3), 10 * 6 * 4 * 9),
        (
            helper.make_node("ConvTranspose", ["x", "w"], ["out"], name="c", strides=[3, 3]),
            (4, 2, 9, 9),
            10 * 6 * 4 * 2 * 81,
        ),
        (helper.make_node("MatMul", ["x", "w"], ["out"], name="c"), (6, 5), 4 * 10 * 5 * 6),
    ],
)
def test_multiply_adds(node: onnx.NodeProto, weight: tuple[int, ...], expected: int) -> None:
    work = work_of(graph(node, weights={"w": weight}), {"x": (1, 4, 10, 6)})
    assert work.macs == {"c": expected}


def test_operators_that_add_nothing_up_have_none() -> None:
    assert (
        work_of(graph(helper.make_node("Relu", ["x"], ["out"], name="r"), weights={}), {"x": (1, 4, 8, 8)}).macs == {}
    )


def test_where_shapes_are_unknown_there_are_none() -> None:
    strange = helper.make_node("NoSuchOperator", ["x"], ["a"], name="s")
    assert work_of(graph(strange, conv(taken="a"), weights={"w": (8, 4, 3, 3)}), {"x": (1, 4, 8, 8)}).macs == {}


@pytest.mark.parametrize("model", MODELS)
def test_a_network_s_work_is_what_its_card_states(model: str) -> None:
    bundle = read_bundle(bundled()[model])
    work = work_of(named(blocks_model(bundle, "uint8")), {"image": (1, 24, 40, 3)})
    assert sum(work.macs.values()) == bundle.spec.macs * 24 * 40


def test_every_node_gets_a_name() -> None:
    made = named(graph(conv(name=""), weights={"w": (4, 4, 1, 1)}))
    assert [node.name for node in made.graph.node] == ["out"]


@pytest.fixture
def two() -> Work:
    """A convolution and its activation, and a convolution behind them."""
    nodes = [
        conv("first", made="a", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="act"),
        conv("second", "b", pads=[1, 1, 1, 1]),
    ]
    return work_of(graph(*nodes, weights={"w": (4, 4, 3, 3)}), {"x": (1, 4, 10, 10)})


EACH = 100 * 4 * 4 * 9


@pytest.mark.parametrize(
    ("origin", "found"),
    [
        (("first",), ["first"]),
        (("first/WithoutBiases", "first", "act"), ["first", "act"]),
        (("act",), ["first", "act"]),  # a convolution that is called after its activation
        (("b",), ["first", "act"]),  # and one that is called after the latter's result
        (("out",), ["second"]),
        (("ReorderInput",), []),
        ((), []),
    ],
)
def test_finding_what_an_operator_carries_out(two: Work, origin: tuple[str, ...], found: list[str]) -> None:
    assert two.find(origin) == found


class Counted:
    """A probe that tells what it was given."""

    def __init__(self, runs: list[list[NodeTime]], fail: bool = False) -> None:
        self.runs, self.done, self.closed, self._fail = runs, 0, False, fail

    def run(self) -> None:
        if self._fail:
            raise EngineError("failed as it was told to")
        self.done += 1

    def counted(self) -> list[list[NodeTime]]:
        return self.runs[: self.done]

    def close(self) -> None:
        self.closed = True


def rows(first: float, second: float) -> list[NodeTime]:
    return [
        NodeTime("first", "Convolution", first, ("first", "act")),
        NodeTime("order", "Reorder", 0.001),
        NodeTime("second", "Convolution", second, ("second",)),
    ]


def summed(work: Work, runs: list[list[NodeTime]], rounds: int = 3) -> Operators:
    probes = [Counted([]), Counted(runs)]
    waiting = iter(probes)
    try:
        return summarise(lambda count: next(waiting), work, (10, 10), rounds)
    finally:
        assert all(probe.closed for probe in probes)


def test_medians_kinds_and_rates(two: Work) -> None:
    warm = [rows(9.0, 9.0)] * 2
    found = summed(two, [*warm, rows(0.001, 0.02), rows(0.003, 0.04), rows(0.002, 0.03)])
    assert [(node.name, node.time.seconds, node.macs, node.carries) for node in found.nodes] == [
        ("first", 0.002, EACH, ("Conv", "Relu")),
        ("order", 0.001, 0, ()),
        ("second", 0.03, EACH, ("Conv",)),
    ]
    assert found.nodes[0].rate == pytest.approx(EACH / 0.002)
    assert [(kind.kind, kind.count, kind.macs) for kind in found.kinds] == [
        ("Convolution", 2, 2 * EACH),
        ("Reorder", 1, 0),
    ]
    assert found.seconds == pytest.approx(0.033)
    assert [found.slow(node) for node in found.nodes] == [False, False, False]


def test_a_slow_operator_shows(two: Work) -> None:
    even = summed(two, [rows(0.01, 0.01)] * 5)
    odd = summed(two, [rows(0.001, 0.09)] * 5)
    assert not any(map(even.slow, even.nodes))
    assert [odd.slow(node) for node in odd.nodes] == [False, False, False]  # it is nearly all: the mean is its own
    nodes = (*odd.nodes[:1] * 20, *odd.nodes[1:])
    many = Operators(10, 10, nodes, odd.counted, odd.plain)
    assert [node.name for node in many.nodes if many.slow(node)] == ["second"]


def test_a_convolution_counts_once(two: Work) -> None:
    twice = [NodeTime("a", "Conv", 0.1, ("first",)), NodeTime("b", "Relu", 0.1, ("act",))]
    found = summed(two, [twice] * 5)
    assert [(node.macs, node.carries) for node in found.nodes] == [(EACH, ("Conv",)), (0, ("Relu",))]


def test_what_the_engine_counts_itself_is_taken() -> None:
    found = summed(Work({}, {}, {}), [[NodeTime("conv2d_0", "conv2d", 0.1, macs=77)]] * 5)
    assert [node.macs for node in found.nodes] == [77]


def test_what_was_too_quick_to_be_counted_took_nothing(two: Work) -> None:
    """OpenVINO leaves out of a run what took it no microsecond."""
    short = [row for row in rows(1, 1) if row.kind != "Reorder"]
    found = summed(two, [rows(1, 1), rows(1, 1), short, rows(1, 1), short])
    assert [(node.name, node.time.seconds) for node in found.nodes] == [("first", 1), ("order", 0.0), ("second", 1)]
    never = summed(two, [rows(1, 1), rows(1, 1), short, short, short])
    assert [node.name for node in never.nodes] == ["first", "second"]


def test_a_probe_is_closed_where_it_fails(two: Work) -> None:
    probe = Counted([], fail=True)
    with pytest.raises(EngineError, match="as it was told"):
        summarise(lambda count: probe, two, (10, 10), 1)
    assert probe.closed


def test_an_engine_without_counters_is_named() -> None:
    if not MODELS:
        pytest.skip("no network is bundled")
    bundle = read_bundle(bundled()[MODELS[0]])
    with (
        Bench(bundle, open=lambda bundle, asked: FakeEngine(bundle.spec)) as bench,
        pytest.raises(RequestError, match=r"no counters; use openvino, onnxruntime or torch"),
    ):
        operators(bench, (16, 16))


# -- with the engines that are here


@REAL
@pytest.mark.parametrize("model", MODELS)
def test_each_engine_accounts_for_all_the_work(engine: str, model: str) -> None:
    bundle = read_bundle(bundled()[model])
    with Bench(bundle, Options(precision="f32", threads=1), engine) as bench:
        found = operators(bench, (24, 40), rounds=2)
    assert found.macs == bundle.spec.macs * 24 * 40
    assert found.seconds > 0
    assert all(node.kind and node.name for node in found.nodes)
    assert {op for node in found.nodes for op in node.carries} >= {"Conv"}


@pytest.fixture
def probing() -> Any:
    """An engine that can be probed, by name."""
    if not MODELS:
        pytest.skip("no network is bundled")
    bundle = read_bundle(bundled()[MODELS[0]])
    return lambda name: open_engine(bundle, name, Options(precision="f32", threads=1))


PLANES: NDArray[np.float32] = np.ones((1, 4, 64, 64), np.float32)


@REAL
def test_a_probe_counts_each_run(probing: Any, engine: str) -> None:
    opened = probing(engine)
    assert isinstance(opened, Probing)
    probe: Probe = opened.probe(
        graph(conv(), weights={"w": (4, 4, 3, 3)}).SerializeToString(), {"x": PLANES}, count=True
    )
    for _ in range(3):
        probe.run()
    runs = probe.counted()
    assert len(runs) == 3
    assert all(any({"c", "out"}.intersection(row.origin) for row in run) for run in runs)
    assert all(row.seconds >= 0 for run in runs for row in run)
    probe.close()
    probe.close()
    with pytest.raises(EngineError, match="closed"):
        probe.run()


@REAL
def test_the_operators_of_a_run_take_no_longer_than_the_run(probing: Any, engine: str) -> None:
    """Counters that add up over runs would grow beyond it: with thirty runs fifteen times on the mean."""
    graph_bytes = graph(conv(), weights={"w": (4, 4, 3, 3)}).SerializeToString()
    probe: Probe = probing(engine).probe(graph_bytes, {"x": np.ones((1, 4, 512, 512), np.float32)}, count=True)
    calls = []
    for _ in range(30):
        began = time.perf_counter()
        probe.run()
        calls.append(time.perf_counter() - began)
    counted = sum(row.seconds for run in probe.counted() for row in run)
    probe.close()
    assert 0 < counted <= 1.05 * sum(calls)


@REAL
def test_a_probe_counts_nothing_unless_asked(probing: Any, engine: str) -> None:
    probe = probing(engine).probe(graph(conv(), weights={"w": (4, 4, 3, 3)}).SerializeToString(), {"x": PLANES})
    probe.run()
    assert probe.counted() == []
    probe.close()


@REAL
def test_a_graph_that_cannot_be_run_is_an_engine_error(probing: Any, engine: str) -> None:
    strange = helper.make_node("NoSuchOperator", ["x"], ["out"], name="c")
    with pytest.raises(EngineError, match="graph"):
        probing(engine).probe(graph(strange, weights={}).SerializeToString(), {"x": PLANES})


@REAL
def test_probing_leaves_no_files(probing: Any, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = probing(engine)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    probe = opened.probe(graph(conv(), weights={"w": (4, 4, 3, 3)}).SerializeToString(), {"x": PLANES}, count=True)
    probe.run()
    probe.counted()
    probe.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize("model", MODELS)
def test_pytorch_accounts_for_all_the_work(model: str, capfd: pytest.CaptureFixture[str]) -> None:
    from edgelift.forge.operators import torch_bench, torch_operators

    bundle = read_bundle(bundled()[model])
    found = torch_operators(bundle, (16, 24), rounds=2)
    assert found.macs == bundle.spec.macs * 16 * 24
    assert len({node.name for node in found.nodes}) == len(found.nodes)
    assert capfd.readouterr().err == ""
    with torch_bench(bundle, Options(precision="f32")) as bench:
        assert bench.key().engine.startswith("torch ")
        assert bench.probing() is None
        bench.window(16, 24)()
    with pytest.raises(RequestError, match=r"runs on the cpu in f32, not on auto bf16"):
        torch_bench(bundle, Options(precision="bf16"))
