"""Profiles side by side: strict reading, twins, and what is compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgelift.core.errors import InputError, RequestError
from edgelift.evaluate.profile import devices
from edgelift.evaluate.profile.devices import merge, read_profile
from edgelift.evaluate.profile.page import comparison_page
from edgelift.evaluate.profile.tables import compare

QUALITY = {"Set5": {"psnr_y": 33.2, "ssim_y": 0.9}, "Set14": {"psnr_y": 29.5}}


def document(**changes: Any) -> dict[str, Any]:
    """A profile; arguments such as `model_scale` replace single values."""
    plain: dict[str, Any] = {
        "profile": 1,
        "model": {
            "name": "net-x2", "scale": 2, "parameters": 1234, "macs": 99, "sha256": "ab" * 32, "quality": QUALITY,
        },
        "device": {
            "engine": "fake 1", "device": "CPU nearest", "precision": "f32", "threads": 0, "machine": "abacus, 1 cores",
        },
        "reference": {"height": 100, "width": 200, "seconds": 0.5, "low": 0.4, "high": 0.6, "rounds": 5},
        "parts": {},
    }  # fmt: skip
    for name, value in changes.items():
        group, _, key = name.partition("_")
        plain[group][key] = value
    return plain


@pytest.fixture
def write(tmp_path: Path) -> Any:
    count = iter(range(100))

    def make(plain: Any) -> Path:
        path = tmp_path / f"{next(count)}.json"
        path.write_text(plain if isinstance(plain, str) else json.dumps(plain), encoding="utf-8")
        return path

    return make


def test_reading(write: Any) -> None:
    found = read_profile(write(document()))
    assert (found.model.name, found.device.words) == ("net-x2", "fake 1, CPU nearest, f32; abacus, 1 cores")
    assert (found.height, found.width, found.seconds) == (100, 200, 0.5)
    assert found.per_megapixel == pytest.approx(0.5 / 80_000 * 1e6)  # of the result


def test_a_newer_profile_with_more_in_it_is_read(write: Any) -> None:
    assert read_profile(write({**document(), "machine": {"x": 1}, "parts": {"strange": []}})).model.scale == 2


def without(group: str, name: str | None = None) -> dict[str, Any]:
    plain = document()
    del (plain if name is None else plain[group])[name or group]
    return plain


BAD = {
    "no JSON": ("{", "not a profile: it is no JSON"),
    "deep": ("[" * 100_000, "not a profile: it is no JSON"),
    "a list": ([1], r"not a profile; make one with 'edgelift profile MODEL -o FILE\.json'"),
    "something else": ({"prices": 1}, "not a profile; make one"),
    "newer": ({**document(), "profile": 2}, "of version 2; this edgelift reads 1, a newer one may read it"),
    "older": ({**document(), "profile": 0}, "of version 0; this edgelift reads 1, make it anew"),
    "true": ({**document(), "profile": True}, "of version True"),
    "a long version": ({**document(), "profile": "v" * 999}, "of version 'v{19}; this"),
    "no model": (without("model"), "'model' is an object of name, scale"),
    "no name": (without("model", "name"), "'model' is an object of name"),
    "one fact more": (document(model_new=1), "'model' is an object of"),
    "no device": (without("device"), "'device' is an object of engine"),
    "no reference": (without("reference"), "'reference', a measured window, is missing"),
    "scale": (document(model_scale=0), "a scale of 0; it is 1 to 8"),
    "scale of text": (document(model_scale="2"), r"'model\.scale' must be int, got '2'"),
    "scale of truth": (document(model_scale=True), r"'model\.scale' must be int, got True"),
    "negative": (document(model_macs=-1), r"'model\.macs' must be 0 to \d+, got -1"),
    "without end": (document(model_parameters=10**400), r"'model\.parameters' must be 0 to \d+, got 1000"),
    "an endless name": (document(model_name="n" * 301), r"'model\.name' has 301 characters; 1 to 300 are read"),
    "an empty name": (document(device_machine=""), r"'device\.machine' has 0 characters"),
    "quality": (document(model_quality=[]), r"'model\.quality' must be dict"),
    "no height": (
        without("reference", "height"),
        r"'reference\.height' must be a whole number of 1 to 16384, got None",
    ),
    "huge": (document(reference_width=10**9), r"'reference\.width' must be a whole number"),
    "no time": (document(reference_seconds=0), r"'reference\.seconds' must be seconds above 0, got 0"),
    "not a number": (document(reference_seconds=float("nan")), r"'reference\.seconds' must be seconds"),
    "for ever": (document(reference_high=float("inf")), r"'reference\.high' must be seconds"),
    "time as text": (document(reference_low="1"), r"'reference\.low' must be seconds"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_profile_is_refused(case: str, write: Any) -> None:
    plain, expected = BAD[case]
    path = write(plain)
    with pytest.raises(InputError, match=expected) as raised:
        read_profile(path)
    assert str(raised.value).startswith(str(path))
    assert len(str(raised.value)) < 500


def test_files_that_cannot_be_read(tmp_path: Path, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_profile(tmp_path / "absent.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no JSON"):
        read_profile(tmp_path / "bytes.json")
    monkeypatch.setattr(devices, "MAX_BYTES", 100)
    with pytest.raises(InputError, match="of at most 100 are read"):
        read_profile(write(document()))


def test_twins_are_refused(write: Any) -> None:
    one, two = write(document()), write(document())
    with pytest.raises(
        RequestError, match=r"0\.json and .*1\.json are both of net-x2 on fake 1, CPU .*; give one of them"
    ):
        merge([one, two])
    with pytest.raises(RequestError, match="are both of"):
        merge([one, one])
    other = write(document(model_sha256="cd" * 32, device_precision="bf16"))
    with pytest.raises(RequestError, match="are of different networks called net-x2"):
        merge([one, other])


def test_how_many_are_merged(write: Any) -> None:
    with pytest.raises(RequestError, match="1 to 64 profiles are merged, got 0"):
        merge([])
    with pytest.raises(RequestError, match="got 65"):
        merge([Path("x")] * 65)


@pytest.fixture
def several(write: Any) -> list[Path]:
    fast = {"device_precision": "bf16", "reference_seconds": 0.1, "reference_low": 0.1, "reference_high": 0.1}
    small = {"model_name": "small-x2", "model_sha256": "cd" * 32, "model_parameters": 10, "model_quality": {}}
    return [
        write(document()),
        write(document(**fast)),
        write(document(**small, reference_seconds=0.2)),
        write(document(model_name="net-x3", model_scale=3, model_sha256="ef" * 32, reference_height=50)),
    ]


def test_models_by_devices(several: list[Path]) -> None:
    found = merge(several)
    assert [device.precision for device in found.devices] == ["f32", "bf16"]
    assert {scale: [row.model.name for row in rows] for scale, rows in found.scales.items()} == {
        2: ["small-x2", "net-x2"],
        3: ["net-x3"],
    }
    assert found.size == (100, 200)
    small, net, three = found.rows
    assert [cell is None for cell in small.cells] == [False, True]
    assert [found.at_reference(cell) for cell in net.cells] == [0.5, 0.1]
    assert found.at_reference(three.cells[0]) is None  # another size
    assert three.cells[0] is not None
    assert three.cells[0].per_megapixel == pytest.approx(0.5 / (50 * 200 * 9) * 1e6)
    assert (net.psnr("Set5"), net.psnr("BSD100"), small.psnr("Set5")) == (33.2, None, None)


def test_the_tables(several: list[Path]) -> None:
    words, tables = compare(merge(several))
    assert words == [
        "A: fake 1, CPU nearest, f32; abacus, 1 cores",
        "B: fake 1, CPU nearest, bf16; abacus, 1 cores",
    ]
    assert [table.title for table in tables] == ["×2", "×3"]
    assert tables[0].columns == ("model", "weights", "Set5", "Set14", "BSD100", "A ms", "A ms/MP", "B ms", "B ms/MP")
    assert tables[0].rows == (
        ("small-x2", "0.0k", "–", "–", "–", "200.0", "2500", "–", "–"),
        ("net-x2", "1.2k", "33.20", "29.50", "–", "500.0", "6250", "100.0", "1250"),
    )
    assert dict(tables[0].best) == {2: "max", 3: "max", 4: "max", 5: "min", 6: "min", 7: "min", 8: "min"}


def test_names_cannot_do_anything(write: Any) -> None:
    nasty = "net\x1b[31m‮<script>alert(1)</script>"
    found = merge([write(document(model_name=nasty, device_machine=nasty))])
    words, tables = compare(found)
    assert "\x1b" not in words[0] + tables[0].rows[0][0]
    assert "‮" not in words[0] + tables[0].rows[0][0]
    assert "<script>alert" not in comparison_page(found).render()


def test_the_page(several: list[Path]) -> None:
    page = comparison_page(merge(several)).render()
    assert "small-x2" in page
    assert "fake 1, CPU nearest, bf16; abacus, 1 cores" in page


def test_quality_that_is_none_is_left_out(write: Any) -> None:
    strange = {"Set5": {"psnr_y": "high"}, "Set14": 3, "BSD100": {"psnr_y": float("nan")}, "Drawn": {"psnr_y": 10**400}}
    (row,) = merge([write(document(model_quality=strange))]).rows
    assert [row.psnr(name) for name in strange] == [None] * 4
