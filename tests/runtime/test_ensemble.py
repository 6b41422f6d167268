"""Ensembles: that window by window they give what a direct computation over whole pictures gives, and what they refuse.

The engine here tells left from right and above from below, between pixels and inside blocks: a turn that is undone wrongly
shows in it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, RequestError
from edgelift.core.spec import ModelSpec
from edgelift.io.bundle import Bundle, read_bundle, write_bundle
from edgelift.runtime import upscaler as module
from edgelift.runtime.engine import Options, blocks_shape
from edgelift.runtime.engines import availability
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.runtime.ensemble import Ensemble, EnsembleEngine, Part, ensemble_of, parse_blend
from edgelift.runtime.planner import Planner
from edgelift.runtime.prices import key_of
from edgelift.runtime.sizes import Goal, SizedUpscaler, open_upscaler
from edgelift.runtime.upscaler import Upscaler

MakeSpec = Callable[..., ModelSpec]
SIDES = [(turn, mirror) for turn in range(4) for mirror in (False, True)]


class Leaning(FakeEngine):
    """Each result depends on the pixel, on those to the right and below, and on its place in the block and the grid."""

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        super().run(batch, variant, out)
        spec = self.spec
        wide = np.pad(batch.astype(np.float32), ((0, 0), (0, 1), (0, 1), (0, 0)))
        mixed = 0.5 * wide[:, :-1, :-1] + 0.3 * wide[:, :-1, 1:] + 0.1 * wide[:, 1:, :-1]
        mixed *= np.float32(1 + spec.parameters / 10)
        height, width, b = *out.shape[1:3], spec.shuffle
        inside = np.arange(b)[:, None] * 3.7 + np.arange(b) * 7.9
        place = np.arange(height)[:, None] % spec.grid * 11.3 + np.arange(width) % spec.grid * 23.1
        larger = mixed.repeat(spec.grid, axis=1).repeat(spec.grid, axis=2)
        values = larger[:, :, :, None, None] + (place[..., None, None] + inside)[None, ..., None]
        out[...] = np.clip(values if out.dtype == np.float32 else np.rint(values), 0, 255)


@pytest.fixture
def leaning(monkeypatch: pytest.MonkeyPatch) -> list[Leaning]:
    """Upscalers run on `Leaning` engines, which come here."""
    made: list[Leaning] = []

    def start(bundle: Bundle, name: str, options: Options) -> Leaning:
        made.append(Leaning(bundle.spec, samples=options.samples))
        return made[-1]

    monkeypatch.setattr(module, "open_engine", start)
    return made


@pytest.fixture
def make_bundle(small_bundle: Path, tmp_path: Path, make_spec: MakeSpec) -> Callable[..., Path]:
    """Writes bundles of the small graph with other facts."""

    def make(name: str, **changes: Any) -> Path:
        path = tmp_path / f"{name}.onnx"
        write_bundle(read_bundle(small_bundle).graph(), make_spec(name=name, **changes), path)
        return path

    return make


def _noise(height: int, width: int, dtype: str = "uint8") -> NDArray[Any]:
    rng = np.random.default_rng(height * 1000 + width)
    if dtype == "float32":
        return rng.uniform(0, 255, (height, width, 3)).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, (height, width, 3), dtype)


def _turned(picture: NDArray[Any], turn: int, mirror: bool) -> NDArray[Any]:
    turned = np.rot90(picture, turn)
    return np.ascontiguousarray(turned[:, ::-1] if mirror else turned)


def _back(picture: NDArray[Any], turn: int, mirror: bool) -> NDArray[Any]:
    return np.rot90(picture[:, ::-1] if mirror else picture, -turn)


def _mean_of_turns(run: Callable[[NDArray[Any]], NDArray[Any]], picture: NDArray[Any]) -> NDArray[np.float64]:
    """Over whole pictures in floats, with numpy's own turns."""
    results = [_back(run(_turned(picture, *side)), *side) for side in SIDES]
    return np.mean([result.astype(np.float64) for result in results], axis=0)


def _as_floats(picture: NDArray[Any]) -> NDArray[np.float32]:
    """In the range of 8 bits."""
    return np.asarray(picture / (257 if picture.dtype == np.uint16 else 1), np.float32)


def _check(result: NDArray[Any], expected: NDArray[np.float64]) -> None:
    """`result` is `expected`, which is in 0 … 255, rounded once."""
    peak = 65535 if result.dtype == np.uint16 else 255
    off = np.abs(result.astype(np.float64) - expected * (peak / 255)).max()
    assert off <= {"uint8": 0.5001, "uint16": 0.52, "float32": 2e-4}[result.dtype.name]


