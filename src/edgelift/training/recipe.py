"""A training run written down: a TOML file with the tables `network`, `data` and `train`, and where they are wanted
`degrade` (bad small pictures) and `gan` (adversarial training).

Every field has a default but the architecture; an unknown field is an error, so that a misspelt one cannot be ignored.
`docs/training.md` explains each one. A field that is added later has a default by which older recipes stay as they were.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgelift.core.errors import RecipeError
from edgelift.training.degrade.settings import Degradation, degradation_from
from edgelift.training.tables import NOT_NEGATIVE, POSITIVE, SHARE, Rule, choice, plain_values, read_table

__all__ = ["DataPart", "GanPart", "NetworkPart", "Recipe", "TrainPart", "load_recipe", "quantisation_of", "recipe_from"]

QUANTISED_EVERY = 100
"""Steps between two validations of training for INT8, at most."""


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
    texture: float = 0.0
    """Of a few places drawn for a patch one is taken, with a chance in proportion to its mean gradient to this power; 0
    takes all places alike."""
    rescale: tuple[float, ...] = ()
    """Factors by which each sharp picture is reduced for further ones (FSRCNN, Dong et al. 2016: 0.9, 0.8, 0.7, 0.6)."""
    shares: dict[str, float] = field(default_factory=dict)
    """Folder -> share of the patches that its pictures give; those of all other folders give the rest, by their pixels."""
    validation_folder: str = ""
    """Folder whose pictures alone validate; empty for all."""
    permute: bool = False
    """Whether the three colours of a patch change places at random."""


@dataclass(frozen=True)
class TrainPart:
    """How it is trained."""

    loss: str = "l1"
    """`l1`, `l2`, `charbonnier` or `psnr`."""
    last_loss: str = ""
    """The loss at the end of the run; empty for the same one."""
    last_share: float = 0.1
    """Share of the run that `last_loss` ends."""
    gradient: float = 0.0
    """Weight of a loss on differences between neighbouring pixels."""
    frequency: float = 0.0
    """Weight of a loss on the spectrum."""
    steps: int = 200_000
    """Length of the run, where no `--minutes` is given."""
    optimiser: str = "adam"
    """`adam`, or `soap`, which takes about three times the rate (`lr`)."""
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
    grow: bool = False
    """Whether a layer also takes the weights of a narrower one, as its first channels."""
    wake: bool = False
    """Whether units of the first weights that do nothing any more are drawn afresh."""
    teacher: str = ""
    """What else gives a picture to come near to: a recipe's best checkpoint, a checkpoint's file, `start` (the weights that the
    run begins with), or of a supernet `widest`."""
    teacher_weight: float = 0.5
    """Share of the loss that is measured against the teacher's picture and not against the truth."""
    teacher_ensemble: bool = False
    """Whether the teacher's picture is the mean of its results for the eight orientations of a patch."""
    quantize: str = ""
    """`int8`: quantisation-aware, from float weights; empty for floats."""


@dataclass(frozen=True)
class GanPart:
    """Adversarial training; the losses of the table `train` stay beside it."""

    weight: float = 0.1
    """Of the adversarial loss."""
    loss: str = "vanilla"
    """`vanilla` or `hinge`."""
    channels: int = 64
    """Of the discriminator, at full resolution."""
    lr: float = 1e-4
    """The discriminator's learning rate."""
    features: str = ""
    """File of a feature network for the perceptual loss; empty for none."""
    features_weight: float = 1.0
    """Of the perceptual loss."""


