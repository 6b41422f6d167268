"""Any-time super-resolution: what ten budgets and `auto` give for their seconds, beside the widest variant on its own best plan,
a fixed network, and random routing of equal cost; whether budgets are kept, what routing takes, and seams.

`--data DIR` holds Photos2K, Drawn and BSD100, each with HR (and BSD100 with LR_xN). See README.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from edgelift import Upscaler
from edgelift.core.metrics import psnr
from edgelift.core.resize import resize
from edgelift.evaluate.machine import machine
from edgelift.io.pictures import SUFFIXES, open_picture
from edgelift.runtime.anytime.account import Account
from edgelift.runtime.anytime.meter import Meter
from edgelift.runtime.anytime.pace import pick
from edgelift.runtime.anytime.run import Terms
from edgelift.runtime.anytime.scores import EdgeScores, edge_scores
from edgelift.runtime.anytime.table import table_of
from edgelift.runtime.anytime.ways import CALL, ways
from edgelift.runtime.models import ANYTIME, DEFAULTS
from edgelift.runtime.rows import ArraySource, ArrayTarget
from edgelift.tiling.cost import CostModel
from edgelift.tiling.routes import Routes

BUDGETS = tuple(f"{percent}%" for percent in range(10, 101, 10))
PAUSE = 0.02
APART = (1, 2)
"""How many input pixels beside a border the gradient inside a region is taken: at the same place of a block."""


def pairs(folder: Path, scale: int, most: int | None) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(name, reduction, truth), reduced by the MATLAB-compatible bicubic."""
    found = []
    for path in sorted(p for p in (folder / "HR").iterdir() if p.suffix.lower() in SUFFIXES)[:most]:
        with open_picture(path) as reader:
            high = reader.rows(0, reader.height)[0]
        height, width = (n // scale for n in high.shape[:2])
        high = np.ascontiguousarray(high[: height * scale, : width * scale])
        found.append((path.stem, resize(high, height, width), high))
    return found


def timed(upscaler: Upscaler, low: np.ndarray) -> tuple[float, np.ndarray]:
    time.sleep(PAUSE)
    began = time.perf_counter()
    picture = upscaler(low)
    return time.perf_counter() - began, picture


def macs(upscaler: Upscaler, routes: Routes) -> float:
    """Multiply-adds of all windows, halos included."""
    assert upscaler.spec is not None
    windows = [window for row in routes.windows() for window in row]
    return sum(len(w.rows) * len(w.columns) * upscaler.spec.macs_of(w.variant) for w in windows)


def replay(upscaler: Upscaler, low: np.ndarray, routes: Routes) -> np.ndarray:
    target = ArrayTarget(*upscaler.size(*low.shape[:2]), low.dtype)
    upscaler.run(ArraySource(low), target, terms=Terms(routes=routes))
    return target.picture


def cost(model: CostModel, routes: Routes) -> float:
    """Predicted seconds of all windows."""
    windows = [window for row in routes.windows() for window in row]
    return sum(CALL + model.seconds(1, len(w.rows), len(w.columns), w.variant) for w in windows)


def at_random(upscaler: Upscaler, low: np.ndarray, routes: Routes, seed: int) -> Routes:
    """Routes of the same predicted cost as `routes`, for edge scores that were dealt to the blocks at random."""
    anytime = upscaler._anytime("uint8")
    scores = edge_scores(ArraySource(low))
    order = np.random.default_rng(seed).permutation(scores.square.size)
    dealt = EdgeScores(*(part.ravel()[order].reshape(part.shape) for part in (scores.absolute, scores.square)))
    assert upscaler.spec is not None
    model = upscaler.planner().known() or upscaler.planner().assumed
    found = ways(*low.shape[:2], anytime._halo, table_of(upscaler.spec).predict(dealt), model)
    every = {shape for layout in range(len(found.layouts)) for shape in found.shapes(layout)}
    chosen = pick(found, Meter(upscaler._engine("uint8"), model, every), 0.0, cost(model, routes))
    rows = tuple(found.row(chosen.layout, worth, row) for row, worth in enumerate(chosen.worths))
    return Routes(*low.shape[:2], found.layouts[chosen.layout].rows, rows)


def seam(picture: np.ndarray, routes: Routes, scale: int) -> np.ndarray:
    """Sums of the gradient across borders between variants, and of that inside: at the same place of a block, `APART` pixels
    beside."""
    values = picture.astype(np.float64).sum(axis=2)
    across = inside = 0.0
    variants = np.zeros((routes.height, routes.width), np.int8)
    for w in (w for row in routes.windows() for w in row):
        variants[w.keep_rows.start : w.keep_rows.stop, w.keep_columns.start : w.keep_columns.stop] = w.variant
    far = max(APART)
    for turned, known in ((values, variants), (values.T, variants.T)):
        rows, columns = np.nonzero(known[:, 1:] != known[:, :-1])
        good = (columns + 1 > far) & (columns + 1 < known.shape[1] - far)
        y = (rows[good] * scale)[:, None] + np.arange(scale)
        x = ((columns[good] + 1) * scale)[:, None]
        across += np.abs(turned[y, x] - turned[y, x - 1]).sum()
        steps = [scale * k * side for k in APART for side in (1, -1)]
        inside += sum(np.abs(turned[y, x + k] - turned[y, x + k - 1]).sum() for k in steps) / len(steps)
    return np.array([across, inside])


def curve(name: str, scale: int, pictures: list[tuple[str, np.ndarray, np.ndarray]], rounds: int) -> dict[str, Any]:
    """Means over the pictures: seconds (medians of the rounds), PSNR, multiply-adds, for each budget and what is beside it."""
    widest, fixed = Upscaler(ANYTIME[scale]), Upscaler(DEFAULTS[scale])
    upscaler = Upscaler(ANYTIME[scale], budget="auto")
    for made in (upscaler, widest, fixed):
        made.planner().known(measure=True)
    sums: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    kept: list[tuple[float, float]] = []
    seams, without = np.zeros(2), np.zeros(2)
    for number, (_, low, high) in enumerate(pictures):
        seconds: dict[str, list[float]] = defaultdict(list)
        accounts: dict[str, Account] = {}
        results: dict[str, np.ndarray] = {}
        for turn in range(rounds + 4):  # the first are to warm up: engines compile a shape for itself at the fourth
            for row, made in (("widest", widest), ("fixed", fixed)):
                taken, results[row] = timed(made, low)
                if turn >= 4:
                    seconds[row].append(taken)
            if turn < 3:
                continue
            for budget in (*BUDGETS, "auto"):
                upscaler.budget = budget
                taken, results[budget] = timed(upscaler, low)
                assert upscaler.account is not None
                accounts[budget] = upscaler.account
                if turn >= 4:
                    seconds[budget].append(taken)
                    if upscaler.account.limit is not None:
                        kept.append((upscaler.account.seconds / upscaler.account.limit, float(upscaler.account.late)))
        full = widest.spec.macs * low.shape[0] * low.shape[1]  # type: ignore[union-attr]  # a network
        best = statistics.median(seconds["widest"])
        for row, picture in results.items():
            sums[row]["seconds"].append(statistics.median(seconds[row]))
            sums[row]["share"].append(statistics.median(seconds[row]) / best)
            sums[row]["psnr"].append(psnr(picture, high))
            if row in accounts:
                sums[row]["macs"].append(macs(upscaler, accounts[row].routes) / full)
                seams += seam(picture, accounts[row].routes, scale)
                without += seam(results["widest"], accounts[row].routes, scale)  # the same places, without any seam
        for budget in BUDGETS:
            routes = at_random(upscaler, low, accounts[budget].routes, number)
            sums[budget]["random"].append(psnr(replay(upscaler, low, routes), high))
            sums[budget]["random_macs"].append(macs(upscaler, routes) / full)
    began = time.perf_counter()
    low = max((low for _, low, _ in pictures), key=lambda p: p.size)
    for _ in range(5):
        errors = table_of(upscaler.spec).predict(edge_scores(ArraySource(low)))  # type: ignore[arg-type]  # a network
        ways(*low.shape[:2], 5, errors, upscaler.planner().known())  # type: ignore[arg-type]  # measured above
    routing = (time.perf_counter() - began) / 5
    means = {row: {key: float(np.mean(values)) for key, values in of.items()} for row, of in sums.items()}
    return {
        "set": name, "scale": scale, "pictures": len(pictures), "rows": means, "runs": len(kept),
        "kept": float(np.mean([use <= 1.05 for use, _ in kept])), "use": float(np.mean([use for use, _ in kept])),
        "possible": float(np.mean([use <= 1.05 for use, cheap in kept if not cheap] or [1.0])),
        "possible_use": float(np.mean([use for use, cheap in kept if not cheap] or [0.0])),
        "seam": float(seams[0] / seams[1]) if seams[1] else 1.0,
        "seam_of_widest": float(without[0] / without[1]) if without[1] else 1.0,
        "routing": routing / statistics.median(sums["widest"]["seconds"]),
    }  # fmt: skip


def show(found: dict[str, Any]) -> None:
    rows = found["rows"]
    top = rows["widest"]["psnr"]
    print(f"\n{found['set']} ×{found['scale']}, {found['pictures']} pictures: means; seconds are medians of the rounds")
    print(f"{'':8}{'ms':>9}{'of widest':>11}{'MACs':>8}{'PSNR':>9}{'lost':>8}{'random':>9}")
    for name in (*BUDGETS, "auto", "widest", "fixed"):
        row = rows[name]
        share = f"{row['macs']:8.2f}" if "macs" in row else f"{'':8}"
        other = f"{row['random']:9.3f}" if "random" in row else ""
        line = (
            f"{name:8}{1000 * row['seconds']:9.1f}{row['share']:11.3f}{share}{row['psnr']:9.3f}{top - row['psnr']:8.3f}"
        )
        print(line + other)
    print(
        f"budgets kept (within 1.05): {found['kept']:.1%} of {found['runs']} runs, mean use {found['use']:.2f}; of those that "
        f"interpolation alone can keep: {found['possible']:.1%}, use {found['possible_use']:.2f}"
    )
    print(
        f"gradient across borders over that inside: {found['seam']:.3f}, at the same places of the widest variant's picture "
        f"{found['seam_of_widest']:.3f}; routing takes {found['routing']:.1%} of the widest"
    )
    print(json.dumps({"benchmark": "anytime", "machine": machine(), **found}))


def program(picture: np.ndarray, scale: int, runs: int) -> None:
    """The program from process start to exit, with budgets from what interpolation takes to what the widest does."""
    import pyvips

    with tempfile.TemporaryDirectory() as folder:
        source, target, report = (Path(folder) / name for name in ("in.png", "out.png", "report.json"))
        pyvips.Image.new_from_array(picture).pngsave(str(source))

        def run(budget: str) -> dict[str, Any]:
            words = [sys.executable, "-m", "edgelift", "upscale", str(source), "-o", str(target), "-s", str(scale)]
            words += ["--overwrite", "--budget", budget, "--json", str(report)]
            subprocess.run(words, check=False, capture_output=True)
            return dict(json.loads(report.read_text())["pictures"][0]["budget"])

        run("auto")
        least, most = run("0.01s")["real"], run("100s")["real"]
        seen = []
        for k in range(runs):
            limit = 1.1 * least + (most - 1.1 * least) * k / (runs - 1)
            seen.append(run(f"{limit:.4f}s"))
    uses = [one["real"] / one["limit"] for one in seen]
    facts = {
        "benchmark": "anytime program", "scale": scale, "runs": runs, "least": least, "most": most,
        "kept": float(np.mean([use <= 1.05 for use in uses])), "use": float(np.mean(uses)), "worst": max(uses),
    }  # fmt: skip
    print(
        f"\nprogram ×{scale}, start to finished file, {runs} budgets from {1.1 * least:.2f} to {most:.2f} s: "
        f"kept {facts['kept']:.1%}, mean use {facts['use']:.2f}, worst {facts['worst']:.2f}"
    )
    print(json.dumps(facts))


def plot(all_found: list[dict[str, Any]], path: Path) -> None:
    from edgelift.evaluate.plots import lines, save

    series = {}
    for found in all_found:
        top = found["rows"]["widest"]["psnr"]
        points = sorted((found["rows"][b]["share"], found["rows"][b]["psnr"] - top) for b in BUDGETS)
        series[f"{found['set']} ×{found['scale']}"] = ([p[0] for p in points], [p[1] for p in points])
    save(
        lines(series, "seconds, share of the widest variant's", "PSNR against the widest variant, dB", "Time budgets"),
        path,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["Photos2K", "Drawn"])
    parser.add_argument("--scales", nargs="+", type=int, default=[4, 3, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=int, help="Pictures of each set.")
    parser.add_argument("--program", type=int, default=0, help="Runs of the program as a whole.")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    all_found = []
    for scale in args.scales:
        for name in args.sets:
            all_found.append(curve(name, scale, pairs(args.data / name, scale, args.most), args.rounds))
            show(all_found[-1])
        if args.program:
            program(pairs(args.data / args.sets[0], scale, 1)[0][1], scale, args.program)
    if args.plot is not None:
        plot(all_found, args.plot)


if __name__ == "__main__":
    main()
