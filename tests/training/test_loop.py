"""The training loop, on tiny runs: it learns, it can be stopped and resumed, and nothing bad is kept."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgelift.core.errors import EdgeliftError, RecipeError, TrainingError
from edgelift.core.metrics import psnr, psnr_y
from edgelift.nets import zoo
from edgelift.nets.network import Network
from edgelift.training import loop, validation
from edgelift.training.checkpoint import Checkpoint
from edgelift.training.data import Pair, load_pairs
from edgelift.training.loop import Progress, learning_rate, train
from edgelift.training.losses import LOSSES
from edgelift.training.pictures import find_pictures, split
from edgelift.training.recipe import Recipe, TrainPart, recipe_from
from edgelift.training.validation import middle, validate

CPU = torch.device("cpu")


def _recipe(name: str = "tiny", network: dict[str, Any] | None = None, **fields: Any) -> Recipe:
    return recipe_from({
        "name": name,
        "network": {"architecture": "abpn", "scale": 2, "channels": 4, "layers": 1, **(network or {})},
        "data": {"patch": 8, "batch": 4, "validation": 1},
        "train": {"steps": 30, "lr": 3e-3, "ema": 0.5, "validate_every": 10, **fields},
    })  # fmt: skip


@pytest.fixture(scope="module")
def data(waves: Callable[[Path, int], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five smooth pictures of 64 × 64: what nearest-neighbour enlargement does badly."""
    return waves(tmp_path_factory.mktemp("waves"), 5)


def _quiet(line: str) -> None:
    pass


def _after(steps: int) -> Callable[[], bool]:
    """A `stop` that answers yes at its `steps`-th question, then no."""
    asked = iter(range(1, 10**6))
    return lambda: next(asked) == steps


def _same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def _fresh(recipe: Recipe) -> Network:
    """The network as a run of `recipe` begins with it."""
    torch.manual_seed(recipe.train.seed)
    return zoo.build(recipe.network.architecture, **recipe.network.config)


# -- the learning rate
@pytest.mark.parametrize("schedule", ["cosine", "step"])
@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_the_rate_rises_in_the_warm_up_and_never_after_it(schedule: str, warmup: float) -> None:
    part = TrainPart(lr=1e-2, final_lr=1e-5, schedule=schedule, warmup=warmup)
    shares = np.linspace(0, 1, 401)
    rates = [learning_rate(part, share) for share in shares]
    rising = [r for r, s in zip(rates, shares, strict=True) if s < warmup]
    falling = [r for r, s in zip(rates, shares, strict=True) if s >= warmup]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert all(0 <= rate <= part.lr for rate in rates)


def test_cosine_by_hand() -> None:
    part = TrainPart(lr=1e-2, final_lr=1e-4)
    expected = {0.0: 1e-2, 1 / 3: 1e-4 + 0.75 * 9.9e-3, 0.5: 5.05e-3, 2 / 3: 1e-4 + 0.25 * 9.9e-3, 1.0: 1e-4, 1.2: 1e-4}
    assert {share: learning_rate(part, share) for share in expected} == pytest.approx(expected)


def test_step_halves_after_every_fifth_down_to_the_final_rate() -> None:
    part = TrainPart(lr=1.6e-2, final_lr=1.5e-3, schedule="step")
    rates = [learning_rate(part, share) for share in (0, 0.19, 0.2, 0.39, 0.4, 0.6, 0.8, 1.0)]
    assert rates == pytest.approx([1.6e-2, 1.6e-2, 8e-3, 8e-3, 4e-3, 2e-3, 1.5e-3, 1.5e-3])


def test_warm_up_by_hand() -> None:
    part = TrainPart(lr=1e-2, final_lr=1e-4, warmup=0.2)
    assert learning_rate(part, 0.0) == 0.0
    assert learning_rate(part, 0.05) == pytest.approx(2.5e-3)
    assert learning_rate(part, 0.2) == learning_rate(dataclasses.replace(part, warmup=0.0), 0.2)


