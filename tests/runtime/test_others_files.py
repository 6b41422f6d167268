"""`.tflite` files that other tools made, on the LiteRT engine: every type at their ends, tile by tile as in one piece."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgelift.core.errors import EngineError, RequestError
from edgelift.core.image import round_to
from edgelift.core.metrics import psnr
from edgelift.io.bundle import Bundle
from edgelift.io.compiled import parse_compiled
from edgelift.runtime.ends import End, probe_picture, white_of
from edgelift.runtime.engine import Options, blocks_shape

interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")

from edgelift.runtime.engines.litert import LiteRTEngine  # noqa: E402  # needs LiteRT

PICTURE = probe_picture(20, 24)
FORMS: list[dict[str, Any]] = [
    {}, {"white": 255.0}, {"planes": True}, {"spelt": True, "scale": 3}, {"ends": "uint8"}, {"ends": "uint8", "white": 255.0},
    {"ends": "int8"}, {"ends": "int8", "planes": True, "fixed": True}, {"ends": "float32", "inside": "int8"}, {"fixed": True},
]  # fmt: skip
EACH = pytest.mark.parametrize(
    "form", FORMS, ids=lambda form: " ".join(f"{k}={v}" for k, v in form.items()) or "float32"
)


def bundle_of(data: bytes) -> Bundle:
    return parse_compiled({".tflite": data}, "theirs.tflite")


def run(engine: LiteRTEngine, picture: np.ndarray) -> np.ndarray:
    out = np.empty(blocks_shape(engine.spec, (1, *picture.shape)), picture.dtype)
    engine.run(picture[None], 1, out)
    scale = engine.spec.scale
    return out[0].transpose(0, 2, 1, 3, 4).reshape(scale * picture.shape[0], scale * picture.shape[1], 3)


def by_hand(data: bytes, picture: np.ndarray, white: float) -> np.ndarray:
    """What the file makes of `picture`, by its own interpreter and the grids that it states."""
    made = interpreter.Interpreter(model_content=data)
    made.allocate_tensors()
    given, out = made.get_input_details()[0], made.get_output_details()[0]
    x = picture[None] / 255 * white
    x = x.transpose(0, 3, 1, 2) if given["shape"][1] == 3 else x
    scale, zero = given["quantization"]
    made.set_tensor(given["index"], (np.rint(x / scale) + zero if scale else x).astype(given["dtype"]))
    made.invoke()
    scale, zero = out["quantization"]
    y = made.get_tensor(out["index"]).astype(np.float64)
    y = (y - zero) * scale if scale else y
    y = y.transpose(0, 2, 3, 1) if out["shape"][1] == 3 else y
    return round_to(np.clip(y[0] / white * 255, 0, 255), np.dtype(np.uint8))


@EACH
def test_pictures_are_those_of_the_file(others: Any, form: dict[str, Any]) -> None:
    data = others.theirs(**form)
    engine = LiteRTEngine(bundle_of(data), Options(threads=1))
    white = form.get("white", 1.0)
    assert engine.white == white, "found by trying, or from the grid"
    found, wanted = run(engine, PICTURE), by_hand(data, PICTURE, white)
    assert np.abs(found.astype(int) - wanted.astype(int)).max() <= 1
    assert np.mean(found != wanted) < 0.01
    assert psnr(found[:: engine.spec.scale, :: engine.spec.scale], PICTURE) > 15, "and it is the picture, enlarged"


@EACH
def test_any_size_runs_or_only_that_of_the_file(others: Any, form: dict[str, Any]) -> None:
    engine = LiteRTEngine(bundle_of(others.theirs(**form)), Options(threads=1))
    if form.get("fixed") or form.get("spelt"):  # a reshape names the size
        assert engine.limits.shapes == ((20, 24),)
        assert engine.limits.max_batch == 1
        assert engine.remark.startswith("XNNPACK runs")
        return
    assert engine.limits.shapes == ()
    assert engine.limits.max_batch == 64
    larger, part = probe_picture(40, 50), slice(10, 34)
    whole, tile = run(engine, larger), run(engine, np.ascontiguousarray(larger[part, part]))
    inner = slice(2 * 2, -2 * 2)  # the halo
    assert np.array_equal(whole[20:68, 20:68][inner, inner], tile[inner, inner])


def test_float_ends_take_samples_of_16_bits(others: Any) -> None:
    engine = LiteRTEngine(bundle_of(others.theirs()), Options(samples="float32", threads=1))
    picture = PICTURE.astype(np.float32) + np.float32(0.25)
    assert np.abs(run(engine, picture) - by_hand(others.theirs(), picture, 1.0)).max() <= 0.51
    for form in ({"ends": "uint8"}, {"ends": "int8"}):
        with pytest.raises(RequestError, match="pictures of 8 bits"):
            LiteRTEngine(bundle_of(others.theirs(**form)), Options(samples="float32"))


def test_a_file_that_gives_something_else_is_refused_with_the_way_out(others: Any) -> None:
    from edgelift.targets.tflite import Builder

    builder = Builder()
    ends = [builder.tensor(name, (1, 16, 16, 3), "float32") for name in ("in", "out")]
    black = builder.constant("black", np.array(0, np.float32))
    builder.operator("MUL", [ends[0], black], ends[1], "float32")
    with pytest.raises(EngineError, match=r"theirs\.tflite: it gives nothing like the picture .* --white 1 or 255"):
        LiteRTEngine(bundle_of(builder.finish(*ends, {})), Options(threads=1))


class TestEnds:
    @pytest.mark.parametrize(
        ("end", "sample", "code"),
        [
            (End(np.dtype(np.uint8)), 200, 200),
            (End(np.dtype(np.uint8), 1 / 255, 0), 200, 200),
            (End(np.dtype(np.int8)), 200, 72),
            (End(np.dtype(np.int8), 1.0, -128), 200, 72),
            (End(np.dtype(np.int8), 1 / 255, -128), 0, -128),
            (End(np.dtype(np.uint8), 0.9 / 255, 0), 255, 255),  # calibrated to less than white: cut off
            (End(np.dtype(np.int16), 1 / 128, 0), 200, 25600),
            (End(np.dtype(np.float32), white=1.0), 51, np.float32(0.2)),
            (End(np.dtype(np.float32), white=255.0), 51, 51),
        ],
    )
    def test_samples_and_codes(self, end: End, sample: int, code: float) -> None:
        batch = np.full((1, 2, 2, 3), sample, np.uint8)
        assert np.allclose(end.entering(batch), np.array(code, end.dtype), rtol=1e-6)
        assert end.entering(batch).dtype == end.dtype
        back = end.leaving(end.entering(batch), np.dtype(np.uint8))
        assert back.dtype == np.uint8
        assert np.abs(back.astype(int) - sample).max() <= (26 if end.scale == 0.9 / 255 else 0)

    def test_a_grid_around_zero_is_refused(self) -> None:
        with pytest.raises(EngineError, match=r"its numbers stand for -1 to 0\.99\d*; files for which black is 0"):
            End(np.dtype(np.int8), 1 / 128, 0)

    def test_white_is_what_serves_better(self) -> None:
        from edgelift.core.resize import resize

        def network(small: np.ndarray, white: float) -> np.ndarray:
            real = small / 255 * white
            larger = resize(np.clip(real, 0, 1).astype(np.float32), 96, 96)  # one of 0 … 1
            return round_to(np.clip(larger / white * 255, 0, 255), np.dtype(np.uint8))

        assert white_of(network, 2) == 1.0
