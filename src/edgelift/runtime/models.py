"""Which model serves a request: bundled networks, bundle and compiled files, and the interpolations that need no engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgelift.core.errors import RequestError
from edgelift.core.resize import KERNELS
from edgelift.io.bundle import Bundle, bundled, find_bundle, read_bundle
from edgelift.io.compiled import read_model

__all__ = ["ANYTIME", "DEFAULTS", "Interpolation", "anytime_models", "resolve"]

DEFAULTS = {2: "plain-x2", 3: "abpn-x3", 4: "plain-x4"}
"""The network of each scale where none is named: one fixed choice, the best of those bundled."""
ANYTIME = {2: "anytime-x2", 3: "anytime-x3", 4: "anytime-x4"}
"""The supernet of each scale that a time budget takes where none is named."""
MAX_INTERPOLATION = 64.0


@dataclass(frozen=True)
class Interpolation:
    """Plain resizing by `kernel`, `scale` times."""

    kernel: str
    scale: float

    def __post_init__(self) -> None:
        if not 0 < self.scale <= MAX_INTERPOLATION:
            raise RequestError(f"a scale must be above 0 and at most {MAX_INTERPOLATION:g}, got {self.scale:g}")

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The result's (height, width), at least one pixel."""
        return max(1, round(height * self.scale)), max(1, round(width * self.scale))


def anytime_models() -> list[str]:
    """Names of the bundled models that have variants, and so serve a time budget."""
    return [name for name, path in bundled().items() if read_bundle(path).spec.widest > 1]


def _fixed(scale: float | None, anytime: bool) -> str:
    named = ANYTIME if anytime else DEFAULTS
    if scale is None:
        scale = 2
    if scale not in named:
        known, free = ", ".join(map(str, named)), ", ".join(KERNELS)
        what = "of several variants, as a budget needs them, " if anytime else ""
        raise RequestError(
            f"no network {what}enlarges ×{scale:g}; networks are bundled for {known}, and {free} take any scale (--model bicubic)"
        )
    return named[int(scale)]


def resolve(model: str | Path | None, scale: float | None = None, *, anytime: bool = False) -> Bundle | Interpolation:
    """The model for a request. `scale` may be left out where the model has one of its own; `anytime`: where no model is
    named, one that serves a time budget.

    Raises `RequestError` for an unknown model or a scale that it does not have, `BundleError` for a bad file.
    """
    if model in KERNELS:
        return Interpolation(str(model), 2.0 if scale is None else float(scale))
    name = _fixed(scale, anytime) if model is None else model
    bundle = read_model(find_bundle(name))
    if scale is not None and scale != bundle.spec.scale:
        raise RequestError(
            f"{bundle.spec.name} enlarges ×{bundle.spec.scale}, not ×{scale:g}; leave the scale out or name another model"
        )
    return bundle