# -- validation
class _Nearest(nn.Module):
    scale = 2

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) * 1.1  # some values leave the range


def test_validation_is_psnr_y_of_rounded_clipped_results() -> None:
    rng = np.random.default_rng(0)
    sizes = [((7, 9, 3), (14, 18, 3)), ((8, 9, 3), (16, 18, 3))]
    pairs = [Pair("p", *(rng.integers(0, 256, shape, np.uint8) for shape in size)) for size in sizes]
    luma, colour = [], []
    for pair in pairs:
        larger = pair.low.repeat(2, axis=0).repeat(2, axis=1).astype(np.float64) * 1.1
        result = np.clip(np.round(larger), 0, 255).astype(np.uint8)
        luma.append(psnr_y(result, pair.high, 2))
        colour.append(psnr(result[2:-2, 2:-2], pair.high[2:-2, 2:-2]))
    score = validate(_Nearest(), pairs, CPU)  # type: ignore[arg-type]  # a stub
    assert score == (pytest.approx(np.mean(luma), abs=0.01), pytest.approx(np.mean(colour), abs=0.01))


def test_large_validation_pictures_are_cut_from_their_middle() -> None:
    low = np.random.default_rng(0).integers(0, 256, (41, 9, 3), np.uint8)
    cut = middle(Pair("p", low, low.repeat(3, axis=0).repeat(3, axis=1)), 60)
    assert np.array_equal(cut.low, low[10:30])
    assert np.array_equal(cut.high, cut.low.repeat(3, axis=0).repeat(3, axis=1))


# -- a run
def test_a_network_that_cannot_be_is_the_recipes_fault(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"\[network\]: .*channels must be a whole number of at least 1, got 0"):
        train(_recipe(network={"channels": 0}), [data], tmp_path / "run", say=_quiet)
    assert not (tmp_path / "run").exists()


def test_a_short_run_learns_and_leaves_its_best_checkpoint(data: Path, tmp_path: Path) -> None:
    recipe, reports = _recipe(network={"channels": 12}, steps=100, validate_every=25), list[Progress]()
    best = train(recipe, [data], tmp_path / "run", report=reports.append, say=_quiet)
    assert [r.step for r in reports] == [25, 50, 75, 100]
    assert reports[-1].loss < 0.85 * reports[0].loss
    first, *_, final = [r.score for r in reports]
    assert first is not None
    assert final is not None
    assert final.psnr_y > first.psnr_y + 1.0
    assert reports[-1].done == 1.0
    assert reports[-1].seconds_left == 0.0
    assert [r.seconds for r in reports] == sorted(r.seconds for r in reports)

    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["best.json", "best.pt", "last.json", "last.pt"]
    assert best.state == {}
    facts = json.loads((tmp_path / "run" / "best.json").read_text(encoding="utf-8"))
    assert facts == best.meta
    assert facts["recipe"] == recipe.as_dict()
    assert facts["step"] == 100
    assert facts["pictures"] == 4
    assert facts["data"] == [data.name]
    rows = [
        [r.step, pytest.approx(r.score.psnr_y, abs=1e-4), pytest.approx(r.loss, abs=1e-6)] for r in reports if r.score
    ]
    assert facts["history"] == rows


def test_the_best_checkpoint_scores_what_it_states(data: Path, tmp_path: Path) -> None:
    recipe = _recipe(ema=0.9)
    best = train(recipe, [data], tmp_path, say=_quiet)
    held = load_pairs(split(find_pictures([data]), 1)[1], 2)
    network = _fresh(recipe)
    network.load_state_dict(best.weights)
    assert validate(network, held, CPU).psnr_y == pytest.approx(best.meta["best_psnr_y"], abs=1e-6)
    network.load_state_dict(Checkpoint.load(tmp_path / "last.pt").state["network"])  # the raw weights score otherwise
    assert validate(network, held, CPU).psnr_y != pytest.approx(best.meta["best_psnr_y"], abs=1e-3)


