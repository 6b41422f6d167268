"""Checkpoints: what was saved comes back, and a file that is damaged or hostile is refused."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from edgelift.core.errors import OutputError, TrainingError
from edgelift.nets import zoo
from edgelift.training.checkpoint import Checkpoint, network_of

REFUSED = "not a checkpoint that edgelift wrote"


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def _checkpoint(step: int = 5) -> Checkpoint:
    torch.manual_seed(step)
    network = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    weights = {"a.weight": torch.randn(2, 3), "b": torch.arange(4)}
    meta = {"step": step, "seconds": 1.5, "recipe": {"name": "naïve ×3"}, "history": [[5, 30.25, 0.01]], "psnr_y": None}
    return Checkpoint(weights, meta, {"optimiser": optimiser.state_dict(), "network": network.state_dict()})


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    saved, path = _checkpoint(), tmp_path / "deep" / "run" / "last.pt"
    saved.save(path)
    loaded = Checkpoint.load(path)
    assert loaded.meta == saved.meta
    assert loaded.weights.keys() == saved.weights.keys()
    assert all(torch.equal(loaded.weights[key], saved.weights[key]) for key in saved.weights)
    again = torch.optim.Adam(torch.nn.Linear(3, 2).parameters())
    again.load_state_dict(loaded.state["optimiser"])
    assert repr(again.state_dict()) == repr(saved.state["optimiser"])
    assert sorted(p.name for p in path.parent.iterdir()) == ["last.json", "last.pt"]  # no scratch files left


def test_its_network_is_ready_to_run(tmp_path: Path) -> None:
    """A normalisation must use what training measured, and measure nothing itself."""
    plain = {"architecture": "srresnet", "scale": 2, "channels": 4, "layers": 1}
    network = zoo.build("srresnet", scale=2, channels=4, layers=1)
    network(torch.rand(2, 3, 8, 8))
    made = network_of(Checkpoint(network.state_dict(), {"step": 1, "recipe": {"network": plain}}), tmp_path)
    low = torch.rand(2, 3, 8, 8)
    assert torch.equal(made(low), network.eval()(low))
    assert all(torch.equal(value, made.state_dict()[name]) for name, value in network.state_dict().items())


def test_the_facts_are_readable_without_torch(tmp_path: Path) -> None:
    _checkpoint().save(tmp_path / "best.pt")
    text = (tmp_path / "best.json").read_text(encoding="utf-8")
    assert json.loads(text) == _checkpoint().meta
    assert "naïve ×3" in text


def test_a_finished_checkpoint_has_no_state(tmp_path: Path) -> None:
    Checkpoint({"a": torch.ones(1)}, {"step": 1}).save(tmp_path / "best.pt")
    assert Checkpoint.load(tmp_path / "best.pt").state == {}


def test_a_newer_one_replaces_it(tmp_path: Path) -> None:
    for step in (5, 6):
        _checkpoint(step).save(tmp_path / "last.pt")
    assert Checkpoint.load(tmp_path / "last.pt").meta["step"] == 6


def test_killed_between_the_two_files_the_tensors_decide_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.pt"
    _checkpoint(5).save(path)
    replace, calls = os.replace, []

    def dies_at_the_second(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        _checkpoint(6).save(path)
    loaded = Checkpoint.load(path)
    assert loaded.meta["step"] == 5
    assert torch.equal(loaded.weights["a.weight"], _checkpoint(5).weights["a.weight"])


def test_killed_while_it_writes_the_old_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    _checkpoint(5).save(path)

    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", disk_full)
    with pytest.raises(OutputError, match=r"last\.pt: cannot be written .*No space"):
        _checkpoint(6).save(path)
    assert Checkpoint.load(path).meta == _checkpoint(5).meta
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.json", "last.pt"]


def test_a_run_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        _checkpoint().save(tmp_path / "file" / "run" / "last.pt")


# -- files that are refused
@pytest.mark.parametrize("through_torch", [True, False])
def test_a_file_with_code_in_it_is_refused_and_not_run(tmp_path: Path, through_torch: bool) -> None:
    path, mark = tmp_path / "evil.pt", tmp_path / "ran"
    content = {"weights": {"a": Bomb(mark)}, "state": {}, "step": 1}
    if through_torch:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    path.with_suffix(".json").write_text('{"step": 1}')
    with pytest.raises(TrainingError, match=REFUSED):
        Checkpoint.load(path)
    assert not mark.exists()
    torch.load(path, weights_only=False) if through_torch else pickle.loads(path.read_bytes())
    assert mark.exists()  # the file was dangerous indeed


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "last.pt"
    _checkpoint().save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(TrainingError, match=REFUSED):
        Checkpoint.load(path)


@pytest.mark.parametrize(
    "data",
    [b"abc", bytes(100), b"PK\x03\x04" + b"0" * 50, b"j\xfd", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"\x80"],
)
def test_other_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(data)
    (tmp_path / "a.json").write_text('{"step": 1}')
    with pytest.raises(TrainingError, match=REFUSED):
        Checkpoint.load(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [torch.ones(3), [1, 2], {"weights": {}}, {"weights": {}, "step": 1}, None])
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
def test_tensors_without_the_expected_parts_are_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    (tmp_path / "a.json").write_text('{"step": 1}')
    with pytest.raises(TrainingError, match=REFUSED):
        Checkpoint.load(tmp_path / "a.pt")


@pytest.mark.parametrize("facts", [None, "", "{", "[]", "null", "{}", '"step"'])
def test_facts_that_are_missing_or_wrong_are_refused(tmp_path: Path, facts: str | None) -> None:
    path = tmp_path / "last.pt"
    _checkpoint().save(path)
    path.with_suffix(".json").unlink()
    if facts is not None:
        path.with_suffix(".json").write_text(facts)
    with pytest.raises(TrainingError, match=rf"last\.pt: {REFUSED}"):
        Checkpoint.load(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="No such file"):
        Checkpoint.load(tmp_path / "absent.pt")
