"""The parity gate: a compiled model beside the one it came from, on the same tiles, against the truth and the clock.

Decibels are PSNR on RGB over all samples of all tiles together, so that no tile is infinite by itself. Both run on real
engines, as users run them: an engine that cheats is caught, too.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import BundleError, RequestError
from edgelift.core.spec import ModelSpec
from edgelift.evaluate.machine import machine
from edgelift.forge.tiles import Proof
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import Engine, Options, blocks_shape, picture_shape
from edgelift.runtime.engines import open_engine
from edgelift.tiling.cost import CostModel

__all__ = ["LEAST_DB", "MOST_LOSS", "Parity", "enlarge", "in_turn", "measured", "size_of", "window_of"]

LEAST_DB = {"float": 60.0, "fp16": 50.0, "bf16": 45.0}
"""Least PSNR of a compiled model's pictures against its parent's: roundings, in one sample of a thousand or less; and
half of a level in a sample here and there."""
MOST_LOSS = {"int8": 0.15, "int16x8": 0.15}
"""Most decibels that may be lost against the truth."""
MOST_STATED = 1000
"""Decibels; what states more, or no number, is passed over."""
ROUNDS = 9
"""Timed runs of each, in turn."""


@dataclass(frozen=True)
class Parity:
    """What was found. Decibels are None where two pictures are the same to the last bit."""

    name: str
    parent: str
    precision: str
    runs_on: str
    """Engine, device and precision of the compiled model."""
    parent_runs_on: str
    tiles: int
    pictures: str
    """Where the tiles are from."""
    psnr_to_parent: float | None
    psnr_to_truth: float | None
    parent_psnr_to_truth: float | None
    loss: float
    """Decibels that are lost against the truth; below 0 where some are won."""
    bytes: int
    parent_bytes: int
    ms: float
    """Median for one tile of `tile` pixels; both ran in turn."""
    parent_ms: float
    tile: tuple[int, int]
    remark: str = ""
    """What the engine says about how it runs the compiled model."""
    lost_before: float = 0.0
    """Decibels that the parent states to have lost against its own, where it was made from another."""

    @property
    def ratio(self) -> float:
        """Time of the compiled model by that of its parent: below 1 it is faster."""
        return self.ms / self.parent_ms

    def facts(self) -> dict[str, Any]:
        """What goes into a file's own metadata: nothing that changes from run to run."""
        kept = ("psnr_to_parent", "psnr_to_truth", "parent_psnr_to_truth", "loss")
        before = {"lost_before": round(self.lost_before, 2)} if self.lost_before else {}
        rounded = {key: None if getattr(self, key) is None else round(getattr(self, key), 2) for key in kept}
        return {**rounded, "tiles": self.tiles, "pictures": self.pictures, "parent": self.parent} | before

    def document(self) -> dict[str, Any]:
        """All of it, and the machine, for a file beside the model."""
        return {"parity": {**asdict(self), "ratio": self.ratio}, "machine": machine()}

    def problem(self) -> str:
        """Why the model does not pass; empty where it does."""
        least, most = LEAST_DB.get(self.precision), MOST_LOSS.get(self.precision)
        if least is not None and self.psnr_to_parent is not None and self.psnr_to_parent < least:
            return f"its pictures are {self.psnr_to_parent:.1f} dB from its parent's, at least {least:g} are asked"
        if most is not None and self.loss + self.lost_before > most:
            before = f" after {self.lost_before:.2f} that its parent lost" if self.lost_before else ""
            return f"it loses {self.loss:.2f} dB against its parent{before}, at most {most:g} are let pass"
        return ""

    def demand(self) -> None:
        """Raise `BundleError` that says what to do where the model does not pass."""
        if problem := self.problem():
            raise BundleError(
                f"{self.name} on {self.runs_on}: {problem}; try more calibration pictures or another precision, "
                "or keep the file all the same (--force)"
            )


def size_of(bundle: Bundle) -> int:
    """Bytes of a model's files."""
    return len(bundle.data) + len(bundle.weights)


