"""What was measured as tables of text, alike for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgelift.evaluate.profile.devices import Comparison, Row
from edgelift.evaluate.profile.document import Parts
from edgelift.evaluate.profile.metanodes import MetaNodes, MetaTime
from edgelift.evaluate.profile.operators import Operators
from edgelift.evaluate.profile.resolutions import JUMP, Curve
from edgelift.evaluate.profile.stages import INSIDE, NAMES, Stages
from edgelift.evaluate.profile.tiles import Prices
from edgelift.evaluate.profile.timing import Timing
from edgelift.evaluate.words import NOTHING, visible

__all__ = ["SETS", "Table", "compare", "tables_of"]

SETS = ("Set5", "Set14", "BSD100")
"""Sets whose PSNR stands in the comparison."""


@dataclass(frozen=True)
class Table:
    """A table with the words around it."""

    title: str
    columns: tuple[str, ...]
    """The first names the rows."""
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    best: tuple[tuple[int, str], ...] = ()
    """(column, `max` or `min`): whose best value is marked."""
    long: bool = False
    """Whether it is a list to look something up in, more than a result."""


def tables_of(parts: Parts) -> list[tuple[str, list[Table]]]:
    """(part, its tables) of all that was measured."""
    return [(name, make(part)) for name, make in TABLES.items() if (part := getattr(parts, name)) is not None]


# -- numbers


def _digits(value: float) -> str:
    """Four digits where they mean something: a clock's microseconds, and nothing below."""
    decimals = sum(value < limit for limit in (9.9995, 99.995, 999.95))  # from which on rounding gives a digit more
    return f"{value:.{decimals}f}"


def _ms(seconds: float | None) -> str:
    return NOTHING if seconds is None else _digits(seconds * 1e3)


def _spread(timing: Timing) -> str:
    return f"±{timing.spread:.0%}"


def _per(rate: float, unit: str) -> str:
    return f"{rate / 1e9:.{0 if rate >= 1e11 else 1}f} {unit}" if rate else NOTHING


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number > 1)}"


# -- parts


def _stages(found: Stages) -> list[Table]:
    rows = [
        (
            stage.name,
            _ms(stage.seconds) if stage.name != INSIDE else "(inference)",
            f"{stage.seconds / found.total:.1%}" if stage.seconds is not None else NOTHING,
            _ms(stage.alone.seconds) if stage.alone else NOTHING,
            NAMES[stage.name],
        )
        for stage in found.stages
    ]
    rows.append(("not accounted for", _ms(found.rest), f"{found.rest / found.total:.1%}", NOTHING, ""))
    rows.append(("whole", _ms(found.total), "100.0%", NOTHING, "file to file"))
    notes = (
        f"{found.picture}, {_size(found.size_in)} -> {_size(found.size_out)}, {found.samples}; "
        f"{_count(found.windows, 'window')} of {_size(found.tile)}, batch {found.batch}; filter {found.filter}",
        f"Of {_count(found.whole.rounds, 'round')} that of the median time; half took {_ms(found.whole.low)} to "
        f"{_ms(found.whole.high)} ms, the first of all, which compiles, {_ms(found.first)} ms.",
        "'ms' is what the run spent in a stage or waited for it; decoding and encoding go on beside the rest, and 'alone' "
        "is what they take by themselves.",
    )
    return [Table("Stages", ("stage", "ms", "share", "alone", "what"), tuple(rows), notes)]


def _operators(found: Operators) -> list[Table]:
    whole = found.seconds
    kinds = tuple(
        (
            kind.kind, str(kind.count), _ms(kind.seconds), f"{kind.seconds / whole:.1%}", f"{kind.macs / 1e6:.1f}",
            _per(kind.macs / kind.seconds, "GMAC/s") if kind.seconds else NOTHING,
        )
        for kind in found.kinds
    )  # fmt: skip
    nodes = tuple(
        (
            visible(node.name), " + ".join((node.kind, *node.carries[1:])), _ms(node.time.seconds),
            f"{node.time.seconds / whole:.1%}", f"{node.macs / 1e6:.1f}" if node.macs else NOTHING,
            _per(node.rate, "GMAC/s"), "slow" if found.slow(node) else "",
        )
        for node in found.nodes
    )  # fmt: skip
    notes = (
        f"One window of {_size((found.height, found.width))}. Operators together {_ms(whole)} ms; a whole call "
        f"{_ms(found.counted.seconds)} ms while they are counted ({_spread(found.counted)}), "
        f"{_ms(found.plain.seconds)} ms while not ({_spread(found.plain)}).",
        "Medians. What the engine joined to an operator stands behind a +. Slow: under half of the network's mean rate, "
        "and over a twentieth of its time.",
    )
    return [
        Table("Operators by kind", ("kind", "count", "ms", "share", "MMAC", "rate"), kinds, notes[:1]),
        Table("Operators", ("node", "kind", "ms", "share", "MMAC", "rate", ""), nodes, notes[1:], long=True),
    ]


