"""PSNR and SSIM on Y of the program's own output files, by the protocol of the published tables.

DATA holds Set5, Set14 and BSD100, each with HR/ and LR_xN/. The pictures are upscaled by `edgelift upscale`, folder to
folder, and read back. `--write-cards` puts the figures into the bundles (bundled ones, in this source tree).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from edgelift.core.image import luma, shave
from edgelift.core.metrics import psnr, ssim
from edgelift.io.bundle import bundled, read_bundle

SETS = ("Set5", "Set14", "BSD100")


def score(results: Path, truth: Path, scale: int) -> tuple[float, float]:
    """Mean (PSNR, SSIM) on Y; a one-channel reference is compared as it is."""
    references = {p.stem: p for p in truth.iterdir()}
    rows = []
    for path in sorted(results.iterdir()):
        reference = Image.open(references[path.stem.removesuffix(f"_x{scale}")])
        mode = "L" if reference.mode == "L" else "RGB"
        out, ref = np.asarray(Image.open(path).convert(mode)), np.asarray(reference.convert(mode))
        ref = ref[: out.shape[0], : out.shape[1]]
        a, b = (shave(p.astype(np.float64) if mode == "L" else luma(p), scale) for p in (out, ref))
        rows.append((psnr(a, b), ssim(a, b)))
    mean = np.mean(rows, axis=0)
    return float(mean[0]), float(mean[1])


def measure(model: str, scale: int, data: Path) -> dict[str, dict[str, float]]:
    """Upscale each set with the command line and score the files."""
    found = {}
    for name in SETS:
        with tempfile.TemporaryDirectory() as folder:
            words = ["upscale", str(data / name / f"LR_x{scale}"), "-o", folder, "-m", model, "-s", str(scale)]
            subprocess.run([sys.executable, "-m", "edgelift", *words], check=True)
            decibels, similarity = score(Path(folder), data / name / "HR", scale)
        found[name] = {"psnr_y": round(decibels, 3), "ssim_y": round(similarity, 4)}
    return found


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", action="append", help="bundled name or file; all bundled and bicubic by default")
    parser.add_argument("--write-cards", action="store_true")
    args = parser.parse_args()
    print("| model | scale | " + " | ".join(SETS) + " |\n|---|---|" + "---|" * len(SETS))
    models = {name: path for name, path in bundled().items() if not args.model or name in args.model}
    models |= {m: Path(m) for m in args.model or [] if m not in models and Path(m).is_file()}
    rows = [(str(path), read_bundle(path).spec.name, read_bundle(path).spec.scale) for path in models.values()]
    rows += [("bicubic", "bicubic", scale) for scale in sorted({scale for _, _, scale in rows})]
    for model, name, scale in rows:
        found = measure(model, scale, args.data)
        cells = " | ".join(f"{f['psnr_y']:.2f} / {f['ssim_y']:.4f}" for f in found.values())
        print(f"| {name} | ×{scale} | {cells} |", flush=True)
        if args.write_cards and model != "bicubic":
            from edgelift.forge.bundles import set_quality

            set_quality(Path(model), found)


if __name__ == "__main__":
    main()
