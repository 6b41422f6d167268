"""`edgelift upscale` within a time budget, `edge-table` and the plot of a table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image

from edgelift.evaluate import plots
from edgelift.runtime.engines import availability

ENGINE = pytest.mark.skipif(all(found.problem for found in availability()), reason="no engine is installed")
PLOTS = pytest.mark.skipif(not plots.available(), reason="matplotlib is not installed")


def scene(height: int = 90, width: int = 140) -> np.ndarray:
    """Smooth above, noise below."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(-60, 60, (height, width)) * (y > height // 2)
    grey = np.clip(128 + 40 * np.sin(x / 50 + y / 40) + noise, 0, 255)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    pyvips.Image.new_from_array(scene()).pngsave(str(path))
    return path


def load(path: Path) -> np.ndarray:
    return np.asarray(pyvips.Image.new_from_file(str(path)).numpy())


@ENGINE
@pytest.mark.parametrize("budget", ["1000s", "100000%", "auto"])  # none that a slow machine could miss
def test_reported_and_replayed_to_the_same_file(edgelift, photo: Path, tmp_path: Path, budget: str) -> None:
    first, again = tmp_path / "first.png", tmp_path / "again.png"
    report, chart = tmp_path / "report.json", tmp_path / "map.png"
    said = edgelift("upscale", photo, "-o", first, "--budget", budget, "--json", report, "--map", chart)
    assert (said.code, said.err) == (0, "")
    assert load(first).shape == (180, 280, 3)
    facts = json.loads(report.read_text())
    assert facts["model"] == "anytime-x2"
    found = facts["pictures"][0]["budget"]
    assert found["predicted"] > 0
    assert found["real"] > 0
    assert (found["real"] > facts["pictures"][0]["seconds"]) == (budget == "1000s")  # files are no part of a share
    assert (found["limit"] is None) == (budget == "auto")
    assert sum(found["shares"].values()) == pytest.approx(1, abs=1e-3)
    assert edgelift("upscale", photo, "-o", again, "--routes", report, "--map", chart).code == 0  # an earlier map
    assert first.read_bytes() == again.read_bytes()
    said = edgelift("upscale", photo, "-o", tmp_path / "other.png", "--scale", "4", "--routes", report)
    assert (said.code, "its routes are of anytime-x2, not of anytime-x4" in said.err) == (2, True)
    tints = load(chart)
    assert tints.shape == (90, 140, 3)
    assert (tints.max(axis=2) > tints.min(axis=2)).mean() > 0.9  # a map has colours


@ENGINE
def test_all_the_time_there_is_gives_the_widest(edgelift, photo: Path, tmp_path: Path) -> None:
    timed, fixed = tmp_path / "timed.png", tmp_path / "fixed.png"
    assert edgelift("upscale", photo, "-o", timed, "-s", 2, "--budget", "1000s", "-m", "anytime-x2").code == 0
    assert edgelift("upscale", photo, "-o", fixed, "-s", 2, "-m", "anytime-x2").code == 0
    difference = np.abs(load(timed).astype(int) - load(fixed))
    assert difference[:80].max() <= 60  # where it is smooth interpolation may be as good
    assert np.median(difference[120:]) == 0


