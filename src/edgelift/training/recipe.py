"""A training run written down: a TOML file with the tables `network`, `data` and `train`.

Every field has a default but the architecture; an unknown field is an error, so that a misspelt one cannot be ignored.
`docs/training.md` explains each one.
"""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgelift.core.errors import RecipeError

__all__ = ["DataPart", "NetworkPart", "Recipe", "TrainPart", "load_recipe", "recipe_from"]


@dataclass(frozen=True)
class NetworkPart:
    """What is trained."""

    architecture: str
    config: dict[str, Any] = field(default_factory=dict)
    """All other fields of the table: the network's own arguments (`scale`, `channels`, …)."""


@dataclass(frozen=True)
class DataPart:
    """What it is shown."""

    patch: int = 32
    """Side of a low-resolution patch in pixels."""
    batch: int = 16
    validation: int = 16
    """Pictures split off for validation (the split depends on their names only)."""


@dataclass(frozen=True)
class TrainPart:
    """How it is trained."""

    loss: str = "l1"
    """`l1`, `l2` or `charbonnier`."""
    steps: int = 200_000
    """Length of the run, where no `--minutes` is given."""
    lr: float = 1e-3
    final_lr: float = 1e-6
    schedule: str = "cosine"
    """`cosine` from `lr` to `final_lr`, or `step`: halved after every fifth of the run."""
    warmup: float = 0.0
    """Share of the run in which the rate rises from 0."""
    ema: float = 0.999
    """Decay of the averaged weights that are validated and exported; 0 turns averaging off."""
    seed: int = 0
    precision: str = "f32"
    """`f32`, or `bf16` for autocast."""
    validate_every: int = 2000
    sampling: float = 2.0
    """Of supernets: each step trains one subnet, drawn with a probability in proportion to its multiply-adds to this power
    ("computation-aware sampling", ARM, Chen et al. 2022)."""
    start: str = ""
    """Name of a recipe whose best checkpoint gives the weights to start from, where shapes match."""


@dataclass(frozen=True)
class Recipe:
    """A whole recipe; `name` is the bundle's name too."""

    name: str
    network: NetworkPart
    data: DataPart = DataPart()
    train: TrainPart = TrainPart()

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain values, as checkpoints and bundles keep it."""
        plain = dataclasses.asdict(self)
        plain["network"] = {"architecture": self.network.architecture, **self.network.config}
        return plain


_CHOICES = {"loss": ("l1", "l2", "charbonnier"), "schedule": ("cosine", "step"), "precision": ("f32", "bf16")}
_SHARES = ("warmup", "ema")
_POSITIVE = ("patch", "batch", "validation", "steps", "lr", "final_lr", "validate_every")


def _part(kind: type[Any], table: dict[str, Any], where: str) -> Any:
    if not isinstance(table, dict):
        raise RecipeError(f"{where}: expected a table, got {table!r}")
    known = {f.name: f for f in dataclasses.fields(kind)}
    if unknown := sorted(set(table) - set(known)):
        raise RecipeError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(sorted(known))}")
    for name, value in table.items():
        default: Any = known[name].default
        kinds = (int, float) if isinstance(default, float) else type(default)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise RecipeError(f"{where}.{name}: expected {type(default).__name__}, got {value!r}")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise RecipeError(f"{where}.{name}: expected one of {', '.join(_CHOICES[name])}, got {value!r}")
        if name in _POSITIVE and not value > 0:  # NaN is not either
            raise RecipeError(f"{where}.{name}: must be above 0, got {value!r}")
        if name in _SHARES and not 0 <= value < 1:
            raise RecipeError(f"{where}.{name}: must be at least 0 and below 1, got {value!r}")
        if name in ("seed", "sampling") and not value >= 0:
            raise RecipeError(f"{where}.{name}: must be at least 0, got {value!r}")
    return kind(**table)


def recipe_from(plain: dict[str, Any], source: str = "recipe") -> Recipe:
    """The recipe that `plain` (as TOML or `as_dict` gives it) writes down; raises `RecipeError`."""
    plain = dict(plain)
    network = plain.pop("network", None)
    name = plain.pop("name", "")
    if not isinstance(network, dict) or not isinstance(network.get("architecture"), str):
        raise RecipeError(f"{source}: a table [network] with a field 'architecture' is needed")
    if not isinstance(name, str) or not name:
        raise RecipeError(f"{source}: a field 'name' is needed")
    parts = {"data": DataPart, "train": TrainPart}
    if unknown := sorted(set(plain) - set(parts)):
        raise RecipeError(f"{source}: unknown table {unknown[0]!r}; known are network, data, train")
    config = dict(network)
    made = {key: _part(kind, plain.get(key, {}), f"{source}: {key}") for key, kind in parts.items()}
    return Recipe(name, NetworkPart(config.pop("architecture"), config), made["data"], made["train"])


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file; `name` defaults to the file's stem. Raises `RecipeError`."""
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise RecipeError(f"{path}: cannot be read ({exc.strerror})") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise RecipeError(f"{path}: not a TOML file: {exc}") from exc
    return recipe_from({"name": path.stem, **plain}, str(path))
