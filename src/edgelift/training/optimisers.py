"""What turns gradients into steps: Adam, or SOAP, by which small networks learn several times faster for a step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from edgelift.training.recipe import TrainPart

__all__ = ["Soap", "optimiser_of"]

LARGEST = 2048
"""Rows or columns of a weight beyond which SOAP leaves that side as it is: eigenvectors take memory of their square."""
_SIDES = ("rows", "columns")


class Soap(Optimizer):
    """Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, algorithm 3).

    A weight is seen as a matrix, its first dimension by all others. Running means of G·Gᵀ and Gᵀ·G say in which directions its
    gradients G lie; Adam's own means are taken along these, in which curvature differs less from one to the next. What
    has one dimension (biases) is left to Adam alone. `every`: steps between two looks at the directions.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        epsilon: float = 1e-8,
        every: int = 10,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "epsilon": epsilon, "every": every})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no loss is asked for again
        """Change all parameters that have a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._change(parameter, parameter.grad, group)

    def _change(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (slow, wide) = self.state[parameter], group["betas"]
        gradient = gradient.reshape(len(gradient), -1) if gradient.ndim > 1 else gradient
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
        bases = _bases(state, gradient, wide) if gradient.ndim > 1 else {}
        state["step"] += 1
        count = state["step"]
        state["mean"].lerp_(gradient, 1 - slow)
        state["square"].lerp_(_turned(gradient, bases).square(), 1 - wide)
        spread = (state["square"] / (1 - wide**count)).sqrt_().add_(group["epsilon"])
        change = _turned(state["mean"] / (1 - slow**count), bases).div_(spread)
        parameter.sub_(_turned(change, bases, back=True).reshape(parameter.shape), alpha=group["lr"])
        if count % group["every"] == 0:
            _look_again(state, bases)


def _bases(state: dict[str, Any], gradient: Tensor, wide: float) -> dict[str, Tensor]:
    """The directions of each side, columns of a square matrix, after `gradient` is added to what is known of it."""
    found = {}
    for side, seen in zip(_SIDES, (gradient, gradient.T), strict=True):
        if len(seen) > LARGEST:
            continue
        product = seen @ seen.T
        if side not in state:
            state[side] = product * (1 - wide)
            state[f"{side}_basis"] = torch.linalg.eigh(product)[1].flip(1).contiguous()
        else:
            state[side].lerp_(product, 1 - wide)
        found[side] = state[f"{side}_basis"]
    return found


def _turned(matrix: Tensor, bases: dict[str, Tensor], *, back: bool = False) -> Tensor:
    """`matrix` along the directions `bases`, or back from these."""
    if (rows := bases.get("rows")) is not None:
        matrix = (rows if back else rows.T) @ matrix
    if (columns := bases.get("columns")) is not None:
        matrix = matrix @ (columns.T if back else columns)
    return matrix


def _look_again(state: dict[str, Any], bases: dict[str, Tensor]) -> None:
    """One step of orthogonal iteration towards the eigenvectors of what is known by now, the strongest first."""
    for dimension, side in enumerate(_SIDES):
        if side not in bases:
            continue
        product = state[side] @ bases[side]
        order = (bases[side] * product).sum(0).argsort(descending=True)
        state["square"] = state["square"].index_select(dimension, order)
        state[f"{side}_basis"] = torch.linalg.qr(product[:, order])[0].contiguous()


def optimiser_of(part: TrainPart, parameters: Iterable[nn.Parameter], device: torch.device) -> Optimizer:
    """What a recipe asks for."""
    if part.optimiser == "soap":
        return Soap(parameters, lr=part.lr)
    return torch.optim.Adam(parameters, lr=part.lr, fused=device.type == "cuda")
