"""What training makes small: means over all values of (result, truth)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

__all__ = ["LOSSES", "charbonnier"]


def charbonnier(result: Tensor, truth: Tensor, epsilon: float = 1e-3) -> Tensor:
    """A smooth L1: mean of sqrt(d² + epsilon²) (Charbonnier et al. 1994; epsilon as in LapSRN, for white = 1)."""
    return ((result - truth).square() + epsilon**2).sqrt().mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": functional.l1_loss,
    "l2": functional.mse_loss,
    "charbonnier": charbonnier,
}
