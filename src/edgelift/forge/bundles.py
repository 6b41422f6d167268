"""Checkpoint -> bundle, with a proof that both give the same picture; and bundle -> network."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from edgelift.core.errors import BundleError
from edgelift.core.metrics import psnr
from edgelift.core.spec import ModelSpec
from edgelift.forge.reference import ReferenceEngine
from edgelift.io.bundle import Bundle, core_out, read_bundle, write_bundle
from edgelift.nets import zoo
from edgelift.nets.family import Family
from edgelift.nets.network import Network, parameters
from edgelift.targets.onnx import export
from edgelift.training.checkpoint import Checkpoint
from edgelift.training.quantised import float_weights, learnt_ranges

__all__ = ["bundle_checkpoint", "bundle_network", "network_from", "same_pictures", "set_quality", "spec_of"]

PARITY_DB = 60.0
"""Least PSNR between a float bundle and its network: well above one rounding difference in a thousand samples."""


def spec_of(network: Network, name: str, licence: str, training: dict[str, Any]) -> ModelSpec:
    """The facts of `network`; parameters and multiply-adds are counted here.

    Parameters are the trained values, or those of the form that runs where it has fewer.
    """
    runs = copy.deepcopy(network)
    runs.fold()
    return ModelSpec(
        name=name, architecture=network.architecture, config=network.config, task=network.task, scale=network.scale,
        shuffle=network.shuffle, halo=network.halo, multiple_of=network.multiple_of, padding=network.padding,
        colour=network.colour, parameters=min(parameters(network), parameters(runs)), macs=runs.macs_per_pixel(),
        licence=licence,
        variants=network.variants, training=training,
        routing={"macs": list(network.costs)} if isinstance(network, Family) else {},
    )  # fmt: skip


def bundle_checkpoint(
    checkpoint: Checkpoint,
    path: Path,
    *,
    licence: str = "Apache-2.0",
    content: str | None = None,
    imported: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Export the averaged weights of `checkpoint` to `path`, after checking the graph against the PyTorch network.

    `content`: what the card says that the network is for (`core.spec.CONTENTS`). `imported`: the file of others that its
    weights began as, if they did. Raises `BundleError` where they differ by more than roundings.
    """
    meta = checkpoint.meta
    recipe = dict(meta["recipe"])
    arguments = dict(recipe["network"])
    network = zoo.build(arguments.pop("architecture"), **arguments)
    network.load_state_dict(float_weights(checkpoint.weights))
    kept = ("recipe", "data", "pictures", "step", "seconds", "device", "best_psnr_y", "started_from")
    training = {key: meta.get(key) for key in kept}
    training |= {key: meta[key] for key in ("averaged_from", "joined_from") if key in meta}
    if ranges := learnt_ranges(checkpoint.weights):
        training["ranges"] = ranges
    if content is not None:
        training["content"] = content
    if imported is not None:
        training["imported"] = imported
    return bundle_network(network, recipe["name"], licence, training, path, overwrite=overwrite)


def bundle_network(
    network: Network, name: str, licence: str, training: dict[str, Any], path: Path, *, overwrite: bool = False
) -> Bundle:
    """Export `network` to `path`, after checking the graph against it.

    Raises `BundleError` where they differ by more than roundings.
    """
    spec = spec_of(network, name, licence, training)
    model = export(network, spec)
    _prove(model, network, spec)
    return write_bundle(model, spec, path, overwrite=overwrite)


def _prove(model: onnx.ModelProto, network: Network, spec: ModelSpec) -> None:
    """Raise `BundleError` unless the graph's picture, and the blocks of each variant, are those of `network`."""
    import onnx.reference

    rng = np.random.default_rng(0)
    side = 16 * spec.multiple_of
    picture = rng.integers(0, 256, (1, side, side, 3), np.uint8)
    numbers = range(1, spec.widest + 1)
    open_ends = onnx.ModelProto()
    open_ends.CopyFrom(model)
    open_ends.graph.output.extend(onnx.ValueInfoProto(name=core_out(spec, variant)) for variant in numbers)
    larger, *cores = map(np.asarray, onnx.reference.ReferenceEvaluator(open_ends).run(None, {"image": picture}))
    engine = ReferenceEngine(network, spec)
    blocks = np.empty((1, side * spec.grid, side * spec.grid, spec.shuffle, spec.shuffle, 3), np.uint8)
    for variant, name, there in zip(numbers, spec.variants, cores, strict=True):
        engine.run(picture, variant, blocks)
        ready = np.rint(np.clip(there, 0, 255)).astype(np.uint8).transpose(0, 2, 3, 1)
        same_pictures(ready, blocks.reshape(ready.shape), f"{spec.name} ({name})")
    same_pictures(larger, blocks.transpose(0, 1, 3, 2, 4, 5).reshape(larger.shape), spec.name)


def same_pictures(there: NDArray[Any], here: NDArray[Any], name: str) -> None:
    """Raise `BundleError` where what a graph made, `there`, differs from what it should by more than roundings."""
    if (db := psnr(there, here)) < PARITY_DB:
        raise BundleError(f"{name}: the exported graph is {db:.1f} dB from the network; at least {PARITY_DB} is asked")


def network_from(bundle: Bundle) -> Network:
    """The PyTorch network (pictures in 0 … 1) that `bundle` was exported from.

    Raises `BundleError` where its architecture is unknown here or its weights do not fit, and for a quantised one.
    """
    spec = bundle.spec
    if spec.bits != "float":
        parent = spec.training["quantised"].get("parent", "its float parent")
        raise BundleError(f"{bundle.source}: its weights are {spec.bits}; the network is rebuilt from {parent}")
    try:
        network = zoo.build(spec.architecture, **spec.config)
        network.fold()
        weights = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in bundle.graph().graph.initializer}
        own = network.state_dict()
        network.load_state_dict({name: weights[name].reshape(own[name].shape) for name in own})
    except (ValueError, KeyError, RuntimeError, TypeError) as exc:
        raise BundleError(f"{bundle.source}: no network can be rebuilt from it ({exc})") from exc
    network.scale_range(1 / 255)
    stated, found = (spec.scale, spec.shuffle, spec.halo), (network.scale, network.shuffle, network.halo)
    if stated != found:
        raise BundleError(f"{bundle.source}: its facts (scale, shuffle, halo) are {stated}, its network's {found}")
    return network.eval()


def set_quality(path: Path, quality: dict[str, Any]) -> Bundle:
    """Write measured results into the card of the bundle at `path`; sets that it does not name are kept."""
    bundle = read_bundle(path)
    spec = dataclasses.replace(bundle.spec, quality={**bundle.spec.quality, **quality})
    return write_bundle(bundle.graph(), spec, path, overwrite=True)