@ENGINE
def test_too_little_time(edgelift, photo: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    said = edgelift("upscale", photo, "-o", tmp_path / "out.png", "--budget", "0.001ms", "--json", report)
    assert said.code == 11
    assert "are too little even for the quickest way, which took" in said.err
    found = json.loads(report.read_text())["pictures"][0]["budget"]
    assert (found["kept"], found["too_little"]) == (False, True)
    assert set(found["shares"]) <= {"0", "1"}  # by a guess of prices they may take the same
    assert load(tmp_path / "out.png").shape == (180, 280, 3)


@ENGINE
def test_folders_and_other_sizes(edgelift, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(3):
        pyvips.Image.new_from_array(scene(60 + k, 80)).pngsave(str(folder / f"{k}.png"))
    report = tmp_path / "report.json"
    said = edgelift("upscale", folder, "-o", tmp_path / "out", "--fps", "0.01", "--scale", "3", "--json", report)
    assert said.code == 0
    rows = json.loads(report.read_text())["pictures"]
    assert [row["budget"]["limit"] for row in rows] == [100.0] * 3
    assert load(tmp_path / "out" / "2_x3.png").shape == (186, 240, 3)
    again = tmp_path / "again"
    assert edgelift("upscale", folder, "-o", again, "--scale", "3", "--routes", report).code == 0
    assert (again / "0_x3.png").read_bytes() == (tmp_path / "out" / "0_x3.png").read_bytes()


def animation(path: Path) -> Path:
    first, *others = [Image.fromarray(np.roll(scene(40, 50), 9 * k, axis=1)) for k in range(3)]
    first.save(path, save_all=True, append_images=others, duration=80)
    return path


@ENGINE
def test_frames_that_had_too_little_time(edgelift, tmp_path: Path) -> None:
    report, out = tmp_path / "report.json", tmp_path / "out.gif"
    source = animation(tmp_path / "in.gif")
    said = edgelift("upscale", source, "-o", out, "--budget", "0.001ms", "--json", report)
    assert said.code == 11
    assert "are too little even for the quickest way" in said.err
    row = json.loads(report.read_text())["pictures"][0]
    assert row["budget"]["too_little"]
    assert row["budget"]["real"] < row["seconds"]  # that of one frame
    assert "routes" not in row["budget"]
    said = edgelift("upscale", source, "-o", tmp_path / "2.gif", "--budget", "auto", "--map", tmp_path / "map.png")
    assert (said.code, "none was drawn; " in said.err) == (2, True)


@ENGINE
def test_pictures_without_routes_stop_no_others(edgelift, tmp_path: Path) -> None:
    folder, report = tmp_path / "in", tmp_path / "report.json"
    folder.mkdir()
    animation(folder / "a.gif")
    (folder / "b.png").write_bytes(b"no picture")
    pyvips.Image.new_from_array(scene(20, 30)).pngsave(str(folder / "c.png"))
    words = ("-f", "webp", "--lossless")
    said = edgelift("upscale", folder, "-o", tmp_path / "1", *words, "--budget", "auto", "--json", report)
    assert said.code == 3
    said = edgelift("upscale", folder, "-o", tmp_path / "2", *words, "--routes", report)
    assert (said.code, "a.gif: the report has no routes for it" in said.err) == (2, True)
    assert [path.name for path in (tmp_path / "2").iterdir()] == ["c_x2.webp"]
    assert (tmp_path / "1" / "c_x2.webp").read_bytes() == (tmp_path / "2" / "c_x2.webp").read_bytes()


@ENGINE
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", "0s"], "and above 0; got '0s'"),
        (["--budget", "soon"], "a budget is seconds (2s, 40ms, 1.5min)"),
        (["--budget", "2s", "--fps", "25"], "give one of --budget, --fps and --routes"),
        (["--fps", "0"], "--fps is a number of pictures a second above 0, such as 25, got 0"),
        (["--fps", "inf"], "--fps is a number of pictures a second above 0, such as 25, got inf"),
        (["--fps", "1e-320"], "--fps is a number of pictures a second above 0"),
        (
            ["--budget", "2s", "-m", "abpn-x2"],
            "abpn-x2 has no variants to choose from by a budget; those that do are anytime-x2",
        ),
        (["--budget", "2s", "-m", "bicubic"], "bicubic has no variants to choose from"),
        (["--budget", "2s", "-t", "64x64"], "a budget chooses its own windows; leave tile"),
        (["--budget", "2s", "--memory", "1G"], "a budget chooses its own windows"),
        (["--budget", "2s", "--scale", "7"], "a budget is for one pass of a network; ask for at most ×4"),
        (["--map", "map.png"], "--map is for one picture file, with --budget or --routes"),
        (["--routes", "missing.json"], "missing.json: cannot be read"),
    ],
)
def test_bad_requests(edgelift, photo: Path, tmp_path: Path, words: list[str], message: str) -> None:
    said = edgelift("upscale", photo, "-o", tmp_path / "out.png", *words)
    assert said.code in (2, 3)
    assert message in said.err
    assert not (tmp_path / "out.png").exists()


