"""Any size: the next larger network scale, twice where one is not enough, then an antialiased reduction."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from edgelift.core.errors import RequestError
from edgelift.core.image import Picture, check_image
from edgelift.core.resize import KERNELS
from edgelift.runtime.anytime.account import Account
from edgelift.runtime.anytime.run import NOW, Terms
from edgelift.runtime.choice import check_choice
from edgelift.runtime.ensemble import ensemble_of
from edgelift.runtime.filters import filtered, parse_filter
from edgelift.runtime.models import ANYTIME, DEFAULTS, Interpolation, resolve
from edgelift.runtime.pipeline import Report, interpolate
from edgelift.runtime.relay import Relay, run_stages
from edgelift.runtime.rows import ArraySource, ArrayTarget, Source, Target
from edgelift.runtime.upscaler import Upscaler

__all__ = ["Goal", "SizedUpscaler", "open_upscaler", "passes"]

REDUCTION = "bicubic"
"""The kernel of the last step, widened so that it removes what the smaller size cannot hold."""

ENGINE_OPTIONS: dict[str, Any] = {
    "engine": "auto", "device": "auto", "precision": "auto", "tile": "auto", "batch": "auto", "merge": "crop",
    "overlap": None, "workers": 1, "budget": None, "tta": False,
}  # fmt: skip
"""Options of `Upscaler` that say how a network runs, with what they usually are."""
CHOICES: dict[str, Any] = {"blend": None, "quality": None, "content": None, "denoise": None}
"""Likewise those that say which network runs."""


@dataclass(frozen=True)
class Goal:
    """How large a result should be: by a factor, or in pixels (one side, the other in proportion, or both)."""

    scale: float | None = None
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and (self.width or self.height):
            raise RequestError("give a scale or a size in pixels, not both")
        if self.scale is not None and not self.scale > 0:
            raise RequestError(f"a scale must be above 0, got {self.scale:g}")
        if any(side is not None and side < 1 for side in (self.width, self.height)):
            raise RequestError(f"a side must be at least 1 pixel, got {self.width}×{self.height}")

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The result's (height, width) for a picture of that size."""
        if self.width and self.height:
            return self.height, self.width
        factor = self.scale or (self.width or 0) / width or (self.height or 0) / height
        return self.height or max(1, round(height * factor)), self.width or max(1, round(width * factor))


def passes(factor: float, scales: tuple[int, ...]) -> tuple[int, ...]:
    """The network scales, one or two, whose product is the least that reaches `factor`; none where it is at most 1.

    Of equal products the fewer passes win, then the larger scale first. Raises `RequestError` beyond two passes.
    """
    if factor <= 1:
        return ()
    pairs = [(a, b) for a in scales for b in scales if a >= b]
    able = [chain for chain in [*((s,) for s in scales), *pairs] if _product(chain) >= factor - 1e-9]
    if not able:
        most = max(scales) ** 2
        raise RequestError(f"×{factor:.3g} is more than two passes can do; at most ×{most} with the networks at hand")
    return min(able, key=lambda chain: (_product(chain), len(chain)))


def _product(chain: tuple[int, ...]) -> int:
    return chain[0] * (chain[1] if len(chain) > 1 else 1)


def _given(options: dict[str, Any], usual: dict[str, Any]) -> list[str]:
    """Those of `options` that are not what they usually are."""
    return [name for name, value in usual.items() if options.get(name, value) != value]


def _refuse_unused(model: str | Path | None, options: dict[str, Any]) -> None:
    """Raise `RequestError` where anything is asked for that a reduction, which no network does, has no use for."""
    unused = ["model"] * (model is not None) + _given(options, ENGINE_OPTIONS | CHOICES)
    if unused:
        listed = ", ".join("workers (--jobs)" if name == "workers" else name for name in unused)
        raise RequestError(f"a scale of at most 1 is a reduction, for which no network runs; leave {listed} out")


