"""A supernet that computes nothing, on a clock that only its calls move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgelift.core.spec import ModelSpec
from edgelift.io.bundle import Bundle
from edgelift.runtime.anytime.run import AnyTime
from edgelift.runtime.anytime.table import EdgeTable
from edgelift.runtime.engine import Options
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.runtime.planner import Planner
from edgelift.runtime.prices import Measurement
from edgelift.tiling.cost import CostModel, Measured

TABLE = EdgeTable(
    "square", (0.0, 10.0, 1000.0), ((0.1, 4.0, 300.0), (0.2, 4.0, 200.0), (0.2, 4.0, 170.0), (0.2, 4.0, 150.0))
)
PRICES = (1e-7, 4e-7, 1e-6, 2e-6)
"""Seconds of a pixel through each variant."""
CALL = 2e-4


def prices(factor: float = 1.0) -> CostModel:
    rows = [Measured(1, s, s, factor * (CALL + s * s * p), v) for v, p in enumerate(PRICES) for s in (64, 512)]
    return CostModel(tuple(rows), fresh=1e-3)


class Supernet(FakeEngine):
    """Takes its time on a clock of its own, `slower` times what it is priced at; results tell the variant."""

    def __init__(self, spec: ModelSpec, slower: float = 1.0) -> None:
        super().__init__(spec)
        self.now, self.slower, self.model = 100.0, slower, prices()
        self.variants: list[int] = []

    def clock(self) -> float:
        return self.now

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        super().run(batch, max(1, variant), out)
        self.variants.append(variant)
        out //= 2
        out += np.uint8(60 * variant // 2)
        self.now += self.slower * self.model.seconds(len(batch), *batch.shape[1:3], variant)


@pytest.fixture
def spec(make_spec: Callable[..., ModelSpec]) -> ModelSpec:
    routing = {"macs": [10, 20, 40], "table": TABLE.as_plain(), "halo": 2}
    return make_spec(name="super", halo=3, variants=("w1", "w2", "w3"), routing=routing, macs=40)


@pytest.fixture
def routed(spec: ModelSpec) -> Callable[..., tuple[Supernet, AnyTime]]:
    """A supernet on its clock, and what routes it; `slower`: how wrong its prices are."""

    def make(slower: float = 1.0, spec: ModelSpec = spec) -> tuple[Supernet, AnyTime]:
        engine, bundle = Supernet(spec, slower), Bundle(spec, b"", "test")
        planner = Planner(bundle, engine, Options(), measure=lambda *a, **k: Measurement(prices(), 1.0))
        planner._known, planner._looked = prices(), True
        planner.activations = 100.0  # type: ignore[misc]  # a cached property, and there is no graph to ask
        return engine, AnyTime(bundle, engine, planner, engine.clock)

    return make


@pytest.fixture
def scene() -> NDArray[np.uint8]:
    """Smooth above, with ever more texture to the right below: 300 × 500."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:300, :500]
    smooth = 100 + 50 * np.sin(x / 90 + y / 70)
    noise = rng.normal(0, 1, (300, 500)) * np.where(y > 150, x / 12, 0)
    return np.repeat(np.clip(smooth + noise, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
