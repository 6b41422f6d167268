"""How much of a network that removes noise, blur and the traces of compression a picture asks for: a small net on its traits.

Its weights are `wanted.json` beside this file; `python -m benchmarks.denoise --data DIR --write` fits them to what blends of
two networks came to, and says how much is lost on pictures that they were not fitted to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from edgelift.runtime.look.traits import TRAITS

__all__ = ["Estimator", "bundled_estimator"]

Values = NDArray[np.float64]

FAR = 3.0
"""Traits are held within so many spreads of their mean: beyond, nothing was fitted."""
DIGITS = 5


@dataclass(frozen=True)
class Estimator:
    """One hidden layer beside a direct way, and a logistic end."""

    mean: Values
    spread: Values
    direct: Values
    """Weight of each trait."""
    hidden: Values
    """Weights of each trait in each hidden unit: traits × units."""
    offsets: Values
    """Of the units."""
    out: Values
    """Weights of the units."""
    bias: float

    def wanted(self, traits: Values) -> Values:
        """The weight, 0 … 1, of each picture: n × traits -> n."""
        scaled = np.clip((traits - self.mean) / self.spread, -FAR, FAR)
        score = scaled @ self.direct + np.tanh(scaled @ self.hidden + self.offsets) @ self.out + self.bias
        return np.asarray(1 / (1 + np.exp(-score)))

    def to_json(self) -> str:
        """As the file beside this module has it."""
        rows = dict(zip(TRAITS, np.column_stack([self.mean, self.spread, self.direct, self.hidden]), strict=True))
        rows |= {"offsets": self.offsets, "out": self.out, "bias": np.array([self.bias])}
        lines = [f'"{name}": {json.dumps([float(f"{v:.{DIGITS}g}") for v in values])}' for name, values in rows.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str) -> Estimator:
        """Read what `to_json` wrote."""
        plain = {name: np.array(values) for name, values in json.loads(text).items()}
        table = np.array([plain[name] for name in TRAITS])
        mean, spread, direct = table[:, :3].T
        return cls(mean, spread, direct, table[:, 3:], plain["offsets"], plain["out"], float(plain["bias"][0]))


@lru_cache(maxsize=1)
def bundled_estimator() -> Estimator:
    """The one that comes along."""
    return Estimator.from_json((resources.files("edgelift.runtime.look") / "wanted.json").read_text("utf-8"))
