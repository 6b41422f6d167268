"""Pruning as a whole, on a tiny network: what is written, what it is, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from edgelift.core.errors import BundleError, OutputError, RequestError, TrainingError
from edgelift.forge import prune as pruning
from edgelift.forge.bundles import bundle_network, network_from
from edgelift.forge.prune import Wish, prune
from edgelift.io.bundle import read_bundle
from edgelift.nets import zoo
from edgelift.nets.network import Network
from edgelift.runtime.engines import availability
from edgelift.training.checkpoint import Checkpoint

HERE = [found.engine for found in availability() if not found.problem]
pytestmark = pytest.mark.skipif(not HERE, reason="no engine is installed")
TINY = {"scale": 2, "channels": 12, "layers": 1}
RECIPE = {
    "name": "tiny", "network": {"architecture": "abpn", **TINY}, "data": {"patch": 8, "batch": 2, "validation": 1},
    "train": {"steps": 50, "validate_every": 5},
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noise")
    for k in range(3):
        pixels = np.random.default_rng(k).integers(0, 256, (48, 48, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("whole") / "tiny.onnx"
    bundle_network(zoo.build("abpn", **TINY), "tiny", "CC0-1.0", {"recipe": RECIPE}, path)
    return path


def quiet(line: str) -> None:
    pass


def test_a_network_becomes_a_smaller_one(bundle: Path, data: Path, tmp_path: Path) -> None:
    said: list[str] = []
    made = prune(str(bundle), Wish(share=0.6, steps=6), [data], tmp_path / "run", tmp_path / "p.onnx", say=said.append)
    whole, small = read_bundle(bundle), read_bundle(tmp_path / "p.onnx")
    assert small.spec.macs == pytest.approx(made.share * whole.spec.macs)
    assert made.share <= 0.6
    assert small.spec.parameters < whole.spec.parameters
    assert len(small.data) < len(whole.data)
    assert small.spec.halo == whole.spec.halo
    assert small.spec.name == f"tiny-{100 * made.share:.0f}"
    shapes = {t.name: list(t.dims) for t in small.graph().graph.initializer}
    assert made.widths
    assert all(shapes[f"{name}.weight"][0] == width for name, width in made.widths.items()), "dense, and really smaller"
    assert network_from(small).config["pruned"] == made.widths
    assert small.spec.training["recipe"]["train"]["steps"] == 6
    assert small.spec.licence == "CC0-1.0"
    assert "imported" not in small.spec.training
    assert made.parity.ms > 0
    assert any("of the multiply-adds; channels: " in line for line in said)
    again = prune(str(bundle), Wish(share=0.6, steps=6), [data], tmp_path / "run", tmp_path / "q.onnx", say=quiet)
    assert again.bundle.data == small.data, "a run that is finished is not trained again"


def test_weights_of_others_stay_theirs(data: Path, tmp_path: Path) -> None:
    origin = {"file": "theirs.pth", "sha256": "0" * 64, "form": "a form"}
    bundle_network(
        zoo.build("abpn", **TINY),
        "theirs",
        "CC-BY-NC-4.0",
        {"recipe": RECIPE, "imported": origin},
        tmp_path / "theirs.onnx",
    )
    wish = Wish(share=0.6, steps=2)
    prune(str(tmp_path / "theirs.onnx"), wish, [data], tmp_path / "run", tmp_path / "p.onnx", say=quiet)
    small = read_bundle(tmp_path / "p.onnx").spec
    assert (small.licence, small.training["imported"]) == ("CC-BY-NC-4.0", origin)


def test_a_run_that_was_stopped_goes_on(bundle: Path, data: Path, tmp_path: Path) -> None:
    wish, asked = Wish(share=0.6, steps=6, saliency="l1"), iter(range(1, 100))
    with pytest.raises(TrainingError, match="stopped at step 2"):
        prune(str(bundle), wish, [data], tmp_path / "r", tmp_path / "p.onnx", say=quiet, stop=lambda: next(asked) == 2)
    assert not (tmp_path / "p.onnx").exists()
    said: list[str] = []
    prune(str(bundle), wish, [data], tmp_path / "r", tmp_path / "p.onnx", say=said.append)
    assert any("going on at step 2" in line for line in said)
    with pytest.raises(TrainingError, match=r"holds another pruning .*; give another --run or remove it"):
        prune(str(bundle), Wish(share=0.5, steps=6), [data], tmp_path / "r", tmp_path / "o.onnx", say=quiet)


def test_a_run_of_another_file_of_the_same_name_is_refused(data: Path, tmp_path: Path) -> None:
    wish = Wish(share=0.6, steps=2, saliency="l1")
    for seed, folder in enumerate(("a", "b")):
        torch.manual_seed(seed)
        Checkpoint(zoo.build("abpn", **TINY).state_dict(), {"recipe": RECIPE, "step": 1}).save(
            tmp_path / folder / "best.pt"
        )
    prune(str(tmp_path / "a" / "best.pt"), wish, [data], tmp_path / "run", tmp_path / "p.onnx", say=quiet)
    with pytest.raises(TrainingError, match="holds another pruning"):
        prune(str(tmp_path / "b" / "best.pt"), wish, [data], tmp_path / "run", tmp_path / "q.onnx", say=quiet)
    facts = tmp_path / "run" / "start.json"
    meta = json.loads(facts.read_text(encoding="utf-8"))
    del meta["wish"]["sha256"]  # as before the file was noted
    facts.write_text(json.dumps(meta), encoding="utf-8")
    prune(str(tmp_path / "a" / "best.pt"), wish, [data], tmp_path / "run", tmp_path / "q.onnx", say=quiet)


def test_a_checkpoint_of_several_branches_is_narrowed_as_what_it_folds_to(data: Path, tmp_path: Path) -> None:
    recipe = {**RECIPE, "network": {**RECIPE["network"], "block": "reparam"}}  # type: ignore[dict-item]
    network = zoo.build("abpn", **TINY, block="reparam")
    Checkpoint(network.state_dict(), {"recipe": recipe, "step": 1}).save(tmp_path / "best.pt")
    made = prune(
        str(tmp_path / "best.pt"), Wish(share=0.6, steps=2, saliency="median"), [data], tmp_path / "run",
        tmp_path / "p.onnx", say=quiet,
    )  # fmt: skip
    assert made.bundle.spec.config["block"] == "plain"


def timed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A machine on which a window takes a millisecond for each 100 multiply-adds a pixel."""
    times: list[float] = []

    def count(network: Network, name: str, size: tuple[int, int]) -> float:
        times.append(network.macs_per_pixel() / 100)
        return times[-1]

    monkeypatch.setattr(pruning, "_milliseconds", count)
    return times


