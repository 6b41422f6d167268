"""Texts of a PNG: each arrives as it was, in whatever letters."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgelift.core.errors import OutputError
from edgelift.io import texts as texts_module
from edgelift.io.metadata import Metadata
from edgelift.io.pictures import create_picture, open_picture
from edgelift.io.texts import with_texts

PIXELS = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(6, 5, 3)
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>\xc3\xa9</x:xmpmeta>"


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*before: bytes, after: bytes = b"") -> bytes:
    """A PNG with these chunks before and behind the picture."""
    height, width = PIXELS.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in PIXELS)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + b"".join(before)
        + chunk(b"IDAT", zlib.compress(rows))
        + after
        + chunk(b"IEND", b"")
    )


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of each, with its sum checked."""
    found, at = [], 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        assert data[at : at + 12 + size] == chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + size])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def copied(folder: Path, data: bytes, suffix: str = ".png") -> bytes:
    """The file as reading and writing leave it."""
    (folder / "in.png").write_bytes(data)
    target = folder / f"out{suffix}"
    with (
        open_picture(folder / "in.png") as reader,
        create_picture(target, reader.height, reader.width, reader, overwrite=True) as writer,
    ):
        writer.write(*reader.rows(0, reader.height))
    return target.read_bytes()


def texts(folder: Path) -> dict[str, str]:
    """What another program reads of the file that `copied` left."""
    with Image.open(folder / "out.png") as image:
        image.load()
        assert np.array_equal(np.asarray(image), PIXELS)
        return {key: str(value) for key, value in image.text.items()}


def test_latin_letters_and_all_others_arrive(tmp_path: Path) -> None:
    author = chunk(b"tEXt", b"Author\0Jos\xe9 Gr\xf6\xdfe")
    long = chunk(b"zTXt", b"Story\0\0" + zlib.compress(b"\xe4hnlich " * 900))
    title = chunk(b"iTXt", b"Title\0\0\0ja\0\xe9\xa1\x8c\0\xe6\x97\xa5\xe6\x9c\xac")
    made = copied(tmp_path, png(author, chunk(b"tEXt", b"Comment\0plain"), long, title))
    assert chunks(made)[0][0] == b"IHDR"
    names = [name for name, _ in chunks(made)]
    assert names.index(b"IDAT") > max(i for i, name in enumerate(names) if name.endswith(b"Xt"))
    for whole in (author, long, title):
        assert whole in made
    found = texts(tmp_path)
    assert found == {"Author": "José Größe", "Comment": "plain", "Story": "ähnlich " * 900, "Title": "日本"}


def test_a_disk_that_is_full_by_then_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(texts_module, "write_all", full)
    with pytest.raises(OutputError, match=r"out\.png: cannot be written \(No space left on device\); check the folder"):
        copied(tmp_path, png(chunk(b"tEXt", b"Author\0\xe9")))
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]


def test_a_keyword_beyond_ascii(tmp_path: Path) -> None:
    copied(tmp_path, png(chunk(b"tEXt", b"Gr\xf6\xdfe\0weit"), chunk(b"tEXt", b"Comment\0plain")))
    assert texts(tmp_path) == {"Größe": "weit", "Comment": "plain"}


def test_several_of_one_keyword(tmp_path: Path) -> None:
    made = copied(tmp_path, png(chunk(b"tEXt", b"Author\0A\xe9"), chunk(b"tEXt", b"Author\0B")))
    found = [content for name, content in chunks(made) if name.endswith(b"Xt")]
    assert found == [b"Author\0A\xe9", b"Author\0B"]


def test_plain_texts_are_left_to_libvips(tmp_path: Path) -> None:
    copied(tmp_path, png(chunk(b"tEXt", b"Comment\0plain")))
    assert texts(tmp_path) == {"Comment": "plain"}
    with open_picture(tmp_path / "in.png") as reader:
        assert not reader.metadata.texts
        assert reader.metadata.has("png-comment-0-Comment")


def test_xmp_is_written_as_its_specification_asks(tmp_path: Path) -> None:
    made = copied(tmp_path, png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)))
    assert [c for c in chunks(made) if c[0].endswith(b"Xt")] == [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)]
    assert pyvips.Image.new_from_file(str(tmp_path / "out.png")).get("xmp-data") == XMP


def test_other_formats_have_none(tmp_path: Path) -> None:
    made = copied(tmp_path, png(chunk(b"tEXt", b"Author\0Jos\xe9")), ".webp")
    assert b"Jos" not in made


@pytest.mark.parametrize(
    "damaged",
    [
        chunk(b"tEXt", b"Author\0\xe9")[:-1] + b"!",  # its sum
        chunk(b"tEXt", b"no end of the keyword \xe9"),
        chunk(b"tEXt", b"\0no keyword \xe9"),
        chunk(b"tEXt", b"k" * 80 + b"\0too long \xe9"),
    ],
)
def test_damaged_texts_are_no_chunks_of_ours(damaged: bytes) -> None:
    assert with_texts(Metadata((), None), png(damaged)).texts == b""


def test_a_text_that_is_not_whole_in_the_head_is_not_taken() -> None:
    whole = png(chunk(b"tEXt", b"Author\0\xe9" + b"x" * 99))
    assert with_texts(Metadata((), None), whole).texts
    for size in range(33, 33 + 12 + 107):
        assert not with_texts(Metadata((), None), whole[:size]).texts


@given(st.binary(max_size=300))
def test_hostile_heads_do_no_harm(data: bytes) -> None:
    made = with_texts(Metadata((), None), b"\x89PNG\r\n\x1a\n" + data).texts
    assert made == b"" or made in data


@given(
    st.text(st.characters(codec="latin-1", exclude_characters="\0", exclude_categories=["Cc"]), min_size=1, max_size=60)
)
def test_any_latin_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    copied(folder, png(chunk(b"tEXt", b"Comment\0" + text.encode("latin-1"))))
    assert texts(folder) == {"Comment": text}