def _nodes(found: MetaNodes) -> list[Table]:
    rows = tuple(_node(found, row) for row in found.rows)
    notes = [
        f"{found.channels} planes of {_size((found.height, found.width))}. An empty call takes "
        f"{_ms(found.empty.seconds)} ms, which is taken off. 'Inside' is the engine's own count, without what it adds "
        "before and after the operator, such as another order of values in memory; ×: the 3×3 convolution is 1.",
        "The rate is that inside: GMAC/s where there is a multiply-add or more for each byte, else GB/s of f32 in and out.",
        *(f"{row.name}: {visible(row.problem)}" for row in found.rows if row.problem),
    ]
    columns = ("operator", "ms", "", "×", "inside", "×", "rate")
    return [Table("Single operators", columns, rows, tuple(notes))]


def _node(found: MetaNodes, row: MetaTime) -> tuple[str, ...]:
    if row.whole is None:
        return (row.name, "cannot run", *["" for _ in range(5)])
    taken = _ms(row.seconds) if row.certain else "in the noise"
    rate = _per(row.rate, "GMAC/s" if row.computes else "GB/s")
    outer, inner = (
        NOTHING if ratio is None else f"{ratio:.2f}" for ratio in (found.ratio(row), found.ratio_inside(row))
    )
    return (row.name, taken, _spread(row.whole), outer, _ms(row.inside), inner, rate)


def _curve(found: Curve) -> list[Table]:
    rows = tuple(
        (
            _size((point.height, point.width)), f"{point.height * point.width:,}", _ms(point.timing.seconds),
            _spread(point.timing), f"{point.price * 1e9:.1f}", point.mark,
        )
        for point in found.points
    )  # fmt: skip
    notes = (
        f"One call with one window. Marked are prices that differ from their neighbours' by more than {JUMP:.0%} and "
        "more than the measurements scatter: a step is dearer than the size before, a peak than both beside it; a dip "
        "is cheaper than both.",
        *([found.problem] if found.problem else []),
    )
    return [Table("Resolutions", ("window", "pixels", "ms", "", "ns/pixel", "mark"), rows, notes)]


def _prices(found: Prices) -> list[Table]:
    rows = tuple((f"{row.seconds:.5f}", row.shape, f"{row.price:.3e}") for row in found.rows)
    busy = () if found.steady else ("Measured while the machine was busy: not kept for choosing tiles.",)
    notes = ("price = seconds / (batch · 3 · height · width)", *busy)
    return [Table("Tile prices", ("seconds", "shape", "price"), rows, notes, ((2, "min"),))]


TABLES: dict[str, Callable[..., list[Table]]] = {
    "stages": _stages, "operators": _operators, "nodes": _nodes, "curve": _curve, "prices": _prices,
}  # fmt: skip
"""What makes the tables of each part."""


# -- devices


def compare(found: Comparison) -> tuple[list[str], list[Table]]:
    """The devices in words, and a table for each scale."""
    letters = [_letter(k) for k in range(len(found.devices))]
    words = [f"{letter}: {visible(device.words)}" for letter, device in zip(letters, found.devices, strict=True)]
    notes = (
        f"ms: one call with a window of {_size(found.size)}, for which – stands where another size was measured; ms/MP: "
        "for a million pixels of the result. PSNR-Y in dB, from the models' cards. The best of each column is marked.",
    )
    columns = ("model", "weights", *SETS, *(f"{letter} {unit}" for letter in letters for unit in ("ms", "ms/MP")))
    best = (*((2 + k, "max") for k in range(len(SETS))), *((5 + k, "min") for k in range(2 * len(letters))))
    return words, [
        Table(f"×{scale}", columns, tuple(_compared(found, row) for row in rows), notes, best)
        for scale, rows in found.scales.items()
    ]


def _letter(k: int) -> str:
    return chr(ord("A") + k) if k < 26 else f"A{k - 25}"


def _compared(found: Comparison, row: Row) -> tuple[str, ...]:
    psnr = [row.psnr(name) for name in SETS]
    times: Sequence[str] = [
        text
        for cell in row.cells
        for text in (_ms(found.at_reference(cell)), _ms(cell.per_megapixel) if cell else NOTHING)
    ]
    decibels = [f"{value:.2f}" if value is not None else NOTHING for value in psnr]
    return (visible(row.model.name), f"{row.model.parameters / 1000:.1f}k", *decibels, *times)
