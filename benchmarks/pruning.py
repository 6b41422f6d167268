"""Pruned networks beside the same widths trained from scratch: multiply-adds, milliseconds and PSNR at 85, 70 and 50 %.

A parent (ABPN ×3, 28 channels) is trained for PARENT steps on DATA, narrowed by each saliency, trained on for TUNE steps;
the same widths are trained from nothing for PARENT + TUNE steps. Saliencies after the first are compared at 70 % only.
PSNR-Y is that of the validation split. Runs lie in FOLDER and are not trained twice.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from edgelift.evaluate.machine import machine
from edgelift.evaluate.profile.synthetic import scene
from edgelift.forge.bundles import bundle_network
from edgelift.forge.gate import enlarge, in_turn
from edgelift.forge.prune import recipe_of
from edgelift.nets import zoo
from edgelift.nets.network import Network
from edgelift.runtime.engine import Engine
from edgelift.runtime.engines import open_engine
from edgelift.training.batches import batches_of
from edgelift.training.checkpoint import Checkpoint, network_of
from edgelift.training.loop import Progress, train
from edgelift.training.losses import goal
from edgelift.training.pictures import find_pictures, split
from edgelift.training.prune import planned, pruned, saliency
from edgelift.training.recipe import NetworkPart, Recipe, recipe_from
from edgelift.training.validation import load_checks, validate

SHARES = (0.85, 0.70, 0.50)
COMPARED = 0.70
SIZE = (192, 256)


def parent_recipe(steps: int) -> Recipe:
    return recipe_from({
        "name": "pruning-parent", "network": {"architecture": "abpn", "scale": 3, "channels": 28, "layers": 4},
        "data": {"patch": 16, "batch": 8, "validation": 8},
        "train": {"steps": steps, "lr": 2e-3, "final_lr": 1e-6, "warmup": 0.01, "validate_every": 1000},
    })  # fmt: skip


def trained(recipe: Recipe, folders: list[Path], run: Path, start: Path | None = None) -> Checkpoint:
    """The best checkpoint of a run, which is not repeated where it is finished."""
    facts = run / "last.json"
    if facts.exists() and json.loads(facts.read_text())["step"] >= recipe.train.steps:
        return Checkpoint.load(run / "best.pt")

    def report(progress: Progress) -> None:
        if progress.score is not None:
            print(f"{recipe.name} {progress.step} {progress.score.psnr_y:.3f}", flush=True)

    return train(recipe, folders, run, start=start, report=report, say=lambda words: None)


def milliseconds(networks: list[Network], rounds: int, folder: Path) -> list[float]:
    """Median time of a window of 256 × 192 pixels of each, in turn, in f32."""
    picture = scene(*SIZE)
    with ExitStack() as opened:
        engines: list[Engine] = []
        for number, network in enumerate(networks):
            path = folder / f"timed-{number}.onnx"
            bundle = bundle_network(network, f"timed-{number}", "Apache-2.0", {}, path, overwrite=True)
            engines.append(opened.enter_context(closing(open_engine(bundle))))
        return in_turn([partial(enlarge, engine, picture) for engine in engines], rounds)


def measure(
    folders: list[Path], folder: Path, steps: int, tune: int, kinds: list[str], multiple: int, rounds: int
) -> list[dict[str, Any]]:
    recipe = parent_recipe(steps)
    best = trained(recipe, folders, folder / "parent")
    parent = network_of(best, folder / "parent" / "best.pt")
    training, held = split(find_pictures(folders), recipe.data.validation, recipe.data.validation_folder)
    device = next(parent.parameters()).device
    batch = batches_of(recipe, training, parent.scale, device, lambda words: None)
    checks = load_checks(recipe, held, parent.scale, lambda words: None)
    rows: list[dict[str, Any]] = [{"share": 1.0, "kind": "parent", "steps": steps, "psnr": best.meta["best_psnr_y"]}]
    networks = [parent]
    for share in SHARES:
        for kind in kinds if share == COMPARED else kinds[:1]:
            plan = planned(parent, saliency(parent, kind, batch, goal(recipe.train, 1.0)), share, multiple)
            made = pruned(parent, plan)
            start = folder / f"{kind}-{share:g}" / "start.pt"
            Checkpoint(made.state_dict(), {"step": 0}).save(start)
            tuned = trained(recipe_of(recipe, made, plan.share, tune), folders, start.parent, start)
            row = {"share": plan.share, "kind": kind, "steps": steps + tune, "widths": plan.widths}
            rows.append({**row, "cut": validate(made, checks, device).psnr_y, "psnr": tuned.meta["best_psnr_y"]})
            networks.append(made)
            if kind == kinds[0]:
                again = replace(
                    recipe, name=f"pruning-scratch-{share:g}", network=NetworkPart("abpn", made.config),
                    train=replace(recipe.train, steps=steps + tune),
                )  # fmt: skip
                fresh = trained(again, folders, folder / f"scratch-{share:g}")
                rows.append({**row, "kind": "from scratch", "psnr": fresh.meta["best_psnr_y"]})
                networks.append(zoo.build("abpn", **made.config))
    for row, network, ms in zip(rows, networks, milliseconds(networks, rounds, folder), strict=True):
        row |= {"macs": network.macs_per_pixel(), "ms": ms}
    return rows


def main() -> None:
    """Print the table and its JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--tune", type=int, default=2000)
    parser.add_argument("--saliency", action="append")
    parser.add_argument("--multiple", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    kinds = args.saliency or ["taylor", "l1", "median"]
    rows = measure(args.data, args.folder, args.steps, args.tune, kinds, args.multiple, args.rounds)
    print("| share | which | steps | multiply-adds | ms | dB when cut | dB |\n|---:|---|---:|---:|---:|---:|---:|")
    for row in rows:
        cut = f"{row['cut']:.2f}" if "cut" in row else "–"
        print(f"| {row['share']:.0%} | {row['kind']} | {row['steps']} | {row['macs']:,} | {row['ms']:.1f} | {cut} "
              f"| {row['psnr']:.3f} |")  # fmt: skip
    print(json.dumps({"benchmark": "pruning", "machine": machine(), "rows": rows}))


if __name__ == "__main__":
    main()
