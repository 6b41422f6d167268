"""`edgelift niqe`."""

from __future__ import annotations

__all__ = ["niqe"]


def niqe() -> None:
    """(being written)"""
