"""Texts in PNG, which libvips reads and writes as if all were ASCII: others go from file to file as the chunks they are.

A PNG says texts in three kinds of chunks (tEXt, zTXt in Latin-1, iTXt in UTF-8 with a language). libvips hands all on as strings,
what is not ASCII damaged, and writes zTXt, XMP too, whose specification asks for iTXt. So the writer leaves room for chunks
of its own in front of what libvips writes.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import replace

from edgelift.io.metadata import TEXT, Metadata
from edgelift.io.places import write_all
from edgelift.io.png import chunks_of

__all__ = ["leave_room", "put_texts", "texts_for", "with_texts"]

XMP = b"XML:com.adobe.xmp"
KINDS = (b"tEXt", b"zTXt", b"iTXt")
LONGEST = 79
"""Bytes of a keyword."""
_PROFILE = b"Raw profile type "
"""How some programs write EXIF and other blocks, of the picture as it was, as texts."""
_START = 8 + 25
"""Bytes of a PNG before the place where texts may stand: its signature and the chunk IHDR."""


def with_texts(metadata: Metadata, head: bytes) -> Metadata:
    """`metadata` with the texts of the PNG that begins with `head` as chunks, where libvips would damage them.

    Those are the ones of a keyword that are not ASCII throughout. What is not whole in `head` stays as libvips has it.
    """
    comments: dict[bytes, list[str]] = {}
    for name, _, value in metadata.fields:
        if name.startswith(TEXT):
            comments.setdefault(_keyword(name), []).append(str(value))
    taken = {}
    for keyword, whole in _texts(head).items():
        said = comments.get(keyword, [])
        if len(whole) >= len(said) and not (said and "".join(said).isascii()):
            taken[keyword] = whole
    fields = [field for field in metadata.fields if not (field[0].startswith(TEXT) and _keyword(field[0]) in taken)]
    return replace(metadata, fields=tuple(fields), texts=b"".join(map(b"".join, taken.values())))


def _keyword(field: str) -> bytes:
    """Of a field as libvips calls it, `png-comment-NUMBER-KEYWORD`."""
    return field.removeprefix(TEXT).partition("-")[2].encode()


def _texts(head: bytes) -> dict[bytes, list[bytes]]:
    """Keyword -> whole, undamaged text chunks of it, but for XMP and raw profiles."""
    found: dict[bytes, list[bytes]] = {}
    for name, content, sum_ in chunks_of(head):
        keyword, end, _ = content.partition(b"\0")
        if name not in KINDS or not end or not 1 <= len(keyword) <= LONGEST or sum_ != _sum(name, content):
            continue
        if keyword != XMP and not keyword.startswith(_PROFILE):
            found.setdefault(keyword, []).append(_chunk(name, content))
    return found


def texts_for(metadata: Metadata) -> tuple[bytes, Metadata]:
    """The text chunks of a PNG that is to have `metadata`, and what is left of that for libvips to write."""
    xmp = [_chunk(b"iTXt", XMP + bytes(5) + value) for name, _, value in metadata.fields if name == "xmp-data"]
    fields = tuple(field for field in metadata.fields if field[0] != "xmp-data")
    return b"".join([*xmp, metadata.texts]), replace(metadata, fields=fields, texts=b"")


def leave_room(descriptor: int, texts: bytes) -> None:
    """Before a PNG is written to an empty file: room in front of it for `texts`."""
    os.lseek(descriptor, len(texts), os.SEEK_SET)


def put_texts(descriptor: int, texts: bytes) -> None:
    """After a PNG was written behind that room: its start goes to the front, and `texts` between that and the rest."""
    os.lseek(descriptor, len(texts), os.SEEK_SET)
    start = os.read(descriptor, _START)
    os.lseek(descriptor, 0, os.SEEK_SET)
    write_all(descriptor, start + texts)


def _sum(name: bytes, content: bytes) -> bytes:
    return zlib.crc32(name + content).to_bytes(4, "big")


def _chunk(name: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + name + content + _sum(name, content)
