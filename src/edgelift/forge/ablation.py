"""What makes a small network survive 8 bits: variants of ABPN, each trained alike, quantised in two ways and measured.

The rows are those of Du et al. 2021: the residual form, batch normalisation, the number of middle layers, the final clip.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgelift.core.errors import RequestError
from edgelift.evaluate.profile.synthetic import scene
from edgelift.forge.bundles import bundle_checkpoint
from edgelift.forge.compile import Order, converted
from edgelift.forge.gate import enlarge, in_turn
from edgelift.forge.tiles import Proof, calibration_tiles, proofs
from edgelift.io.blocks import core_model
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import Engine
from edgelift.runtime.engines import open_engine
from edgelift.runtime.engines.onnxruntime import open_exact
from edgelift.shrink.calibrate import by_minmax
from edgelift.training.checkpoint import Checkpoint
from edgelift.training.loop import Progress, train
from edgelift.training.recipe import Recipe, recipe_from

__all__ = ["VARIANTS", "Row", "ablate", "recipe_for", "table"]

VARIANTS: dict[str, dict[str, Any]] = {
    "anchor": {}, "image": {"residual": "image"}, "feature": {"residual": "feature"}, "none": {"residual": "none"},
    "norm": {"block": "norm"}, "layers-2": {"layers": 2}, "layers-6": {"layers": 6},
}  # fmt: skip
"""What each variant changes of ABPN ×3 with 16 channels, 4 middle layers and an anchor."""
SIZE = (192, 256)
ROUNDS = 9


@dataclass(frozen=True)
class Row:
    """One variant. Decibels are PSNR-RGB over all tiles; what is lost is against the variant's own float form."""

    name: str
    steps: int
    macs: int
    psnr: float
    lost_minmax: float
    """On 8 bits with min-max ranges and a grid for each layer."""
    lost_unclipped: float
    """The same, its result cast to 8 bits without a clip: what lies beyond 0 … 255 wraps around."""
    lost_best: float
    """By `shrink.calibrate.calibrated`, as `edgelift quantize` makes it."""
    ms: float
    ms_int8: float
    """For a window of 256 × 192 pixels; all variants in turn."""


