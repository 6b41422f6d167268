"""`benchmark_model` on a phone by adb, with a script in the place of adb."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from edgelift.cli.app import run as edgelift
from edgelift.core.errors import BundleError, EngineError, EngineMissingError, RequestError
from edgelift.evaluate.profile.phone import Phone, Timed, is_phone, time_on_phone

# What the tool says, with the lines that matter and some that do not.
SAID = """INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=1 curr=18535 p5=18535 median=18535 p95=18535
INFO: count=2 first=18535 curr=14000 min=14000 max=18535 avg=16267 std=2267
INFO: Running benchmark for at least 10 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: count=10 first=14600 curr=14580 min=14210 max=15190 avg=14575.2 std=312 p5=14210 median=14580 p95=15190
INFO: Inference timings in us: Init: 5685, First inference: 18535, Warmup (avg): 16267, Inference (avg): 14575.2
INFO: Memory footprint delta from the start of the tool (MB): init=9.5 overall=21.4
"""
ADB = """#!{python}
import json, os, sys
state = json.load(open({state!r}))
words = sys.argv[1:]
open({log!r}, "a").write(json.dumps(words) + "\\n")
def end(code, out="", err=""):
    sys.stdout.write(out); sys.stderr.write(err); sys.exit(code)
if words == ["devices"]:
    end(state.get("devices_code", 0), state["devices"])
assert words[0] == "-s"
command = words[2:]
if command[0] == "push":
    assert os.path.isfile(command[1])
    end(state.get("push_code", 0), "", state.get("push", "1 file pushed"))
line = command[1]
if line.startswith("ls "):
    end(state.get("tool", 0), line)
if line.startswith("getprop"):
    end(0, {{"ro.product.manufacturer": "Maker", "ro.product.model": "Phone 7", "ro.soc.model": "SM1"}}[line.split()[1]] + "\\n")
if line.startswith("rm -f"):
    end(0)
end(state.get("code", 0), state["said"], state.get("err", ""))
"""


class Fake:
    """The script, what it is told to say, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.state_file, self.log = folder / "state.json", folder / "log"
        self.tell()
        (folder / "bin").mkdir()
        place = folder / "bin" / "adb"
        place.write_text(
            ADB.format(python=sys.executable, state=str(self.state_file), log=str(self.log)), encoding="utf-8"
        )
        place.chmod(place.stat().st_mode | stat.S_IXUSR)
        self.folder = folder / "bin"

    def tell(self, **state: Any) -> None:
        base = {"devices": "List of devices attached\nABC\tdevice\n\n", "said": SAID}
        self.state_file.write_text(json.dumps(base | state), encoding="utf-8")

    @property
    def asked(self) -> list[list[str]]:
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake(tmp_path)
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    return made


