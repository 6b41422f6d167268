"""The tree of errors: the picture in the docstring, the classes and the exit codes must say the same."""

from __future__ import annotations

import re

import pytest

from edgelift.core import errors
from edgelift.core.errors import EdgeliftError, RequestError


def _drawn() -> dict[str, tuple[str | None, int]]:
    """Class name -> (name of its parent, exit code) as the docstring draws them."""
    found: dict[str, tuple[str | None, int]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"^([│├└─ ]*)(\w+Error)\s+(\d+)\b", line):
            depth = len(match[1]) // 4
            path = [*path[:depth], match[2]]
            found[match[2]] = (path[depth - 1] if depth else None, int(match[3]))
    return found


def _classes() -> dict[str, type[EdgeliftError]]:
    return {
        name: value for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, EdgeliftError)
    }  # fmt: skip


def test_the_drawn_tree_is_the_tree_of_classes() -> None:
    drawn = _drawn()
    assert set(drawn) == set(_classes())
    for name, (parent, code) in drawn.items():
        kind = _classes()[name]
        ours = [base.__name__ for base in kind.__bases__ if issubclass(base, EdgeliftError)]
        assert ours == ([parent] if parent else []), name
        assert kind.exit_code == code, name


def test_all_names_every_error_in_order() -> None:
    assert errors.__all__ == sorted(_classes())


def test_exit_codes_differ_and_none_reads_as_success() -> None:
    codes = [kind.exit_code for kind in _classes().values()]
    assert len(set(codes)) == len(codes)
    assert all(0 < code < 126 for code in codes)  # 126 and up are the shell's own


def test_every_error_has_its_own_exit_code_in_its_own_class() -> None:
    assert all("exit_code" in vars(kind) for kind in _classes().values())


def test_a_request_error_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="nothing"):
        raise RequestError("nothing")


def test_every_error_has_a_docstring() -> None:
    assert all(kind.__doc__ for kind in _classes().values())
