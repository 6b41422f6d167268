"""What the flags of a CPU make edgelift choose."""

from __future__ import annotations

import pytest

from edgelift.runtime import hardware


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({"vendor_id": "GenuineIntel", "flags": "avx512f avx512_bf16 amx_bf16"}, True),
        ({"vendor_id": "AuthenticAMD", "flags": "avx512f avx512_bf16"}, True),
        ({"vendor_id": "GenuineIntel", "flags": "avx512f avx512_bf16"}, False),
        ({"vendor_id": "AuthenticAMD", "flags": "avx2"}, False),
        ({"Features": "asimd bf16"}, False),
        ({}, False),
    ],
)
def test_bf16_where_it_was_measured_to_be_faster(
    facts: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "_cpu", lambda: facts)
    assert hardware.prefers_bf16() is wanted


def test_arm_lists_its_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_cpu", lambda: {"Features": "asimd i8mm"})
    assert hardware.cpu_flags() == {"asimd", "i8mm"}
