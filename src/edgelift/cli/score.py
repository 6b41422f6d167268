"""`edgelift score`."""

from __future__ import annotations

__all__ = ["score"]


def score() -> None:
    """(being written)"""
