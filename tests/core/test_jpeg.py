"""Tables of JPEG and the qualities that they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from edgelift.core.jpeg import LUMA, luma_table, quality_of_table


def test_quality_50_is_the_table_itself_and_100_rounds_to_ones() -> None:
    assert np.array_equal(luma_table(50), LUMA)
    assert np.array_equal(luma_table(100), np.ones((8, 8)))
    assert luma_table(1).max() == 255


@pytest.mark.parametrize("quality", [5, 10, 25, 40, 50, 60, 75, 90, 95])
def test_a_table_tells_its_quality(quality: int) -> None:
    assert quality_of_table(luma_table(quality).ravel()[::-1]) == quality
