"""Which operators of a network an accelerator runs, from tables that its makers publish (`accelerators.json`).

One operator that is not in a table decides over the time of a network: it falls back to the CPU, and all that surrounds it
is copied there and back. The tables are data with their source and the day on which they were read; a device may be newer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import onnx

from edgelift.core.errors import RequestError
from edgelift.targets.base import Source
from edgelift.targets.draft import attributes_of
from edgelift.targets.rewrites import EXACT, Rewrite

__all__ = [
    "ACCELERATORS",
    "RUNS",
    "Finding",
    "Table",
    "Verdict",
    "check",
    "check_kinds",
    "named",
    "problems",
    "table_of",
]

WAYS_OUT = {
    "MIRROR_PAD": 'a network on RGB with padding = "zeros" has none',
    "Pad edge": 'a network on RGB with padding = "zeros" has none',
    "Round": "it is outside the network proper: round in the caller",
    "DEPTH_TO_SPACE": "where it is last, only it runs on the CPU",
}
"""What can be done about an operator, beside rewriting it."""


@dataclass(frozen=True)
class Table:
    """What one accelerator runs."""

    title: str
    dialect: str
    """`onnx` or `tflite`: whose names of operators these are."""
    source: str
    read: str
    """The day on which the source was read."""
    otherwise: str
    """What becomes of operators that are not in the table."""
    remark: str
    operators: dict[str, frozenset[str]]
    """Precision -> the operators that run in it."""
    only: dict[str, dict[str, str]]
    """Operator -> attribute -> the one value of it that runs."""
    slow: dict[str, dict[str, str]]
    """Operator -> `why` it is known to be slow, and the `source` of that."""

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that the accelerator runs."""
        return tuple(self.operators)


@dataclass(frozen=True)
class Verdict:
    """What becomes of an operator in one precision: `runs`, `slow`, or what the table says of others."""

    word: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.word}: {self.why}" if self.why else self.word


RUNS = Verdict("runs")


@dataclass(frozen=True)
class Finding:
    """One kind of operator of a network."""

    operator: str
    count: int
    verdicts: dict[str, Verdict]
    """Precision -> what becomes of it."""
    advice: str
    """What can be done; empty where it runs everywhere."""
    rewrite: str = ""
    """The rewrite that does without it, in `targets.rewrites`."""

    @property
    def runs(self) -> bool:
        """Whether it runs in every precision."""
        return all(verdict == RUNS for verdict in self.verdicts.values())


@cache
def _tables() -> dict[str, Table]:
    text = resources.files("edgelift.targets").joinpath("accelerators.json").read_text(encoding="utf-8")
    made = {}
    for name, row in json.loads(text).items():
        operators = {p: frozenset(kinds) for group, kinds in row["operators"].items() for p in group.split(", ")}
        made[name] = Table(**{**row, "operators": operators})
    return made


ACCELERATORS = (
    "onnx-nnapi",
    "onnx-coreml",
    "onnx-coreml-nn",
    "litert-xnnpack",
    "litert-gpu",
    "litert-qualcomm",
    "litert-mediatek",
    "bm1684x",
)
"""The accelerators there are tables of."""


def table_of(name: str) -> Table:
    """The table of that accelerator. Raises `RequestError` for a name that there is none of."""
    if name not in ACCELERATORS:
        raise RequestError(f"no accelerator is called {name!r}; choose from {', '.join(ACCELERATORS)}")
    return _tables()[name]


def named(asked: Iterable[str]) -> list[str]:
    """The accelerators of these names; a runtime, `litert` or `onnx`, stands for all that it runs on; all where none is asked
    for. Raises `RequestError`."""
    found: list[str] = []
    for name in asked:
        family = (
            [each for each in ACCELERATORS if each.startswith(f"{name}-")] if name in ("litert", "onnx") else [name]
        )
        found += [each for each in family if table_of(each) and each not in found]
    return found or list(ACCELERATORS)


