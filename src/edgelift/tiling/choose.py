"""Which tile to take: two published definitions of the best one, and the choice by predicted time.

- `least_redundant`: the least of (1 - picture / tiled) · (windows + C), areas in pixels: knows nothing of the device;
- `least_price`: the least measured seconds for a sample: knows nothing of the picture;
- `choose`: the least predicted time for this picture on this device, within a limit of memory: knows both.

The first two are of the tiled upscaling entry to CCF BDCI 2023. Where the halo is exact, the result of a picture is the
same for every tile, so that `choose` is free. Networks without an exact halo keep the fixed tile of `plan.auto_tile`:
their result depends on the tile and must not depend on a measurement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgelift.core.errors import RequestError
from edgelift.tiling.cost import CostModel, Measured
from edgelift.tiling.plan import DEFAULT_AREA

__all__ = [
    "REDUNDANCY_C",
    "Choice",
    "Need",
    "choose",
    "least_price",
    "least_redundant",
    "redundancy",
    "redundant_work",
    "windows",
]

REDUNDANCY_C = 40
"""C of `least_redundant`: the fixed work of a picture, in windows. It was published without its value. Summed over
twelve common picture sizes from 480×320 to 1920×1080, with the halo of 4 of the entry's ESPCN, every C from 39 to 49
gives the published 192×256 among the tiles of its price table."""
BATCH_GAIN = 0.05
"""Share of the time by which a larger batch must be quicker to be chosen: less is noise, and it costs memory."""
COMFORT_COST = 1.2
"""How many times the least time may be spent to need less memory where no limit is set."""
LADDER = 2 ** (1 / 8)
"""Ratio of the sides that are tried; between two of them the pixels run differ by a few per cent."""

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

Need = Callable[[Integers, Integers, int], Floats]
"""Bytes that a run takes in all, for tiles of (heights, widths) and a batch: works on arrays, element by element."""


@dataclass(frozen=True)
class Choice:
    """A tile and a batch for one picture, and what they are expected to take."""

    tile: tuple[int, int]
    """Height and width."""
    batch: int
    windows: int
    seconds: float
    memory: int
    """Bytes in all; 0 where nobody asked."""


def _shared(halo: int | None, overlap: int | None) -> int | None:
    """Pixels that neighbouring windows share at least; None where the picture must stay whole."""
    if overlap is not None or halo is None:
        return overlap
    return 2 * halo


def _up(n: Any, multiple: int) -> Any:
    """`n`, a number or an array, up to the next multiple."""
    return -(-n // multiple) * multiple


def _words(tile: tuple[int, int]) -> str:
    return f"{tile[0]}×{tile[1]}"


def windows(length: ArrayLike, tile: ArrayLike, shared: int, multiple_of: int = 1) -> Integers:
    """How many windows of `tile` pixels `plan.axis` lays along `length`, of which neighbours share `shared` at least.

    Works on arrays, element by element. Tiles that leave nothing beyond `shared` must not come.
    """
    n, t = np.asarray(length, np.int64), np.asarray(tile, np.int64)
    step = np.maximum((t - shared) // multiple_of * multiple_of, 1)
    return np.where(t >= n, 1, -((t - _up(n, multiple_of)) // step) + 1)


def _count(height: int, width: int, shared: int | None, sides: Integers, multiple_of: int) -> tuple[Integers, Integers]:
    """Rows of windows of `sides` (… × 2) in a picture, and windows in a row."""
    down = windows(height, sides[..., 0], shared or 0, multiple_of)
    return down, windows(width, sides[..., 1], shared or 0, multiple_of)


def redundancy(
    height: int, width: int, halo: int | None, tile: tuple[int, int], multiple_of: int = 1, overlap: int | None = None
) -> float:
    """The share of the pixels run that the picture could do without: 1 - picture / tiled, 0 … 1."""
    count = math.prod(map(int, _count(height, width, _shared(halo, overlap), np.array(tile), multiple_of)))
    return 1 - height * width / (count * tile[0] * tile[1])


def least_redundant(
    height: int,
    width: int,
    halo: int | None,
    candidates: Iterable[tuple[int, int]],
    multiple_of: int = 1,
    overlap: int | None = None,
    constant: float = REDUNDANCY_C,
) -> tuple[int, int]:
    """The tile of `candidates`, (height, width) each, with the least redundant work; of equals the larger.

    Raises `RequestError` where none of them can tile the picture.
    """
    fit = _able(candidates, height, width, _shared(halo, overlap), multiple_of)
    if not fit:
        raise RequestError(f"none of these tiles has room for a halo of {halo} in a picture of {width}×{height}")

    def work(tile: tuple[int, int]) -> float:
        return redundant_work(height, width, halo, tile, multiple_of, overlap, constant)

    return min(fit, key=lambda tile: (work(tile), -tile[0] * tile[1], tile))


def redundant_work(
    height: int,
    width: int,
    halo: int | None,
    tile: tuple[int, int],
    multiple_of: int = 1,
    overlap: int | None = None,
    constant: float = REDUNDANCY_C,
) -> float:
    """What `least_redundant` minimises: (1 - picture / tiled) · (windows + `constant`)."""
    count = math.prod(map(int, _count(height, width, _shared(halo, overlap), np.array(tile), multiple_of)))
    return redundancy(height, width, halo, tile, multiple_of, overlap) * (count + constant)


def least_price(model: CostModel, batch: int | None = None, variant: int = 1) -> Measured:
    """The measured row with the least price, of one batch where it is given; of equals the smaller.

    Raises `RequestError` where nothing was measured for them.
    """
    rows = [row for row in model.prices(variant) if batch in (None, row.batch)]
    if not rows:
        raise RequestError(f"no prices were measured for variant {variant} in batches of {batch or 'any size'}")
    return min(rows, key=lambda row: (row.price, row.batch, row.area, row.height))


def choose(
    height: int,
    width: int,
    halo: int | None,
    model: CostModel,
    *,
    multiple_of: int = 1,
    overlap: int | None = None,
    shapes: Sequence[tuple[int, int]] = (),
    batches: Sequence[int] = (1,),
    variant: int = 1,
    need: Need | None = None,
    limit: int | None = None,
    comfort: int | None = None,
) -> Choice:
    """The tile and the batch with the least predicted time for a picture of that size.

    `overlap`: as in `plan.plan`. `shapes`: the only (height, width) that the engine runs, where there are such.
    `batches`: the sizes that may be taken; one above the least is where it is `BATCH_GAIN` quicker. `need` says what a
    run takes in bytes, and `limit` how much it may; `comfort` is what it had better stay under: a tile that does, or else
    the one that needs the least, is taken where it costs at most `COMFORT_COST` times the least time. Windows of one row
    make a batch, as in `runtime.pipeline`. Where any shape can be run, tiles have at most the area of the
    largest measured one or `DEFAULT_AREA`: no prediction goes far beyond what is known. The same arguments give the
    same choice.

    Raises `RequestError` where no tile fits the engine and the picture, or none fits the limit.
    """
    shared = _shared(halo, overlap)
    if shapes:
        sides = np.array(_able(shapes, height, width, shared, multiple_of), np.int64)
        if not len(sides):
            what = "can hold the whole picture" if shared is None else f"has room for an overlap of {shared}"
            raise RequestError(f"none of the engine's shapes {', '.join(map(_words, shapes))} {what}")
    else:
        sides = _candidates(height, width, shared, multiple_of, max(DEFAULT_AREA, model.largest(variant)))
    tiles = _Tiles(sides, *_count(height, width, shared, sides, multiple_of), model, variant, need)
    best: Choice | None = None
    for batch in sorted(batches):
        choice = tiles.quickest(batch, limit)
        if choice and (best is None or choice.seconds < best.seconds * (1 - BATCH_GAIN)):
            best = choice
    if best is None:
        raise RequestError(_too_little(sides, min(batches), need, limit))
    if comfort is None or best.memory <= comfort:
        return best
    return min(
        (tiles.lightest(batch, comfort, COMFORT_COST * best.seconds) or best for batch in batches),
        key=lambda choice: (max(choice.memory, comfort), choice.seconds),
    )


@dataclass(frozen=True)
class _Tiles:
    """Tiles for a picture: `sides` (n × 2, n > 0), of which it takes `down` rows of `across` windows."""

    sides: Integers
    down: Integers
    across: Integers
    model: CostModel
    variant: int
    need: Need | None

    def seconds(self, batch: int) -> Floats:
        """Of each, in batches of windows of one row."""
        areas = self.sides.prod(axis=1)
        row = self.across // batch * self.model.seconds_of(areas, batch, self.variant)
        for rest in np.unique(self.across % batch):
            if rest:
                at = self.across % batch == rest
                row = row + np.where(at, self.model.seconds_of(areas, int(rest), self.variant), 0)
        return np.asarray(self.down * row)

    def memory(self, batch: int) -> Floats:
        """Of each; 0 where nobody asked."""
        return self.need(self.sides[:, 0], self.sides[:, 1], batch) if self.need else np.zeros(len(self.sides))

    def quickest(self, batch: int, limit: int | None) -> Choice | None:
        """The one with the least time; None where none fits the limit."""
        memory = self.memory(batch)
        return self._first(batch, memory <= (np.inf if limit is None else limit), np.zeros(len(memory)), memory)

    def lightest(self, batch: int, comfort: int, most: float) -> Choice | None:
        """The one that needs the least memory, or the quickest of those that need at most `comfort`, among those of at most
        `most` seconds; None where there are none."""
        memory = self.memory(batch)
        return self._first(batch, self.seconds(batch) <= most, np.maximum(memory, comfort), memory)

    def _first(self, batch: int, able: NDArray[np.bool_], rank: Floats, memory: Floats) -> Choice | None:
        """The least `rank` of those `able`, and of equals the least time."""
        if not able.any():
            return None
        seconds, count = self.seconds(batch), self.down * self.across
        # Equal times are common where time is proportional to pixels: then the fewest calls, then the lower tile.
        k = np.lexsort((self.sides[:, 0], count, seconds, rank, ~able))[0]
        tile = (int(self.sides[k, 0]), int(self.sides[k, 1]))
        return Choice(tile, batch, int(count[k]), float(seconds[k]), int(memory[k]))


def _too_little(sides: Integers, batch: int, need: Need | None, limit: int | None) -> str:
    assert need is not None  # else everything fits
    assert limit is not None
    memory = need(sides[:, 0], sides[:, 1], batch)
    least = int(np.argmin(memory))
    tile = _words((int(sides[least, 0]), int(sides[least, 1])))
    return (
        f"the smallest need for this picture, tiles of {tile}, is about {memory[least] / 1e6:.0f} MB, and the limit is "
        f"{limit / 1e6:.0f} MB; allow more memory, or cut the picture into parts"
    )


def _candidates(height: int, width: int, shared: int | None, multiple_of: int, most: int) -> Integers:
    """Tiles (n × 2) that cover the picture closely, of at most `most` pixels where `shared` allows it."""
    if shared is None:
        return np.array([[_up(height, multiple_of), _up(width, multiple_of)]])
    downs, acrosses = (_sides(n, shared, multiple_of, most) for n in (height, width))
    # Besides all pairs: as tall as the area allows for each width, which the ladder may miss.
    tall = np.maximum(most // acrosses // multiple_of * multiple_of, downs[0])
    tall = _fit(height, windows(height, tall, shared, multiple_of), shared, multiple_of)
    pairs = np.concatenate([np.stack(np.meshgrid(downs, acrosses), -1).reshape(-1, 2), np.stack([tall, acrosses], -1)])
    small = pairs[pairs.prod(axis=1) <= most]
    return small if len(small) else pairs[:1]  # the least of both sides


def _sides(length: int, shared: int, multiple_of: int, most: int) -> Integers:
    """Sides from the shortest possible to the whole on a ladder, each cut down to what its number of windows needs."""
    whole = int(_up(length, multiple_of))
    least = min(int(_up(shared + multiple_of, multiple_of)), whole)
    rungs = np.arange(math.ceil(math.log(max(most / least, 1), LADDER)) + 1)
    ladder = np.minimum(_up((least * LADDER**rungs).astype(np.int64), multiple_of), whole)
    fitted = _fit(length, windows(length, ladder, shared, multiple_of), shared, multiple_of)
    return np.unique(np.append(fitted, least))


def _fit(length: int, count: Integers, shared: int, multiple_of: int) -> Integers:
    """The shortest sides with which `count` windows cover `length`."""
    side = -(-(length + (count - 1) * shared) // count)
    fitted: Integers = np.minimum(_up(np.maximum(side, shared + 1), multiple_of), _up(length, multiple_of))
    return fitted


def _able(
    tiles: Iterable[tuple[int, int]], height: int, width: int, shared: int | None, multiple_of: int
) -> list[tuple[int, int]]:
    """Those of `tiles` that can cover the picture."""
    return [
        tile
        for tile in tiles
        if not (tile[0] % multiple_of or tile[1] % multiple_of)
        and all(
            t >= n or (shared is not None and t - shared >= multiple_of)
            for t, n in zip(tile, (height, width), strict=True)
        )
    ]
