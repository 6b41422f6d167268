"""The rows that come with the package: arrays and callbacks."""

from __future__ import annotations

import numpy as np

from edgelift.runtime.rows import ArraySource, ArrayTarget, CallbackTarget, Rows


def test_an_array_is_read_without_copying() -> None:
    picture = np.zeros((5, 4, 3), np.uint16)
    source = ArraySource(picture)
    assert (source.height, source.width, source.layers, source.dtype) == (5, 4, 1, np.uint16)
    rows = source.rows(1, 3)
    assert rows.shape == (1, 2, 4, 3)
    assert np.shares_memory(rows, picture)


def test_an_array_is_filled_in_place() -> None:
    target = ArrayTarget(4, 3, np.dtype(np.uint8))
    for start in (0, 2):
        strip = target.room(start, start + 2)
        strip[...] = start
        target.done(strip)
    assert target.picture[:, 0, 0].tolist() == [0, 0, 2, 2]


def test_a_callback_gets_each_strip_in_memory_of_its_own() -> None:
    taken: list[Rows] = []
    target = CallbackTarget(2, 5, np.dtype(np.float32), taken.append)
    for start, stop in ((0, 3), (3, 4)):
        strip = target.room(start, stop)
        assert strip.shape == (2, stop - start, 5, 3)
        assert strip.dtype == np.float32
        assert all(layer.flags.c_contiguous for layer in strip)
        target.done(strip)
    assert len(taken) == 2
    assert not np.shares_memory(taken[0], taken[1])
