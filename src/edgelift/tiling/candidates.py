"""The tiles that could be taken for a picture, side by side: what `edgelift plan` prints."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from edgelift.core.errors import RequestError
from edgelift.tiling.choose import Choice, Need, choose, least_price, least_redundant, redundancy
from edgelift.tiling.cost import CostModel

__all__ = ["Candidate", "candidates"]


@dataclass(frozen=True)
class Candidate:
    """A row of the table."""

    choice: Choice
    redundancy: float
    """Share of the pixels run that the picture could do without."""
    price: float
    """Seconds for a sample, measured or between measured ones."""
    least_redundant: bool
    """The best by the first definition, among the tiles of the table."""
    least_price: bool
    """The best by the second, among all that was measured."""
    chosen: bool


def candidates(
    height: int,
    width: int,
    halo: int | None,
    model: CostModel,
    chosen: Choice,
    *,
    multiple_of: int = 1,
    overlap: int | None = None,
    shapes: Sequence[tuple[int, int]] = (),
    need: Need | None = None,
    variant: int = 1,
) -> list[Candidate]:
    """The shapes in `model` (of `variant`) and `chosen`, for a picture of that size, ordered by predicted seconds.

    Shapes larger than the picture are cut down to it, but for an engine that runs certain `shapes` only; shapes without
    room for the halo are left out. The other arguments are those of `choose`.
    """
    whole = [-(-n // multiple_of) * multiple_of for n in (height, width)]
    cheapest = least_price(model, variant=variant)
    found = {(chosen.tile, chosen.batch): chosen}
    best = None
    for row in model.prices(variant):
        tile = (row.height, row.width) if shapes else (min(row.height, whole[0]), min(row.width, whole[1]))
        with contextlib.suppress(RequestError):
            found.setdefault(
                (tile, row.batch),
                choose(
                    height, width, halo, model, multiple_of=multiple_of, overlap=overlap, shapes=(tile,),
                    batches=(row.batch,), need=need, variant=variant,
                ),
            )  # fmt: skip
            best = (tile, row.batch) if row == cheapest else best
    least = least_redundant(height, width, halo, [tile for tile, _ in found], multiple_of, overlap)
    first = min(batch for tile, batch in found if tile == least)
    return [
        Candidate(
            choice,
            redundancy(height, width, halo, tile, multiple_of, overlap),
            model.seconds(batch, *tile, variant) / (batch * 3 * tile[0] * tile[1]),
            least_redundant=(tile, batch) == (least, first),
            least_price=(tile, batch) == best,
            chosen=choice == chosen,
        )
        for (tile, batch), choice in sorted(found.items(), key=lambda item: (item[1].seconds, item[0]))
    ]
