"""Files that bundles are compiled to, read as bundles: OpenVINO IR, LiteRT and SOPHON's. `docs/compiling.md` describes them.

Their facts are those of a bundle; of a `.tflite` that another tool made they are what its graph tells (see `io.foreign`).
As with bundles nothing is executed while a file is read, all that is read is limited, and damaged files are `BundleError`s.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path

from edgelift.core.errors import BundleError
from edgelift.core.spec import KEY_FACTS, KEY_VERSION, MAX_FACTS, ModelSpec
from edgelift.io.bundle import MAX_BYTES, Bundle, parse_bundle, read_bundle
from edgelift.io.foreign import foreign_spec
from edgelift.io.tflite import read_metadata, text_of
from edgelift.toolchain.bmodel import facts_of

__all__ = ["WEIGHTS_SUFFIX", "parse_compiled", "read_model"]

WEIGHTS_SUFFIX = ".bin"
"""Of the second file of OpenVINO IR."""


def read_model(path: Path) -> Bundle:
    """The model in `path`: a bundle, OpenVINO IR (`.xml` with its `.bin` beside it), LiteRT (`.tflite`) or
    SOPHON's (`.bmodel`).

    Raises `BundleError` that says what is wrong with it.
    """
    if path.suffix not in _READERS:
        return read_bundle(path)
    files = {path.suffix: _bytes(path)}
    if path.suffix == ".xml":
        files[WEIGHTS_SUFFIX] = _bytes(path.with_suffix(WEIGHTS_SUFFIX))
    return parse_compiled(files, str(path))


def parse_compiled(files: dict[str, bytes], source: str) -> Bundle:
    """The model in `files`, suffix -> bytes, the first of which names it; see `read_model`."""
    suffix, data = next(iter(files.items()))
    if suffix == ".onnx":
        return parse_bundle(data, source)
    form, facts = _READERS[suffix]
    try:
        stated = facts(data)
        foreign = suffix == ".tflite" and KEY_VERSION not in stated
        spec = foreign_spec(data, Path(source).stem) if foreign else ModelSpec.from_metadata(stated)
    except BundleError as exc:
        raise BundleError(f"{source}: {exc}{_FOREIGN if 'no edgelift facts' in str(exc) else ''}") from exc
    return Bundle(spec, data, source, form, files.get(WEIGHTS_SUFFIX, b""))


_FOREIGN = " that edgelift compiled, and its scale, halo and range of values cannot be told; make one: edgelift compile"


def _bytes(path: Path) -> bytes:
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise BundleError(f"{path}: {size} bytes; models of at most {MAX_BYTES} are read")
        return path.read_bytes()
    except OSError as exc:
        raise BundleError(f"{path}: cannot be read ({exc.strerror or exc})") from exc


def _facts_of_ir(data: bytes) -> dict[str, str]:
    """From `<edgelift>` in the `rt_info` at the end. By pattern: an XML parser would expand what a hostile file defines."""
    if b"<net" not in data[:2000]:
        raise BundleError("not an OpenVINO IR file, or a damaged one")
    found = {}
    at = data.rfind(b"<edgelift>")
    part = data[at : at + 2 * MAX_FACTS] if at >= 0 else b""
    for key in (KEY_VERSION, KEY_FACTS):
        if said := re.search(rf'<{key.split(".")[1]} value="([^"]*)" ?/>'.encode(), part):
            found[key] = html.unescape(text_of(said[1]))
    return found


def _facts_of_tflite(data: bytes) -> dict[str, str]:
    """From the entries `edgelift.version` and `edgelift.facts` of the model's metadata."""
    return read_metadata(data, (KEY_VERSION, KEY_FACTS), MAX_FACTS)


_READERS: dict[str, tuple[str, Callable[[bytes], dict[str, str]]]] = {
    ".xml": ("openvino", _facts_of_ir), ".tflite": ("litert", _facts_of_tflite), ".bmodel": ("sophon", facts_of),
}  # fmt: skip
"""Suffix -> what engines call the form, and the reader of its facts."""
