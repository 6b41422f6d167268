"""The edge-to-PSNR table of a supernet: how well each of its variants does on blocks of each edge score.

It is made off-line on pictures whose truth is known (`edgelift edge-table`), as in ARM (Chen et al., ECCV 2022), and stands in
the bundle's fact `routing`, beside the halo that routed windows take. What it holds are mean squared errors, of which
PSNR is the logarithm: errors of regions can be added up, and their sum is the error of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgelift.core.errors import BundleError, RequestError
from edgelift.core.spec import ModelSpec
from edgelift.runtime.anytime.scores import EdgeScores

__all__ = ["SCORES", "EdgeTable", "table_of"]

Floats = NDArray[np.float64]
SCORES = ("absolute", "square")
"""The edge scores that there are: fields of `EdgeScores`."""
LEAST = 1e-2
"""Added to scores before their logarithm is taken: what a flat block has."""
WHITE = 255.0
MAX_BINS = 256


@dataclass(frozen=True)
class EdgeTable:
    """Mean squared errors by edge score. Raises `BundleError` for values that cannot be such a table."""

    score: str
    """Which of `SCORES` the bins are of."""
    bins: tuple[float, ...]
    """Mean score of each bin, rising."""
    errors: tuple[tuple[float, ...], ...]
    """Of each variant, interpolation first: mean squared error of a sample in 8-bit levels, one for each bin."""

    def __post_init__(self) -> None:
        bins, errors = np.asarray(self.bins, np.float64), np.asarray(self.errors, np.float64)
        good = (
            self.score in SCORES
            and 2 <= bins.size <= MAX_BINS
            and errors.shape == (len(self.errors), bins.size)
            and np.isfinite(errors).all()
            and (errors >= 0).all()
            and np.isfinite(bins).all()
            and bins[0] >= 0
            and (np.diff(bins) > 0).all()
        )
        if not good:
            raise BundleError(
                "the table of edge scores needs a known score, 2 or more rising bins and one error of at least 0 for "
                "each variant and bin"
            )

    def predict(self, scores: EdgeScores) -> Floats:
        """Mean squared error of a sample of each block through each variant: variants × the shape of the scores.

        Linear in the logarithm of the score between two bins, and constant beyond the outer ones.
        """
        values = self._place(getattr(scores, self.score))
        places = self._place(self.bins)
        return np.stack([np.interp(values, places, of) for of in self.errors])

    def psnr(self) -> Floats:
        """The table in dB, as published ones are: variants × bins."""
        return np.asarray(10 * np.log10(WHITE**2 / np.maximum(np.asarray(self.errors), 1e-3)))

    def as_plain(self) -> dict[str, Any]:
        """As it stands in the fact `routing`."""
        return {"score": self.score, "bins": list(self.bins), "errors": [list(row) for row in self.errors]}

    @staticmethod
    def _place(scores: ArrayLike) -> Floats:
        return np.asarray(np.log(np.asarray(scores, np.float64) + LEAST))


def table_of(spec: ModelSpec) -> EdgeTable:
    """The table of a supernet. Raises `RequestError` where there is none, `BundleError` for a damaged one."""
    if spec.widest < 2 or not spec.interpolates:
        raise RequestError(f"{spec.name} has no variants to choose from, and so no time budget")
    plain = spec.routing.get("table")
    if plain is None:
        raise RequestError(f"{spec.name} has no table of edge scores; make it with 'edgelift edge-table'")
    try:
        made = EdgeTable(
            str(plain["score"]),
            tuple(map(float, plain["bins"])),
            tuple(tuple(map(float, row)) for row in plain["errors"]),
        )
    except (TypeError, ValueError, LookupError) as exc:
        raise BundleError(f"{spec.name}: its table of edge scores cannot be read ({exc})") from exc
    if len(made.errors) != spec.widest + 1:
        raise BundleError(f"{spec.name}: a table of {len(made.errors)} variants for {spec.widest} and interpolation")
    return made
