"""Others' checkpoints become bundles; what is no checkpoint, or more than one, is refused."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
import torch

from edgelift.cli.app import run
from edgelift.core.errors import BundleError, EngineMissingError, OutputError, RequestError
from edgelift.forge import importing
from edgelift.forge.bundles import network_from
from edgelift.forge.importing import import_checkpoint, read_tensors
from edgelift.io.bundle import Bundle, read_bundle
from edgelift.training.checkpoint import Checkpoint


def _foreign() -> Any:
    """`tests/nets/foreign.py`: test folders are not importable."""
    place = importlib.util.spec_from_file_location("foreign", Path(__file__).parents[1] / "nets" / "foreign.py")
    assert place is not None
    assert place.loader is not None
    module = sys.modules["foreign"] = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


FOREIGN = _foreign()


def _tamed(name: str) -> Any:
    """A case whose results lie about 0 … 1: what is clipped is not compared."""
    case = FOREIGN.case(name)
    last = next(key for key in reversed(case.state) if key.endswith("weight") and case.state[key].dim() == 4)
    with torch.no_grad():
        spread = float(case.forward(torch.rand(1, 1 if case.colour == "y" else 3, 16, 16)).std())
        case.state[last] *= 0.1 / spread
        case.state[last.replace("weight", "bias")][:] = 0.5
    return case


def _save(case: Any, path: Path) -> Path:
    torch.save({"params": {"other": torch.zeros(1)}, "params_ema": case.state}, path)
    return path


def _result(bundle: Bundle, picture: np.ndarray) -> np.ndarray:
    evaluator = onnx.reference.ReferenceEvaluator(bundle.graph())
    return np.asarray(evaluator.run(None, {"image": picture})[0])


@pytest.mark.parametrize("name", ["srvgg", "imdn"])
def test_a_bundle_gives_what_the_foreign_network_gives(name: str, tmp_path: Path) -> None:
    case = _tamed(name)
    path = _save(case, tmp_path / "weights of others.pth")
    bundle = import_checkpoint(path, tmp_path / "mine.onnx", licence="BSD-3-Clause")
    assert read_bundle(tmp_path / "mine.onnx") == bundle
    spec = bundle.spec
    assert (spec.name, spec.architecture, spec.scale, spec.licence) == (
        "mine",
        case.architecture,
        case.scale,
        "BSD-3-Clause",
    )
    assert spec.training == {
        "imported": {
            "file": "weights of others.pth",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "form": spec.training["imported"]["form"],
        }
    }
    assert spec.training["imported"]["form"].startswith(case.form)
    assert os.fsencode(tmp_path) not in bundle.data, "no paths of the machine that made it"
    picture = np.random.default_rng(0).integers(0, 256, (1, 12, 16, 3), np.uint8)
    x = torch.from_numpy(picture).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        wanted = (case.forward(x) * 255).clamp(0, 255).permute(0, 2, 3, 1).numpy()
        again = (network_from(bundle)(x) * 255).clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(_result(bundle, picture) - wanted).max() <= 0.5 + 1e-2
    assert np.abs(again - wanted).max() <= 1e-2


@pytest.mark.parametrize("name", ["espcn", "edsr x4"])
def test_the_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bundle is named after the file, and lies where one is."""
    case = _tamed(name)
    _save(case, tmp_path / "theirs.pt")
    monkeypatch.chdir(tmp_path)
    assert run(["import", "theirs.pt"]) == 0
    spec = read_bundle(tmp_path / "theirs.onnx").spec
    assert (spec.name, spec.licence, spec.halo) == ("theirs", "LicenseRef-Unknown", 4 if name == "espcn" else 8)
    said = capsys.readouterr().out
    assert said.startswith(f"theirs.onnx: {case.architecture} ×{case.scale}, from {case.form}")
    assert f"halo {spec.halo}" in said
    assert run(["import", "theirs.pt"]) == OutputError.exit_code
    assert "exists already" in capsys.readouterr().err
    assert run(["import", "theirs.pt", "--scale", "3", "--overwrite"]) == RequestError.exit_code
    assert f"theirs.pt: it enlarges ×{case.scale}, not ×3" in capsys.readouterr().err
    assert run(["import", "absent.pt"]) == BundleError.exit_code
    assert "absent.pt: cannot be read (No such file" in capsys.readouterr().err