# -- exactness
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(("scale", "shuffle", "multiple"), [(2, 2, 1), (3, 3, 1), (4, 2, 1), (4, 1, 1), (2, 2, 4)])
def test_eight_turns_are_those_of_the_whole_picture(
    leaning: list[Leaning], make_bundle: Callable[..., Path], scale: int, shuffle: int, multiple: int, dtype: str
) -> None:
    picture = _noise(24, 32, dtype)
    path = make_bundle("leaning", scale=scale, shuffle=shuffle, multiple_of=multiple)
    with Upscaler(path) as plain, Upscaler(path, tta=True, tile=(24, 32)) as whole:
        expected = _mean_of_turns(plain, _as_floats(picture))
        result = whole(picture)
        _check(result, expected)
        assert not np.array_equal(result, plain(picture)), "turning changes something"
    for tile in ((8, 12), (12, 32), (24, 8)):
        with Upscaler(path, tta=True, tile=tile, batch=3) as tiled:
            assert np.array_equal(tiled(picture), result)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("tta", [False, True])
def test_a_blend_is_the_weighted_mean(
    leaning: list[Leaning], make_bundle: Callable[..., Path], dtype: str, tta: bool
) -> None:
    picture = _noise(23, 31, dtype)
    paths = [
        make_bundle(name, halo=halo, parameters=k) for k, (name, halo) in enumerate({"a": 1, "b": 4, "c": 2}.items())
    ]
    weights = (0.5, 0.3, 0.2)
    blend: dict[Any, float] = dict(zip(paths, weights, strict=True))
    means = []
    for path in paths:
        with Upscaler(path) as plain:
            floats = _as_floats(picture)
            means.append(_mean_of_turns(plain, floats) if tta else plain(floats).astype(np.float64))
    with Upscaler(blend=blend, tta=tta, tile=(23, 31)) as whole:
        assert whole.spec is not None
        assert whole.spec.halo == 4
        result = whole(picture)
    _check(result, sum(w * mean for w, mean in zip(weights, means, strict=True)))
    with Upscaler(blend=blend, tta=tta, tile=(9, 12), workers=2) as tiled:
        assert np.array_equal(tiled(picture), result)


@pytest.mark.skipif(all(found.problem for found in availability()), reason="no engine is installed")
def test_a_real_network_turned(photograph: Callable[[int, int], NDArray[np.uint8]]) -> None:
    picture = photograph(40, 52)
    with Upscaler("abpn-x2", threads=1) as plain, Upscaler("abpn-x2", tta=True, tile=(40, 52), threads=1) as whole:
        result = whole(picture)
        _check(result, _mean_of_turns(plain, picture.astype(np.float32)))
    with Upscaler("abpn-x2", tta=True, tile=(24, 27), threads=1) as tiled:
        assert np.array_equal(tiled(picture), result)


def test_a_halo_that_is_too_small_shows(leaning: list[Leaning], make_bundle: Callable[..., Path]) -> None:
    """Else nothing above would prove that the largest halo counts."""
    picture, path = _noise(20, 20), make_bundle("short", halo=0)
    with Upscaler(path, tta=True, tile=(20, 20)) as whole, Upscaler(path, tta=True, tile=(7, 7)) as tiled:
        assert not np.array_equal(whole(picture), tiled(picture))


def test_floats_run_inside_and_are_rounded_once(leaning: list[Leaning], make_bundle: Callable[..., Path]) -> None:
    with Upscaler(make_bundle("a"), tta=True) as upscaler:
        assert upscaler(_noise(6, 7)).dtype == np.uint8
    assert [engine._samples for engine in leaning] == ["float32"]
    assert [shape[1:3] for shape in leaning[0].calls] == [(6, 7)] * 4 + [(7, 6)] * 4


def test_quantised_networks_keep_to_bytes(leaning: list[Leaning], make_bundle: Callable[..., Path]) -> None:
    path, picture = make_bundle("whole", training={"quantised": {"bits": "int8"}}), _noise(9, 12)
    with Upscaler(path) as plain, Upscaler(path, tta=True) as upscaler:
        _check(upscaler(picture), _mean_of_turns(plain, picture))
    assert [engine._samples for engine in leaning] == ["uint8", "uint8"]


def test_results_stay_in_range(leaning: list[Leaning], make_bundle: Callable[..., Path]) -> None:
    white = np.full((5, 6, 3), 255, np.float32)
    paths = [make_bundle(name, parameters=10) for name in "abc"]
    with Upscaler(blend=dict.fromkeys(paths, 0.333), tta=True) as upscaler:
        assert upscaler(white).max() <= 255


