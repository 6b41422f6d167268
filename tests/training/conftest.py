"""Tests of training: tiny runs and on one thread, so that they leave the other cores alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def waves() -> Callable[[Path, int], Path]:
    """Writes smooth pictures of 64 × 64 into a folder, so many: what nearest-neighbour enlargement does badly."""

    def write(folder: Path, count: int) -> Path:
        folder.mkdir(exist_ok=True)
        y, x = np.mgrid[:64, :64] / 64
        for k in range(count):
            levels = [np.sin(2 * np.pi * ((k + 2) * x + (c + 3) * y) + c) for c in range(3)]
            Image.fromarray((127.5 + 100 * np.stack(levels, axis=2)).astype(np.uint8)).save(folder / f"{k}.png")
        return folder

    return write