def check(source: Source, name: str) -> list[Finding]:
    """The operators of `source` on that accelerator, by kind, those that do not run first.

    A float network is looked at in every precision that the accelerator has, one on whole numbers in its own. Raises
    `RequestError` for an unknown name and for a precision that it does not run.
    """
    table = table_of(name)
    bits = source.spec.bits
    if bits not in table.precisions:
        raise RequestError(f"{name} has no {bits}; it has {', '.join(table.precisions)}")
    precisions = table.precisions if bits == "float" else (bits,)
    return _findings(table, {each: _operators(source, table.dialect, each) for each in precisions})


def check_kinds(kinds: list[str], bits: str, name: str) -> list[Finding]:
    """The same for a `.tflite` file with operators of these kinds."""
    table = table_of(name)
    if table.dialect != "tflite":
        raise RequestError(f"{name} runs ONNX, not .tflite files; check the bundle")
    if bits not in table.precisions:
        raise RequestError(f"{name} has no {bits}; it has {', '.join(table.precisions)}")
    return _findings(table, {bits: [(kind, {}) for kind in kinds]})


MODES = ("DepthToSpace CRD", "Pad edge", "Pad reflect")
"""Operators whose mode is part of what they are."""
Operators = list[tuple[str, dict[str, Any]]]
"""Kind and attributes of each."""


def _findings(table: Table, operators: dict[str, Operators]) -> list[Finding]:
    counted: dict[str, Counter[str]] = {}
    verdicts: dict[str, dict[str, Verdict]] = {}
    for precision, rows in operators.items():
        for kind, attributes in rows:
            verdict = _verdict(table, precision, kind, attributes)
            mode = attributes.get("mode", b"").decode()
            label = f"{kind} {mode}" if f"{kind} {mode}" in MODES else kind
            verdicts.setdefault(label, {}).setdefault(precision, verdict)
            counted.setdefault(label, Counter())[precision] += 1
    found = []
    for label, each in verdicts.items():
        advice, rewrite = "", ""
        if any(verdict != RUNS for verdict in each.values()):
            rewrite = _rewrite_for(table, label, each)
            advice = WAYS_OUT.get(label, "") if not rewrite else ""
        found.append(Finding(label, max(counted[label].values()), each, advice, rewrite))
    return sorted(found, key=lambda row: (row.runs, row.operator))


def _verdict(table: Table, precision: str, operator: str, attributes: dict[str, Any]) -> Verdict:
    if operator not in table.operators[precision]:
        return Verdict(table.otherwise, "not in the table")
    for attribute, wanted in table.only.get(operator, {}).items():
        said = attributes.get(attribute) or onnx.defs.get_schema(operator).attributes[attribute].default_value.s
        if said != wanted.encode():
            return Verdict(table.otherwise, f"{attribute} is {said.decode()}, only {wanted} runs")
    if slow := table.slow.get(operator):
        return Verdict("slow", f"{slow['why']} ({slow['source']})")
    return RUNS


def _rewrite_for(table: Table, label: str, verdicts: dict[str, Verdict]) -> str:
    """The rewrite that does without that operator, and whose own operators fare better in every precision in which this one
    does not run; they may be rewritten themselves."""
    bad = {precision: _RANKS.get(verdict.word, WORST) for precision, verdict in verdicts.items() if verdict != RUNS}
    for rewrite in _removing(table, label):
        if all(_made(table, rewrite, precision, 1) < rank for precision, rank in bad.items()):
            return rewrite.name
    return ""


_RANKS = {"runs": 0, "slow": 1}
WORST = 2


def _removing(table: Table, label: str) -> list[Rewrite]:
    """The rewrites that do without that operator in that dialect."""
    return [
        rewrite
        for rewrite in EXACT
        if table.dialect in rewrite.dialects
        and any(label in _in_dialect(kind, table.dialect) for kind in rewrite.removes)
    ]


def _made(table: Table, rewrite: Rewrite, precision: str, depth: int) -> int:
    """How the slowest of its operators fares."""
    return max(_rank(table, _in_dialect(kind, table.dialect)[0], precision, depth) for kind in rewrite.makes)


