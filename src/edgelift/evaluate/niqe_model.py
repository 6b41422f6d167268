"""The pristine model of NIQE: how the features of good pictures are spread, as mean and covariance.

The file is the usual `.npz` (`mu_pris_param`, `cov_pris_param`, `gaussian_window`), to which `name` and `provenance` are
added where edgelift wrote it; a MATLAB `.mat` (`mu_prisparam`, `cov_prisparam`) is read too. A model file is data: nothing
in it is unpickled, and all that is read is limited.
"""

from __future__ import annotations

import io
import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import InputError, RequestError
from edgelift.core.image import Picture
from edgelift.evaluate.files import write_whole
from edgelift.evaluate.niqe_features import BLOCK, FEATURES, WINDOW, Blocks, blocks_of, luma_levels
from edgelift.evaluate.niqe_mat import is_mat, read_mat
from edgelift.io.places import require_free, require_place

__all__ = [
    "SHARP",
    "NiqeModel",
    "check_place",
    "fit",
    "fit_blocks",
    "load_model",
    "parse_model",
    "provenance",
    "save_model",
]

SHARP = 0.75
"""Blocks of a picture are fitted where their sharpness is above this part of the sharpest block's."""
MAX_BYTES = 1 << 20
"""Of a model file; 37 × 36 numbers take a hundredth of that."""
MAX_TEXT = 2000
"""Characters of a name or a provenance."""

_NAMES = {"mean": ("mu_pris_param", "mu_prisparam"), "covariance": ("cov_pris_param", "cov_prisparam")}
_ADVICE = "name a NIQE model, such as one that 'edgelift niqe --fit FOLDER -o FILE.npz' writes"


@dataclass(frozen=True, eq=False)
class NiqeModel:
    """A multivariate Gaussian over the 36 features. Raises `RequestError` where the numbers are none such."""

    mean: NDArray[np.float64]
    """Shape (36,)."""
    covariance: NDArray[np.float64]
    """Shape (36, 36), symmetric, its diagonal at least 0."""
    name: str
    """What reports call it."""
    provenance: str = ""
    """Which pictures it was fitted to, in words."""

    def __post_init__(self) -> None:
        if self.mean.shape != (FEATURES,) or self.covariance.shape != (FEATURES, FEATURES):
            raise RequestError(
                f"a NIQE model has a mean of ({FEATURES},) and a covariance of ({FEATURES}, {FEATURES}), "
                f"got {self.mean.shape} and {self.covariance.shape}"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.covariance).all()):
            raise RequestError("a NIQE model holds finite numbers; some of these are not")
        tolerance = 1e-8 * max(float(np.abs(self.covariance).max()), 1e-30)
        if np.abs(self.covariance - self.covariance.T).max() > tolerance or np.diag(self.covariance).min() < 0:
            raise RequestError("a NIQE model has a symmetric covariance with variances of at least 0; this has not")


# -- files


def load_model(path: str | Path | None = None) -> NiqeModel:
    """The model in `path`, `.npz` or `.mat`, known by its content; the one that comes with edgelift for None.

    Raises `InputError` for what cannot be read, is damaged, or holds no such model.
    """
    if path is None:
        source = resources.files("edgelift.evaluate") / "pristine.npz"
        return parse_model(source.read_bytes(), "pristine.npz")
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise InputError(f"{path}: cannot be read ({exc.strerror or exc}); {_ADVICE}") from exc
    return parse_model(data, str(path))


