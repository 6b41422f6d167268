"""Several trained networks as the branches of one: each has had the training that suits it, and a time budget chooses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgelift.core.errors import RequestError
from edgelift.nets.branched import BranchedPlain
from edgelift.nets.network import Network
from edgelift.nets.plain import Plain
from edgelift.training.checkpoint import Checkpoint, facts_of_several, network_of

__all__ = ["join"]


def join(paths: Sequence[Path], name: str) -> Checkpoint:
    """A checkpoint of a `branched-plain` network called `name`, whose branches are those of `paths`, narrowest first.

    Blocks that were trained as several branches are folded. Raises `RequestError` for networks that cannot stand side by
    side: others than `plain`, pruned ones, or of several scales; `TrainingError` for what is no checkpoint.
    """
    checkpoints = [Checkpoint.load(path) for path in paths]
    networks = [_plain(checkpoint, path) for checkpoint, path in zip(checkpoints, paths, strict=True)]
    order = sorted(range(len(networks)), key=lambda number: networks[number].config["channels"])
    checkpoints, networks = [checkpoints[n] for n in order], [networks[n] for n in order]
    first = networks[0]
    for path, network in zip((paths[n] for n in order), networks, strict=True):
        if (network.scale, network.padding) != (first.scale, first.padding):
            raise RequestError(
                f"{path} enlarges ×{network.scale} with padding {network.padding}, {paths[order[0]]} ×{first.scale} with "
                f"{first.padding}; branches are alike in both"
            )
    widths, layers = ([network.config[key] for network in networks] for key in ("channels", "layers"))
    skips, linears = ([network.config[key] for network in networks] for key in ("skip", "linear"))
    try:
        whole = BranchedPlain(
            first.scale, widths, layers, first.padding, skips if any(skips) else (), linears if any(linears) else ()
        )
    except ValueError as exc:
        raise RequestError(f"these networks cannot be branches of one: {exc}") from exc
    for branch, network in zip(whole.branches, networks, strict=True):
        branch.load_state_dict(network.state_dict())
    return Checkpoint(whole.state_dict(), _facts(checkpoints, whole, name))


def _plain(checkpoint: Checkpoint, path: Path) -> Network:
    network = network_of(checkpoint, path)
    if not isinstance(network, Plain) or "pruned" in network.config:
        kind = f"{network.architecture}, pruned" if "pruned" in network.config else network.architecture
        raise RequestError(f"{path}: {kind}; networks that are joined are of the architecture plain, not pruned")
    network.fold()
    return network


def _facts(checkpoints: Sequence[Checkpoint], whole: Network, name: str) -> dict[str, Any]:
    """What the training of all was, and of each in `joined_from`."""
    metas = [checkpoint.meta for checkpoint in checkpoints]
    scores = [meta.get("best_psnr_y") for meta in metas]
    known = [score for score in scores if score is not None]
    mean = float(np.mean(known)) if len(known) == len(scores) else None
    recipe = {"name": name, "network": {"architecture": whole.architecture, **whole.config}}
    origins = [
        {"recipe": meta["recipe"], "step": meta["step"], "psnr_y": score}
        for meta, score in zip(metas, scores, strict=True)
    ]
    return {**facts_of_several(metas, recipe, mean), "device": metas[-1].get("device"), "joined_from": origins}
