"""The quality that a JPEG file states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelift.io.jpeg import jpeg_quality

Image = pytest.importorskip("PIL.Image")


def _saved(path: Path, **options: object) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)).save(path, **options)
    return path


@pytest.mark.parametrize("quality", [15, 30, 50, 75, 90, 95])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"x" * 60_000}], ids=str)
def test_it_is_read_from_the_headers(tmp_path: Path, quality: int, options: dict[str, object]) -> None:
    assert abs((jpeg_quality(_saved(tmp_path / "a.jpg", quality=quality, **options)) or 0) - quality) <= 1


def test_other_files_have_none(tmp_path: Path) -> None:
    assert jpeg_quality(_saved(tmp_path / "a.png")) is None
    (tmp_path / "empty").write_bytes(b"")
    assert jpeg_quality(tmp_path / "empty") is None


@given(st.binary(max_size=80))
def test_hostile_headers_end(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("h") / "a.jpg"
    path.write_bytes(b"\xff\xd8" + data)
    assert jpeg_quality(path) in (None, *range(1, 101))


def test_a_cut_file_has_a_quality_or_none(tmp_path: Path) -> None:
    data = _saved(tmp_path / "a.jpg", quality=60).read_bytes()
    found = set()
    for length in range(0, 200, 7):
        (tmp_path / "b.jpg").write_bytes(data[:length])
        found.add(jpeg_quality(tmp_path / "b.jpg"))
    assert found == {None, 60}
