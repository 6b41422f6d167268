"""One suite for every engine that can run here, and the fake one: against PyTorch, and against the protocol's text."""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgelift.core.errors import BundleError, EngineError, EngineMissingError, RequestError
from edgelift.core.registry import Registry
from edgelift.core.spec import ModelSpec
from edgelift.io.bundle import Bundle, read_bundle, write_bundle
from edgelift.runtime.engine import SAMPLES, Availability, Device, Engine, Options, blocks_shape
from edgelift.runtime.engines import ENGINES, availability, open_engine
from edgelift.runtime.engines.fake import FakeEngine

FOUND = {found.engine: found for found in availability()}
HERE = [name for name, found in FOUND.items() if not found.problem]
COMPILED = [name for name in HERE if "onnx" not in ENGINES.load(name).forms]
"""Engines that run files which bundles are compiled to: they are given those."""
REAL = pytest.mark.parametrize("name", HERE)
OF_BUNDLES = pytest.mark.parametrize("name", [name for name in HERE if name not in COMPILED])
ALL = pytest.mark.parametrize("name", [*HERE, "fake"])
TARGETS = {"sophon": "bm1684x", "sophon-simulator": "bm1684x"}
"""What bundles are compiled for, where the target is called otherwise than the engine."""
WINDOWS = ((8, 8), (6, 12))
"""Of engines that run fixed shapes only."""
BYTES_ONLY = ("sophon", "sophon-simulator")
"""Engines of 8-bit pictures."""
VENDORS = ("sophon", "sophon-simulator")
"""Engines whose software is on no package index, or in an environment of its own: they have no extra."""
PACKAGES = {"litert": "ai_edge_litert"}
"""Where an engine's package is called otherwise."""
NETWORKS: dict[str, dict[str, Any]] = {
    "abpn": {"scale": 3, "padding": "replicate", "channels": 6, "layers": 1},
    "espcn": {"scale": 3, "padding": "replicate"},
    "fsrcnn": {"scale": 2, "padding": "zeros", "channels": 8, "shrunk": 4, "layers": 1},
    "branched-plain": {"scale": 2, "widths": (2, 4), "layers": (2, 1)},
    "slim-plain": {"scale": 2, "widths": (2, 4, 6), "layers": 1},
    "slim-fsrcnn": {"scale": 3, "widths": (3, 5), "shrunk": 4, "layers": 1},
    "abpn after the shuffle": {"scale": 3, "residual": "image", "channels": 6, "layers": 1},
}
EACH_NETWORK = pytest.mark.parametrize("network", NETWORKS)
SIZES = [(1, 1, 1), (1, 1, 7), (2, 13, 5), (3, 24, 31)]


def _form(name: str, bundle: Bundle) -> Bundle:
    """`bundle` in a form that the engine runs. A test is skipped where a network has none there."""
    if name not in COMPILED:
        return bundle
    from edgelift.forge.compile import Order, converted

    if bundle.spec.grid > 1 and name == "litert":
        pytest.skip(f"{name} runs networks that give blocks of input pixels only")
    key = (TARGETS.get(name, name), bundle.data)
    if key not in MADE:
        several = bundle.spec.name == "small"
        sizes = WINDOWS[: 1 + several] if key[0] == "bm1684x" else ((192, 256),)
        MADE[key] = converted(bundle, Order(key[0], sizes=sizes))
    return MADE[key]


MADE: dict[tuple[str, bytes], Bundle] = {}
"""What bundles were compiled to so far."""


def _open(name: str, bundle: Bundle, options: Options) -> Engine:
    return open_engine(_form(name, bundle), name, options)


@dataclass
class Made:
    """A bundle and the network it came from."""

    bundle: Bundle
    network: Any