# -- what it is called, what it takes
def test_names_and_facts(leaning: list[Leaning], make_bundle: Callable[..., Path]) -> None:
    a, b = make_bundle("a", macs=10, licence="MIT"), make_bundle("b", macs=5)
    with Upscaler(blend=f"{a}:0.7, {b}:0.3", tta=True) as upscaler:
        assert upscaler.name == "a:0.7,b:0.3+tta"
        assert upscaler.runs_on == "fake CPU f32"
        assert upscaler.scale == 2
        assert upscaler.spec is not None
        assert (upscaler.spec.macs, upscaler.spec.licence) == (120, "MIT AND CC0-1.0")
    assert all(engine.closed for engine in leaning)
    with Upscaler(blend={make_bundle(letter * 60): 0.5 for letter in "xy"}) as upscaler:
        assert len(upscaler.name) == 100


def test_any_size_by_an_ensemble(leaning: list[Leaning], make_bundle: Callable[..., Path]) -> None:
    blend: dict[Any, float] = {make_bundle("a"): 0.5, make_bundle("b", parameters=2): 0.5}
    with open_upscaler(goal=Goal(2), blend=blend) as upscaler:
        assert isinstance(upscaler, Upscaler)
    with open_upscaler(goal=Goal(3), blend=blend, tta=True) as upscaler:
        assert isinstance(upscaler, SizedUpscaler)
        assert upscaler.name == "a:0.5,b:0.5+tta"
        assert upscaler(_noise(5, 6)).shape == (15, 18, 3)
    with open_upscaler(goal=Goal(width=30), tta=True) as upscaler:
        assert upscaler.name == "bundled networks+tta"
        assert upscaler(_noise(5, 6)).shape == (25, 30, 3)


def test_only_the_widest_of_a_supernet_runs(leaning: list[Leaning]) -> None:
    with Upscaler("anytime-x2", tta=True) as upscaler:
        upscaler(_noise(5, 6))
        assert upscaler.plan(5, 6).variant == 1
        with pytest.raises(RequestError, match="leave tta and blend out"):
            upscaler.budget = "1s"  # type: ignore[assignment]


def test_prices_are_kept_apart(make_bundle: Callable[..., Path]) -> None:
    paths = [make_bundle("a"), make_bundle("b", parameters=3)]
    options, plain = Options(), read_bundle(paths[0])
    models = [
        ensemble_of(paths[0], tta=True),
        ensemble_of(None, blend={paths[0]: 0.5, paths[1]: 0.5}),
        ensemble_of(None, blend={paths[0]: 0.5, paths[1]: 0.5}, tta=True),
    ]
    keys = [key_of(plain, FakeEngine(plain.spec), options)]
    for model in models:
        engine = model.open(lambda bundle, asked: FakeEngine(bundle.spec, samples=asked.samples), options)
        keys.append(key_of(model, engine, options))
        planner = Planner(model, engine, options)
        assert planner.key == keys[-1]
        single = Planner(plain, FakeEngine(plain.spec), options)
        assert planner.footprint(9, 9).per_pixel > single.footprint(9, 9).per_pixel
        assert planner.assumed.seconds(1, 512, 512, 1) >= single.assumed.seconds(1, 512, 512, 1)
    assert len({key.file for key in keys}) == 4
    assert "fake 1 float32" in keys[1].engine
    assert keys[2].bundle.startswith(keys[0].bundle)


