"""What lies around the engine: array to array against the engine's own time, and a folder against a plain script.

`--pictures DIR` (low-resolution PNG files, such as BSD100's LR_x4) adds the folder comparison. See README.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.timing import in_turn, show
from edgelift import Upscaler
from edgelift.evaluate.machine import machine
from edgelift.runtime.engine import Engine, blocks_shape
from edgelift.runtime.pipeline import run_plan
from edgelift.runtime.rows import ArraySource, ArrayTarget

SCRIPT = """
import pathlib, sys
import numpy as np, onnxruntime
from PIL import Image
session = onnxruntime.InferenceSession(sys.argv[1])
for path in sorted(pathlib.Path(sys.argv[2]).iterdir()):
    picture = np.asarray(Image.open(path).convert("RGB"))
    (larger,) = session.run(None, {"image": picture[None]})
    Image.fromarray(larger[0]).save(pathlib.Path(sys.argv[3]) / (path.stem + ".png"))
"""


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def engine_alone(engine: Engine, upscaler: Upscaler, height: int, width: int) -> Callable[[], None]:
    """The engine on windows of the same number and shape, all in memory already."""
    plan = upscaler.plan(height, width)
    batch = noise(*plan.tile)[None]
    out = np.empty(blocks_shape(engine.spec, batch.shape), np.uint8)

    def run() -> None:
        for _ in range(len(plan)):
            engine.run(batch, 1, out)

    return run


def array_to_array(model: str, height: int, width: int, rounds: int) -> None:
    """`run_plan` into a fresh array against the same engine's calls alone."""
    upscaler = Upscaler(model, engine="openvino")
    engine, plan = upscaler._engine("uint8"), upscaler.plan(height, width)
    picture = noise(height, width)

    def whole() -> None:
        target = ArrayTarget(height * engine.spec.scale, width * engine.spec.scale, picture.dtype)
        run_plan(engine, plan, ArraySource(picture), target)

    alone = f"the engine alone on {len(plan)} windows of {plan.tile[0]}×{plan.tile[1]}"
    tasks = {"array to array": whole, alone: engine_alone(engine, upscaler, height, width)}
    show(f"{model}, {width}×{height} ({upscaler.runs_on})", in_turn(tasks, rounds), alone)


def folder_against_script(model: str, pictures: Path, rounds: int) -> None:
    """`edgelift upscale` on a folder, and a script of Pillow and ONNX Runtime, one picture after the other."""
    from edgelift.io.bundle import find_bundle

    with tempfile.TemporaryDirectory() as folder:
        ours = [sys.executable, "-m", "edgelift", "upscale", str(pictures), "-o", folder, "-m", model, "--overwrite"]
        theirs = [sys.executable, "-c", SCRIPT, str(find_bundle(model)), str(pictures), folder]
        tasks = {
            "edgelift upscale FOLDER": lambda: subprocess.run(ours, check=True, capture_output=True),
            "script: Pillow + ONNX Runtime": lambda: subprocess.run(theirs, check=True),
        }
        count = sum(1 for _ in pictures.iterdir())
        show(
            f"{count} pictures, {model}, PNG to PNG, whole processes",
            in_turn(tasks, rounds),
            "script: Pillow + ONNX Runtime",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pictures", type=Path)
    args = parser.parse_args()
    print(machine())
    array_to_array("abpn-x3", 360, 640, args.rounds)
    array_to_array("abpn-x2", 1360, 2040, args.rounds)
    if args.pictures:
        folder_against_script("abpn-x4", args.pictures, max(2, args.rounds // 3))


if __name__ == "__main__":
    main()
