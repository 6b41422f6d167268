"""What is drawn for pictures that are degraded together: a list of steps, each with its parameters and nothing random left.

One step holds the values of `count` pictures of one size: sizes and order are shared, kernels, noise and qualities are each
one's own. Two forms carry steps out: `degrade.pictures` (numpy and real codecs, one picture) and `degrade.batches`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.training.degrade import kernels
from edgelift.training.degrade.settings import Degradation, Order

__all__ = [
    "Banding", "Blur", "Jpeg", "Noise", "Resize", "Step", "Webp", "draw", "draw_banding", "draw_blur", "draw_final_sinc",
    "draw_jpeg", "draw_noise", "draw_repeats", "draw_resize", "draw_webp",
]  # fmt: skip

KERNEL = 21
"""Side of the largest kernel; sides are odd, from 7."""
METHODS = ("area", "bilinear", "bicubic")

Random = np.random.Generator
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Blur:
    """A convolution with one kernel for each picture (N × 21 × 21), edges repeated."""

    kernels: Floats
    about: tuple[dict[str, Any], ...]
    """What each kernel is."""

    def facts(self, number: int) -> dict[str, Any]:
        """Parameters of one picture as plain values."""
        return {"step": "blur", **self.about[number]}


@dataclass(frozen=True)
class Resize:
    """To `share` of the sharp picture's sides, by one of `METHODS`."""

    share: float
    method: str

    def facts(self, number: int) -> dict[str, Any]:
        """Parameters of one picture as plain values."""
        return {"step": "resize", "share": self.share, "method": self.method}


@dataclass(frozen=True)
class Noise:
    """Noise of `kind` `gaussian` (strength: standard deviation in levels) or `poisson`, drawn by `seed`."""

    kind: str
    strength: Floats
    grey: NDArray[np.bool_]
    seed: int

    def facts(self, number: int) -> dict[str, Any]:
        """Parameters of one picture as plain values."""
        strength, grey = float(self.strength[number]), bool(self.grey[number])
        return {"step": "noise", "kind": self.kind, "strength": strength, "grey": grey, "seed": self.seed}


@dataclass(frozen=True)
class Jpeg:
    """Compression as JPEG; `halved` chroma is 4:2:0. `shift` moves the picture against the blocks (rows, columns)."""

    quality: NDArray[np.int64]
    halved: bool
    shift: tuple[int, int] = (0, 0)

    def facts(self, number: int) -> dict[str, Any]:
        """Parameters of one picture as plain values."""
        chroma = "4:2:0" if self.halved else "4:4:4"
        return {"step": "jpeg", "quality": int(self.quality[number]), "chroma": chroma, "shift": list(self.shift)}


@dataclass(frozen=True)
class Webp:
    """Compression as lossy WebP."""

    quality: NDArray[np.int64]

    def facts(self, number: int) -> dict[str, Any]:
        """Parameters of one picture as plain values."""
        return {"step": "webp", "quality": int(self.quality[number])}


@dataclass(frozen=True)
class Banding:
    """Every colour rounded to so many levels."""

    levels: NDArray[np.int64]

    def facts(self, number: int) -> dict[str, Any]:
        """Parameters of one picture as plain values."""
        return {"step": "banding", "levels": int(self.levels[number])}


Step = Blur | Resize | Noise | Jpeg | Webp | Banding


def draw(settings: Degradation, scale: int, count: int, rng: Random) -> list[Step]:
    """All steps for `count` pictures that become 1/`scale` as large: the whole order of Real-ESRGAN."""
    first, second = settings.first, settings.second
    steps: list[Step] = [
        *draw_blur(first, count, rng), draw_resize(first, 1.0, rng), draw_noise(first, count, rng),
        draw_jpeg(settings, first, count, rng),
        *draw_blur(second, count, rng), draw_resize(second, 1 / scale, rng), draw_noise(second, count, rng),
        *draw_banding(settings, count, rng),
    ]  # fmt: skip
    small: list[Step] = [Resize(1 / scale, str(rng.choice(METHODS))), *draw_final_sinc(settings, count, rng)]
    packed: list[Step] = [*draw_webp(settings, count, rng)] or [draw_jpeg(settings, second, count, rng)]
    steps += [*small, *packed] if rng.random() < 0.5 else [*packed, *small]
    return steps + draw_repeats(settings, count, rng)


# -- one stage each


def draw_blur(order: Order, count: int, rng: Random) -> list[Step]:
    """A blur, or nothing."""
    if rng.random() >= order.blur:
        return []
    return [_blur([_kernel(order, rng) for _ in range(count)])]


