"""`edgelift scenes`."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("PIL")

from PIL import Image  # after the skip


def test_pictures_are_made_alike_by_a_seed(edgelift, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        said = edgelift("scenes", "-o", tmp_path / name, "--count", 2, "--side", 32, "--seed", seed)
        assert (said.code, said.err) == (0, "")
        assert said.out.strip() == f"{tmp_path / name}: 2 pictures of 32×32 pixels, seed {seed}"
    a, b, c = ([path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in "abc")
    assert len(a) == 2
    assert a == b != c
    with Image.open(tmp_path / "a" / "0001.png") as picture:
        assert (picture.size, picture.mode) == ((32, 32), "RGB")


def test_what_exists_is_kept(edgelift, tmp_path: Path) -> None:
    (tmp_path / "0000.png").write_bytes(b"mine")
    said = edgelift("scenes", "-o", tmp_path, "--count", 1, "--side", 16)
    assert said.code == 4
    assert "0000.png: exists already" in said.err
    assert (tmp_path / "0000.png").read_bytes() == b"mine"
    assert edgelift("scenes", "-o", tmp_path, "--count", 1, "--side", 16, "--overwrite").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["0000.png"]


def test_a_file_is_no_folder(edgelift, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    said = edgelift("scenes", "-o", tmp_path / "taken")
    assert said.code == 4
    assert "cannot be made" in said.err
