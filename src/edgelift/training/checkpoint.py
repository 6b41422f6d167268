"""A checkpoint: one file with tensors and one with plain facts, side by side.

`NAME.pt` holds the weights and what a run needs to go on; `NAME.json` says what they are. Reading never unpickles code.
"""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgelift.core.errors import OutputError, TrainingError
from edgelift.nets import zoo
from edgelift.nets.network import Network
from edgelift.training.quantised import float_weights

__all__ = ["UNREADABLE", "Checkpoint", "facts_of_several", "network_of"]

UNREADABLE = (
    OSError, ValueError, LookupError, TypeError, RuntimeError, EOFError, AssertionError, AttributeError, ArithmeticError,
    struct.error, pickle.UnpicklingError,
)  # fmt: skip
"""What torch, safetensors and json raise for damaged files, found by fuzzing."""


@dataclass
class Checkpoint:
    """Weights with their facts."""

    weights: dict[str, Tensor]
    """The network's state dict: the averaged weights, which are exported."""
    meta: dict[str, Any]
    """Plain values: `recipe`, `step`, `seconds`, `psnr_y` on validation, `data`, `history`, …"""
    state: dict[str, Any] = field(default_factory=dict)
    """What resuming needs beside: raw weights and the optimiser's state; empty in a finished checkpoint."""

    def save(self, path: Path) -> None:
        """Write `path` (.pt) and its .json, each to a temporary name first, the tensors last. Raises `OutputError`."""
        facts = path.with_suffix(".json")
        scratch, tensors = facts.with_suffix(".json.tmp"), path.with_suffix(".pt.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps(self.meta, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            torch.save({"weights": self.weights, "state": self.state, "step": self.meta["step"]}, tensors)
            os.replace(scratch, facts)
            os.replace(tensors, path)
        except (OSError, RuntimeError) as exc:  # the latter is torch's for a full disk
            for left in (scratch, tensors):
                with suppress(OSError):
                    left.unlink()
            raise OutputError(f"{path}: cannot be written ({exc}); check the folder and the disk's space") from exc

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read what `save` wrote; raises `TrainingError` that says what is wrong with the files."""
        try:
            meta = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            tensors = torch.load(path, map_location="cpu", weights_only=True)
            if tensors["step"] != meta["step"]:  # killed between the two renames
                meta["step"] = tensors["step"]
            return cls(tensors["weights"], meta, tensors["state"])
        except UNREADABLE as exc:
            raise TrainingError(f"{path}: not a checkpoint that edgelift wrote ({exc})") from exc


def facts_of_several(metas: Sequence[dict[str, Any]], recipe: dict[str, Any], score: float | None) -> dict[str, Any]:
    """What the facts of a checkpoint made of others say of their training together; `score` is its PSNR-Y, where known."""
    return {
        "recipe": recipe, "step": max(meta["step"] for meta in metas),
        "seconds": round(sum(meta.get("seconds", 0.0) for meta in metas), 1), "minutes": None,
        "data": sorted({name for meta in metas for name in meta.get("data", [])}),
        "pictures": max(meta.get("pictures", 0) for meta in metas), "psnr_y": score, "best_psnr_y": score, "history": [],
        "started_from": "",
    }  # fmt: skip


def network_of(checkpoint: Checkpoint, path: Path) -> Network:
    """The network of a checkpoint: averaged weights, in floats, ready to run. Raises `TrainingError` where they do not fit."""
    try:
        arguments = dict(checkpoint.meta["recipe"]["network"])
        network = zoo.build(arguments.pop("architecture"), **arguments)
        network.load_state_dict(float_weights(checkpoint.weights))
    except (LookupError, TypeError, ValueError, RuntimeError) as exc:  # a RequestError is a ValueError
        raise TrainingError(f"{path}: no network can be made of it ({exc})") from exc
    return network.requires_grad_(False).eval()
