"""Evaluation: right figures, by an independent count too; and what goes wrong is named while the rest is measured."""

from __future__ import annotations

import math
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

from edgelift.core.errors import BundleError, InputError, OutputError, RequestError
from edgelift.core.image import luma
from edgelift.core.metrics import psnr, ssim
from edgelift.core.resize import resize
from edgelift.evaluate.likeness import compare
from edgelift.evaluate.quality import Evaluation, Problem, Seen, evaluate
from edgelift.io.bundle import bundled
from edgelift.runtime.upscaler import Upscaler

RNG = np.random.default_rng(5)


def scene(height: int, width: int) -> np.ndarray:
    """Smooth colours with a little grain."""
    y, x = np.mgrid[:height, :width][..., None] / 9
    waves = 128 + 90 * np.sin(x + np.arange(3)) * np.cos(y - np.arange(3))
    return np.clip(waves + RNG.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)


def save(array: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    pyvips.Image.new_from_array(array).pngsave(str(path))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three references: two in colour, one grey."""
    save(scene(40, 51), tmp_path / "hr" / "a.png")
    save(scene(48, 36), tmp_path / "hr" / "b.png")
    save(scene(42, 42)[..., 0], tmp_path / "hr" / "c.png")
    return tmp_path / "hr"


def measured(models: list[str], folder: Path, **options: Any) -> Evaluation:
    return evaluate(models, folder, **{"scale": 3, "rounds": 0, "with_niqe": False, **options})


# -- figures


def test_likeness_is_that_of_the_plain_measures() -> None:
    a, b = scene(40, 50), scene(40, 50)
    found = compare(a, b, 3)
    cut = np.s_[3:-3, 3:-3]
    assert found.psnr_y == pytest.approx(psnr(luma(a)[cut], luma(b)[cut]))
    assert found.ssim_y == pytest.approx(ssim(luma(a)[cut], luma(b)[cut]))
    assert found.psnr_rgb == pytest.approx(psnr(a[cut], b[cut]))
    assert found.ssim_rgb == pytest.approx(np.mean([ssim(a[cut][..., k], b[cut][..., k]) for k in range(3)]))


def test_grey_is_compared_as_it_is_and_not_on_the_narrower_y() -> None:
    a, b = (np.repeat(scene(30, 30)[..., :1], 3, axis=2) for _ in range(2))
    found = compare(a, b, 2, grey=True)
    assert found.psnr_y == found.psnr_rgb == pytest.approx(psnr(a[2:-2, 2:-2, 0], b[2:-2, 2:-2, 0]))
    assert found.psnr_y < compare(a, b, 2).psnr_y


def test_16_bits_are_compared_on_the_scale_of_8() -> None:
    a, b = scene(30, 30), scene(30, 30)
    deep = [picture.astype(np.uint16) * 257 for picture in (a, b)]
    assert compare(deep[0], deep[1], 2) == compare(a, b, 2)
    assert compare(deep[0], b, 2) == compare(a, b, 2)


def test_pictures_that_cannot_be_compared() -> None:
    with pytest.raises(RequestError, match="one shape"):
        compare(scene(30, 30), scene(30, 31), 2)
    with pytest.raises(RequestError, match="at least 11×11"):
        compare(scene(16, 30), scene(16, 30), 3)


def test_a_row_for_each_picture_and_means_over_them(folder: Path) -> None:
    found = measured(["bicubic", "nearest"], folder)
    assert (found.scale, found.pictures, found.problems) == (3, 3, ())
    assert [score.name for score in found.scores] == ["bicubic", "nearest"]
    for score in found.scores:
        assert [row.picture for row in score.rows] == ["a", "b", "c"]
        for measure in ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"):
            assert score.mean(measure) == pytest.approx(np.mean([row.value(measure) for row in score.rows]))
    truth = pyvips.Image.new_from_file(str(folder / "a.png")).numpy()[:39]
    again = resize(resize(truth, 13, 17), 39, 51)
    assert astuple(found.scores[0].rows[0].likeness) == pytest.approx(astuple(compare(again, truth, 3)))
    assert found.scores[0].rows[0].size == (39, 51)
    assert found.best is found.scores[0]


def test_given_partners_and_made_ones_agree(folder: Path, tmp_path: Path) -> None:
    for name in "abc":
        truth = pyvips.Image.new_from_file(str(folder / f"{name}.png")).numpy()
        height, width = (side // 3 for side in truth.shape[:2])
        save(resize(truth[: 3 * height, : 3 * width], height, width), tmp_path / "lr" / f"{name}x3.png")
    made, given = measured(["lanczos"], folder), measured(["lanczos"], folder, small=tmp_path / "lr")
    assert made == given


def test_nothing_differs(tmp_path: Path) -> None:
    save(np.full((30, 30, 3), 77, np.uint8), tmp_path / "hr" / "flat.png")
    found = measured(["nearest"], tmp_path / "hr", with_niqe=True)
    row = found.scores[0].rows[0]
    assert (row.likeness.psnr_y, row.likeness.ssim_y, row.niqe) == (math.inf, 1.0, None)
    assert found.scores[0].mean("niqe") is None
    assert found.niqe_of_truth is None


def test_niqe_of_pictures_that_have_one(tmp_path: Path) -> None:
    from edgelift.evaluate.niqe import niqe

    truth = scene(200, 204)
    save(truth, tmp_path / "hr" / "a.png")
    save(scene(60, 60), tmp_path / "hr" / "small.png")
    found = measured(["bicubic"], tmp_path / "hr", with_niqe=True)
    cut = truth[:198]
    assert found.niqe_of_truth == pytest.approx(niqe(cut))
    rows = found.scores[0].rows
    assert rows[0].niqe == pytest.approx(niqe(resize(resize(cut, 66, 68), 198, 204)))
    assert rows[1].niqe is None
    assert found.scores[0].mean("niqe") == rows[0].niqe
    assert found.niqe_model


def test_runs_before_the_clock_and_under_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    run = Upscaler.__call__
    monkeypatch.setattr(Upscaler, "__call__", lambda self, picture: shapes.append(picture.shape) or run(self, picture))
    save(scene(40, 51), folder / "d.png")  # as large as a
    found = measured(["nearest"], folder, rounds=2)
    assert shapes.count((13, 17, 3)) == 1 + 2 + 2
    assert shapes.count((16, 12, 3)) == shapes.count((14, 14, 3)) == 1 + 2
    score = found.scores[0]
    times = [row.seconds for row in score.rows]
    assert all(seconds is not None and seconds > 0 for seconds in times)
    assert score.seconds_per_megapixel == pytest.approx(
        sum(t or 0 for t in times) / sum(row.size[0] * row.size[1] for row in score.rows) * 1e6
    )
    assert measured(["nearest"], folder).scores[0].seconds_per_megapixel is None


def score_files(results: Path, truth: Path, scale: int) -> np.ndarray:
    """Mean (PSNR-Y, PSNR-RGB, SSIM-Y) of files, counted without the program: by Pillow and convolution."""
    image = pytest.importorskip("PIL.Image")
    window = np.exp(-((np.arange(11) - 5) ** 2) / 4.5)
    window /= window.sum()

    def blur(plane: np.ndarray) -> np.ndarray:
        for _ in range(2):
            plane = sum(w * plane[k : len(plane) - 10 + k] for k, w in enumerate(window)).T
        return plane

    rows = []
    for path in sorted(truth.iterdir()):
        with image.open(path) as reference, image.open(results / f"{path.stem}_x{scale}.png") as result:
            mode = "L" if reference.mode == "L" else "RGB"
            assert result.mode == mode
            cut = np.s_[scale : result.height - scale, scale : result.width - scale]
            a, b = (np.asarray(picture.convert(mode), float)[cut] for picture in (result, reference))
        ya, yb = (p if mode == "L" else p @ [65.481, 128.553, 24.966] / 255 + 16 for p in (a, b))
        ma, mb = blur(ya), blur(yb)
        va, vb, both = blur(ya * ya) - ma**2, blur(yb * yb) - mb**2, blur(ya * yb) - ma * mb
        c1, c2 = 6.5025, 58.5225
        similar = ((2 * ma * mb + c1) * (2 * both + c2)) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
        rows.append([10 * np.log10(255**2 / np.mean((p - q) ** 2)) for p, q in ((ya, yb), (a, b))] + [similar.mean()])
    return np.mean(rows, axis=0)


@pytest.mark.parametrize("scale", [3, 4])
@pytest.mark.parametrize("name", ["Set5", "Set14"])
def test_an_independent_count_of_the_saved_files_agrees(
    benchmark_sets: Path, tmp_path: Path, name: str, scale: int
) -> None:
    pytest.importorskip("openvino")
    truth, small = benchmark_sets / name / "HR", benchmark_sets / name / f"LR_x{scale}"
    models = ["bicubic", f"abpn-x{scale}"] if name == "Set5" else [f"abpn-x{scale}"]
    found = evaluate(models, truth, small, rounds=0, with_niqe=False, save=tmp_path)
    assert found.problems == ()
    for score in found.scores:
        decibels, rgb, similar = score_files(tmp_path / score.name, truth, scale)
        assert score.mean("psnr_y") == pytest.approx(decibels, abs=0.005)
        assert score.mean("psnr_rgb") == pytest.approx(rgb, abs=0.005)
        assert score.mean("ssim_y") == pytest.approx(similar, abs=0.0001)


@pytest.mark.parametrize(("scale", "decibels"), [(2, 33.67), (3, 30.40), (4, 28.43)])
def test_bicubic_on_set5_as_published(benchmark_sets: Path, scale: int, decibels: float) -> None:
    found = measured(["bicubic"], benchmark_sets / "Set5" / "HR", scale=scale)
    assert found.scores[0].mean("psnr_y") == pytest.approx(decibels, abs=0.0051)


# -- the scale


@pytest.mark.parametrize(
    ("models", "scale", "said"),
    [
        ([], 3, "no model to measure"),
        (["bicubic"], None, "no scale of their own; say which to measure"),
        (["abpn-x3", "bicubic", "abpn-x2"], None, "several scales (abpn-x3 ×3, abpn-x2 ×2)"),
        (["bicubic"], 0, "from 1 to 64, got 0"),
        (["bicubic"], 65, "from 1 to 64, got 65"),
        (["nothing"], None, "no model is called 'nothing'"),
    ],
)
def test_no_scale_follows(folder: Path, models: list[str], scale: int | None, said: str) -> None:
    heard: list[Problem] = []
    with pytest.raises(RequestError) as caught:
        evaluate(models, folder, scale=scale, hear=heard.append)
    assert said in str(caught.value)
    assert heard == []


def test_the_networks_scale_is_taken_and_another_is_a_problem_of_its_model(folder: Path) -> None:
    pytest.importorskip("openvino")
    options: dict[str, Any] = {"rounds": 0, "with_niqe": False}
    found = evaluate(["bicubic", "abpn-x3"], folder, **options)
    assert (found.scale, len(found.scores)) == (3, 2)
    assert found.scores[1].spec is not None
    assert "openvino" in found.scores[1].runs_on
    other = evaluate(["bicubic", "abpn-x3"], folder, scale=2, **options)
    assert [score.name for score in other.scores] == ["bicubic"]
    assert [(p.model, p.error.exit_code) for p in other.problems] == [("abpn-x3", 2)]
    assert "enlarges ×3, not ×2" in str(other.problems[0].error)


# -- what goes wrong


def test_bad_pictures_are_named_and_the_rest_is_measured(folder: Path) -> None:
    (folder / "0.png").write_bytes(b"not a picture")
    whole = (folder / "a.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    save(scene(2, 30), folder / "flat.png")
    save(scene(12, 30), folder / "low.png")
    heard: list[Problem] = []
    found = measured(["bicubic"], folder, hear=heard.append)
    assert [row.picture for row in found.scores[0].rows] == ["a", "b", "c"]
    assert list(found.problems) == heard
    assert [(p.picture, p.model) for p in heard] == [("0", None), ("cut", None), ("flat", None), ("low", "bicubic")]
    assert [p.error.exit_code for p in heard] == [3, 3, 3, 2]
    assert found.pictures == 7


def test_partners_that_fail_are_problems_too(folder: Path, tmp_path: Path) -> None:
    save(scene(13, 17), tmp_path / "lr" / "a.png")
    save(scene(13, 17), tmp_path / "lr" / "b.png")
    save(scene(13, 17), tmp_path / "lr" / "z.png")
    found = measured(["bicubic"], folder, small=tmp_path / "lr")
    assert [row.picture for row in found.scores[0].rows] == ["a"]
    messages = "\n".join(str(p.error) for p in found.problems)
    assert "z.png: no reference" in messages
    assert "c.png: has no partner" in messages
    assert "b.png: 17×13 pixels do not fit" in messages


def test_models_that_are_none(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"nothing")
    found = measured([str(bad), "nothing", "bicubic"], folder)
    assert [score.name for score in found.scores] == ["bicubic"]
    assert [type(p.error) for p in found.problems] == [BundleError, RequestError]
    assert [p.model for p in found.problems] == [str(bad), "nothing"]
    alone = measured([str(bad)], folder)
    assert (alone.scores, alone.best, len(alone.problems)) == ((), None, 1)


def test_results_that_are_no_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Upscaler.__call__

    def spoil(self: Upscaler, picture: np.ndarray) -> np.ndarray:
        result = run(self, picture).astype(np.float32)
        if self.name == "nearest" and picture.shape[:2] == (16, 12):
            result[5, 5] = np.nan
        return result

    monkeypatch.setattr(Upscaler, "__call__", spoil)
    found = measured(["nearest", "bicubic"], folder)
    assert [len(score.rows) for score in found.scores] == [2, 3]
    (problem,) = found.problems
    assert (problem.model, problem.picture, problem.error.exit_code) == ("nearest", "b", 6)
    assert "NaN" in str(problem.error)


def test_requests_that_are_refused_at_once(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="rounds are at least 0, got -1"):
        measured(["bicubic"], folder, rounds=-1)
    with pytest.raises(InputError, match="cannot be read"):
        measured(["bicubic"], folder, with_niqe=True, niqe_model=tmp_path / "none.npz")
    with pytest.raises(OutputError, match="cannot be made"):
        measured(["bicubic"], folder, save=folder / "a.png")


# -- what it leaves and shows


def test_saved_results_are_what_was_measured(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    measured(["bicubic", "nearest"], folder, save=out)
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.png")) == sorted(
        f"{model}/{name}_x3.png" for model in ("bicubic", "nearest") for name in "abc"
    )
    truth = pyvips.Image.new_from_file(str(folder / "b.png")).numpy()
    again = pyvips.Image.new_from_file(str(out / "bicubic" / "b_x3.png"))
    np.testing.assert_array_equal(again.numpy(), resize(resize(truth, 16, 12), 48, 36))
    assert pyvips.Image.new_from_file(str(out / "nearest" / "c_x3.png")).bands == 1


def test_deep_pictures_stay_deep(tmp_path: Path) -> None:
    save(scene(40, 50).astype(np.uint16) * 200, tmp_path / "hr" / "a.png")
    measured(["bicubic"], tmp_path / "hr", save=tmp_path / "out")
    assert pyvips.Image.new_from_file(str(tmp_path / "out" / "bicubic" / "a_x3.png")).format == "ushort"


def test_models_of_one_name_are_told_apart(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(bundled()["fsrcnn-x3"].read_bytes())
    found = measured(["fsrcnn-x3", str(copy), "fsrcnn-x3"], folder, save=tmp_path / "out")
    assert [score.name for score in found.scores] == ["fsrcnn-x3", str(copy)]
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_see_gets_each_picture_with_its_results(folder: Path) -> None:
    seen: list[Seen] = []
    words = []
    measured(["bicubic"], folder, see=seen.append, progress=lambda name, done: words.append((name, done)))
    assert [(s.number, s.total, s.loaded.pair.name) for s in seen] == [(0, 3, "a"), (1, 3, "b"), (2, 3, "c")]
    assert all(s.results["bicubic"].shape == s.loaded.truth.shape for s in seen)
    assert words == [("a", 0), ("b", pytest.approx(1 / 3)), ("c", pytest.approx(2 / 3))]
