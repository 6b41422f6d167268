"""Finding and reading references with their partners, right and wrong ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pyvips

from edgelift.core.errors import InputError, RequestError
from edgelift.core.resize import resize
from edgelift.evaluate.pairs import Pair, find_pairs, load_pair

RNG = np.random.default_rng(0)


def write(path: Path, height: int, width: int, bands: int = 3, dtype: type = np.uint8) -> np.ndarray:
    path.parent.mkdir(exist_ok=True)
    array = RNG.integers(0, 256, (height, width, bands), np.uint8).astype(dtype) * (257 if dtype == np.uint16 else 1)
    pyvips.Image.new_from_array(array).pngsave(str(path))
    return array


def found(tmp_path: Path, truth: list[str], small: list[str] | None, scale: int = 3) -> tuple[dict[str, str], str]:
    for folder, names in (("hr", truth), ("lr", small or [])):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in names:
            (tmp_path / folder / name).write_bytes(b"x")
    pairs, problems = find_pairs(tmp_path / "hr", tmp_path / "lr" if small is not None else None, scale)
    return {p.name: p.small.name if p.small else "" for p in pairs}, "\n".join(map(str, problems))


@pytest.mark.parametrize("partner", ["a.png", "ax3.png", "a_x3.webp", "a.JPG"])
def test_partners_by_stem_and_scale(tmp_path: Path, partner: str) -> None:
    assert found(tmp_path, ["a.png"], [partner]) == ({"a": partner}, "")


def test_the_exact_stem_wins(tmp_path: Path) -> None:
    pairs, problems = found(tmp_path, ["a.png", "a_x3.png"], ["a.png", "a_x3.png"])
    assert (pairs, problems) == ({"a": "a.png", "a_x3": "a_x3.png"}, "")


@pytest.mark.parametrize("partner", ["a_x2.png", "b.png", "A.png"])
def test_what_has_no_partner_is_named_on_both_sides(tmp_path: Path, partner: str) -> None:
    pairs, problems = found(tmp_path, ["a.png", "c.png"], [partner, "c.png"])
    assert pairs == {"c": "c.png"}
    assert f"{partner}: no reference in" in problems
    assert "a.png: has no partner in" in problems
    assert "expected a, ax3 or a_x3" in problems


def test_twins_are_named_and_left_out(tmp_path: Path) -> None:
    pairs, problems = found(tmp_path, ["a.png", "a.webp", "b.png", "c.png"], ["a.png", "b.png", "b_x3.png", "c.png"])
    assert pairs == {"c": "c.png"}
    assert "2 references are called a; keep one" in problems
    assert "2 partners are called b; keep one" in problems
    assert "b.png: has no partner" not in problems


def test_hidden_and_other_files_and_subfolders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "hr" / "sub.png").mkdir(parents=True)
    assert found(tmp_path, ["a.png", ".b.png", "notes.txt"], None) == ({"a": ""}, "")


def test_one_file_each(tmp_path: Path) -> None:
    write(tmp_path / "hr" / "a.png", 9, 9)
    assert find_pairs(tmp_path / "hr" / "a.png", None, 3)[0] == [Pair("a", tmp_path / "hr" / "a.png", None)]


def test_folders_that_give_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No such file"):
        find_pairs(tmp_path / "none", None, 3)
    (tmp_path / "hr").mkdir()
    with pytest.raises(InputError, match=r"no pictures in this folder"):
        find_pairs(tmp_path / "hr", None, 3)
    write(tmp_path / "hr" / "a.png", 9, 9)
    with pytest.raises(RequestError, match="--lr"):
        find_pairs(tmp_path / "hr", None, 1)


@pytest.mark.parametrize(("bands", "dtype"), [(3, np.uint8), (1, np.uint8), (3, np.uint16), (4, np.uint8)])
def test_a_partner_is_made_of_the_cut_reference(tmp_path: Path, bands: int, dtype: type) -> None:
    array = write(tmp_path / "hr" / "a.png", 14, 20, bands, dtype)[..., :3]
    array = np.repeat(array, 3, axis=2) if bands == 1 else array
    loaded = load_pair(Pair("a", tmp_path / "hr" / "a.png", None), 3)
    assert loaded.grey is (bands == 1)
    assert loaded.truth.dtype == loaded.small.dtype == dtype
    if bands < 4:  # below transparent pixels a reader may change colours
        np.testing.assert_array_equal(loaded.truth, array[:12, :18])
        np.testing.assert_array_equal(loaded.small, resize(array[:12, :18], 4, 6))


def test_a_given_partner_cuts_the_reference(tmp_path: Path) -> None:
    array = write(tmp_path / "hr" / "a.png", 14, 20)
    small = write(tmp_path / "lr" / "a.png", 4, 6)
    loaded = load_pair(Pair("a", tmp_path / "hr" / "a.png", tmp_path / "lr" / "a.png"), 3)
    np.testing.assert_array_equal(loaded.truth, array[:12, :18])
    np.testing.assert_array_equal(loaded.small, small)


@pytest.mark.parametrize(
    ("size", "hint"),
    [((7, 10), ", which looks like scale 2"), ((14, 20), ", which looks like scale 1"), ((7, 9), ""), ((5, 6), "")],
)
def test_partners_of_another_size(tmp_path: Path, size: tuple[int, int], hint: str) -> None:
    write(tmp_path / "hr" / "a.png", 14, 20)
    write(tmp_path / "lr" / "a.png", *size)
    with pytest.raises(
        InputError, match=r"do not fit the reference a\.png of 20×14: for scale 3 expected 6×4"
    ) as caught:
        load_pair(Pair("a", tmp_path / "hr" / "a.png", tmp_path / "lr" / "a.png"), 3)
    assert str(caught.value).endswith(f"expected 6×4{hint}")


def test_references_smaller_than_the_scale(tmp_path: Path) -> None:
    write(tmp_path / "hr" / "a.png", 2, 20)
    with pytest.raises(InputError, match="20×2 pixels are too few for scale 3"):
        load_pair(Pair("a", tmp_path / "hr" / "a.png", None), 3)


def test_benchmark_sets_pair_completely(benchmark_sets: Path) -> None:
    for name, count in (("Set5", 5), ("Set14", 14), ("BSD100", 100)):
        for scale in (2, 3, 4):
            pairs, problems = find_pairs(benchmark_sets / name / "HR", benchmark_sets / name / f"LR_x{scale}", scale)
            assert (len(pairs), problems) == (count, [])
