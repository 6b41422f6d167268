"""A `.tflite` file timed on an Android device: TensorFlow Lite's `benchmark_model`, driven by adb, and its figures.

The file is pushed to the device, run there as Chiang et al. 2020 do it (10 runs, 4 threads, pinned to some of the cores, on
the CPU or by the GPU or NNAPI delegate, 16-bit floats allowed), and removed again.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgelift.core.errors import EngineError, EngineMissingError, RequestError
from edgelift.io.bundle import Bundle
from edgelift.io.compiled import read_model
from edgelift.io.foreign import ends_of, sides_of
from edgelift.io.tflite import read_graph

__all__ = ["DELEGATES", "Phone", "Timed", "is_phone", "time_on_phone"]

FOLDER = "/data/local/tmp"
"""Where shells may write and run programs on Android."""
TOOL = f"{FOLDER}/benchmark_model"
GET_TOOL = (
    "get the one for the device's processor (tensorflow.org/lite/performance/measurement, native benchmark binary), then: "
    f"adb push benchmark_model {FOLDER} && adb shell chmod +x {TOOL}"
)
DELEGATES: dict[str, tuple[str, ...]] = {
    "cpu": (),
    "gpu": ("--use_gpu=true", "--gpu_precision_loss_allowed=true"),
    "nnapi": ("--use_nnapi=true", "--nnapi_allow_fp16=true"),
}
"""What runs the network -> the flags that say so."""
MASK = re.compile(r"[0-9a-f]{1,8}")
PATIENCE = 30
"""Seconds for an answer of adb; runs and pushes get `LONG`."""
LONG = 600


def is_phone(device: str) -> bool:
    """Whether `device` names an Android device: `adb`, or `adb:SERIAL`."""
    return device == "adb" or device.startswith("adb:")


@dataclass(frozen=True)
class Phone:
    """What to run on. Raises `RequestError` for what there is not."""

    device: str = "adb"
    delegate: str = "cpu"
    threads: int = 4
    runs: int = 10
    cores: str = "f0"
    """The mask of `taskset`, hexadecimal: f0 are the cores 4 to 7, which on most phones are the fast ones."""

    def __post_init__(self) -> None:
        if self.delegate not in DELEGATES:
            raise RequestError(f"a delegate is one of {', '.join(DELEGATES)}, got {self.delegate!r}")
        if not MASK.fullmatch(self.cores):
            raise RequestError(f"cores are a hexadecimal mask, such as f0 for the cores 4 to 7; got {self.cores!r}")
        if not 1 <= self.threads <= 64 or not 1 <= self.runs <= 10_000:
            raise RequestError(f"threads are 1 to 64 and runs 1 to 10000, got {self.threads} and {self.runs}")


@dataclass(frozen=True)
class Timed:
    """What `benchmark_model` said. Times are milliseconds."""

    model: str
    height: int
    width: int
    """Of the picture that goes in, as the file names it."""
    serial: str
    title: str
    """What the device calls itself."""
    delegate: str
    threads: int
    cores: str
    runs: int
    mean: float
    least: float
    most: float
    deviation: float
    first: float
    opening: float
    delegated: str
    """What it says about how much the delegate runs; empty where it says nothing."""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {"phone": asdict(self)}


Run = Callable[[Sequence[str], int], "subprocess.CompletedProcess[str]"]


def _run(words: Sequence[str], seconds: int) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as exc:
        raise EngineError(f"adb did not answer within {seconds} seconds: {' '.join(words[1:])}") from exc
    except OSError as exc:
        raise EngineMissingError(f"adb cannot be started ({exc.strerror}): {words[0]}") from exc


def time_on_phone(path: Path, phone: Phone, run: Run = _run) -> Timed:
    """Time the `.tflite` file `path` on that device.

    Raises `EngineMissingError` where adb or `benchmark_model` is missing, `EngineError` where there is no device, or what came
    back is not understood, `RequestError` where there are several devices, `BundleError` for another file.
    """
    bundle = read_model(path)
    if bundle.form != "litert":
        raise RequestError(f"{path}: phones run .tflite files; make one: edgelift compile --target litert")
    adb = _Adb(run, phone.device.partition(":")[2])
    if adb.shell(f"ls {TOOL}").returncode:
        raise EngineMissingError(f"{TOOL} is not on {adb.serial}: {GET_TOOL}")
    there = f"{FOLDER}/edgelift-{hashlib.sha256(bundle.data).hexdigest()[:16]}.tflite"
    try:
        adb.push(path, there)
        flags = [
            f"--graph={there}", f"--num_threads={phone.threads}", f"--num_runs={phone.runs}", "--min_secs=0",
            "--warmup_runs=1", *DELEGATES[phone.delegate],
        ]  # fmt: skip
        done = adb.shell(f"taskset {phone.cores} {TOOL} {' '.join(flags)}", LONG)
    finally:
        adb.shell(f"rm -f {there}")
    return _timed(done, bundle, path, phone, adb)


class _Adb:
    """adb, for one device."""

    def __init__(self, run: Run, serial: str) -> None:
        self._run = run
        found = shutil.which("adb")
        if found is None:
            raise EngineMissingError(
                "adb is not on the PATH; install Android's platform tools (developer.android.com/tools/releases/platform-tools)"
            )
        self._adb = found
        self.serial = self._chosen(serial)

    def _chosen(self, asked: str) -> str:
        listed = self._run([self._adb, "devices"], PATIENCE)
        rows = [line.split("\t") for line in listed.stdout.splitlines() if "\t" in line]
        states = {row[0]: row[1].strip() for row in rows}
        if listed.returncode or (not states and "List of devices" not in listed.stdout):
            raise EngineError(f"adb cannot list devices: {_last(listed)}")
        ready = [serial for serial, state in states.items() if state == "device"]
        shown = ", ".join(f"{serial} ({state})" for serial, state in states.items()) or "none"
        if asked:
            if states.get(asked) != "device":
                raise RequestError(f"no device {asked!r} is ready; adb knows {shown}")
            return asked
        if not ready:
            raise EngineError(
                f"no Android device is ready; adb knows {shown}. Connect one by USB, switch on USB debugging in its developer "
                "options, and accept this computer on its screen"
            )
        if len(ready) > 1:
            raise RequestError(f"several devices are connected: {', '.join(ready)}; say which: --device adb:{ready[0]}")
        return ready[0]

    def shell(self, command: str, seconds: int = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run a line on the device."""
        return self._run([self._adb, "-s", self.serial, "shell", command], seconds)

    def push(self, path: Path, there: str) -> None:
        """Copy a file to the device."""
        done = self._run([self._adb, "-s", self.serial, "push", str(path), there], LONG)
        if done.returncode:
            raise EngineError(f"{path}: cannot be copied to {self.serial}: {_last(done)}")

    def title(self) -> str:
        """Maker, model and chip."""
        said = (self.shell(f"getprop ro.{key}") for key in ("product.manufacturer", "product.model", "soc.model"))
        return " ".join(word for word in (done.stdout.strip() for done in said if not done.returncode) if word)


