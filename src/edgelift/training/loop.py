"""The training loop, top to bottom.

A run lives in a folder: `last.pt` (resumable, written at every validation and when the run is stopped) and `best.pt`
(averaged weights of the best validation). Calling `train` again on the same folder goes on where it stopped.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from edgelift.core.errors import RecipeError, RequestError, TrainingError
from edgelift.nets import zoo
from edgelift.nets.family import Family
from edgelift.nets.network import Network, parameters
from edgelift.training.adversary import adversary_of
from edgelift.training.batches import Batches, batches_of
from edgelift.training.checkpoint import Checkpoint
from edgelift.training.losses import goal, longest
from edgelift.training.optimisers import optimiser_of
from edgelift.training.origin import seen_before
from edgelift.training.pictures import find_pictures, split
from edgelift.training.quantised import Quantised
from edgelift.training.recipe import Recipe, TrainPart, recipe_from
from edgelift.training.start import begin_with
from edgelift.training.teacher import teacher_of
from edgelift.training.validation import Score, load_checks, validate_all
from edgelift.training.wake import wake

__all__ = ["Progress", "learning_rate", "train"]

CHECK_EVERY = 50
"""Steps between two looks at the loss on a GPU: a look waits until the device has done its work. A CPU's costs nothing."""

WAKE_PATCHES = 256
"""Patches in which a unit must have been 0 to count as dead."""

SUSPENDED = 60.0
"""Seconds that a step counts at most: in a longer one the program was suspended, which is no training time."""


@dataclass(frozen=True)
class Progress:
    """What a run tells while it goes on."""

    step: int
    done: float
    """Share of the run, 0 … 1."""
    seconds: float
    """Seconds trained so far, earlier sittings included."""
    seconds_left: float
    loss: float
    """Mean training loss since the last report."""
    score: Score | None
    """Of validation, where this report follows one; the mean of a supernet's subnets."""
    each: tuple[Score, ...] = ()
    """That of each subnet."""

    @property
    def widths(self) -> str:
        """PSNR-Y of each subnet of a supernet, narrowest first, in brackets; empty of one network."""
        return f" ({' '.join(f'{score.psnr_y:.3f}' for score in self.each)})" if len(self.each) > 1 else ""


def learning_rate(part: TrainPart, done: float) -> float:
    """The rate at share `done` (0 … 1) of the run."""
    if done < part.warmup:
        return part.lr * done / part.warmup
    if part.schedule == "step":
        return max(part.final_lr, part.lr * 0.5 ** math.floor(min(done, 0.999) * 5))
    return part.final_lr + (part.lr - part.final_lr) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def _chances(network: Network, power: float) -> NDArray[np.float64] | None:
    """How likely each subnet of a supernet is to be drawn; None for one network."""
    if not isinstance(network, Family):
        return None
    weights = np.array(network.costs, np.float64) ** power
    return np.asarray(weights / weights.sum())


def _draw(network: Network, chances: NDArray[np.float64] | None, seed: int, step: int) -> None:
    """Choose the subnet that a step trains: by (seed, step) alone, so that a resumed run goes on alike."""
    if chances is not None and isinstance(network, Family):
        network.active = 1 + int(np.random.default_rng([seed, step, 1]).choice(len(chances), p=chances))


