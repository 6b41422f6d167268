"""Recipes: what is read, what is refused, and that the repository's own can be used."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from edgelift.core.errors import RecipeError
from edgelift.nets import zoo
from edgelift.training.losses import LOSSES
from edgelift.training.recipe import DataPart, GanPart, Recipe, TrainPart, load_recipe, recipe_from

RECIPES = sorted((Path(__file__).resolve().parents[2] / "recipes").glob("*.toml"))
NETWORK = {"architecture": "abpn"}
FULL: dict[str, Any] = {
    "name": "mine",
    "network": {"architecture": "abpn", "scale": 2, "residual": "none"},
    "data": {
        "patch": 24, "batch": 8, "validation": 3, "texture": 1.5, "rescale": [0.9, 0.6], "shares": {"Drawn": 0.25, "scenes": 0.5},
        "validation_folder": "Drawn", "permute": True,
    },
    "train": {
        "loss": "charbonnier", "last_loss": "l2", "last_share": 0.2, "gradient": 0.5, "frequency": 0.25,
        "steps": 77, "lr": 5e-4, "final_lr": 1e-7, "schedule": "step", "warmup": 0.1,
        "ema": 0.9, "seed": 7, "precision": "bf16", "validate_every": 11, "sampling": 0.5,
        "start": "abpn-x3", "grow": True, "wake": True, "optimiser": "soap",
        "teacher": "abpn-x4", "teacher_weight": 0.75, "teacher_ensemble": True,
        "quantize": "int8",
    },
    "gan": {
        "weight": 0.2, "loss": "hinge", "channels": 8, "lr": 1e-5, "features": "vgg.pth", "features_weight": 0.5,
    },
}  # fmt: skip


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {one}" for key, one in value.items()) + "}"
    return json.dumps(value)


def _write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_only_the_architecture_is_needed(tmp_path: Path) -> None:
    recipe = load_recipe(_write(tmp_path, '[network]\narchitecture = "espcn"\n', "first-try.toml"))
    assert recipe.name == "first-try"
    assert recipe.network.architecture == "espcn"
    assert recipe.network.config == {}
    assert recipe.data == DataPart(patch=32, batch=16, validation=16, texture=0.0, rescale=(), permute=False)
    assert recipe.train == TrainPart()
    assert dataclasses.asdict(recipe.train) == {
        "loss": "l1", "last_loss": "", "last_share": 0.1, "gradient": 0.0, "frequency": 0.0,
        "steps": 200_000, "lr": 1e-3, "final_lr": 1e-6, "schedule": "cosine", "warmup": 0.0,
        "ema": 0.999, "seed": 0, "precision": "f32", "validate_every": 2000, "sampling": 2.0, "start": "",
        "grow": False, "wake": False, "optimiser": "adam",
        "teacher": "", "teacher_weight": 0.5, "teacher_ensemble": False, "quantize": "",
    }  # fmt: skip


def test_every_field_is_read(tmp_path: Path) -> None:
    lines = ['name = "mine"']
    for table in ("network", "data", "train", "gan"):
        lines += [f"[{table}]", *(f"{key} = {_toml(value)}" for key, value in FULL[table].items())]
    recipe = load_recipe(_write(tmp_path, "\n".join(lines), "other.toml"))
    assert recipe.as_dict() == FULL
    assert recipe.network.config == {"scale": 2, "residual": "none"}


def test_as_dict_gives_the_recipe_again_through_json_too() -> None:
    for recipe in (recipe_from(FULL), recipe_from({"name": "a", "network": NETWORK})):
        assert recipe_from(recipe.as_dict()) == recipe
        assert json.loads(json.dumps(recipe.as_dict())) == recipe.as_dict()


def test_reading_changes_nothing_that_was_given() -> None:
    plain = {"name": "a", "network": dict(NETWORK), "train": {"steps": 3}}
    recipe_from(plain)
    assert plain == {"name": "a", "network": NETWORK, "train": {"steps": 3}}


def test_whole_numbers_may_stand_for_fractions() -> None:
    assert recipe_from({"name": "a", "network": NETWORK, "train": {"lr": 1, "ema": 0}}).train.lr == 1


@pytest.mark.parametrize(
    ("table", "fields", "reason"),
    [
        ("train", {"learning_rate": 0.1}, "unknown field 'learning_rate'; known are ema, final_lr, frequency"),
        ("data", {"patches": 3}, "unknown field 'patches'; known are batch, patch, permute"),
        ("train", {"steps": 10.0}, "train.steps: expected int, got 10.0"),
        ("train", {"steps": "10"}, "train.steps: expected int, got '10'"),
        ("train", {"steps": True}, "train.steps: expected int, got True"),
        ("train", {"lr": "fast"}, "train.lr: expected float, got 'fast'"),
        ("train", {"ema": False}, "train.ema: expected float, got False"),
        ("train", {"loss": 1}, "train.loss: expected str, got 1"),
        ("train", {"loss": "vgg"}, "expected one of l1, l2, charbonnier, psnr, got 'vgg'"),
        ("train", {"schedule": "linear"}, "expected one of cosine, step, got 'linear'"),
        ("train", {"optimiser": "sgd"}, "expected one of adam, soap, got 'sgd'"),
        ("train", {"precision": "f16"}, "expected one of f32, bf16, got 'f16'"),
        ("train", {"steps": 0}, "train.steps: must be above 0, got 0"),
        ("train", {"lr": -1e-3}, "train.lr: must be above 0"),
        ("train", {"lr": float("nan")}, "train.lr: must be above 0, got nan"),
        ("train", {"validate_every": 0}, "train.validate_every: must be above 0"),
        ("data", {"patch": 0}, "data.patch: must be above 0"),
        ("data", {"batch": -1}, "data.batch: must be above 0"),
        ("data", {"validation": 0}, "data.validation: must be above 0"),
        ("data", {"texture": -1}, "data.texture: must be at least 0, got -1"),
        ("data", {"permute": 1}, "data.permute: expected bool, got 1"),
        ("data", {"rescale": 0.9}, "data.rescale: expected a list of numbers, got 0.9"),
        ("data", {"rescale": [True]}, "data.rescale: expected a list of numbers, got [True]"),
        ("data", {"rescale": [0.9, 1.0]}, "data.rescale: must be factors above 0 and below 1, got [0.9, 1.0]"),
        ("data", {"shares": [0.5]}, "data.shares: expected dict, got [0.5]"),
        (
            "data",
            {"shares": {"Drawn": 0}},
            "data.shares: must be numbers above 0 that sum up to 1 at most, got {'Drawn': 0}",
        ),
        ("data", {"shares": {"Drawn": "half"}}, "data.shares: must be numbers above 0 that sum up to 1 at most"),
        ("data", {"shares": {"a": 0.6, "b": 0.6}}, "data.shares: must be numbers above 0 that sum up to 1 at most"),
        ("train", {"last_loss": "gan"}, "expected one of l1, l2, charbonnier, psnr, or nothing, got 'gan'"),
        ("train", {"last_share": 1.0}, "train.last_share: must be at least 0 and below 1"),
        ("train", {"frequency": float("nan")}, "train.frequency: must be at least 0, got nan"),
        ("train", {"teacher_weight": 0}, "train.teacher_weight: must be above 0 and at most 1, got 0"),
        ("gan", {"loss": "wgan"}, "gan.loss: expected one of vanilla, hinge, got 'wgan'"),
        ("gan", {"weight": 0}, "gan.weight: must be above 0, got 0"),
        ("gan", {"steps": 1}, "gan: unknown field 'steps'; known are channels, features"),
        ("train", {"teacher_ensemble": "yes"}, "train.teacher_ensemble: expected bool, got 'yes'"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected(table: str, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(reason)):
        recipe_from({"name": "a", "network": NETWORK, table: fields})


@pytest.mark.parametrize("fields", [{"warmup": 1.5}, {"warmup": -0.1}, {"ema": 1.5}, {"ema": -0.1}, {"seed": -1}])
def test_shares_and_seeds_outside_their_range_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        recipe_from({"name": "a", "network": NETWORK, "train": fields})


@pytest.mark.parametrize(
    ("plain", "reason"),
    [
        ({"name": "a"}, r"a table \[network\] with a field 'architecture' is needed"),
        ({"name": "a", "network": "abpn"}, r"a table \[network\]"),
        ({"name": "a", "network": {"scale": 3}}, "a field 'architecture' is needed"),
        ({"name": "a", "network": {"architecture": 3}}, "a field 'architecture' is needed"),
        ({"network": NETWORK}, "a field 'name' is needed"),
        ({"name": "", "network": NETWORK}, "a field 'name' is needed"),
        ({"name": 3, "network": NETWORK}, "a field 'name' is needed"),
        ({"name": "a", "network": NETWORK, "training": {}}, "unknown table 'training'; known are network, data, train"),
        ({"name": "a", "network": NETWORK, "train": 5}, "train: expected a table, got 5"),
        ({"name": "a", "network": NETWORK, "data": [{}]}, "data: expected a table"),
    ],
)
def test_a_recipe_without_its_parts_is_refused(plain: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        recipe_from(plain)


def test_messages_name_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path, '[network]\narchitecture = "abpn"\n[train]\nstep = 4\n')
    with pytest.raises(RecipeError, match=re.escape(f"{path}: train: unknown field 'step'")):
        load_recipe(path)


def test_a_file_that_cannot_be_read_or_parsed_is_a_recipe_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"absent\.toml: cannot be read \(No such file"):
        load_recipe(tmp_path / "absent.toml")
    with pytest.raises(RecipeError, match="not a TOML file"):
        load_recipe(_write(tmp_path, "[network\n"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not a TOML file"):
        load_recipe(tmp_path / "bytes.toml")


# -- the repository's own
def test_there_are_recipes() -> None:
    assert RECIPES


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_loads_builds_and_starts_from_one_that_exists(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    network = zoo.build(recipe.network.architecture, **recipe.network.config)
    assert recipe.network.config.items() <= network.config.items()
    assert recipe.train.start in ("", *(p.stem for p in RECIPES if p != path))
    assert recipe.train.final_lr <= recipe.train.lr
    if f"-x{network.scale}" not in path.stem:
        assert "-x" not in path.stem, "the name states another scale"


def test_the_choices_of_losses_are_the_losses_there_are() -> None:
    for name in LOSSES:
        assert recipe_from({"name": "a", "network": NETWORK, "train": {"loss": name}}).train.loss == name


def _as_written(default: Any) -> set[str]:
    """The forms in which a page may state a default."""
    if isinstance(default, float):
        return {str(default), f"{default:.0e}".replace("e-0", "e-")}
    return {"empty" if default in ("", (), {}) else str(default).lower() if isinstance(default, bool) else str(default)}


def test_the_page_on_training_explains_every_field_with_its_default(repository: Path) -> None:
    page = (repository / "docs" / "training.md").read_text(encoding="utf-8")
    rows: dict[tuple[str, str], str] = {}
    table = ""
    for line in page.splitlines():
        if head := re.match(r"^\| (.+?) \| default \|", line):
            table = head[1].strip("`[]")
        elif row := re.match(r"^\| `(\w+)` \| ([^|]*)\|", line):
            rows[table, row[1]] = row[2].strip().strip("`")
    for table, kind in (("data", DataPart), ("train", TrainPart), ("gan", GanPart)):
        for field in dataclasses.fields(kind):
            assert (table, field.name) in rows, f"docs/training.md has no row for {field.name}"
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            stated = rows[table, field.name].replace("_", "").replace(" ", "")
            assert stated in _as_written(default), f"docs/training.md states {stated!r} for {field.name}"
    assert {("network", "architecture"), ("top of the file", "name")} <= set(rows)


@pytest.mark.parametrize("name", list(zoo.ARCHITECTURES))
def test_the_page_on_training_names_every_networks_own_fields(repository: Path, name: str) -> None:
    page = (repository / "docs" / "training.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| {name} \| (.*) \|$", page, re.MULTILINE)
    assert row is not None, f"docs/training.md has no row for {name}"
    stated = set(re.findall(r"`(\w+ = [^`]*)`", row[1]))
    assert stated == {f"{key} = {json.dumps(value)}" for key, value in zoo.build(name).config.items()}


def test_a_recipe_cannot_be_changed_after_it_was_read() -> None:
    recipe = recipe_from(FULL)
    assert isinstance(recipe, Recipe)
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.train.steps = 1  # type: ignore[misc]  # that is what is tested
