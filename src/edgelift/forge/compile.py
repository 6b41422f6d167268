"""Bundle -> the same network in another precision or for another target: made, proven, and only then written."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from edgelift.core.errors import BundleError, EngineMissingError, RequestError
from edgelift.core.grids import BITS
from edgelift.core.spec import ModelSpec
from edgelift.evaluate.words import visible
from edgelift.forge.gate import Parity, See, measured, size_of, window_of
from edgelift.forge.tiles import Proof, calibration_tiles, proofs
from edgelift.io.activations import activation_bytes
from edgelift.io.blocks import core_model, with_core
from edgelift.io.bundle import Bundle, parse_bundle
from edgelift.io.compiled import parse_compiled
from edgelift.io.places import FilePlace, fill, make_folder, require_free
from edgelift.io.tflite import read_graph
from edgelift.runtime.engines.onnxruntime import open_exact
from edgelift.shrink import calibrate, quantize
from edgelift.shrink.half import halved
from edgelift.shrink.learnt import on_learnt_ranges
from edgelift.shrink.relu_only import conv_macs, relu_only
from edgelift.targets.base import PRECISIONS, Source, Target, load_target
from edgelift.targets.portability import Finding, check, check_kinds

__all__ = ["Order", "checked", "compared", "compile_bundle", "converted", "one_network", "write_files"]

PROOFS = 20
"""Pictures of a folder that are compared."""
STATIC_PIXELS = 1 << 15
"""Pixels that are compared where windows are of fixed sizes, at most or in one: a simulator needs a minute for so many."""


@dataclass(frozen=True)
class Order:
    """What is wanted. Raises `RequestError` for what does not go together."""

    target: str = "onnx"
    precision: str | None = None
    """One of `PRECISIONS`; None is that of the model that comes."""
    calibration: Path | None = None
    """Folder of pictures that ranges are taken from, for whole numbers."""
    count: int = 200
    symmetric: bool = False
    pictures: Path | None = None
    """Folder of pictures to prove with; drawn scenes where there is none."""
    sizes: tuple[tuple[int, int], ...] = ((192, 256),)
    """Heights and widths of windows, for targets whose files name some; several for those that run no other."""
    relu_only: bool = False
    """Whole numbers: PReLU as ReLU of twice the channels (see `shrink.relu_only`); for `litert` it always is."""
    variant: str | None = None
    """Of a supernet; the widest where none is named."""

    def __post_init__(self) -> None:
        if self.precision is not None and self.precision not in PRECISIONS:
            raise RequestError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if self.count < 1 or not self.sizes or min(map(min, self.sizes)) < 1:
            raise RequestError(f"a count and the sides of sizes are at least 1, got {self.count} and {self.sizes}")


Report = Callable[[str], None]


def compile_bundle(
    bundle: Bundle,
    order: Order,
    path: Path,
    *,
    overwrite: bool = False,
    force: bool = False,
    report: Report = lambda words: None,
) -> Parity:
    """Write `bundle` in the form that `order` describes to `path`, and what the gate found beside it (`.json`).

    Raises `RequestError` for what the target cannot take, `EngineMissingError` for tools that are absent,
    `InputError` for pictures that do not serve, `OutputError` where a file exists, and `BundleError` where the result does
    not pass the gate, unless it is forced. Then nothing is written.
    """  # fmt: skip
    target = load_target(order.target)
    places = _places(path, target, overwrite, bundle.source)
    parent = one_network(bundle, order.variant)
    _refuse_ranges(order, parent.spec)
    tiles = _proofs(order, parent.spec, target)
    source = _prepared(parent, order, target, report)
    first = parse_compiled(target.compile(source), str(path))
    parity = measured(first, parent, tiles, _called(order.pictures))
    if not force:
        parity.demand()
    source = replace(source, spec=replace(source.spec, quality={"parity": parity.facts()}))
    files = target.compile(source)
    parity = replace(parity, bytes=size_of(parse_compiled(files, str(path))))
    write_files({places[suffix]: data for suffix, data in reversed(files.items())} | {places[".json"]: _json(parity)})
    return parity


def _proofs(order: Order, spec: ModelSpec, target: type[Target]) -> list[Proof]:
    """Tiles to prove with; where windows are of fixed sizes those of the smallest, and few where they are simulated."""
    if not target.static:
        return proofs(order.pictures, spec, PROOFS)
    size = min(_sizes(order, spec), key=math.prod)
    return proofs(order.pictures, spec, _few(size), size)


def _few(size: tuple[int, int]) -> int:
    """How many windows of that size are simulated."""
    return max(1, min(PROOFS, STATIC_PIXELS // math.prod(size)))


def compared(one: Bundle, other: Bundle, pictures: Path | None, see: See | None = None) -> Parity:
    """`one` beside `other` on `PROOFS` pictures of a folder, or on drawn scenes; in the smallest window that both run, where one
    of them runs only some.

    Raises `RequestError` where the two do not enlarge alike or run no window in common, and as `proofs`.
    """
    size = window_of(one, other)
    few = size is not None and "sophon" in (one.form, other.form)
    tiles = proofs(pictures, other.spec, _few(size) if few and size is not None else PROOFS, size)
    return measured(one, other, tiles, _called(pictures), see=see)


def _called(pictures: Path | None) -> str:
    """What files say of where tiles are from: a name that any JSON can hold."""
    return visible(pictures.name) if pictures else "drawn"


def _sizes(order: Order, spec: ModelSpec) -> tuple[tuple[int, int], ...]:
    """Those of `order`, each once, extended to what the network needs a multiple of."""
    multiple = spec.multiple_of
    return tuple(dict.fromkeys((-(-h // multiple) * multiple, -(-w // multiple) * multiple) for h, w in order.sizes))


def converted(bundle: Bundle, order: Order, report: Report = lambda words: None) -> Bundle:
    """`bundle` in the form of `order` in memory, without a gate: for those who measure it themselves."""
    target = load_target(order.target)
    source = _prepared(one_network(bundle, order.variant), order, target, report)
    return parse_compiled(target.compile(source), bundle.source)


def _prepared(parent: Bundle, order: Order, target: type[Target], report: Report) -> Source:
    """`parent` in the precision that is asked for, as `target` takes it; what it cannot take is found before calibration."""
    if missing := target.missing():
        raise EngineMissingError(missing)
    if len(order.sizes) > 1 and not target.static:
        raise RequestError(f"files of {target.name} name one size, got {len(order.sizes)}; any size runs")
    _demand(target, _source(parent, order, target))
    source = _source(_in_precision(parent, order, target, report), order, target)
    _demand(target, source)
    return source


def _demand(target: type[Target], source: Source) -> None:
    """Raise `RequestError` where the target cannot take it."""
    if found := target.problems(source):
        raise RequestError(f"{target.name} cannot take {source.spec.name}: {'; '.join(found)}")


def checked(bundle: Bundle, accelerator: str, variant: str | None = None) -> list[Finding]:
    """The operators of `bundle`, or of a `.tflite` file, on that accelerator; see `targets.portability.check`."""
    if bundle.form == "litert":
        kinds = [op.kind for op in read_graph(bundle.data).operators]
        return check_kinds([kind for kind in kinds if kind != "DEQUANTIZE"], bundle.spec.bits, accelerator)
    return check(_source(one_network(bundle, variant), Order(), load_target("onnx")), accelerator)


def one_network(bundle: Bundle, variant: str | None) -> Bundle:
    """One variant of a supernet as a bundle of its own; any other bundle as it is."""
    spec = bundle.spec
    if variant is not None and variant not in spec.variants:
        raise RequestError(f"{spec.name} has no variant {variant!r}; it has {', '.join(spec.variants)}")
    if spec.widest == 1:
        return bundle
    number = spec.widest if variant is None else spec.variants.index(variant) + 1
    core = core_model(bundle, number)
    facts = replace(
        spec, name=f"{spec.name}-{spec.variants[number - 1]}", architecture="foreign", config={}, variants=("full",),
        parameters=sum(_size(t) for t in core.graph.initializer), macs=spec.macs_of(number), routing={}, quality={},
    )  # fmt: skip
    return _bundle(facts, with_core(bundle, core), bundle.source)


def _size(tensor: onnx.TensorProto) -> int:
    total = 1
    for side in tensor.dims:
        total *= side
    return total


def _bundle(spec: ModelSpec, model: onnx.ModelProto, source: str) -> Bundle:
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, spec.metadata())
    return parse_bundle(model.SerializeToString(deterministic=True), source)


def _in_precision(parent: Bundle, order: Order, target: type[Target], report: Report) -> Bundle:
    """`parent` in the precision that is asked for. Raises `RequestError` where it cannot be had."""
    spec = parent.spec
    wanted = order.precision or spec.bits
    if wanted not in target.precisions:
        raise RequestError(f"{order.target} has no {wanted}; it has {', '.join(target.precisions)}")
    if wanted == spec.bits:
        return parent
    if spec.bits != "float":
        raise RequestError(
            f"{spec.name} is {spec.bits} already and cannot be made {wanted}; start from its float parent"
        )
    if wanted == "fp16":
        facts: dict[str, Any] = {"bits": wanted}
        core = halved(core_model(parent))
    elif wanted == "bf16":  # the graph stays what it is; the target keeps and multiplies its values in 16 bits
        facts, core = {"bits": wanted}, core_model(parent)
    else:
        core, facts = _on_whole_numbers(parent, wanted, order, report)
    return _bundle(_child(parent, f"{spec.name}-{wanted}", facts), with_core(parent, core), parent.source)


def _refuse_ranges(order: Order, spec: ModelSpec) -> None:
    """Raise `RequestError` where `order` says how ranges are taken and none are."""
    given = {"--calibration": order.calibration, "--symmetric": order.symmetric, "--relu-only": order.relu_only,
             "--count": order.count != Order.count}  # fmt: skip
    wanted = order.precision or spec.bits
    if wanted in BITS and wanted != spec.bits:
        return
    if named := [name for name, value in given.items() if value]:
        why = f"{spec.name} stays {wanted}" if wanted == spec.bits else f"{wanted} has none"
        raise RequestError(f"{', '.join(named)}: how ranges of whole numbers are taken, and {why}; leave them out")


def _child(parent: Bundle, name: str, facts: dict[str, Any]) -> ModelSpec:
    """The facts of what is made of `parent`: measured quality is not passed on."""
    origin = {"parent": parent.spec.name, "parent_sha256": hashlib.sha256(parent.data).hexdigest()}
    return replace(
        parent.spec,
        name=name,
        quality={},
        macs=parent.spec.macs + facts.get("added_macs", 0),
        training={**parent.spec.training, "quantised": {**facts, **origin}},
    )


def _on_whole_numbers(
    parent: Bundle, bits: str, order: Order, report: Report
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The quantised core, and how it was made: by learnt ranges, unless there are none or pictures are named."""
    learnt = parent.spec.training.get("ranges")
    if order.calibration is None and not learnt:
        raise RequestError(
            f"{bits} needs pictures that ranges are taken from (--calibration DIR), a model whose ranges were learnt "
            f"(edgelift train --quantize), or one that is {bits} already"
        )
    core, added = core_model(parent), 0
    if found := quantize.problems(core):
        raise RequestError(f"{parent.spec.name} cannot be made {bits}: {'; '.join(found)}")
    if order.relu_only or order.target == "litert":
        plain, core = core, relu_only(core)
        added = conv_macs(core) - conv_macs(plain)
    if order.calibration is None:
        if not isinstance(learnt, dict):
            raise BundleError(f"{parent.source}: the fact 'ranges' must be a table, got {learnt!r}")
        report("ranges as they were learnt in training")
        facts = {"bits": bits, "symmetric": order.symmetric, "added_macs": added, "method": "learnt"}
        return on_learnt_ranges(core, learnt, bits, symmetric=order.symmetric), facts
    tiles = calibration_tiles(order.calibration, parent.spec, order.count)

    def told(trial: calibrate.Trial) -> None:
        report(f"{trial.method}, equalised by {trial.strength:g}: {trial.decibels:.2f} dB from float")

    made = calibrate.calibrated(core, tiles, bits, open_exact, symmetric=order.symmetric, report=told)
    facts = {
        "bits": bits, "symmetric": order.symmetric, "tiles": len(tiles), "pictures": visible(order.calibration.resolve().name),
        "added_macs": added, "method": made.trial.method, "equalised": made.trial.strength,
        "psnr_to_float": round(made.trial.decibels, 2),
        "tried": {f"{t.method}, {t.strength:g}": round(t.decibels, 2) for t in made.trials},
        "inner": {name: [grid.scale, grid.zero] for name, grid in made.inner.items()},
    }  # fmt: skip
    return made.core, facts


