"""Several results for one picture and their mean: a picture in its 8 orientations, several networks, or both.

The orientations are the geometric self-ensemble of Timofte et al. 2016, "Seven ways to improve example-based single image
super resolution". Both happen window by window: with an exact halo a turned window gives what the turned picture gives
there, so tiles do not show and memory does not depend on the picture. What networks give is clipped to 0 … 255, weighted
and added in float32, and rounded once; quantised networks, which give whole numbers only, are rounded before too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, RequestError
from edgelift.core.spec import ModelSpec
from edgelift.io.activations import activation_bytes
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import Engine, Limits, Options, blocks_shape, check_run
from edgelift.runtime.models import resolve

__all__ = ["Ensemble", "EnsembleEngine", "Part", "ensemble_of", "parse_blend"]

TOLERANCE = 0.002
"""By which weights may miss the sum of 1, so that three of 0.333 pass; they are scaled to it."""
MUST_AGREE = ("scale", "multiple_of")
"""Facts without which results of two networks for one window do not lie on each other."""
MAX_NAME = 100

Turn = tuple[bool, bool, bool]
"""Whether rows and columns are exchanged, and then rows and columns reversed."""
AS_IT_IS: tuple[Turn, ...] = ((False, False, False),)
TURNS: tuple[Turn, ...] = tuple(
    (swap, down, across) for swap in (False, True) for down in (False, True) for across in (False, True)
)


@dataclass(frozen=True)
class Ensemble:
    """What is to be run: networks with their weights, each once or in 8 orientations."""

    bundles: tuple[Bundle, ...]
    weights: tuple[float, ...]
    """Of the bundles; their sum is 1."""
    turns: tuple[Turn, ...]
    spec: ModelSpec
    """Of all as if they were one network: one variant, the largest halo, the sum of multiply-adds."""

    def activations(self, samples: str) -> float:
        """Bytes for each pixel of a window inside the engines; see `io.activations`. Each engine keeps its own."""
        return sum(activation_bytes(bundle, _samples(bundle.spec, samples)) for bundle in self.bundles)

    @property
    def beside(self) -> float:
        """Bytes for each pixel of a window that are held beside the engines: a window twice, and blocks three times."""
        return 4 * 3 * (2 + 3 * self.spec.scale**2)

    def open(self, start: Callable[[Bundle, Options], Engine], options: Options) -> EnsembleEngine:
        """All engines, each made by `start`. Raises what it raises, and `RequestError` where their shapes do not fit."""
        parts: list[Part] = []
        try:
            for bundle, weight in zip(self.bundles, self.weights, strict=True):
                samples = _samples(bundle.spec, options.samples)
                engine = start(bundle, replace(options, samples=samples))
                parts.append(Part(bundle, engine, weight, samples))
            return EnsembleEngine(self.spec, tuple(parts), self.turns, options.samples)
        except BaseException:
            for part in parts:
                part.engine.close()
            raise


@dataclass(frozen=True)
class Part:
    """One network of an ensemble, ready to run."""

    bundle: Bundle
    engine: Engine
    weight: float
    samples: str
    """The type of its windows."""


class EnsembleEngine:
    """An `Engine` that gives the weighted mean of what others give. Raises `RequestError` where no shape suits them all."""

    def __init__(self, spec: ModelSpec, parts: tuple[Part, ...], turns: tuple[Turn, ...], samples: str) -> None:
        self.spec, self.parts, self.turns, self._samples = spec, parts, turns, samples
        engines = [part.engine for part in parts]
        self.limits = Limits(_shapes(engines, turns), min(engine.limits.max_batch for engine in engines))
        self.name = _joined(getattr(engine, "name", type(engine).__name__) for engine in engines)
        self.device = _joined(engine.device for engine in engines)
        self.precision = _joined(engine.precision for engine in engines)

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        """See `Engine.run`; of each network the widest variant runs."""
        check_run(self, batch, variant, out, self._samples)
        if not variant:
            raise EngineError(f"{self.spec.name}: an ensemble has no variant 0, which is interpolation")
        total = self._sum(batch, [turn for turn in self.turns if not turn[0]])
        if lying := [turn for turn in self.turns if turn[0]]:
            total += self._sum(batch, lying).swapaxes(1, 2).swapaxes(3, 4)  # once for all, since it takes long
        np.clip(total, 0, 255, out=total)  # the weights' sum is 1 but for rounding
        out[...] = total if out.dtype == np.float32 else np.rint(total, out=total)

    def _sum(self, batch: NDArray[Any], turns: Sequence[Turn]) -> NDArray[np.float32]:
        """The weighted sum over those turns; they exchange rows and columns all or none, and so they stay."""
        total: Any = None
        for part in self.parts:
            share = np.float32(part.weight / len(self.turns))
            given = batch.astype(part.samples, copy=False)
            for turn in turns:
                turned = np.ascontiguousarray(_turned(given, turn))
                blocks = np.empty(blocks_shape(part.engine.spec, turned.shape), turned.dtype)
                part.engine.run(turned, part.engine.spec.widest, blocks)
                weighed = np.multiply(blocks, share, out=blocks if blocks.dtype == np.float32 else None)
                back = _regrouped(_reversed(weighed, turn), self.spec.shuffle)
                total = back.copy() if total is None else np.add(total, back, out=total)
        return np.asarray(total)

    def close(self) -> None:
        """Close all engines."""
        for part in self.parts:
            part.engine.close()


def _samples(spec: ModelSpec, asked: str) -> str:
    """In which type a network runs for windows of type `asked`: only quantised ones keep to bytes, and so round by themselves."""
    return "float32" if spec.bits in ("float", "fp16") else asked


def _turned(windows: NDArray[Any], turn: Turn) -> NDArray[Any]:
    """N × h × w × 3 in another orientation."""
    swap, down, across = turn
    turned = windows.swapaxes(1, 2) if swap else windows
    return turned[:, :: -1 if down else 1, :: -1 if across else 1]


def _reversed(blocks: NDArray[Any], turn: Turn) -> NDArray[Any]:
    """The blocks of a turned window as those of the window, but for exchanged rows and columns: their places, and what is
    inside them."""
    _, down, across = turn
    rows, columns = slice(None, None, -1 if down else 1), slice(None, None, -1 if across else 1)
    return blocks[:, rows, columns, rows, columns]


def _regrouped(blocks: NDArray[Any], side: int) -> NDArray[Any]:
    """The same samples in blocks of another side."""
    n, height, width, own, _, colours = blocks.shape
    if own == side:
        return blocks
    larger = blocks.transpose(0, 1, 3, 2, 4, 5).reshape(
        n, height * own // side, side, width * own // side, side, colours
    )
    return larger.transpose(0, 1, 3, 2, 4, 5)


def _shapes(engines: list[Engine], turns: tuple[Turn, ...]) -> tuple[tuple[int, int], ...]:
    """The shapes of windows that every engine runs, in every orientation; empty where any can be run."""
    fixed = [set(engine.limits.shapes) for engine in engines if engine.limits.shapes]
    if not fixed:
        return ()
    common = set.intersection(*fixed)
    if len(turns) > 1:
        common = {(height, width) for height, width in common if (width, height) in common}
    if not common:
        listed = "; ".join(", ".join(f"{h}×{w}" for h, w in sorted(shapes)) for shapes in fixed)
        need = " and lying on its side" if len(turns) > 1 else ""
        raise RequestError(
            f"an ensemble needs a shape of windows that every engine runs{need}; there are {listed}; "
            "take a model of free shapes, or another engine"
        )
    return tuple(sorted(common))


def _joined(words: Iterable[str]) -> str:
    return "+".join(dict.fromkeys(words))


# -- which networks


def parse_blend(given: str | Mapping[Any, float]) -> list[tuple[str | Path, float]]:
    """Models and weights of "abpn-x2:0.7,other.onnx:0.3", or of a mapping from model to weight; the sum is made 1.

    Raises `RequestError` for fewer than two, for weights that are not above 0 and for those whose sum is not about 1.
    """
    pairs = [_pair(part) for part in given.split(",")] if isinstance(given, str) else list(given.items())
    if len(pairs) < 2:
        raise RequestError(f"a blend is of two models or more, such as abpn-x2:0.7,other.onnx:0.3; got {given!r}")
    if wrong := [f"{name}:{weight:g}" for name, weight in pairs if not weight > 0]:
        raise RequestError(f"the weights of a blend are above 0, got {wrong[0]}; leave that model out")
    total = sum(weight for _, weight in pairs)
    if not abs(total - 1) <= TOLERANCE:
        raise RequestError(
            f"the weights of a blend have the sum 1, these have {total:g}: "
            + ", ".join(f"{name}:{weight:g}" for name, weight in pairs)
        )
    return [(name, weight / total) for name, weight in pairs]


def _pair(text: str) -> tuple[str, float]:
    name, _, weight = text.strip().rpartition(":")
    with contextlib.suppress(ValueError):
        if name:
            return name, float(weight)
    raise RequestError(f"a blend is MODEL:WEIGHT,MODEL:WEIGHT with weights such as 0.7; got {text.strip()!r}")


def ensemble_of(
    model: str | Path | None,
    scale: float | None = None,
    *,
    tta: bool = False,
    blend: str | Mapping[Any, float] | None = None,
) -> Ensemble:
    """The networks of a request: `model` in 8 orientations (`tta`), or a `blend` with or without them.

    Raises `RequestError` where both a model and a blend are named, for interpolations, and for networks whose results do
    not lie on each other; `BundleError` for a bad file.
    """
    if model is not None and blend is not None:
        raise RequestError(f"a blend names its models; leave the model {model} out, or the blend")
    pairs = [(model, 1.0)] if blend is None else parse_blend(blend)
    found: list[Bundle] = []
    for name, _ in pairs:
        bundle = resolve(name, scale)
        if not isinstance(bundle, Bundle):
            raise RequestError(
                f"{bundle.kernel} is an interpolation, which is neither blended nor turned; name a network"
            )
        found.append(bundle)
    weights = tuple(weight for _, weight in pairs)
    turns = TURNS if tta else AS_IT_IS
    return Ensemble(tuple(found), weights, turns, _spec([bundle.spec for bundle in found], weights, turns))


def _spec(specs: list[ModelSpec], weights: tuple[float, ...], turns: tuple[Turn, ...]) -> ModelSpec:
    """The facts of all together."""
    first = specs[0]
    for other in specs[1:]:
        for fact in MUST_AGREE:
            mine, its = getattr(first, fact), getattr(other, fact)
            if mine != its:
                raise RequestError(
                    f"{first.name} and {other.name} cannot be blended: {fact} is {mine} in the one and {its} in the other"
                )
    listed = ",".join(f"{spec.name}:{weight:.3g}" for spec, weight in zip(specs, weights, strict=True))
    name = (listed if len(specs) > 1 else first.name) + ("+tta" if len(turns) > 1 else "")
    halos = [spec.halo for spec in specs if spec.halo is not None]
    return replace(
        first,
        name=name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…",
        architecture="foreign",
        config={},
        halo=max(halos) if len(halos) == len(specs) else None,
        parameters=sum(spec.parameters for spec in specs),
        macs=len(turns) * sum(spec.macs_of(spec.widest) for spec in specs),
        licence=" AND ".join(dict.fromkeys(spec.licence for spec in specs)),
        variants=("full",),
        routing={},
        training={},
        quality={},
    )
