"""SOAP: against its definition, on problems whose answer is known, and through a saved state."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from edgelift.training import optimisers
from edgelift.training.optimisers import Soap, optimiser_of
from edgelift.training.recipe import TrainPart

CPU = torch.device("cpu")


def _ill_conditioned(seed: int = 0) -> tuple[nn.Linear, Tensor, Tensor]:
    """A linear map to be learned from inputs of which some directions are 100 times as strong as others, mixed."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.linalg.qr(_normal(12, 12, generator))[0]
    given = _normal(256, 12, generator) * torch.logspace(0, -2, 12) @ mixing
    layer = nn.Linear(12, 12, bias=False, dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    return layer, given, given @ _normal(12, 12, generator)


def _normal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64)


def _learn(optimiser: torch.optim.Optimizer, layer: nn.Module, given: Tensor, wanted: Tensor, steps: int) -> float:
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 0.1 * (1 - step / steps)
        loss = (layer(given) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return (layer(given) - wanted).square().mean().item()


def test_it_learns_what_adam_learns_slowly() -> None:
    layer, given, wanted = _ill_conditioned()
    start = copy.deepcopy(layer)
    by_adam = _learn(torch.optim.Adam(start.parameters()), start, given, wanted, 200)
    assert _learn(Soap(layer.parameters()), layer, given, wanted, 200) < by_adam / 10


def test_the_answer_does_not_depend_on_the_axes() -> None:
    """Turning inputs turns the path of the weights with them, which Adam's is not."""
    layer, given, wanted = _ill_conditioned()
    turn = torch.linalg.qr(_normal(12, 12, torch.Generator().manual_seed(5)))[0]
    turned = copy.deepcopy(layer)
    _learn(Soap(layer.parameters()), layer, given, wanted, 12)
    _learn(Soap(turned.parameters()), turned, given @ turn, wanted, 12)
    assert torch.allclose(turned.weight @ turn.T, layer.weight, atol=1e-3)


def test_one_step_by_hand() -> None:
    """At the first step the means are the gradient itself, so along its own directions each step has the length lr."""
    weight = nn.Parameter(torch.zeros(2, 3))
    bias = nn.Parameter(torch.zeros(2))
    weight.grad, bias.grad = torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]]), torch.tensor([0.5, -2.0])
    Soap([weight, bias], lr=0.1).step()
    assert torch.allclose(bias.detach(), torch.tensor([-0.1, 0.1]))
    assert torch.allclose(weight.detach()[0], torch.tensor([-0.06, -0.08, 0.0]), atol=1e-6)  # its only direction


def test_bases_stay_orthonormal_and_what_is_spread_stays_with_its_direction() -> None:
    layer, given, wanted = _ill_conditioned()
    optimiser = Soap(layer.parameters(), every=3)
    _learn(optimiser, layer, given, wanted, 40)
    state = optimiser.state[layer.weight]
    for side, size in (("rows", 12), ("columns", 12)):
        basis = state[f"{side}_basis"]
        assert torch.allclose(basis.T @ basis, torch.eye(size, dtype=torch.float64), atol=1e-9)
    strength = (state["columns_basis"] * (state["columns"] @ state["columns_basis"])).sum(0)
    assert (strength[:6] >= strength[6:]).all()  # the strongest directions first


def test_sides_that_are_too_long_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimisers, "LARGEST", 8)
    _, given, wanted = _ill_conditioned()
    wide = nn.Linear(12, 5, bias=False, dtype=torch.float64)
    before = (wide(given) - wanted[:, :5]).square().mean().item()
    optimiser = Soap(wide.parameters())
    assert _learn(optimiser, wide, given, wanted[:, :5], 50) < before
    assert "rows_basis" in optimiser.state[wide.weight]
    assert "columns_basis" not in optimiser.state[wide.weight]


def test_convolutions_in_channels_last_take_the_same_path() -> None:
    torch.manual_seed(0)
    one = nn.Conv2d(2, 18, 3, dtype=torch.float64)
    other = copy.deepcopy(one).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x, wanted = torch.rand(2, 2, 8, 8, dtype=torch.float64), torch.rand(2, 18, 6, 6, dtype=torch.float64)
    for layer, seen in ((one, x), (other, x.to(memory_format=torch.channels_last))):
        optimiser = Soap(layer.parameters(), lr=1e-2)
        for _ in range(15):
            optimiser.zero_grad()
            (layer(seen) - wanted).square().mean().backward()
            optimiser.step()
    assert torch.allclose(one.weight, other.weight, atol=1e-5)


def test_what_has_no_gradient_is_not_changed() -> None:
    idle = nn.Parameter(torch.ones(2, 2))
    optimiser = Soap([idle])
    optimiser.step()
    assert torch.equal(idle.detach(), torch.ones(2, 2))
    assert not optimiser.state


def test_a_saved_state_goes_on_alike() -> None:
    layer, given, wanted = _ill_conditioned()
    first = Soap(layer.parameters(), every=4)
    _learn(first, layer, given, wanted, 10)
    other = copy.deepcopy(layer)
    second = Soap(other.parameters(), every=4)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    _learn(first, layer, given, wanted, 10)
    _learn(second, other, given, wanted, 10)
    assert torch.equal(layer.weight, other.weight)


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("soap", Soap)])
def test_a_recipe_chooses(name: str, kind: type) -> None:
    made = optimiser_of(TrainPart(optimiser=name, lr=0.25), nn.Linear(2, 2).parameters(), CPU)
    assert type(made) is kind
    assert made.param_groups[0]["lr"] == 0.25
