"""Equal windows over a picture.

The rules, for one axis of n pixels, windows of t pixels, a halo of h:
- a window as long as the picture is the only one;
- else windows start at 0, s, 2s, …, n - t with s = t - 2h: all have the same length, so that an engine sees one shape;
- each pixel is kept from one window, at least h away from any window edge that is not an edge of the picture:
  window k keeps up to h past the start of window k + 1;
- with `multiple_of` = m, t and s are multiples of m and the picture is extended to one by repeating its last pixel.
Windows of a picture are the product of both axes, in rows from the top, and from the left in a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgelift.core.errors import RequestError
from edgelift.tiling.window import Span, Window

__all__ = ["DEFAULT_AREA", "Plan", "auto_tile", "axis", "plan"]

DEFAULT_AREA = 1 << 18
"""Input pixels in a window where nothing is known of the device: larger ones fall out of CPU caches."""


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def axis(length: int, tile: int, halo: int | None, multiple_of: int = 1) -> list[tuple[Span, Span]]:
    """(read, keep) of each window along one axis, from the start. See the module's text.

    A `tile` longer than the picture (an engine with one fixed shape) gives one window that reaches beyond it.
    Raises `RequestError` where `tile` is no multiple of `multiple_of`, or leaves nothing inside the halo.
    """
    if tile % multiple_of:
        raise RequestError(f"a tile side of {tile} is not a multiple of {multiple_of}, as this network needs")
    if tile >= length:
        return [(Span(0, tile), Span(0, length))]
    if halo is None:
        raise RequestError(
            f"this network sees the whole picture and cannot be tiled; leave the tile on auto, or make it at least {length}"
        )
    step = (tile - 2 * halo) // multiple_of * multiple_of
    if step < 1:
        raise RequestError(
            f"a tile side of {tile} leaves nothing inside a halo of {halo}; take at least {2 * halo + multiple_of}"
        )
    last = _up(length, multiple_of) - tile
    starts = [*range(0, last, step), last]
    cuts = [0, *(start + halo for start in starts[1:]), length]
    return [(Span(s, s + tile), Span(a, b)) for s, a, b in zip(starts, cuts, cuts[1:], strict=False) if b > a]


@dataclass(frozen=True)
class Plan:
    """All windows of a picture."""

    height: int
    width: int
    tile: tuple[int, int]
    """Height and width of every window."""
    rows: tuple[tuple[Span, Span], ...]
    """(read, keep) of each row of windows."""
    columns: tuple[tuple[Span, Span], ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    @property
    def pixels(self) -> int:
        """Input pixels that are run, those of overlaps counted each time."""
        return len(self) * self.tile[0] * self.tile[1]

    def windows(self) -> Iterator[tuple[Window, ...]]:
        """Rows of windows, from the top: each row finishes a strip of the result."""
        for read, keep in self.rows:
            yield tuple(Window(read, c_read, keep, c_keep) for c_read, c_keep in self.columns)


def plan(height: int, width: int, tile: tuple[int, int], halo: int | None, multiple_of: int = 1) -> Plan:
    """Windows of `tile` = (height, width) over a picture, larger than the picture where `tile` is."""
    if min(height, width) < 1:
        raise RequestError(f"a picture must have at least one pixel, got {width}×{height}")
    rows = axis(height, tile[0], halo, multiple_of)
    columns = axis(width, tile[1], halo, multiple_of)
    return Plan(height, width, tile, tuple(rows), tuple(columns))


def auto_tile(
    height: int, width: int, halo: int | None, multiple_of: int = 1, area: int = DEFAULT_AREA
) -> tuple[int, int]:
    """The tile of at most `area` pixels (where the halo allows it) with the fewest pixels run in all."""
    whole = (_up(height, multiple_of), _up(width, multiple_of))
    if halo is None or whole[0] * whole[1] <= area:
        return whole
    least = 2 * halo + multiple_of
    best: tuple[int, tuple[int, int]] | None = None
    for across in range(1, max(2, -(-width // least) + 1)):
        side = _fit(width, across, halo, multiple_of)
        tall = max(area // side // multiple_of * multiple_of, _up(least, multiple_of))
        down = _count(height, tall, halo, multiple_of)
        tile = (_fit(height, down, halo, multiple_of), side)
        run = _count(width, side, halo, multiple_of) * side * down * tile[0]
        if tile[0] * side <= max(area, 4 * least * least) and (best is None or run < best[0]):
            best = (run, tile)
    if best is None:
        raise RequestError(f"no tile of at most {area} pixels has room for a halo of {halo}")
    return best[1]


def _count(length: int, tile: int, halo: int, multiple_of: int) -> int:
    return len(axis(length, min(tile, _up(length, multiple_of)), halo, multiple_of))


def _fit(length: int, count: int, halo: int, multiple_of: int) -> int:
    """The shortest tile with which `count` windows cover `length`."""
    tile = -(-(length + (count - 1) * 2 * halo) // count)
    return min(_up(max(tile, 2 * halo + 1), multiple_of), _up(length, multiple_of))
