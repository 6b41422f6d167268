"""Which operators of a network an accelerator runs, from tables that its makers publish (`accelerators.json`).

One operator that is not in a table decides over the time of a network: it falls back to the CPU, and all that surrounds it
is copied there and back. The tables are data with their source and the day on which they were read; a device may be newer.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from onnx import helper

from edgelift.core.errors import RequestError
from edgelift.targets.base import Source

__all__ = ["ACCELERATORS", "Finding", "Table", "check", "table_of"]

WAYS_OUT = {
    "DEPTH_TO_SPACE": "the pixel shuffle is last: only it runs on the CPU",
    "MIRROR_PAD": 'a network on RGB with padding = "zeros" has none',
    "PRELU": "edgelift quantize --relu-only",
    "PRelu": "edgelift quantize --relu-only",
    "Pad": 'a network on RGB with padding = "zeros" has none',
    "Round": "it is outside the network proper: round in the caller",
}
"""What can be done about an operator that falls back."""


@dataclass(frozen=True)
class Table:
    """What one accelerator runs."""

    title: str
    dialect: str
    """`onnx` or `tflite`: whose names of operators these are."""
    source: str
    read: str
    """The day on which the source was read."""
    precisions: tuple[str, ...]
    operators: frozenset[str]
    only: dict[str, dict[str, str]]
    """Operator -> attribute -> the one value of it that runs."""


@dataclass(frozen=True)
class Finding:
    """One kind of operator of a network."""

    operator: str
    count: int
    problem: str
    """Why it falls back to the CPU; empty where it runs."""
    advice: str


@cache
def _tables() -> dict[str, Table]:
    text = resources.files("edgelift.targets").joinpath("accelerators.json").read_text(encoding="utf-8")
    return {
        name: Table(**{**row, "precisions": tuple(row["precisions"]), "operators": frozenset(row["operators"])})
        for name, row in json.loads(text).items()
    }


ACCELERATORS = ("onnx-nnapi", "onnx-coreml", "litert-gpu")
"""The accelerators there are tables of."""


def table_of(name: str) -> Table:
    """The table of that accelerator. Raises `RequestError` for a name that there is none of."""
    if name not in ACCELERATORS:
        raise RequestError(f"no accelerator is called {name!r}; choose from {', '.join(ACCELERATORS)}")
    return _tables()[name]


def check(source: Source, name: str) -> list[Finding]:
    """The operators of `source` on that accelerator, by kind, those that fall back first.

    Raises `RequestError` for an unknown name, a precision that it does not run, and a network that has no form there.
    """
    table = table_of(name)
    if source.spec.bits not in table.precisions:
        raise RequestError(f"{name} has no {source.spec.bits}; it has {', '.join(table.precisions)}")
    counted: Counter[tuple[str, str]] = Counter()
    for operator, attributes in _operators(source, table.dialect):
        counted[operator, _problem(table, operator, attributes)] += 1
    found = [
        Finding(operator, count, problem, WAYS_OUT.get(operator, "") if problem else "")
        for (operator, problem), count in counted.items()
    ]
    return sorted(found, key=lambda each: (not each.problem, each.operator))


def _operators(source: Source, dialect: str) -> list[tuple[str, dict[str, Any]]]:
    """(Kind, attributes) of every operator in the file for that dialect."""
    if dialect == "tflite":
        from edgelift.targets.litert import LiteRTTarget

        return [(kind, {}) for kind in LiteRTTarget.operators(source)]
    return [
        (node.op_type, {a.name: helper.get_attribute_value(a) for a in node.attribute})
        for node in source.whole.graph.node
    ]


def _problem(table: Table, operator: str, attributes: dict[str, Any]) -> str:
    if operator not in table.operators:
        return "not in the table"
    for attribute, wanted in table.only.get(operator, {}).items():
        said = attributes.get(attribute, wanted.encode())
        if said != wanted.encode():
            return f"{attribute} is {said.decode()}, only {wanted} runs"
    return ""
