"""Averages of checkpoints ("model soups", Wortsman et al. 2022): runs that began from the same weights and were trained
on in different ways often have a mean that is better than each, for the price of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgelift.core.errors import RequestError
from edgelift.nets.network import Network
from edgelift.training.checkpoint import Checkpoint, facts_of_several, network_of
from edgelift.training.data import Pair
from edgelift.training.pictures import find_pictures, split
from edgelift.training.quantised import float_weights
from edgelift.training.recipe import recipe_from
from edgelift.training.validation import Score, load_checks, validate_all

__all__ = ["average", "average_greedily"]


@dataclass(frozen=True)
class _Member:
    """A checkpoint that may go into the mean."""

    path: Path
    checkpoint: Checkpoint
    network: Network


def average(paths: Sequence[Path]) -> Checkpoint:
    """The mean of the weights of all checkpoints, each counted alike; its score is not known.

    Raises `RequestError` for fewer than two or for different networks, `TrainingError` for what is no checkpoint.
    """
    members = _members(paths)
    return _made(members, _mean(members), None, [])


def average_greedily(
    paths: Sequence[Path], folders: Sequence[Path], *, device: str = "cpu", say: Callable[[str], None] = print
) -> Checkpoint:
    """The mean of those checkpoints that make it better on the validation split of the pictures under `folders`.

    From the best one on, each is taken in only where validation does not fall by it. Errors are those of `average`, and
    those of finding and reading pictures.
    """
    members = _members(paths)
    checks = _checks(members[0], folders, say)
    where = torch.device(device)
    network = members[0].network.to(where)

    def score(group: Sequence[_Member]) -> list[Score]:
        network.load_state_dict(float_weights(_mean(group)))
        return validate_all(network, checks, where)

    alone = [(_luma(score([member])), number) for number, member in enumerate(members)]
    ranked = [members[number] for _, number in sorted(alone, key=lambda row: (-row[0], row[1]))]
    chosen, each = ranked[:1], score(ranked[:1])
    say(f"{_called(ranked[0])}: {_luma(each):.3f} dB, the best alone")
    for member in ranked[1:]:
        tried = score([*chosen, member])
        better = _luma(tried) >= _luma(each)
        say(f"with {_called(member)}: {_luma(tried):.3f} dB, {'kept' if better else 'left out'}")
        if better:
            chosen, each = [*chosen, member], tried
    return _made(chosen, _mean(chosen), _luma(each), each)


def _luma(each: Sequence[Score]) -> float:
    return float(np.mean([score.psnr_y for score in each]))


def _members(paths: Sequence[Path]) -> list[_Member]:
    if len(paths) < 2:
        raise RequestError(f"a mean is of two checkpoints or more, got {len(paths)}")
    members = []
    for path in paths:
        checkpoint = Checkpoint.load(path)
        members.append(_Member(path, checkpoint, network_of(checkpoint, path)))
    first = members[0].network
    for member in members[1:]:
        if (member.network.architecture, member.network.config) != (first.architecture, first.config):
            raise RequestError(
                f"{member.path} is {member.network.architecture} {member.network.config}, {members[0].path} is "
                f"{first.architecture} {first.config}; only checkpoints of one network have a mean"
            )
    return members


def _checks(member: _Member, folders: Sequence[Path], say: Callable[[str], None]) -> list[Pair]:
    recipe = recipe_from(member.checkpoint.meta["recipe"])
    _, held = split(find_pictures(folders), recipe.data.validation, recipe.data.validation_folder)
    return load_checks(recipe, held, member.network.scale, say)


def _mean(members: Sequence[_Member]) -> dict[str, Tensor]:
    """Tensors of the mean; those that hold no fractions are the first one's."""
    first = members[0].checkpoint.weights
    return {
        name: torch.stack([m.checkpoint.weights[name].double() for m in members]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value.clone()
        for name, value in first.items()
    }


def _called(member: _Member) -> str:
    return f"{member.path.parent.name}/{member.path.name}"


def _made(members: Sequence[_Member], weights: dict[str, Tensor], score: float | None, each: list[Score]) -> Checkpoint:
    metas = [member.checkpoint.meta for member in members]
    origins: list[dict[str, Any]] = [
        {"checkpoint": _called(m), "recipe": m.checkpoint.meta["recipe"].get("name"), "step": m.checkpoint.meta["step"],
         "psnr_y": m.checkpoint.meta.get("psnr_y")}
        for m in members
    ]  # fmt: skip
    meta = {
        **facts_of_several(metas, metas[0]["recipe"], score), "device": metas[0].get("device"),
        "each": [[round(value, 4) for value in score] for score in each], "averaged_from": origins,
    }  # fmt: skip
    return Checkpoint(weights, meta)
