"""The engine of SOPHON's cards, with a module that stands in for `sophon.sail` and behaves as its documentation says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edgelift.core.errors import BundleError, EngineError, EngineMissingError, RequestError
from edgelift.io.bundle import Bundle, read_bundle
from edgelift.runtime.engine import Options, blocks_shape
from edgelift.runtime.engines import open_engine
from edgelift.runtime.engines.bmodel import stated_prices
from edgelift.runtime.engines.sail import SailEngine, decode

SHAPES = ((4, 6), (8, 8))


class Dtype(Enum):
    """Two of its types."""

    BM_FLOAT32 = 0
    BM_UINT8 = 2


def standing_in(cards: int = 1, dtype: Dtype = Dtype.BM_UINT8, fail: bool = False) -> ModuleType:
    """`sophon.sail` with `cards` cards, which hold a network of nearest neighbours for each of `SHAPES`, scale 2."""
    sail: Any = ModuleType("sophon.sail")
    sail.__version__ = "3.9.0"
    sail.Dtype = Dtype
    sail.IOMode = type("IOMode", (), {"SYSIO": object()})
    sail.Format = type("Format", (), {"FORMAT_BGR_PACKED": "bgr"})
    sail.ImgDtype = type("ImgDtype", (), {"DATA_TYPE_EXT_1N_BYTE": "bytes"})
    sail.get_available_tpu_num = lambda: cards

    class Engine:
        def __init__(self, data: bytes, size: int, card: int, mode: object) -> None:
            if data == b"broken":
                raise RuntimeError("bmodel load failed")
            assert (len(data), mode) == (size, sail.IOMode.SYSIO)
            assert 0 <= card < cards
            sail.opened.append(card)

        def get_graph_names(self) -> list[str]:
            return [f"window_{h}x{w}" for h, w in SHAPES]

        def _sides(self, graph: str) -> tuple[int, int]:
            height, width = graph.removeprefix("window_").split("x")
            return int(height), int(width)

        def get_input_names(self, graph: str) -> list[str]:
            return [f"{graph}/image"]

        def get_output_names(self, graph: str) -> list[str]:
            return [f"{graph}/blocks"]

        def get_input_shape(self, graph: str, name: str) -> list[int]:
            return [1, *self._sides(graph), 3]

        def get_output_shape(self, graph: str, name: str) -> list[int]:
            return [1, *self._sides(graph), 12]

        def get_input_dtype(self, graph: str, name: str) -> Dtype:
            return Dtype.BM_UINT8

        def get_output_dtype(self, graph: str, name: str) -> Dtype:
            return dtype

        def process(self, graph: str, given: dict[str, Any]) -> dict[str, Any]:
            if fail:
                raise RuntimeError("bmrt_launch_tensor failed")
            (image,) = given.values()
            assert list(given) == self.get_input_names(graph)
            assert image.shape == tuple(self.get_input_shape(graph, ""))
            assert image.dtype == np.uint8
            return {f"{graph}/blocks": np.tile(image, (1, 1, 1, 4))}

    class BMImage:
        def __init__(self, handle: Any, height: int, width: int, form: str = "yuv", dtype: str = "bytes") -> None:
            self.form, self._shape = form, (height, width)

        def height(self) -> int:
            return self._shape[0]

        def width(self) -> int:
            return self._shape[1]

        def asmat(self) -> Any:
            assert self.form == "bgr"
            return np.broadcast_to(np.array([30, 20, 10], np.uint8), (*self._shape, 3))  # blue first

    class Decoder:
        def __init__(self, path: str, compressed: bool, card: int) -> None:
            self.path = path

        def read(self, handle: Any) -> BMImage:
            if not Path(self.path).exists():
                raise RuntimeError("open failed")
            return BMImage(handle, 5, 7)

    class Bmcv:
        def __init__(self, handle: Any) -> None:
            pass

        def convert_format(self, given: BMImage, made: BMImage) -> None:
            assert (given.form, made.form) == ("yuv", "bgr")

    sail.opened, sail.Engine, sail.BMImage, sail.Decoder, sail.Bmcv = [], Engine, BMImage, Decoder, Bmcv
    sail.Handle = lambda card: card
    return sail


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType], ModuleType]:
    """Make a module importable as `sophon.sail`."""

    def do(sail: ModuleType) -> ModuleType:
        package: Any = ModuleType("sophon")
        package.sail = sail
        package.__spec__ = type("Spec", (), {"name": "sophon"})()
        monkeypatch.setitem(sys.modules, "sophon", package)
        monkeypatch.setitem(sys.modules, "sophon.sail", sail)
        return sail

    return do


@pytest.fixture
def bundle(small_bundle: Path) -> Bundle:
    """`small` as a file for the card."""
    return replace(read_bundle(small_bundle), form="sophon", data=b"model")


def test_windows_of_a_batch_go_one_by_one(install: Callable[..., Any], bundle: Bundle) -> None:
    sail = install(standing_in(cards=2))
    engine = SailEngine(bundle, Options(device="bm1684x.1"))
    assert (engine.device, engine.precision, engine.limits.shapes, sail.opened) == ("BM1684X.1", "f32", SHAPES, [1])
    batch = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), np.uint8)
    out = np.zeros(blocks_shape(bundle.spec, batch.shape), np.uint8)
    engine.run(batch, 1, out)
    assert (out == batch[:, :, :, None, None]).all()
    with pytest.raises(EngineError, match="runs windows of"):
        engine.run(batch[:, :3], 1, out[:, :3])
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(batch, 1, out)


def test_auto_takes_the_card_before_the_simulator(install: Callable[..., Any], bundle: Bundle) -> None:
    install(standing_in())
    assert isinstance(open_engine(bundle), SailEngine)


def test_what_cannot_run_says_why(install: Callable[..., Any], bundle: Bundle) -> None:
    install(standing_in(cards=0))
    assert "sees no card" in SailEngine.available().problem
    with pytest.raises(EngineMissingError, match="sees no card"):
        SailEngine(bundle, Options())
    sail: Any = install(standing_in())
    for asked, says in (
        ({"device": "bm1684x.3"}, "has no device 'BM1684X.3'; it has BM1684X.0"),
        ({"precision": "int8"}, "small was compiled in f32 and runs in nothing else, not in int8"),
        ({"samples": "float32"}, "takes and gives pictures of 8 bits"),
    ):
        with pytest.raises(RequestError, match=says):
            SailEngine(bundle, Options(**asked))
    with pytest.raises(EngineError, match=r"sophon\.sail cannot load small on card 0: bmodel load failed"):
        SailEngine(replace(bundle, data=b"broken"), Options())
    install(standing_in(dtype=Dtype.BM_FLOAT32))
    with pytest.raises(EngineError, match="expected bytes in and out"):
        SailEngine(bundle, Options())
    install(standing_in(fail=True))
    engine = SailEngine(bundle, Options())
    batch = np.zeros((1, 4, 6, 3), np.uint8)
    with pytest.raises(EngineError, match=r"failed on a window of \(4, 6\): bmrt_launch_tensor failed"):
        engine.run(batch, 1, np.zeros(blocks_shape(bundle.spec, batch.shape), np.uint8))
    sail.get_available_tpu_num = None
    install(sail)
    assert SailEngine.available().problem.startswith("installed, but does not start")


def test_without_the_runtime_it_is_missing(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sophon", None)
    with pytest.raises(EngineMissingError, match="it comes with SOPHON's SDK"):
        SailEngine(bundle, Options())
    with pytest.raises(EngineMissingError, match="it comes with SOPHON's SDK"):
        decode("picture.jpg")


def test_pictures_are_decoded_on_the_card_in_the_order_of_colours(install: Callable[..., Any], tmp_path: Path) -> None:
    install(standing_in())
    path = tmp_path / "picture.jpg"
    path.write_bytes(b"jpeg")
    found = decode(str(path))
    assert (found.shape, found.dtype, found[0, 0].tolist()) == ((5, 7, 3), np.uint8, [10, 20, 30])
    assert found.flags.c_contiguous
    with pytest.raises(EngineError, match=r"absent\.jpg: the card cannot decode it \(open failed\)"):
        decode(str(tmp_path / "absent.jpg"))


def test_a_file_states_its_prices(bundle: Bundle) -> None:
    assert stated_prices(bundle.spec) is None
    stated = {"compiled": {"windows": [[4, 6, 0.001], [8, 8, 0.002]]}}
    found = stated_prices(replace(bundle.spec, training=stated))
    assert found is not None
    assert (found.seconds(1, 8, 8), found.seconds(3, 4, 6)) == (0.002, pytest.approx(0.003))
    for wrong in ([[4, 6]], [[4, 6, -1]], "ab", [[4, 6, 1.0]] * 2, [[4, 6, None]], 7):
        with pytest.raises(BundleError, match=r"expected \[height, width, seconds\] in the fact 'compiled.windows'"):
            stated_prices(replace(bundle.spec, training={"compiled": {"windows": wrong}}))
