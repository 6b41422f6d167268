"""`edgelift degrade`."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image  # after the skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, one of them in a folder of its own."""
    place = tmp_path / "sharp"
    (place / "deep").mkdir(parents=True)
    for k, name in enumerate(("a.png", "deep/b.jpg")):
        y, x = np.mgrid[:40, :56]
        waves = np.stack([127 + 90 * np.sin((x + k) / (4 + c) + y / 7) for c in range(3)], axis=2)
        Image.fromarray(waves.astype(np.uint8)).save(place / name)
    return place


def test_pictures_get_smaller_and_say_what_was_drawn(edgelift, folder: Path, tmp_path: Path) -> None:
    said = edgelift("degrade", folder, "-o", tmp_path / "out", "--strength", "strong", "--seed", 3)
    assert (said.code, said.err) == (0, "")
    assert said.out.strip().endswith("2 of 2 pictures degraded, strength strong, 1/4 as large, seed 3")
    for name in ("a", "deep/b"):
        with Image.open(tmp_path / "out" / f"{name}.png") as low:
            assert (low.size, low.mode) == ((14, 10), "RGB")
        facts = json.loads((tmp_path / "out" / f"{name}.json").read_text(encoding="utf-8"))
        assert (facts["scale"], facts["seed"], facts["settings"]["strength"]) == (4, 3, "strong")
        assert {step["step"] for step in facts["steps"]} >= {"blur", "resize", "noise", "jpeg"}


def test_what_exif_turns_is_turned(edgelift, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.zeros((40, 56, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert edgelift("degrade", tmp_path / "a.jpg", "-o", tmp_path / "out", "--scale", 2).code == 0
    with Image.open(tmp_path / "out" / "a.png") as low:
        assert low.size == (20, 28)


def test_the_same_command_gives_the_same_files_and_another_seed_others(edgelift, folder: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        assert edgelift("degrade", folder / "a.png", "-o", tmp_path / name, "--scale", 2, "--seed", seed).code == 0
    files = [(tmp_path / name / "a.png").read_bytes() for name in ("one", "two", "three")]
    assert files[0] == files[1] != files[2]


def test_a_recipe_says_how(edgelift, folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        '[network]\narchitecture = "abpn"\nscale = 2\n[train]\nseed = 9\n[degrade]\nstrength = "light"\nwebp = 1\n'
    )
    said = edgelift("degrade", folder / "a.png", "-o", tmp_path / "out", "--recipe", recipe)
    assert said.out.strip().endswith("1 of 1 pictures degraded, as in r, 1/2 as large, seed 9")
    facts = json.loads((tmp_path / "out" / "a.json").read_text(encoding="utf-8"))
    assert "webp" in {step["step"] for step in facts["steps"]}
    assert facts["settings"]["webp"] == 1


def test_bad_pictures_are_skipped_counted_and_listed(edgelift, folder: Path, tmp_path: Path) -> None:
    (folder / "bad.png").write_bytes(b"no picture")
    said = edgelift("degrade", folder, "-o", tmp_path / "out")
    assert said.code == 3
    assert said.err.startswith(f"edgelift: {folder / 'bad.png'}: cannot be read")
    assert "2 of 3 pictures degraded" in said.out
    assert "1 skipped (named above)" in said.out
    assert not (tmp_path / "out" / "bad.png").exists()


def test_results_below_the_input_are_not_inputs(edgelift, folder: Path) -> None:
    for words in ((), ("--overwrite",)):
        said = edgelift("degrade", folder, "-o", folder / "out", *words)
        assert (said.code, said.err) == (0, "")
    assert sorted(path.name for path in (folder / "out").rglob("*.png")) == ["a.png", "b.png"]


def test_a_folder_whose_name_is_not_text(edgelift, folder: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xe9")
    try:
        folder.rename(odd)
    except OSError:
        pytest.skip("the file system takes UTF-8 only")
    assert edgelift("degrade", odd / "a.png", "-o", tmp_path / "out").code == 0
    facts = json.loads((tmp_path / "out" / "a.json").read_text(encoding="ascii"))
    assert facts["input"] == str(odd / "a.png")


def test_nothing_is_replaced_unasked_and_a_source_never(edgelift, folder: Path, tmp_path: Path) -> None:
    words = ("degrade", folder / "a.png", "-o", tmp_path / "out")
    assert edgelift(*words).code == 0
    again = edgelift(*words)
    assert again.code == 4
    assert "exists already" in again.err
    assert edgelift(*words, "--overwrite").code == 0
    before = (folder / "a.png").read_bytes()
    assert edgelift("degrade", folder / "a.png", "-o", folder, "--overwrite").code == 4
    assert (folder / "a.png").read_bytes() == before


def test_wrong_requests(edgelift, folder: Path, tmp_path: Path) -> None:
    plain, odd = tmp_path / "plain.toml", tmp_path / "odd.toml"
    plain.write_text('[network]\narchitecture = "abpn"\n')
    odd.write_text('[network]\narchitecture = "abpn"\n[degrade]\n')
    (folder / "deep" / "a.webp").write_bytes((folder / "a.png").read_bytes())
    cases = {
        ("--strength", "harsh"): (2, "no strength is called 'harsh'; choose from published, light, medium, strong"),
        ("--strength", "light", "--recipe", plain): (2, "give one of them"),
        ("--recipe", plain): (2, "has no table [degrade]"),
        ("--recipe", odd): (2, "does not state the network's scale; give it by --scale"),
        ("--recipe", tmp_path / "absent.toml"): (9, "cannot be read"),
    }
    for words, (code, reason) in cases.items():
        said = edgelift("degrade", folder, "-o", tmp_path / "out", *words)
        assert (said.code, reason in said.err) == (code, True), said.err
    assert edgelift("degrade", tmp_path / "absent", "-o", tmp_path / "out").code == 3
    (tmp_path / "empty").mkdir()
    assert edgelift("degrade", tmp_path / "empty", "-o", tmp_path / "out").code == 3
    both = edgelift("degrade", folder / "a.png", folder / "deep" / "a.webp", "-o", tmp_path / "out")
    assert both.code == 2
    assert "would both become" in both.err
    assert not (tmp_path / "out").exists()


def test_without_pillow_it_says_what_to_install(edgelift, folder: Path, tmp_path: Path, monkeypatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "PIL" else find(name, *rest))
    said = edgelift("degrade", folder, "-o", tmp_path / "out")
    assert said.code == 7
    assert "pip install 'edgelift[train]'" in said.err
