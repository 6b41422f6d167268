"""Reading compiled files: their facts, and what is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelift.core.errors import BundleError
from edgelift.core.spec import MAX_FACTS, ModelSpec
from edgelift.io.bundle import read_bundle
from edgelift.io.compiled import parse_compiled, read_model

SPEC = ModelSpec(
    name="plain <&\"'>", architecture="foreign", config={}, scale=2, shuffle=2, halo=2, multiple_of=1, padding="zeros",
    colour="rgb", parameters=1, macs=1, licence="CC0-1.0",
)  # fmt: skip


def tflite(metadata: dict[str, str]) -> bytes:
    """A flatbuffer with nothing but metadata, by hand: the root table, then each vector and table behind it."""
    body = bytearray()

    def table(fields: dict[int, int | None], values: dict[int, int]) -> int:
        """A table of 32-bit fields; `fields` with None are offsets to be patched. Its place."""
        count = max(fields) + 1
        slots = [0] * count
        at = 4
        for number in fields:
            slots[number] = at
            at += 4
        while len(body) % 4:
            body.append(0)
        rows = len(body)
        body.extend(struct.pack(f"<HH{count}H", 4 + 2 * count, at, *slots))
        while len(body) % 4:
            body.append(0)
        place = len(body)
        body.extend(struct.pack("<i", place - rows))
        for number in fields:
            body.extend(struct.pack("<I", values.get(number, 0)))
        return place

    def patch(place: int, to: int) -> None:
        struct.pack_into("<I", body, place, to - place)

    def vector(data: bytes) -> int:
        while len(body) % 4:
            body.append(0)
        at = len(body)
        body.extend(struct.pack("<I", len(data)) + data)
        return at

    def vector_of(places: int) -> int:
        while len(body) % 4:
            body.append(0)
        at = len(body)
        body.extend(struct.pack("<I", places) + bytes(4 * places))
        return at

    body.extend(bytes(4) + b"TFL3")
    root = table({4: None, 6: None}, {})
    struct.pack_into("<I", body, 0, root)
    buffers = vector_of(len(metadata))
    patch(root + 4, buffers)
    for number, text in enumerate(metadata.values()):
        made = table({0: None}, {})
        patch(buffers + 4 + 4 * number, made)
        patch(made + 4, vector(text.encode()))
    entries = vector_of(len(metadata))
    patch(root + 8, entries)
    for number, name in enumerate(metadata):
        made = table({0: None, 1: None}, {1: number})
        patch(entries + 4 + 4 * number, made)
        patch(made + 4, vector(name.encode()))
    return bytes(body)


def ir(metadata: dict[str, str]) -> bytes:
    import html

    rows = "".join(f'<{key.split(".")[1]} value="{html.escape(value)}" />' for key, value in metadata.items())
    return (
        f'<?xml version="1.0"?>\n<net name="x"><layers /><rt_info><edgelift>{rows}</edgelift></rt_info></net>'.encode()
    )


FORMS = {".tflite": tflite, ".xml": ir}
BOTH = pytest.mark.parametrize("suffix", FORMS)


def write(folder: Path, suffix: str, data: bytes) -> Path:
    path = folder / f"m{suffix}"
    path.write_bytes(data)
    if suffix == ".xml":
        (folder / "m.bin").write_bytes(b"weights")
    return path


@BOTH
def test_facts_are_read(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, suffix, FORMS[suffix](SPEC.metadata()))
    found = read_model(path)
    assert found.spec == SPEC
    assert found.form == {".tflite": "litert", ".xml": "openvino"}[suffix]
    assert found.weights == (b"weights" if suffix == ".xml" else b"")
    with pytest.raises(BundleError, match=r"compiled for \w+; this needs the ONNX bundle that it came from"):
        found.graph()


@BOTH
@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"edgelift.version": "9", "edgelift.facts": "{}"}, "bundle format '9', this edgelift reads 1"),
        ({"edgelift.version": "1", "edgelift.facts": "{"}, "the facts are not JSON"),
        ({"edgelift.version": "1", "edgelift.facts": "{}"}, "the fact '.*' is missing"),
        ({"edgelift.version": "1"}, "the facts are not JSON"),
    ],
)
def test_what_is_refused(tmp_path: Path, suffix: str, metadata: dict[str, str], says: str) -> None:
    with pytest.raises(BundleError, match=f"m{suffix}: {says}"):
        read_model(write(tmp_path, suffix, FORMS[suffix](metadata)))


def test_an_ir_file_of_another_tool_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no edgelift facts in it.*scale, halo and range of values cannot be told"):
        read_model(write(tmp_path, ".xml", ir({})))


def test_a_tflite_without_a_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="0 subgraphs in the file; one is read"):
        read_model(write(tmp_path, ".tflite", tflite({})))


@BOTH
@pytest.mark.parametrize("data", [b"", b"x", b"\x00" * 40, b"<html></html>"])
def test_other_files_are_refused(tmp_path: Path, suffix: str, data: bytes) -> None:
    with pytest.raises(BundleError, match="damaged"):
        read_model(write(tmp_path, suffix, data))


def test_a_missing_second_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.xml").write_bytes(ir(SPEC.metadata()))
    with pytest.raises(BundleError, match=r"m\.bin: cannot be read \(No such file"):
        read_model(tmp_path / "m.xml")


def test_entries_beyond_the_limit_are_refused() -> None:
    with pytest.raises(BundleError, match="at most 1048576 are read"):
        parse_compiled({".tflite": tflite({"edgelift.version": "1", "edgelift.facts": "x" * (MAX_FACTS + 1)})}, "m")


WHOLE = tflite(SPEC.metadata())


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=0, max_size=4))
def test_damaged_files_are_bundle_errors_or_the_same_facts(at: int, new: bytes) -> None:
    for data in (WHOLE[:at], WHOLE[:at] + new + WHOLE[at + len(new) :]):
        try:
            found = parse_compiled({".tflite": data}, "m")
        except BundleError:
            continue
        assert isinstance(found.spec, ModelSpec)


def test_a_bundle_is_read_as_ever(plain_bundle: Path) -> None:
    assert read_model(plain_bundle) == read_bundle(plain_bundle)
