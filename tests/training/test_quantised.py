"""Quantised training: which networks can be, how a run begins, goes on and ends."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from edgelift.core.errors import RecipeError, TrainingError
from edgelift.nets import zoo
from edgelift.training.checkpoint import Checkpoint, network_of
from edgelift.training.loop import train
from edgelift.training.quantised import Quantised, float_weights, learnt_ranges
from edgelift.training.recipe import Recipe, quantisation_of, recipe_from

TINY = {"architecture": "abpn", "scale": 2, "channels": 6, "layers": 1}


def recipe(name: str = "tiny", **fields: Any) -> Recipe:
    return recipe_from({
        "name": name, "network": TINY, "data": {"patch": 8, "batch": 4, "validation": 1},
        "train": {"steps": 40, "lr": 3e-3, "ema": 0.5, "validate_every": 10, **fields},
    })  # fmt: skip


@pytest.fixture(scope="module")
def data(waves: Callable[[Path, int], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return waves(tmp_path_factory.mktemp("waves"), 4)


@pytest.fixture(scope="module")
def floats(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The best checkpoint of a float run."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    train(recipe(), [data], run, say=lambda line: None)
    return run / "best.pt"


def patches(seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.rand(2, 3, 8, 8).mul(255).round() / 255


# -- the network
@pytest.mark.parametrize("name", ["abpn", "plain", "espcn", "espcn-rgb", "fsrcnn", "edsr", "srvgg", "srresnet"])
def test_a_network_on_whole_numbers_is_near_its_own(name: str) -> None:
    torch.manual_seed(1)
    network = zoo.build(name, **({"layers": 1} if name not in ("espcn", "espcn-rgb") else {})).eval()
    made = Quantised(copy.deepcopy(network)).eval()
    assert set(float_weights(made.state_dict())) == set(network.state_dict())
    assert (made.architecture, made.config, made.halo) == (network.architecture, network.config, network.halo)
    pictures = [patches(k) for k in range(3)]
    made.calibrate(pictures)
    with torch.no_grad():
        difference = (made(pictures[0]) - network(pictures[0]).clamp(0, 1)).abs().mean()
    assert 0 < difference < 0.05


@pytest.mark.parametrize(
    ("name", "config", "says"),
    [
        ("slim-plain", {}, "slim-plain is a supernet"),
        ("espcn", {"activation": "tanh"}, "espcn: .*tanh.* has no whole-number form"),
        ("ninasr", {}, "ninasr: .* has no whole-number form"),
        ("fsrcnn", {"luma": "limited"}, "fsrcnn: .* has no whole-number form"),
    ],
)
def test_networks_without_a_whole_number_form_are_refused(name: str, config: dict[str, Any], says: str) -> None:
    with pytest.raises(TrainingError, match=says):
        Quantised(zoo.build(name, **config))


def test_equalising_changes_no_float_result() -> None:
    torch.manual_seed(0)
    for name in ("abpn", "fsrcnn"):
        network = zoo.build(name, layers=2).eval().requires_grad_(False)
        made = Quantised(copy.deepcopy(network)).requires_grad_(False)
        before = made.calibrate([patches(0)])[0]
        made.equalise(made._peaks, 1.0)
        after = made.calibrate([patches(0)])[0]
        assert torch.allclose(before, after, rtol=0, atol=1e-5)
        changed = [key for key, value in network.named_parameters() if not torch.equal(value, made.get_parameter(key))]
        assert len(changed) > 4, name


def test_ranges_are_stated_for_white_being_255() -> None:
    made = Quantised(zoo.build("abpn", layers=0, channels=4))
    made.calibrate([patches(0)])
    found = learnt_ranges(made.state_dict())
    assert list(found) == ["head", "widen", "tail"]
    low, high = (end.detach() for end in made.ranges["tail"].ends())  # type: ignore[operator]
    assert found["tail"] == pytest.approx([255 * float(low), 255 * float(high)], rel=1e-4)
    assert found["head"][0] == 0
    assert learnt_ranges(zoo.build("abpn").state_dict()) == {}


# -- recipes
def test_the_recipe_for_whole_numbers_is_the_papers_share_of_the_float_one() -> None:
    made = quantisation_of(recipe(steps=1000, validate_every=500))
    assert (made.name, made.train.quantize, made.train.start) == ("tiny-qat", "int8", "tiny")
    assert (made.train.steps, made.train.lr, made.train.validate_every) == (200, pytest.approx(3e-4), 100)
    assert quantisation_of(recipe(validate_every=4)).train.validate_every == 4
    assert (made.train.teacher, made.train.teacher_weight) == ("start", 1.0)
    assert quantisation_of(recipe(teacher="larger")).train.teacher == "larger"
    assert quantisation_of(made) == made
    assert not quantisation_of(recipe(wake=True)).train.wake  # dead units stay what they are for whole numbers
    plain = recipe(precision="bf16").as_dict() | {"gan": {"weight": 0.2}}
    made = quantisation_of(recipe_from(plain))  # bf16 is coarser than the grids
    assert (made.train.precision, made.gan) == ("f32", None)
    with pytest.raises(RecipeError, match=r"train\.quantize: expected one of , int8, got 'int4'"):
        recipe(quantize="int4")


# -- runs
def test_a_run_begins_with_float_weights_and_learns_weights_and_ranges(
    data: Path, floats: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    plan = quantisation_of(recipe(steps=100))
    best = train(plan, [data], tmp_path / "qat", start=floats, say=said.append)
    assert any("on whole numbers" in line and "equalised by" in line for line in said)
    ranges = learnt_ranges(best.weights)
    assert set(ranges) == {"head", "trunk/0", "widen", "tail"}
    start = Checkpoint.load(floats)
    assert best.meta["psnr_y"] > start.meta["best_psnr_y"] - 0.5
    assert best.meta["started_from"] == "tiny"
    network = network_of(best, tmp_path)
    assert not isinstance(network, Quantised)
    first, last = (Checkpoint.load(tmp_path / "qat" / name) for name in ("best.pt", "last.pt"))
    assert first.weights.keys() == last.weights.keys()
    moved = [key for key in ranges if float(last.state["network"][f"ranges.{key}.high"]) != 0]
    assert len(moved) == len(ranges)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(data: Path, floats: Path, tmp_path: Path) -> None:
    plan = quantisation_of(recipe(steps=50, validate_every=5))
    whole = train(plan, [data], tmp_path / "whole", start=floats, say=lambda line: None)
    asked = iter(range(1, 100))
    with pytest.raises(TrainingError, match="stopped at step 4"):
        train(plan, [data], tmp_path / "parts", start=floats, say=lambda line: None, stop=lambda: next(asked) == 4)
    train(plan, [data], tmp_path / "parts", say=lambda line: None)
    last = [Checkpoint.load(tmp_path / name / "last.pt") for name in ("whole", "parts")]
    assert all(torch.equal(value, last[1].weights[key]) for key, value in last[0].weights.items())
    assert whole.meta["step"] <= last[0].meta["step"] == 10


@pytest.mark.parametrize("other", [None, {"channels": 8}])
def test_nothing_is_learnt_on_whole_numbers_from_the_beginning(
    data: Path, tmp_path: Path, other: dict[str, Any] | None
) -> None:
    start = None
    if other:
        start = tmp_path / "other" / "best.pt"
        Checkpoint(zoo.build("abpn", scale=2, layers=1, **other).state_dict(), {"step": 0}).save(start)
    with pytest.raises(TrainingError, match=r"starts from float weights of abpn|no network can be made of it"):
        train(quantisation_of(recipe()), [data], tmp_path / "qat", start=start, say=lambda line: None)
    assert not (tmp_path / "qat").exists()
    with pytest.raises(TrainingError, match=r"starts from all float weights .*; train it in floats first"):
        train(recipe(quantize="int8"), [data], tmp_path / "qat", start=start, say=lambda line: None)
    assert not (tmp_path / "qat").exists()
