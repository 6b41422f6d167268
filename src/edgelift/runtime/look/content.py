"""Photographed or drawn: a logistic regression on a few statistics of the small picture.

Its weights are `content.json` beside this file; `python -m benchmarks.content --data DIR --write` fits them and says how
often they are right. Paintings and cartoons are drawn; their edges are few and sharp, their areas smooth, their colours
fuller.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from edgelift.runtime.look.blocks import GREY

__all__ = ["FEATURES", "Classifier", "bundled_classifier", "features_of"]

Floats = NDArray[np.float32]

LEVELS = 3
"""Sizes of the small picture, each half of the one before, whose gradients are looked at."""
LEAST = 16
"""Pixels of a side below which it is not halved further."""
FEATURES = (
    *(f"{name} {level}" for level in range(LEVELS) for name in ("peaked", "flat", "gradient")), "laplacian median",
    "laplacian mean", "block 10", "block 25", "block 50", "block 75", "block 90", "saturation", "saturation spread", "chroma",
    "colours", "mean", "spread", "white", "black",
)  # fmt: skip


def features_of(small: Floats) -> NDArray[np.float64]:
    """The values of `FEATURES` for a small picture (h × w × 3, levels 0 … 255)."""
    luma = small @ GREY
    values = [*_gradients(luma), *_texture(luma), *_colours(small, luma)]
    return np.array(values, np.float64)


def _gradients(luma: Floats) -> list[float]:
    """At each size: how peaked the distribution of gradients is, the share of small ones, and their mean against the next."""
    found, means = [], []
    for level in range(LEVELS):
        steps = np.concatenate(
            [np.abs(np.diff(luma, axis=axis)).ravel() for axis in (0, 1)] + [np.zeros(1, np.float32)]
        )
        mean = float(steps.mean()) + 0.05
        means.append(np.log(mean))
        found += [np.log(float((steps**2).mean()) / mean**2 + 1e-3), float((steps < 0.5 * mean).mean())]
        found.append(means[-1] if level == 0 else means[-2] - means[-1])
        luma = _half(luma)
    return found


def _half(luma: Floats) -> Floats:
    if min(luma.shape) < 2 * LEAST:
        return luma
    height, width = (side // 2 * 2 for side in luma.shape)
    rows = luma[0:height:2, :width] + luma[1:height:2, :width]
    return np.asarray((rows[:, ::2] + rows[:, 1::2]) / 4)


def _texture(luma: Floats) -> list[float]:
    """How rough it is from pixel to pixel, and the spread of levels in blocks: tenth, quarter, half … of all blocks."""
    wide = np.pad(luma, 1, mode="edge")
    around = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
    laplacian = np.abs(4 * luma - around)
    height, width = (max(side, 8) // 8 for side in luma.shape)
    filled = np.pad(luma, [(0, max(0, 8 - side)) for side in luma.shape], mode="edge")
    blocks = filled[: height * 8, : width * 8].reshape(height, 8, width, 8).std(axis=(1, 3))
    shares = np.quantile(blocks, [0.1, 0.25, 0.5, 0.75, 0.9])
    return [float(np.log(np.median(laplacian) + 0.25)), float(np.log(laplacian.mean() + 0.25)), *np.log(shares + 0.5)]


def _colours(small: Floats, luma: Floats) -> list[float]:
    """Saturation, edges of colour against those of luma, how many colours there are, and the ends of the range."""
    most, least = small.max(axis=2), small.min(axis=2)
    saturation = (most - least) / np.maximum(most, 8)

    def edges(plane: Floats) -> float:
        return float(np.abs(np.diff(plane, axis=1)).mean()) if plane.shape[1] > 1 else 0.0

    chroma = edges(small[..., 2] - luma) + edges(small[..., 0] - luma)
    coarse = small.astype(np.uint8).astype(np.int32) >> 3
    seen = np.bincount((coarse[..., 0] << 10 | coarse[..., 1] << 5 | coarse[..., 2]).ravel(), minlength=1 << 15)
    return [
        float(saturation.mean()), float(saturation.std()), float(np.log((chroma + 0.1) / (edges(luma) + 0.05))),
        float(np.log(np.count_nonzero(seen))), float(luma.mean()) / 100, float(luma.std()) / 50,
        float((most > 250).mean()), float((most < 8).mean()),
    ]  # fmt: skip


@dataclass(frozen=True)
class Classifier:
    """A logistic regression on `FEATURES`."""

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: float

    def drawn(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability of being drawn of each picture: n × features -> n."""
        scores = (features - self.mean) / self.spread @ self.weights + self.bias
        return np.asarray(1 / (1 + np.exp(-np.clip(scores, -50, 50))))

    def to_json(self) -> str:
        """As the file beside this module has it."""
        rows = zip(FEATURES, self.mean, self.spread, self.weights, strict=True)
        facts = {name: [float(f"{value:.6g}") for value in values] for name, *values in rows}
        return json.dumps({"bias": float(f"{self.bias:.6g}"), "features": facts}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Classifier:
        """Read what `to_json` wrote."""
        plain = json.loads(text)
        mean, spread, weights = np.array([plain["features"][name] for name in FEATURES]).T
        return cls(mean, spread, weights, plain["bias"])


@lru_cache(maxsize=1)
def bundled_classifier() -> Classifier:
    """The one that comes along."""
    return Classifier.from_json((resources.files("edgelift.runtime.look") / "content.json").read_text("utf-8"))
