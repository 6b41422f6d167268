"""Teachers: which network it is, and what of the loss is its."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgelift.core.errors import TrainingError
from edgelift.nets import zoo
from edgelift.nets.network import Network
from edgelift.training.checkpoint import Checkpoint
from edgelift.training.losses import LOSSES
from edgelift.training.recipe import TrainPart
from edgelift.training.teacher import Teacher, ensemble, teacher_of

CPU = torch.device("cpu")
TINY = {"architecture": "abpn", "scale": 2, "channels": 4, "layers": 1}
L1 = LOSSES["l1"]


def _built(seed: int = 0, **config: object) -> Network:
    torch.manual_seed(seed)
    arguments = {**TINY, **config}
    return zoo.build(str(arguments.pop("architecture")), **arguments)


def _save(path: Path, seed: int = 0, **config: object) -> Network:
    network = _built(seed, **config)
    meta = {"step": 1, "recipe": {"name": "t", "network": {**TINY, **config}}}
    Checkpoint(network.state_dict(), meta).save(path)
    return network


def _supernet() -> Network:
    torch.manual_seed(0)
    return zoo.build("slim-plain", scale=2, widths=[2, 4], layers=1)


class _Turns(nn.Module):
    """Gives its input enlarged, darker from left to right: it depends on the orientation."""

    def forward(self, x: Tensor) -> Tensor:
        larger = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        return larger - 0.01 * torch.arange(larger.shape[3])


# -- what the loss is
def test_the_loss_is_shared_between_truth_and_teacher() -> None:
    student, network = _built(1), _built(2)
    low, truth = torch.rand(2, 3, 6, 6), torch.rand(2, 3, 12, 12)
    result = student(low)
    loss = Teacher(network, 0.25).loss(L1, student, low, result, truth)
    expected = 0.75 * L1(result, truth) + 0.25 * L1(result, network(low).clamp(0, 1))
    assert loss.item() == pytest.approx(expected.item())
    loss.backward()
    assert all(p.grad is None for p in network.parameters())


def test_the_widest_subnet_teaches_the_others_and_not_itself() -> None:
    student, averaged = _supernet(), _supernet()
    low, truth = torch.rand(2, 3, 6, 6), torch.rand(2, 3, 12, 12)
    teacher = Teacher(averaged, 0.5, own=True)
    for active in (1, 2):
        student.active = active  # type: ignore[assignment]  # a supernet's
        result = student(low)
        expected = (
            L1(result, truth) if active == 2 else 0.5 * (L1(result, truth) + L1(result, averaged(low).clamp(0, 1)))
        )
        assert teacher.loss(L1, student, low, result, truth).item() == pytest.approx(expected.item())


def test_the_mean_of_eight_orientations_has_none() -> None:
    network, low = _Turns(), torch.rand(1, 3, 5, 5)
    mean = ensemble(network, low)  # type: ignore[arg-type]  # a stub
    turned = torch.rot90(ensemble(network, torch.rot90(low, 1, (2, 3))), -1, (2, 3))  # type: ignore[arg-type]  # a stub
    mirrored = ensemble(network, low.flip(3)).flip(3)  # type: ignore[arg-type]  # a stub
    assert torch.allclose(turned, mean, atol=1e-6)
    assert torch.allclose(mirrored, mean, atol=1e-6)
    assert not torch.allclose(network(low), mean, atol=1e-3)
    plain = mean + 0.01 * 4.5  # of ten columns the mean of 0 … 9
    assert torch.allclose(plain, low.repeat_interleave(2, 2).repeat_interleave(2, 3), atol=1e-6)


# -- which network it is
def test_no_teacher_is_none(tmp_path: Path) -> None:
    assert teacher_of(TrainPart(), _built(), tmp_path / "run", None, CPU) is None


def test_a_recipe_stands_for_its_best_checkpoint_and_a_file_for_itself(tmp_path: Path) -> None:
    network = _save(tmp_path / "large" / "best.pt", 3, channels=8)
    low = torch.rand(1, 3, 6, 6)
    for name in ("large", str(tmp_path / "large" / "best.pt")):
        teacher = teacher_of(TrainPart(teacher=name), _built(), tmp_path / "run", None, CPU)
        assert teacher is not None
        assert torch.equal(teacher.network(low), network(low))
        assert not any(p.requires_grad for p in teacher.network.parameters())
        assert (teacher.weight, teacher.by_eight, teacher.own) == (0.5, False, False)


def test_the_first_weights_are_kept_for_a_run_that_goes_on_and_for_no_other(tmp_path: Path) -> None:
    run, part, low = tmp_path / "run", TrainPart(teacher="start"), torch.rand(1, 3, 6, 6)
    first, second = (_save(tmp_path / name / "best.pt", seed) for name, seed in (("a", 1), ("b", 2)))

    def taught(start: Path | None) -> Tensor:
        teacher = teacher_of(part, _built(), run, start, CPU)
        assert teacher is not None
        return teacher.network(low)

    assert torch.equal(taught(tmp_path / "a" / "best.pt"), first(low))
    with pytest.raises(TrainingError, match="which are its teacher too"):
        taught(None)  # nothing was trained yet
    assert torch.equal(taught(tmp_path / "b" / "best.pt"), second(low)), "not that of a run that never began"
    (run / "last.pt").touch()
    assert torch.equal(taught(None), second(low))
    assert torch.equal(taught(tmp_path / "a" / "best.pt"), second(low))


def test_of_a_supernet_the_averaged_weights_teach(tmp_path: Path) -> None:
    averaged = _supernet()
    teacher = teacher_of(TrainPart(teacher="widest", teacher_ensemble=True), averaged, tmp_path / "run", None, CPU)
    assert teacher is not None
    assert teacher.network is averaged
    assert teacher.own
    assert teacher.by_eight


def test_teachers_that_cannot_teach_are_refused(tmp_path: Path) -> None:
    _save(tmp_path / "x3" / "best.pt", scale=3)
    (tmp_path / "odd").mkdir()
    Checkpoint({"a": torch.ones(1)}, {"step": 1, "recipe": {"network": TINY}}).save(tmp_path / "odd" / "best.pt")
    Checkpoint({"a": torch.ones(1)}, {"step": 1}).save(tmp_path / "none" / "best.pt")
    cases = {
        "absent": "the teacher 'absent' is to be read from .*absent/best.pt, which is not there; train it first",
        "lost.pt": "the teacher 'lost.pt' is to be read from lost.pt, which is not there",
        "widest": "teacher = 'widest' is for supernets; abpn is one network",
        "x3": "enlarges ×3; a teacher of this run must enlarge ×2",
        "odd": "no network can be made of it",
        "none": re.escape("no network can be made of it ('recipe')"),
    }
    for name, reason in cases.items():
        with pytest.raises(TrainingError, match=reason):
            teacher_of(TrainPart(teacher=name), _built(), tmp_path / "run", None, CPU)