def enlarge(engine: Engine, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`picture` (H × W × 3, in one window) as the network makes it."""
    blocks = np.empty(blocks_shape(engine.spec, (1, *picture.shape)), np.uint8)
    engine.run(picture[None], engine.spec.widest, blocks)
    return np.asarray(blocks.transpose(0, 1, 3, 2, 4, 5).reshape(picture_shape(blocks.shape))[0])


See = Callable[[Proof, NDArray[np.uint8], NDArray[np.uint8]], None]
"""Is shown each tile, what the compiled model makes of it and what its parent makes of it."""


def measured(
    compiled: Bundle,
    parent: Bundle,
    tiles: Sequence[Proof],
    pictures: str,
    *,
    rounds: int = ROUNDS,
    see: See | None = None,
) -> Parity:
    """`compiled` beside `parent` on `tiles`. Raises `RequestError` where the two do not enlarge alike."""
    _require_alike(compiled, parent)
    one, other = compiled.spec, parent.spec
    with closing(_open(compiled)) as here, closing(_open(parent)) as there:
        errors = np.zeros(4)
        for tile in tiles:
            made, wanted = enlarge(here, tile.small), enlarge(there, tile.small)
            if see is not None:
                see(tile, made, wanted)
            errors += _errors(made, wanted, tile.truth)
        to_parent, to_truth, of_parent = (_decibels(total / errors[3]) for total in errors[:3])
        first = tiles[0].small
        ms, parent_ms = _milliseconds(here, there, first, rounds)
        most = _decibels(1 / errors[3])  # of pictures that are not the truth to the last bit
        loss = (of_parent or most or 0.0) - (to_truth or most or 0.0) if of_parent != to_truth else 0.0
        return Parity(
            one.name, other.name, one.bits, _where(here), _where(there), len(tiles), pictures,
            to_parent, to_truth, of_parent, loss, size_of(compiled), size_of(parent), ms, parent_ms, first.shape[:2],
            getattr(here, "remark", ""), _lost(other),
        )  # fmt: skip


def _require_alike(compiled: Bundle, parent: Bundle) -> None:
    one, other = compiled.spec, parent.spec
    if one.scale != other.scale:
        raise RequestError(
            f"{compiled.source} enlarges ×{one.scale}, {parent.source} ×{other.scale}; compare models of one scale"
        )
    if one.multiple_of != other.multiple_of:
        raise RequestError(
            f"{compiled.source} takes sides that are multiples of {one.multiple_of}, {parent.source} of {other.multiple_of}; "
            "compare models that take the same windows"
        )


def window_of(one: Bundle, other: Bundle) -> tuple[int, int] | None:
    """Height and width of the smallest window that both run; None where both run any.

    Raises `RequestError` where they do not enlarge alike, or run none in common.
    """
    _require_alike(one, other)
    shapes: list[set[tuple[int, int]]] = []
    for bundle in (one, other):
        with closing(_open(bundle)) as engine:
            shapes += [set(engine.limits.shapes)] if engine.limits.shapes else []
    if not shapes:
        return None
    if not (common := set.intersection(*shapes)):
        raise RequestError(f"{one.source} and {other.source} run no window of one size; compare each with its parent")
    return min(common, key=math.prod)


def _lost(spec: ModelSpec) -> float:
    """What a model that was made from another states to have lost on the way, its parents' losses included."""
    stated = spec.quality.get("parity")
    losses = [stated.get(key) for key in ("loss", "lost_before")] if isinstance(stated, dict) else []
    return sum(max(0.0, one) for one in losses if isinstance(one, int | float) and abs(one) < MOST_STATED)


def _open(bundle: Bundle) -> Engine:
    """An engine in the precision in which a model shows what it is: engines run floats in fewer bits of their own accord."""
    free = bundle.spec.bits in ("float", "fp16") and bundle.form != "sophon"
    return open_engine(bundle, options=Options(precision="f32" if free else "auto"))


def _milliseconds(here: Engine, there: Engine, picture: NDArray[np.uint8], rounds: int) -> list[float]:
    """Of both for `picture`: measured, or stated where a simulator's own time would say nothing."""
    stated: CostModel | None = getattr(here, "stated", None)
    if stated is None:
        return in_turn([lambda: enlarge(here, picture), lambda: enlarge(there, picture)], rounds)
    sides = picture.shape[:2]
    exact = [row.seconds for row in stated.rows if (row.height, row.width) == sides]  # the model smooths over areas
    return [1000 * (exact or [stated.seconds(1, *sides)])[0], *in_turn([lambda: enlarge(there, picture)], rounds)]


def _where(engine: Engine) -> str:
    return f"{getattr(engine, 'name', '')} {engine.device} {engine.precision}".strip()


def _errors(made: NDArray[np.uint8], parents: NDArray[np.uint8], truth: NDArray[np.uint8]) -> list[float]:
    """Sums of squared differences: made from parent's, made from truth, parent's from truth; and how many samples."""
    pairs = ((made, parents), (made, truth), (parents, truth))
    return [*(float(np.sum((a.astype(np.float64) - b) ** 2)) for a, b in pairs), float(truth.size)]


def _decibels(error: float) -> float | None:
    return 10 * math.log10(255**2 / error) if error else None


def in_turn(tasks: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """The median milliseconds of each."""
    seconds: list[list[float]] = [[] for _ in tasks]
    for number in range(rounds + 2):
        for task, found in zip(tasks, seconds, strict=True):
            began = time.perf_counter()
            task()
            if number > 1:
                found.append(time.perf_counter() - began)
    return [1000 * statistics.median(found) for found in seconds]
