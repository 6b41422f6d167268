"""Adversarial training: a discriminator that learns to tell results from sharp pictures, and what that asks of the network.

Losses are those of Goodfellow et al. 2014 with the non-saturating form for the network (`vanilla`), or hinges (`hinge`, Lim &
Ye 2017). The order of steps is Real-ESRGAN's: the network first, then the discriminator on the same results.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from edgelift.core.errors import TrainingError
from edgelift.training.discriminator import MULTIPLE, UNetDiscriminator
from edgelift.training.perceptual import load_features
from edgelift.training.recipe import GanPart, Recipe

__all__ = ["Adversary", "adversary_of", "judged", "persuaded"]


def persuaded(verdict: Tensor, kind: str) -> Tensor:
    """The network's loss for the discriminator's `verdict` on its results."""
    return -verdict.mean() if kind == "hinge" else functional.softplus(-verdict).mean()


def judged(real: Tensor, made: Tensor, kind: str) -> Tensor:
    """The discriminator's loss for its verdicts on sharp pictures and on results."""
    if kind == "hinge":
        return functional.relu(1 - real).mean() + functional.relu(1 + made).mean()
    return functional.softplus(-real).mean() + functional.softplus(made).mean()


class Adversary:
    """A discriminator, its optimiser, and the feature network where the recipe names one."""

    def __init__(self, part: GanPart, device: torch.device) -> None:
        self.part = part
        self.network = UNetDiscriminator(part.channels).to(device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=part.lr, betas=(0.9, 0.99))
        self.features = load_features(Path(part.features)).to(device) if part.features else None

    def pull(self, result: Tensor, truth: Tensor) -> Tensor:
        """What the loss of the network gains for `result` (N × 3 × h × w); the discriminator does not learn by it."""
        self.network.requires_grad_(False)
        loss = self.part.weight * persuaded(self.network(result), self.part.loss)
        if self.features is not None:
            loss = loss + self.part.features_weight * self.features.loss(result, truth)
        return loss

    def learn(self, result: Tensor, truth: Tensor) -> float:
        """One step of the discriminator on results and sharp pictures; its loss.

        Raises `TrainingError`, without a step, where that is not finite.
        """
        self.network.requires_grad_(True)
        loss = judged(self.network(truth), self.network(result.detach()), self.part.loss)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(f"the discriminator's loss became {value}; lower its lr, or the network's")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own annotation lacks
        self.optimiser.step()
        return value

    def state(self) -> dict[str, Any]:
        """What resuming needs."""
        return {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])


def adversary_of(recipe: Recipe, scale: int, device: torch.device) -> Adversary | None:
    """The adversary that a recipe asks for, or None. Raises `TrainingError` where its patches do not fit."""
    if recipe.gan is None:
        return None
    if (side := recipe.data.patch * scale) % MULTIPLE:
        raise TrainingError(
            f"{recipe.name}: sharp patches of {side} pixels (patch {recipe.data.patch} × scale {scale}) cannot be judged; "
            f"a multiple of {MULTIPLE} is needed"
        )
    return Adversary(recipe.gan, device)
