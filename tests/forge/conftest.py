"""Tests of bundles made from networks: on one thread, so that they leave the other cores alone."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch


def _exports() -> Any:
    """`tests/forge/exports.py`, the same object in every room, so that a graph is made once a session."""
    name = "edgelift_test_exports"
    if name not in sys.modules:
        place = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "forge" / "exports.py")
        assert place is not None
        assert place.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(place)
        place.loader.exec_module(sys.modules[name])
    return sys.modules[name]


EXPORTS = _exports()


@pytest.fixture(scope="package", autouse=True)
def one_thread_and_quick_exports() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with EXPORTS.quick():
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def exports() -> Any:
    """The module `exports`."""
    return EXPORTS


@pytest.fixture(params=EXPORTS.CONFIGS, ids=[EXPORTS.name_of(*case) for case in EXPORTS.CONFIGS])
def export(request: pytest.FixtureRequest) -> Any:
    """Every network of the zoo, at every scale, exported."""
    name, config = request.param
    return EXPORTS.exported(name, **config)