@pytest.fixture
def file(others: Any, tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(others.theirs())
    return path


def test_the_figures_are_read(fake: Fake, file: Path) -> None:
    found = time_on_phone(file, Phone(delegate="gpu"))
    assert found == Timed(
        "m.tflite", 20, 24, "ABC", "Maker Phone 7 SM1", "gpu", 4, "f0", 10, 14.5752, 14.21, 15.19, 0.312, 18.535, 5.685,
        "all of it",
    )  # fmt: skip
    words = next(words[3] for words in fake.asked if "benchmark_model --graph" in words[-1])
    assert words.startswith("taskset f0 /data/local/tmp/benchmark_model --graph=/data/local/tmp/edgelift-")
    for flag in ("--num_threads=4", "--num_runs=10", "--use_gpu=true", "--gpu_precision_loss_allowed=true"):
        assert flag in words.split()
    assert fake.asked[-4][3].startswith("rm -f /data/local/tmp/edgelift-"), "the device is left as it was"


@pytest.mark.parametrize(("delegate", "flag"), [("nnapi", "--use_nnapi=true"), ("cpu", "")])
def test_what_runs_it_is_said_by_flags(fake: Fake, file: Path, delegate: str, flag: str) -> None:
    said = (
        SAID if delegate != "cpu" else SAID.replace("Explicitly applied GPU delegate, and the model graph will be", "")
    )
    fake.tell(
        said=said.replace(
            "completely executed by the delegate", "partially executed by the delegate w/ 2 delegate kernels"
        )
    )
    found = time_on_phone(file, Phone(delegate=delegate, threads=2, runs=3, cores="c"))
    line = next(words[3] for words in fake.asked if "benchmark_model --graph" in words[-1])
    assert line.startswith("taskset c ")
    assert "--num_threads=2 --num_runs=3" in line
    assert ("--use_" in line) == bool(flag)
    assert flag in line
    assert found.delegated == ("part of it, in 2 pieces" if flag else "")


def test_the_device_that_is_named_is_taken(fake: Fake, file: Path) -> None:
    fake.tell(devices="List of devices attached\nABC\tdevice\nX:5\tdevice\n")
    assert time_on_phone(file, Phone("adb:X:5")).serial == "X:5"
    assert is_phone("adb")
    assert is_phone("adb:X:5")
    assert not is_phone("adbx")


TWO = "List of devices attached\nABC\tdevice\nXYZ\tdevice\n"


@pytest.mark.parametrize(
    ("device", "state", "error", "says"),
    [
        ("adb", {"devices": "List of devices attached\n\n"}, EngineError, "no Android device is ready; adb knows none. Connect"),
        ("adb", {"devices": "List of devices attached\nA\tunauthorized\n"}, EngineError, r"adb knows A \(unauthorized\)"),
        ("adb", {"devices": TWO}, RequestError, "several devices are connected: ABC, XYZ; say which: --device adb:ABC"),
        ("adb:Q", {"devices": TWO}, RequestError, r"no device 'Q' is ready; adb knows ABC \(device\), XYZ"),
        ("adb", {"devices": "cannot connect to daemon\n", "devices_code": 1}, EngineError, "cannot list devices: cannot connect"),
        ("adb", {"tool": 1}, EngineMissingError, r"benchmark_model is not on ABC: get the one .* adb push"),
        ("adb", {"push_code": 1, "push": "No space left"}, EngineError, r"m\.tflite: cannot be copied to ABC: No space left"),
        ("adb", {"code": 1, "said": "ERROR: Failed to load"}, EngineError, r"failed on ABC \(exit code 1\): ERROR: Failed to"),
        ("adb", {"code": 1, "said": "", "err": "taskset: failed to set mask"}, EngineError, "try other cores"),
        ("adb", {"code": 137, "said": ""}, EngineError, "it said nothing, exit code 137"),
        ("adb", {"said": "INFO: STARTING!\nhello"}, EngineError, "is not understood; its last line: hello"),
        ("adb", {"said": SAID.replace("avg=", "mean=")}, EngineError, "is not understood"),
        ("adb", {"said": SAID.replace("Init: 5685", "Init: 5.6.8")}, EngineError, "is not understood"),
    ],
)  # fmt: skip
def test_what_can_go_wrong(
    fake: Fake, file: Path, device: str, state: dict[str, Any], error: type[Exception], says: str
) -> None:
    fake.tell(**state)
    with pytest.raises(error, match=says):
        time_on_phone(file, Phone(device))
    if state.get("code") or state.get("push_code"):
        assert any(words[-1].startswith("rm -f") for words in fake.asked), "also after errors nothing is left"


def test_a_delegate_that_does_nothing_is_not_timed(fake: Fake, file: Path) -> None:
    fake.tell(said="\n".join(line for line in SAID.splitlines() if "delegate" not in line))
    with pytest.raises(EngineError, match="the gpu delegate was not used on ABC"):
        time_on_phone(file, Phone(delegate="gpu"))


def test_without_adb_it_is_named(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineMissingError, match="adb is not on the PATH; install Android's platform tools"):
        time_on_phone(file, Phone())


def test_other_files_are_refused(fake: Fake, tmp_path: Path, plain_bundle: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(b"nothing")
    with pytest.raises(BundleError, match=r"not a \.tflite file"):
        time_on_phone(tmp_path / "x.tflite", Phone())
    with pytest.raises(RequestError, match=r"phones run \.tflite files"):
        time_on_phone(plain_bundle, Phone())
    assert not fake.log.exists()


@pytest.mark.parametrize("wrong", [{"delegate": "tpu"}, {"cores": "0x4; reboot"}, {"threads": 0}, {"runs": 0}])
def test_requests_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        Phone(**wrong)


def test_the_command(fake: Fake, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edgelift(["profile", str(file), "--device", "adb", "--delegate", "gpu", "-o", str(tmp_path / "t.json")]) == 0
    out = capsys.readouterr().out
    assert "m.tflite on Maker Phone 7 SM1 (ABC), gpu, 4 threads, cores f0" in out
    assert "20×24, 10 runs: 14.58 ms on average (14.21 to 15.19, deviation 0.31)" in out
    assert "the delegate runs all of it" in out
    assert json.loads((tmp_path / "t.json").read_text())["phone"]["mean"] == 14.5752
    for words, code in (
        (["profile", str(file), "--device", "adb", "--only", "nodes"], 2),
        (["profile", str(file), "--device", "adb", "--cores", "xyz"], 2),
        (["profile", str(tmp_path / "absent.tflite"), "--device", "adb"], 2),
        (["profile", str(file), "--delegate", "gpu"], 2),
    ):
        assert edgelift(words) == code
        assert capsys.readouterr().err.count("\n") == 1
