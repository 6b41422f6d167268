"""What a recipe's network would cost: the time of its graph, untrained, beside that of a bundled network of its scale.

A network is worth training when it takes no longer than the one it is to replace. See README.md for the contract.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from benchmarks.speed import HEIGHT, WIDTH, picture
from benchmarks.timing import in_turn, show
from edgelift import Upscaler
from edgelift.evaluate.machine import machine
from edgelift.forge.bundles import bundle_network
from edgelift.io.bundle import find_bundle, read_bundle
from edgelift.nets import zoo
from edgelift.training.recipe import load_recipe

ENGINES = ("openvino", "onnxruntime")


def untrained(recipe: Path, folder: Path) -> Path:
    """A bundle of the recipe's network as a run begins with it."""
    part = load_recipe(recipe)
    torch.manual_seed(part.train.seed)
    network = zoo.build(part.network.architecture, **part.network.config).eval()
    path = folder / f"{part.name}.onnx"
    bundle_network(network, part.name, "Apache-2.0", {}, path)
    return path


def main() -> None:
    """A table for each recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path, nargs="+")
    parser.add_argument("--against", default="abpn", help="abpn stands for abpn-xN of the recipe's scale")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    print(machine())
    x = picture()
    with tempfile.TemporaryDirectory() as folder:
        for recipe in args.recipe:
            path = untrained(recipe, Path(folder))
            spec = read_bundle(path).spec
            other = f"{args.against}-x{spec.scale}" if args.against.isalpha() else args.against
            macs = [read_bundle(find_bundle(m)).spec.macs for m in (path, other)]
            for engine in ENGINES:
                ours, theirs = Upscaler(path, engine=engine), Upscaler(other, engine=engine)
                tasks = {spec.name: lambda up=ours: up(x), other: lambda up=theirs: up(x)}
                title = f"{engine}, {WIDTH}×{HEIGHT}, multiply-adds a pixel {macs[0]:,} and {macs[1]:,}"
                show(title, in_turn(tasks, args.rounds), other)


if __name__ == "__main__":
    main()