def recipe_for(name: str, steps: int) -> Recipe:
    """How the variant `name` is trained. Raises `RequestError` for one that there is not."""
    if name not in VARIANTS:
        raise RequestError(f"there is no variant {name!r}; there are {', '.join(VARIANTS)}")
    return recipe_from({
        "name": f"ablation-{name}",
        "network": {"architecture": "abpn", "scale": 3, "channels": 16, "layers": 4, **VARIANTS[name]},
        "data": {"patch": 24, "batch": 8, "validation": 8},
        "train": {
            "steps": steps, "lr": 2e-3, "final_lr": 1e-6, "warmup": 0.01, "validate_every": max(1, steps // 4),
        },
    })  # fmt: skip


def ablate(
    folders: Sequence[Path],
    runs: Path,
    *,
    names: Sequence[str] = tuple(VARIANTS),
    steps: int = 4000,
    calibration: Path | None = None,
    count: int = 64,
    pictures: Path | None = None,
    tiles: int = 20,
    report: Callable[[Progress], None] = lambda progress: None,
    say: Callable[[str], None] = print,
    stop: Callable[[], bool] = lambda: False,
) -> list[Row]:
    """Train each variant on the pictures under `folders`, in a folder of `runs` each, and measure it.

    What was trained before is not trained again, and a run that was stopped goes on. Ranges are taken from `count`
    pictures of `calibration`, the first of `folders` where none is named; decibels from up to `tiles` of `pictures`, or
    from drawn scenes. Raises what training, quantising and reading pictures raise.
    """
    bundles = []
    with tempfile.TemporaryDirectory(prefix="edgelift-") as folder:
        for name in names:
            best = _trained(recipe_for(name, steps), folders, runs / name, report, say, stop)
            bundles.append(bundle_checkpoint(best, Path(folder) / f"{name}.onnx"))
    spec = bundles[0].spec
    seen = calibration_tiles(calibration or folders[0], spec, count)
    shown = proofs(pictures, spec, tiles)
    rows, forms = list[Row](), list[Bundle]()
    for name, bundle in zip(names, bundles, strict=True):
        say(f"measuring {name}")
        eight = converted(bundle, Order(precision="int8", calibration=calibration or folders[0], count=count))
        rows.append(_measured(name, steps, bundle, eight, seen, shown))
        forms += [bundle, eight]
    times = iter(_times(forms))
    return [replace(row, ms=next(times), ms_int8=next(times)) for row in rows]


def _trained(
    recipe: Recipe,
    folders: Sequence[Path],
    run: Path,
    report: Callable[[Progress], None],
    say: Callable[[str], None],
    stop: Callable[[], bool],
) -> Checkpoint:
    """The best checkpoint of `recipe`; pictures are read only where there is something left to do."""
    facts = run / "last.json"
    if facts.exists():
        meta = json.loads(facts.read_text(encoding="utf-8"))
        if meta["step"] >= recipe.train.steps and recipe_from(meta["recipe"]) == recipe:
            say(f"{recipe.name}: trained already")
            return Checkpoint.load(run / "best.pt")
    return train(recipe, folders, run, report=report, say=say, stop=stop)


def _measured(
    name: str, steps: int, bundle: Bundle, best: Bundle, seen: NDArray[np.float32], shown: Sequence[Proof]
) -> Row:
    core = core_model(bundle)
    whole = _psnr(core, bundle, shown)
    minmax = _psnr(by_minmax(core, seen, open_exact), bundle, shown)
    unclipped = _psnr(by_minmax(core, seen, open_exact, clip=False), bundle, shown, wraps=True)
    own = _psnr(core_model(best), bundle, shown)
    return Row(name, steps, bundle.spec.macs, whole, whole - minmax, whole - unclipped, whole - own, 0.0, 0.0)


def _psnr(core: onnx.ModelProto, bundle: Bundle, shown: Sequence[Proof], *, wraps: bool = False) -> float:
    """PSNR of what `core` makes, as its text says, over all samples of all tiles."""
    run, b = open_exact(core), bundle.spec.shuffle
    errors = samples = 0.0
    for tile in shown:
        blocks = np.rint(run(tile.small.transpose(2, 0, 1)[None].astype(np.float32))[0][0])
        values = np.mod(blocks, 256) if wraps else np.clip(blocks, 0, 255)
        h, w = values.shape[1:]
        made = values.reshape(b, b, 3, h, w).transpose(3, 0, 4, 1, 2).reshape(h * b, w * b, 3)
        errors += float(np.sum((made.astype(np.float64) - tile.truth) ** 2))
        samples += tile.truth.size
    return float(10 * np.log10(255**2 * samples / errors))


def _times(forms: Sequence[Bundle]) -> list[float]:
    """Median milliseconds of each for one window."""
    picture = scene(*SIZE)
    with ExitStack() as opened:
        engines: list[Engine] = [opened.enter_context(closing(open_engine(bundle))) for bundle in forms]
        return in_turn([partial(enlarge, engine, picture) for engine in engines], ROUNDS)


HEADS = (
    "variant", "multiply-adds a pixel", "float dB", "min-max, a grid a layer", "the same without a clip",
    "edgelift quantize", "float ms", "INT8 ms",
)  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """Markdown; the three columns in the middle say how many decibels are lost."""
    lines = ["| " + " | ".join(HEADS) + " |", "|---|" + "---:|" * (len(HEADS) - 1)]
    for row in rows:
        cells = [row.name, f"{row.macs:,}", f"{row.psnr:.2f}"]
        cells += [f"{value:.2f}" for value in (row.lost_minmax, row.lost_unclipped, row.lost_best)]
        cells += [f"{row.ms:.1f}", f"{row.ms_int8:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
