"""The form of a `.bmodel` as far as edgelift needs it: the vendor's header, and facts behind the vendor's part.

    header (64 bytes: magic number, bytes of header, tables and data) | tables | data | facts (JSON) | their length | EDGELIFT

The vendor's programs read by the lengths in the header, and leave what comes after alone.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping

from edgelift.core.errors import BundleError
from edgelift.core.spec import MAX_FACTS

__all__ = ["facts_of", "undated", "with_facts"]

MAGIC = 0xFF55AAEE
HEADER = struct.Struct("<4I")
LENGTH = struct.Struct("<Q")
END = b"EDGELIFT"
DATE = re.compile(rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}")
NO_DATE = b"Thu Jan  1 00:00:00 1970"


def _part(data: bytes) -> tuple[int, int, int]:
    """Where the tables begin and end, and where the vendor's part ends. Raises `BundleError`."""
    if len(data) < HEADER.size or (numbers := HEADER.unpack_from(data))[0] != MAGIC:
        raise BundleError("not a .bmodel file, or a damaged one")
    _, header, tables, rest = numbers
    if header < HEADER.size or header + tables + rest > len(data):
        raise BundleError("a damaged .bmodel file: it ends before its header says")
    return header, header + tables, header + tables + rest


def undated(data: bytes) -> bytes:
    """Without the time at which it was made, so that the same network gives the same file."""
    start, stop, _ = _part(data)
    return data[:start] + DATE.sub(NO_DATE, data[start:stop]) + data[stop:]


def with_facts(data: bytes, facts: Mapping[str, str]) -> bytes:
    """The vendor's file with `facts` behind it."""
    text = json.dumps(dict(facts), ensure_ascii=False, sort_keys=True).encode()
    return data + text + LENGTH.pack(len(text)) + END


def facts_of(data: bytes) -> dict[str, str]:
    """What `with_facts` wrote; empty where there is nothing. Raises `BundleError` for a damaged file."""
    _, _, stop = _part(data)
    tail = len(END) + LENGTH.size
    if not data.endswith(END) or len(data) - stop < tail:
        return {}
    (size,) = LENGTH.unpack_from(data, len(data) - tail)
    if size > MAX_FACTS or stop + size + tail != len(data):
        raise BundleError(
            f"facts of {size} bytes; at most {MAX_FACTS} are read, and they stand behind the vendor's part"
        )
    try:
        found = json.loads(data[stop : stop + size])
    except (ValueError, RecursionError) as exc:
        raise BundleError("the facts behind the vendor's part are not JSON") from exc
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise BundleError("the facts behind the vendor's part are not those of edgelift")
    return found
