"""The compiler's cycle model of a network, `compiler_profile_0.txt`: what each command takes on a chip that need not be there.

Two engines work side by side: the processor (BD) computes, the other (GDMA) moves memory. A line names an operation and its
command, when it starts and ends in cycles, and for moves the direction and bytes. The last line gives the whole run's time, but
for graphs without arithmetic, whose cycles count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from edgelift.core.errors import EngineError

__all__ = ["Cycles", "Operation", "parse_cycles"]

COMMAND = re.compile(r"(\S+?)\|(\w+)\|s:(\d+)\|b:\d+\|g:\d+\|e:(\d+)\|t:(\d+)(?:\|dr:(\d+)\|sz:(\d+))?")
CYCLES = re.compile(r"TCYC\s*:\s*(\d+)")
HERTZ = 1e9
"""Of the processor: cycles of a profile divided by its runtime."""
TOTAL = re.compile(r"flops:\s*(\d+),\s*runtime:\s*([0-9.]+)\s*ms")
MAX_TEXT = 1 << 28


@dataclass(frozen=True)
class Operation:
    """All commands of one operation of the compiled graph."""

    name: str
    """As the compiler calls it, kind and number: Conv2D_34."""
    seconds: float
    """Its share of the run; all shares add up to the run."""
    computing: float
    """Seconds of the processor …"""
    moving: float
    """… and of the memory mover; they run side by side."""
    bytes: int
    """Moved between the card's memory and the processor."""
    tensors: tuple[str, ...] = ()
    """What it makes, as the compiler calls it: the graph's name and operator, relu_1_Relu."""

    @property
    def kind(self) -> str:
        """Such as Conv2D, Load, Permute."""
        return self.name.rpartition("_")[0] or self.name


@dataclass(frozen=True)
class Cycles:
    """One run of one network."""

    seconds: float
    flops: int
    operations: tuple[Operation, ...]
    """In the order in which they begin."""

    @property
    def bytes(self) -> int:
        """Moved between the card's memory and the processor in one run."""
        return sum(operation.bytes for operation in self.operations)


def parse_cycles(text: str, tensors: Mapping[int, Sequence[str]] = {}) -> Cycles:
    """Read a profile. `tensors`: number of an operation -> names of what it makes.

    Raises `EngineError` where it is none, or one of a form that is not known.
    """
    total = TOTAL.search(text)
    rows = [
        _Row(m[1], m[2].startswith("GDMA"), int(m[3]), int(m[4]) + 1, int(m[5]), int(m[7] or 0))
        for m in COMMAND.finditer(text)
    ]
    counted = CYCLES.search(text)  # of what computes nothing there is no runtime
    if len(text) > MAX_TEXT or not rows or (total is None and counted is None):
        raise EngineError("not a compiler profile of tpu-mlir 1.30, or a damaged one: no commands or no runtime in it")
    seconds = float(total[2]) / 1e3 if total else int(counted[1]) / HERTZ if counted else 0.0
    end = max(row.end for row in rows)
    cycle = seconds / end
    shares = _shares(rows, end)
    found: dict[str, list[_Row]] = {}
    for row in rows:
        found.setdefault(row.name, []).append(row)
    operations = (
        Operation(
            name, shares[name] * cycle, cycle * sum(row.took for row in own if not row.moves),
            cycle * sum(row.took for row in own if row.moves), sum(row.size for row in own),
            tuple(tensors.get(int(number), ()) if (number := name.rpartition("_")[2]).isdecimal() else ()),
        )
        for name, own in found.items()
    )  # fmt: skip
    return Cycles(seconds, int(total[1]) if total else 0, tuple(operations))


class _Row(NamedTuple):
    """One command."""

    name: str
    moves: bool
    start: int
    end: int
    took: int
    size: int


def _shares(rows: list[_Row], end: int) -> dict[str, float]:
    """Cycles that each operation is held to account for: where several run, an equal part each; where none runs, those of
    the one that runs next, which is waited for."""
    shares = dict.fromkeys((row.name for row in rows), 0.0)
    edges = sorted({0, end, *(at for row in rows for at in (row.start, row.end))})
    ordered = sorted(rows, key=lambda row: row.start)
    active: list[_Row] = []
    coming = 0
    for here, there in pairwise(edges):
        active = [row for row in active if row.end > here]
        while coming < len(ordered) and ordered[coming].start <= here:
            active.append(ordered[coming])
            coming += 1
        blamed = active or [ordered[min(coming, len(ordered) - 1)]]
        for row in blamed:
            shares[row.name] += (there - here) / len(blamed)
    return shares
