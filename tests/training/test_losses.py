"""Losses, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from edgelift.training.losses import LOSSES, charbonnier, frequency, goal, gradient, longest, psnr
from edgelift.training.recipe import TrainPart

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


def test_a_mean_of_psnrs_counts_each_picture_alike() -> None:
    """Twice the error at one picture costs as much as at another that is ten times farther off."""
    truth = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    errors = torch.tensor([0.02, 0.2]).reshape(2, 1, 1, 1)
    losses = [
        psnr(truth + errors * torch.tensor(factors).reshape(2, 1, 1, 1), truth, floor=0.0).item()
        for factors in ([1.0, 1.0], [2.0, 1.0], [1.0, 2.0])
    ]
    assert losses[0] == pytest.approx(math.log(0.02 * 0.2), rel=1e-5)
    assert losses[1] - losses[0] == pytest.approx(math.log(2), rel=1e-4)
    assert losses[2] == pytest.approx(losses[1], rel=1e-5)
    assert psnr(truth, truth).item() == pytest.approx(math.log(1e-4))


@pytest.mark.parametrize("name", list(LOSSES))
def test_each_is_a_scalar_that_falls_towards_the_truth(name: str) -> None:
    result = RESULT.clone().requires_grad_()
    loss = LOSSES[name](result, TRUTH)
    assert loss.shape == ()
    loss.backward()
    assert result.grad is not None
    assert torch.isfinite(result.grad).all()  # also where the difference is 0
    assert LOSSES[name](RESULT - 0.01 * result.grad, TRUTH) < loss


def _pictures(seed: int = 0, side: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, side, side, generator=generator), torch.rand(2, 3, side, side, generator=generator)


def test_gradients_by_hand() -> None:
    result = torch.tensor(
        [[[[0.0, 1.0, 1.0], [0.0, 0.5, 1.0]]]]
    )  # rows differ by 0, -0.5, 0; columns by 1, 0, 0.5, 0.5
    assert gradient(result, torch.zeros_like(result)).item() == pytest.approx(0.5 * (0.5 / 3 + 2.0 / 4))
    assert gradient(result + 0.3, result).item() == pytest.approx(0, abs=1e-6)  # brightness is not its business


def test_the_spectrum_of_one_wave_has_one_line() -> None:
    x = torch.arange(16) * 2 * math.pi / 16
    wave = (0.2 * torch.cos(3 * x)).expand(1, 1, 16, 16)
    lines = 16 * 9  # what a real transform keeps; the wave's energy of 0.02 a pixel lies in two, of which it keeps one
    assert frequency(wave, torch.zeros_like(wave)).item() == pytest.approx(math.sqrt(0.02 * 256 / 2) / lines, rel=1e-3)


@pytest.mark.parametrize("loss", [gradient, frequency])
def test_further_losses_vanish_at_the_truth_and_fall_towards_it(loss) -> None:
    result, truth = _pictures()
    assert loss(truth, truth).item() == pytest.approx(0, abs=2e-6)
    result.requires_grad_()
    loss(result, truth).backward()
    assert torch.isfinite(result.grad).all()
    assert loss(result.detach() - 0.1 * result.grad, truth) < loss(result.detach(), truth)
    same = truth.clone().requires_grad_()
    loss(same, truth).backward()
    assert torch.isfinite(same.grad).all()


def test_the_last_share_of_a_run_has_the_last_loss() -> None:
    result, truth = _pictures()
    part = TrainPart(loss="l1", last_loss="l2", last_share=0.25)
    for done, name in ((0.0, "l1"), (0.74, "l1"), (0.75, "l2"), (1.0, "l2")):
        assert goal(part, done)(result, truth) == LOSSES[name](result, truth)
    assert goal(TrainPart(last_share=0.25), 0.9)(result, truth) == LOSSES["l1"](result, truth)


def test_weights_add_the_further_losses() -> None:
    result, truth = _pictures()
    part = TrainPart(gradient=0.5, frequency=0.25)
    expected = LOSSES["l1"](result, truth) + 0.5 * gradient(result, truth) + 0.25 * frequency(result, truth)
    assert goal(part, 0.5)(result, truth).item() == pytest.approx(expected.item())


def test_gradients_of_a_logarithm_are_clipped_by_a_bound_of_their_own() -> None:
    """At the errors of a trained network those of all losses are far from where they are clipped."""
    truth = _pictures()[1]
    factor = torch.ones((), requires_grad=True)
    for name, loss in LOSSES.items():
        (slope,) = torch.autograd.grad(loss(truth + 0.02 * factor, truth), factor)
        assert 0 < slope.item() < 0.1 * longest(TrainPart(loss=name), 0.0)
    part = TrainPart(loss="l1", last_loss="psnr", last_share=0.25)
    assert [longest(part, done) for done in (0.0, 0.74, 0.75, 1.0)] == [1.0, 1.0, 50.0, 50.0]
