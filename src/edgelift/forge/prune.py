"""A trained network -> the same one with fewer channels, trained on until it has got used to that, as a bundle."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgelift.core.errors import BundleError, RequestError, TrainingError
from edgelift.evaluate.profile.synthetic import scene
from edgelift.forge.bundles import bundle_checkpoint, bundle_network, network_from
from edgelift.forge.gate import Parity, enlarge, in_turn, measured
from edgelift.forge.tiles import proofs
from edgelift.io.bundle import Bundle, find_bundle, read_bundle, require_bundle_place
from edgelift.nets import zoo
from edgelift.nets.family import Family
from edgelift.nets.network import Network
from edgelift.runtime.engines import open_engine
from edgelift.training.batches import batches_of
from edgelift.training.checkpoint import Checkpoint, network_of
from edgelift.training.loop import Progress, train
from edgelift.training.losses import goal
from edgelift.training.pictures import find_pictures, split
from edgelift.training.prune import SALIENCIES, Plan, planned, pruned, saliency
from edgelift.training.recipe import NetworkPart, Recipe, recipe_from

__all__ = ["Pruned", "Wish", "prune", "recipe_of"]

SEARCH = 7
"""Networks that are timed, at most, on the way to a number of milliseconds."""
ROUNDS = 15


@dataclass(frozen=True)
class Wish:
    """How small. Raises `RequestError` for what makes no sense."""

    share: float | None = None
    """Multiply-adds that are left, of 1."""
    ms: float | None = None
    """Milliseconds for a window of `size`, measured here; one of the two is given."""
    size: tuple[int, int] = (192, 256)
    saliency: str = SALIENCIES[0]
    multiple: int = 4
    """Of the channels of each layer that is narrowed."""
    steps: int | None = None
    """Of fine-tuning; a fifth of the recipe's where it is left out."""

    def __post_init__(self) -> None:
        if (self.share is None) == (self.ms is None):
            raise RequestError("say how small: --share of the multiply-adds, or --ms for a window, one of the two")
        if self.share is not None and not 0 < self.share < 1:
            raise RequestError(f"a share of the multiply-adds lies between 0 and 1, got {self.share:g}")
        if self.ms is not None and not self.ms > 0:
            raise RequestError(f"milliseconds must be above 0, got {self.ms:g}")
        if self.saliency not in SALIENCIES:
            raise RequestError(f"saliency must be one of {', '.join(SALIENCIES)}, got {self.saliency!r}")
        if self.multiple < 1 or min(self.size) < 1 or (self.steps is not None and self.steps < 1):
            raise RequestError("a multiple, the sides of a size and a number of steps are at least 1")


@dataclass(frozen=True)
class Pruned:
    """What was made."""

    bundle: Bundle
    widths: Mapping[str, int]
    """Layer -> channels that it makes now, of those that were narrowed."""
    share: float
    """Multiply-adds that are left."""
    parity: Parity
    """Beside its parent."""


Say = Callable[[str], None]


def prune(
    model: str,
    wish: Wish,
    folders: Sequence[Path],
    run: Path,
    path: Path,
    *,
    minutes: float | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
    say: Say = print,
    stop: Callable[[], bool] = lambda: False,
) -> Pruned:
    """Narrow `model` (a bundled name, a bundle, or a checkpoint) after `wish`, train it on in the folder `run` on the
    pictures under `folders`, and write it to `path`. A run that was stopped goes on. The licence of a bundle, and whose weights
    it says that they were, are those of what becomes of it.

    Raises `RequestError` for networks that cannot be narrowed so far, `OutputError` where `path` exists, and what reading
    models, training and exporting raise.
    """  # fmt: skip
    require_bundle_place(path, overwrite, model)
    network, recipe, licence, imported = _trained(model)
    start = run / "start.pt"
    begun = {"model": os.path.basename(model), **dataclasses.asdict(wish), "size": list(wish.size)}
    begun["sha256"] = _fingerprint(model)  # of runs every checkpoint is called best.pt
    if start.exists():
        first = Checkpoint.load(start)
        held = first.meta.get("wish", {})
        if {"sha256": begun["sha256"], **held} != begun:  # a run that began before the file was noted goes on
            raise TrainingError(f"{run} holds another pruning ({held}); give another --run or remove it")
    else:
        first = _narrowed(network, recipe, wish, folders, device, say)
        first.meta["wish"] = begun
        first.save(start)
    plan = recipe_from(first.meta["recipe"])
    best = train(plan, folders, run, minutes=minutes, device=device, start=start, report=report, say=say, stop=stop)
    with tempfile.TemporaryDirectory(prefix="edgelift-") as folder:
        parent = bundle_network(network, recipe.name, licence, {}, Path(folder) / "parent.onnx")
        bundle = bundle_checkpoint(best, path, licence=licence, imported=imported, overwrite=overwrite)
        parity = measured(bundle, parent, proofs(None, parent.spec, 4), "drawn", rounds=ROUNDS)
    widths = bundle.spec.config["pruned"]
    return Pruned(bundle, widths, bundle.spec.macs / parent.spec.macs, parity)