@ENGINE
@pytest.mark.parametrize("option", ["--json", "--map"])
def test_files_beside_the_result_harm_nothing(edgelift, photo: Path, tmp_path: Path, option: str) -> None:
    """They are refused before the work where they would replace a picture, or cannot be written."""
    before, out, other = photo.read_bytes(), tmp_path / "out.png", tmp_path / "other"
    said = edgelift("upscale", photo, "-o", out, "--budget", "auto", option, tmp_path / "." / "photo.png")
    assert (said.code, "is the name of a picture of this run; give another" in said.err) == (2, True)
    assert photo.read_bytes() == before
    assert edgelift("upscale", photo, "-o", out, "--budget", "auto", option, out).code == 2
    said = edgelift("upscale", photo, "-o", out, "--budget", "auto", "--json", other, "--map", other)
    assert (said.code, "is the name of what --json writes" in said.err) == (2, True)
    said = edgelift("upscale", photo, "-o", out, "--budget", "auto", option, tmp_path / "none" / "file")
    assert (said.code, "does not exist; create it first" in said.err) == (4, True)
    assert edgelift("upscale", photo, "-o", out, "--budget", "auto", option, other, "--dry-run").code == 2
    assert not out.exists()


@ENGINE
def test_files_beside_the_result_may_lie_in_a_folder_that_it_makes(edgelift, photo: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    words = ("--budget", "auto", "--json", new / "report.json", "--map", new / "map.png")
    assert edgelift("upscale", photo, "-o", new / "deep" / "out.png", *words).code == 0
    assert {path.name for path in new.iterdir()} == {"deep", "report.json", "map.png"}


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "[" * 10**5, '{"pictures": []}', '{"pictures": [{"input": "a", "budget": {}}]}']
)
def test_reports_without_routes(edgelift, photo: Path, tmp_path: Path, text: str) -> None:
    report = tmp_path / "report.json"
    report.write_text(text)
    said = edgelift("upscale", photo, "-o", tmp_path / "out.png", "--routes", report)
    assert said.code == 2
    assert "not a report with routes" in said.err


@ENGINE
def test_routes_of_other_pictures(edgelift, photo: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    routes = {"height": 1, "width": 1, "rows": [{"read": [0, 1], "keep": [0, 1], "windows": [[0, 1, 0, 1, 0]]}]}
    report.write_text(json.dumps({"pictures": [{"input": "other.png", "budget": {"routes": routes}}]}))
    said = edgelift("upscale", photo, "-o", tmp_path / "out.png", "--routes", report)
    assert said.code == 2
    assert "the report has no routes for" in said.err


# -- tables


@ENGINE
def test_edge_table(edgelift, tmp_path: Path) -> None:
    from edgelift.io.bundle import find_bundle, read_bundle
    from edgelift.runtime.anytime.table import table_of

    model = tmp_path / "mine.onnx"
    model.write_bytes(find_bundle("anytime-x2").read_bytes())
    before = read_bundle(model)
    folder = tmp_path / "pictures"
    folder.mkdir()
    pyvips.Image.new_from_array(np.repeat(np.repeat(scene(150, 200), 2, 0), 2, 1)).pngsave(str(folder / "a.png"))
    pyvips.Image.new_from_array(scene(20, 20)).pngsave(str(folder / "small.png"))
    (folder / "broken.png").write_bytes(b"no picture")
    said = edgelift("edge-table", model, "--data", folder, "--json", "--write")
    assert said.code == 0
    assert said.err.count("skipped") == 2
    facts = json.loads(said.out)
    after = read_bundle(model)
    assert table_of(after.spec).as_plain() == facts["table"]
    assert after.spec.routing["macs"] == before.spec.routing["macs"]
    assert 0 < facts["halo"] <= 7
    assert set(facts["correlations"]) == {"absolute", "square"}
    assert facts["correlations"]["square"]["psnr"] < -0.5  # more detail, less PSNR
    assert "rank correlation of square" in edgelift("edge-table", model, "--data", folder).out


@ENGINE
def test_edge_table_refuses(edgelift, tmp_path: Path) -> None:
    said = edgelift("edge-table", "abpn-x2", "--data", tmp_path)
    assert (said.code, "abpn-x2 has no variants" in said.err) == (2, True)
    said = edgelift("edge-table", "anytime-x2", "--data", tmp_path)
    assert (said.code, "no pictures in it" in said.err) == (3, True)
    said = edgelift("edge-table", "anytime-x2", "--data", tmp_path, "--score", "colour")
    assert (said.code, "a score is one of absolute, square" in said.err) == (2, True)


@PLOTS
def test_plot_of_a_table(edgelift, tmp_path: Path) -> None:
    said = edgelift("models", "show", "anytime-x2", "--plot", tmp_path / "table.svg")
    assert said.code == 0
    assert (tmp_path / "table.svg").read_text().startswith("<")
    said = edgelift("models", "show", "abpn-x2", "--plot", tmp_path / "none.svg")
    assert (said.code, "has no variants" in said.err) == (2, True)
