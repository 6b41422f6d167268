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

from edgelift.core.errors import BundleError, RequestError
from edgelift.core.spec import KEY_VERSION, ModelSpec
from edgelift.evaluate.words import visible
from edgelift.forge.compile import write_files
from edgelift.forge.gate import enlarge
from edgelift.io.bundle import Bundle
from edgelift.io.compiled import parse_compiled, read_model
from edgelift.io.places import require_free
from edgelift.io.tflite import read_metadata
from edgelift.runtime.engine import Engine, Options
from edgelift.runtime.engines.litert import LiteRTEngine
from edgelift.targets.tflite import with_metadata

__all__ = ["import_tflite", "measured_halo"]

TRIALS = 6
"""Surroundings that are tried around a pixel."""
FURTHER = 8
"""Pixels beyond a halo that are changed."""
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
    require_free(output, overwrite, path)
    found = read_model(path)
    if KEY_VERSION in read_metadata(found.data, (KEY_VERSION,), 100):
        raise RequestError(f"{path}: it holds edgelift's facts already; run it as it is")
    spec = replace(found.spec, name=output.stem, licence=licence)
    if multiple_of is not None:
        if multiple_of % spec.multiple_of:
            raise RequestError(f"{path}: sides are multiples of {spec.multiple_of}, got --multiple-of {multiple_of}")
        spec = replace(spec, multiple_of=multiple_of)
    origin: dict[str, Any] = {
        "file": visible(path.name),
        "sha256": hashlib.sha256(found.data).hexdigest(),
        "form": "LiteRT",
    }
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
    if spec.halo is None:
        measured = measured_halo(engine)
        return replace(spec, halo=measured), "none" if measured is None else "measured"
    around = _Surroundings(engine, spec.halo)
    if around.most >= spec.halo and around.change(spec.halo):
        raise BundleError(
            f"{spec.name}: by its operators it looks {spec.halo} pixels far, but more distant ones change its pictures: the file "
            "is damaged, or uses operators in a way that is not known here"
        )
    return spec, "from the graph"


def measured_halo(engine: Engine) -> int | None:
    """The fewest pixels around one (a block of them, where sides are multiples) beyond which nothing changes its result, in
    `TRIALS` surroundings; None where there are more than `LARGEST`, or more than half of the windows that the engine runs.

    What is rounded away, as in INT8, or cut off by a ReLU in all trials, is not seen.
    """
    around = _Surroundings(engine, LARGEST)
    if around.change(around.most):
        return None
    low, high = -1, around.most  # whatever is at -1 changes something, nothing beyond `most` does
    while high - low > 1:
        between = (low + high) // 2
        low, high = (between, high) if around.change(between) else (low, between)
    return high


class _Surroundings:
    """Random pictures around one block in the middle, and others to put in their place from some distance on."""

    def __init__(self, engine: Engine, radius: int) -> None:
        self._engine, self._block = engine, engine.spec.multiple_of
        beyond = -(-2 * (radius + FURTHER) // self._block) * self._block + self._block
        height, width = engine.limits.shapes[0] if engine.limits.shapes else (beyond, beyond)
        self._at = [side // 2 // self._block * self._block for side in (height, width)]
        room = [min(at, side - at - self._block) for at, side in zip(self._at, (height, width), strict=True)]
        self.most = min(radius, *room)
        """The largest distance that can be tried."""
        rng = np.random.default_rng(0)
        self._pairs = [rng.integers(0, 256, (2, height, width, 3), np.uint8) for _ in range(TRIALS)]
        self._results = [self._result(here) for here, _ in self._pairs]

    def change(self, radius: int) -> bool:
        """Whether anything beyond `radius` changes the block in the middle."""
        rows, columns = (slice(max(0, at - radius), at + self._block + radius) for at in self._at)
        for (here, there), result in zip(self._pairs, self._results, strict=True):
            mixed = there.copy()
            mixed[rows, columns] = here[rows, columns]
            if not np.array_equal(self._result(mixed), result):
                return True
        return False

    def _result(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        scale, (top, left) = self._engine.spec.scale, self._at
        larger = enlarge(self._engine, picture)
        block = larger[top * scale : (top + self._block) * scale, left * scale : (left + self._block) * scale]
        return block.copy()


def _prove(engine: LiteRTEngine, made: Bundle) -> None:
    """Raise `BundleError` unless the file with facts gives what the original gives."""
    height, width = engine.limits.shapes[0] if engine.limits.shapes else (24 * made.spec.multiple_of,) * 2
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    with closing(_opened(made)) as other:
        if not np.array_equal(enlarge(engine, picture), enlarge(other, picture)):
            raise BundleError(
                f"{made.source}: with its facts the file gives another picture than without; nothing is written"
            )
