"""Losses, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from edgelift.training.losses import LOSSES, charbonnier

RESULT = torch.tensor([[0.0, 0.5], [1.0, 0.25]])
TRUTH = torch.tensor([[0.0, 0.1], [0.7, 0.75]])  # differences 0, 0.4, 0.3, -0.5


def test_values_by_hand() -> None:
    assert LOSSES["l1"](RESULT, TRUTH).item() == pytest.approx(1.2 / 4)
    assert LOSSES["l2"](RESULT, TRUTH).item() == pytest.approx((0.16 + 0.09 + 0.25) / 4)
    expected = sum(math.sqrt(d * d + 1e-6) for d in (0, 0.4, 0.3, 0.5)) / 4
    assert LOSSES["charbonnier"](RESULT, TRUTH).item() == pytest.approx(expected)
    assert charbonnier(RESULT, TRUTH, epsilon=0.4).item() == pytest.approx(
        (0.4 + math.sqrt(0.32) + 0.5 + math.sqrt(0.41)) / 4
    )


@pytest.mark.parametrize("name", list(LOSSES))
def test_each_is_a_scalar_that_falls_towards_the_truth(name: str) -> None:
    result = RESULT.clone().requires_grad_()
    loss = LOSSES[name](result, TRUTH)
    assert loss.shape == ()
    loss.backward()
    assert result.grad is not None
    assert torch.isfinite(result.grad).all()  # also where the difference is 0
    assert LOSSES[name](RESULT - 0.01 * result.grad, TRUTH) < loss
