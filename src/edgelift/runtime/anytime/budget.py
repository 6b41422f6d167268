"""What the user is ready to spend: seconds, a share of the widest variant's time, or the knee between them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from edgelift.core.errors import RequestError

__all__ = ["Budget", "parse_budget"]

EXPECTED = "a budget is seconds (2s, 40ms, 1.5min), a share of the widest variant's time (40%), or auto"
UNITS = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "%": 0.01}


@dataclass(frozen=True)
class Budget:
    """One of `seconds` and `share`, or neither: `auto`."""

    seconds: float | None = None
    share: float | None = None
    """Of the widest variant's predicted time: 1 is all of it."""

    @property
    def words(self) -> str:
        """As it is asked for."""
        if self.seconds is not None:
            return f"{self.seconds:g}s"
        return "auto" if self.share is None else f"{100 * self.share:g}%"


def parse_budget(given: str | float | Budget | None) -> Budget | None:
    """A budget from text (`2s`, `40ms`, `40%`, `auto`) or seconds as a number; None stays None.

    Raises `RequestError` for anything else, and for budgets that are not above 0.
    """
    if given is None or isinstance(given, Budget):
        return given
    if isinstance(given, str):
        if given.strip().lower() == "auto":
            return Budget()
        found = re.fullmatch(r"\s*([-+]?[\d.]+(?:e[-+]?\d+)?)\s*(ms|s|sec|min|%)\s*", given.lower())
        number = _number(found[1]) if found else math.nan
        unit = found[2] if found else ""
    else:
        number, unit = (math.nan if isinstance(given, bool) else float(given)), "s"
    value = number * UNITS.get(unit, 1.0)
    if not math.isfinite(value):
        raise RequestError(f"{EXPECTED}; got {given!r}")
    if value <= 0:
        raise RequestError(f"{EXPECTED}, and above 0; got {given!r}")
    return Budget(share=value) if unit == "%" else Budget(seconds=value)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