def draw_final_sinc(settings: Degradation, count: int, rng: Random) -> list[Step]:
    """A sinc filter with a cutoff of pi/3 to pi, or nothing."""
    if rng.random() >= settings.final_sinc:
        return []
    return [_blur([_sinc(_size(rng), math.pi / 3, rng) for _ in range(count)])]


def draw_resize(order: Order, base: float, rng: Random) -> Resize:
    """To `base` times a random factor of the sharp picture's size."""
    chances = np.array(order.resize) / sum(order.resize)
    low, high = order.factor
    way = rng.choice(3, p=chances)
    factor = (rng.uniform(1.0, high), rng.uniform(low, 1.0), 1.0)[way]
    return Resize(base * float(factor), str(rng.choice(METHODS)))


def draw_noise(order: Order, count: int, rng: Random) -> Noise:
    """Gaussian or Poisson noise, in colour or grey."""
    kind = "gaussian" if rng.random() < order.gaussian else "poisson"
    strength = rng.uniform(*(order.noise if kind == "gaussian" else order.poisson), count)
    return Noise(kind, strength, rng.random(count) < order.grey, int(rng.integers(2**31)))


def draw_jpeg(settings: Degradation, order: Order, count: int, rng: Random) -> Jpeg:
    """JPEG with a quality from the order's range."""
    return Jpeg(_whole(order.quality, count, rng), bool(rng.random() < settings.chroma))


def draw_webp(settings: Degradation, count: int, rng: Random) -> list[Step]:
    """WebP with a quality from the second order's range, or nothing."""
    return [Webp(_whole(settings.second.quality, count, rng))] if rng.random() < settings.webp else []


def draw_repeats(settings: Degradation, count: int, rng: Random) -> list[Step]:
    """None to `repeats` further JPEG compressions, each with its blocks at another place, as after a crop."""
    made: list[Step] = []
    for _ in range(int(rng.integers(settings.repeats + 1))):
        quality = _whole(settings.second.quality, count, rng)
        halved, shift = bool(rng.random() < settings.chroma), (int(rng.integers(8)), int(rng.integers(8)))
        made.append(Jpeg(quality, halved, shift))
    return made


def draw_banding(settings: Degradation, count: int, rng: Random) -> list[Step]:
    """Few levels, or nothing."""
    return [Banding(_whole(settings.levels, count, rng))] if rng.random() < settings.banding else []


# -- kernels

_About = tuple[kernels.Kernel, dict[str, Any]]


def _whole(limits: tuple[float, float], count: int, rng: Random) -> NDArray[np.int64]:
    return np.rint(rng.uniform(*limits, count)).astype(np.int64)


def _size(rng: Random) -> int:
    return 2 * int(rng.integers(3, KERNEL // 2 + 1)) + 1


def _blur(drawn: list[_About]) -> Blur:
    return Blur(np.stack([kernels.framed(kernel, KERNEL) for kernel, _ in drawn]), tuple(about for _, about in drawn))


def _sinc(size: int, least: float, rng: Random) -> _About:
    cutoff = float(rng.uniform(least, math.pi))
    return kernels.sinc(size, cutoff), {"kernel": "sinc", "size": size, "cutoff": cutoff}


def _kernel(order: Order, rng: Random) -> _About:
    size = _size(rng)
    if rng.random() < order.sinc:
        return _sinc(size, math.pi / 3 if size < 13 else math.pi / 5, rng)
    number = int(rng.choice(6, p=np.array(order.kernels) / sum(order.kernels)))
    family, turned = divmod(number, 2)
    widths = (float(rng.uniform(*order.sigma)), float(rng.uniform(*order.sigma)))
    angle = float(rng.uniform(-math.pi, math.pi)) if turned else 0.0
    sigma = widths if turned else (widths[0], widths[0])
    about: dict[str, Any] = {"size": size, "sigma": list(sigma), "angle": angle}
    if family == 0:
        return kernels.anisotropic(size, sigma, angle), {"kernel": "gaussian", **about}
    make: Callable[..., kernels.Kernel] = kernels.generalised if family == 1 else kernels.plateau
    beta = _exponent(order.shape if family == 1 else order.plateau, rng)
    name = "generalised" if family == 1 else "plateau"
    return make(size, sigma, angle, beta), {"kernel": name, **about, "beta": beta}


def _exponent(limits: tuple[float, float], rng: Random) -> float:
    """Below and above 1 as often."""
    low, high = limits
    return float(rng.uniform(low, 1.0) if rng.random() < 0.5 else rng.uniform(1.0, high))
