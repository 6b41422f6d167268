"""`edgelift upscale` as a user meets it, with right and with wrong input. Interpolation needs no engine, so most use it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import pyvips

from edgelift.core.resize import resize
from edgelift.io.bundle import bundled

PNG = np.random.default_rng(3).integers(0, 256, (24, 31, 3), np.uint8)


def load(path: Path) -> np.ndarray:
    return np.asarray(pyvips.Image.new_from_file(str(path)).numpy())


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    pyvips.Image.new_from_array(PNG).pngsave(str(path))
    return path


def test_one_picture(edgelift, photo: Path, tmp_path: Path) -> None:
    said = edgelift("upscale", photo, "-o", tmp_path / "out.png", "-m", "bicubic", "-s", 3)
    assert (said.code, said.out, said.err) == (0, "", "")
    np.testing.assert_array_equal(load(tmp_path / "out.png"), resize(PNG, 72, 93))


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (["-s", "1.7"], (41, 53)),
        (["--width", "50"], (39, 50)),
        (["--height", "50"], (50, 65)),
        (["--size", "40x30"], (30, 40)),
    ],
)
def test_sizes(edgelift, photo: Path, tmp_path: Path, words: list[str], size: tuple[int, int]) -> None:
    assert edgelift("upscale", photo, "-o", tmp_path / "o.png", "-m", "lanczos", *words).code == 0
    assert load(tmp_path / "o.png").shape[:2] == size


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif", "png"])
def test_formats_by_extension(edgelift, photo: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out.{suffix}"
    assert edgelift("upscale", photo, "-o", out, "-m", "bicubic").code == 0
    assert load(out).shape == (48, 62, 3)


def test_a_folder_with_a_bad_file(edgelift, photo: Path, tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "good.png").write_bytes(photo.read_bytes())
    (inside / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    said = edgelift(
        "upscale", inside, "-o", tmp_path / "out", "-m", "nearest", "--json", tmp_path / "r.json", "--json-events"
    )
    assert said.code == 3
    assert "1 picture done, 1 failed" in said.err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good_x2.png"]
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["done"], report["failed"], report["model"], report["runs_on"]) == (1, 1, "nearest", "interpolation")
    events = [json.loads(line) for line in said.out.splitlines()]
    assert [e["event"] for e in events] == ["picture", "picture", "end"]
    assert {e["status"] for e in events[:2]} == {"done", "failed"}
    again = edgelift("upscale", inside, "-o", tmp_path / "out", "-m", "nearest", "--resume")
    assert "1 skipped" in again.err


def test_a_missing_input_stops_no_others(edgelift, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = edgelift("upscale", tmp_path / "missing.png", photo, "-o", out, "-m", "nearest", "--dry-run")
    assert (said.code, f"{photo} -> " in said.out, "missing.png: no such file" in said.err) == (3, True, True)
    said = edgelift("upscale", tmp_path / "missing.png", photo, "-o", out, "-m", "nearest")
    assert said.code == 3
    assert "missing.png: no such file or folder" in said.err
    assert "1 picture done, 1 failed" in said.err
    assert [p.name for p in out.iterdir()] == ["photo_x2.png"]


def test_results_above_their_folder(edgelift, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    photo.rename(tmp_path / "sub" / "photo.png")
    monkeypatch.chdir(tmp_path)
    assert edgelift("upscale", "sub", "-o", ".", "-m", "nearest").code == 0
    assert (tmp_path / "photo_x2.png").exists()


def test_metadata_that_is_left_out_is_told_once(edgelift, photo: Path, tmp_path: Path) -> None:
    image = pyvips.Image.new_from_file(str(photo)).copy()
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Make", "edgelift (edgelift, ASCII, 9 components, 9 bytes)")
    (tmp_path / "in").mkdir()
    for k in range(3):
        image.jpegsave(str(tmp_path / "in" / f"{k}.jpg"))
    said = edgelift("upscale", tmp_path / "in", "-o", tmp_path / "out", "-m", "nearest", "-f", "tif")
    what = "TIFF holds no EXIF, and what there is of it is left out; to keep it choose .png or .jpg or .webp or .avif"
    assert (said.code, said.err) == (0, f"edgelift: {what}\n3 pictures done\n")


def test_an_existing_result_is_kept_without_being_asked(edgelift, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    out.write_text("precious")
    said = edgelift("upscale", photo, "-o", out, "-m", "bicubic")
    assert said.code == 4
    assert "--overwrite" in said.err
    assert out.read_text() == "precious"
    assert edgelift("upscale", photo, "-o", out, "-m", "bicubic", "--overwrite").code == 0
    assert load(out).shape == (48, 62, 3)


def test_the_same_command_gives_the_same_file(edgelift, photo: Path, tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        assert edgelift("upscale", photo, "-o", tmp_path / name, "-m", "lanczos").code == 0
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


WRONG_INPUTS = {
    "missing": (None, "no such file"),
    "text.png": (b"just words\n", "not a picture"),
    "empty.png": (b"", "empty"),
    "cut.jpg": ("jpeg", "cut.jpg"),
    "cut.png": ("png", "cut.png"),
}


@pytest.mark.parametrize("name", WRONG_INPUTS)
def test_wrong_inputs(edgelift, tmp_path: Path, name: str) -> None:
    content, words = WRONG_INPUTS[name]
    source = tmp_path / name
    if isinstance(content, str):
        noise = pyvips.Image.new_from_array(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
        content = noise.write_to_buffer("." + content)[:2000]
    if content is not None:
        source.write_bytes(content)
    before = hashlib.sha256(content or b"").digest()
    said = edgelift("upscale", source, "-o", tmp_path / "out.png", "-m", "bicubic")
    assert said.code == 3
    assert words in said.err
    assert said.err.startswith("edgelift: ")
    assert len(said.err.splitlines()) == 1
    assert content is None or hashlib.sha256(source.read_bytes()).digest() == before
    assert {p.name for p in tmp_path.iterdir()} <= {name}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["-m", "no-such-model"], 2, "bicubic"),
        (["-m", "abpn-x3", "-s", "0"], 2, "above 0"),
        (["-s", "17"], 2, "at most ×16"),
        (["-m", "bicubic", "-s", "-2"], 2, "above 0"),
        (["-m", "bicubic", "--tile", "12"], 2, "HEIGHTxWIDTH"),
        (["-m", "bicubic", "--size", "wide"], 2, "WIDTHxHEIGHT"),
        (["-m", "bicubic", "--width", "9", "-s", "2"], 2, "not both"),
        (["-m", "bicubic", "--overwrite", "--resume"], 2, "one of them"),
        (["-m", "bicubic", "-f", "xyz"], 2, "xyz"),
        (["-m", "bicubic", "--precision", "f8"], 2, "f8"),
        (["--engine", "warp"], 2, "openvino"),
        (["--engine", "warp", "-s", "1.7"], 2, "openvino"),
        (["--engine", "warp", "--width", "9"], 2, "openvino"),
        (["--engine", "warp", "-s", "0.5"], 2, "leave engine out"),
        (["-s", "0.5", "--jobs", "1:2:1"], 2, "leave workers (--jobs) out"),
        (["-m", "bicubic", "--jobs", "1:2:1"], 2, "workers (--jobs) out"),
        (["--nonsense"], 2, "nonsense"),
    ],
)
def test_wrong_words(edgelift, photo: Path, tmp_path: Path, words: list[str], code: int, message: str) -> None:
    said = edgelift("upscale", photo, "-o", tmp_path / "out.png", *words)
    assert said.code == code
    assert message in said.err
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]


def test_output_without_extension(edgelift, photo: Path, tmp_path: Path) -> None:
    said = edgelift("upscale", photo, "-o", tmp_path / "out", "-m", "bicubic")
    assert said.code != 0
    assert ".png" in said.err


def test_output_beyond_the_formats_limit(edgelift, photo: Path, tmp_path: Path) -> None:
    said = edgelift("upscale", photo, "-o", tmp_path / "out.webp", "-m", "nearest", "--width", "20000")
    assert said.code == 4
    assert "16383" in said.err
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]


def test_output_over_its_input(edgelift, photo: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.png"
    link.symlink_to(photo)
    before = photo.read_bytes()
    for target in (photo, link):
        assert edgelift("upscale", photo, "-o", target, "-m", "bicubic", "--overwrite").code == 4
        assert photo.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder(edgelift, photo: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    assert edgelift("upscale", photo, "-o", closed / "out.png", "-m", "bicubic").code == 4


@pytest.mark.parametrize("option", ["--json", "--map"])
def test_reports_and_maps_replace_no_picture(edgelift, photo: Path, tmp_path: Path, option: str) -> None:
    before, out = photo.read_bytes(), tmp_path / "out.png"
    for place, code in ((photo, 2), (out, 2), (tmp_path / "none" / "x", 4), (tmp_path, 4), (Path("/dev/null"), 4)):
        said = edgelift("upscale", photo, "-o", out, "--budget", "auto", option, place)
        assert said.code == code, said.err
        assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]
    assert photo.read_bytes() == before


@pytest.mark.parametrize("option", ["--json", "--map"])
def test_reports_and_maps_replace_only_earlier_ones(edgelift, photo: Path, tmp_path: Path, option: str) -> None:
    there, words = tmp_path / "there", ("upscale", photo, "-o", tmp_path / "out.png", "--budget", "auto")
    for content in (b"precious", b"{}", b"[1]", photo.read_bytes()):
        there.write_bytes(content)
        said = edgelift(*words, option, there)
        assert (said.code, "exists already" in said.err) == (4, True)
        assert there.read_bytes() == content


def test_a_report_replaces_an_earlier_one(edgelift, photo: Path, tmp_path: Path) -> None:
    report, words = tmp_path / "r.json", ("upscale", photo, "-m", "nearest", "--json", tmp_path / "r.json")
    for name in ("1.png", "2.png"):
        assert edgelift(*words, "-o", tmp_path / name).code == 0
        assert json.loads(report.read_text())["pictures"][0]["output"] == str(tmp_path / name)
    report.write_text("other")
    assert edgelift(*words, "-o", tmp_path / "3.png", "--overwrite").code == 0
    assert json.loads(report.read_text())["done"] == 1


def test_models_and_routes_are_never_written(edgelift, photo: Path, tmp_path: Path) -> None:
    weights = Path(bundled()["abpn-x2"])
    model, other, routes, out = (tmp_path / name for name in ("m.onnx", "n.onnx", "routes.json", "out.png"))
    for path in (model, other):
        path.write_bytes(weights.read_bytes())
    rows = [{"read": [0, 24], "keep": [0, 24], "windows": [[0, 31, 0, 31, 0]]}]
    plan = {"height": 24, "width": 31, "rows": rows}
    routes.write_text(json.dumps({"edgelift": "0", "pictures": [{"input": str(photo), "budget": {"routes": plan}}]}))
    before = {path: path.read_bytes() for path in (model, other, routes)}
    blend = f"{model}:0.5,{other}:0.5"
    for words in (
        ("-m", model, "-o", out, "--json", model),
        ("-m", model, "-o", model, "-f", "png"),
        ("--blend", blend, "-o", out, "--json", other),
        ("-m", "anytime-x2", "--routes", routes, "-o", out, "--json", routes),
    ):
        said = edgelift("upscale", photo, "--overwrite", *words)
        assert said.code == 2, said.err
        assert {path: path.read_bytes() for path in before} == before


def test_output_below_a_file(edgelift, photo: Path) -> None:
    said = edgelift("upscale", photo, "-o", photo / "out.png", "-m", "bicubic")
    assert said.code == 4
    assert said.err == f"edgelift: {photo}: the folder cannot be made (File exists); choose another\n"


def test_names_that_no_file_can_have(edgelift, photo: Path, tmp_path: Path) -> None:
    long = tmp_path / f"{'n' * 252}.png"
    for source in (photo, tmp_path):
        said = edgelift("upscale", source, "-o", long, "-m", "bicubic")
        assert (said.code, "File name too long" in said.err) == (4, True)
    said = edgelift("upscale", long, "-o", tmp_path / "out.png", "-m", "bicubic")
    assert (said.code, "no such file" in said.err) == (3, True)


def test_a_damaged_bundle(edgelift, photo: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "model.onnx"
    bundle.write_bytes(b"\x08\x07garbage")
    said = edgelift("upscale", photo, "-o", tmp_path / "out.png", "-m", bundle)
    assert said.code == 5
    assert "model.onnx" in said.err


def test_one_pixel(edgelift, tmp_path: Path) -> None:
    source = tmp_path / "dot.png"
    pyvips.Image.new_from_array(np.full((1, 1, 3), 77, np.uint8)).pngsave(str(source))
    assert edgelift("upscale", source, "-o", tmp_path / "out.png", "-m", "bicubic", "-s", 4).code == 0
    np.testing.assert_array_equal(load(tmp_path / "out.png"), np.full((4, 4, 3), 77))
