"""Facts behind the vendor's part of a `.bmodel`, and files that are none."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelift.core.errors import BundleError
from edgelift.toolchain.bmodel import END, facts_of, undated, with_facts


def vendors(tables: bytes = b"tables", data: bytes = b"data") -> bytes:
    """A file in the vendor's form: header, tables and data."""
    return struct.pack("<4I", 0xFF55AAEE, 64, len(tables), len(data)).ljust(64, b"\0") + tables + data


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=99), max_size=5), st.binary(max_size=60))
def test_facts_come_back(facts: dict[str, str], data: bytes) -> None:
    assert facts_of(with_facts(vendors(data=data), facts)) == facts


def test_a_file_of_others_has_none() -> None:
    assert facts_of(vendors()) == {}
    assert facts_of(vendors(data=b"x" * 30 + END)) == {}, "what stands in the vendor's own part is not ours"


@given(st.binary(max_size=300), st.integers(0, 300))
def test_damaged_files_are_bundle_errors_or_have_no_facts(noise: bytes, cut: int) -> None:
    whole = with_facts(vendors(), {"a": "b"})
    for data in (noise, vendors() + noise, whole[:cut], noise + END, vendors() + noise + END):
        try:
            assert facts_of(data) in ({}, {"a": "b"})
        except BundleError:
            continue


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a .bmodel file"),
        (b"\x08\x07" * 50, "not a .bmodel file"),
        (vendors()[:-1], "ends before its header says"),
        (vendors() + b"{}" + struct.pack("<Q", 1 << 40) + END, "facts of 1099511627776 bytes"),
        (vendors() + b"{}" + struct.pack("<Q", 1) + END, "facts of 1 bytes"),
        (vendors() + b"nope" + struct.pack("<Q", 4) + END, "are not JSON"),
        (vendors() + b"[1]" + struct.pack("<Q", 3) + END, "are not those of edgelift"),
        (vendors() + b'{"a":1}' + struct.pack("<Q", 7) + END, "are not those of edgelift"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, says: str) -> None:
    with pytest.raises(BundleError, match=says):
        facts_of(data)


def test_the_date_is_taken_out_and_nothing_else() -> None:
    day, other = b"Fri Nov 27 16:20:01 2026", b"Sun Mar  1 06:00:59 2026"
    one, two = (vendors(b"a" + date + b"b", b"data " + day) for date in (day, other))
    assert undated(one) == undated(two)
    assert len(undated(one)) == len(one)
    assert undated(one).endswith(b"data " + day)
