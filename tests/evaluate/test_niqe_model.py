"""Pristine models: the one that comes along, files of both kinds, hostile files, fitting."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelift.core.errors import InputError, OutputError, RequestError
from edgelift.evaluate.niqe_features import FEATURES, WINDOW, Blocks
from edgelift.evaluate.niqe_model import (
    MAX_BYTES,
    NiqeModel,
    fit,
    fit_blocks,
    load_model,
    parse_model,
    provenance,
    save_model,
)

MEAN = np.arange(FEATURES) / 7
COVARIANCE = np.diag(1 + np.arange(FEATURES) / 3) + 0.25


def npz(**changes: object) -> bytes:
    """A model file with those arrays changed; None leaves one out."""
    arrays = {"mu_pris_param": MEAN[None], "cov_pris_param": COVARIANCE, "gaussian_window": WINDOW, **changes}
    file = io.BytesIO()
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    return file.getvalue()


def archive(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(f"{name}.npy", content)
    return file.getvalue()


# -- MATLAB, written by hand after its description


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def matrix(name: str, values: np.ndarray, *, kind: int = 9, of: str = "<f8", flags: int = 6) -> bytes:
    parts = element(6, struct.pack("<II", flags, 0)) + element(5, struct.pack("<ii", *values.shape))
    parts += element(1, name.encode()) + element(kind, values.astype(of).tobytes(order="F"))
    return element(14, parts)


def mat(*elements: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file, by hand".ljust(124) + struct.pack("<H", 0x0100) + b"IM" + b"".join(elements)


def packed(content: bytes) -> bytes:
    data = zlib.compress(content)
    return struct.pack("<II", 15, len(data)) + data


BOTH = (matrix("mu_prisparam", MEAN[None]), matrix("cov_prisparam", COVARIANCE))


# -- the model that comes along


def test_edgelifts_own() -> None:
    model = load_model()
    assert model.name == "edgelift"
    assert "sharp blocks" in model.provenance
    assert not set("/\\") & set(model.provenance)
    assert np.linalg.eigvalsh(model.covariance).min() > 0
    assert 2 < model.mean[0] < 4  # normalised luma of photographs is near a Gaussian, whose shape is 2
    assert model.mean.dtype == model.covariance.dtype == np.float64


def test_edgelifts_own_can_be_read_by_what_reads_the_usual_files(repository: Path) -> None:
    with np.load(repository / "src" / "edgelift" / "evaluate" / "pristine.npz") as file:
        shapes = [file[name].shape for name in ("mu_pris_param", "cov_pris_param", "gaussian_window")]
    assert shapes == [(1, 36), (36, 36), (7, 7)]


# -- files


def test_a_model_comes_back(tmp_path: Path) -> None:
    model = NiqeModel(MEAN, COVARIANCE, "mine", "fitted to nothing")
    save_model(model, tmp_path / "a.npz")
    found = load_model(tmp_path / "a.npz")
    np.testing.assert_array_equal(found.mean, MEAN)
    np.testing.assert_array_equal(found.covariance, COVARIANCE)
    assert (found.name, found.provenance) == ("mine", "fitted to nothing")
    save_model(found, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"a.npz", "b.npz"}


def test_the_usual_file_is_called_as_its_file(tmp_path: Path) -> None:
    (tmp_path / "usual.npz").write_bytes(npz())
    assert load_model(tmp_path / "usual.npz").name == "usual.npz"


def test_other_number_types_and_orders() -> None:
    found = parse_model(npz(mu_pris_param=MEAN.astype(">f4"), cov_pris_param=np.asfortranarray(COVARIANCE)), "x")
    np.testing.assert_allclose(found.mean, MEAN, rtol=1e-6)
    np.testing.assert_array_equal(found.covariance, COVARIANCE)


@pytest.mark.parametrize(
    "data",
    [
        mat(*BOTH),
        mat(*map(packed, BOTH)),
        mat(matrix("other", np.ones((2, 2))), matrix("text", np.ones((1, 2)), of="<u2", kind=4, flags=4), *BOTH),
    ],
    ids=["plain", "compressed", "among others"],
)
def test_matlab(data: bytes) -> None:
    found = parse_model(data, "model.mat")
    np.testing.assert_array_equal(found.mean, MEAN)
    np.testing.assert_array_equal(found.covariance, COVARIANCE)
    assert found.name == "model.mat"


def test_matlab_stores_whole_numbers_in_bytes() -> None:
    mean = np.arange(FEATURES)[None]
    found = parse_model(mat(matrix("mu_prisparam", mean, kind=2, of="u1"), BOTH[1]), "x")
    np.testing.assert_array_equal(found.mean, mean[0])


@pytest.mark.parametrize("compressed", [False, True])
def test_matlab_as_scipy_writes_it(compressed: bool) -> None:
    io_of_scipy = pytest.importorskip("scipy.io", reason="scipy is not installed")
    file = io.BytesIO()
    values = {"mu_prisparam": MEAN[None], "cov_prisparam": COVARIANCE, "n": 3, "words": "ab", "cells": [1, "b"]}
    io_of_scipy.savemat(file, values, do_compression=compressed)
    found = parse_model(file.getvalue(), "x")
    np.testing.assert_array_equal(found.mean, MEAN)
    np.testing.assert_array_equal(found.covariance, COVARIANCE)


# -- what is no model


def header(shape: str, kind: str = "<f8") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


BROKEN_COVARIANCE = COVARIANCE.copy()
BROKEN_COVARIANCE[3, 4] += 1
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "neither"),
    "text": (lambda: b"hello there", "neither"),
    "cut": (lambda: npz()[:3000], "zip"),
    "cut mat": (lambda: mat(*BOTH)[:5000], "longer than"),
    "large": (lambda: b"PK" + b"\0" * MAX_BYTES, "at most"),
    "no mean": (lambda: npz(mu_pris_param=None), "mu_pris_param"),
    "no covariance": (lambda: npz(cov_pris_param=None), "cov_pris_param"),
    "short": (lambda: npz(mu_pris_param=MEAN[:35]), "36"),
    "flat covariance": (lambda: npz(cov_pris_param=COVARIANCE.reshape(-1)), "36"),
    "not finite": (lambda: npz(mu_pris_param=np.full(36, np.nan)), "finite"),
    "infinite": (lambda: npz(cov_pris_param=np.full((36, 36), np.inf)), "finite"),
    "not symmetric": (lambda: npz(cov_pris_param=BROKEN_COVARIANCE), "symmetric"),
    "negative variance": (lambda: npz(cov_pris_param=-COVARIANCE), "variances"),
    "another window": (lambda: npz(gaussian_window=np.full((7, 7), 1 / 49)), "window"),
    "text in the mean": (lambda: npz(mu_pris_param=np.array(["a"] * 36)), "not numbers"),
    "complex": (lambda: npz(mu_pris_param=MEAN.astype(complex)), "complex128"),
    "pickled": (lambda: npz(mu_pris_param=np.array([{"a": 1}], dtype=object)), "object"),
    "claims much": (lambda: archive(mu_pris_param=header("(1000000000000,)")), "has 0 bytes"),
    "claims less than nothing": (lambda: archive(mu_pris_param=header("(-36,)")), "shape"),
    "claims to overflow": (lambda: archive(mu_pris_param=header("(4294967296, 4294967296)")), "has 0 bytes"),
    "code in the header": (lambda: archive(mu_pris_param=header("__import__('os')")), "model"),
    "a header that is no text": (lambda: archive(mu_pris_param=header("(36,), [")), "damaged header"),
    "a header that is deep": (lambda: archive(mu_pris_param=header("(" * 5000 + ")" * 5000)), "model"),
    "a type that is none": (lambda: archive(mu_pris_param=header("(36,)", "<f8', [1, 2], 'x")), "model"),
    "bomb": (lambda: archive(mu_pris_param=header("(1000000,)") + bytes(8 * 1000000)), "more than"),
    "version": (lambda: archive(mu_pris_param=b"\x93NUMPY\x09\x00rest"), "version"),
    "not npy": (lambda: archive(mu_pris_param=b"something else"), "magic"),
    "mat 7.3": (lambda: b"MATLAB 7.3 MAT-file".ljust(512, b"\0"), "-v7"),
    "mat of no order": (lambda: b"MATLAB 5.0 MAT-file".ljust(128, b"\0"), "head"),
    "mat bomb": (lambda: mat(packed(matrix("a", np.zeros((1000, 1000))))), "unpacks to more"),
    "mat bombs": (lambda: mat(*[packed(matrix("a", np.zeros((300, 300))))] * 5), "unpacks to more"),
    "mat not zlib": (lambda: mat(struct.pack("<II", 15, 8) + b"notzlib!"), "model"),
    "mat of many": (lambda: mat(*[matrix("a", np.zeros((1, 1)))] * 101), "more than 100"),
    "mat that claims": (
        lambda: mat(matrix("mu_prisparam", MEAN[None]).replace(b"\x24\0\0\0", b"\x25\0\0\0")),
        "numbers",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path: Path, name: str) -> None:
    make, words = HOSTILE[name]
    path = tmp_path / "model.npz"
    path.write_bytes(make())
    with pytest.raises(InputError, match=r"model\.npz") as caught:
        load_model(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.npz", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            load_model(path)


VALID = (npz(), mat(*BOTH), mat(*map(packed, BOTH)))


@given(st.sampled_from(VALID), st.data())
def test_damage_is_an_input_error_or_goes_unseen(valid: bytes, data: st.DataObject) -> None:
    changed = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(valid) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(valid)))
    for damaged in (bytes(changed), bytes(changed[:cut])):
        try:
            model = parse_model(damaged, "x")
        except InputError:
            continue
        assert model.mean.shape == (36,)


@pytest.mark.parametrize(("name", "error"), [("model.mat", RequestError), ("none/model.npz", OutputError)])
def test_where_a_model_cannot_go(tmp_path: Path, name: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"model\."):
        save_model(NiqeModel(MEAN, COVARIANCE, "x"), tmp_path / name)
    assert not list(tmp_path.iterdir())


# -- fitting


def test_sharp_blocks_are_fitted() -> None:
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=(60, FEATURES)) for _ in range(2)]
    tables[1][5, 7] = np.nan
    sharpness = [np.r_[np.full(40, 2.0), 1.5, np.full(19, 1.51)], np.full(60, 0.1)]
    taken: list[int] = []
    model = fit_blocks((Blocks(t, s) for t, s in zip(tables, sharpness, strict=True)), "mine", heard=taken.append)
    used = np.concatenate([np.delete(tables[0], 40, axis=0), np.delete(tables[1], 5, axis=0)])
    assert taken == [59, 59]
    np.testing.assert_allclose(model.mean, used.mean(axis=0))
    np.testing.assert_allclose(model.covariance, np.cov(used.T))
    assert model.name == "mine"


def test_fitting_pictures() -> None:
    rng = np.random.default_rng(3)
    pictures = [rng.normal(128, 25, (288, 480, 3)).clip(0, 255).astype(np.uint8) for _ in range(3)]
    model = fit(pictures)
    assert model.mean[0] == pytest.approx(2.8, abs=0.4)  # noise is Gaussian, and more than that when it is normalised
    assert np.linalg.eigvalsh(model.covariance).min() > -1e-12


def test_too_little_to_fit() -> None:
    with pytest.raises(RequestError, match="0 sharp blocks"):
        fit([])
    with pytest.raises(RequestError, match="0 sharp blocks"):
        fit([np.zeros((960, 960, 3), np.uint8)])
    with pytest.raises(RequestError, match="more than 36"):
        fit_blocks([Blocks(np.zeros((36, FEATURES)), np.ones(36))])


def test_provenance_names_each_source_once() -> None:
    model = provenance(NiqeModel(MEAN, COVARIANCE, "x"), ["a", "b", "a"], 3, 70)
    assert model.provenance == "fitted to 70 sharp blocks of 3 pictures (a, b)"
