"""What became of a budget: seconds predicted and real, and the routes, which can be written down and run again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgelift.core.errors import RequestError
from edgelift.tiling.routes import Routed, Routes
from edgelift.tiling.window import Span

__all__ = ["Account", "plain_routes", "routes_from"]


@dataclass(frozen=True)
class Account:
    """Of one picture."""

    budget: str
    """As it was asked for."""
    limit: float | None
    """Seconds that it allows; None where no clock was kept (`auto`, replayed routes)."""
    predicted: float | None
    """Seconds that were expected when the routes were first chosen, from the same beginning as `seconds`."""
    seconds: float
    """Real, from the beginning of the budget to the picture's end; see `files`."""
    widest: float | None
    """Predicted seconds of the widest variant on its own best plan; None where routes were replayed."""
    late: bool
    """Whether even the quickest way was not expected to be done in time."""
    routes: Routes
    files: bool = True
    """Whether reading and writing files counts; it does not where the budget is a share or `auto`."""

    @property
    def too_little(self) -> bool:
        """Whether the limit was missed though the quickest way was taken."""
        return self.late and not self.kept

    @property
    def kept(self) -> bool:
        """Whether the limit was kept; a twentieth above it counts as kept."""
        return self.limit is None or self.seconds <= 1.05 * self.limit

    def as_plain(self) -> dict[str, Any]:
        """As reports have it."""
        shares = {str(variant): round(share, 4) for variant, share in self.routes.shares().items()}
        return {
            "budget": self.budget, "limit": _rounded(self.limit), "predicted": _rounded(self.predicted),
            "real": _rounded(self.seconds), "widest": _rounded(self.widest), "kept": self.kept,
            "too_little": self.too_little, "shares": shares, "routes": plain_routes(self.routes),
        }  # fmt: skip


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 5)


def plain_routes(routes: Routes) -> dict[str, Any]:
    """Routes as JSON holds them: `routes_from` reads them."""
    rows = [
        {
            "read": [read.start, read.stop],
            "keep": [keep.start, keep.stop],
            "windows": [[w.read.start, w.read.stop, w.keep.start, w.keep.stop, w.variant] for w in row],
        }
        for (read, keep), row in zip(routes.rows, routes.routed, strict=True)
    ]
    return {"height": routes.height, "width": routes.width, "rows": rows}


def routes_from(plain: Any) -> Routes:
    """Read what `plain_routes` wrote. Raises `RequestError` for anything that is not a picture's routes."""
    try:
        rows = tuple((Span(*map(_whole, r["read"])), Span(*map(_whole, r["keep"]))) for r in plain["rows"])
        routed = tuple(
            tuple(Routed(Span(a, b), Span(c, d), v) for a, b, c, d, v in (map(_whole, w) for w in r["windows"]))
            for r in plain["rows"]
        )
        routes = Routes(_whole(plain["height"]), _whole(plain["width"]), rows, routed)
    except (TypeError, LookupError, ValueError) as exc:  # RequestError is a ValueError
        raise RequestError(f"these are no routes of a picture ({exc}); take a file that --json wrote") from exc
    _check(routes)
    return routes


def _check(routes: Routes) -> None:
    """Raise `RequestError` where windows read beyond the picture, or keep what they do not read."""
    ends = [0, *(keep.stop for _, keep in routes.rows)]
    good = [keep.start for _, keep in routes.rows] == ends[:-1] and ends[-1] == routes.height > 0
    for window in (window for row in routes.windows() for window in row):
        for read, keep, size in (
            (window.rows, window.keep_rows, routes.height),
            (window.columns, window.keep_columns, routes.width),
        ):
            good &= 0 <= read.start <= keep.start < keep.stop <= read.stop <= size
        good &= window.variant >= 0
    if not good:
        raise RequestError("these routes do not cover a picture, each pixel once; take a file that --json wrote")


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"a whole number is needed, got {value!r}")
    return value
