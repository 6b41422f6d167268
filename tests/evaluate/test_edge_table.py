"""Rank correlations, and tinted maps of routes."""

from __future__ import annotations

import numpy as np
import pytest

from edgelift.evaluate.edge_table import rank_correlation
from edgelift.evaluate.route_map import LINE, STRENGTH, TINTS, tinted
from edgelift.tiling.routes import Routed, Routes
from edgelift.tiling.window import Span


def test_rank_correlation() -> None:
    a = np.array([1.0, 2, 3, 4, 5])
    assert rank_correlation(a, np.exp(a)) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert rank_correlation(a, np.ones(5)) == 0
    # Values shared by two take their mean rank: 1.5, 1.5, 3 against 1, 2, 3.
    assert rank_correlation(np.array([0.0, 0, 9]), np.array([1.0, 2, 3])) == pytest.approx(np.sqrt(3) / 2)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_regions_are_tinted(step: int) -> None:
    routes = Routes(
        8, 10, ((Span(0, 8), Span(0, 8)),), ((Routed(Span(0, 7), Span(0, 6), 0), Routed(Span(5, 10), Span(6, 10), 3)),)
    )
    picture = np.full((8, 10, 3), 100, np.uint8)[::step, ::step]
    found = tinted(picture, routes, step)
    assert found.shape == picture.shape
    for pixel, variant in ((found[-1, 1], 0), (found[-1, -1], 3)):
        np.testing.assert_allclose(pixel, (1 - STRENGTH) * 100 + STRENGTH * np.array(TINTS[variant]), atol=1)
    assert found[0, 1].sum() == pytest.approx(LINE * found[-1, 1].sum(), abs=3)
