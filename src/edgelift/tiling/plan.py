"""Equal windows over a picture.

The rules, for one axis of n pixels, windows of t pixels, a halo of h, an overlap of o pixels (2h where none is given):
- a window as long as the picture is the only one;
- else windows start at 0, s, 2s, …, n - t with s = t - o: all have the same length, so that an engine sees one shape;
- each pixel is kept from one window, at least h away from any window edge that is not an edge of the picture:
  window k keeps up to o // 2 past the start of window k + 1;
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


def axis(
    length: int, tile: int, halo: int | None, multiple_of: int = 1, overlap: int | None = None
) -> list[tuple[Span, Span]]:
    """(read, keep) of each window along one axis, from the start. See the module's text.

    A `tile` longer than the picture (an engine with one fixed shape) gives one window that reaches beyond it. A `halo`
    of None with an `overlap` leaves open what the windows' edges are worth: for blending, or at the caller's own risk.
    Raises `RequestError` where `tile` is no multiple of `multiple_of`, or leaves nothing beyond the overlap, and where
    the overlap is smaller than the halo asks for.
    """
    if tile % multiple_of:
        raise RequestError(f"a tile side of {tile} is not a multiple of {multiple_of}, as this network needs")
    if tile >= length:
        return [(Span(0, tile), Span(0, length))]
    shared = _shared(halo, overlap)
    if shared is None:
        raise RequestError(
            "this network sees the whole picture and cannot be tiled; leave the tile on auto, make it at least "
            f"{length}, or give an overlap and accept seams"
        )
    step = (tile - shared) // multiple_of * multiple_of
    if step < 1:
        what = f"inside a halo of {halo}" if overlap is None else f"beyond an overlap of {overlap}"
        raise RequestError(f"a tile side of {tile} leaves nothing {what}; take at least {shared + multiple_of}")
    last = _up(length, multiple_of) - tile
    starts = [*range(0, last, step), last]
    cuts = [0, *(start + shared // 2 for start in starts[1:]), length]
    return [(Span(s, s + tile), Span(a, b)) for s, a, b in zip(starts, cuts, cuts[1:], strict=False) if b > a]


def _shared(halo: int | None, overlap: int | None) -> int | None:
    """Pixels that neighbouring windows share at least; None where the picture must stay whole."""
    if overlap is None:
        return None if halo is None else 2 * halo
    if overlap < 0:
        raise RequestError(f"an overlap is at least 0 pixels, got {overlap}")
    if halo is not None and overlap < 2 * halo:
        raise RequestError(
            f"an overlap of {overlap} is less than this network's halo of {halo} on both sides and would show seams; "
            f"use feather, or leave it out, which takes {2 * halo}"
        )
    return overlap


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
    variant: int = 1
    """Of the network, that runs every window."""

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    @property
    def pixels(self) -> int:
        """Input pixels that are run, those of overlaps counted each time."""
        return len(self) * self.tile[0] * self.tile[1]

    def windows(self) -> Iterator[tuple[Window, ...]]:
        """Rows of windows, from the top: each row finishes a strip of the result."""
        for read, keep in self.rows:
            yield tuple(Window(read, c_read, keep, c_keep, self.variant) for c_read, c_keep in self.columns)


def plan(
    height: int, width: int, tile: tuple[int, int], halo: int | None, multiple_of: int = 1, overlap: int | None = None
) -> Plan:
    """Windows of `tile` = (height, width) over a picture, larger than the picture where `tile` is. See `axis`."""
    if min(height, width) < 1:
        raise RequestError(f"a picture must have at least one pixel, got {width}×{height}")
    rows = axis(height, tile[0], halo, multiple_of, overlap)
    columns = axis(width, tile[1], halo, multiple_of, overlap)
    return Plan(height, width, tile, tuple(rows), tuple(columns))


def auto_tile(
    height: int,
    width: int,
    halo: int | None,
    multiple_of: int = 1,
    area: int = DEFAULT_AREA,
    overlap: int | None = None,
) -> tuple[int, int]:
    """The tile of at most `area` pixels (where the overlap allows it) with the fewest pixels run in all."""
    whole = (_up(height, multiple_of), _up(width, multiple_of))
    shared = _shared(halo, overlap)
    if shared is None or whole[0] * whole[1] <= area:
        return whole
    least = shared + multiple_of
    best: tuple[int, tuple[int, int]] | None = None
    for across in range(1, max(2, -(-width // least) + 1)):
        side = _fit(width, across, shared, multiple_of)
        tall = max(area // side // multiple_of * multiple_of, _up(least, multiple_of))
        down = _count(height, tall, shared, multiple_of)
        tile = (_fit(height, down, shared, multiple_of), side)
        run = _count(width, side, shared, multiple_of) * side * down * tile[0]
        if tile[0] * side <= max(area, 4 * least * least) and (best is None or run < best[0]):
            best = (run, tile)
    if best is None:
        raise RequestError(f"no tile of at most {area} pixels has room for an overlap of {shared}")
    return best[1]


def _count(length: int, tile: int, shared: int, multiple_of: int) -> int:
    """How many windows `axis` gives."""
    beyond = _up(length, multiple_of) - tile
    return 1 if beyond <= 0 else 1 - -beyond // ((tile - shared) // multiple_of * multiple_of)


def _fit(length: int, count: int, shared: int, multiple_of: int) -> int:
    """The shortest tile with which `count` windows that share `shared` pixels cover `length`."""
    tile = -(-(length + (count - 1) * shared) // count)
    return min(_up(max(tile, shared + multiple_of), multiple_of), _up(length, multiple_of))
