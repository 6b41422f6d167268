"""Prices of tiles on a device, as the tiled-upscaling contest of CCF BDCI 2023 tabled them: seconds, shape, price.

They are those by which tiles are chosen (`runtime.prices`), measured anew, and kept for later runs where they are steady.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgelift.evaluate.profile.bench import Bench
from edgelift.tiling.cost import Measured

__all__ = ["Prices", "prices"]


@dataclass(frozen=True)
class Prices:
    """The rows in the order of their seconds; `Measured.price` is seconds / (batch · 3 · height · width)."""

    rows: tuple[Measured, ...]
    steady: bool
    """Whether the machine was quiet: only then they are kept."""


def prices(bench: Bench) -> Prices:
    """Measure windows from small to large one at a time, and some in batches of 2 and 4, in about a second.

    Raises `EngineError` where nothing can be run.
    """
    planner = bench.planner()
    model = planner.known(again=True)
    assert model is not None  # it was measured just now
    return Prices(tuple(model.prices(bench.spec.widest)), planner.steady)