@pytest.fixture(scope="module")
def made(exports: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    folder = tmp_path_factory.mktemp("contract")
    cache: dict[str, Made] = {}

    def make(name: str) -> Made:
        if name not in cache:
            export = exports.exported(name.split()[0], **NETWORKS[name])
            bundle = write_bundle(export.model(), export.spec, folder / f"{name}.onnx")
            cache[name] = Made(bundle, export.network)
        return cache[name]

    return make


@pytest.fixture(scope="module")
def engine_of(small_bundle: Path) -> Iterator[Callable[..., Engine]]:
    """Opens engines in f32 on one thread, and closes them at the end."""
    engines: list[Engine] = []
    simulated: list[tuple[tuple[str, bytes], Any]] = []

    def make(name: str, bundle: Bundle | None = None, samples: str = "uint8") -> Engine:
        bundle = bundle or read_bundle(small_bundle)
        if name in BYTES_ONLY and samples != "uint8":
            pytest.skip(f"{name} takes and gives pictures of 8 bits")
        options = Options(precision="f32", samples=samples, threads=1)
        same = next((e for of, e in simulated if of == (name, bundle.data) and not e._closed), None)
        if same is not None:
            return same
        engines.append(FakeEngine(bundle.spec, samples=samples) if name == "fake" else _open(name, bundle, options))
        if name == "sophon-simulator":  # a process each, and a second until it is there
            simulated.append(((name, bundle.data), engines[-1]))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def _windows(shape: tuple[int, int, int], samples: str, engine: Engine | None = None) -> NDArray[Any]:
    """Values that differ by shape; of one of the shapes of `engine`, where it has some."""
    if engine is not None and engine.limits.shapes:
        shapes = engine.limits.shapes
        shape = (shape[0], *shapes[sum(shape) % len(shapes)])
    rng = np.random.default_rng(sum(shape))
    smooth = rng.integers(0, 256, (*shape, 3)) * 0.5 + np.linspace(0, 127, shape[2])[None, None, :, None]
    return smooth.astype(samples)


def _run(engine: Engine, batch: NDArray[Any], variant: int | None = None) -> NDArray[Any]:
    out = np.full(blocks_shape(engine.spec, batch.shape), 77, batch.dtype)
    engine.run(batch, engine.spec.widest if variant is None else variant, out)
    return out


# -- against the PyTorch reference engine
@REAL
@EACH_NETWORK
def test_bytes_are_those_of_the_reference(
    made: Callable[[str], Made], engine_of: Callable[..., Engine], name: str, network: str
) -> None:
    from edgelift.forge.reference import ReferenceEngine

    case = made(network)
    engine, reference = engine_of(name, case.bundle), ReferenceEngine(case.network, case.bundle.spec)
    compared, equal, inside = 0, 0, 0
    for shape in SIZES[:1] if engine.limits.shapes else SIZES:
        batch = _windows(shape, "uint8", engine)
        here, there = _run(engine, batch), _run(reference, batch)
        assert np.abs(here.astype(int) - there.astype(int)).max() <= 1, shape
        compared, equal = compared + here.size, equal + int((here == there).sum())
        inside += int(((there > 0) & (there < 255)).sum())
    assert equal > 0.99 * compared, "differences are roundings of exact halves and near them"
    assert inside > 0.5 * compared, "clipped samples would be equal whatever the network gave"


@REAL
@EACH_NETWORK
def test_floats_are_those_of_the_reference(
    made: Callable[[str], Made], engine_of: Callable[..., Engine], name: str, network: str
) -> None:
    from edgelift.forge.reference import ReferenceEngine

    case = made(network)
    engine = engine_of(name, case.bundle, "float32")
    reference = ReferenceEngine(case.network, case.bundle.spec, "float32")
    for shape in SIZES:
        batch = _windows(shape, "float32") + np.float32(0.37)
        here, there = _run(engine, batch), _run(reference, batch)
        assert here.dtype == np.float32
        assert np.abs(here - there).max() < 1e-2
        assert here.min() >= 0
        assert here.max() <= 255


@REAL
@EACH_NETWORK
def test_a_window_of_a_batch_gives_what_it_gives_alone(
    made: Callable[[str], Made], engine_of: Callable[..., Engine], name: str, network: str
) -> None:
    if name == "sophon-simulator" and network != "abpn":
        pytest.skip("the simulator runs windows one by one, whatever the network")
    engine = engine_of(name, made(network).bundle)
    batch = _windows((2 if engine.limits.shapes else 3, 14, 11), "uint8", engine)
    together = _run(engine, batch)
    for k in range(len(batch)):
        assert np.array_equal(together[k : k + 1], _run(engine, np.ascontiguousarray(batch[k : k + 1])))


@REAL
def test_a_shape_that_comes_often_goes_on_giving_the_same(engine_of: Callable[..., Engine], name: str) -> None:
    """Engines may compile what they see often for itself; many shapes in turn, so that such tables overflow too."""
    engine = engine_of(name)
    batches = [_windows((1, 6 + k, 9), "uint8", engine) for k in range(2 if engine.limits.shapes else 12)]
    first = [_run(engine, batch) for batch in batches]
    for _ in range(1 if engine.limits.shapes else 5):
        for batch, before in zip(batches, first, strict=True):
            assert np.array_equal(_run(engine, batch), before)


@OF_BUNDLES
@EACH_NETWORK
@pytest.mark.parametrize("samples", SAMPLES)
def test_every_variant_gives_what_pytorch_gives(
    made: Callable[[str], Made], engine_of: Callable[..., Engine], name: str, network: str, samples: str
) -> None:
    from edgelift.forge.reference import ReferenceEngine

    here = made(network)
    engine, reference = engine_of(name, here.bundle, samples), ReferenceEngine(here.network, here.bundle.spec, samples)
    batch = _windows((2, 12, 9), samples)
    seen = []
    for variant in range(0 if engine.spec.interpolates else 1, engine.spec.widest + 1):
        found, wanted = _run(engine, batch, variant), _run(reference, batch, variant)
        assert np.abs(found.astype(float) - wanted).max() <= (1 if samples == "uint8" else 1e-2)
        assert np.mean(found != wanted) < (0.01 if samples == "uint8" else 2)
        seen.append(found)
    assert all((a != b).mean() > 0.1 for a, b in pairwise(seen)), "variants are different networks"


@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_file_holds_one_network_and_says_so(engine_of: Callable[..., Engine], name: str) -> None:
    engine = engine_of(name)
    batch = _windows((1, 5, 6), "uint8", engine)
    assert engine.spec.widest == 1
    with pytest.raises(EngineError, match="has no variant 0"):
        _run(engine, batch, 0)


@pytest.mark.parametrize("name", COMPILED)
def test_an_engine_of_compiled_files_names_what_it_runs(small_bundle: Path, name: str) -> None:
    with pytest.raises(RequestError, match=r"small\.onnx is an ONNX bundle"):
        open_engine(read_bundle(small_bundle), name)


@OF_BUNDLES
def test_variant_0_is_bicubic_interpolation(engine_of: Callable[..., Engine], name: str) -> None:
    from edgelift.core.resize import resize

    engine = engine_of(name, samples="float32")
    picture = _windows((1, 11, 8), "float32")
    blocks = _run(engine, picture, 0)
    larger = blocks[0].transpose(0, 2, 1, 3, 4).reshape(22, 16, 3)
    assert np.abs(larger - resize(picture[0], 22, 16, "bicubic").clip(0, 255)).max() < 1e-2


# -- against the protocol
@ALL
@pytest.mark.parametrize("samples", SAMPLES)
def test_several_threads_get_what_one_gets(engine_of: Callable[..., Engine], name: str, samples: str) -> None:
    engine = engine_of(name, samples=samples)
    few = bool(engine.limits.shapes)
    batches = [_windows((1 + k % 2, 8 + k % 3, 10 + k % 4), samples, engine) for k in range(4 if few else 24)]
    alone = [_run(engine, batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(1 if few else 3):
            together = list(pool.map(lambda batch: _run(engine, batch), batches))
            assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


@ALL
@pytest.mark.parametrize("samples", SAMPLES)
def test_the_input_is_left_alone_and_may_be_read_only(
    engine_of: Callable[..., Engine], name: str, samples: str
) -> None:
    engine = engine_of(name, samples=samples)
    batch = _windows((2, 9, 8), samples, engine)
    expected, before = _run(engine, batch), batch.copy()
    assert np.array_equal(batch, before)
    batch.flags.writeable = False
    assert np.array_equal(_run(engine, batch), expected)


@ALL
def test_the_output_is_filled_and_nothing_beside_it(engine_of: Callable[..., Engine], name: str) -> None:
    engine = engine_of(name)
    batch = _windows((1, 5, 6), "uint8", engine)
    shape = blocks_shape(engine.spec, batch.shape)
    around = np.full((shape[0] + 2, *shape[1:]), 77, np.uint8)
    engine.run(batch, 1, around[1:-1])
    assert np.array_equal(around[1:-1], _run(engine, batch))
    assert (around[[0, -1]] == 77).all()


@ALL
def test_what_the_protocol_does_not_allow_is_an_engine_error(engine_of: Callable[..., Engine], name: str) -> None:
    engine = engine_of(name)
    good = _windows((1, 6, 7), "uint8", engine)
    room = np.full(blocks_shape(engine.spec, good.shape), 77, np.uint8)
    frozen = room.copy()
    frozen.flags.writeable = False
    wrong: dict[str, tuple[NDArray[Any], int, NDArray[Any]]] = {
        "one picture without a batch": (good[0], 1, room),
        "four channels": (np.zeros((1, 6, 7, 4), np.uint8), 1, room),
        "no window": (good[:0], 1, room[:0]),
        "no row": (good[:, :0], 1, room[:, :0]),
        "another type": (good.astype(np.float32), 1, room.astype(np.float32)),
        "a large batch": (np.zeros((engine.limits.max_batch + 1, 1, 1, 3), np.uint8), 1, room),
        "variant -1": (good, -1, room),
        "variant 2": (good, 2, room),
        "little room": (good, 1, room[:, :-1]),
        "room of another order": (good, 1, room.reshape(*good.shape[:3], 12)),
        "room of another type": (good, 1, room.astype(np.float32)),
        "room with gaps": (good, 1, np.repeat(room, 2, axis=2)[:, :, ::2]),
        "room that cannot be written": (good, 1, frozen),
    }
    came: dict[str, str] = {}
    for what, arguments in wrong.items():
        try:
            engine.run(*arguments)
        except EngineError:
            continue
        except Exception as exc:
            came[what] = f"{type(exc).__name__}: {exc}"
        else:
            came[what] = "no error"
    assert came == {}, "expected an EngineError"
    assert (frozen == 77).all()
    assert (_run(engine, good) != 77).any(), "the engine still runs after errors"


@ALL
def test_windows_in_another_memory_order_are_right_or_refused(engine_of: Callable[..., Engine], name: str) -> None:
    engine = engine_of(name)
    batch = _windows((1, 6, 7), "uint8", engine)
    expected = _run(engine, batch)
    for bent in (np.asfortranarray(batch), np.repeat(batch, 2, axis=2)[:, :, ::2]):
        with suppress(EngineError):  # the protocol says C order
            assert np.array_equal(_run(engine, bent), expected)


@ALL
def test_a_closed_engine_runs_no_more(engine_of: Callable[..., Engine], name: str) -> None:
    engine = engine_of(name)
    batch = _windows((1, 4, 4), "uint8", engine)
    for _ in range(1 if engine.limits.shapes else 5):  # often enough that a shape of its own would be compiled
        _run(engine, batch)
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        _run(engine, batch)
    engine.close()


@ALL
def test_an_engine_says_what_it_is(engine_of: Callable[..., Engine], small_bundle: Path, name: str) -> None:
    engine = engine_of(name)
    assert replace(engine.spec, training={}) == replace(read_bundle(small_bundle).spec, training={})
    assert engine.precision == "f32"
    assert engine.device
    assert engine.limits.max_batch >= 1
    kind = FakeEngine if name == "fake" else ENGINES.load(name)
    found = kind.available()
    assert (found.engine, found.problem) == (name, "")
    assert found.version
    assert engine.device in {device.name for device in found.devices}
    for device in found.devices:
        assert device.default in device.precisions
        assert device.title


# -- what cannot be opened
@REAL
@pytest.mark.parametrize(
    "asked",
    [
        {"device": "tpu9"}, {"device": ""}, {"device": "CPU.7"}, {"precision": "f64"}, {"precision": "int8"},
        {"precision": ""}, {"threads": -1}, {"samples": "uint16"},
    ],
    ids=str,
)  # fmt: skip
def test_a_device_or_form_that_there_is_not_is_a_request_error(
    small_bundle: Path, name: str, asked: dict[str, Any]
) -> None:
    with pytest.raises(RequestError) as caught:
        _open(name, read_bundle(small_bundle), Options(**asked))
    if asked.keys() & {"device", "precision"}:
        device = FOUND[name].devices[0]
        assert any(word in str(caught.value) for word in (device.name, *device.precisions)), "it says what there is"


def _with_core(bundle: Bundle, path: Path, *changed: onnx.NodeProto, **weights: NDArray[Any]) -> Bundle:
    """`bundle` with other nodes between its cut points."""
    graph = bundle.graph()
    outside = [node for node in graph.graph.node if "core_out" not in node.output]
    at = next(k for k, node in enumerate(outside) if "core_in" in node.output) + 1
    del graph.graph.node[:]
    graph.graph.node.extend([*outside[:at], *changed, *outside[at:]])
    graph.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    return write_bundle(graph, bundle.spec, path)


@REAL
def test_a_graph_that_does_not_fit_together_is_an_engine_error(small_bundle: Path, tmp_path: Path, name: str) -> None:
    """The reader checks a bundle's form, not its shapes; the engine's own error must not come out as it is."""
    five = np.zeros((12, 5, 3, 3), np.float32)  # five channels where there are three
    node = helper.make_node("Conv", ["core_in", "five"], ["core_out"], pads=[1, 1, 1, 1])
    bundle = _with_core(read_bundle(small_bundle), tmp_path / "odd.onnx", node, five=five)
    with pytest.raises(EngineError) as caught:  # noqa: PT012  # some say it when they open, some when they run
        engine = _open(name, bundle, Options(threads=1))
        _run(engine, _windows((1, 4, 4), "uint8", engine))
    assert "\n" not in str(caught.value).strip()


@OF_BUNDLES
def test_an_operator_that_there_is_not_is_refused(small_bundle: Path, tmp_path: Path, name: str) -> None:
    """By the reader or by the engine. What makes engines hang or crash is the reader's: see tests/io/test_bundle.py."""
    node = helper.make_node("Wobble", ["core_in"], ["core_out"])
    with pytest.raises((BundleError, EngineError)):
        open_engine(_with_core(read_bundle(small_bundle), tmp_path / "w.onnx", node), name, Options(threads=1))


@OF_BUNDLES
def test_blocks_of_another_size_than_the_facts_state_are_an_engine_error(
    small_bundle: Path, tmp_path: Path, name: str
) -> None:
    node = helper.make_node("Relu", ["core_in"], ["core_out"])  # three channels where there should be twelve
    bundle = _with_core(read_bundle(small_bundle), tmp_path / "thin.onnx", node)
    with pytest.raises(EngineError):
        _run(open_engine(bundle, name, Options(threads=1)), _windows((1, 4, 4), "uint8"))


@OF_BUNDLES
def test_a_graph_that_fails_while_it_runs_is_an_engine_error(small_bundle: Path, tmp_path: Path, name: str) -> None:
    """A fixed size inside: known only when a window of another size comes."""
    bundle = read_bundle(small_bundle)
    nodes = [
        helper.make_node("Conv", ["core_in", "w"], ["wide"], pads=[1, 1, 1, 1]),
        helper.make_node("Reshape", ["wide", "fixed"], ["core_out"]),
    ]
    made = _with_core(bundle, tmp_path / "fixed.onnx", *nodes, fixed=np.array([1, 12, 4, 4], np.int64))
    engine = open_engine(made, name, Options(precision="f32", threads=1))
    assert _run(engine, _windows((1, 4, 4), "uint8")).any()
    with pytest.raises(EngineError):
        _run(engine, _windows((1, 5, 6), "uint8"))


@pytest.mark.skipif("litert" not in HERE, reason="LiteRT is not installed")
def test_litert_opens_no_interpreter_that_it_does_not_use(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, opened = _form("litert", read_bundle(small_bundle)), list[Any]()
    kind = ENGINES.load("litert")
    whole = kind._opened
    monkeypatch.setattr(kind, "_opened", lambda engine: (opened.append(engine), whole(engine))[1])
    engine = kind(bundle, Options(threads=1))
    first = _run(engine, _windows((1, 5, 7), "uint8"))
    assert len(opened) == 1
    _run(engine, _windows((1, 6, 7), "uint8"))
    assert len(opened) == 2
    assert np.array_equal(_run(engine, _windows((1, 5, 7), "uint8")), first)
    assert len(opened) == 2


# -- the list of engines
def test_every_engine_of_the_list_is_accounted_for() -> None:
    assert [found.engine for found in availability()] == list(ENGINES)
    assert all(found.problem or found.devices for found in availability())


def test_an_unknown_engine_is_refused_with_the_names_there_are(small_bundle: Path) -> None:
    with pytest.raises(RequestError, match="no engine is called 'abacus'") as caught:
        open_engine(read_bundle(small_bundle), "abacus")
    assert all(name in str(caught.value) for name in ENGINES)


@pytest.mark.skipif(not HERE, reason="no engine is installed")
def test_auto_takes_the_first_engine_that_can_run(small_bundle: Path) -> None:
    engine = open_engine(read_bundle(small_bundle), options=Options(threads=1))
    assert getattr(engine, "name", None) == HERE[0]


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes packages look as if they were not installed."""
    real = importlib.util.find_spec

    def hide(*packages: str) -> None:
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *more: None if name in packages else real(name, *more)
        )

    return hide


@pytest.mark.parametrize("name", [name for name in ENGINES if name not in VENDORS])
def test_an_engine_that_is_not_installed_names_its_extra(
    small_bundle: Path, absent: Callable[..., None], repository: Path, name: str
) -> None:
    package = PACKAGES.get(name, name)
    absent(package)
    assert f"pip install 'edgelift[{name}]'" in ENGINES.load(name).available().problem
    with pytest.raises(EngineMissingError, match=rf"{name}: not installed; pip install 'edgelift\[{name}\]'"):
        open_engine(replace(read_bundle(small_bundle), form=ENGINES.load(name).forms[-1]), name)
    with pytest.raises(EngineMissingError, match=name):
        ENGINES.load(name)(read_bundle(small_bundle), Options())
    extras = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    assert name in extras, "the command that the message names must work"


def test_auto_without_any_engine_says_what_to_do(small_bundle: Path, absent: Callable[..., None]) -> None:
    absent(*ENGINES, *PACKAGES.values())
    with pytest.raises(EngineMissingError, match="no engine can run here") as caught:
        open_engine(read_bundle(small_bundle))
    assert all(f"edgelift[{name}]" in str(caught.value) for name in ENGINES if "onnx" in ENGINES.load(name).forms)
    assert "--model bicubic" in str(caught.value)


def test_auto_looks_for_an_engine_of_that_form(small_bundle: Path, absent: Callable[..., None]) -> None:
    absent(*ENGINES, *PACKAGES.values())
    bundle = replace(read_bundle(small_bundle), form="litert")
    with pytest.raises(
        EngineMissingError, match=r"nothing here can run a LiteRT file: litert: .*edgelift\[litert\]"
    ) as caught:
        open_engine(bundle)
    assert "bicubic" not in str(caught.value)


@pytest.mark.skipif(len(HERE) < 2, reason="needs two engines")
def test_auto_passes_over_an_engine_that_is_missing(small_bundle: Path, absent: Callable[..., None]) -> None:
    absent(HERE[0])
    engine = open_engine(read_bundle(small_bundle), options=Options(threads=1))
    assert getattr(engine, "name", None) == HERE[1]


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> type[FakeEngine]:
    """An engine with two GPUs in place of the second of the list."""
    first, second = HERE[0], HERE[1]

    class WithGPU(FakeEngine):
        name = second

        def __init__(self, bundle: Bundle, options: Options) -> None:
            super().__init__(bundle.spec)
            self.device = options.device.upper()

        @classmethod
        def available(cls) -> Availability:
            devices = tuple(Device(name, "a GPU", ("f32",), "f32") for name in ("GPU.0", "GPU.1"))
            return Availability(cls.name, "1", devices)

    known = {first: ENGINES.load(first), second: WithGPU}
    monkeypatch.setattr(Registry, "load", lambda self, name: known[name])
    monkeypatch.setattr(Registry, "__iter__", lambda self: iter(known))
    return WithGPU


@pytest.mark.skipif(len(HERE) < 2, reason="needs two engines")
@pytest.mark.parametrize("device", ["gpu", "gpu.1"])
def test_auto_takes_the_engine_that_has_the_device(small_bundle: Path, with_gpu: type[FakeEngine], device: str) -> None:
    engine = open_engine(read_bundle(small_bundle), options=Options(device=device, threads=1))
    assert isinstance(engine, with_gpu)
    assert engine.device == device.upper()


@pytest.mark.skipif(len(HERE) < 2, reason="needs two engines")
def test_auto_says_which_devices_there_are(small_bundle: Path, with_gpu: type[FakeEngine]) -> None:
    with pytest.raises(RequestError, match=rf"no engine here has a device 'NPU'; .*CPU.*; {HERE[1]} has GPU.0, GPU.1"):
        open_engine(read_bundle(small_bundle), options=Options(device="npu", threads=1))


@pytest.mark.skipif("onnxruntime" not in HERE, reason="ONNX Runtime is not installed")
def test_onnxruntime_does_not_fall_back_to_the_cpu(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    class Fallen(onnxruntime.InferenceSession):
        def __init__(self, graph: bytes, settings: Any, *, providers: list[str]) -> None:
            super().__init__(graph, settings, providers=["CPUExecutionProvider"])

    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Fallen)
    with pytest.raises(EngineError, match="could not start its CUDAExecutionProvider"):
        open_engine(read_bundle(small_bundle), "onnxruntime", Options(device="cuda", threads=1))
    assert open_engine(read_bundle(small_bundle), "onnxruntime", Options(threads=1)).device == "CPU"


def test_the_fake_engine_takes_only_its_shapes(make_spec: Callable[..., ModelSpec]) -> None:
    engine = FakeEngine(make_spec(), shapes=((4, 4), (8, 8)), fail_at=1)
    _run(engine, _windows((1, 4, 4), "uint8"))
    with pytest.raises(EngineError, match="this engine runs windows of"):
        _run(engine, _windows((1, 4, 8), "uint8"))
    with pytest.raises(EngineError, match="failed as it was told to"):
        _run(engine, _windows((1, 8, 8), "uint8"))
    assert engine.calls == [(1, 4, 4, 3)]


def test_windows_must_be_multiples(make_spec: Callable[..., ModelSpec]) -> None:
    engine = FakeEngine(make_spec(multiple_of=4))
    _run(engine, _windows((1, 4, 8), "uint8"))
    with pytest.raises(EngineError, match="multiples of 4"):
        _run(engine, _windows((1, 4, 6), "uint8"))