class SizedUpscaler:
    """Like `Upscaler`, for any size. `model` names one network, or an interpolation, which then goes there in one step;
    None takes the bundled network of each scale. A `filter` among the options is applied once, to the end result. Options
    that no network could serve are refused at once, and for a scale of at most 1, where none runs, all that are for networks.
    """

    def __init__(
        self, goal: Goal, model: str | Path | None = None, *, filter: str | None = None, **options: Any
    ) -> None:
        check_choice(options.get("content") or "clean", options.get("quality"), options.get("denoise"))
        self._filter = parse_filter(filter)  # for the result, not for what passes between the steps
        if goal.scale is not None and goal.scale <= 1 and model not in KERNELS:
            _refuse_unused(model, options)
        self.goal, self._options = goal, options
        self.name = (str(model) if model is not None else "bundled networks") + "+tta" * bool(options.get("tta"))
        """The network's name, or what stands for several."""
        self._networks: dict[int, Upscaler] = {}
        self._lock = threading.Lock()
        self._scales = tuple(DEFAULTS if options.get("budget") is None else ANYTIME)
        self._kernel = str(model) if model in KERNELS else REDUCTION
        self.spec = None
        if model in KERNELS:
            Upscaler(model, **options)  # so that it refuses what it does not serve
            self._scales = ()
        elif _names_one(model, options):
            named = Upscaler(model, **options)
            self.name = self.name if model is not None else named.name
            if named.spec is None or named.spec.scale < 2:
                raise RequestError(f"{named.name} cannot reach a size in pixels as a network can; leave --model out")
            self._scales = (named.spec.scale,)
            self._networks[named.spec.scale] = named
        if self._scales:
            self._open_early()

    def _open_early(self) -> None:
        """Open what will run for sure, or is asked for in words, so that what cannot be served is known now."""
        if self.goal.scale is None:  # pictures say which networks run, if any does
            if _given(self._options, ENGINE_OPTIONS):
                self._network(min(self._scales))
            return
        chain = passes(self.goal.scale, self._scales)
        if len(chain) > 1 and self._options.get("budget") is not None:
            raise RequestError(self._one_pass)
        for scale in chain:
            self._network(scale)

    @property
    def _one_pass(self) -> str:
        return f"a budget is for one pass of a network; ask for at most ×{max(self._scales)}, or leave the budget out"

    @property
    def scale(self) -> float | None:
        """The factor asked for; None where a size in pixels was."""
        return self.goal.scale

    @property
    def runs_on(self) -> str:
        """Engine, device and precision of the networks used so far."""
        return ", ".join(sorted({network.runs_on for network in self._networks.values()})) or "interpolation"

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The result's (height, width)."""
        return self.goal.size(height, width)

    def networks(self, height: int, width: int) -> list[Upscaler]:
        """Those that run for a picture of that size, in order."""
        size = self.size(height, width)
        chain = passes(max(size[0] / height, size[1] / width), self._scales) if self._scales else ()
        return [self._network(scale) for scale in chain]

    def name_for(self, height: int, width: int) -> str:
        """Of the networks that run for a picture of that size; of the interpolation where none does."""
        return ", ".join(network.name for network in self.networks(height, width)) or self._kernel

    def _network(self, scale: int) -> Upscaler:
        with self._lock:  # several pictures at once share the networks
            if scale not in self._networks:
                self._networks[scale] = Upscaler(None, scale=scale, **self._options)
            return self._networks[scale]

    def run(
        self, source: Source, target: Target, report: Report = lambda done: None, terms: Terms = NOW
    ) -> Account | None:
        """Upscale `source` into `target`, strip by strip; `report` follows the last step. A budget is kept by the network.

        Raises `RequestError` where two networks would share a budget.
        """
        height, width = self.size(source.height, source.width)
        into = filtered(self._filter, target, (source.layers, height, width), source.dtype)
        networks = self.networks(source.height, source.width)
        if len(networks) > 1 and (networks[0].budget is not None or terms.routes is not None):
            raise RequestError(self._one_pass)
        accounts: list[Account | None] = []
        self._stage(networks, (height, width), source, into, report, terms, accounts)
        return accounts[0] if accounts else None

    def _stage(
        self,
        left: list[Upscaler],
        size: tuple[int, int],
        source: Source,
        target: Target,
        report: Report,
        terms: Terms,
        accounts: list[Account | None],
    ) -> None:
        if not left:
            interpolate(self._kernel, size, source, target, report)
            return
        between = left[0].size(source.height, source.width)
        if between == size:
            accounts.append(left[0].run(source, target, report, terms))
            return
        relay = Relay(*between, source.layers, source.dtype)
        run_stages(
            lambda into: accounts.append(left[0].run(source, into, terms=terms)),
            lambda out: self._stage(left[1:], size, out, target, report, terms, accounts),
            relay,
        )

    def __call__(self, picture: Picture) -> Picture:
        """The resized picture; see `Upscaler.__call__`."""
        terms = Terms(time.perf_counter())
        picture = check_image(picture)
        target = ArrayTarget(*self.size(*picture.shape[:2]), picture.dtype)
        self.run(ArraySource(picture), target, terms=terms)
        return target.picture

    def close(self) -> None:
        """Release the engines."""
        for network in self._networks.values():
            network.close()

    def __enter__(self) -> SizedUpscaler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_upscaler(model: str | Path | None = None, goal: Goal = Goal(), **options: Any) -> Upscaler | SizedUpscaler:
    """An `Upscaler` where one network or interpolation gives `goal` by itself, else a `SizedUpscaler`."""
    pixels = bool(goal.width or goal.height)
    fixed = DEFAULTS if options.get("budget") is None else ANYTIME
    one = _names_one(model, options)
    if not pixels and (model in KERNELS or goal.scale is None or (not one and goal.scale in fixed)):
        return Upscaler(model, scale=goal.scale, **options)
    if one and not pixels and _scale_of(model, options) == goal.scale:
        return Upscaler(model, **options)
    return SizedUpscaler(goal, model, **options)


def _scale_of(model: str | Path | None, options: dict[str, Any]) -> float:
    """Of what is named, for which no engine is opened."""
    tta, blend = bool(options.get("tta")), options.get("blend")
    if tta or blend is not None:
        return ensemble_of(model, tta=tta, blend=blend).spec.scale
    found = resolve(model)
    return found.scale if isinstance(found, Interpolation) else found.spec.scale


def _names_one(model: str | Path | None, options: dict[str, Any]) -> bool:
    """Whether a model is named, or several to be blended; else each scale has its own."""
    return model is not None or options.get("blend") is not None
