"""edgelift beside what else enlarges pictures on a CPU: the same weights, the same pictures, the same threads, in turn.

Networks: OpenCV's dnn module, plain ONNX Runtime, plain OpenVINO and plain PyTorch run the float graph of the bundled
network on the whole picture. Interpolations: OpenCV, Pillow and edgelift. Everything goes from a uint8 array to a uint8
array; making the graph, reading and writing are left out. `--data DIR` (Set5 …, each with HR/ and LR_xN/) takes those
pictures and says the PSNR-Y of what each of them made; a drawn picture of 640×360 is taken without it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import plain
from benchmarks.speed import picture
from benchmarks.timing import in_turn, show
from edgelift import Upscaler
from edgelift.core.metrics import psnr_y
from edgelift.evaluate.machine import machine
from edgelift.io.bundle import Bundle, bundled, read_bundle

Pixels = NDArray[np.uint8]
Way = Callable[[Pixels], Pixels]


def scripted(infer: plain.Infer) -> Way:
    """`infer` with the conversions that a script puts around it."""
    return lambda x: plain.bytes_of(infer(plain.planes(x)))


def networks(bundle: Bundle, x: Pixels, threads: int) -> dict[str, Way]:
    """Every way to run `bundle` on pictures of the size of `x`."""
    graph, name = plain.plain_graph(bundle, *x.shape[:2]), bundle.spec.name
    return {
        "edgelift, OpenVINO": Upscaler(name, engine="openvino", threads=threads),
        "edgelift, ONNX Runtime": Upscaler(name, engine="onnxruntime", threads=threads),
        "plain OpenVINO": scripted(plain.openvino(graph)),
        "plain ONNX Runtime": scripted(plain.onnxruntime(graph)),
        "plain PyTorch": scripted(plain.pytorch(bundle)),
        "OpenCV dnn": plain.opencv_dnn(graph),
    }


def interpolations(scale: int) -> dict[str, Way]:
    """Bicubic and Lanczos of edgelift, OpenCV and Pillow. Only edgelift's bicubic is MATLAB's."""
    import cv2

    def opencv(kind: int) -> Way:
        return lambda x: np.asarray(cv2.resize(x, None, fx=scale, fy=scale, interpolation=kind), np.uint8)

    def pillow(kind: Image.Resampling) -> Way:
        return lambda x: np.asarray(Image.fromarray(x).resize((x.shape[1] * scale, x.shape[0] * scale), kind))

    return {
        "edgelift bicubic": Upscaler("bicubic", scale=scale),
        "OpenCV bicubic": opencv(cv2.INTER_CUBIC),
        "Pillow bicubic": pillow(Image.Resampling.BICUBIC),
        "edgelift lanczos": Upscaler("lanczos", scale=scale),
        "OpenCV lanczos": opencv(cv2.INTER_LANCZOS4),
        "Pillow lanczos": pillow(Image.Resampling.LANCZOS),
    }


def pairs(folder: Path, scale: int) -> list[tuple[Pixels, Pixels]]:
    """(low resolution, reference) of the colour pictures in `folder`, in the order of their names."""
    small = {path.stem.removesuffix(f"x{scale}").rstrip("_"): path for path in (folder / f"LR_x{scale}").iterdir()}
    found = []
    for path in sorted((folder / "HR").iterdir()):
        with Image.open(path) as truth, Image.open(small[path.stem]) as low:
            if truth.mode != "L":
                found.append((np.asarray(low.convert("RGB")), np.asarray(truth.convert("RGB"))))
    return found


def quality(
    ways: Callable[[Pixels], dict[str, Way]], given: list[tuple[Pixels, Pixels]], scale: int
) -> dict[str, float]:
    """Mean PSNR-Y of each way's results."""
    rows: dict[str, list[float]] = {}
    for low, truth in given:
        height, width = low.shape[0] * scale, low.shape[1] * scale
        for name, way in ways(low).items():
            rows.setdefault(name, []).append(psnr_y(way(low), truth[:height, :width], scale))
    return {name: float(np.mean(values)) for name, values in rows.items()}


def compare(title: str, ways: Callable[[Pixels], dict[str, Way]], against: str, args: argparse.Namespace) -> None:
    """One table of times, on the first picture of a set or the drawn one, and the qualities where there are references."""
    given = pairs(args.data / args.set, args.scale) if args.data else []
    x = max((low for low, _ in given), key=lambda low: low.size) if given else picture()
    found = {name: (lambda way=way: way(x)) for name, way in ways(x).items()}
    show(f"{title} ×{args.scale}, {x.shape[1]}×{x.shape[0]}", in_turn(found, args.rounds), against)
    if given:
        print(f"\nPSNR-Y, mean of {len(given)} colour pictures of {args.set}")
        for name, value in quality(ways, given, args.scale).items():
            print(f"{name:58} {value:8.2f}")


def limit(threads: int) -> None:
    """Give OpenCV and PyTorch as many threads as the others take."""
    import cv2
    import torch

    cv2.setNumThreads(threads)
    torch.set_num_threads(threads)


def main() -> None:
    """Networks against networks, interpolations against interpolations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="bundled name (abpn and fsrcnn ×3)")
    parser.add_argument("--data", type=Path, help="a folder of test sets")
    parser.add_argument("--set", default="Set14")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    print(machine())
    threads = len(os.sched_getaffinity(0))
    limit(threads)
    for name in args.model or ["abpn-x3", "fsrcnn-x3"]:
        bundle = read_bundle(bundled()[name])
        args.scale = bundle.spec.scale
        compare(name, lambda x, b=bundle: networks(b, x, threads), "OpenCV dnn", args)
    compare("interpolation", lambda _: interpolations(args.scale), "OpenCV bicubic", args)


if __name__ == "__main__":
    main()
