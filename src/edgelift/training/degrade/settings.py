"""What a degradation may draw: the table `[degrade]` of a recipe, and its presets.

The defaults are those that were published for Real-ESRGAN's general model. Ranges are drawn from uniformly.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from edgelift.core.errors import RecipeError
from edgelift.training.tables import CHANCE, NOT_NEGATIVE, POSITIVE, Rule, choice, read_table

__all__ = ["PRESETS", "Degradation", "Order", "degradation_from"]

Range = tuple[float, float]


@dataclass(frozen=True)
class Order:
    """One of the two passes: blur, resize, noise, JPEG."""

    blur: float = 1.0
    """Chance of a blur."""
    sinc: float = 0.1
    """Chance that the blur is a sinc filter, which rings."""
    kernels: tuple[float, ...] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    """Chances of the other kernels, in proportion: Gaussian isotropic and anisotropic, generalised Gaussian likewise, plateau
    likewise."""
    sigma: Range = (0.2, 3.0)
    """Widths of a kernel in pixels."""
    shape: Range = (0.5, 4.0)
    """Exponent of generalised Gaussian kernels; below 1 they are more pointed, above 1 flatter."""
    plateau: Range = (1.0, 2.0)
    """Exponent of plateau kernels."""
    resize: tuple[float, float, float] = (0.2, 0.7, 0.1)
    """Chances, in proportion, that the picture is enlarged, reduced, kept."""
    factor: Range = (0.15, 1.5)
    """Least and greatest factor of that."""
    gaussian: float = 0.5
    """Chance that noise is Gaussian; else Poisson."""
    noise: Range = (1.0, 30.0)
    """Standard deviation of Gaussian noise in levels of 0 … 255."""
    poisson: Range = (0.05, 3.0)
    """Strength of Poisson noise; 1 is that of 256 photons for white."""
    grey: float = 0.4
    """Chance that noise is the same in the three colours."""
    quality: Range = (30.0, 95.0)
    """Quality of JPEG, and of WebP where that follows."""


@dataclass(frozen=True)
class Degradation:
    """All that a degradation may draw."""

    strength: str = "published"
    """The preset that gives all values which the table does not name."""
    first: Order = Order()
    second: Order = Order(
        blur=0.8, sigma=(0.2, 1.5), resize=(0.3, 0.4, 0.3), factor=(0.3, 1.2), noise=(1.0, 25.0), poisson=(0.05, 2.5)
    )
    final_sinc: float = 0.8
    """Chance of a sinc filter at the end, before or after the last JPEG, each as often."""
    chroma: float = 1.0
    """Chance that a JPEG halves the resolution of its colours (4:2:0)."""
    webp: float = 0.0
    """Chance that the last of the compressions is WebP."""
    repeats: int = 0
    """At most so many further JPEG compressions at the end, their blocks at other places."""
    banding: float = 0.0
    """Chance that colours are reduced to few levels."""
    levels: Range = (16.0, 64.0)
    """How many levels."""
    sharpen: float = 0.0
    """Weight of an unsharp mask on the sharp pictures; the published model was trained with 0.5."""
    together: int = 4
    """Patches of a batch that share sizes and the order of steps; kernels, noise and qualities are each one's own."""
    pool: int = 0
    """Groups of so many patches that are kept, mixed into batches and shown again; 0: each batch is made for itself."""
    reuse: float = 4.0
    """How often a patch of the pool is shown on average."""


