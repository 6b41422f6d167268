"""Distillation: a network that gives the one in training a second picture to come near to.

A teacher is a larger network that was trained before (Hinton et al. 2015), or in a supernet the widest subnet, which is
trained by the truth alone and teaches the others ("in-place distillation", Yu & Huang 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from edgelift.core.errors import TrainingError
from edgelift.nets.family import Family
from edgelift.nets.network import Network
from edgelift.training.checkpoint import Checkpoint, network_of
from edgelift.training.recipe import TrainPart

__all__ = ["START", "WIDEST", "Teacher", "ensemble", "teacher_file", "teacher_of"]

WIDEST = "widest"
"""The teacher's name where a supernet's widest subnet teaches the others."""
START = "start"
"""The teacher's name where it is the network with the weights that the run begins with."""

Loss = Callable[[Tensor, Tensor], Tensor]


def teacher_file(name: str, runs: Path) -> Path:
    """The checkpoint that `name` stands for: a file, or the best of a run in the folder `runs`. Raises `TrainingError`."""
    path = Path(name) if name.endswith(".pt") else runs / name / "best.pt"
    if not path.exists():
        raise TrainingError(f"the teacher {name!r} is to be read from {path}, which is not there; train it first")
    return path


@torch.no_grad()
def ensemble(network: Network, low: Tensor) -> Tensor:
    """Mean result for the eight orientations of square patches `low`, each turned back (Timofte et al. 2016)."""
    total = None
    for turns in range(4):
        for flip in (False, True):
            seen = torch.rot90(low, turns, (2, 3))
            seen = seen.flip(3) if flip else seen
            made = network(seen)
            made = torch.rot90(made.flip(3) if flip else made, -turns, (2, 3))
            total = made if total is None else total + made
    assert total is not None
    return total / 8


class Teacher:
    """Measures results against a network's picture too: the share `weight` of the loss.

    `own` is true where the network is the supernet in training, whose widest subnet is taught by the truth alone.
    """

    def __init__(self, network: Network, weight: float, *, by_eight: bool = False, own: bool = False) -> None:
        self.network, self.weight, self.by_eight, self.own = network, weight, by_eight, own

    def loss(self, loss: Loss, student: Network, low: Tensor, result: Tensor, truth: Tensor) -> Tensor:
        """`loss` of `result` (N × 3 × scale·h × scale·w, made of `low` by `student`) against truth and teacher."""
        own = loss(result, truth)
        if self.own and isinstance(student, Family) and student.active == len(student.variants):
            return own
        with torch.no_grad():
            lesson = ensemble(self.network, low) if self.by_eight else self.network(low)
        return (1 - self.weight) * own + self.weight * loss(result, lesson.float().clamp(0, 1))


def _own_start(network: Network, run: Path, start: Path | None) -> Path:
    """The first weights of the run, kept in its folder so that it can go on without the file that they came from."""
    kept = run / "start.pt"
    if kept.exists() and (run / "last.pt").exists():  # else it is of a run that never got so far as to be gone on with
        return kept
    if start is None:
        raise TrainingError(
            f"this run starts from float weights of {network.architecture}, which are its teacher too; train it in floats "
            "first, and name its checkpoint or bundle (--start)"
        )
    own = {"architecture": network.architecture, **network.config}
    first = Checkpoint(Checkpoint.load(start).weights, {"step": 0, "recipe": {"name": START, "network": own}})
    network_of(first, start)
    first.save(kept)
    return kept


def teacher_of(
    part: TrainPart, averaged: Network, run: Path, start: Path | None, device: torch.device
) -> Teacher | None:
    """The teacher that a recipe asks for, or None.

    `averaged` is the network in training with its averaged weights, `run` the folder of the run, beside which those of
    teachers are looked for, `start` the checkpoint that it begins with. Raises `TrainingError` where there is no such
    teacher, or it enlarges by another factor.
    """
    if not part.teacher:
        return None
    if part.teacher == WIDEST:
        if not isinstance(averaged, Family):
            raise TrainingError(f"teacher = {WIDEST!r} is for supernets; {averaged.architecture} is one network")
        return Teacher(averaged, part.teacher_weight, by_eight=part.teacher_ensemble, own=True)
    path = _own_start(averaged, run, start) if part.teacher == START else teacher_file(part.teacher, run.parent)
    network = network_of(Checkpoint.load(path), path).to(device)
    if network.scale != averaged.scale:
        raise TrainingError(f"{path} enlarges ×{network.scale}; a teacher of this run must enlarge ×{averaged.scale}")
    return Teacher(network, part.teacher_weight, by_eight=part.teacher_ensemble)