@dataclass(frozen=True)
class Recipe:
    """A whole recipe; `name` is the bundle's name too."""

    name: str
    network: NetworkPart
    data: DataPart = DataPart()
    train: TrainPart = TrainPart()
    degrade: Degradation | None = None
    """How sharp pictures become bad small ones; None where they are only reduced."""
    gan: GanPart | None = None
    """None where no discriminator takes part."""

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain values, as checkpoints and bundles keep it."""
        plain: dict[str, Any] = {"name": self.name}
        plain["network"] = {"architecture": self.network.architecture, **self.network.config}
        plain |= {"data": plain_values(self.data), "train": plain_values(self.train)}
        further = {"degrade": self.degrade, "gan": self.gan}
        return plain | {name: plain_values(part) for name, part in further.items() if part is not None}


_LOSS_NAMES = ("l1", "l2", "charbonnier", "psnr")
_FACTORS = Rule(lambda value: all(0 < one < 1 for one in value), "must be factors above 0 and below 1")
_LAST_LOSS = Rule(lambda value: value in ("", *_LOSS_NAMES), f"expected one of {', '.join(_LOSS_NAMES)}, or nothing")
_SHARES = Rule(
    lambda value: (
        all(type(one) in (int, float) and one > 0 for one in value.values()) and math.fsum(value.values()) <= 1
    ),
    "must be numbers above 0 that sum up to 1 at most",
)
_WEIGHT = Rule(lambda value: 0 < value <= 1, "must be above 0 and at most 1")
_RULES = {
    "loss": choice(*_LOSS_NAMES), "last_loss": _LAST_LOSS, "optimiser": choice("adam", "soap"),
    "schedule": choice("cosine", "step"), "quantize": choice("", "int8"),
    "precision": choice("f32", "bf16"), "warmup": SHARE, "ema": SHARE, "last_share": SHARE, "rescale": _FACTORS,
    "shares": _SHARES,
    "teacher_weight": _WEIGHT,
    **dict.fromkeys(("patch", "batch", "validation", "steps", "lr", "final_lr", "validate_every"), POSITIVE),
    **dict.fromkeys(("seed", "sampling", "texture", "gradient", "frequency"), NOT_NEGATIVE),
}  # fmt: skip
_GAN_RULES = {
    "loss": choice("vanilla", "hinge"), **dict.fromkeys(("weight", "channels", "lr"), POSITIVE),
    "features_weight": NOT_NEGATIVE,
}  # fmt: skip


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
    if unknown := sorted(set(plain) - {*parts, "degrade", "gan"}):
        raise RecipeError(f"{source}: unknown table {unknown[0]!r}; known are network, data, train, degrade, gan")
    config = dict(network)
    made = {key: read_table(kind, plain.get(key, {}), f"{source}: {key}", _RULES) for key, kind in parts.items()}
    degrade = degradation_from(plain["degrade"], f"{source}: degrade") if "degrade" in plain else None
    gan = read_table(GanPart, plain["gan"], f"{source}: gan", _GAN_RULES) if "gan" in plain else None
    return Recipe(name, NetworkPart(config.pop("architecture"), config), made["data"], made["train"], degrade, gan)


def quantisation_of(recipe: Recipe) -> Recipe:
    """The recipe that makes INT8 weights of what `recipe` trains: a fifth of the steps at a tenth of the rate.

    Those are ABPN's own proportions (Du et al. 2021). Unless `recipe` has another teacher the lesson is the float network's
    picture: a short run towards the truth loses more by its own noise than whole numbers do; a discriminator has no part in
    it, and `bf16` is coarser than the grids. Such a run is at its best early, so that it is looked at often. A recipe
    that is for INT8 already stays as it is.
    """
    part = recipe.train
    if part.quantize:
        return recipe
    lr, steps = part.lr / 10, max(1, part.steps // 5)
    teacher, weight = (part.teacher, part.teacher_weight) if part.teacher else ("start", 1.0)
    changed = replace(
        part, quantize="int8", teacher=teacher, teacher_weight=weight, start=recipe.name, wake=False, lr=lr, steps=steps,
        final_lr=min(part.final_lr, lr), validate_every=min(part.validate_every, steps, QUANTISED_EVERY), precision="f32",
    )  # fmt: skip
    return replace(recipe, name=f"{recipe.name}-qat", train=changed, gan=None)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file; `name` defaults to the file's stem. Raises `RecipeError`."""
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise RecipeError(f"{path}: cannot be read ({exc.strerror})") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise RecipeError(f"{path}: not a TOML file: {exc}") from exc
    return recipe_from({"name": path.stem, **plain}, str(path))