def train(
    recipe: Recipe,
    folders: Sequence[Path],
    run: Path,
    *,
    minutes: float | None = None,
    device: str = "cpu",
    start: Path | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    say: Callable[[str], None] = print,
    stop: Callable[[], bool] = lambda: False,
) -> Checkpoint:
    """Train `recipe` on the pictures under `folders`, in the folder `run`; the best checkpoint.

    `minutes` fits the schedule to the clock instead of `steps`. `start` is a checkpoint whose matching weights are
    used at the beginning of a new run, and validated like later ones. `stop` is asked after each step; when it answers
    yes the run is saved and `TrainingError` raised. A loss that is not finite ends the run likewise, with the last good
    checkpoint kept.
    """
    part = recipe.train
    where = _device(device)
    if part.wake and part.quantize:
        raise RecipeError(f"{recipe.name}: 'wake' is for training in floats; leave it out, or 'quantize'")
    last, best = run / "last.pt", run / "best.pt"
    saved = _saved(recipe, last)
    torch.manual_seed(part.seed)
    try:
        network = zoo.build(recipe.network.architecture, **recipe.network.config)
    except RequestError as exc:
        raise RecipeError(f"{recipe.name}, [network]: {exc}") from exc
    network = (Quantised(network) if part.quantize else network).to(where)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this form
    averaged = copy.deepcopy(network).requires_grad_(False).eval()
    optimiser = optimiser_of(part, network.parameters(), where)

    # -- begin, or go on: all that may be refused comes before pictures are read
    step, seconds, best_psnr, history, origin, copied = 0, 0.0, -math.inf, [], "", 0
    each: list[Score] = []
    if saved is not None:
        step, seconds, origin = saved.meta["step"], saved.meta["seconds"], saved.meta["started_from"]
        best_psnr, history = _best_so_far(saved, best), saved.meta["history"]
        each = [Score(*row) for row in saved.meta.get("each", [])]

    def share() -> float:
        return seconds / (60 * minutes) if minutes is not None else step / part.steps

    if share() >= 1:
        say(f"{recipe.name}: finished, {step} steps in {seconds / 60:.1f} minutes")
        return Checkpoint.load(best)
    paths = find_pictures(folders)
    training, held = split(paths, recipe.data.validation, recipe.data.validation_folder)
    teacher = teacher_of(part, averaged, run, start, where)
    adversary = adversary_of(recipe, network.scale, where)
    if saved is not None:
        network.load_state_dict(saved.state["network"])
        optimiser.load_state_dict(saved.state["optimiser"])
        for group in optimiser.param_groups:
            if "fused" in group:
                group["fused"] = where.type == "cuda"  # the state may come from another device
        averaged.load_state_dict(saved.weights)
        if adversary is not None:
            adversary.load(saved.state["adversary"])
        say(f"going on at step {step}, {seconds / 60:.1f} minutes trained, best {best_psnr:.3f} dB")
    elif start is not None:
        first = Checkpoint.load(start)
        copied = begin_with(network, first.weights, grow=part.grow)
        origin = start.parent.name or start.stem
        say(f"{copied} of {len(network.state_dict())} tensors taken from {start}")
        if seen_before(recipe, first.meta):
            say(f"{start} was validated by other pictures; it may have learnt some that validate here")
    if isinstance(network, Quantised) and saved is None:
        network.require(start, copied)
    say(f"{recipe.name}: {parameters(network)} parameters; loading {len(training)} + {len(held)} pictures")
    batch = batches_of(recipe, training, network.scale, where, say)
    checks = load_checks(recipe, held, network.scale, say)

    def checkpoint(state: bool) -> Checkpoint:
        meta: dict[str, Any] = {
            "recipe": recipe.as_dict(), "step": step, "seconds": round(seconds, 1), "minutes": minutes,
            "device": _device_name(where), "data": sorted({p.parent.name for p in paths}), "pictures": len(training),
            "psnr_y": history[-1][1] if history else None, "best_psnr_y": best_psnr, "history": history,
            "each": [[round(value, 4) for value in score] for score in each], "started_from": origin,
        }  # fmt: skip
        weights = {name: value.cpu() for name, value in averaged.state_dict().items()}
        if not state:
            return Checkpoint(weights, meta)
        resume = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
        return Checkpoint(weights, meta, resume | ({"adversary": adversary.state()} if adversary is not None else {}))

    def validated(loss: float | None) -> Score:
        """Validate the averaged weights, note it beside `loss`, and keep them where they are the best."""
        nonlocal each, best_psnr
        each = validate_all(averaged, checks, where)
        score = Score(*np.mean(each, axis=0).tolist())
        history.append([step, round(score.psnr_y, 4), loss])
        if score.psnr_y > best_psnr or adversary is not None:  # PSNR does not rank what is to look real
            best_psnr = score.psnr_y
            checkpoint(state=False).save(best)
        return score

    if saved is None and start is not None:
        if part.wake:
            say(f"{wake(network.eval(), _seen(recipe, batch, 0))} units that did nothing begin anew")
            network.train()
        if isinstance(network, Quantised):
            say(network.begin(batch))
        averaged.load_state_dict(network.state_dict())
        say(f"before the first step {validated(None).psnr_y:.3f} dB")

    # -- the loop
    losses = _Losses(recipe.name, last, 1 if where.type == "cpu" else CHECK_EVERY)
    chances = _chances(network, part.sampling)
    clock = time.monotonic()
    autocast = torch.autocast(where.type, torch.bfloat16, enabled=part.precision == "bf16")
    while (done := share()) < 1:
        rate = learning_rate(part, done)
        for group in optimiser.param_groups:
            group["lr"] = rate
        low, high = batch(step)
        _draw(network, chances, part.seed, step)
        with autocast:
            result = network(low)
        result, wanted = result.float(), goal(part, done)
        loss = teacher.loss(wanted, network, low, result, high) if teacher else wanted(result, high)
        if adversary is not None:
            loss = loss + adversary.pull(result, high)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own annotation lacks
        losses.add(step, loss, nn.utils.clip_grad_norm_(network.parameters(), longest(part, done)))
        optimiser.step()
        if adversary is not None:
            adversary.learn(result.detach(), high)
        _average(averaged, network, min(part.ema, (1 + step) / (10 + step)))
        step += 1
        taken = time.monotonic() - clock
        seconds += min(taken, SUSPENDED)
        clock = time.monotonic()

        stopped = stop()
        if step % part.validate_every == 0 or share() >= 1 or stopped:
            mean = losses.mean()
            score = validated(round(mean, 6))
            checkpoint(state=True).save(last)
            left = max(0.0, seconds * (1 / max(share(), 1e-9) - 1))
            report(Progress(step, min(share(), 1), seconds, left, mean, score, tuple(each)))
            losses.clear()
            clock = time.monotonic()  # validation is not training time
        elif step % 100 == 0:
            left = seconds * (1 / max(share(), 1e-9) - 1)
            report(Progress(step, share(), seconds, left, losses.mean(), None))
        if stopped:
            raise TrainingError(f"{recipe.name}: stopped at step {step}; the same command goes on from {last}")
    # All is saved by now, so that what waking changes is not kept.
    idle = 0 if part.quantize else wake(averaged, _seen(recipe, batch, step))
    if idle:
        say(f"{idle} units do nothing any more; a new run with 'wake = true' and --start {best} puts them to use")
    found = Checkpoint.load(best)
    if found.meta["step"] == 0:
        say(f"no validation was better than before the first step; {best} has the weights that the run began with")
    return found


