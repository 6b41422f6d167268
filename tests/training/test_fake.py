"""Grids in training: what values become, and where gradients go."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgelift.core.grids import activation_grid, weight_grid
from edgelift.training.fake import FakeGrid, on_pixel_grid, weights_on_grid


def ends_of(made: FakeGrid) -> tuple[float, float]:
    low, high = (float(end.detach()) for end in made.ends())
    return low, high


def grid(low: float, high: float) -> FakeGrid:
    made = FakeGrid(low < 0)
    with torch.no_grad():
        made.high.fill_(math.log(high))
        if made.low is not None:
            made.low.fill_(math.log(-low))
    return made


@given(st.floats(0.01, 50), st.floats(0, 50), st.integers(0, 2**32 - 1))
def test_values_are_those_of_pytorchs_own_and_of_the_grids_of_graphs(high: float, depth: float, seed: int) -> None:
    low = -depth if depth > 0.01 else 0.0
    made = grid(low, high)
    x = torch.from_numpy(np.random.default_rng(seed).normal(0, high, 200).astype(np.float32))
    stated = activation_grid(*ends_of(made), "int8")
    theirs = torch.fake_quantize_per_tensor_affine(x, stated.scale, stated.zero, 0, 255)
    with torch.no_grad():
        apart = (made(x) - theirs).abs()[(x > stated.low + stated.scale) & (x < stated.high - stated.scale)]
    if not len(apart):
        return
    assert apart.max() <= stated.scale * 1.001, "a level apart at most, where rounding is undecided"
    assert (apart > stated.scale * 0.01).float().mean() < 0.02


@given(st.integers(0, 2**32 - 1))
def test_weights_are_on_the_grids_of_graphs(seed: int) -> None:
    weight = torch.from_numpy(np.random.default_rng(seed).normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32))
    scale = weight_grid(weight.numpy(), "int8").reshape(-1, 1, 1, 1)
    wanted = np.clip(np.rint(weight.numpy() / scale), -127, 127) * scale
    assert np.abs(weights_on_grid(weight).numpy() - wanted).max() <= scale.max() * 1.001
    assert np.mean(np.abs(weights_on_grid(weight).numpy() - wanted) > 1e-6) < 0.02


def test_rounding_lets_gradients_of_weights_through() -> None:
    weight = torch.randn(2, 3, 3, 3, requires_grad=True)
    weights_on_grid(weight).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.ones_like(weight))


def test_a_picture_is_rounded_to_samples_and_clipped() -> None:
    x = torch.tensor([-0.2, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 1.7])
    assert torch.allclose(on_pixel_grid(x) * 255, torch.tensor([0.0, 0.0, 0.0, 1.0, 255.0, 255.0]))


def test_values_beyond_an_end_pull_at_that_end_alone() -> None:
    made = grid(-1.0, 2.0)
    assert made.low is not None
    x = torch.tensor([-3.0, -2.0, 0.0, 5.0], requires_grad=True)
    (made(x) * torch.tensor([1.0, 1.0, 1.0, 3.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 1.0, 0.0]
    assert made.high.grad is not None
    assert made.low.grad is not None
    weight = 1 / math.sqrt(4 * 255)
    low, high = ends_of(made)
    assert float(made.high.grad) == pytest.approx(3 * high * weight, rel=1e-3), "each of 3 moves as the end does"
    assert float(made.low.grad) == pytest.approx(2 * low * weight, rel=1e-3)


def test_values_between_the_ends_pull_by_their_rounding_error() -> None:
    made, x = grid(0.0, 1.0), torch.rand(50) * 0.9
    made(x).sum().backward()
    assert made.high.grad is not None
    with torch.no_grad():
        error = float((made(x) - x).sum())
    assert float(made.high.grad) * math.sqrt(50 * 255) == pytest.approx(error, rel=1e-3, abs=1e-6)


def test_learning_finds_the_range_that_rounds_best() -> None:
    torch.manual_seed(0)
    made, x = grid(0.0, 0.4), torch.rand(2000) ** 2
    optimiser = torch.optim.Adam(made.parameters(), lr=0.02)
    for _ in range(120):
        optimiser.zero_grad()
        (made(x) - x).square().sum().backward()
        optimiser.step()
    assert ends_of(made)[1] == pytest.approx(1.0, abs=0.03)


def test_a_first_range_is_what_was_seen() -> None:
    made = FakeGrid(signed=True)
    made.fit(-0.25, 3.0)
    assert ends_of(made) == pytest.approx((-0.25, 3.0))
    made = FakeGrid(signed=False)
    made.fit(0.0, 3.0)
    assert ends_of(made) == pytest.approx((0.0, 3.0))


def test_a_tensor_of_zeros_has_a_range() -> None:
    made = FakeGrid(signed=True)
    made.fit(0.0, 0.0)
    assert ends_of(made)[1] > 0
    assert torch.equal(made(torch.zeros(3)), torch.zeros(3))
