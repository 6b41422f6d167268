"""Values and foreign text as reports show them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping

import numpy as np

__all__ = ["NOTHING", "cell_text", "visible", "with_digits"]

NOTHING = "–"
"""What stands for a value that there is not."""


def cell_text(value: object) -> str:
    """How a value is shown: text as it is, whole numbers in groups of three, others with four digits, None and NaN as –."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return NOTHING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return with_digits(float(value), ".4g")
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {cell_text(each)}" for name, each in value.items()) or NOTHING
    if isinstance(value, list | tuple):
        return ", ".join(map(cell_text, value)) or NOTHING
    return str(value)


def with_digits(value: float | None, digits: str) -> str:
    """A number by the format `digits`; – for None and NaN, ∞ for what is infinite."""
    if value is None or math.isnan(value):
        return NOTHING
    return f"{value:{digits}}" if math.isfinite(value) else ("∞" if value > 0 else "-∞")


def visible(text: str) -> str:
    """`text` on one line, in which every character that would not be seen, or turns others round, is spelled out."""
    return "".join(map(_visible, text))


def _visible(letter: str) -> str:
    if letter in "\n\r\t":
        return " "
    if letter.isprintable() or unicodedata.category(letter) == "Zs":
        return letter
    return letter.encode("unicode_escape").decode()
