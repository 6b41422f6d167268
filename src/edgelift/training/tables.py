"""Tables of a recipe: a frozen dataclass from plain values, every field checked and every unknown one refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgelift.core.errors import RecipeError

__all__ = ["CHANCE", "NOT_NEGATIVE", "POSITIVE", "SHARE", "Rule", "choice", "plain_values", "read_table"]


@dataclass(frozen=True)
class Rule:
    """What a field's value must fulfil beside its type."""

    holds: Callable[[Any], bool]
    words: str


POSITIVE = Rule(lambda value: value > 0, "must be above 0")  # NaN is not either
NOT_NEGATIVE = Rule(lambda value: value >= 0, "must be at least 0")
SHARE = Rule(lambda value: 0 <= value < 1, "must be at least 0 and below 1")
CHANCE = Rule(lambda value: 0 <= value <= 1, "must be 0 to 1")


def choice(*names: str) -> Rule:
    """One of `names`."""
    return Rule(lambda value: value in names, f"expected one of {', '.join(names)}")


def read_table(kind: type[Any], table: object, where: str, rules: Mapping[str, Rule], base: Any = None) -> Any:
    """The dataclass `kind` with the values of `table`; those that it does not name are `base`'s, or the defaults.

    Types are those of the defaults: whole numbers may stand for fractions, lists for tuples of numbers (of as many, where
    the default has any). Raises `RecipeError` that names `where` and the field.
    """
    base = kind() if base is None else base
    if not isinstance(table, dict):
        raise RecipeError(f"{where}: expected a table, got {table!r}")
    known = [field.name for field in dataclasses.fields(kind)]
    if unknown := sorted(set(table) - set(known)):
        raise RecipeError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(sorted(known))}")
    values = {name: _value(value, getattr(base, name), f"{where}.{name}") for name, value in table.items()}
    for name, value in values.items():
        if name in rules and not rules[name].holds(value):
            raise RecipeError(f"{where}.{name}: {rules[name].words}, got {table[name]!r}")
    return dataclasses.replace(base, **values)


def _value(value: object, default: object, place: str) -> object:
    """`value` in the type of `default`."""
    if isinstance(default, tuple):
        return _numbers(value, len(default), place)
    kinds = (int, float) if isinstance(default, float) else (type(default),)
    if not isinstance(value, kinds) or isinstance(value, bool) != isinstance(default, bool):
        raise RecipeError(f"{place}: expected {type(default).__name__}, got {value!r}")
    return value


def _numbers(value: object, count: int, place: str) -> tuple[float, ...]:
    words = f"a list of {count} numbers" if count else "a list of numbers"
    if not isinstance(value, list | tuple) or (count and len(value) != count):
        raise RecipeError(f"{place}: expected {words}, got {value!r}")
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
        raise RecipeError(f"{place}: expected {words}, got {value!r}")
    return tuple(value)


def plain_values(table: Any) -> dict[str, Any]:
    """A dataclass as TOML or JSON would give it: tuples are lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        return [plain(one) for one in value] if isinstance(value, tuple) else value

    made: dict[str, Any] = plain(dataclasses.asdict(table))
    return made
