"""The choice of grids by what they cost: candidates are made, run on the calibration tiles, and the best is kept.

A candidate is a way to choose ranges (`ranges.METHODS`) and a strength of equalisation (`equalise.STRENGTHS`). Its cost
is the mean squared difference of its picture from the float network's, in levels, computed in floats without an engine's
short cuts, so that the choice does not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgelift.core.grids import Grid, activation_grid
from edgelift.shrink.equalise import STRENGTHS, equalised
from edgelift.shrink.quantize import CORE_IN, CORE_OUT, Weights, fused, graded, quantised, weights_of
from edgelift.shrink.ranges import METHODS, Seen, range_of

__all__ = ["Calibrated", "Run", "Trial", "by_minmax", "calibrated"]

Run = Callable[[onnx.ModelProto], Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]]
"""Opens a graph with the input `core_in`; what it gives takes a batch and returns the graph's outputs."""
BATCH = 8
"""Tiles at once."""


@dataclass(frozen=True)
class Trial:
    """One candidate and what it costs."""

    method: str
    strength: float
    decibels: float
    """PSNR of its picture against the float network's, over all tiles."""


@dataclass(frozen=True)
class Calibrated:
    """The best candidate."""

    core: onnx.ModelProto
    trial: Trial
    trials: tuple[Trial, ...]
    """All that were tried, in the order in which they were."""
    inner: dict[str, Grid]
    """Grids of tensors that have none in the graph, between a convolution and its activation: other targets need them."""


def calibrated(
    core: onnx.ModelProto,
    tiles: NDArray[np.float32],
    bits: str,
    run: Run,
    *,
    symmetric: bool = False,
    report: Callable[[Trial], None] = lambda trial: None,
) -> Calibrated:
    """`core` on whole numbers, by the candidate that costs least on `tiles` (N × 3 × h × w, 0 … 255).

    Raises `RequestError` for operators that have no whole-number form.
    """  # fmt: skip
    batches = [tiles[k : k + BATCH] for k in range(0, len(tiles), BATCH)]
    weights, inner = weights_of(core), fused(core)
    plain = _seen(core, weights, batches, run)
    run_float = run(core)
    wanted = [_samples(run_float(batch)[0]) for batch in batches]
    best: tuple[float, onnx.ModelProto, Trial, dict[str, Grid]] | None = None
    trials = []
    for strength in STRENGTHS:
        changed = equalised(core, weights, plain, strength)
        seen = _seen(core, changed, batches, run) if strength else plain
        for method in METHODS:
            free = {name: activation_grid(*range_of(s, method), bits, symmetric=symmetric) for name, s in seen.items()}
            grids = graded(core, free, bits)
            made = quantised(core, changed, grids, bits, set(grids) - inner - {CORE_IN})
            run_whole = run(made)
            cost = _cost([_samples(run_whole(batch)[0]) for batch in batches], wanted)
            trials.append(Trial(method, strength, _decibels(cost)))
            report(trials[-1])
            if best is None or cost < best[0]:
                best = cost, made, trials[-1], {name: grids[name] for name in sorted(inner)}
    assert best is not None
    return Calibrated(best[1], best[2], tuple(trials), best[3])


def by_minmax(core: onnx.ModelProto, tiles: NDArray[np.float32], run: Run, *, clip: bool = True) -> onnx.ModelProto:
    """`core` on 8 bits as converters do it by default, to compare with: each tensor's grid covers all that was seen, and all
    filters of a layer share one.

    Without `clip` the result has such a grid, too, and not the picture's: nothing keeps it within 0 … 255.
    """  # fmt: skip
    weights, inner = weights_of(core), fused(core)
    seen = _seen(core, weights, [tiles[k : k + BATCH] for k in range(0, len(tiles), BATCH)], run)
    free = {name: activation_grid(*range_of(s, "minmax"), "int8") for name, s in seen.items()}
    grids = graded(core, free, "int8") | ({} if clip else {CORE_OUT: free[CORE_OUT]})
    return quantised(core, weights, grids, "int8", set(grids) - inner - {CORE_IN}, by_layer=True)


def _seen(core: onnx.ModelProto, weights: Weights, batches: Sequence[NDArray[np.float32]], run: Run) -> dict[str, Seen]:
    """What each tensor between the ends holds. Two passes, since histograms need their ends first."""
    names = [name for node in core.graph.node for name in node.output]
    opened = run(_looked_into(core, weights, names))
    found: dict[str, Seen] = {}
    for batch in batches:
        for name, values in zip(names, opened(batch), strict=True):
            if name in found:
                found[name].widen(values)
            else:
                found[name] = Seen.first(values)
    for batch in batches:
        for name, values in zip(names, opened(batch), strict=True):
            found[name].count(values)
    return found


def _looked_into(core: onnx.ModelProto, weights: Weights, names: Sequence[str]) -> onnx.ModelProto:
    """`core` with other weights and every one of `names` as an output."""
    model = onnx.ModelProto()
    model.CopyFrom(core)
    del model.graph.initializer[:], model.graph.output[:]
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in weights.items())
    for name in names:
        model.graph.output.append(onnx.ValueInfoProto(name=name))
        model.graph.output[-1].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return model


def _samples(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.clip(np.rint(blocks), 0, 255)


def _cost(made: Sequence[NDArray[np.float32]], wanted: Sequence[NDArray[np.float32]]) -> float:
    pairs = zip(made, wanted, strict=True)
    return float(np.mean([np.mean((a - b).astype(np.float64) ** 2) for a, b in pairs]))


def _decibels(cost: float) -> float:
    return float(10 * np.log10(255**2 / cost)) if cost else float("inf")
