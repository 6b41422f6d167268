"""Peak memory and seconds of the program at several picture sizes, as the operating system counts them.

The pictures are photographic: `--picture FILE` repeated and mirrored to the size. Outputs go to `--folder`, which needs
room (a 900-megapixel TIFF takes about 2.7 GB) and are removed. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyvips

from edgelift.evaluate.machine import machine


def tiled(picture: Path, side: int, path: Path) -> None:
    """`picture`, mirrored at its edges until it fills `side` × `side`."""
    image = pyvips.Image.new_from_file(str(picture))[0:3]
    pair = image.join(image.fliphor(), "horizontal")
    block = pair.join(pair.flipver(), "vertical")
    block.replicate(side // block.width + 1, side // block.height + 1).crop(0, 0, side, side).tiffsave(
        str(path), compression="none"
    )


def measured(words: list[str]) -> tuple[float, int]:
    """Seconds and peak resident bytes of one process."""
    began = time.perf_counter()
    process = subprocess.Popen(words)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)} failed")
    return time.perf_counter() - began, usage.ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--megapixels", type=int, nargs="+", default=[100, 400, 900], help="of the result")
    parser.add_argument("--format", nargs="+", default=["tif", "png"])
    parser.add_argument("--model", default="abpn-x3")
    args = parser.parse_args()
    print(machine())
    rows = []
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for megapixels in args.megapixels:
            side = round((megapixels * 1e6) ** 0.5 / 3)
            source = Path(folder) / "in.tif"
            tiled(args.picture, side, source)
            for suffix in args.format:
                out = Path(folder) / f"out.{suffix}"
                words = ["upscale", str(source), "-o", str(out), "-m", args.model]
                seconds, peak = measured([sys.executable, "-m", "edgelift", *words])
                size = out.stat().st_size
                out.unlink()
                rows.append(
                    {
                        "megapixels": megapixels,
                        "format": suffix,
                        "seconds": round(seconds, 1),
                        "seconds_per_megapixel": round(seconds / megapixels, 4),
                        "peak_mb": round(peak / 1e6),
                        "file_mb": round(size / 1e6),
                    }
                )
                print(rows[-1], flush=True)
    print(json.dumps({"benchmark": "memory", "machine": machine(), "rows": rows}))


if __name__ == "__main__":
    main()