# -- what is refused
@pytest.mark.parametrize(
    ("blend", "message"),
    [
        ("a:1", "two models or more"),
        ("", "MODEL:WEIGHT"),
        ("a,b", "MODEL:WEIGHT"),
        ("a:x,b:0.5", "got 'a:x'"),
        (":0.5,b:0.5", "got ':0.5'"),
        ("a:0.7,b:0.4", "the sum 1, these have 1.1"),
        ("a:1,b:0", "above 0, got b:0"),
        ("a:1.5,b:-0.5", "above 0, got b:-0.5"),
        ("a:nan,b:0.5", "above 0, got a:nan"),
        ("a:inf,b:0.5", "these have inf"),
        ({"a": 0.5}, "two models or more"),
    ],
    ids=str,
)
def test_blends_that_are_none(blend: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        parse_blend(blend)


def test_weights_are_made_exact() -> None:
    pairs = parse_blend(r"C:\nets\a.onnx:0.333,b:0.333,c:0.333")
    assert [name for name, _ in pairs] == [r"C:\nets\a.onnx", "b", "c"]
    assert sum(weight for _, weight in pairs) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "abpn-x2", "blend": "abpn-x2:0.5,abpn-x2:0.5"}, "leave the model abpn-x2 out"),
        ({"model": "bicubic", "tta": True}, "bicubic is an interpolation"),
        ({"blend": "abpn-x2:0.5,bicubic:0.5"}, "bicubic is an interpolation"),
        ({"blend": "abpn-x2:0.5,abpn-x3:0.5"}, "scale is 2 in the one and 3 in the other"),
        ({"blend": "abpn-x2:0.5,none-such:0.5"}, "none-such"),
        ({"blend": "abpn-x2:0.5,anytime-x2:0.5", "scale": 3}, "enlarges ×2, not ×3"),
        ({"tta": True, "budget": "1s"}, "leave tta and blend out"),
        ({"blend": "abpn-x2:0.5,anytime-x2:0.5", "budget": "auto"}, "leave tta and blend out"),
    ],
    ids=str,
)
def test_what_is_refused(leaning: list[Leaning], options: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Upscaler(**options)
    assert not leaning, "nothing was compiled"


def test_blocks_of_two_sides_are_blended(leaning: list[Leaning], make_bundle: Callable[..., Path]) -> None:
    picture = _noise(23, 31)
    paths = [make_bundle(f"s{shuffle}", scale=4, shuffle=shuffle, parameters=shuffle) for shuffle in (4, 2, 1)]
    means = []
    for path in paths:
        with Upscaler(path) as plain:
            means.append(plain(_as_floats(picture)).astype(np.float64))
    weights = (0.5, 0.3, 0.2)
    with Upscaler(blend=dict(zip(paths, weights, strict=True)), tile=(9, 12)) as blended:
        _check(blended(picture), sum(w * mean for w, mean in zip(weights, means, strict=True)))


def test_networks_that_do_not_lie_on_each_other(make_bundle: Callable[..., Path]) -> None:
    blend = {make_bundle("a", scale=4, shuffle=4): 0.5, make_bundle("b", scale=4, shuffle=4, multiple_of=2): 0.5}
    with pytest.raises(
        RequestError, match=r"a and b cannot be blended: multiple_of is 1 in the one and 2 in the other"
    ):
        ensemble_of(None, blend=blend)


def _opened(model: Ensemble, *shapes: tuple[tuple[int, int], ...]) -> EnsembleEngine:
    left = list(shapes)
    return model.open(
        lambda bundle, asked: FakeEngine(bundle.spec, samples=asked.samples, shapes=left.pop(0)), Options()
    )


def test_fixed_shapes(small_bundle: Path) -> None:
    turned, blend = (
        ensemble_of(small_bundle, tta=True),
        ensemble_of(None, blend={small_bundle: 0.5, str(small_bundle): 0.5}),
    )
    assert _opened(turned, ((8, 8), (8, 12), (12, 8), (4, 9))).limits.shapes == ((8, 8), (8, 12), (12, 8))
    with pytest.raises(RequestError, match=r"lying on its side; there are 8×12; take a model of free shapes"):
        _opened(turned, ((8, 12),))
    assert _opened(blend, ((8, 12), (4, 4)), ()).limits.shapes == ((4, 4), (8, 12))
    assert _opened(blend, ((8, 12), (4, 4)), ((4, 4),)).limits.shapes == ((4, 4),)
    with pytest.raises(RequestError, match="every engine runs; there are 8×12; 4×4"):
        _opened(blend, ((8, 12),), ((4, 4),))


def test_what_started_is_closed_when_the_next_fails(small_bundle: Path) -> None:
    started: list[FakeEngine] = []

    def start(bundle: Bundle, options: Options) -> FakeEngine:
        if started:
            raise EngineError("no second one")
        started.append(FakeEngine(bundle.spec, samples=options.samples))
        return started[0]

    with pytest.raises(EngineError, match="no second one"):
        ensemble_of(None, blend={small_bundle: 0.5, str(small_bundle): 0.5}).open(start, Options())
    assert started[0].closed


def test_an_engines_failure_passes_and_arguments_are_checked(small_bundle: Path) -> None:
    model = ensemble_of(small_bundle, tta=True)
    bundle = read_bundle(small_bundle)
    failing = FakeEngine(bundle.spec, samples="float32", fail_at=3)
    engine = EnsembleEngine(model.spec, (Part(bundle, failing, 1.0, "float32"),), model.turns, "uint8")
    batch = np.zeros((1, 4, 5, 3), np.uint8)
    out = np.empty(blocks_shape(model.spec, batch.shape), np.uint8)
    with pytest.raises(EngineError, match="failed as it was told to"):
        engine.run(batch, 1, out)
    with pytest.raises(EngineError, match="no variant 0"):
        engine.run(batch, 0, out)
    with pytest.raises(EngineError, match="type uint8"):
        engine.run(batch.astype(np.float32), 1, out)
