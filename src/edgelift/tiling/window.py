"""A window: the rectangle that is read, and the part of it that is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Planned", "Span", "Window"]


@dataclass(frozen=True, order=True)
class Span:
    """A half-open range of pixels along one axis."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def within(self, outer: Span) -> slice:
        """This range as a slice of what starts where `outer` starts."""
        return slice(self.start - outer.start, self.stop - outer.start)


@dataclass(frozen=True)
class Window:
    """What to read, which part of the result to keep (both in input pixels), and which variant runs it.

    `read` may reach beyond the picture on the right and below; what lies there is the last pixel, repeated.
    `keep` lies inside the picture.
    """

    rows: Span
    columns: Span
    keep_rows: Span
    keep_columns: Span
    variant: int = 1


class Planned(Protocol):
    """All windows of a picture, in rows from the top: `tiling.plan.Plan`, `tiling.routes.Routes` and their like."""

    @property
    def height(self) -> int:
        """Of the picture."""

    @property
    def width(self) -> int:
        """Of the picture."""

    @property
    def rows(self) -> tuple[tuple[Span, Span], ...]:
        """(read, keep) of each row of windows."""

    def windows(self) -> Iterator[tuple[Window, ...]]:
        """Rows of windows; each row finishes a strip of the result."""
