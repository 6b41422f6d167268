"""Families: several networks for one task in one, of rising cost, of which one runs at a time.

Those of `nets.supernet` share their weights, those of `nets.branched` do not.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgelift.nets.network import Network

__all__ = ["Family"]


class Family(Network):
    """Base of both. `variants` names the networks inside, cheapest first; the last one stands for the whole.

    `active` is the one that runs, counted from 1; the last unless it is set.
    """

    active: int

    def in_turn(self) -> Iterator[int]:
        """The number of each variant while it is the active one; which was so before is so again at the end."""
        before = self.active
        for variant in range(1, len(self.variants) + 1):
            self.active = variant
            yield variant
        self.active = before

    def subnet(self, variant: int) -> Network:
        """A network of its own with a copy of the weights of `variant`, from 1."""
        raise NotImplementedError

    @property
    def costs(self) -> tuple[int, ...]:
        """Multiply-adds for one input pixel of each."""
        raise NotImplementedError
