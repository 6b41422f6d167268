"""Which networks are chosen, from made-up bundles and from those in the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edgelift.core.errors import RequestError
from edgelift.core.spec import ModelSpec
from edgelift.runtime import choice
from edgelift.runtime.choice import CARN_M, CLASSES, class_of, content_of, pick
from edgelift.runtime.models import DEFAULTS

MakeSpec = Callable[..., ModelSpec]
DEGRADED = {"recipe": {"degrade": {"strength": "medium"}}}
ADVERSARY = {"recipe": {"degrade": {"strength": "medium"}, "gan": {"weight": 0.1}}}


@pytest.fixture
def shelf(make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> list[ModelSpec]:
    """The package's bundles are these: name, share of CARN-M's multiply-adds, training."""

    def make(name: str, share: float, scale: int = 2, **training: Any) -> ModelSpec:
        return make_spec(
            name=name, scale=scale, shuffle=scale, macs=round(share * CARN_M[scale] * scale**2), training=training
        )

    made = [
        make("tiny", 0.05), make("small", 0.2), make("medium", 0.9), make("large", 3.0), make("photo", 0.2, **DEGRADED),
        make("photo-large", 0.8, **DEGRADED), make("drawn", 0.1, content="drawn"), make("small-3", 0.1, 3),
        make("gan", 4.0, **ADVERSARY),
    ]  # fmt: skip
    monkeypatch.setattr(choice, "_specs", lambda: [spec for spec in made if choice._eligible(spec)])
    return made


@pytest.mark.parametrize(
    ("asked", "models"),
    [
        ({}, {"small": 1}),
        ({"quality": "fast"}, {"small": 1}),
        ({"quality": "balanced"}, {"medium": 1}),
        ({"quality": "best"}, {"large": 1}),
        ({"content": "photo"}, {"photo": 1}),
        ({"content": "photo", "quality": "balanced"}, {"photo-large": 1}),
        ({"content": "photo", "denoise": 0.0}, {"small": 1}),
        ({"content": "photo", "denoise": 0.25}, {"photo": 0.25, "small": 0.75}),
        ({"content": "clean", "denoise": 0.5}, {"photo": 0.5, "small": 0.5}),
        ({"content": "drawn"}, {"drawn": 1}),
        ({"content": "drawn", "denoise": 0.5}, {"photo": 0.5, "drawn": 0.5}),
    ],
    ids=str,
)
def test_what_is_chosen(shelf: list[ModelSpec], asked: dict[str, Any], models: dict[str, float]) -> None:
    found = pick(2, **asked)
    assert dict(found.models) == models
    assert found.tta == (asked.get("quality") == "best")
    assert not found.notes


def test_of_a_class_the_usual_network_comes_before_a_dearer_one(shelf: list[ModelSpec]) -> None:
    assert pick(2).models == (("small", 1.0),)
    tiny = shelf[0]
    shelf[0] = replace(tiny, name=DEFAULTS[2])
    assert pick(2).models == ((DEFAULTS[2], 1.0),)
    assert pick(2, quality="balanced").models == (("medium", 1.0),)


@pytest.mark.parametrize(
    ("asked", "note"),
    [
        ({"content": "photo"}, "no network that removes noise is bundled for ×3; small-3 in its place"),
        ({"content": "drawn"}, "no network for drawn pictures is bundled for ×3; small-3 in its place"),
        ({"quality": "balanced"}, "no network of class balanced for this is bundled for ×3; small-3 in its place"),
    ],
    ids=str,
)
def test_what_is_missing_is_said(shelf: list[ModelSpec], asked: dict[str, Any], note: str) -> None:
    found = pick(3, **asked)
    assert dict(found.models) == {"small-3": 1}
    assert found.notes == (note,)


def test_what_is_refused(shelf: list[ModelSpec]) -> None:
    for asked in ({"content": "auto"}, {"quality": "good"}, {"denoise": 1.1}, {"denoise": float("nan")}):
        with pytest.raises(RequestError):
            pick(2, **asked)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"no network enlarges ×5; networks are bundled for 2, 3"):
        pick(5)


def test_facts_tell_content_and_class(make_spec: MakeSpec) -> None:
    assert content_of(make_spec()) == "clean"
    assert content_of(make_spec(training=DEGRADED)) == "photo"
    assert content_of(make_spec(training={**DEGRADED, "content": "drawn"})) == "drawn"
    assert content_of(make_spec(training={"content": ["odd"]})) == "clean"
    shares = {0.25: "fast", 0.26: "balanced", 1.0: "balanced", 1.01: "best"}
    assert {s: class_of(make_spec(macs=round(s * CARN_M[2] * 4))) for s in shares} == shares


def test_the_package_has_a_network_for_every_choice() -> None:
    for scale, default in DEFAULTS.items():
        assert dict(pick(scale).models) == {default: 1.0} or class_of(choice._specs()[0]) in CLASSES
        for content in ("photo", "drawn", "clean"):
            for quality in (None, *CLASSES):
                assert pick(scale, content, quality).models
