"""`edgelift evaluate`."""

from __future__ import annotations

__all__ = ["evaluate"]


def evaluate() -> None:
    """(being written)"""
