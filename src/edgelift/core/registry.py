"""Tables of names whose objects are imported only when they are asked for.

Adding something is one row, `name: "module:attribute"`, in one visible table; a name that is not there is an error
that lists those that are.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from edgelift.core.errors import RequestError

__all__ = ["Registry"]


class Registry:
    """`rows` maps a name to `"module:attribute"`; `what` is the word that messages use for an entry."""

    def __init__(self, what: str, rows: Mapping[str, str]) -> None:
        for name, place in rows.items():
            if place.count(":") != 1:
                raise ValueError(f"{what} {name!r}: expected 'module:attribute', got {place!r}")
        self.what = what
        self._rows = dict(rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def load(self, name: str) -> Any:
        """The object behind `name`, imported now. Raises `RequestError` for a name that is not in the table."""
        if name not in self._rows:
            raise RequestError(f"no {self.what} is called {name!r}; choose from {', '.join(self._rows)}")
        module, attribute = self._rows[name].split(":")
        return getattr(importlib.import_module(module), attribute)