def _last(done: subprocess.CompletedProcess[str]) -> str:
    """The last line that was said."""
    lines = [line.strip() for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"it said nothing, exit code {done.returncode}"


TIMINGS = re.compile(r"Init: ([\d.e+]+), First inference: ([\d.e+]+), .*Inference \(avg\): ([\d.e+]+)")
STATISTICS = re.compile(r"count=(\d+) .*min=([\d.e+]+) max=([\d.e+]+) avg=([\d.e+]+) std=([\d.e+]+)")
DELEGATED = re.compile(r"the model graph will be (\w+) executed by the delegate(?: w/ (\d+) delegate kernels?)?")


def _timed(done: subprocess.CompletedProcess[str], bundle: Bundle, path: Path, phone: Phone, adb: _Adb) -> Timed:
    said = f"{done.stdout}\n{done.stderr}"
    if done.returncode:
        hint = "; try other cores (--cores)" if "taskset" in _last(done) else ""
        raise EngineError(f"benchmark_model failed on {adb.serial} (exit code {done.returncode}): {_last(done)}{hint}")
    timings, statistics = TIMINGS.search(said), STATISTICS.findall(said)
    if timings is None or not statistics:
        raise EngineError(f"what benchmark_model said on {adb.serial} is not understood; its last line: {_last(done)}")
    delegated = DELEGATED.search(said)
    if phone.delegate != "cpu" and delegated is None:
        raise EngineError(
            f"the {phone.delegate} delegate was not used on {adb.serial}: benchmark_model does not say that it ran anything; its "
            f"last line: {_last(done)}"
        )
    count, least, most, mean, deviation = statistics[-1]
    graph = read_graph(bundle.data)
    ends = ends_of(graph)
    height, width = sides_of(ends.given, ends.given_planes)
    try:
        opening, first = (float(value) / 1000 for value in timings.groups()[:2])
        mean_ms, least_ms, most_ms, deviation_ms = (float(value) / 1000 for value in (mean, least, most, deviation))
    except ValueError as exc:
        raise EngineError(f"what benchmark_model said on {adb.serial} is not understood: {timings[0]}") from exc
    return Timed(
        path.name, height, width, adb.serial, adb.title(), phone.delegate, phone.threads, phone.cores, int(count),
        mean_ms, least_ms, most_ms, deviation_ms, first, opening, _words(delegated),
    )  # fmt: skip


def _words(delegated: re.Match[str] | None) -> str:
    if delegated is None:
        return ""
    how, pieces = delegated.groups()
    if how == "completely":
        return "all of it"
    return f"part of it, in {pieces} piece{'s' * (pieces != '1')}" if pieces else "part of it"
