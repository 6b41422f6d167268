"""Checkpoints that are unknown here, by spandrel; skipped where that is not installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edgelift.core.errors import BundleError, RequestError  # noqa: E402
from edgelift.forge import spandrel as by_spandrel  # noqa: E402
from edgelift.forge.importing import import_checkpoint  # noqa: E402
from edgelift.io.bundle import read_bundle  # noqa: E402


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SAFMN with drawn weights."""
    if not by_spandrel.available():
        pytest.skip("spandrel is not installed (pip install 'edgelift[spandrel]')")
    by_spandrel._package()
    from spandrel.architectures.SAFMN import SAFMN

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("foreign") / "safmn.pth"
    torch.save({"params": SAFMN(dim=8, n_blocks=2, upscaling_factor=2).state_dict()}, path)
    return path


def test_a_network_of_spandrel_becomes_a_bundle(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"safmn\.pth: it enlarges ×2, not ×4: it is SAFMN by spandrel"):
        import_checkpoint(checkpoint, tmp_path / "out.onnx", scale=4)
    import_checkpoint(checkpoint, tmp_path / "out.onnx", licence="MIT")
    spec = read_bundle(tmp_path / "out.onnx").spec
    assert (spec.scale, spec.halo, spec.licence, spec.parameters > 0) == (2, None, "MIT", True)
    assert spec.training["imported"]["form"] == "SAFMN, by spandrel"
    assert spec.training["imported"]["file"] == "safmn.pth"


def test_what_spandrel_does_not_know_either(checkpoint: Path, tmp_path: Path) -> None:
    torch.save({"odd.weight": torch.ones(3, 3)}, tmp_path / "odd.pth")
    with pytest.raises(BundleError, match=r"odd\.pth: of no form that is known here or to spandrel"):
        import_checkpoint(tmp_path / "odd.pth", tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_without_spandrel_it_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(by_spandrel, "available", lambda: False)
    torch.save({"odd.weight": torch.ones(3, 3)}, tmp_path / "odd.pth")
    with pytest.raises(BundleError, match=r"of no known form: .* pip install 'edgelift\[spandrel\]' knows more"):
        import_checkpoint(tmp_path / "odd.pth", tmp_path / "out.onnx")
