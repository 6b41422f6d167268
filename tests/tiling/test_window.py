"""Spans and windows are plain values."""

from __future__ import annotations

import dataclasses

import pytest

from edgelift.tiling.window import Span, Window


def test_a_span_is_half_open() -> None:
    assert len(Span(3, 7)) == 4
    assert Span(3, 7) < Span(4, 5)


def test_a_span_within_another_is_a_slice_of_it() -> None:
    line = list(range(10, 20))
    assert line[Span(13, 17).within(Span(10, 20))] == [13, 14, 15, 16]


def test_windows_are_values() -> None:
    window = Window(Span(0, 4), Span(0, 4), Span(0, 3), Span(0, 3))
    assert window.variant == 1
    assert {window: 1}[dataclasses.replace(window)] == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        window.variant = 2  # type: ignore[misc]
