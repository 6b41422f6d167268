"""The program from process start to exit. See README.md for the contract."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyvips

from benchmarks.timing import in_turn, show
from edgelift.evaluate.machine import machine

PROGRAM = [sys.executable, "-m", "edgelift"]


def command(*words: str) -> Callable[[], object]:
    """A callable that runs the program and raises where it fails."""
    return lambda: subprocess.run([*PROGRAM, *words], check=True, capture_output=True)


def main() -> None:
    """Time `--help` and one 128×128 picture, the compiled model being in the cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.png"
        noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
        pyvips.Image.new_from_array(noise).pngsave(str(small))
        out = ("-o", str(Path(folder) / "out.png"), "--overwrite")
        tasks = {
            "python -c pass": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
            "edgelift --help": command("--help"),
            "edgelift upscale, 128×128, ABPN ×3": command("upscale", str(small), "--scale", "3", *out),
            "edgelift upscale, 128×128, bicubic ×3": command("upscale", str(small), "-m", "bicubic", "-s", "3", *out),
        }
        show("process start to exit", in_turn(tasks, rounds), "python -c pass")


if __name__ == "__main__":
    main()