def test_a_run_of_our_own_is_exported(exports: Any, tmp_path: Path) -> None:
    network = exports.drawn("plain", scale=2, padding="zeros", channels=6, layers=1)
    part = {"architecture": "plain", **network.config}
    Checkpoint(network.state_dict(), {"recipe": {"name": "tiny", "network": part}, "step": 3}).save(
        tmp_path / "best.pt"
    )
    spec = import_checkpoint(tmp_path / "best.pt", tmp_path / "ours.onnx").spec
    assert (spec.name, spec.architecture, spec.training["step"]) == ("tiny", "plain", 3)


# -- files
def test_safetensors_and_pytorch_files_hold_the_same(tmp_path: Path) -> None:
    safe = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    state = FOREIGN.case("srvgg").state
    safe.save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "a.pth")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("a.safetensors", "a.pth", "old.pth"):
        found = read_tensors(tmp_path / name)
        assert found.keys() == state.keys()
        assert all(torch.equal(found[key], state[key]) for key in state)


def test_safetensors_may_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"x" * 20)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(EngineMissingError, match=r"safetensors is not installed; pip install 'edgelift\[import\]'"):
        read_tensors(tmp_path / "a.safetensors")


class _Harmful:
    """What would run a command if it were unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


@pytest.mark.parametrize("new", [True, False])
def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, new: bool) -> None:
    mark = tmp_path / "was run"
    path = tmp_path / "bad.pth"
    torch.save({"a": torch.zeros(1), "b": _Harmful(mark)}, path, _use_new_zipfile_serialization=new)
    with pytest.raises(BundleError, match=r"bad\.pth: it holds more than tensors and plain values"):
        import_checkpoint(path, tmp_path / "bad.onnx")
    assert not mark.exists()
    assert not (tmp_path / "bad.onnx").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files_are_refused(tmp_path: Path, suffix: str) -> None:
    state = FOREIGN.case("srvgg").state
    path = tmp_path / f"a{suffix}"
    if suffix == ".safetensors":
        pytest.importorskip("safetensors.torch", reason="safetensors is not installed").save_file(state, path)
    else:
        torch.save(state, path)
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[3] ^= 0xFF
    cut = b"\x80\x02G\0"  # a pickle that ends inside a number
    for data in (b"", b"text", cut, whole[:9], whole[: len(whole) // 2], bytes(changed)):
        path.write_bytes(data)
        with pytest.raises(BundleError, match="not a checkpoint"):
            read_tensors(path)


def test_records_are_counted_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, packed = _save(FOREIGN.case("srvgg"), tmp_path / "a.pth"), tmp_path / "packed.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    monkeypatch.setattr(torch, "load", lambda *args, **options: pytest.fail("it is read"))
    with pytest.raises(BundleError, match=r"packed\.pth: its records are compressed"):
        read_tensors(packed)
    monkeypatch.setattr(importing, "MAX_BYTES", 1000)
    monkeypatch.setattr(importing, "check_size", lambda path: None)
    with pytest.raises(BundleError, match=r"a\.pth: its records take \d+ bytes; at most"):
        read_tensors(path)


def test_what_is_no_file_of_a_checkpoint_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BundleError, match=r"cannot be read \(No such file"):
        read_tensors(tmp_path / "absent.pt")
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(BundleError, match="not a checkpoint"):
        read_tensors(tmp_path / "folder.pt")
    monkeypatch.setattr(importing, "MAX_BYTES", 10)
    path = _save(FOREIGN.case("srvgg"), tmp_path / "large.pt")
    with pytest.raises(BundleError, match="bytes; files of at most 10 are imported"):
        read_tensors(path)


def test_a_message_names_the_file(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pt")
    with pytest.raises(BundleError, match=r"a\.pt: of no known form: 1 tensors such as 'a'; known are"):
        import_checkpoint(tmp_path / "a.pt", tmp_path / "a.onnx")
