"""`edgelift` and its standard streams: names that they cannot take, streams that are closed, and nobody who reads them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

if sys.platform == "win32":
    pytest.skip("streams and names are those of POSIX", allow_module_level=True)

EDGELIFT = (sys.executable, "-m", "edgelift")
UPSCALE = (*EDGELIFT, "upscale", "-m", "nearest", "-o")


def save(path: Path, side: int = 8) -> Path:
    pyvips.Image.new_from_array(np.full((side, side, 3), 9, np.uint8)).pngsave(str(path))
    return path


def run(*words: object, **settings: Any) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **settings.pop("env", {})}
    return subprocess.run(
        [word if isinstance(word, bytes) else str(word) for word in words],
        capture_output=True, check=False, env=environment, **settings,
    )  # fmt: skip


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with a picture whose name is not UTF-8."""
    inside = tmp_path / "in"
    inside.mkdir()
    try:
        (inside / os.fsdecode(b"\xe9.png")).write_bytes(save(tmp_path / "a.png").read_bytes())
    except OSError:
        pytest.skip("the file system takes UTF-8 only")
    return inside


@pytest.mark.parametrize("encoding", ["utf-8:strict", "cp1252", "ascii"])
def test_names_that_are_not_text(odd: Path, tmp_path: Path, encoding: str) -> None:
    (odd / "z.png").write_bytes(b"no picture")
    report = tmp_path / "r.json"
    words = (*UPSCALE, tmp_path / "out", odd, "--json-events", "--json", report)
    done = run(*words, env={"PYTHONIOENCODING": encoding})
    assert done.returncode == 3, done.stderr
    assert b"Traceback" not in done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    named = {os.fsencode(event["input"]) for event in events[:2]}
    assert named == {os.fsencode(odd / "z.png"), os.fsencode(odd) + b"/\xe9.png"}
    assert json.loads(report.read_text(encoding="ascii"))["done"] == 1


@pytest.mark.parametrize("encoding", ["cp1251", "cp1252", "ascii"])
def test_signs_that_an_encoding_lacks(odd: Path, tmp_path: Path, encoding: str) -> None:
    done = run(*UPSCALE, tmp_path / "out", odd, "--dry-run", env={"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"8" in done.stdout


def test_standard_output_that_is_closed(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png")
    for words in (("-", "-f", "png"), (tmp_path / "b.png", "--json", "-")):
        done = run("sh", "-c", 'exec "$@" >&-', "sh", *UPSCALE, *words, source)
        assert done.returncode == 4
        assert done.stderr.startswith(b"edgelift: standard output is closed; ")
    done = run("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *UPSCALE, tmp_path / "b.png", source, "--json-events")
    assert done.returncode == 0
    assert pyvips.Image.new_from_file(str(tmp_path / "b.png")).width == 16


def test_nobody_reads_the_events(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    for k in range(6):
        save(inside / f"{k}.png")
    reader, writer = os.pipe()
    os.close(reader)
    words = [*map(str, UPSCALE), str(tmp_path / "out"), str(inside), "--json-events"]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"6 pictures done\n")
    assert len(list((tmp_path / "out").iterdir())) == 6


def test_nobody_reads_what_is_printed() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*EDGELIFT, "models"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_report_goes_to_a_terminal(tmp_path: Path) -> None:
    shown, terminal = os.openpty()
    words = [*map(str, UPSCALE), str(tmp_path / "b.png"), str(save(tmp_path / "a.png")), "--json", "-"]
    done = subprocess.run(words, stdout=terminal, stderr=subprocess.PIPE, check=False)
    os.close(terminal)
    said = b""
    try:
        while part := os.read(shown, 4096):
            said += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(shown)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(said)["done"] == 1


def test_a_run_that_is_interrupted_reports_what_was_done(tmp_path: Path) -> None:
    inside, out, report = tmp_path / "in", tmp_path / "out", tmp_path / "r.json"
    inside.mkdir()
    save(inside / "a.png")
    save(inside / "b.png", 3000)
    words = [*EDGELIFT, "upscale", str(inside), "-o", str(out), "-m", "lanczos", "-s", "8", "--json", str(report)]
    process = subprocess.Popen([*words, "--json-events"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["status"] == "done"
    until = time.monotonic() + 60
    while not list(out.glob(".b_x8.png*")) and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "edgelift: interrupted; nothing half-written was left\n")
    facts = json.loads(report.read_text())
    assert (facts["interrupted"], facts["done"]) == (True, 1)
    assert [row["input"] for row in facts["pictures"]] == [str(inside / "a.png")]
