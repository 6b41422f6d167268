"""A bundle with operators that accelerators run in place of those that they do not, proven to be the same function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edgelift.core.errors import BundleError, RequestError
from edgelift.core.spec import ModelSpec
from edgelift.forge.compile import checked, one_network
from edgelift.forge.gate import Parity, measured
from edgelift.forge.tiles import proofs
from edgelift.io.bundle import CORE_OUT, Bundle, require_bundle_place, write_bundle
from edgelift.runtime.engines.onnxruntime import open_exact
from edgelift.targets.resize_conv import resize_conv
from edgelift.targets.rewrites import EXACT, Rewrite, apply

__all__ = ["CLOSE", "Rewritten", "approximate_bundle", "rewrite_bundle"]

CLOSE = 0.01
"""Levels of 0 … 255 that the rewritten core may differ by before it is rounded: what other orders of sums cost."""
PASSES = 4
"""Of rewriting: what one rewrite makes another may do without."""
SIZES = ((13, 17), (32, 24))
"""Heights and widths of the noise that both are run on, times what sides must be a multiple of."""


@dataclass(frozen=True)
class Rewritten:
    """What was done, and how near the results are."""

    bundle: Bundle
    done: dict[Rewrite, int]
    """Each rewrite and in how many places."""
    core_difference: float
    """The largest difference at `core_out`, in levels of 0 … 255, on random pictures."""
    byte_difference: int
    """The largest difference of finished samples."""
    differing: float
    """Share of finished samples that differ."""


def rewrite_bundle(
    bundle: Bundle, accelerators: Sequence[str], output: Path, *, variant: str | None = None, overwrite: bool = False
) -> Rewritten:
    """Write `bundle` with every exact rewrite that helps on one of `accelerators` to `output`; where two would undo each
    other, that of the accelerator that is named first.

    Raises `RequestError` where there is nothing to rewrite, or the network is not a float one; `BundleError` where the result
    is not the same function; `OutputError` where `output` exists.
    """
    parent = _parent(bundle, output, variant, overwrite)
    model, done = _rewritten(parent, accelerators)
    if not done:
        raise RequestError(
            f"{parent.spec.name}: no exact rewrite helps on {', '.join(accelerators)}; nothing is written. "
            "'edgelift check' without --rewrite says what falls back"
        )
    core, most, share = _difference(parent, model)
    if core > CLOSE or most > 1:
        raise BundleError(
            f"{parent.spec.name}: rewritten it differs by {core:.3g} levels before rounding, at most {CLOSE:g} are let pass; "
            "nothing is written"
        )
    facts = _facts(parent.spec, output.stem, done)
    made = write_bundle(model, facts, output, overwrite=overwrite)
    return Rewritten(made, done, core, most, share)


def approximate_bundle(
    bundle: Bundle, output: Path, *, variant: str | None = None, overwrite: bool = False
) -> tuple[Parity, int]:
    """Write `bundle` with resize and convolution in the place of transposed convolutions, a start for fine-tuning; how near it
    is, and in how many places. Raises `RequestError` where there are none, `OutputError` where `output` exists."""
    parent = _parent(bundle, output, variant, overwrite)
    model, count = resize_conv(parent.graph())
    if not count:
        raise RequestError(
            f"{parent.spec.name} has no transposed convolution that a resize can stand for: one of one group, whose result is "
            "stride times as large; nothing is written"
        )
    spec = replace(
        parent.spec, name=output.stem, architecture="foreign", config={}, quality={}, halo=None,
        training={**parent.spec.training, "rewritten": {"of": parent.spec.name, "places": {"transposed-as-resize": count}}},
    )  # fmt: skip
    made = write_bundle(model, spec, output, overwrite=overwrite)
    return measured(made, parent, proofs(None, parent.spec, 1), "drawn", rounds=1), count


def _parent(bundle: Bundle, output: Path, variant: str | None, overwrite: bool) -> Bundle:
    """The network to rewrite. Raises `RequestError` and `OutputError` for what cannot be written."""
    require_bundle_place(output, overwrite, bundle.source)
    parent = one_network(bundle, variant)
    if parent.spec.bits != "float":
        raise RequestError(f"{parent.spec.name} is {parent.spec.bits}; rewrite its float parent and quantise that")
    return parent


def _rewritten(parent: Bundle, accelerators: Sequence[str]) -> tuple[onnx.ModelProto, dict[Rewrite, int]]:
    """The graph with every rewrite that `check` proposes for one of the accelerators, also of what rewrites made, and in how
    many places; but for those that would undo another's: there the accelerator that is named first decides."""
    model, done = parent.graph(), dict[Rewrite, int]()
    for _ in range(PASSES):
        now = replace(parent, data=model.SerializeToString())
        wanted = list[Rewrite]()
        for name in accelerators:
            proposed = {each.rewrite for each in checked(now, name)}
            wanted += [each for each in EXACT if each.name in proposed and not _undoes(each, [*done, *wanted])]
        before = sum(done.values())
        for rewrite in sorted(set(wanted), key=EXACT.index):
            model, count = apply(model, rewrite)
            if count:
                done[rewrite] = done.get(rewrite, 0) + count
        if sum(done.values()) == before:
            break
    return model, done


def _undoes(rewrite: Rewrite, others: Iterable[Rewrite]) -> bool:
    return any({rewrite.name, other.name} == {"transposed-as-shuffle", "shuffle-as-transposed"} for other in others)


def _facts(spec: ModelSpec, name: str, done: dict[Rewrite, int]) -> ModelSpec:
    """The network cannot be rebuilt from its configuration any more: it is another graph of the same function."""
    stated = {rewrite.name: count for rewrite, count in done.items()}
    return replace(
        spec, name=name, architecture="foreign", config={},
        training={**spec.training, "rewritten": {"of": spec.name, "places": stated}},
    )  # fmt: skip


def _difference(parent: Bundle, model: onnx.ModelProto) -> tuple[float, int, float]:
    """Largest difference at `core_out`, of bytes, and share of bytes that differ, on noise and on smooth pictures."""
    before, after = (_runner(each) for each in (parent.graph(), model))
    rng, core, most, differing, count = np.random.default_rng(0), 0.0, 0, 0, 0
    for height, width in SIZES:
        m = parent.spec.multiple_of
        noise = rng.integers(0, 256, (2, height * m, width * m, 3), np.uint8)
        noise[1] //= 3  # dark, so that little is clipped
        one, other = before(noise), after(noise)
        core = max(core, float(np.abs(one[1] - other[1]).max()))
        gap = np.abs(one[0].astype(int) - other[0].astype(int))
        most, differing, count = max(most, int(gap.max())), differing + int((gap > 0).sum()), count + gap.size
    return core, most, differing / count


def _runner(model: onnx.ModelProto) -> Callable[[NDArray[Any]], list[NDArray[Any]]]:
    """Runs `model`, operator by operator: the finished bytes, and what is at `core_out`."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    whole.graph.output.append(helper.make_tensor_value_info(CORE_OUT, TensorProto.FLOAT, None))
    return open_exact(whole)
