"""The facade, with an engine that only copies pixels: what it asks for and refuses, and that tiles do not matter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgelift.core.errors import BundleError, EngineError, RequestError
from edgelift.core.resize import KERNELS, resize
from edgelift.core.spec import ModelSpec
from edgelift.io.bundle import Bundle, read_bundle, write_bundle
from edgelift.runtime import upscaler as module
from edgelift.runtime.engine import Options
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.runtime.planner import Planner
from edgelift.runtime.rows import ArraySource, ArrayTarget
from edgelift.runtime.upscaler import Upscaler


class Opened:
    """Stands in for `open_engine`; keeps what was opened and with which options."""

    def __init__(self) -> None:
        self.engines: list[FakeEngine] = []
        self.asked: list[tuple[str, Options]] = []
        self.settings: dict[str, Any] = {}

    def __call__(self, bundle: Bundle, name: str, options: Options) -> FakeEngine:
        self.asked.append((name, options))
        self.engines.append(FakeEngine(bundle.spec, samples=options.samples, **self.settings))
        return self.engines[-1]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    made = Opened()
    monkeypatch.setattr(module, "open_engine", made)
    return made


def _noise(height: int, width: int, dtype: str = "uint8") -> NDArray[Any]:
    rng = np.random.default_rng(height * 1000 + width)
    if dtype == "float32":
        return rng.uniform(0, 255, (height, width, 3)).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, (height, width, 3), dtype)


def _nearest(picture: NDArray[Any], scale: int = 2) -> NDArray[Any]:
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


# -- what comes out
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 40), st.integers(1, 40), st.integers(3, 50), st.integers(3, 50))
def test_the_result_does_not_depend_on_the_tile(
    opened: Opened, small_bundle: Path, height: int, width: int, tall: int, wide: int
) -> None:
    picture = _noise(height, width)
    with Upscaler(small_bundle, tile=(tall, wide)) as upscaler:
        assert np.array_equal(upscaler(picture), _nearest(picture))
        assert upscaler.plan(height, width).tile == (min(tall, height), min(wide, width))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_type_that_comes_goes(opened: Opened, small_bundle: Path, dtype: str) -> None:
    picture = _noise(30, 20, dtype)
    with Upscaler(small_bundle, tile=(8, 9)) as upscaler:
        result = upscaler(picture)
    assert result.dtype == picture.dtype
    assert np.array_equal(result, _nearest(picture))
    assert [options.samples for _, options in opened.asked] == ["uint8"] + ["float32"] * (dtype != "uint8")


@pytest.mark.parametrize("options", [{"merge": "feather"}, {"merge": "average"}, {"filter": "unsharp"}])
def test_blending_and_filters_count_as_memory(opened: Opened, small_bundle: Path, options: dict[str, Any]) -> None:
    with Upscaler(small_bundle, tile=(100, 120)) as plain, Upscaler(small_bundle, tile=(100, 120), **options) as other:
        least, more = (made.choice(500, 4000).memory - made.planner().resident for made in (plain, other))
    assert more > least + 4000 * 2 * 100 * 2 * 3


def test_facts_about_an_upscaler(opened: Opened, small_bundle: Path) -> None:
    with Upscaler(small_bundle) as upscaler:
        assert upscaler.name == "small"
        assert upscaler.scale == 2
        assert upscaler.size(3, 5) == (6, 10)
        assert upscaler.spec == read_bundle(small_bundle).spec
        assert upscaler.runs_on == "fake CPU f32"
        assert len(opened.engines) == 1, "one engine, made at the start"


def test_options_reach_the_engine(opened: Opened, small_bundle: Path) -> None:
    with Upscaler(small_bundle, engine="fake", device="npu", precision="bf16", threads=3) as upscaler:
        upscaler(_noise(2, 2, "uint16"))
    assert opened.asked == [
        ("fake", Options(device="npu", precision="bf16", samples=samples, threads=3))
        for samples in ("uint8", "float32")
    ]


def test_closing_closes_all_engines(opened: Opened, small_bundle: Path) -> None:
    with Upscaler(small_bundle) as upscaler:
        upscaler(_noise(2, 2, "uint16"))
    assert [engine.closed for engine in opened.engines] == [True, True]
    upscaler.close()


def test_one_upscaler_does_many_pictures(opened: Opened, small_bundle: Path) -> None:
    with Upscaler(small_bundle) as upscaler:
        for size in ((5, 7), (1, 1), (30, 2)):
            assert np.array_equal(upscaler(_noise(*size)), _nearest(_noise(*size)))
    assert len(opened.engines) == 1


def test_reports_reach_the_caller(opened: Opened, small_bundle: Path) -> None:
    picture, reports = _noise(20, 20), []
    target = ArrayTarget(40, 40, picture.dtype)
    with Upscaler(small_bundle, tile=(8, 8)) as upscaler:
        upscaler.run(ArraySource(picture), target, reports.append)
    assert np.array_equal(target.picture, _nearest(picture))
    assert len(reports) == 9
    assert reports[-1] == 1.0


def test_an_engine_of_fixed_shapes_gets_the_cheapest_of_them(opened: Opened, small_bundle: Path) -> None:
    opened.settings = {"shapes": ((16, 16), (64, 64), (8, 100))}
    with Upscaler(small_bundle) as upscaler:
        for size, shape in (((10, 12), (16, 16)), ((60, 60), (64, 64)), ((7, 90), (8, 100))):
            assert upscaler.plan(*size).tile == shape, size
            assert np.array_equal(upscaler(_noise(*size)), _nearest(_noise(*size)))


def test_a_shape_without_room_for_the_halo_is_not_chosen(
    opened: Opened, small_bundle: Path, make_spec: Callable[..., ModelSpec], tmp_path: Path
) -> None:
    """One of several shapes may be too small for this network: the others still serve."""
    write_bundle(read_bundle(small_bundle).graph(), make_spec(halo=10), tmp_path / "wide.onnx")
    opened.settings = {"shapes": ((16, 16), (64, 64))}
    with Upscaler(tmp_path / "wide.onnx") as upscaler:
        assert upscaler.plan(100, 100).tile == (64, 64)


def test_a_network_that_sees_the_whole_picture_gets_it(
    opened: Opened, small_bundle: Path, make_spec: Callable[..., ModelSpec], tmp_path: Path
) -> None:
    path = tmp_path / "whole.onnx"
    write_bundle(read_bundle(small_bundle).graph(), make_spec(halo=None, multiple_of=4), path)
    with Upscaler(path) as upscaler:
        assert upscaler.plan(9, 10).tile == (12, 12)
        assert np.array_equal(upscaler(_noise(9, 10)), _nearest(_noise(9, 10)))
    with Upscaler(path, tile=(8, 8)) as upscaler, pytest.raises(RequestError, match="sees the whole picture"):
        upscaler(_noise(9, 10))


# -- interpolations need no engine
@pytest.mark.parametrize("kernel", sorted(KERNELS))
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7, 2.5, 3])
def test_an_interpolation_is_a_resize(opened: Opened, kernel: str, scale: float) -> None:
    picture = _noise(21, 13)
    with Upscaler(kernel, scale=scale) as upscaler:
        size = (max(1, round(21 * scale)), max(1, round(13 * scale)))
        assert upscaler.size(21, 13) == size
        assert np.array_equal(upscaler(picture), resize(picture, *size, kernel))
        assert (upscaler.name, upscaler.spec, upscaler.runs_on) == (kernel, None, "interpolation")
        with pytest.raises(RequestError, match="needs no windows"):
            upscaler.plan(21, 13)
    assert not opened.engines


def test_bicubic_by_two_and_a_half() -> None:
    picture = _noise(8, 6, "uint16")
    with Upscaler("bicubic", scale=2.5) as upscaler:
        assert upscaler(picture).shape == (20, 15, 3)
        assert upscaler(picture).dtype == np.uint16


def test_an_interpolation_without_a_scale_doubles() -> None:
    with Upscaler("lanczos") as upscaler:
        assert upscaler.size(3, 4) == (6, 8)


def test_a_picture_never_shrinks_to_nothing() -> None:
    with Upscaler("bicubic", scale=0.01) as upscaler:
        assert upscaler(_noise(3, 300)).shape == (1, 3, 3)


# -- what is refused
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "nonesuch"}, r"no model is called 'nonesuch'.*abpn-x3.*bicubic"),
        ({"model": Path("no/such/file.onnx")}, "no model is called"),
        ({"scale": 7}, "no network enlarges ×7; networks are bundled for 2, 3, 4"),
        ({"scale": 2.5}, "no network enlarges ×2.5.*bicubic.*any scale"),
        ({"scale": float("nan")}, "no network enlarges"),
        ({"model": "abpn-x3", "scale": 2}, "abpn-x3 enlarges ×3, not ×2"),
        ({"model": "bicubic", "scale": 0}, "a scale must be above 0 and at most 64, got 0"),
        ({"model": "bicubic", "scale": -2}, "got -2"),
        ({"model": "bicubic", "scale": 65}, "got 65"),
        ({"model": "bicubic", "scale": float("inf")}, "got inf"),
        ({"model": "bicubic", "scale": float("nan")}, "got nan"),
        ({"model": "abpn-x3", "precision": "f8"}, "precision must be one of auto, f32, bf16, f16, int8, got 'f8'"),
        ({"model": "abpn-x3", "precision": None}, "precision must be one of"),
        ({"model": "abpn-x3", "engine": "abacus"}, "no engine is called 'abacus'; choose from openvino, onnxruntime"),
        ({"model": "abpn-x3", "tile": "large"}, "a tile is 'auto' or"),
        ({"model": "abpn-x3", "tile": (0, 5)}, "of at least one pixel each"),
        ({"model": "abpn-x3", "tile": (5,)}, "a tile is 'auto' or"),
        ({"model": "abpn-x3", "tile": (5, 5, 5)}, "a tile is 'auto' or"),
        ({"model": "abpn-x3", "tile": 64}, "a tile is 'auto' or"),
        ({"model": "abpn-x3", "tile": None}, "a tile is 'auto' or"),
        ({"model": "abpn-x3", "tile": ("64", "64")}, "a tile is 'auto' or"),
        ({"model": "abpn-x3", "tile": (64.5, 64)}, "a tile is 'auto' or"),
    ],
    ids=str,
)
def test_requests_that_cannot_be_served(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Upscaler(**arguments)


def test_a_budget_that_is_refused_changes_nothing(opened: Opened, small_bundle: Path) -> None:
    with Upscaler(small_bundle) as upscaler:
        for budget in ("1s", "soon"):
            with pytest.raises(RequestError):
                upscaler.budget = budget
            assert upscaler.budget is None
        assert upscaler(_noise(9, 8)).shape == (18, 16, 3)


def test_a_budget_that_is_set_later_gets_engines_for_many_shapes(opened: Opened) -> None:
    with Upscaler("anytime-x2") as upscaler:
        assert upscaler(_noise(9, 8)).shape == (18, 16, 3)
        for budget in ("40%", "60%", None):
            upscaler.budget = budget
            assert upscaler(_noise(9, 8)).shape == (18, 16, 3)
    assert [options.many_shapes for _, options in opened.asked] == [False, True]


def test_one_window_in_a_row_needs_no_choice_of_a_batch(
    opened: Opened, small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Planner, "choice")
    with Upscaler(small_bundle) as upscaler:
        assert upscaler(_noise(9, 8)).shape == (18, 16, 3)


def test_a_file_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(BundleError, match=r"text\.onnx"):
        Upscaler(tmp_path / "text.onnx")


@pytest.mark.parametrize("tile", [(16, 2), (2, 16), (1, 1)])
def test_a_tile_without_room_for_the_halo_is_refused(opened: Opened, small_bundle: Path, tile: tuple[int, int]) -> None:
    with Upscaler(small_bundle, tile=tile) as upscaler:
        with pytest.raises(RequestError, match="take at least 3"):
            upscaler(_noise(40, 40))
        assert not opened.engines[0].calls


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3)),
        "x.png",
    ],
    ids=["grey", "RGBA", "empty", "float64", "a path"],
)
def test_what_is_no_picture_is_refused(opened: Opened, small_bundle: Path, picture: Any) -> None:
    with Upscaler(small_bundle) as upscaler, pytest.raises(RequestError, match="expected"):
        upscaler(picture)


def test_an_error_of_the_engine_comes_out(opened: Opened, small_bundle: Path) -> None:
    opened.settings = {"fail_at": 2}
    with Upscaler(small_bundle, tile=(8, 8)) as upscaler:
        with pytest.raises(EngineError, match="as it was told to"):
            upscaler(_noise(30, 30))
        assert len(opened.engines[0].calls) == 2
