"""NIQE: the published figure, distances by hand, and pictures that have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgelift.core.errors import RequestError
from edgelift.core.resize import resize
from edgelift.evaluate.niqe import NotDefinedError, distance, niqe
from edgelift.evaluate.niqe_features import FEATURES, Blocks
from edgelift.evaluate.niqe_model import NiqeModel, load_model
from edgelift.io.pictures import open_picture

UNIT = NiqeModel(np.zeros(FEATURES), np.eye(FEATURES), "unit")


def grain(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(128, 30, (height, width, 3)).clip(0, 255).astype(np.uint8)


def load(path: Path) -> np.ndarray:
    with open_picture(path) as reader:
        return np.array(reader.rows(0, reader.height)[0])


@pytest.fixture(scope="session")
def published(repository: Path) -> Path:
    """The pristine model and a picture whose figure was published."""
    folder = repository.parent / "shared" / "reference" / "niqe"
    if not folder.is_dir():
        pytest.skip(f"no reference data in {folder}")
    return folder


def test_the_published_figure(published: Path) -> None:
    found = niqe(load(published / "contest_0002.png"), load_model(published / "niqe_pris_params.npz"))
    assert found == pytest.approx(5.9563, abs=5e-4)


def test_both_models_put_enlarged_photographs_behind_the_originals(benchmark_sets: Path, published: Path) -> None:
    photographs = [load(path) for path in sorted((benchmark_sets / "BSD100" / "HR").iterdir())[:6]]
    blurred = [resize(p[: len(p) // 4, : p.shape[1] // 4], *p.shape[:2]) for p in photographs]
    for model in (load_model(), load_model(published / "niqe_pris_params.npz")):
        good, bad = ([niqe(picture, model) for picture in group] for group in (photographs, blurred))
        assert np.mean(good) < np.mean(bad) - 1


def test_a_distance_by_hand() -> None:
    features = np.zeros((2, FEATURES))
    features[:, 0] = 1, 3  # mean 2, variance 2: with the model's (1 + 2) / 2 = 1.5
    assert distance(Blocks(features, np.ones(2)), UNIT) == pytest.approx(np.sqrt(4 / 1.5))


def test_the_mean_takes_all_numbers_and_the_covariance_whole_blocks() -> None:
    features = np.zeros((3, FEATURES))
    features[:, 0], features[2, 1] = (1, 3, 8), np.nan  # the mean is 4, the variance that of 1 and 3
    assert distance(Blocks(features, np.ones(3)), UNIT) == pytest.approx(np.sqrt(16 / 1.5))


def test_a_picture_of_the_models_own_mean_has_none() -> None:
    features = np.zeros((2, FEATURES))
    assert distance(Blocks(features, np.ones(2)), UNIT) == 0


def test_a_flat_model_and_a_flat_spread_still_give_a_number() -> None:
    flat = NiqeModel(np.zeros(FEATURES), np.zeros((FEATURES, FEATURES)), "flat")
    assert distance(Blocks(np.ones((2, FEATURES)), np.ones(2)), flat) == 0  # no direction in which to be apart


@pytest.mark.parametrize("shape", [(95, 2000), (96, 96), (191, 191), (96, 191), (1, 1)])
def test_too_small(shape: tuple[int, int]) -> None:
    with pytest.raises(NotDefinedError, match=f"{shape[1]}×{shape[0]} pixels.*96×96"):
        niqe(grain(*shape))


def test_two_blocks_are_enough() -> None:
    assert np.isfinite(niqe(grain(96, 192)))
    assert np.isfinite(niqe(grain(192, 96)))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat(level: int) -> None:
    with pytest.raises(NotDefinedError, match="flat picture: 0 of its 4 blocks"):
        niqe(np.full((200, 200, 3), level, np.uint8))


def test_flat_but_for_one_block() -> None:
    picture = np.full((200, 200, 3), 90, np.uint8)
    picture[8:88, 8:88] = grain(80, 80)
    with pytest.raises(NotDefinedError, match="1 of its 4 blocks"):
        niqe(picture)


def test_not_defined_is_a_request_that_cannot_be_served() -> None:
    assert issubclass(NotDefinedError, RequestError)


def test_types_agree() -> None:
    picture = grain(200, 300)
    wanted = niqe(picture)
    assert niqe(picture.astype(np.uint16) * 257) == wanted
    assert niqe(picture.astype(np.float32)) == wanted
    assert niqe(picture[..., 0]) == niqe(picture[..., 0].astype(np.float32))


def test_a_readonly_picture_and_a_view_will_do() -> None:
    picture = grain(200, 600)
    view = picture[:, ::2]
    picture.flags.writeable = False
    assert niqe(view) == niqe(view.copy())
