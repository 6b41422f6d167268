"""What several rooms' tests share. Imports neither torch nor an engine, since the use half is tested without them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# Prices and compiled models of a test run are its own, and those of the user play no part in it.
_CACHE = tempfile.TemporaryDirectory(prefix="edgelift-tests-", ignore_cleanup_errors=True)
os.environ["EDGELIFT_CACHE"] = _CACHE.name

REPOSITORY = Path(__file__).resolve().parent.parent

settings.register_profile("edgelift", deadline=None, database=None)  # slow machines; no folder left behind
settings.load_profile("edgelift")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def pictures() -> Path:
    """The folder with `train` and `test` pictures, EDGELIFT_DATA or ../shared/data; a test is skipped without it."""
    folder = Path(os.environ.get("EDGELIFT_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "test").is_dir():
        pytest.skip(f"no benchmark pictures in {folder}; set EDGELIFT_DATA to the folder that holds train/ and test/")
    return folder


@pytest.fixture(scope="session")
def benchmark_sets(pictures: Path) -> Path:
    """The folder of Set5, Set14 and BSD100, each with HR and LR_x2, LR_x3, LR_x4."""
    return pictures / "test"
