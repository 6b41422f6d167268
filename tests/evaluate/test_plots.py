"""Plots: whole SVG, the same each time, harmless names, and the front."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from edgelift.core.errors import EngineMissingError, RequestError
from edgelift.evaluate import plots

POINTS = [("a", 0.1, 30.0), ("b", 0.2, 29.0), ("c", 0.4, 31.0)]


@pytest.fixture
def drawn() -> dict[str, str]:
    pytest.importorskip("matplotlib")
    return {
        "lines": plots.lines({"a": ([1, 2], [3, 4]), "b": ([1, 2], [4, 3])}, "x", "y", "t"),
        "scatter": plots.scatter(POINTS, "x", "y", "t", front=[0, 2], log_x=True),
        "bars": plots.bars({"a": 1.0, "b": 2.5}, "ms", "t", errors={"a": (0.5, 1.5)}),
    }


def test_well_formed_with_ids_of_their_own(drawn: dict[str, str]) -> None:
    ids = []
    for text in drawn.values():
        root = ET.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        own = [element.get("id") for element in root.iter() if element.get("id")]
        ids += own
        assert len(own) == len(set(own))
        meant = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
        assert {a or b for a, b in meant} <= set(own)
        assert "<dc:date>" not in text
        assert "<!DOCTYPE" not in text
    assert len(ids) == len(set(ids))


def test_the_same_values_give_the_same_text() -> None:
    pytest.importorskip("matplotlib")
    assert plots.scatter(POINTS, "x", "y", "t") == plots.scatter(POINTS, "x", "y", "t")
    assert plots.scatter(POINTS, "x", "y", "t") != plots.scatter(POINTS[:2], "x", "y", "t")


def test_the_callers_settings_come_back() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    before = dict(matplotlib.rcParams)
    plots.bars({"a": 1.0}, "x", "t")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", ["$\\frac{1", "<b>--><script>", "日本\u202e\x00", "x" * 500, "", " \n"])
def test_any_name_can_be_drawn(name: str) -> None:
    pytest.importorskip("matplotlib")
    for text in (
        plots.scatter([(name, 1, 2), (name, 1, 2)], name, name, name),
        plots.lines({name: ([1], [2]), "b": ([1], [2])}, name, name, name),
        plots.bars({name: 1}, name, name),
    ):
        assert "<script" not in "".join(element.tag for element in ET.fromstring(text).iter())


def test_the_front_is_drawn_as_steps() -> None:
    pytest.importorskip("matplotlib")
    with_front, without = (plots.scatter(POINTS, "x", "y", "t", front=front) for front in ([0, 2], None))
    dashed = [re.findall(r'd="(M[^"]*)"[^>]*stroke-dasharray', text) for text in (with_front, without)]
    assert dashed[1] == []
    (path,) = dashed[0]
    at = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ([\d.]+)", path)]
    assert len(at) == 3  # along, then up
    assert at[0][1] == at[1][1]
    assert at[1][0] == at[2][0]
    assert at[2][1] < at[0][1]


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([], []),
        ([(1, 1)], [0]),
        ([(1, 1), (2, 2), (3, 1.5)], [0, 1]),
        ([(2, 2), (1, 2)], [1]),
        ([(1, 2), (1, 2), (1, 1)], [0, 1]),
    ],
)
def test_pareto(points: list[tuple[float, float]], front: list[int]) -> None:
    assert plots.pareto(points) == front


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1))
def test_pareto_leaves_out_what_is_beaten_and_nothing_else(points: list[tuple[int, int]]) -> None:
    front = set(plots.pareto(points))
    for k, (cost, worth) in enumerate(points):
        beaten = any(c <= cost and w >= worth and (c, w) != (cost, worth) for c, w in points)
        assert (k in front) is not beaten


@pytest.mark.parametrize("suffix", [".svg", ".PNG"])
def test_save(tmp_path: Path, suffix: str, drawn: dict[str, str]) -> None:
    path = tmp_path / f"plot{suffix}"
    plots.save(drawn["bars"], path)
    image = pyvips.Image.new_from_file(str(path))
    assert image.width in range(*((1035, 1039) if suffix == ".PNG" else (517, 521)))
    assert image.flatten().avg() < 255


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"\.svg or \.png; got the suffix '\.pdf'"):
        plots.save("<svg/>", tmp_path / "p.pdf")


def test_lines_of_two_lengths_are_refused() -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(RequestError, match="2 x and 1 y"):
        plots.lines({"a": ([1, 2], [3])}, "x", "y", "t")


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "available", lambda: False)
    with pytest.raises(EngineMissingError, match=r"pip install 'edgelift\[report\]'"):
        plots.scatter(POINTS, "x", "y", "t")
