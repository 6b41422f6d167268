"""Adversarial training: the discriminator, its losses, and the loop with both."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from edgelift.core.errors import TrainingError
from edgelift.training.adversary import Adversary, adversary_of, judged, persuaded
from edgelift.training.checkpoint import Checkpoint
from edgelift.training.discriminator import UNetDiscriminator
from edgelift.training.loop import Progress, train
from edgelift.training.recipe import GanPart, Recipe, recipe_from

CPU = torch.device("cpu")


def _recipe(gan: dict[str, Any] | None = None, patch: int = 8, **fields: Any) -> Recipe:
    return recipe_from({
        "name": "tiny", "network": {"architecture": "abpn", "scale": 2, "channels": 4, "layers": 1},
        "data": {"patch": patch, "batch": 4, "validation": 1},
        "train": {"steps": 12, "lr": 1e-3, "ema": 0.5, "validate_every": 4, **fields},
        "gan": {"channels": 2, **(gan or {})},
    })  # fmt: skip


@pytest.fixture(scope="module")
def data(waves: Callable[[Path, int], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return waves(tmp_path_factory.mktemp("waves"), 4)


def _quiet(line: str) -> None:
    pass


# -- the discriminator
@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 40)])
def test_there_is_a_verdict_on_every_pixel(height: int, width: int) -> None:
    assert UNetDiscriminator(2)(torch.rand(3, 3, height, width)).shape == (3, 1, height, width)


def test_it_has_the_published_size() -> None:
    network = UNetDiscriminator(64)
    wide = [64, 128, 256, 512]
    between = sum(a * b * (16 + 9) for a, b in itertools.pairwise(wide))
    expected = (3 * 64 * 9 + 64) + between + 2 * 64 * 64 * 9 + (64 * 9 + 1)
    assert sum(p.numel() for p in network.parameters()) == expected


def test_spectral_normalisation_holds_the_layers_between() -> None:
    torch.manual_seed(0)
    network = UNetDiscriminator(4)
    for _ in range(30):  # its estimate comes nearer with every run
        network(torch.rand(1, 3, 8, 8))
    for layer in [*network.down, *network.up, *network.last]:
        weight = layer.weight
        assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, rel=0.05)


# -- losses
def test_losses_by_hand() -> None:
    real, made = torch.tensor([0.0, 2.0]), torch.tensor([-2.0, 0.0])
    soft = [math.log(2), math.log(1 + math.exp(-2))]
    assert judged(real, made, "vanilla").item() == pytest.approx(sum(soft))  # the mean of each of the two, twice
    assert judged(real, made, "hinge").item() == pytest.approx(0.5 + 0.5)
    assert persuaded(made, "hinge").item() == pytest.approx(1.0)
    assert persuaded(made, "vanilla").item() == pytest.approx((math.log(1 + math.exp(2)) + math.log(2)) / 2)


@pytest.mark.parametrize("kind", ["vanilla", "hinge"])
def test_the_discriminator_learns_to_tell_noise_from_waves(kind: str) -> None:
    torch.manual_seed(0)
    adversary = Adversary(GanPart(channels=4, lr=5e-3, loss=kind), CPU)
    real = torch.sin(torch.arange(16) / 2).expand(4, 3, 16, 16) * 0.4 + 0.5
    losses = [adversary.learn(torch.rand(4, 3, 16, 16), real) for _ in range(40)]
    assert losses[-1] < 0.75 * losses[0]
    assert adversary.network(real).mean() > adversary.network(torch.rand(4, 3, 16, 16)).mean() + 0.5


def test_pulling_changes_no_discriminator_and_reaches_the_result() -> None:
    torch.manual_seed(0)
    adversary = Adversary(GanPart(channels=2, weight=0.5), CPU)
    before = {name: value.clone() for name, value in adversary.network.named_parameters()}
    result = torch.rand(2, 3, 8, 8, requires_grad=True)
    adversary.pull(result, torch.rand(2, 3, 8, 8)).backward()
    assert result.grad is not None
    assert result.grad.abs().max() > 0
    assert all(torch.equal(before[name], value) for name, value in adversary.network.named_parameters())
    assert all(value.grad is None for value in adversary.network.parameters())


def test_a_loss_that_is_not_finite_takes_no_step() -> None:
    torch.manual_seed(0)
    adversary = Adversary(GanPart(channels=2), CPU)
    before = {name: value.clone() for name, value in adversary.network.named_parameters()}
    with pytest.raises(TrainingError, match="the discriminator's loss became nan"):
        adversary.learn(torch.full((1, 3, 8, 8), math.nan), torch.rand(1, 3, 8, 8))
    assert all(torch.equal(before[name], value) for name, value in adversary.network.named_parameters())


# -- in the loop
def test_recipes_without_the_table_have_no_adversary() -> None:
    plain = _recipe().as_dict()
    del plain["gan"]
    assert adversary_of(recipe_from(plain), 2, CPU) is None
    assert recipe_from({**plain, "gan": {}}).gan == GanPart()


def test_patches_that_cannot_be_halved_three_times_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"sharp patches of 18 pixels \(patch 9 × scale 2\).*a multiple of 8 is needed"
    ):
        train(_recipe(patch=9), [data], tmp_path / "run", say=_quiet)
    assert not (tmp_path / "run").exists()


def test_a_stopped_and_resumed_run_equals_an_undisturbed_one(data: Path, tmp_path: Path) -> None:
    recipe = _recipe({"loss": "hinge"})
    train(recipe, [data], tmp_path / "whole", say=_quiet)
    asked = iter(range(10**6))
    with pytest.raises(TrainingError, match="stopped at step 6"):
        train(recipe, [data], tmp_path / "parts", stop=lambda: next(asked) == 5, say=_quiet)
    train(recipe, [data], tmp_path / "parts", say=_quiet)
    whole, parts = (Checkpoint.load(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert all(torch.equal(whole.weights[name], value) for name, value in parts.weights.items())
    one, other = whole.state["adversary"], parts.state["adversary"]
    assert all(torch.equal(one["network"][name], value) for name, value in other["network"].items())
    moments = (one["optimiser"]["state"], other["optimiser"]["state"])
    assert moments[0].keys() == moments[1].keys()
    assert all(torch.equal(moments[0][k]["exp_avg_sq"], moments[1][k]["exp_avg_sq"]) for k in moments[0])


def test_it_changes_what_is_learnt(data: Path, tmp_path: Path) -> None:
    weights = [
        train(_recipe({"weight": weight}), [data], tmp_path / str(weight), say=_quiet).weights for weight in (1e-9, 1.0)
    ]
    assert not torch.allclose(weights[0]["tail.weight"], weights[1]["tail.weight"], atol=1e-4)


def test_the_newest_state_is_kept_as_best(data: Path, tmp_path: Path) -> None:
    """Psnr falls here: the adversary is all that counts."""
    reports: list[Progress] = []
    best = train(_recipe({"weight": 1e3}, lr=1e-2), [data], tmp_path, report=reports.append, say=_quiet)
    scores = [r.score.psnr_y for r in reports if r.score]
    assert scores[-1] < max(s for s in scores if s is not None)  # type: ignore[operator]  # all are numbers
    assert best.meta["step"] == 12
    assert best.meta["best_psnr_y"] == pytest.approx(scores[-1])
    assert best.state == {}
