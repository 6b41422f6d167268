"""Which bundled networks serve a picture of some content at some cost, where the user names none.

A bundle says what it is for by its facts alone, so that one more in the package is a file and nothing else:

- `content`: what `training["content"]` states (`edgelift export --content drawn`); else `photo` where it was trained on
  degraded pairs, and `clean` where it was not.
- class: by its multiply-adds. `balanced` ends at those of CARN-M at the same scale, `fast` at a quarter of that.

Supernets serve time budgets, quantised bundles and those trained by an adversary those who name them: what an adversary
taught to draw may not have been there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from edgelift.core.errors import RequestError
from edgelift.core.spec import CONTENTS, ModelSpec
from edgelift.io.bundle import bundled, read_bundle
from edgelift.runtime.models import DEFAULTS

__all__ = ["AUTO", "CLASSES", "Pick", "check_choice", "class_of", "content_of", "pick"]

AUTO = "auto"
CLASSES = ("fast", "balanced", "best")
CARN_M = {2: 98_900, 3: 50_000, 4: 35_300}
"""Multiply-adds of CARN-M for one pixel of the result: the published 91.2, 46.1 and 32.5 G for 1280 × 720 (Ahn et al. 2018)."""
FAST_SHARE = 0.25


@dataclass(frozen=True)
class Pick:
    """What to run."""

    models: tuple[tuple[str, float], ...]
    """Names of bundled networks and their weights, whose sum is 1."""
    tta: bool
    """Whether in 8 orientations."""
    notes: tuple[str, ...]
    """What could not be had as asked, and what is taken in its place."""

    @property
    def name(self) -> str:
        """As reports call it."""
        listed = ",".join(f"{name}:{weight:.3g}" for name, weight in self.models)
        return (listed if len(self.models) > 1 else self.models[0][0]) + "+tta" * self.tta


def content_of(spec: ModelSpec) -> str:
    """What a network is for: one of `CONTENTS`."""
    stated = spec.training.get("content")
    return stated if stated in CONTENTS else ("photo" if _restores(spec) else "clean")


def class_of(spec: ModelSpec) -> str:
    """What a network costs: one of `CLASSES`."""
    share = spec.macs_of(spec.widest) / spec.scale**2 / CARN_M.get(spec.scale, CARN_M[4])
    return CLASSES[(share > FAST_SHARE) + (share > 1)]


def pick(scale: float, content: str = "clean", quality: str | None = None, denoise: float | None = None) -> Pick:
    """The networks that enlarge pictures of `content` by `scale`.

    `quality`: one of `CLASSES`; `best` is the largest network in 8 orientations, and None is `fast` where nothing else is
    asked for. `denoise`, 0 … 1: the weight of the network trained on degraded pictures, the rest is that of one trained on
    clean ones; None leaves that to the content. Raises `RequestError` for words and numbers that are none of these, and for
    scales without a network.
    """
    check_choice(content, quality, denoise)
    known = [spec for spec in _specs() if spec.scale == scale]
    if not known:
        scales = ", ".join(map(str, sorted({spec.scale for spec in _specs()})))
        raise RequestError(f"no network enlarges ×{scale:g}; networks are bundled for {scales}")
    want = quality or CLASSES[0]
    others = ("photo", "drawn") if content == "clean" else (content, "photo", "drawn")
    clean = _nearest([spec for spec in known if not _restores(spec)], (content, "clean"), want)
    real = _nearest([spec for spec in known if _restores(spec)], others, want)
    if denoise is None:
        denoise = float(content == "photo" or (content == "drawn" and real is not None and content_of(real) == "drawn"))
    pairs = [(spec, weight) for spec, weight in ((real, denoise), (clean, 1 - denoise)) if spec and weight > 0]
    taken = pairs or [
        (spec, 1.0) for spec in (clean or real,) if spec
    ]  # the other kind where the wanted one is missing
    total = sum(weight for _, weight in taken)
    models = tuple((spec.name, weight / total) for spec, weight in taken)
    return Pick(models, quality == "best", _notes([spec for spec, _ in taken], content, quality, denoise))


def check_choice(content: str, quality: str | None, denoise: float | None) -> None:
    """Raise `RequestError` for a word or number that is none of those known."""
    if content not in CONTENTS:
        raise RequestError(f"content is {AUTO}, {', '.join(CONTENTS)}; got {content!r}")
    if quality is not None and quality not in CLASSES:
        raise RequestError(f"quality is {', '.join(CLASSES)}; got {quality!r}")
    if denoise is not None and not 0 <= denoise <= 1:
        raise RequestError(f"denoise is a number from 0 to 1, got {denoise:g}")


def _restores(spec: ModelSpec) -> bool:
    """Whether it was trained to remove noise and the traces of compression."""
    recipe = spec.training.get("recipe")
    return isinstance(recipe, dict) and bool(recipe.get("degrade"))


def _specs() -> list[ModelSpec]:
    """Of the bundles that may be chosen."""
    return _read(tuple((path, path.stat().st_mtime_ns) for path in bundled().values()))


@lru_cache(maxsize=1)
def _read(files: tuple[tuple[Path, int], ...]) -> list[ModelSpec]:
    return [spec for path, _ in files if _eligible(spec := read_bundle(path).spec)]


def _eligible(spec: ModelSpec) -> bool:
    recipe = spec.training.get("recipe")
    adversary = isinstance(recipe, dict) and bool(recipe.get("gan"))
    return spec.task == "super-resolution" and spec.widest == 1 and spec.bits == "float" and not adversary


def _nearest(specs: list[ModelSpec], contents: tuple[str, ...], quality: str) -> ModelSpec | None:
    """Of the first of `contents` that any is for, the one whose class is nearest: the cheaper class, and of a class the network
    that runs where none is named, or the dearest."""
    for content in contents:
        if found := [spec for spec in specs if content_of(spec) == content]:
            want = CLASSES.index(quality)
            ranks = {id(spec): CLASSES.index(class_of(spec)) for spec in found}
            usual = DEFAULTS.values()
            return min(
                found, key=lambda s: (abs(ranks[id(s)] - want), ranks[id(s)], s.name not in usual, -s.macs, s.name)
            )
    return None


def _notes(taken: list[ModelSpec], content: str, quality: str | None, denoise: float) -> tuple[str, ...]:
    names, scale = " and ".join(spec.name for spec in taken), taken[0].scale
    missing = []
    if denoise > 0 and not any(_restores(spec) for spec in taken):
        missing.append("that removes noise")
    elif content == "drawn" and all(content_of(spec) != content for spec in taken):
        missing.append("for drawn pictures")
    if quality in CLASSES[:2] and any(class_of(spec) != quality for spec in taken):
        missing.append(f"of class {quality} for this")
    return tuple(f"no network {what} is bundled for ×{scale}; {names} in its place" for what in missing)
