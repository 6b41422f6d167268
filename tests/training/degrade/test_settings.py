"""The table `[degrade]`: presets, fields, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from edgelift.core.errors import RecipeError
from edgelift.training.degrade.settings import PRESETS, Degradation, Order, degradation_from
from edgelift.training.recipe import recipe_from
from edgelift.training.tables import plain_values


def test_an_empty_table_is_what_was_published() -> None:
    made = degradation_from({})
    assert made == PRESETS["published"] == Degradation()
    assert (made.first.sigma, made.first.factor, made.first.noise) == ((0.2, 3.0), (0.15, 1.5), (1.0, 30.0))
    assert (made.second.sigma, made.second.factor, made.second.noise) == ((0.2, 1.5), (0.3, 1.2), (1.0, 25.0))
    assert (made.first.resize, made.second.resize) == ((0.2, 0.7, 0.1), (0.3, 0.4, 0.3))
    assert (made.first.poisson, made.second.poisson) == ((0.05, 3.0), (0.05, 2.5))
    assert made.first.quality == made.second.quality == (30.0, 95.0)
    assert (made.first.blur, made.second.blur, made.final_sinc) == (1.0, 0.8, 0.8)


def test_a_strength_gives_what_the_table_does_not_name() -> None:
    made = degradation_from({"strength": "light", "webp": 0.5, "second": {"noise": [0, 9]}})
    light = PRESETS["light"]
    assert made == dataclasses.replace(light, webp=0.5, second=dataclasses.replace(light.second, noise=(0, 9)))


def test_strong_is_what_was_published_and_more() -> None:
    strong, published = PRESETS["strong"], PRESETS["published"]
    assert (strong.first, strong.second) == (published.first, published.second)
    assert strong.webp > 0
    assert strong.repeats > 0
    assert strong.banding > 0


@pytest.mark.parametrize("weaker", [("light", "medium"), ("medium", "strong")])
def test_presets_grow(weaker: tuple[str, str]) -> None:
    less, more = (PRESETS[name] for name in weaker)
    for one, other in ((less.first, more.first), (less.second, more.second)):
        assert one.blur <= other.blur
        assert one.sigma[1] < other.sigma[1]
        assert one.noise[1] < other.noise[1]
        assert one.poisson[1] < other.poisson[1]
        assert one.quality[0] > other.quality[0]
        assert one.factor[0] > other.factor[0]


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_recipe_keeps_all_parameters(name: str) -> None:
    recipe = recipe_from({"name": "a", "network": {"architecture": "abpn"}, "degrade": {"strength": name}})
    plain = json.loads(json.dumps(recipe.as_dict()))
    assert plain["degrade"] == plain_values(PRESETS[name])
    assert recipe_from(plain) == recipe
    assert degradation_from(plain_values(PRESETS[name])) == PRESETS[name]


def test_without_the_table_nothing_is_degraded() -> None:
    recipe = recipe_from({"name": "a", "network": {"architecture": "abpn"}})
    assert recipe.degrade is None
    assert "degrade" not in recipe.as_dict()


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (3, "degrade: expected a table, got 3"),
        ({"first": 3}, "degrade.first: expected a table, got 3"),
        ({"blur": 1.0}, "degrade: unknown field 'blur'; known are banding, chroma"),
        ({"first": {"sigmas": [1, 2]}}, "degrade.first: unknown field 'sigmas'"),
        ({"strength": "harsh"}, "degrade.strength: expected one of published, light, medium, strong, got 'harsh'"),
        ({"strength": 3}, "degrade.strength: expected str, got 3"),
        ({"webp": 1.5}, "degrade.webp: must be 0 to 1, got 1.5"),
        ({"repeats": -1}, "degrade.repeats: must be at least 0, got -1"),
        ({"together": 0}, "degrade.together: must be above 0, got 0"),
        ({"levels": [1, 4]}, "degrade.levels: must be two numbers of 2 to 256"),
        ({"first": {"noise": [5, 1]}}, "degrade.first.noise: must be two numbers of at least 0"),
        ({"first": {"noise": [1]}}, "degrade.first.noise: expected a list of 2 numbers, got [1]"),
        ({"first": {"noise": ["a", 1]}}, "degrade.first.noise: expected a list of 2 numbers"),
        ({"first": {"sigma": [0, 1]}}, "degrade.first.sigma: must be two numbers above 0"),
        ({"first": {"sigma": [float("nan"), 1]}}, "degrade.first.sigma: must be two numbers above 0"),
        ({"first": {"sigma": [1, float("inf")]}}, "degrade.first.sigma: must be two numbers above 0"),
        ({"first": {"quality": [0, 90]}}, "degrade.first.quality: must be two numbers of 1 to 100"),
        ({"first": {"factor": [0.5, 9]}}, "degrade.first.factor: must be two factors"),
        ({"first": {"resize": [0, 0, 0]}}, "degrade.first.resize: must be chances of at least 0, not all 0"),
        ({"first": {"kernels": [1, 0, 0, 0, 0, -1]}}, "degrade.first.kernels: must be chances"),
        ({"first": {"shape": [2, 4]}}, "degrade.first.shape: must be two exponents"),
        ({"second": {"grey": -0.1}}, "degrade.second.grey: must be 0 to 1"),
    ],
)
def test_wrong_tables_are_refused(table: Any, reason: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(reason)):
        degradation_from(table)


def test_the_page_explains_every_field_with_its_values(repository: Path) -> None:
    page = (repository / "docs" / "degradations.md").read_text(encoding="utf-8")
    rows = {
        m[1]: [c.strip() for c in m[2].split("|")] for m in re.finditer(r"^\| `(\w+)` \|(.*)\|$", page, re.MULTILINE)
    }

    def written(value: Any) -> str:
        many = value if isinstance(value, tuple) else (value,)
        return ", ".join(f"{one:g}" for one in many)

    for field in dataclasses.fields(Order):
        expected = [
            written(getattr(getattr(PRESETS[name], order), field.name))
            for name in ("light", "medium", "strong")
            for order in ("first", "second")
        ]
        assert rows[field.name][:6] == expected, field.name
    for field in dataclasses.fields(Degradation):
        if field.name in ("strength", "first", "second"):
            continue
        assert rows[field.name][:4] == [
            written(getattr(PRESETS[name], field.name)) for name in ("published", "light", "medium", "strong")
        ], field.name