def parse_model(data: bytes, source: str) -> NiqeModel:
    """The model in the bytes of a file; see `load_model`. `source` is what messages call it."""
    if len(data) > MAX_BYTES:
        raise InputError(f"{source}: NIQE models of at most {MAX_BYTES} bytes are read; {_ADVICE}")
    try:
        arrays = _arrays(data)
        mean, covariance = (_pick(arrays, what) for what in _NAMES)
        _check_window(arrays.get("gaussian_window"))
        name = _text(arrays.get("name")) or Path(source).name
        return NiqeModel(mean.reshape(-1), covariance, name, _text(arrays.get("provenance")))
    except (
        RequestError,
        ValueError,
        EOFError,
        OverflowError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as exc:
        raise InputError(f"{source}: not a NIQE model, or a damaged one ({_one_line(exc)}); {_ADVICE}") from exc


def _one_line(exc: Exception) -> str:
    return " ".join(str(exc).split())[:300] or type(exc).__name__


def _arrays(data: bytes) -> dict[str, NDArray[Any]]:
    if is_mat(data):
        return read_mat(data, max_bytes=MAX_BYTES)
    if not data.startswith(b"PK"):
        raise ValueError("neither .npz nor .mat")
    return _read_npz(data)


def _read_npz(data: bytes) -> dict[str, NDArray[Any]]:
    wanted = {*(name for names in _NAMES.values() for name in names), "gaussian_window", "name", "provenance"}
    found = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name in wanted:
                found[name] = _read_npy(name, _member(archive, member))
    return found


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(member) as file:
            content = file.read(MAX_BYTES + 1)
    except (
        RuntimeError,
        OSError,
        lzma.LZMAError,
        struct.error,
    ) as exc:  # a password, an unknown or damaged compression
        raise ValueError(f"{member.filename} cannot be unpacked: {exc}") from exc
    if len(content) > MAX_BYTES:
        raise ValueError(f"{member.filename} unpacks to more than {MAX_BYTES} bytes")
    return content


def _read_npy(name: str, content: bytes) -> NDArray[Any]:
    """One array, whose header must agree with what follows it before any memory is taken for it."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name} is of version {version} of the .npy format")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, in_columns, dtype = header(file)
    except (tokenize.TokenError, ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, SyntaxError,
            TypeError) as exc:  # fmt: skip  # what numpy raises for headers that are none, found by fuzzing
        raise ValueError(f"{name} has a damaged header") from exc
    rest = content[file.tell() :]
    if dtype.kind not in "fiuU" or any(side < 0 for side in shape) or len(shape) > 2:
        raise ValueError(f"{name} holds {dtype} in the shape {shape}")
    if int(np.prod(shape, dtype=object)) * dtype.itemsize != len(rest):
        raise ValueError(f"{name} of shape {shape} and type {dtype} has {len(rest)} bytes")
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if in_columns else "C")


def _pick(arrays: dict[str, NDArray[Any]], what: str) -> NDArray[np.float64]:
    for name in _NAMES[what]:
        if name in arrays:
            if arrays[name].dtype.kind not in "fiu":
                raise ValueError(f"{name} holds {arrays[name].dtype}, not numbers")
            return arrays[name].astype(np.float64)
    raise ValueError(f"no {_NAMES[what][0]} in it")


def _check_window(window: NDArray[Any] | None) -> None:
    """A model counted with another window would be compared with features that it does not know."""
    if window is not None and not (window.shape == WINDOW.shape and np.allclose(window, WINDOW, atol=1e-6)):
        raise ValueError("its window is not the 7 × 7 Gaussian of standard deviation 7/6")


def _text(array: NDArray[Any] | None) -> str:
    if array is None:
        return ""
    text = str(array.reshape(-1)[0]) if array.dtype.kind == "U" and array.size == 1 else ""
    return "".join(c if c.isprintable() else " " for c in text[:MAX_TEXT])


def save_model(model: NiqeModel, path: Path, *, overwrite: bool = False) -> None:
    """Write `model` as `.npz`, which appears complete or not at all. The same model gives the same bytes.

    Raises `RequestError` for another extension and `OutputError` where it cannot be written, or exists.
    """
    check_place(path, overwrite)
    file = io.BytesIO()
    _write_npz(file, model)
    write_whole(path, file.getvalue())


def check_place(path: Path, overwrite: bool = False) -> None:
    """Raise what `save_model` would raise for that name, before any work is done."""
    if path.suffix.lower() != ".npz":
        raise RequestError(f"{path}: a NIQE model is written as .npz; give it that extension")
    require_place(path)
    require_free(path, overwrite)


def _write_npz(file: IO[bytes], model: NiqeModel) -> None:
    arrays = {
        "mu_pris_param": model.mean[None], "cov_pris_param": model.covariance, "gaussian_window": WINDOW,
        "name": np.array(model.name), "provenance": np.array(model.provenance),
    }  # fmt: skip
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # whose date is the first that there is, on any day
            member.create_system = 3
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(member, content.getvalue())


# -- fitting


def fit(pictures: Iterable[Picture], name: str = "fitted", provenance: str = "") -> NiqeModel:
    """The model of `pictures` (as `niqe` takes them), from the sharp blocks of each (section II-C of the paper).

    Raises `RequestError` where too few blocks are left for a covariance.
    """
    return fit_blocks((blocks_of(luma_levels(picture)) for picture in pictures), name, provenance)


def fit_blocks(
    pictures: Iterable[Blocks],
    name: str = "fitted",
    provenance: str = "",
    heard: Callable[[int], None] = lambda n: None,
) -> NiqeModel:
    """`fit` for pictures whose blocks were counted already. `heard` is told how many blocks of each were taken."""
    tables = []
    for blocks in pictures:
        sharp = blocks.features[blocks.sharpness > SHARP * blocks.sharpness.max(initial=0.0)]
        tables.append(sharp[~np.isnan(sharp).any(axis=1)])
        heard(len(tables[-1]))
    table = np.concatenate([np.empty((0, FEATURES)), *tables])
    if len(table) <= FEATURES:
        raise RequestError(
            f"{len(table)} sharp blocks of {BLOCK}×{BLOCK} pixels were found, and a model needs more than {FEATURES}; "
            "fit more or larger pictures"
        )
    return NiqeModel(table.mean(axis=0), np.cov(table, rowvar=False), name, provenance)


def provenance(model: NiqeModel, sources: Sequence[str], pictures: int, blocks: int) -> NiqeModel:
    """`model` with words on what it was fitted to; `sources` are names of folders or files, without their paths."""
    named = ", ".join(dict.fromkeys(sources))
    return replace(model, provenance=f"fitted to {blocks} sharp blocks of {pictures} pictures ({named})"[:MAX_TEXT])