def test_the_best_validation_is_kept_whatever_follows(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([20.0, 30.0, 10.0, 25.0])
    monkeypatch.setattr(validation, "validate", lambda *_: validation.Score(next(scores), 5.0))
    recipe = _recipe(steps=4, validate_every=1)
    with pytest.raises(TrainingError, match="stopped"):
        train(recipe, [data], tmp_path, stop=_after(3), say=_quiet)
    best = train(recipe, [data], tmp_path, say=_quiet)  # a resumed run remembers the best score
    assert (best.meta["step"], best.meta["psnr_y"], best.meta["best_psnr_y"]) == (2, 30.0, 30.0)
    last = Checkpoint.load(tmp_path / "last.pt").meta
    assert (last["step"], last["psnr_y"], last["best_psnr_y"]) == (4, 25.0, 30.0)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(data: Path, tmp_path: Path) -> None:
    losses = []
    for k, seed in enumerate((3, 3, 4)):
        reports: list[Progress] = []
        recipe = _recipe(steps=4, validate_every=1, seed=seed)
        train(recipe, [data], tmp_path / str(k), report=reports.append, say=_quiet)
        losses.append([r.loss for r in reports])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    assert _same(*(Checkpoint.load(tmp_path / k / "last.pt").weights for k in "01"))


def test_progress_comes_every_hundred_steps_too(data: Path, tmp_path: Path) -> None:
    reports: list[Progress] = []
    train(_recipe(steps=103, validate_every=1000), [data], tmp_path, report=reports.append, say=_quiet)
    assert [(r.step, r.score is None) for r in reports] == [(100, True), (103, False)]
    assert reports[0].done == pytest.approx(100 / 103)
    assert reports[0].seconds_left == pytest.approx(reports[0].seconds * 3 / 100)


def test_each_width_of_a_supernet_is_told() -> None:
    scores = (validation.Score(30.1234, 28.0), validation.Score(31.5, 29.0))
    facts = (5, 0.5, 1.0, 1.0, 0.1)
    assert Progress(*facts, scores[0], scores).widths == " (30.123 31.500)"
    assert Progress(*facts, scores[0], scores[:1]).widths == Progress(*facts, None).widths == ""


def test_averaged_weights_follow_the_raw_ones(data: Path, tmp_path: Path) -> None:
    train(_recipe(steps=3, ema=0.0), [data], tmp_path / "off", say=_quiet)
    off = Checkpoint.load(tmp_path / "off" / "last.pt")
    assert _same(off.weights, off.state["network"])
    recipe = _recipe(steps=1, ema=0.999)
    train(recipe, [data], tmp_path / "on", say=_quiet)
    on, first = Checkpoint.load(tmp_path / "on" / "last.pt"), _fresh(recipe).state_dict()
    for key, raw in on.state["network"].items():  # the first step's decay is 1 / 10
        assert torch.allclose(on.weights[key], 0.1 * first[key] + 0.9 * raw, rtol=0, atol=1e-7)
        assert not torch.equal(on.weights[key], raw)


def test_what_a_normalisation_measured_is_saved_and_validation_does_not_measure(data: Path, tmp_path: Path) -> None:
    recipe = _recipe(network={"architecture": "srresnet"}, steps=3, validate_every=1)
    train(recipe, [data], tmp_path, say=_quiet)
    last = Checkpoint.load(tmp_path / "last.pt")
    measured = [
        key for key in last.weights if ".norm." in key and key.endswith(("running_mean", "running_var", "tracked"))
    ]
    assert len(measured) == 3 * 3
    for key in measured:
        assert torch.equal(last.weights[key], last.state["network"][key])
        if key.endswith("tracked"):
            assert last.weights[key] == 3, "of the training's batches, and no others"
        else:
            assert not torch.equal(last.weights[key], _fresh(recipe).state_dict()[key])


def test_gradients_are_clipped_as_the_loss_asks(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, bounds = nn.utils.clip_grad_norm_, list[float]()
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda given, most: bounds.append(most) or clip(given, most))  # type: ignore[func-returns-value]
    train(_recipe(steps=4, last_loss="psnr", last_share=0.5), [data], tmp_path, say=_quiet)
    assert bounds == [1.0, 1.0, 50.0, 50.0]


def test_half_precision_and_other_losses_run(data: Path, tmp_path: Path) -> None:
    for loss in ("l2", "charbonnier"):
        best = train(_recipe(steps=2, loss=loss, precision="bf16"), [data], tmp_path / loss, say=_quiet)
        assert math.isfinite(best.meta["best_psnr_y"])
        assert all(value.dtype == torch.float32 for value in best.weights.values())


def test_the_clock_ends_a_run_and_sets_its_rates(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []

    def noted(part: TrainPart, done: float) -> float:
        shares.append(done)
        return learning_rate(part, done)

    monkeypatch.setattr(loop, "learning_rate", noted)
    reports: list[Progress] = []
    recipe = _recipe(steps=10**9, validate_every=10**9)
    train(recipe, [data], tmp_path, minutes=0.01, report=reports.append, say=_quiet)
    last = Checkpoint.load(tmp_path / "last.pt").meta
    assert 0.6 <= last["seconds"] < 30
    assert last["minutes"] == 0.01
    assert last["step"] == len(shares) > 1
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[-1] < 1
    assert (reports[-1].done, reports[-1].seconds_left) == (1, 0)


def test_steps_that_look_suspended_count_a_little_so_that_the_clock_ends_every_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SUSPENDED", 1e-5)
    recipe = _recipe(steps=10**9, validate_every=10**9)
    train(recipe, [data], tmp_path, minutes=1e-6, say=_quiet)
    assert Checkpoint.load(tmp_path / "last.pt").meta["step"] == 6


# -- stopping and going on
@pytest.mark.parametrize("optimiser", ["adam", "soap"])
def test_a_stopped_and_resumed_run_equals_an_undisturbed_one(optimiser: str, data: Path, tmp_path: Path) -> None:
    recipe = _recipe(warmup=0.2, optimiser=optimiser)
    train(recipe, [data], tmp_path / "whole", say=_quiet)
    for stop in (13, 8):  # the second sitting is stopped too
        with pytest.raises(TrainingError, match=r"tiny: stopped at step \d+; the same command goes on from .*last\.pt"):
            train(recipe, [data], tmp_path / "parts", stop=_after(stop), say=_quiet)
    assert Checkpoint.load(tmp_path / "parts" / "last.pt").meta["step"] == 21
    said: list[str] = []
    train(recipe, [data], tmp_path / "parts", say=said.append)
    assert any(line.startswith("going on at step 21") for line in said)
    whole, parts = (Checkpoint.load(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert parts.meta["step"] == whole.meta["step"] == 30
    assert _same(parts.weights, whole.weights)
    assert _same(parts.state["network"], whole.state["network"])
    assert repr(parts.state["optimiser"]) == repr(whole.state["optimiser"])
    assert [row[0] for row in parts.meta["history"]] == [10, 13, 20, 21, 30]
    common = {row[0]: row[1] for row in whole.meta["history"]}
    assert {row[0]: row[1] for row in parts.meta["history"] if row[0] in common} == common


def test_a_finished_run_is_not_trained_again(data: Path, tmp_path: Path) -> None:
    first = train(_recipe(steps=3), [data], tmp_path, say=_quiet)
    before = (tmp_path / "last.pt").read_bytes()
    reports: list[Progress] = []
    again = train(_recipe(steps=3), [data], tmp_path, report=reports.append, say=_quiet)
    assert not reports
    assert _same(again.weights, first.weights)
    assert (tmp_path / "last.pt").read_bytes() == before


def test_what_needs_no_pictures_reads_none(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(_recipe(steps=3), [data], tmp_path / "run", say=_quiet)
    monkeypatch.setattr(loop, "batches_of", lambda *_: pytest.fail("pictures were read"))
    said: list[str] = []
    assert train(_recipe(steps=3), [tmp_path / "gone"], tmp_path / "run", say=said.append).meta["step"] == 3
    assert said[0].startswith("tiny: finished, 3 steps")
    with pytest.raises(TrainingError, match="holds a run of another recipe"):
        train(_recipe(steps=4), [data], tmp_path / "run", say=_quiet)
    with pytest.raises(TrainingError, match="not a checkpoint"):
        train(_recipe(), [data], tmp_path / "new", start=tmp_path / "absent.pt", say=_quiet)
    with pytest.raises(TrainingError, match="starts from all float weights"):
        train(_recipe(quantize="int8"), [data], tmp_path / "new", say=_quiet)


def test_how_often_a_run_is_looked_at_may_change(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="stopped"):
        train(_recipe(), [data], tmp_path, stop=_after(3), say=_quiet)
    train(_recipe(validate_every=15), [data], tmp_path, say=_quiet)
    assert [row[0] for row in Checkpoint.load(tmp_path / "last.pt").meta["history"]] == [3, 15, 30]


@pytest.mark.parametrize("finished", [False, True])
def test_a_best_checkpoint_that_was_lost_is_the_newest_until_another_is_better(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    scores = iter([30.0, 20.0, 15.0])
    monkeypatch.setattr(validation, "validate", lambda *_: validation.Score(next(scores), 5.0))
    recipe = _recipe(steps=2 if finished else 3, validate_every=1)
    if finished:
        train(recipe, [data], tmp_path, say=_quiet)
    else:
        with pytest.raises(TrainingError, match="stopped"):
            train(recipe, [data], tmp_path, stop=_after(2), say=_quiet)
    second = Checkpoint.load(tmp_path / "last.pt")
    (tmp_path / "best.pt").unlink()
    best = train(recipe, [data], tmp_path, say=_quiet)
    assert (best.meta["step"], best.meta["best_psnr_y"], best.state) == (2, 20.0, {})
    assert _same(best.weights, second.weights)


def test_a_folder_with_a_run_of_another_recipe_is_refused(data: Path, tmp_path: Path) -> None:
    train(_recipe(steps=2), [data], tmp_path, say=_quiet)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(TrainingError, match="holds a run of another recipe; give another folder or remove it"):
        train(_recipe(steps=3), [data], tmp_path, say=_quiet)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_damaged_checkpoint_is_not_silently_begun_anew(data: Path, tmp_path: Path) -> None:
    train(_recipe(steps=2), [data], tmp_path, say=_quiet)
    (tmp_path / "last.pt").write_bytes(b"PK")
    with pytest.raises(TrainingError, match="not a checkpoint"):
        train(_recipe(steps=2), [data], tmp_path, say=_quiet)


# -- losses that are not finite
def _fails_at(step: int, bad: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """L1, but `bad` of it from the call number `step` on (counted from 0)."""
    calls = iter(range(10**6))
    return lambda result, truth: (bad if next(calls) >= step else lambda v: v)((result - truth).abs().mean())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    monkeypatch.setitem(LOSSES, "l1", _fails_at(24, lambda v: v * value))
    with pytest.raises(TrainingError, match=rf"tiny: the loss became {value}, .* at step 24; .*last\.pt"):
        train(_recipe(), [data], tmp_path, say=_quiet)
    monkeypatch.undo()
    last = Checkpoint.load(tmp_path / "last.pt")
    assert last.meta["step"] == 20
    assert all(torch.isfinite(value).all() for value in [*last.weights.values(), *last.state["network"].values()])
    best = train(_recipe(), [data], tmp_path, say=_quiet)  # and the run can go on from there
    assert best.meta["step"] == 30


def test_a_gradient_that_is_not_finite_does_not_reach_the_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 19 has a finite loss with a gradient of NaN; a validation follows it at once."""
    monkeypatch.setitem(LOSSES, "l1", _fails_at(19, lambda v: v + (v * 0).sqrt()))
    with pytest.raises(TrainingError, match="at step 19"):
        train(_recipe(), [data], tmp_path, say=_quiet)
    last = Checkpoint.load(tmp_path / "last.pt")
    assert last.meta["step"] == 10
    assert all(torch.isfinite(value).all() for value in last.weights.values())


def test_a_rate_that_is_far_too_high_ends_the_run_with_nothing_bad_saved(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nothing was saved yet"):
        train(_recipe(lr=1e20), [data], tmp_path / "run", say=_quiet)
    assert not (tmp_path / "run").exists()


# -- starting from other weights
def test_start_copies_the_tensors_that_match_and_no_others(data: Path, tmp_path: Path) -> None:
    given = train(_recipe("other", {"scale": 3}, steps=5, seed=9), [data], tmp_path / "x3", say=_quiet)
    recipe, said = _recipe(steps=1, warmup=0.5), list[str]()  # the first step's rate is 0: nothing moves
    train(recipe, [data], tmp_path / "x2", start=tmp_path / "x3" / "best.pt", say=said.append)
    last, fresh = Checkpoint.load(tmp_path / "x2" / "last.pt"), _fresh(recipe).state_dict()
    matching = {"head.weight", "head.bias", "trunk.0.weight", "trunk.0.bias"}
    for key, value in last.state["network"].items():
        assert torch.equal(value, given.weights[key] if key in matching else fresh[key]), key
        assert torch.equal(last.weights[key], value), key
    assert f"4 of {len(fresh)} tensors taken from {tmp_path / 'x3' / 'best.pt'}" in said
    assert last.meta["started_from"] == "x3"


def test_what_a_run_begins_with_is_validated_and_kept_where_nothing_is_better(data: Path, tmp_path: Path) -> None:
    given = train(_recipe("other", steps=100), [data], tmp_path / "other", say=_quiet)
    recipe, said = (
        _recipe(steps=4, validate_every=2, lr=0.5, final_lr=0.5),
        list[str](),
    )  # far too high: it only gets worse
    start = tmp_path / "other" / "best.pt"
    best = train(recipe, [data], tmp_path / "run", start=start, say=said.append)
    assert (best.meta["step"], best.meta["history"]) == (
        0,
        [[0, pytest.approx(given.meta["best_psnr_y"], abs=1e-4), None]],
    )
    assert _same(best.weights, given.weights)
    assert f"before the first step {given.meta['best_psnr_y']:.3f} dB" in said
    assert said[-1].startswith("no validation was better than before the first step")
    assert [row[0] for row in Checkpoint.load(tmp_path / "run" / "last.pt").meta["history"]] == [0, 2, 4]


def test_a_start_that_may_know_the_validation_pictures_is_named(data: Path, tmp_path: Path) -> None:
    train(_recipe("other", steps=1), [data], tmp_path / "other", say=_quiet)
    plain = _recipe(steps=1).as_dict()
    for count, folder, warned in ((1, "", False), (2, "", True), (1, data.name, True)):
        plain["data"] |= {"validation": count, "validation_folder": folder}
        said: list[str] = []
        run = tmp_path / f"{count}{folder}"
        train(recipe_from(plain), [data], run, start=tmp_path / "other" / "best.pt", say=said.append)
        assert sum("was validated by other pictures" in line for line in said) == warned


def test_start_does_not_disturb_a_run_that_has_begun(data: Path, tmp_path: Path) -> None:
    recipe = _recipe(steps=6)
    train(_recipe("other", steps=2, seed=9), [data], tmp_path / "other", say=_quiet)
    train(recipe, [data], tmp_path / "whole", say=_quiet)
    with pytest.raises(TrainingError, match="stopped"):
        train(recipe, [data], tmp_path / "parts", stop=_after(3), say=_quiet)
    train(recipe, [data], tmp_path / "parts", start=tmp_path / "other" / "best.pt", say=_quiet)
    assert _same(*(Checkpoint.load(tmp_path / name / "last.pt").weights for name in ("whole", "parts")))


def test_a_start_that_is_no_checkpoint_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not a checkpoint"):
        train(_recipe(), [data], tmp_path / "run", start=tmp_path / "absent.pt", say=_quiet)


def test_a_resumed_run_remembers_where_it_started_from(data: Path, tmp_path: Path) -> None:
    train(_recipe("other", steps=2), [data], tmp_path / "other", say=_quiet)
    start = tmp_path / "other" / "best.pt"
    with pytest.raises(TrainingError, match="stopped"):
        train(_recipe(), [data], tmp_path / "run", start=start, stop=_after(3), say=_quiet)
    train(_recipe(), [data], tmp_path / "run", say=_quiet)
    assert Checkpoint.load(tmp_path / "run" / "last.pt").meta["started_from"] == "other"


def test_a_run_that_started_from_nothing_does_not_claim_otherwise(data: Path, tmp_path: Path) -> None:
    best = train(_recipe(steps=1, start="abpn-x3"), [data], tmp_path, say=_quiet)
    assert not best.meta["started_from"]


# -- requests that cannot be served
def test_a_folder_without_pictures_leaves_no_run_behind(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no pictures"):
        train(_recipe(), [tmp_path / "absent"], tmp_path / "run", say=_quiet)
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there_is_an_error_of_ours(data: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgeliftError):
        train(_recipe(steps=1), [data], tmp_path, say=_quiet, device="abacus")


@pytest.mark.parametrize(("name", "timed"), [("cuda", True), ("cpu", False)])
def test_a_gpu_chooses_its_convolutions_by_timing(name: str, timed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: None)  # there need not be one
    assert loop._device(name).type == name
    assert torch.backends.cudnn.benchmark is timed


# -- fields that were added later
@pytest.mark.parametrize(
    ("network", "losses", "total"),
    [
        (
            {"architecture": "abpn", "channels": 4},
            [0.060269, 0.048362, 0.042485, 0.043177, 0.044005, 0.040283, 0.043813, 0.038313, 0.050175, 0.044403], 4.488823,
        ),
        (
            {"architecture": "slim-plain", "widths": [2, 4]},
            [0.062931, 0.049142, 0.044879, 0.045248, 0.047146, 0.044543, 0.049844, 0.039923, 0.058698, 0.045999], 4.798768,
        ),
    ],
    ids=["abpn", "supernet"],
)  # fmt: skip
def test_a_recipe_without_them_has_the_losses_it_always_had(
    waves: Callable[[Path, int], Path], tmp_path: Path, network: dict[str, Any], losses: list[float], total: float
) -> None:
    plain = _recipe().as_dict() | {"name": "tiny"}
    shape = {"scale": 2, "layers": 1, **network}
    plain |= {"network": shape, "train": {"steps": 100, "lr": 3e-3, "ema": 0.5, "validate_every": 1}}
    seen: list[float] = []
    data = waves(tmp_path / "waves", 5)  # its name decides which picture validates
    train(recipe_from(plain), [data], tmp_path / "run", report=lambda p: seen.append(p.loss), say=_quiet)
    assert seen[::11] == pytest.approx(losses, rel=1e-3)  # other machines sum in other orders
    assert sum(seen) == pytest.approx(total, rel=1e-3)


def test_a_run_that_began_before_a_field_was_added_goes_on(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="stopped"):
        train(_recipe(), [data], tmp_path, stop=_after(3), say=_quiet)
    facts = tmp_path / "last.json"
    meta = json.loads(facts.read_text(encoding="utf-8"))
    for name in (
        "last_loss",
        "gradient",
        "frequency",
        "teacher",
        "teacher_weight",
        "teacher_ensemble",
        "optimiser",
        "wake",
    ):
        del meta["recipe"]["train"][name]
    for name in ("texture", "rescale", "permute"):
        del meta["recipe"]["data"][name]
    facts.write_text(json.dumps(meta), encoding="utf-8")
    said: list[str] = []
    train(_recipe(), [data], tmp_path, say=said.append)
    assert any(line.startswith("going on at step 3") for line in said)


def test_a_run_with_all_of_them_resumes_exactly(data: Path, tmp_path: Path) -> None:
    net = {"architecture": "slim-plain", "scale": 2, "widths": [2, 4], "layers": 1}
    recipe = recipe_from({
        "name": "tiny", "network": net,
        "data": {"patch": 8, "batch": 4, "validation": 1, "texture": 1.0, "rescale": [0.8], "permute": True},
        "train": {
            "steps": 12, "lr": 3e-3, "validate_every": 4, "last_loss": "l2", "last_share": 0.5, "gradient": 0.1,
            "frequency": 0.1, "teacher": "widest", "teacher_ensemble": True,
        },
    })  # fmt: skip
    train(recipe, [data], tmp_path / "whole", say=_quiet)
    with pytest.raises(TrainingError, match="stopped"):
        train(recipe, [data], tmp_path / "parts", stop=_after(5), say=_quiet)
    train(recipe, [data], tmp_path / "parts", say=_quiet)
    assert _same(*(Checkpoint.load(tmp_path / name / "last.pt").weights for name in ("whole", "parts")))


def test_a_student_comes_nearer_to_its_teacher(data: Path, tmp_path: Path) -> None:
    train(_recipe("large", {"channels": 8}, steps=60), [data], tmp_path / "large", say=_quiet)
    distances = []
    (pair,) = load_pairs(split(find_pictures([data]), 1)[1], 2)
    low = torch.from_numpy(pair.low.copy()).permute(2, 0, 1)[None].float() / 255
    for name, fields in (("alone", {}), ("taught", {"teacher": "large", "teacher_weight": 1.0})):
        recipe = _recipe(name, steps=60, **fields)
        weights = train(recipe, [data], tmp_path / name, say=_quiet).weights
        pictures = []
        for one, state in ((recipe, weights), (_recipe("large", {"channels": 8}), None)):
            network = _fresh(one)
            network.load_state_dict(state or Checkpoint.load(tmp_path / "large" / "best.pt").weights)
            pictures.append(network(low))
        distances.append((pictures[0] - pictures[1]).abs().mean().item())
    assert distances[1] < distances[0]


# -- degraded pairs
def _degraded(**fields: Any) -> Recipe:
    plain = _recipe(**fields).as_dict()
    plain["data"] |= {"patch": 4, "batch": 2}
    return recipe_from({**plain, "degrade": {"strength": "strong", "together": 2}})


def test_a_degraded_run_has_the_same_losses_again(data: Path, tmp_path: Path) -> None:
    recipe, losses = _degraded(steps=100, validate_every=5), []
    for name in ("one", "two"):
        reports: list[Progress] = []
        train(recipe, [data], tmp_path / name, report=reports.append, say=_quiet)
        losses.append([report.loss for report in reports])
    assert len(losses[0]) == 20  # means of five steps each
    assert losses[0] == losses[1]


def test_a_degraded_run_resumes_exactly(data: Path, tmp_path: Path) -> None:
    recipe = _degraded(steps=9)
    train(recipe, [data], tmp_path / "whole", say=_quiet)
    with pytest.raises(TrainingError, match="stopped"):
        train(recipe, [data], tmp_path / "parts", stop=_after(4), say=_quiet)
    train(recipe, [data], tmp_path / "parts", say=_quiet)
    assert _same(*(Checkpoint.load(tmp_path / name / "last.pt").weights for name in ("whole", "parts")))


def test_degraded_pictures_validate_worse_than_clean_ones(data: Path) -> None:
    held = split(find_pictures([data]), 1)[1]
    checks = [validation.load_checks(recipe, held, 2, _quiet) for recipe in (_recipe(), _degraded(), _degraded())]
    scores = [validate(_Nearest(), pairs, CPU).psnr_y for pairs in checks]  # type: ignore[arg-type]  # a stub
    assert scores[0] > scores[1] + 1
    assert scores[1] == scores[2]
    assert all(np.array_equal(pairs[0].high, checks[0][0].high) for pairs in checks)
