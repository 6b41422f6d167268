"""Everything that can be measured, as one word: a model, `MODEL+tta`, a blend `A:0.7,B:0.3`, a blend in 8 orientations
`A:0.7,B:0.3+tta`, or `auto`, which goes by each picture. They are called so in reports too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edgelift.core.resize import KERNELS
from edgelift.io.bundle import Bundle, bundled
from edgelift.runtime.choice import AUTO
from edgelift.runtime.ensemble import ensemble_of
from edgelift.runtime.models import resolve
from edgelift.runtime.sizes import Goal
from edgelift.runtime.suited import SuitedUpscaler
from edgelift.runtime.upscaler import Upscaler

__all__ = ["open_named", "scale_of_named"]

TTA = "+tta"


def _parts(name: str | Path) -> dict[str, Any]:
    """The words of `Upscaler` for it. A model or a file of that very name comes first."""
    text = str(name)
    if text in KERNELS or text in bundled() or os.path.isfile(text):
        return {"model": name}
    tta, rest = text.endswith(TTA), text.removesuffix(TTA)
    blend = "," in rest and ":" in rest and not os.path.isfile(rest)
    return {"blend" if blend else "model": rest if text != rest or blend else name, **({"tta": True} if tta else {})}


def scale_of_named(name: str | Path | None, scale: float | None = None) -> int | None:
    """The scale of its networks; None for interpolations and `auto`, and of no name that of the default for `scale`.

    Raises what `Upscaler` raises of models and scales.
    """
    if name == AUTO:
        return None
    parts: dict[str, Any] = {"model": None} if name is None else _parts(name)
    if set(parts) != {"model"}:
        tta, blend = parts.get("tta", False), parts.get("blend")
        return ensemble_of(parts.get("model"), scale, tta=tta, blend=blend).spec.scale
    found = resolve(parts["model"], scale)
    return found.spec.scale if isinstance(found, Bundle) else None


def open_named(name: str | Path | None, scale: float | None, **options: Any) -> Upscaler | SuitedUpscaler:
    """Its upscaler; `options` are those of `Upscaler`, which interpolations leave aside but for filter and warn."""
    if name == AUTO:
        return SuitedUpscaler(Goal(scale), **options)
    parts = {} if name is None else _parts(name)
    if parts.get("model") in KERNELS:
        options = {key: value for key, value in options.items() if key in ("filter", "warn")}
    return Upscaler(scale=scale, **parts, **options)