def test_a_time_is_met_by_the_largest_network_that_meets_it(
    bundle: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = timed(monkeypatch)
    whole = read_bundle(bundle).spec.macs / 100
    wish = Wish(ms=0.7 * whole, steps=2, multiple=1)
    made = prune(str(bundle), wish, [data], tmp_path / "run", tmp_path / "p.onnx", say=quiet)
    assert 0.6 < made.share <= 0.7
    assert times[0] == whole
    assert len(times) <= 1 + pruning.SEARCH


def test_times_that_cannot_be_or_are_met_already(
    bundle: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(monkeypatch)
    with pytest.raises(RequestError, match="asks for no pruning"):
        prune(str(bundle), Wish(ms=9999), [data], tmp_path / "run", tmp_path / "p.onnx", say=quiet)
    with pytest.raises(RequestError, match=r"0\.001 ms cannot be reached here"):
        prune(str(bundle), Wish(ms=0.001), [data], tmp_path / "run", tmp_path / "p.onnx", say=quiet)
    assert not (tmp_path / "run").exists()


def test_a_window_is_timed_on_a_real_engine() -> None:
    assert pruning._milliseconds(zoo.build("abpn", **TINY), "tiny", (16, 24)) > 0


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({}, "say how small: --share of the multiply-adds, or --ms"), ({"share": 0.5, "ms": 1.0}, "one of the two"),
        ({"share": 1.0}, "between 0 and 1, got 1"), ({"share": float("nan")}, "between 0 and 1, got nan"),
        ({"ms": 0.0}, "must be above 0"), ({"share": 0.5, "saliency": "luck"}, "saliency must be one of taylor, l1, median"),
        ({"share": 0.5, "multiple": 0}, "at least 1"), ({"share": 0.5, "steps": 0}, "at least 1"),
    ],
)  # fmt: skip
def test_wishes_that_make_no_sense(wish: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        Wish(**wish)


def test_models_that_cannot_be_pruned(data: Path, tmp_path: Path, plain_bundle: Path) -> None:
    wish = Wish(share=0.5, steps=2)
    for model, kind, says in (
        ("anytime-x2", RequestError, "branched-plain is a supernet"),
        ("fsrcnn-x3", BundleError, r"cannot be trained on; name its checkpoint \(\.pt\)"),
        (str(plain_bundle), BundleError, "no network can be rebuilt from it"),
        ("absent", RequestError, "no model is called 'absent'"),
        ("absent.pt", TrainingError, "not a checkpoint"),
    ):
        with pytest.raises(kind, match=says):
            prune(model, wish, [data], tmp_path / "run", tmp_path / "p.onnx", say=quiet)
    (tmp_path / "p.onnx").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        prune("abpn-x3", wish, [data], tmp_path / "run", tmp_path / "p.onnx", say=quiet)
    assert (tmp_path / "p.onnx").read_text() == "mine"
    assert not (tmp_path / "run").exists()