def _rank(table: Table, label: str, precision: str, depth: int) -> int:
    """How well that operator fares, itself or, up to `depth` times, rewritten: 0 where it runs."""
    kind, _, mode = label.partition(" ")
    own = _RANKS.get(_verdict(table, precision, kind, {"mode": mode.encode()} if mode else {}).word, WORST)
    others = _removing(table, label) if own and depth else []
    return min([own, *(_made(table, rewrite, precision, depth - 1) for rewrite in others)])


def problems(findings: list[Finding]) -> list[Finding]:
    """Those that do not run in every precision."""
    return [each for each in findings if not each.runs]


# -- ONNX's operators as LiteRT's

IN_LITERT: dict[str, tuple[str, ...]] = {
    "Add": ("ADD",), "AveragePool": ("AVERAGE_POOL_2D",), "Clip": ("MINIMUM", "MAXIMUM"),
    "Concat": ("CONCATENATION",), "Conv": ("CONV_2D", "DEPTHWISE_CONV_2D"), "ConvTranspose": ("TRANSPOSE_CONV",),
    "DepthToSpace": ("DEPTH_TO_SPACE",), "DepthToSpace CRD": ("RESHAPE", "TRANSPOSE"), "Div": ("DIV",),
    "Exp": ("EXP",), "Expand": ("BROADCAST_TO",), "GlobalAveragePool": ("MEAN",), "LeakyRelu": ("LEAKY_RELU",),
    "MatMul": ("BATCH_MATMUL",), "Max": ("MAXIMUM",), "MaxPool": ("MAX_POOL_2D",), "Min": ("MINIMUM",),
    "Mul": ("MUL",), "Neg": ("NEG",), "PRelu": ("PRELU",), "Pad": ("PAD", "MIRROR_PAD"), "Pad edge": ("MIRROR_PAD",),
    "Pow": ("POW",), "ReduceMean": ("MEAN",), "Relu": ("RELU",), "Reshape": ("RESHAPE",),
    "Resize": ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), "Round": ("ROUND",), "Sigmoid": ("LOGISTIC",),
    "Slice": ("STRIDED_SLICE",), "Softmax": ("SOFTMAX",), "SpaceToDepth": ("SPACE_TO_DEPTH",), "Split": ("SPLIT",),
    "Sqrt": ("SQRT",), "Squeeze": ("RESHAPE",), "Sub": ("SUB",), "Tanh": ("TANH",), "Tile": ("TILE",),
    "Transpose": ("TRANSPOSE",), "Unsqueeze": ("RESHAPE",),
}  # fmt: skip
"""As converters translate them, the common one first."""


def _in_dialect(kind: str, dialect: str) -> tuple[str, ...]:
    return (kind,) if dialect == "onnx" else IN_LITERT.get(kind, (kind,))


def _operators(source: Source, dialect: str, precision: str) -> Operators:
    """Every operator of the network in the form for that dialect."""
    if dialect == "onnx":
        return [(node.op_type, attributes_of(node)) for node in source.whole.graph.node]
    from edgelift.targets.litert import LiteRTTarget

    if not LiteRTTarget.missing() and not LiteRTTarget.problems(source):
        return [(kind, {}) for kind in LiteRTTarget.operators(source, precision)]
    return [(kind, {}) for node in source.core.graph.node for kind in _translated(node)]


def _translated(node: Any) -> tuple[str, ...]:
    """What converters make of a node that edgelift has no LiteRT form of."""
    given = attributes_of(node)
    if node.op_type == "DepthToSpace" and given.get("mode", b"DCR") == b"CRD":
        return ("RESHAPE", "TRANSPOSE", "RESHAPE")
    kinds = IN_LITERT.get(node.op_type, (node.op_type,))
    if node.op_type == "Conv":
        return kinds[1:] if given.get("group", 1) > 1 else kinds[:1]
    if node.op_type == "Resize":
        return kinds[1:] if given.get("mode", b"nearest") == b"nearest" else kinds[:1]
    if node.op_type == "Pad":
        return kinds[:1] if given.get("mode", b"constant") == b"constant" else kinds[1:]
    return kinds
