"""A `.tflite` that another tool made -> the same file with edgelift's facts in it, proven to give the same pictures.

What its graph does not tell is measured: the halo, by what is changed around a pixel, and what white is. The graph is not
touched. PyTorch is not needed.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import BundleError, OutputError, RequestError
from edgelift.core.spec import KEY_VERSION, ModelSpec
from edgelift.forge.compile import write_files
from edgelift.forge.gate import enlarge
from edgelift.io.bundle import Bundle
from edgelift.io.compiled import parse_compiled, read_model
from edgelift.io.tflite import read_metadata
from edgelift.runtime.engine import Engine, Options
from edgelift.runtime.engines.litert import LiteRTEngine
from edgelift.targets.tflite import with_metadata

__all__ = ["import_tflite", "measured_halo"]

TRIALS = 6
"""Surroundings that are tried around a pixel."""
LARGEST = 128
"""Halos beyond are not measured: the network is taken to see the whole picture."""


def import_tflite(
    path: Path,
    output: Path,
    *,
    white: int | None = None,
    multiple_of: int | None = None,
    licence: str = "LicenseRef-Unknown",
    overwrite: bool = False,
) -> Bundle:
    """Write `path` with edgelift's facts to `output`, also a `.tflite`.

    `white`: what white is for a float file; tried where it is left out. `multiple_of`: of sides, where the graph does not
    tell. Raises `BundleError` for a file that is not run here, `RequestError` for one that has facts already, `OutputError`
    where `output` exists.
    """
    if output.suffix != ".tflite":
        raise RequestError(f"{output}: a .tflite stays one; name a file that ends in .tflite")
    if output.exists() and not overwrite:
        raise OutputError(f"{output}: exists already; remove it, or say --overwrite (overwrite=True)")
    found = read_model(path)
    if KEY_VERSION in read_metadata(found.data, (KEY_VERSION,), 100):
        raise RequestError(f"{path}: it holds edgelift's facts already; run it as it is")
    spec = replace(found.spec, name=output.stem, licence=licence)
    if multiple_of is not None:
        if multiple_of % spec.multiple_of:
            raise RequestError(f"{path}: sides are multiples of {spec.multiple_of}, got --multiple-of {multiple_of}")
        spec = replace(spec, multiple_of=multiple_of)
    origin: dict[str, Any] = {"file": path.name, "sha256": hashlib.sha256(found.data).hexdigest(), "form": "LiteRT"}
    origin |= {} if white is None else {"white": white}
    with closing(_opened(replace(found, spec=_with(spec, origin)))) as engine:
        spec = _with(spec, {**origin, "white": int(engine.white)})
        spec, told = _with_halo(spec, engine)
        spec = _with(spec, {**spec.training["imported"], "halo": told})
        data = with_metadata(found.data, spec.metadata())
        made = parse_compiled({".tflite": data}, str(output))
        _prove(engine, made)
    write_files({output: data})
    return made


def _with(spec: ModelSpec, origin: dict[str, Any]) -> ModelSpec:
    return replace(spec, training={**spec.training, "imported": origin})


def _opened(bundle: Bundle) -> LiteRTEngine:
    return LiteRTEngine(bundle, Options())


def _with_halo(spec: ModelSpec, engine: LiteRTEngine) -> tuple[ModelSpec, str]:
    """The facts with a halo, and where it is from."""
    measured = measured_halo(engine)
    if spec.halo is None:
        return replace(spec, halo=measured), "none" if measured is None else "measured"
    if measured is not None and measured > spec.halo:
        raise BundleError(
            f"{spec.name}: its operators look {spec.halo} pixels far, its pictures change from {measured} pixels away: the file "
            "is damaged, or uses operators in a way that is not known here"
        )
    return spec, "from the graph"


def measured_halo(engine: Engine) -> int | None:
    """The fewest pixels around one (a block of them, where sides are multiples) beyond which nothing changes its result, in
    `TRIALS` surroundings; None where there are more than `LARGEST`, or more than half of the windows that the engine runs.

    What is rounded away, as in INT8, or cut off by a ReLU in all trials, is not seen.
    """
    multiple = engine.spec.multiple_of
    height, width = (
        engine.limits.shapes[0] if engine.limits.shapes else ((2 * LARGEST + 2 * multiple) // multiple * multiple,) * 2
    )
    top, left = (side // 2 // multiple * multiple for side in (height, width))
    most = min(LARGEST, top, left, height - top - multiple, width - left - multiple)
    rng = np.random.default_rng(0)
    pairs = [rng.integers(0, 256, (2, height, width, 3), np.uint8) for _ in range(TRIALS)]
    wanted = [_result(engine, here, top, left) for here, _ in pairs]

    def changes(radius: int) -> bool:
        """Whether anything beyond `radius` changes the middle."""
        for (here, there), result in zip(pairs, wanted, strict=True):
            mixed = there.copy()
            rows, columns = (slice(max(0, at - radius), at + multiple + radius) for at in (top, left))
            mixed[rows, columns] = here[rows, columns]
            if not np.array_equal(_result(engine, mixed, top, left), result):
                return True
        return False

    if changes(most):
        return None
    low, high = -1, most  # whatever is at -1 changes something, nothing beyond `most` does
    while high - low > 1:
        between = (low + high) // 2
        low, high = (between, high) if changes(between) else (low, between)
    return high


def _result(engine: Engine, picture: NDArray[np.uint8], top: int, left: int) -> NDArray[np.uint8]:
    """What becomes of the block there."""
    scale, block = engine.spec.scale, engine.spec.multiple_of
    larger = enlarge(engine, picture)
    return larger[top * scale : (top + block) * scale, left * scale : (left + block) * scale].copy()


def _prove(engine: LiteRTEngine, made: Bundle) -> None:
    """Raise `BundleError` unless the file with facts gives what the original gives."""
    height, width = engine.limits.shapes[0] if engine.limits.shapes else (24 * made.spec.multiple_of,) * 2
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    with closing(_opened(made)) as other:
        if not np.array_equal(enlarge(engine, picture), enlarge(other, picture)):
            raise BundleError(
                f"{made.source}: with its facts the file gives another picture than without; nothing is written"
            )
