"""Files that bundles are compiled to, read as bundles: OpenVINO IR, LiteRT and SOPHON's. `docs/compiling.md` describes them.

Their facts are those of a bundle; the model itself is not looked into here, the engine that runs it does that. As with
bundles nothing is executed while a file is read, all that is read is limited, and damaged files are `BundleError`s.
"""

from __future__ import annotations

import html
import re
import struct
from collections.abc import Callable
from pathlib import Path

from edgelift.core.errors import BundleError
from edgelift.core.spec import KEY_FACTS, KEY_VERSION, MAX_FACTS, ModelSpec
from edgelift.io.bundle import MAX_BYTES, Bundle, parse_bundle, read_bundle
from edgelift.toolchain.bmodel import facts_of

__all__ = ["WEIGHTS_SUFFIX", "parse_compiled", "read_model"]

WEIGHTS_SUFFIX = ".bin"
"""Of the second file of OpenVINO IR."""
MAX_ENTRIES = 1000
"""Metadata of a .tflite that are looked through."""


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
        spec = ModelSpec.from_metadata(facts(data))
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
            found[key] = html.unescape(_text(said[1]))
    return found


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise BundleError("a damaged file: there is text in it that is none") from exc


class _Table:
    """A table of a flatbuffer, read without its schema. Positions beyond the file raise `struct.error`."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._rows = at - self._number("<i", at)

    def _number(self, form: str, at: int) -> int:
        if at < 0:
            raise struct.error("before the file")
        return int(struct.unpack_from(form, self._data, at)[0])

    def _field(self, number: int) -> int:
        """Where that field stands; 0 where it is left out."""
        slot = 4 + 2 * number
        if slot + 2 > self._number("<H", self._rows):
            return 0
        offset = self._number("<H", self._rows + slot)
        return self._at + offset if offset else 0

    def integer(self, number: int) -> int:
        """An unsigned integer of 32 bits, 0 by default."""
        at = self._field(number)
        return self._number("<I", at) if at else 0

    def content(self, number: int, most: int) -> bytes:
        """Text or bytes of at most that length."""
        at = self._field(number)
        if not at:
            return b""
        at += self._number("<I", at)
        size = self._number("<I", at)
        if size > most or at + 4 + size > len(self._data):
            raise BundleError(f"an entry of {size} bytes; at most {most} are read")
        return self._data[at + 4 : at + 4 + size]

    def tables(self, number: int, most: int) -> list[_Table]:
        """A list of tables of at most that length."""
        at = self._field(number)
        if not at:
            return []
        at += self._number("<I", at)
        count = self._number("<I", at)
        if count > most:
            raise BundleError(f"a list of {count} entries; at most {most} are read")
        places = range(at + 4, at + 4 + 4 * count, 4)
        return [_Table(self._data, place + self._number("<I", place)) for place in places]


MODEL_BUFFERS, MODEL_METADATA = 4, 6
METADATA_NAME, METADATA_BUFFER = 0, 1
BUFFER_DATA = 0
"""Numbers of fields in TensorFlow Lite's schema."""
MAX_BUFFERS = 100_000


def _facts_of_tflite(data: bytes) -> dict[str, str]:
    """From the entries `edgelift.version` and `edgelift.facts` of the model's metadata."""
    if data[4:8] != b"TFL3":
        raise BundleError("not a .tflite file, or a damaged one")
    try:
        model = _Table(data, struct.unpack_from("<I", data)[0])
        buffers = model.tables(MODEL_BUFFERS, MAX_BUFFERS)
        found = {}
        for entry in model.tables(MODEL_METADATA, MAX_ENTRIES):
            name = _text(entry.content(METADATA_NAME, 1000))
            if name in (KEY_VERSION, KEY_FACTS):
                found[name] = _text(buffers[entry.integer(METADATA_BUFFER)].content(BUFFER_DATA, MAX_FACTS))
    except (struct.error, IndexError) as exc:
        raise BundleError("a damaged .tflite file") from exc
    return found


_READERS: dict[str, tuple[str, Callable[[bytes], dict[str, str]]]] = {
    ".xml": ("openvino", _facts_of_ir), ".tflite": ("litert", _facts_of_tflite), ".bmodel": ("sophon", facts_of),
}  # fmt: skip
"""Suffix -> what engines call the form, and the reader of its facts."""
