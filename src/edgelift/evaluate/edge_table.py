"""Make the edge-to-PSNR table of a supernet: each variant's error on blocks of each edge score, on pictures whose truth is
known; and the halo that routed windows need."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import EdgeliftError, InputError, RequestError
from edgelift.core.image import Picture
from edgelift.core.resize import resize
from edgelift.core.spec import ModelSpec
from edgelift.io.bundle import Bundle, read_bundle, write_bundle
from edgelift.io.pictures import SUFFIXES, open_picture
from edgelift.runtime.anytime.scores import BLOCK, edge_scores
from edgelift.runtime.anytime.table import LEAST, SCORES, EdgeTable
from edgelift.runtime.engine import Engine, Options, blocks_shape
from edgelift.runtime.engines import open_engine
from edgelift.runtime.pipeline import run_plan
from edgelift.runtime.rows import ArraySource, ArrayTarget
from edgelift.tiling.plan import auto_tile, plan

__all__ = ["BINS", "Found", "in_decibels", "measure_table", "rank_correlation", "write_table"]

BINS = 30
"""At most, as published."""
FEWEST = 0.002
"""Share of all blocks that a bin holds at least: fewer say little."""
HALO_LEVELS = 4
"""Levels of 255 by which no sample of a routed window may differ from that of the exact halo."""
PROBE = (96, 160)
"""Height and width of the part of each picture on which halos are tried."""
HIGHEST = 60.0
"""PSNR in dB that a tile has at most in correlations: perfect ones are no better than nearly perfect ones."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """What measuring gave."""

    table: EdgeTable
    halo: int
    """That routed windows take."""
    worst: int
    """Levels of 255 by which a sample differs at most with that halo, on what was tried."""
    correlations: dict[str, dict[str, float]]
    """Of each edge score over tiles of 32×32: Spearman's rank correlation with the `psnr` of the widest variant's result, with
    the dB that it gains over interpolation (`gain`), and with the squared error that it takes away (`error`)."""
    pictures: int
    blocks: int
    skipped: tuple[EdgeliftError, ...]


def measure_table(
    bundle: Bundle,
    folders: Sequence[Path],
    *,
    score: str = "square",
    engine: str = "auto",
    report: Callable[[float], None] = lambda done: None,
) -> Found:
    """Measure on all pictures under `folders`, reduced by the MATLAB-compatible bicubic.

    Raises `RequestError` for a model without variants and an unknown score, `InputError` where no picture can be read.
    """
    spec = bundle.spec
    if spec.widest < 2 or not spec.interpolates or spec.halo is None:
        raise RequestError(f"{spec.name} has no variants between which a table could choose")
    if score not in SCORES:
        raise RequestError(f"a score is one of {', '.join(SCORES)}, got {score!r}")
    made = open_engine(bundle, engine, Options(precision="f32", many_shapes=True))
    paths = _pictures(folders)
    parts: list[_Blocks] = []
    skipped: list[EdgeliftError] = []
    worst = np.zeros(spec.halo + 1, np.int64)
    for k, path in enumerate(paths):
        try:
            high, low = _pair(path, spec.scale)
        except EdgeliftError as exc:
            skipped.append(exc)
            continue
        parts.append(_blocks(made, low, high))
        np.maximum(worst, _by_halo(made, low), out=worst)
        report((k + 1) / len(paths))
    made.close()
    if not parts:
        raise InputError(f"none of {len(paths)} pictures can be used: {skipped[0]}")
    halo = int(np.flatnonzero(worst <= HALO_LEVELS)[0])
    scores, errors = (np.concatenate([getattr(part, name) for part in parts], 1) for name in ("scores", "errors"))
    return Found(
        _table(scores[SCORES.index(score)], errors, score), halo, int(worst[halo]),
        {name: _correlations([part.tiles(k) for part in parts]) for k, name in enumerate(SCORES)},
        len(parts), errors.shape[1], tuple(skipped),
    )  # fmt: skip


def write_table(path: Path, found: Found) -> Bundle:
    """Put the table into the bundle at `path`; its other facts are kept."""
    bundle = read_bundle(path)
    routing: dict[str, Any] = {
        **bundle.spec.routing,
        "table": found.table.as_plain(),
        "halo": found.halo,
        "halo_worst": found.worst,
        "correlations": found.correlations,
        "pictures": found.pictures,
    }
    return write_bundle(bundle.graph(), dataclasses.replace(bundle.spec, routing=routing), path, overwrite=True)


def _pictures(folders: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for folder in folders:
        inside = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
        if not inside:
            raise InputError(f"{folder}: no such folder, or no pictures in it")
        found += inside
    return found


def _pair(path: Path, scale: int) -> tuple[Picture, Picture]:
    """The picture, cropped to a multiple of `scale`, and its reduction."""
    with open_picture(path) as reader:
        high = reader.rows(0, reader.height)[0]
    height, width = (n // scale for n in high.shape[:2])
    if high.dtype != np.uint8 or min(height, width) < 2 * BLOCK:
        raise InputError(f"{path}: pictures of 8 bits and at least {2 * BLOCK * scale} pixels a side are used")
    high = np.ascontiguousarray(high[: height * scale, : width * scale])
    return high, resize(high, height, width)


@dataclass(frozen=True)
class _Blocks:
    """Of one picture, its whole blocks only."""

    scores: Floats
    """`SCORES` × blocks."""
    errors: Floats
    """Mean squared error of a sample, variants (interpolation first) × blocks."""
    shape: tuple[int, int]

    def tiles(self, score: int) -> tuple[Floats, Floats, Floats]:
        """Of tiles of 2 × 2 blocks: the score, and the errors of interpolation and of the widest variant."""
        kept = [n // 2 * 2 for n in self.shape]
        chosen = np.stack([self.scores[score], self.errors[0], self.errors[-1]]).reshape(3, *self.shape)
        tiles = chosen[:, : kept[0], : kept[1]].reshape(3, kept[0] // 2, 2, kept[1] // 2, 2).mean(axis=(2, 4))
        score_of, first, last = tiles.reshape(3, -1)
        return score_of, first, last


def _blocks(engine: Engine, low: Picture, high: Picture) -> _Blocks:
    height, width = (n // BLOCK for n in low.shape[:2])
    found = edge_scores(ArraySource(low))
    scores = np.stack([getattr(found, name)[:height, :width].ravel() for name in SCORES])
    side = BLOCK * engine.spec.scale
    errors = []
    for picture in _each(engine, low):
        difference = (picture.astype(np.int32) - high)[: height * side, : width * side]
        blocks = np.square(difference).reshape(height, side, width, side * 3)
        errors.append(blocks.sum(axis=(1, 3)).ravel() / (3 * side**2))
    return _Blocks(scores, np.stack(errors), (height, width))


def _each(engine: Engine, low: Picture) -> Iterator[Picture]:
    """The picture enlarged by each variant, interpolation first."""
    spec = engine.spec
    height, width = low.shape[:2]
    windows = plan(height, width, auto_tile(height, width, spec.halo, spec.multiple_of), spec.halo, spec.multiple_of)
    for variant in range(spec.widest + 1):
        target = ArrayTarget(height * spec.scale, width * spec.scale, low.dtype)
        run_plan(engine, dataclasses.replace(windows, variant=variant), ArraySource(low), target)
        yield target.picture


def _by_halo(engine: Engine, low: Picture) -> NDArray[np.int64]:
    """By how many levels a sample of a window with 0, 1, 2 … pixels of halo differs at most from that with all of it."""
    spec = engine.spec
    exact = spec.halo or 0
    size = [min(n, side) for n, side in zip(low.shape[:2], PROBE, strict=True)]
    top, left = ((n - side) // 2 for n, side in zip(low.shape[:2], size, strict=True))
    part = np.ascontiguousarray(low[top : top + size[0], left : left + size[1]])[np.newaxis]
    worst = np.zeros(exact + 1, np.int64)
    for variant in range(1, spec.widest + 1):
        whole = _run(engine, part, variant)
        for halo in range(exact):
            cut = exact - halo  # an inner window whose edge lies where the halo is `halo` pixels wide
            window = np.ascontiguousarray(part[:, cut:-cut, cut:-cut])
            inner = _run(engine, window, variant)[halo : len(window[0]) - halo, halo : window.shape[2] - halo]
            difference = np.abs(inner.astype(np.int64) - whole[exact:-exact, exact:-exact])
            worst[halo] = max(worst[halo], difference.max())
    return worst


def _run(engine: Engine, batch: NDArray[np.uint8], variant: int) -> NDArray[np.uint8]:
    blocks = np.empty(blocks_shape(engine.spec, batch.shape), np.uint8)
    engine.run(batch, variant, blocks)
    return np.asarray(blocks[0])


def _table(scores: Floats, errors: Floats, score: str) -> EdgeTable:
    """Bins of about equal width in the logarithm of the score, those of few blocks joined to the one below."""
    order = np.argsort(scores, kind="stable")
    places = np.log(scores[order] + LEAST)
    step = max(float(places[-1] - places[0]) / BINS, 1e-6)
    fewest = max(1, int(FEWEST * len(order)))
    starts = [0]
    for number in range(1, BINS):
        at = int(np.searchsorted(places, places[0] + number * step))
        if at - starts[-1] >= fewest and len(order) - at >= fewest:
            starts.append(at)
    parts = [part for part in np.split(order, starts[1:]) if len(part)]
    means = [float(scores[part].mean()) for part in parts]
    rows = [[float(np.round(row[part].mean(), 4)) for part in parts] for row in errors]
    return EdgeTable(score, tuple(round(mean, 5) for mean in means), tuple(map(tuple, rows)))


def _correlations(tiles: Sequence[tuple[Floats, Floats, Floats]]) -> dict[str, float]:
    score, first, last = (np.concatenate(part) for part in zip(*tiles, strict=True))
    psnr = [np.minimum(HIGHEST, 10 * np.log10(255**2 / np.maximum(error, 1e-9))) for error in (first, last)]
    kinds = {"psnr": psnr[1], "gain": psnr[1] - psnr[0], "error": first - last}
    return {name: round(rank_correlation(score, values), 4) for name, values in kinds.items()}


def rank_correlation(a: Floats, b: Floats) -> float:
    """Spearman's: the correlation of the ranks, -1 … 1; equal values share their mean rank. 0 where one is constant."""
    ranks = [_ranks(values) - (len(values) - 1) / 2 for values in (a, b)]
    scale = float(np.sqrt(np.square(ranks[0]).sum() * np.square(ranks[1]).sum()))
    return float((ranks[0] * ranks[1]).sum() / scale) if scale else 0.0


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts) - 1
    return np.asarray((last - (counts - 1) / 2)[inverse])


def in_decibels(spec: ModelSpec, table: EdgeTable) -> dict[str, tuple[list[float], list[float]]]:
    """The table as curves: variant -> (scores, PSNR in dB), for plots."""
    names = ("interpolation", *spec.variants)
    return {name: (list(table.bins), row.tolist()) for name, row in zip(names, table.psnr(), strict=True)}
