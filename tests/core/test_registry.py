"""Tables of names that import on demand."""

from __future__ import annotations

import sys

import pytest

from edgelift.core.errors import RequestError
from edgelift.core.registry import Registry


def test_a_row_is_imported_only_when_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    table = Registry("shade", {"hls": "colorsys:rgb_to_hls"})
    assert "hls" in table
    assert "colorsys" not in sys.modules
    assert table.load("hls")(1.0, 1.0, 1.0) == (0.0, 1.0, 0.0)


def test_an_unknown_name_lists_the_known_ones_in_the_order_of_the_table() -> None:
    table = Registry("engine", {"zebra": "os:sep", "ant": "os:linesep"})
    with pytest.raises(RequestError, match=r"no engine is called 'bee'; choose from zebra, ant"):
        table.load("bee")


def test_iteration_and_membership_show_the_table() -> None:
    table = Registry("engine", {"zebra": "os:sep", "ant": "os:linesep"})
    assert list(table) == ["zebra", "ant"]
    assert "ant" in table
    assert "bee" not in table
    assert 3 not in table


@pytest.mark.parametrize("place", ["os", "os:path:join", ""])
def test_a_malformed_row_is_refused_when_the_table_is_made(place: str) -> None:
    with pytest.raises(ValueError, match="filter 'blur': expected 'module:attribute'"):
        Registry("filter", {"blur": place})


def test_later_changes_of_the_given_mapping_do_not_reach_the_table() -> None:
    rows = {"a": "os:sep"}
    table = Registry("thing", rows)
    rows["b"] = "os:linesep"
    assert list(table) == ["a"]


def test_a_row_that_points_nowhere_is_not_mistaken_for_a_users_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        Registry("thing", {"a": "edgelift_has_no_such_module:x"}).load("a")
    with pytest.raises(AttributeError):
        Registry("thing", {"a": "os:no_such_attribute"}).load("a")