def _fingerprint(model: str) -> str:
    """SHA-256 of the file of `model`, in hex."""
    data = Path(model).read_bytes() if model.endswith(".pt") else read_bundle(find_bundle(model)).data
    return hashlib.sha256(data).hexdigest()


def _trained(model: str) -> tuple[Network, Recipe, str, dict[str, Any] | None]:
    """The network of `model`, the recipe that it was trained by (or a plain one), its licence, and the file of others that its
    weights are from, if they are.

    Blocks that were trained as several branches are the convolutions that they have become.
    """
    if model.endswith(".pt"):
        checkpoint = Checkpoint.load(Path(model))
        network, plain = network_of(checkpoint, Path(model)), dict(checkpoint.meta["recipe"])
        licence, imported = "Apache-2.0", None  # as of every run that is exported
    else:
        bundle = read_bundle(find_bundle(model))
        network = network_from(bundle)
        plain = dict(bundle.spec.training.get("recipe") or {"name": bundle.spec.name})
        licence, imported = bundle.spec.licence, bundle.spec.training.get("imported")
    if isinstance(network, Family):
        raise RequestError(f"{network.architecture} is a supernet, which has narrower networks inside already")
    config = dict(network.config)
    if config.get("block", "plain") != "plain":
        network.fold()
        config["block"] = "plain"
    again = zoo.build(network.architecture, **config)
    try:
        again.load_state_dict(network.state_dict())
    except RuntimeError as exc:
        raise BundleError(
            f"{model}: a bundle holds {network.architecture} in a form that cannot be trained on; name its checkpoint (.pt)"
        ) from exc
    recipe = recipe_from({**plain, "network": {"architecture": network.architecture, **config}})
    return again, recipe, licence, imported


def recipe_of(recipe: Recipe, network: Network, share: float, steps: int | None) -> Recipe:
    """The recipe that trains on `network`, made of what `recipe` trained: half the rate, a fifth of the steps."""
    part = recipe.train
    length = steps or max(1, part.steps // 5)
    lr = part.lr / 2
    changed = dataclasses.replace(
        part, lr=lr, final_lr=min(part.final_lr, lr), steps=length, quantize="", start="", teacher="",
        validate_every=min(part.validate_every, length),
    )  # fmt: skip
    return dataclasses.replace(
        recipe,
        name=f"{recipe.name}-{100 * share:.0f}",
        network=NetworkPart(network.architecture, network.config),
        train=changed,
    )


def _narrowed(
    network: Network, recipe: Recipe, wish: Wish, folders: Sequence[Path], device: str, say: Say
) -> Checkpoint:
    """The narrower network before fine-tuning, with its recipe."""
    training, _ = split(find_pictures(folders), recipe.data.validation, recipe.data.validation_folder)
    where = torch.device(device)
    batch = batches_of(recipe, training, network.scale, where, say)
    scores = saliency(network.to(where), wish.saliency, batch, goal(recipe.train, 1.0))
    network.cpu()
    scores = {name: values.cpu() for name, values in scores.items()}
    plan = (
        planned(network, scores, wish.share, wish.multiple)
        if wish.share is not None
        else _in_time(network, scores, wish, recipe.name, say)
    )
    made = pruned(network, plan)
    say(f"{plan.share:.1%} of the multiply-adds; channels: {', '.join(f'{n} {w}' for n, w in plan.widths.items())}")
    changed = recipe_of(recipe, made, plan.share, wish.steps)
    return Checkpoint(made.state_dict(), {"recipe": changed.as_dict(), "step": 0})


def _in_time(network: Network, scores: dict[str, torch.Tensor], wish: Wish, name: str, say: Say) -> Plan:
    """The largest network that takes `wish.ms` at most, by bisection of the share. Raises `RequestError` for none."""
    assert wish.ms is not None
    if (whole := _milliseconds(network, name, wish.size)) <= wish.ms:
        raise RequestError(f"{name} takes {whole:.2f} ms as it is; a target of {wish.ms:g} ms asks for no pruning")
    say(f"as it is: {whole:.2f} ms")
    low, high, best = 0.0, 1.0, None
    for _ in range(SEARCH):
        middle = (low + high) / 2
        try:
            plan = planned(network, scores, middle, wish.multiple)
        except RequestError:  # not so little
            low = middle
            continue
        taken = _milliseconds(pruned(network, plan), name, wish.size)
        say(f"{plan.share:.1%} of the multiply-adds: {taken:.2f} ms")
        if taken <= wish.ms:
            best, low = plan, plan.share if plan.share > middle else middle
        else:
            high = min(middle, plan.share)
    if best is None:
        raise RequestError(f"{name}: {wish.ms:g} ms cannot be reached here; ask for more, or for a --share")
    return best


def _milliseconds(network: Network, name: str, size: tuple[int, int]) -> float:
    """Median time of a window on the engine that a user gets."""
    with tempfile.TemporaryDirectory(prefix="edgelift-") as folder:
        bundle = bundle_network(network, name, "Apache-2.0", {}, Path(folder) / "timed.onnx")
    picture: Any = scene(*size)
    with closing(open_engine(bundle)) as engine:
        return in_turn([lambda: enlarge(engine, picture)], ROUNDS)[0]
