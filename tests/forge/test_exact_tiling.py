"""Contract 3, free of rounding: with exact arithmetic a picture in tiles is the picture in one piece, to the bit.

A real network's sums depend on the order of their terms, and an engine may order them as it likes. Here no order
matters: all weights and biases are small integers, slopes are 0 or 1/2, and the fixed colour filters of luma networks
are rounded to multiples of 1/256. Every intermediate value is then a multiple of a known power of two, and since it
stays small enough (`_is_exact` proves it for each network), float64 holds every sum exactly. What remains is the claim
about halo, plan and merge alone. Results are compared before clipping and rounding, which would hide differences.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from edgelift.core.spec import ModelSpec
from edgelift.forge.bundles import spec_of
from edgelift.nets import rrdb, zoo
from edgelift.nets.abpn import RESIDUALS
from edgelift.nets.luma import FixedConv
from edgelift.nets.network import Network
from edgelift.nets.steps import TAILS
from edgelift.runtime.engine import Limits, blocks_shape
from edgelift.runtime.pipeline import run_plan
from edgelift.runtime.rows import ArraySource, ArrayTarget
from edgelift.tiling.plan import auto_tile, plan

COLOUR_BITS, SLOPE_BITS = 8, 1
FORMS: dict[str, list[dict[str, Any]]] = {
    "abpn": [{"channels": 4, "layers": 1, "residual": residual} for residual in RESIDUALS],
    "branched-plain": [{"widths": [3, 4], "layers": [1, 2]}],
    "carn": [{"channels": 3, "blocks": 1, "layers": 1, "tail": tail} for tail in TAILS],
    "carn-m": [{"channels": 4, "blocks": 1, "layers": 1, "groups": 2}],
    "edsr": [{"channels": 4, "layers": 1, "tail": tail} for tail in TAILS],
    "espcn": [{}],
    "espcn-rgb": [{}],
    "fsrcnn": [{"channels": 5, "shrunk": 3, "layers": 2}],
    "plain": [{"channels": 4, "layers": 1}],
    "rrdb": [{"channels": 2, "blocks": 1, "growth": 1}],
    "slim-carn": [{"widths": [3, 4], "blocks": 1, "layers": 1}],
    "slim-edsr": [{"widths": [3, 4], "layers": 1}],
    "slim-fsrcnn": [{"widths": [3, 5], "shrunk": 3, "layers": 2}],
    "slim-plain": [{"widths": [3, 4], "layers": 1}],
    "srresnet": [{"channels": 2, "layers": 1}],
    "srvgg": [{"channels": 4, "layers": 2}],
}
DEEP = ("rrdb",)
CASES = [
    (name, {"scale": scale, "padding": padding, **form})
    for name, forms in FORMS.items()
    for form in forms
    for scale in (2, 3, 4)
    for padding in ("zeros", "replicate")
]
EVERY = pytest.mark.parametrize(
    ("name", "config"), CASES, ids=["-".join([n, *(str(v) for v in c.values())]) for n, c in CASES]
)


def test_every_architecture_of_the_zoo_is_here() -> None:
    """All that state a halo."""
    assert set(FORMS) == {name for name in zoo.ARCHITECTURES if zoo.build(name).halo is not None}


@pytest.fixture(autouse=True)
def exact_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slope and a share of 0.2 are no binary fractions; the halo does not depend on them."""
    monkeypatch.setattr(rrdb, "SLOPE", 1.0)
    monkeypatch.setattr(rrdb, "SHARE", 1.0)


def _corners(like: Tensor) -> Tensor:
    """Weights of which only two corners are not 0, so that sums stay small in a deep network and reach as far as they can:
    one is of the last channel, which is the newest where a convolution sees all that came before it.
    """
    weight = torch.zeros_like(like)
    sign = torch.randint(0, 2, (2, len(like))).to(weight) * 2 - 1
    weight[:, -1, 0, 0] = sign[0]
    weight[torch.arange(len(like)), torch.randint(0, like.shape[1], (len(like),)), -1, -1] = sign[1]
    return weight


def _with_integers(name: str, config: dict[str, Any], seed: int) -> Network:
    """A network as the module's text says, in float64."""
    torch.manual_seed(seed)
    network = zoo.build(name, **config).double().eval()
    network.fold()  # a normalisation divides
    with torch.no_grad():
        for key, value in network.named_parameters():
            if "slopes" in key:
                value.copy_(torch.randint(0, 2, value.shape) / 2**SLOPE_BITS)
            elif key.endswith("bias"):
                value.copy_(torch.randint(-64, 65, value.shape))
            elif name in DEEP:
                value.copy_(_corners(value))
            else:
                value.copy_(torch.randint(-1, 2, value.shape))
        for module in network.modules():
            if isinstance(module, FixedConv):
                module.weight.copy_(torch.round(module.weight * 2**COLOUR_BITS) / 2**COLOUR_BITS)
    return network