PRESETS: dict[str, Degradation] = {
    "published": Degradation(),
    "light": Degradation(
        strength="light",
        first=Order(
            blur=0.6, sinc=0.05, sigma=(0.2, 0.9), shape=(0.7, 2.0), resize=(0.1, 0.4, 0.5), factor=(0.7, 1.2),
            noise=(0.0, 4.0), poisson=(0.0, 0.4), quality=(75.0, 98.0),
        ),
        second=Order(
            blur=0.2, sinc=0.05, sigma=(0.2, 0.6), shape=(0.7, 2.0), resize=(0.1, 0.2, 0.7), factor=(0.8, 1.1),
            noise=(0.0, 2.0), poisson=(0.0, 0.2), quality=(75.0, 98.0),
        ),
        final_sinc=0.2, chroma=0.7, webp=0.1,
    ),
    "medium": Degradation(
        strength="medium",
        first=Order(
            blur=0.8, sigma=(0.2, 1.8), shape=(0.5, 3.0), resize=(0.2, 0.6, 0.2), factor=(0.4, 1.3), noise=(0.0, 12.0),
            poisson=(0.0, 1.2), quality=(50.0, 95.0),
        ),
        second=Order(
            blur=0.5, sigma=(0.2, 1.0), shape=(0.5, 3.0), resize=(0.2, 0.3, 0.5), factor=(0.5, 1.2), noise=(0.0, 8.0),
            poisson=(0.0, 0.8), quality=(50.0, 95.0),
        ),
        final_sinc=0.5, chroma=0.8, webp=0.1, repeats=1, banding=0.02, levels=(32.0, 64.0),
    ),
    "strong": Degradation(strength="strong", webp=0.1, repeats=2, banding=0.05),
}  # fmt: skip
"""Name of a strength -> its fixed parameters. `strong` is the published ones and what the web adds."""

_RANGE = Rule(
    lambda value: 0 <= value[0] <= value[1] < math.inf,
    "must be two numbers of at least 0, the second not the smaller one",
)
_ABOVE = Rule(
    lambda value: 0 < value[0] <= value[1] < math.inf, "must be two numbers above 0, the second not the smaller one"
)
_QUALITY = Rule(
    lambda value: 1 <= value[0] <= value[1] <= 100, "must be two numbers of 1 to 100, the second not smaller"
)
_LEVELS = Rule(
    lambda value: 2 <= value[0] <= value[1] <= 256, "must be two numbers of 2 to 256, the second not smaller"
)
_PROPORTIONS = Rule(
    lambda value: min(value) >= 0 and 0 < sum(value) < math.inf, "must be chances of at least 0, not all 0"
)
_FACTOR = Rule(
    lambda value: 0 < value[0] <= 1 <= value[1] <= 4, "must be two factors, the first at most 1, the second 1 to 4"
)
_PLATEAU = Rule(
    lambda value: 0 < value[0] <= 1 <= value[1] < math.inf,
    "must be two exponents, the first at most 1, the second at least 1",
)
_ORDER_RULES = {
    **dict.fromkeys(("blur", "sinc", "gaussian", "grey"), CHANCE), "kernels": _PROPORTIONS, "resize": _PROPORTIONS,
    "sigma": _ABOVE, "shape": _PLATEAU, "plateau": _PLATEAU, "factor": _FACTOR, "noise": _RANGE, "poisson": _RANGE,
    "quality": _QUALITY,
}  # fmt: skip
_RULES = {
    "strength": choice(*PRESETS), **dict.fromkeys(("final_sinc", "chroma", "webp", "banding"), CHANCE),
    "repeats": NOT_NEGATIVE, "sharpen": NOT_NEGATIVE, "levels": _LEVELS, "together": POSITIVE,
    "pool": NOT_NEGATIVE, "reuse": POSITIVE,
}  # fmt: skip


def degradation_from(table: object, where: str = "degrade") -> Degradation:
    """The degradation that a recipe's table writes down, on top of the preset that it names. Raises `RecipeError`."""
    if not isinstance(table, dict):
        raise RecipeError(f"{where}: expected a table, got {table!r}")
    top: dict[str, Any] = {name: value for name, value in table.items() if name not in ("first", "second")}
    strength = top.get("strength", "published")
    base = PRESETS.get(strength, PRESETS["published"]) if isinstance(strength, str) else PRESETS["published"]
    made: Degradation = read_table(Degradation, top, where, _RULES, base)
    orders = {
        name: read_table(Order, table[name], f"{where}.{name}", _ORDER_RULES, getattr(base, name))
        for name in ("first", "second")
        if name in table
    }
    return dataclasses.replace(made, **orders)
