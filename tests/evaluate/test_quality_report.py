"""What reports show of an evaluation: the places of errors, tables, JSON, plot and page."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from edgelift.core.errors import InputError
from edgelift.core.resize import resize
from edgelift.evaluate import plots
from edgelift.evaluate.crops import WHITE, Gallery, error_map, furthest
from edgelift.evaluate.likeness import Likeness
from edgelift.evaluate.pairs import Loaded, Pair
from edgelift.evaluate.quality import Evaluation, Problem, Row, Score, Seen
from edgelift.evaluate.quality_report import document, niqe_note, page, pareto_plot, rows_table, summary_table

RNG = np.random.default_rng(8)


def seen(
    number: int = 0, total: int = 1, *, at: tuple[int, int] = (70, 90), wrong: int = 40, grey: bool = False
) -> Seen:
    """A picture of 180×150 of which `net` misses a square of 20 at `at`, and `bicubic` everything a little."""
    small = RNG.integers(60, 180, (50, 60, 1 if grey else 3), np.uint8)
    small = np.repeat(small, 3, axis=2) if grey else small
    truth = resize(small, 150, 180)
    net = truth.copy()
    net[at[0] : at[0] + 20, at[1] : at[1] + 20] += np.uint8(wrong)
    loaded = Loaded(Pair(f"p{number}", Path("p.png"), None), truth, small, grey)
    return Seen(number, total, loaded, {"net": net, "bicubic": truth + np.uint8(9)}, frozenset({"net"}))


def row(name: str, decibels: float, seconds: float | None, niqe: float | None = 5.0) -> Row:
    return Row(name, (100, 200), Likeness(decibels, 0.9, decibels - 1, 0.8), niqe, seconds)


FOUND = Evaluation(
    3,
    (
        Score("fast", "fast", "interpolation", None, (row("a", 30.0, 0.1), row("b", 32.0, 0.2, None))),
        Score("good", "good.onnx", "some engine", None, (row("a", 33.0, 0.4), row("b", 35.0, 0.5))),
        Score("slow", "slow.onnx", "some engine", None, (row("a", 31.0, 0.6), row("b", math.inf, 0.5))),
        Score("none", "none", "some engine", None, ()),
    ),
    3,
    4.5,
    "own",
    (Problem(InputError("<c>.png: is empty"), picture="<c>"),),
)


# -- crops


@pytest.mark.parametrize("at", [(3, 3), (70, 90), (127, 157)])
def test_the_place_that_is_furthest_from_the_truth_is_in_the_square(at: tuple[int, int]) -> None:
    top, left, side, error = furthest(seen(at=at))
    assert side == 64
    assert top <= at[0]
    assert left <= at[1]
    assert top + side >= at[0] + 20
    assert left + side >= at[1] + 20
    assert 3 <= top <= 150 - 3 - side
    assert 3 <= left <= 180 - 3 - side
    assert error == pytest.approx(math.sqrt(20**2 * (40 * 219 / 255) ** 2 / 64**2), rel=1e-6)


def test_interpolations_count_where_there_is_no_network() -> None:
    given = seen()
    alone = Seen(0, 1, given.loaded, {"bicubic": given.results["bicubic"]}, frozenset())
    assert furthest(alone)[3] == pytest.approx(9 * 219 / 255)


def test_pictures_smaller_than_a_crop() -> None:
    truth = np.zeros((27, 60, 3), np.uint8)
    loaded = Loaded(Pair("p", Path("p.png"), None), truth, truth[::3, ::3], False)
    gallery = Gallery()
    gallery.see(Seen(0, 1, loaded, {"nearest": truth + np.uint8(1)}, frozenset()))
    assert gallery.worst[0].truth.shape == (21, 21, 3)
    assert gallery.parts[0].truth.shape == (27, 60, 3)


def test_error_maps_go_from_black_to_white() -> None:
    truth = np.zeros((1, 4, 3), np.uint8)
    result = truth + np.array([0, 15, 37, 70], np.uint8)[None, :, None]
    colours = error_map(result, truth)
    assert colours[0, 0].tolist() == [0, 0, 0]
    assert colours[0, 3].tolist() == [255, 255, 255]
    assert (np.diff(colours.astype(int).sum(axis=2)[0]) > 0).all()
    assert 70 * 219 / 255 > WHITE > 37 * 219 / 255


def test_a_gallery_keeps_the_worst_and_evenly_spread_parts() -> None:
    gallery = Gallery(shown=3, worst=2)
    for number, wrong in enumerate([10, 50, 20, 60, 30, 40, 5]):
        gallery.see(seen(number, 7, wrong=wrong))
    assert [each.picture for each in gallery.worst] == ["p3", "p1"]
    assert [each.picture for each in gallery.parts] == ["p0", "p3", "p6"]
    assert all(part.base is None for part in gallery.worst[0].results.values())


def test_a_gallery_of_one_picture_and_one_that_looks_at_nothing() -> None:
    gallery, blind = Gallery(), Gallery(shown=0, worst=0)
    for each in (gallery, blind):
        each.see(seen())
    assert (len(gallery.parts), len(gallery.worst)) == (1, 1)
    assert (blind.parts, blind.worst) == ([], [])


def test_bicubic_is_made_where_it_is_no_model() -> None:
    given = seen()
    gallery = Gallery()
    gallery.see(Seen(0, 1, given.loaded, {"net": given.results["net"]}, given.networks))
    np.testing.assert_array_equal(gallery.parts[0].bicubic, resize(given.loaded.small, 150, 180))


def test_grey_and_deep_pictures_are_shown_as_they_are_written() -> None:
    given = seen(grey=True)
    given.results["net"][..., 0] = 0  # only the green channel is written
    deep = {name: picture.astype(np.uint16) * 257 for name, picture in given.results.items()}
    for results in (given.results, deep):
        gallery = Gallery(shown=1)
        gallery.see(Seen(0, 1, given.loaded, results, given.networks))
        shown = gallery.parts[0].results["net"]
        assert shown.dtype == np.uint8
        np.testing.assert_array_equal(shown, np.repeat(given.results["net"][..., 1:2], 3, axis=2))


# -- tables and JSON


def test_summary() -> None:
    table = summary_table(FOUND)
    assert table.columns[:2] == ("model", "PSNR-Y")
    assert table.rows[0] == ("fast", "31.00", "0.9000", "30.00", "0.8000", "5.000", "0.15", "7.5", "2")
    assert table.rows[2][1] == "∞"
    assert table.rows[3] == ("none", *["–"] * 7, "0")
    assert niqe_note(FOUND) == "NIQE by the model 'own'; of the references 4.500"


def test_rows_are_by_picture_then_in_the_order_of_models() -> None:
    assert [r[:3] for r in rows_table(FOUND).rows] == [
        (picture, model, "200×100") for picture in "ab" for model in ("fast", "good", "slow")
    ]


def test_json_holds_all_and_only_what_json_knows() -> None:
    plain = json.loads(json.dumps(document(FOUND, {"machine": {"cpu": "x"}}), allow_nan=False))
    assert plain["machine"] == {"cpu": "x"}
    assert (plain["scale"], plain["pictures"], plain["niqe_of_truth"]) == (3, 3, 4.5)
    fast, _, slow, none = plain["models"]
    assert fast["mean"]["psnr_y"] == 31.0
    assert fast["rows"][1] == {
        "picture": "b", "height": 100, "width": 200, "psnr_y": 32.0, "ssim_y": 0.9, "psnr_rgb": 31.0, "ssim_rgb": 0.8,
        "niqe": None, "seconds": 0.2,
    }  # fmt: skip
    assert slow["mean"]["psnr_y"] == "inf"
    assert (none["mean"]["psnr_y"], none["seconds_per_megapixel"], none["rows"]) == (None, None, [])
    assert plain["problems"] == [{"model": None, "picture": "<c>", "message": "<c>.png: is empty", "code": 3}]


# -- plot and page


def test_the_plot_shows_who_is_measured_with_their_front(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {}
    monkeypatch.setattr(
        plots, "scatter", lambda points, *words, **options: drawn.update(points=points, **options) or "x"
    )
    assert pareto_plot(FOUND) == "x"
    assert [point[0] for point in drawn["points"]] == ["fast", "good"]  # an infinite PSNR has no place on it
    assert drawn["front"] == [0, 1]
    assert drawn["points"][0][1:] == pytest.approx((7.5, 31.0))


def test_no_time_no_plot() -> None:
    score = Score("a", "a", "x", None, (row("a", 30.0, None),))
    assert pareto_plot(Evaluation(3, (score,), 1, None, "", ())) is None


def report(results: dict[str, float], gallery: Gallery) -> str:
    scores = tuple(Score(name, name, "x", None, (row("p0", dB, 0.1),)) for name, dB in results.items())
    problems = (Problem(InputError("broken"), "net", "p1"),)
    return page(Evaluation(3, scores, 1, None, "", problems), gallery, {"references": "<hr>"}).render()


def test_the_page_shows_everything() -> None:
    gallery = Gallery()
    gallery.see(seen())
    text = report({"bicubic": 30.0, "net": 33.0}, gallery)
    for words in (
        "Models compared at ×3", "&lt;hr&gt;", "<td class='number best'>33.00</td>", "What could not be measured", "broken",
        "Before and after", "p0: bicubic", "p0: error of net", "Worst places", "net, and its error",
        "All measures of each picture", "The models",
    ):  # fmt: skip
        assert words in text
    assert text.count('type="range"') == 1


def test_bicubic_alone_is_compared_with_the_truth() -> None:
    gallery = Gallery()
    given = seen()
    gallery.see(Seen(0, 1, given.loaded, {"bicubic": given.results["bicubic"]}, frozenset()))
    assert "<span>p0: bicubic</span><span>truth</span>" in report({"bicubic": 30.0}, gallery)


def test_the_page_does_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "available", lambda: False)
    assert "pip install &#x27;edgelift[report]&#x27;" in report({"bicubic": 30.0}, Gallery())