def _is_exact(network: Network, config: dict[str, Any], seed: int) -> bool:
    """Whether every sum inside stays below 2^53 steps of the finest value that can occur.

    The bound: the same network with the absolute value of everything, on a white picture, adds up without cancelling.
    The finest value: the filters to luma and of the colours, which stand side by side, and each slope add their bits.
    """
    largest = _with_integers(network.architecture, config, seed)
    with torch.no_grad():
        for value in [*largest.parameters(), *largest.buffers()]:
            value.abs_()
    seen: list[float] = []
    hooks = [m.register_forward_hook(lambda m, i, out: seen.append(float(out.max()))) for m in largest.modules()]
    with torch.no_grad():
        seen.append(float(largest.core(torch.full((1, 3, 24, 24), 255.0, dtype=torch.float64)).max()))
    for hook in hooks:
        hook.remove()
    bits = COLOUR_BITS if network.colour == "y" else 0
    bits += sum(SLOPE_BITS for m in largest.modules() if isinstance(m, nn.PReLU))
    return max(seen) * 2**bits < 2**53


class ExactEngine:
    """Runs a network in float64, on samples as they are; gives what stands at `core_out`, not clipped."""

    def __init__(self, network: Network) -> None:
        self.spec: ModelSpec = spec_of(network, "exact", "CC0-1.0", {})
        self.limits, self.device, self.precision = Limits(), "CPU", "f64"
        self._network = network

    @torch.no_grad()
    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        assert batch.dtype == out.dtype == np.float64
        assert out.shape == blocks_shape(self.spec, batch.shape)
        x: Tensor = torch.from_numpy(batch).permute(0, 3, 1, 2)
        out.reshape(*out.shape[:3], -1)[...] = self._network.core(x).permute(0, 2, 3, 1).numpy()

    def close(self) -> None:
        """Nothing is held."""


@cache
def _engine(case: int, seed: int = 0) -> ExactEngine:
    name, config = CASES[case]
    network = _with_integers(name, config, seed)
    assert _is_exact(network, config, seed), "the test's own arithmetic"
    return ExactEngine(network)


def _upscale(engine: ExactEngine, picture: NDArray[Any], tile: tuple[int, int], halo: int | None) -> NDArray[Any]:
    height, width, _ = picture.shape
    target = ArrayTarget(height * engine.spec.scale, width * engine.spec.scale, picture.dtype)
    run_plan(engine, plan(height, width, tile, halo, engine.spec.multiple_of), ArraySource(picture), target)
    return target.picture


def _picture(height: int, width: int, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.float64)


@settings(max_examples=8)
@given(
    beyond=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    share=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    seed=st.integers(0, 3),
)
@EVERY
def test_tiled_is_whole(
    name: str, config: dict[str, Any], beyond: tuple[int, int], share: tuple[float, float], seed: int
) -> None:
    """Pictures from 1 × 1 to 40 × 40, tiles from the least, up to five windows along a side."""
    engine = _engine(CASES.index((name, config)), seed % 2)
    halo = engine.spec.halo
    assert halo is not None
    height, width = (
        1 + round(part * (min(40, 2 * halo + 5 * step) - 1)) for part, step in zip(share, beyond, strict=True)
    )
    tile = (min(2 * halo + beyond[0], height), min(2 * halo + beyond[1], width))
    picture = _picture(height, width, seed)
    whole = _upscale(engine, picture, (height, width), halo)
    assert np.array_equal(_upscale(engine, picture, tile, halo), whole)


@EVERY
def test_tiles_of_the_planner_and_the_least_tile(name: str, config: dict[str, Any]) -> None:
    engine = _engine(CASES.index((name, config)))
    halo = engine.spec.halo
    assert halo is not None
    size = (max(26, 2 * halo + 3), max(31, 2 * halo + 4))
    picture = _picture(*size)
    whole = _upscale(engine, picture, size, halo)
    tiles = {auto_tile(*size, halo, engine.spec.multiple_of, area) for area in (200, 400, 600)}
    for tile in tiles:
        assert np.array_equal(_upscale(engine, picture, tile, halo), whole), tile
    least = 2 * halo + engine.spec.multiple_of
    small = picture[: least + 2, : least + 3]
    assert np.array_equal(
        _upscale(engine, small, (least, least), halo), _upscale(engine, small, (small.shape[0], small.shape[1]), halo)
    )


@EVERY
def test_one_pixel_less_of_halo_shows(name: str, config: dict[str, Any]) -> None:
    """The halo is exact: with one less, at least one picture differs. Else `test_tiled_is_whole` would prove little."""
    for seed in range(8):
        engine = _engine(CASES.index((name, config)), seed)
        halo = engine.spec.halo
        assert halo is not None
        picture = _picture(2 * halo + 8, 2 * halo + 8, seed)
        size = (picture.shape[0], picture.shape[1])
        tiled = _upscale(engine, picture, (2 * halo + 1, 2 * halo + 1), halo - 1)
        if not np.array_equal(tiled, _upscale(engine, picture, size, halo)):
            return
    pytest.fail("a smaller halo would do: the stated one is too large")


def test_a_static_shape_gives_the_extended_picture() -> None:
    """Where a window is larger than the picture, "whole" is the picture extended by its last row and column."""
    engine = _engine(0)
    picture = _picture(9, 14)
    extended = np.pad(picture, ((0, 7), (0, 2), (0, 0)), mode="edge")
    whole = _upscale(engine, extended, (16, 16), engine.spec.halo)
    scale = engine.spec.scale
    assert np.array_equal(_upscale(engine, picture, (16, 16), engine.spec.halo), whole[: 9 * scale, : 14 * scale])
