"""The commands beside `upscale`, and what holds for all."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import pyvips

from edgelift import __version__
from edgelift.io.bundle import bundled


def test_no_words_are_a_question_for_help(edgelift) -> None:
    assert edgelift() == edgelift("--help")
    assert edgelift("toolchain").err == "edgelift: Missing command; see edgelift --help\n"


def test_a_name_that_no_file_can_have_is_an_error_of_one_line(edgelift, tmp_path: Path) -> None:
    long = tmp_path / ("n" * 300)
    for words in (("niqe", long), ("evaluate", "bicubic", "-s", 2, "--hr", long), ("degrade", long, "-o", tmp_path)):
        said = edgelift(*words)
        assert (said.code, "File name too long" in said.err) == (2, True)


def test_help_names_every_command(edgelift) -> None:
    said = edgelift("--help")
    assert said.code == 0
    listed = {line.split()[0] for line in said.out.partition("Commands:")[2].splitlines() if line.strip()}
    measuring = {"evaluate", "niqe", "score", "profile"}
    building = {
        "degrade",
        "train",
        "average",
        "export",
        "import",
        "edge-table",
        "quantize",
        "compile",
        "targets",
        "check",
    }
    assert {"upscale", "plan", "models", "devices"} | building | measuring <= listed


@pytest.mark.parametrize("command", ["evaluate", "niqe", "score", "profile"])
def test_measuring_commands_explain_themselves(edgelift, command: str) -> None:
    said = edgelift(command, "--help")
    assert (said.code, said.err) == (0, "")
    assert "--json" in said.out
    assert edgelift(command).code == 2  # there is always something to name


def test_version(edgelift) -> None:
    assert edgelift("--version").out.strip() == f"edgelift {__version__}"


def test_models_lists_all(edgelift) -> None:
    said = edgelift("models")
    assert said.code == 0
    for name in [*bundled(), "bicubic", "lanczos"]:
        assert name in said.out


def test_models_show(edgelift) -> None:
    said = edgelift("models", "show", "abpn-x3")
    assert "parameters: 42539" in said.out
    assert "halo: 7" in said.out
    assert edgelift("models", "show", "nothing").code == 2


def test_devices_says_what_is_missing(edgelift, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "openvino" else find(name, *rest)
    )
    assert "pip install 'edgelift[openvino]'" in edgelift("devices").out


def test_upscale_without_any_engine_says_what_to_do(edgelift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
    said = edgelift("upscale", tmp_path, "-o", tmp_path / "o", "-s", 3)
    assert said.code == 7
    assert "pip install 'edgelift[openvino]'" in said.err
    assert "bicubic" in said.err


def test_training_without_torch_says_what_to_do(edgelift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
    said = edgelift("train", tmp_path / "r.toml", "--data", tmp_path)
    assert said.code == 7
    assert "pip install 'edgelift[train]'" in said.err


def test_train_export_upscale(edgelift, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    data = tmp_path / "data"
    data.mkdir()
    rng = np.random.default_rng(0)
    for k in range(4):
        low = rng.integers(0, 256, (8, 8, 3)).repeat(9, axis=0).repeat(9, axis=1).astype(np.uint8)
        pyvips.Image.new_from_array(low).pngsave(str(data / f"{k}.png"))
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        '[network]\narchitecture = "abpn"\nscale = 2\nchannels = 4\nlayers = 1\n'
        "[data]\npatch = 16\nbatch = 2\nvalidation = 1\n[train]\nsteps = 12\nvalidate_every = 6\n"
    )
    log = tmp_path / "LOG.md"
    said = edgelift("train", recipe, "--data", data, "--run", tmp_path / "run", "--log", log)
    assert said.code == 0, said.err
    assert "tiny | 12 |" in log.read_text(encoding="utf-8")
    said = edgelift("train", recipe, "--data", data, "--start", "absent", "--run", tmp_path / "new", "--log", log)
    assert said.code == 2
    assert log.read_text(encoding="utf-8").splitlines()[-1].split(" | ")[2:6] == ["0", "0.0", "–", "–"], (
        "refused, and noted"
    )
    bundle = tmp_path / "tiny.onnx"
    assert edgelift("export", tmp_path / "run" / "best.pt", "-o", bundle).code == 0
    assert edgelift("export", tmp_path / "run" / "best.pt", "-o", bundle).code == 4
    pytest.importorskip("openvino")
    assert edgelift("upscale", data / "0.png", "-o", tmp_path / "o.png", "-m", bundle).code == 0
    assert pyvips.Image.new_from_file(str(tmp_path / "o.png")).width == 144


def test_export_of_what_is_no_checkpoint(edgelift, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    wrong = tmp_path / "w.pt"
    wrong.write_bytes(b"nothing")
    said = edgelift("export", wrong, "-o", tmp_path / "o.onnx")
    assert said.code == 8
    assert not (tmp_path / "o.onnx").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_half_written(tmp_path: Path, kind: signal.Signals) -> None:
    source = tmp_path / "big.png"
    pyvips.Image.black(3000, 3000, bands=3).pngsave(str(source))
    words = [sys.executable, "-m", "edgelift", "upscale", str(source), "-o", str(tmp_path / "out.png"), "-m", "lanczos"]
    process = subprocess.Popen(
        [*words, "-s", "8"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    until = time.monotonic() + 60
    while not list(tmp_path.glob(".out.png*")) and time.monotonic() < until:
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.05)
    process.send_signal(kind)
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err == "edgelift: interrupted; nothing half-written was left\n"
    assert [p.name for p in tmp_path.iterdir()] == ["big.png"]
