"""Pictures degraded in many ways, and how near blends of two networks come to what they were; `denoise` fits to them.

Everything is drawn from the names of pictures alone. The squared error of a blend, (1 - w) A + w B, is a polynomial in w, so that
two runs for each case say what every weight comes to.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import faults
from edgelift import Upscaler
from edgelift.core.image import luma, shave
from edgelift.core.resize import resize
from edgelift.training.degrade import kernels
from edgelift.training.degrade.codecs import jpeg
from edgelift.training.degrade.files import degraded
from edgelift.training.degrade.pictures import blurred, gaussian_noise, resized, to_bytes
from edgelift.training.degrade.settings import PRESETS
from edgelift.training.pictures import find_pictures, read_rgb

__all__ = ["KINDS", "Case", "blurred_by", "cases_of", "decibels", "files", "forms"]

FOLDERS = {"BSDS400": 240, "T91": 45, "SunHays80": 80, "Photos2K": 28, "Drawn": 20}
"""Folders of train/, and how many of their pictures may be taken, evenly spread."""
TAKEN, OF = 4, 8
"""Share of these that is taken, by chance: with half of them what is lost is known well enough, and the time is halved."""
SCENES, SCENE = 40, 320
"""Smooth shades and shapes of one colour that are drawn too, and their side: pictures with next to nothing in them."""
SCALE = 4
LARGE = ("Photos2K", "Drawn")
"""Folders whose pictures are taken in three forms: a crop as it is, one of the half, and the whole at `WHOLE` pixels."""
CROP, HALF, WHOLE = 512, 640, 680
COUNTS = {"clean": 1, "soft": 2, "light": 1, "medium": 2, "strong": 1, "fault": 2, "web": 2}
"""Copies of each kind."""
PRESET_SEED = 100
KINDS = {
    "clean": "bicubic reduction, nothing else", "soft": "softer or crisper reduction, hardly any noise, JPEG of 88 and more",
    "light": "second order, light", "medium": "second order, medium", "strong": "second order, strong",
    "fault": "noise and JPEG as in `benchmarks.faults`", "web": "blur, noise or JPEG, then a change of size",
}  # fmt: skip

Bytes = NDArray[np.uint8]
Random = np.random.Generator


@dataclass(frozen=True)
class Case:
    """A degraded picture."""

    file: str
    """The picture that it is of."""
    kind: str
    low: Bytes
    errors: tuple[float, float, float]
    """Means of (truth - A)², (truth - A) (B - A) and (B - A)² on Y, a border as wide as the scale left out."""


def decibels(errors: NDArray[np.float64], weight: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """PSNR-Y of blends with that weight of B; errors: n × 3."""
    mean = errors[:, 0] - 2 * weight * errors[:, 1] + weight * weight * errors[:, 2]
    return np.asarray(10 * np.log10(255**2 / np.maximum(mean, 1e-3)))


def cases_of(data: Path, clean: str, real: str, keep: Path) -> Iterator[Case]:
    """All cases of the training pictures under `data`; those of each picture are kept in a file in `keep`, and read from it."""
    keep.mkdir(parents=True, exist_ok=True)
    listed = files(data)
    began, made = time.monotonic(), 0
    with Upscaler(clean) as sharp, Upscaler(real) as smooth:
        for number, path in enumerate(listed):
            store = keep / f"{path.parent.name}-{path.stem}.npz"
            if not store.exists():
                _write(store, _made(path, sharp, smooth))
                made += 1
                left = (time.monotonic() - began) / made * (len(listed) - number - 1)
                print(
                    f"\r{number + 1} of {len(listed)} pictures, {left / 60:.0f} minutes left ", end="", file=sys.stderr
                )
            yield from _read(store)


def files(data: Path) -> list[Path]:
    """The pictures that are taken, and `scenes/000`, `scenes/001` …, which are no files."""
    found = {folder: find_pictures([data / "train" / folder]) for folder in FOLDERS}
    spread = [found[folder][k * len(found[folder]) // n] for folder, n in FOLDERS.items() for k in range(n)]
    order = np.random.default_rng(0).permutation(len(spread))
    taken = [spread[k] for place, k in enumerate(order) if place % OF < TAKEN]
    return sorted(taken) + [Path("scenes") / f"{k:03}" for k in range(SCENES)]


def forms(path: Path) -> Iterator[tuple[str, Bytes]]:
    """What is taken of a picture as truth, and what it is called."""
    rng = np.random.default_rng([3, zlib.crc32(path.stem.encode())])
    if path.parent.name == "scenes":
        yield "whole", _scene(rng)
        return
    picture = read_rgb(path)
    if path.parent.name not in LARGE:
        side = CROP if path.parent.name == "SunHays80" else max(picture.shape)
        yield ("crop" if path.parent.name == "SunHays80" else "whole"), _cropped(picture, side, rng)
        return
    yield "crop", _cropped(picture, CROP, rng)
    yield "half", _cropped(resize(picture, *(n // 2 for n in picture.shape[:2])), HALF, rng)
    share = WHOLE / max(picture.shape)
    third = resize(picture, *(round(n * share) for n in picture.shape[:2]))
    yield "third", _cropped(third, max(third.shape), rng)


def _scene(rng: Random) -> Bytes:
    """Waves of two or three colours, and up to eight ellipses with hard edges; drawn twice as large and reduced."""
    y, x = np.mgrid[: 2 * SCENE, : 2 * SCENE] / (2 * SCENE)
    picture = np.full((2 * SCENE, 2 * SCENE, 3), rng.uniform(40, 215, 3))
    for _ in range(int(rng.integers(2, 4))):
        wave = np.sin(rng.uniform(-9, 9) * x + rng.uniform(-9, 9) * y + rng.uniform(0, 6))
        picture += wave[..., None] * rng.uniform(-40, 40, 3)
    for _ in range(int(rng.integers(9))):
        (top, left), (high, wide) = rng.uniform(0, 1, 2), rng.uniform(0.03, 0.4, 2)
        inside = ((y - top) / high) ** 2 + ((x - left) / wide) ** 2 < 1
        picture[inside] = rng.uniform(0, 1) * picture[inside] + rng.uniform(0, 160, 3)
    return resize(to_bytes(picture.astype(np.float32)), SCENE, SCENE)


def _cropped(picture: Bytes, side: int, rng: Random) -> Bytes:
    """A random part of at most `side` pixels, its sides multiples of the scale."""
    height, width = (min(side, n) // SCALE * SCALE for n in picture.shape[:2])
    top, left = (int(rng.integers(n - kept + 1)) for n, kept in zip(picture.shape, (height, width), strict=False))
    return picture[top : top + height, left : left + width]


def _made(path: Path, sharp: Upscaler, smooth: Upscaler) -> Iterator[Case]:
    for form, truth in forms(path):
        for kind, low in _degraded(truth, f"{path.stem}-{form}"):
            y, a, b = (shave(luma(p), SCALE).astype(np.float32) for p in (truth, sharp(low), smooth(low)))
            parts = ((y - a) ** 2, (y - a) * (b - a), (b - a) ** 2)
            one, two, three = (float(part.mean(dtype=np.float64)) for part in parts)
            yield Case(path.stem, kind, low, (one, two, three))


def _degraded(truth: Bytes, name: str) -> Iterator[tuple[str, Bytes]]:
    """Copies of one picture, 1 / scale as large, each with its kind."""
    rng = np.random.default_rng([7, zlib.crc32(name.encode())])
    height, width = (n // SCALE for n in truth.shape[:2])
    for kind, count in COUNTS.items():
        for k in range(count):
            if kind in PRESETS:
                low = degraded(truth, PRESETS[kind], SCALE, PRESET_SEED + k, name)[0]
            elif kind in ("soft", "web"):
                low = (_soft if kind == "soft" else _web)(truth, height, width, rng)
            else:
                low = resize(truth, height, width)
            if kind == "fault":
                sigma, quality = int(rng.choice(faults.NOISE)), int(rng.choice(faults.QUALITY))
                low = faults.degraded(low, sigma, quality, rng, cut=False)
            yield kind, low


def _soft(truth: Bytes, height: int, width: int, rng: Random) -> Bytes:
    """Clean for all that people see, as from a camera: of any reduction or sharpness, with a little noise or JPEG at times."""
    way = str(rng.choice(["area", "bilinear", "lanczos", "blur", "blur"]))
    if way == "area":
        low = to_bytes(resized(truth.astype(np.float32), height, width, way))
    elif way == "blur":
        low = resize(blurred_by(truth, rng.uniform(0.2, 0.9) * SCALE), height, width)
    else:
        low = resize(truth, height, width, way)
    if rng.random() < 0.4:
        low = _noisy(low, rng.uniform(0, 2), rng, grey=False)
    if rng.random() < 0.5:
        low = jpeg(low, int(rng.integers(88, 99)), halved=bool(rng.random() < 0.7))
    return low


def _web(truth: Bytes, height: int, width: int, rng: Random) -> Bytes:
    """At another size blurred, given noise and compressed, each by chance; then made larger or smaller, at times compressed."""
    factor = np.exp(rng.uniform(np.log(0.5), np.log(2.2)))
    picture = resize(truth, *(max(8, round(n * factor)) for n in (height, width)))
    if rng.random() < 0.4:
        picture = blurred_by(picture, rng.uniform(0.3, 1.5))
    if rng.random() < 0.5:
        picture = _noisy(picture, rng.uniform(1, 20), rng, grey=bool(rng.random() < 0.4))
    if rng.random() < 0.6:
        picture = jpeg(picture, int(rng.integers(30, 96)), halved=bool(rng.random() < 0.7))
    way = str(rng.choice(["bicubic", "bilinear", "area", "aliased"]))
    if way in ("area", "aliased"):
        way = "bicubic" if way == "aliased" else way
        low = to_bytes(resized(picture.astype(np.float32), height, width, way))
    else:
        low = resize(picture, height, width, way)
    return jpeg(low, int(rng.integers(60, 96)), halved=True) if rng.random() < 0.3 else low


def blurred_by(picture: Bytes, sigma: float) -> Bytes:
    """`picture` under a Gaussian blur of that standard deviation in pixels."""
    if sigma < 0.05:
        return picture
    kernel = kernels.anisotropic(2 * int(np.ceil(3 * sigma)) + 1, (sigma, sigma), 0.0)
    return to_bytes(blurred(picture.astype(np.float32), kernel))


def _noisy(picture: Bytes, sigma: float, rng: Random, *, grey: bool) -> Bytes:
    return to_bytes(gaussian_noise(picture.astype(np.float32), sigma, rng, grey=grey))


def _write(store: Path, cases: Iterator[Case]) -> None:
    listed = list(cases)
    partial = store.with_suffix(".part")
    with partial.open("wb") as file:
        lows = {f"low{k}": case.low for k, case in enumerate(listed)}
        kinds, errors = [case.kind for case in listed], [case.errors for case in listed]
        np.savez_compressed(file, kinds=np.array(kinds), errors=np.array(errors), **lows)  # type: ignore[arg-type]
    partial.replace(store)


def _read(store: Path) -> Iterator[Case]:
    with np.load(store) as kept:
        for k, (kind, errors) in enumerate(zip(kept["kinds"], kept["errors"], strict=True)):
            yield Case(store.stem, str(kind), kept[f"low{k}"], tuple(map(float, errors)))  # type: ignore[arg-type]
