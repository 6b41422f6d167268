"""Others' checkpoints -> bundles, through the same proof as our own."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from edgelift.core.errors import BundleError, EdgeliftError, EngineMissingError, RequestError
from edgelift.evaluate.words import visible
from edgelift.forge import spandrel
from edgelift.forge.bundles import bundle_checkpoint, bundle_network
from edgelift.forge.wrapping import import_graph
from edgelift.io.bundle import MAX_BYTES, Bundle
from edgelift.nets.detect import UnknownFormError, recognise, tensors_of
from edgelift.training.checkpoint import UNREADABLE, Checkpoint

__all__ = ["UNKNOWN_LICENCE", "check_size", "import_checkpoint", "import_onnx", "read_tensors"]

UNKNOWN_LICENCE = "LicenseRef-Unknown"
"""What a bundle states whose weights' licence was not given."""


def check_size(path: Path) -> None:
    """Raise `BundleError` for a file that is not there, or larger than a bundle may be."""
    try:
        size = path.stat().st_size
    except OSError as exc:
        raise BundleError(f"{path}: cannot be read ({exc.strerror})") from exc
    if size > MAX_BYTES:
        raise BundleError(f"{path}: {size} bytes; files of at most {MAX_BYTES} are imported")


def read_tensors(path: Path) -> Any:
    """What the checkpoint at `path` holds; no code in it is run, and a file that brings any is refused.

    Raises `BundleError`; `EngineMissingError` where the package that reads its kind of file is not installed.
    """
    check_size(path)
    try:
        if path.suffix == ".safetensors":
            return _safetensors(path)
        _check_records(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as exc:
        if "global" not in str(exc).lower():  # not a pickle, or a damaged one
            raise BundleError(f"{path}: not a checkpoint of PyTorch, or a damaged one") from exc
        raise BundleError(
            f"{path}: it holds more than tensors and plain values: objects whose code would be run; have the state dict "
            "saved by itself"
        ) from exc
    except UNREADABLE as exc:
        raise BundleError(
            f"{path}: not a checkpoint ({str(exc).splitlines()[0] if str(exc) else type(exc).__name__})"
        ) from exc


def _check_records(path: Path) -> None:
    """Raise `BundleError` where a checkpoint would unpack to more than it may, and `ValueError` for a damaged archive.

    PyTorch stores its records as they are and unpacks all of a file at once.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\3\4":  # of older versions, which wrote no archives
            return
        try:
            records = zipfile.ZipFile(file).infolist()
        except (zipfile.BadZipFile, NotImplementedError) as exc:
            raise ValueError(str(exc)) from exc
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise BundleError(f"{path}: its records are compressed, as PyTorch writes none; save it again with torch.save")
    if (size := sum(record.file_size for record in records)) > MAX_BYTES:
        raise BundleError(f"{path}: its records take {size} bytes; at most {MAX_BYTES} are imported")


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as exc:
        raise EngineMissingError(f"{path}: safetensors is not installed; pip install 'edgelift[import]'") from exc
    try:
        return load_file(path)
    except SafetensorError as exc:
        raise ValueError(str(exc)) from exc


def import_checkpoint(
    path: Path,
    output: Path,
    *,
    scale: int | None = None,
    licence: str = UNKNOWN_LICENCE,
    overwrite: bool = False,
) -> Bundle:
    """Make a bundle of the checkpoint at `path`, a PyTorch or safetensors file of a form in `nets.foreign`,
    or of one that spandrel knows where that is installed.

    One of a run of edgelift is exported as it is. `scale` chooses where a checkpoint serves several scales or does not tell
    its own. The card says which file it was made of, by name and SHA-256. Raises `BundleError` for a file that is not
    understood whole, `RequestError` for another scale.
    """
    content = read_tensors(path)
    if isinstance(content, dict) and {"weights", "state", "step"} == set(content):  # of a run of our own
        checkpoint = Checkpoint.load(path)
        own = checkpoint.meta["recipe"]["network"].get("scale")
        if scale not in (None, own):
            raise RequestError(f"{path}: it enlarges ×{own}, not ×{scale}: it is of a run of edgelift")
        return bundle_checkpoint(checkpoint, output, licence=licence, overwrite=overwrite)
    try:
        state = tensors_of(content)
        try:
            network, form = recognise(state, scale)
        except UnknownFormError as exc:
            if not spandrel.available():
                raise BundleError(f"{exc}; {spandrel.ADVICE}") from exc
            return spandrel.import_state(
                state, _origin(path, ""), output, scale=scale, licence=licence, overwrite=overwrite
            )
    except EdgeliftError as exc:
        raise type(exc)(f"{path}: {exc}") from exc
    made_of = {"imported": _origin(path, form)}
    return bundle_network(network, output.stem, licence, made_of, output, overwrite=overwrite)


def import_onnx(
    path: Path,
    output: Path,
    *,
    white: int = 1,
    multiple_of: int = 1,
    licence: str = UNKNOWN_LICENCE,
    overwrite: bool = False,
) -> Bundle:
    """Make a bundle of the ONNX model at `path`; see `forge.wrapping.import_graph`."""
    check_size(path)
    try:
        origin = _origin(path, "ONNX")
        return import_graph(
            path.read_bytes(),
            origin,
            output,
            licence=licence,
            white=white,
            multiple_of=multiple_of,
            overwrite=overwrite,
        )
    except OSError as exc:
        raise BundleError(f"{path}: cannot be read ({exc.strerror})") from exc
    except (BundleError, RequestError) as exc:
        raise type(exc)(f"{path}: {exc}") from exc


def _origin(path: Path, form: str) -> dict[str, str]:
    """What the card says of the file: nothing of the machine that it lay on."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"file": visible(path.name), "sha256": digest, "form": form}