def _saved(recipe: Recipe, last: Path) -> Checkpoint | None:
    """The state in `last` that a run of `recipe` goes on from, if there is one. Raises `TrainingError` for another recipe's."""
    if not last.exists():
        return None
    saved = Checkpoint.load(last)
    theirs = recipe_from(saved.meta["recipe"])  # a run that began before a field was added goes on
    looks = replace(
        theirs.train, validate_every=recipe.train.validate_every
    )  # how often it is looked at changes no run
    if replace(theirs, train=looks) != recipe:
        raise TrainingError(f"{last.parent} holds a run of another recipe; give another folder or remove it")
    return saved


def _best_so_far(saved: Checkpoint, best: Path) -> float:
    """PSNR-Y of the run's best checkpoint; where that has been lost, the newest weights take its place."""
    if not best.exists():
        saved.meta["best_psnr_y"] = saved.meta["psnr_y"]
        Checkpoint(saved.weights, saved.meta).save(best)
    return float(saved.meta["best_psnr_y"])


def _seen(recipe: Recipe, batch: Batches, first: int) -> Tensor:
    """The low patches (N × 3 × h × w) of batches from number `first` on that show whether a unit ever speaks."""
    return torch.cat([batch(number)[0] for number in range(first, first - (-WAKE_PATCHES // recipe.data.batch))])


class _Losses:
    """Losses since the last report. They stay on the device and are looked at together, once in `every` steps."""

    def __init__(self, name: str, last: Path, every: int) -> None:
        self.name, self.last, self.every = name, last, every
        self.known: list[float] = []
        self.waiting: list[tuple[int, Tensor]] = []

    def add(self, step: int, loss: Tensor, slope: Tensor) -> None:
        """Note a step's loss and the length of its gradient; raises `TrainingError` where one was not finite."""
        self.waiting.append((step, torch.stack([loss.detach(), slope.detach()])))
        if len(self.waiting) >= self.every:
            self._look()

    def _look(self) -> None:
        if not self.waiting:
            return
        values = torch.stack([pair for _, pair in self.waiting]).tolist()
        for (step, _), (loss, slope) in zip(self.waiting, values, strict=True):
            if not math.isfinite(loss + slope):  # a finite loss can have a gradient that is not
                kept = f"the last good state is {self.last}" if self.last.exists() else "nothing was saved yet"
                raise TrainingError(
                    f"{self.name}: the loss became {loss}, its gradient {slope}, at step {step}; {kept}"
                )
        self.known += [loss for loss, _ in values]
        self.waiting.clear()

    def mean(self) -> float:
        """The mean loss, all steps looked at; raises as `add` does."""
        self._look()
        return float(np.mean(self.known))

    def clear(self) -> None:
        """Begin anew."""
        self.known.clear()


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Exponential moving average of the weights; `decay` rises at first so that the start is forgotten.

    What normalisations measured is copied: it is an average already.
    """
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]  # torch has no annotation here
    average(list(averaged.parameters()), [p.detach() for p in network.parameters()], None)
    for kept, measured in zip(averaged.buffers(), network.buffers(), strict=True):
        kept.copy_(measured)


def _device(name: str) -> torch.device:
    """The device called `name`, tried with one value; on a GPU convolutions are chosen by timing. Raises `TrainingError`."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as exc:  # torch without CUDA asserts
        raise TrainingError(f"the device {name!r} cannot be used here: {str(exc).splitlines()[0]}") from exc
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    return device


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"
