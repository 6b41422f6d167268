"""Training pictures: which are found, how they are split, reduced and cut."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgelift.core.errors import TrainingError
from edgelift.core.resize import resize
from edgelift.training.batches import batches_of
from edgelift.training.data import Pair, Patches, load_pairs, mean_gradient
from edgelift.training.pictures import find_pictures, read_rgb, split
from edgelift.training.recipe import recipe_from


def _save(path: Path, height: int = 30, width: int = 40, mode: str = "RGB", seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, len(mode)), dtype=np.uint8)
    Image.fromarray(pixels if mode == "RGBA" else pixels[:, :, 0]).convert(mode).save(path)
    return path


def _nearest_pair(height: int, width: int, scale: int, seed: int = 0) -> Pair:
    """A pair in which each low pixel stands as a block in the high picture, so that places can be compared."""
    low = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Pair("nearest", low, low.repeat(scale, axis=0).repeat(scale, axis=1))


# -- finding
def test_pictures_are_found_in_nested_folders_sorted_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.png", "deep/er/a.JPG", "c.webp", "d.tiff", "e.bmp"):
        _save(tmp_path / "one" / name)
    _save(tmp_path / "two" / "z.png")
    (tmp_path / "one" / "notes.txt").write_text("no picture")
    found = find_pictures([tmp_path / "two", tmp_path / "one"])
    assert [p.relative_to(tmp_path).as_posix() for p in found] == [
        "two/z.png", "one/b.png", "one/c.webp", "one/d.tiff", "one/deep/er/a.JPG", "one/e.bmp",
    ]  # fmt: skip


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_that_is_missing_or_empty_is_named(tmp_path: Path, made: bool) -> None:
    _save(tmp_path / "full" / "a.png")
    if made:
        (tmp_path / "other").mkdir()
    with pytest.raises(TrainingError, match=r"other: no such folder, or no pictures in it \(.*\.webp"):
        find_pictures([tmp_path / "full", tmp_path / "other"])


# -- splitting
NAMES = st.lists(st.text("abcdef", min_size=1, max_size=4), min_size=2, max_size=30, unique=True)


def _paths(names: Sequence[str]) -> list[Path]:
    return [Path("set") / f"{name}.png" for name in names]


@given(NAMES, st.data())
def test_the_split_parts_all_pictures_in_their_order(names: list[str], data: st.DataObject) -> None:
    paths = _paths(names)
    count = data.draw(st.integers(1, len(paths) - 1))
    training, held = split(paths, count)
    assert len(held) == count
    assert sorted(training + held) == sorted(paths)
    assert training == [p for p in paths if p in training]
    order = data.draw(st.permutations(paths))
    assert set(split(order, count)[1]) == set(held)


@given(NAMES, st.integers(1, 5), st.data())
def test_added_pictures_never_move_an_old_one_from_training_to_validation(
    names: list[str], count: int, data: st.DataObject
) -> None:
    paths = _paths(names)
    count = min(count, len(paths) - 1)
    more = [p for p in _paths(data.draw(NAMES)) if p not in paths]
    before, after = split(paths, count), split(paths + more, count)
    assert set(after[1]) <= set(before[1]) | set(more)
    assert set(before[0]) <= set(after[0])


def test_the_split_looks_at_names_not_at_where_the_data_lies() -> None:
    names = [f"{k:03}.png" for k in range(40)]
    here, there = ([Path(root) / "T91" / name for name in names] for root in ("/data", "/mnt/other"))
    assert [p.name for p in split(here, 7)[1]] == [p.name for p in split(there, 7)[1]]
    other_set = [Path("/data/BSDS") / name for name in names]
    assert [p.name for p in split(here, 7)[1]] != [p.name for p in split(other_set, 7)[1]]


@pytest.mark.parametrize("count", [3, 4])
def test_validation_may_not_take_every_picture(count: int) -> None:
    with pytest.raises(TrainingError, match=f"3 pictures cannot give {count} to validation"):
        split(_paths(["a", "b", "c"]), count)


# -- reducing
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_pair_is_the_cropped_picture_and_its_bicubic_reduction(tmp_path: Path, scale: int) -> None:
    path = _save(tmp_path / "a.png", 31, 43)
    (pair,) = load_pairs([path], scale)
    h, w = 31 // scale, 43 // scale
    assert pair.name == "a"
    assert np.array_equal(pair.high, np.asarray(Image.open(path))[: h * scale, : w * scale])
    assert np.array_equal(pair.low, resize(pair.high, h, w))


def test_at_scale_one_a_picture_is_its_own_pair(tmp_path: Path) -> None:
    (pair,) = load_pairs([_save(tmp_path / "a.png", 5, 7)], 1)
    assert pair.high.shape == (5, 7, 3)
    assert np.array_equal(pair.low, pair.high)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_every_kind_of_picture_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = _save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), mode=mode)
    (pair,) = load_pairs([path], 2)
    assert pair.high.shape == (30, 40, 3)
    assert pair.high.dtype == pair.low.dtype == np.uint8


def test_pictures_that_cannot_be_read_are_skipped_and_named(tmp_path: Path) -> None:
    good = _save(tmp_path / "good.png")
    data = good.read_bytes()
    at = data.index(b"IDAT")
    broken = {
        "text.png": b"not a picture",
        "empty.jpg": b"",
        "short.png": data[: len(data) // 2],
        "chunk.png": data[: at - 4] + (50).to_bytes(4, "big") + data[at:],  # the next chunk's name is nonsense
        "huge.bmp": b"BM" + bytes(8) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
        + (60_000).to_bytes(4, "little") * 2 + (1).to_bytes(2, "little") + (24).to_bytes(2, "little") + bytes(60),
    }  # fmt: skip
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
    said: list[str] = []
    paths = [*(tmp_path / name for name in broken), good, tmp_path / "absent.png"]
    pairs = load_pairs(paths, 3, report=said.append)
    assert [pair.name for pair in pairs] == ["good"]
    assert [line.split(": ")[0] for line in said[:-1]] == [f"skipped {p}" for p in paths if p != good]
    assert said[-1] == "6 of 7 pictures skipped, as named above"


def test_pictures_smaller_than_a_patch_are_skipped_and_named(tmp_path: Path) -> None:
    low, thin = _save(tmp_path / "low.png", 23, 99), _save(tmp_path / "thin.png", 99, 23)
    fits, tiny = _save(tmp_path / "fits.png", 24, 24), _save(tmp_path / "tiny.png", 1, 1)
    said: list[str] = []
    pairs = load_pairs([low, thin, fits, tiny], 3, 8, said.append)
    assert [pair.name for pair in pairs] == ["fits"]
    assert said[0] == f"skipped {low}: 99×21 is smaller than a patch"
    assert said[1] == f"skipped {thin}: 21×99 is smaller than a patch"
    assert said[2].startswith(f"skipped {tiny}")


def test_no_usable_picture_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="none of 1 pictures can be used"):
        load_pairs([_save(tmp_path / "a.png")], 3, 64, lambda line: None)


# -- patches
@given(st.integers(1, 4), st.integers(1, 7), st.integers(0, 10**6), st.integers(0, 1000))
def test_low_and_high_patches_show_the_same_place(scale: int, patch: int, seed: int, step: int) -> None:
    pairs = [_nearest_pair(9, 7, scale, 1), _nearest_pair(7, 12, scale, 2)]
    low, high = Patches(pairs, patch, 6, seed)(step)
    assert low.shape == (6, 3, patch, patch)
    assert high.shape == (6, 3, patch * scale, patch * scale)
    assert low.dtype == high.dtype == torch.uint8
    assert torch.equal(low.repeat_interleave(scale, 2).repeat_interleave(scale, 3), high)


def test_patches_are_pieces_of_the_pictures() -> None:
    pair = _nearest_pair(6, 5, 2)
    windows = np.lib.stride_tricks.sliding_window_view(pair.low, (3, 3), axis=(0, 1))
    pieces = [w.transpose(1, 2, 0) for row in windows for w in row]
    known = {np.rot90(q, k).tobytes() for p in pieces for q in (p, p[:, ::-1]) for k in range(4)}
    low, _ = Patches([pair], 3, 200, 0)(0)
    seen = {np.ascontiguousarray(p).tobytes() for p in low.permute(0, 2, 3, 1).numpy()}
    assert seen <= known
    assert len(seen) > 60  # of 12 places × 8 orientations


def test_all_eight_orientations_come_about_equally_often() -> None:
    low, _ = Patches([_nearest_pair(4, 4, 2)], 4, 800, 0)(0)
    _, counts = torch.unique(low.flatten(1), dim=0, return_counts=True)
    assert len(counts) == 8
    assert counts.min() > 60


def test_every_place_of_every_picture_is_equally_likely() -> None:
    pairs = [_nearest_pair(10, 10, 2), _nearest_pair(4, 6, 2), _nearest_pair(4, 4, 2)]
    share = Patches(pairs, 4, 1, 0).share
    assert share == pytest.approx(np.array([49, 3, 1]) / 53)


def test_a_batch_depends_on_seed_and_number_alone() -> None:
    pairs = [_nearest_pair(9, 9, 2, seed) for seed in range(3)]
    first, second = Patches(pairs, 4, 5, 7), Patches(pairs, 4, 5, 7)
    forwards = [first(k) for k in range(4)]
    backwards = [second(k) for k in reversed(range(4))][::-1]
    for (a, b), (c, d) in zip(forwards, backwards, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)
    assert not torch.equal(forwards[0][0], forwards[1][0])
    assert not torch.equal(forwards[0][0], Patches(pairs, 4, 5, 8)(0)[0])


def _digest(patches: Patches, steps: int) -> str:
    digest = hashlib.sha256()
    for step in range(steps):
        for part in patches(step):
            digest.update(np.ascontiguousarray(part.permute(0, 2, 3, 1).numpy()).tobytes())
    return digest.hexdigest()


def test_recipes_without_further_fields_see_what_they_always_saw() -> None:
    pairs = [_nearest_pair(9, 7, 2, 1), _nearest_pair(7, 12, 2, 2)]
    expected = "116569c86d42bf17d0eda0dac1b9cfe47426604c5ce92f0d1599d1fc6cb3366b"
    assert _digest(Patches(pairs, 4, 5, 7), 20) == expected


# -- texture, colours, smaller forms
def _half_flat() -> Pair:
    """Noise on the left, grey on the right."""
    pair = _nearest_pair(32, 64, 2)
    pair.low[:, 32:] = pair.high[:, 64:] = 128
    return pair


def test_texture_is_drawn_more_often_the_higher_its_power() -> None:
    means = []
    for texture in (0.0, 0.5, 1e6):
        low, high = Patches([_half_flat()], 4, 200, 0, texture=texture)(0)
        assert torch.equal(low.repeat_interleave(2, 2).repeat_interleave(2, 3), high)
        means.append(np.mean([mean_gradient(p) for p in low.permute(0, 2, 3, 1).numpy()]))
    assert means[0] * 1.2 < means[1] < means[2]


def test_texture_depends_on_seed_and_number_alone_and_copes_with_flat_pictures() -> None:
    first, second = (Patches([_half_flat()], 4, 5, 3, texture=2.0) for _ in range(2))
    assert torch.equal(first(9)[0], second(9)[0])
    assert not torch.equal(first(9)[0], first(8)[0])
    flat = Pair("flat", np.full((9, 9, 3), 7, np.uint8), np.full((18, 18, 3), 7, np.uint8))
    assert (Patches([flat], 4, 3, 0, texture=2.0)(0)[0] == 7).all()


def test_mean_gradient_by_hand() -> None:
    ramp = np.zeros((3, 4, 3), np.uint8)
    ramp[:, :, 1] = np.arange(4) * 10
    ramp[:, :, 0] = 77  # only green counts
    assert mean_gradient(ramp) == pytest.approx(10 + 1e-3)
    assert mean_gradient(ramp[:1, :1]) == pytest.approx(1e-3)


def test_colours_change_places_in_both_pictures_alike() -> None:
    pair = _nearest_pair(4, 4, 2)
    pair.low[:] = np.array([10, 20, 30], np.uint8)
    pair.high[:] = np.array([10, 20, 30], np.uint8)
    low, high = Patches([pair], 4, 300, 0, permute=True)(0)
    orders, counts = torch.unique(low[:, :, 0, 0], dim=0, return_counts=True)
    assert sorted(tuple(o.tolist()) for o in orders) == [
        (10, 20, 30), (10, 30, 20), (20, 10, 30), (20, 30, 10), (30, 10, 20), (30, 20, 10),
    ]  # fmt: skip
    assert counts.min() > 25
    assert torch.equal(low[:, :, 0, 0], high[:, :, 0, 0])


def test_factors_add_smaller_forms_where_they_are_large_enough(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.png", 40, 60)
    pairs = load_pairs([path], 2, 10, factors=(0.9, 0.6, 0.5))
    assert [p.high.shape[:2] for p in pairs] == [(40, 60), (36, 54), (24, 36)]  # 20 rows would leave one place only
    high = np.asarray(Image.open(path))
    assert np.array_equal(pairs[1].high, resize(high, 36, 54))
    assert np.array_equal(pairs[2].low, resize(resize(high, 24, 36), 12, 18))


def _from(folder: str, side: int) -> Pair:
    return Pair("p", np.zeros((side, side, 3), np.uint8), np.zeros((side * 2, side * 2, 3), np.uint8), folder)


def test_a_folder_gives_its_share_of_the_patches() -> None:
    pairs = [_from("photos", 40), _from("photos", 20), _from("drawn", 12), _from("drawn", 12), _from("made", 12)]
    patches = Patches(pairs, 8, 64, 0, shares={"drawn": 0.4, "made": 0.35})
    large = 33**2 / (33**2 + 13**2)
    assert patches.share.tolist() == pytest.approx([0.25 * large, 0.25 * (1 - large), 0.2, 0.2, 0.35])
    taken = np.bincount([place.number for step in range(40) for place in patches.places(step)], minlength=5) / (40 * 64)
    assert taken == pytest.approx(patches.share, abs=0.03)


def test_a_folder_gives_its_share_however_much_is_to_be_seen_in_others() -> None:
    rng = np.random.default_rng(0)
    rough = Pair("p", rng.integers(0, 255, (40, 40, 3), np.uint8), np.zeros((80, 80, 3), np.uint8), "photos")
    patches = Patches([rough, _from("photos", 40), _from("drawn", 12)], 8, 64, 0, texture=1.0, shares={"drawn": 0.4})
    taken = np.bincount([place.number for step in range(20) for place in patches.places(step)], minlength=3) / (20 * 64)
    assert taken[2] == pytest.approx(0.4, abs=0.04)
    assert taken[0] > 10 * taken[1]  # within a share texture does decide


def test_shares_whose_sum_is_one_but_for_rounding() -> None:
    shares = {"a": 0.05, "b": 0.65, "c": 0.2, "d": 0.1}
    assert sum(shares.values()) > 1
    plain = {"name": "x", "network": {"architecture": "plain"}, "data": {"shares": shares}}
    assert recipe_from(plain).data.shares == shares
    pairs = [_from(folder, 9) for folder in (*shares, "other")]
    assert Patches(pairs, 8, 1, 0, shares=shares).share.tolist() == pytest.approx([*shares.values(), 0])


def test_shares_that_leave_nothing_to_give_it_to_are_made_whole() -> None:
    assert Patches([_from("a", 9), _from("b", 9)], 8, 1, 0, shares={"a": 0.3, "b": 0.3}).share.tolist() == [0.5, 0.5]


def test_the_share_of_a_folder_without_pictures_goes_to_the_others() -> None:
    pairs = [_from("a", 9), _from("b", 9), _from("c", 9)]
    assert Patches(pairs, 8, 1, 0, shares={"scenes": 0.35}).share.tolist() == pytest.approx([1 / 3] * 3)
    assert Patches(pairs, 8, 1, 0, shares={"scenes": 0.2, "a": 0.4}).share.tolist() == pytest.approx([0.4, 0.3, 0.3])
    assert Patches(pairs[:1], 8, 1, 0, shares={"scenes": 0.6, "a": 0.4}).share.tolist() == [1]


def test_folders_that_give_no_share_are_named_before_pictures_are_read(tmp_path: Path) -> None:
    plain = {"name": "x", "network": {"architecture": "plain"}, "data": {"shares": {"T91": 0.3, "made": 0.1}}}
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a.png").write_bytes(b"no picture")
    said: list[str] = []
    with pytest.raises(TrainingError, match="none of 1 pictures can be used"):
        batches_of(recipe_from(plain), [tmp_path / "made" / "a.png"], 2, torch.device("cpu"), said.append)
    assert said[0] == "no pictures of T91; the other folders give the patches that x asks of them"
    assert "skipped" in said[1]


def test_validation_pictures_may_be_those_of_one_folder() -> None:
    paths = [Path(folder) / f"{k}.png" for folder in ("a", "b") for k in range(5)]
    training, held = split(paths, 3, "b")
    assert (len(training), {p.parent.name for p in held}, len(held)) == (7, {"b"}, 3)
    with pytest.raises(TrainingError, match=r"10 pictures, of which 5 lie in 'b', cannot give 6"):
        split(paths, 6, "b")


# -- files
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_16_bits_keeps_its_levels(tmp_path: Path, suffix: str) -> None:
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(levels * 257).save(tmp_path / f"a.{suffix}")
    assert np.array_equal(read_rgb(tmp_path / f"a.{suffix}"), np.repeat(levels[..., None], 3, 2))


def test_fractions_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="holds fractions"):
        read_rgb(tmp_path / "a.tif")


def test_a_picture_is_turned_where_that_is_asked_for(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(tmp_path / "a.png", exif=exif)
    assert read_rgb(tmp_path / "a.png").shape == (8, 12, 3)
    assert read_rgb(tmp_path / "a.png", upright=True).shape == (12, 8, 3)