def _source(bundle: Bundle, order: Order, target: type[Target]) -> Source:
    spec = bundle.spec
    if target.suffix != ".onnx":
        stated = {"target": order.target, "activation_bytes": round(activation_bytes(bundle), 1)}
        spec = replace(spec, training={**spec.training, "compiled": stated})
    return Source(spec, bundle.graph(), core_model(bundle), _sizes(order, spec))


def _places(path: Path, target: type[Target], overwrite: bool, source: str) -> dict[str, Path]:
    """Suffix -> file. Raises `RequestError` for a wrong suffix, `OutputError` for files that exist or are `source`."""
    if path.suffix != target.suffix:
        raise RequestError(f"{path}: files of {target.name} end in {target.suffix}")
    places = {target.suffix: path, ".json": path.with_name(f"{path.name}.json")}
    if target.suffix == ".xml":
        places[".bin"] = path.with_suffix(".bin")
    for place in places.values():
        require_free(place, overwrite, source)
    return places


def _json(parity: Parity) -> bytes:
    return (json.dumps(parity.document(), indent=2) + "\n").encode()


def write_files(files: dict[Path, bytes]) -> None:
    """All of `files`, each beside its name first; they get their names when all are complete, in order. Raises `OutputError`."""
    for path in files:
        make_folder(path.parent)
    fill(*((FilePlace(path, overwrite=True), data) for path, data in files.items()))
