"""A profile as a whole: which parts, what fails, the document, the tables and the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgelift.core.errors import EngineError, InputError, RequestError
from edgelift.evaluate import plots
from edgelift.evaluate.profile import document
from edgelift.evaluate.profile.bench import Bench
from edgelift.evaluate.profile.devices import read_profile
from edgelift.evaluate.profile.document import PARTS, Parts, Profile, Request, measure, parts_of
from edgelift.evaluate.profile.metanodes import MetaNodes, MetaTime
from edgelift.evaluate.profile.operators import Node, Operators
from edgelift.evaluate.profile.page import profile_page
from edgelift.evaluate.profile.resolutions import Curve, Point
from edgelift.evaluate.profile.stages import Stage, Stages
from edgelift.evaluate.profile.tables import tables_of
from edgelift.evaluate.profile.tiles import Prices
from edgelift.evaluate.profile.timing import Timing
from edgelift.io.bundle import bundled, read_bundle
from edgelift.runtime import prices
from edgelift.runtime.engines.fake import FakeEngine
from edgelift.tiling.cost import CostModel, Measured

MODEL = "abpn-x2"
pytestmark = pytest.mark.skipif(MODEL not in bundled(), reason="the network is not bundled")
SMALL = {"size": (16, 24), "rounds": 1}


def ms(seconds: float) -> Timing:
    return Timing(seconds / 1e3, seconds / 1e3 * 0.9, seconds / 1e3 * 1.1, 5)


FULL = Parts(
    Stages(
        "boat.png", (10, 20), (20, 40), "uint8", (10, 20), 1, 1, "none", 0.5, ms(100),
        (Stage("decode", 0.02, ms(25)), Stage("inference", 0.07), Stage("postprocess", None)), 0.1,
    ),
    Operators(
        10, 20,
        (Node("conv", "Conv", ms(4), 8_000_000, ("Conv", "Relu")), Node("re\x1border", "Reorder", ms(1), 0)),
        ms(6), ms(5),
    ),
    MetaNodes(
        10, 20, 8, ms(0.1),
        (
            MetaTime("convolution 3×3", ms(2.1), 0.002, True, 0.001, 10_000_000, 100),
            MetaTime("add", ms(1.1), 0.001, True, None, 0, 4_000_000),
            MetaTime("ReLU", ms(0.1), 0.0, False, None, 0, 100),
            MetaTime("sigmoid", None, 0.0, False, None, 0, 100, "no kernel"),
        ),
    ),
    Curve((Point(8, 8, ms(1)), Point(16, 16, ms(8), "step")), "no memory for 32×32 and more"),
    Prices((Measured(1, 8, 8, 0.002), Measured(2, 8, 8, 0.0031)), False),
)  # fmt: skip


@pytest.fixture(autouse=True)
def quick_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    table = CostModel((Measured(1, 8, 8, 0.1),))
    monkeypatch.setattr(prices, "measure", lambda engine, samples, *, most: prices.Measurement(table, 1.0))


def bench(**options: Any) -> Bench:
    bundle = read_bundle(bundled()[MODEL])
    return Bench(bundle, open=lambda bundle, asked: FakeEngine(bundle.spec, samples=asked.samples, **options))


@pytest.fixture(scope="module")
def full() -> Profile:
    with bench() as made:
        found = measure(made, Request(("prices",), **SMALL))
    problems = (("stages", InputError("boat.png: is no picture")),)
    return Profile(found.model, found.device, found.reference, FULL, {"cpu": "abacus"}, problems)


# -- what is asked for


def test_parts() -> None:
    assert PARTS == ("stages", "operators", "nodes", "curve", "prices")
    assert parts_of(None) == ()
    assert parts_of("curve, stages,curve") == ("curve", "stages")
    with pytest.raises(RequestError, match="has the parts stages, operators, nodes, curve, prices; got 'tiles'"):
        parts_of("stages,tiles")
    with pytest.raises(RequestError, match="got ''"):
        parts_of("")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"size": (4, 4)}, "a size is HEIGHTxWIDTH"),
        ({"rounds": 0}, "rounds are 1 to 1000, got 0"),
        ({"filter": "blur"}, "filter must be"),
        ({"picture": Path("-")}, "standard input only once; name a file"),
        ({"only": ("curve",), "picture": Path("p.png")}, "are for the stages, which are not among curve; add stages"),
        ({"only": ("curve", "prices"), "filter": "edge"}, "not among curve, prices"),
    ],
)
def test_bad_requests(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(RequestError, match=expected):
        Request(**options)


# -- measuring


def test_parts_that_the_engine_cannot_give_are_left_out_unless_named() -> None:
    told: list[str] = []
    with bench() as made:
        found = measure(made, Request(**SMALL), report=lambda words, done: told.append(words))
        named = measure(made, Request(("operators", "curve"), **SMALL))
    assert [name for name in PARTS if getattr(found.parts, name) is not None] == ["stages", "curve", "prices"]
    assert found.problems == ()
    assert told[0] == "stages"
    assert "curve 16×24" in told
    assert named.parts.curve is not None
    assert [(part, error.exit_code) for part, error in named.problems] == [("operators", 2)]


def test_operators_from_elsewhere() -> None:
    assert FULL.operators is not None
    with bench() as made:
        found = measure(made, Request(("operators",), **SMALL), operators_of=lambda size, rounds: FULL.operators)  # type: ignore[arg-type,return-value]
    assert found.parts.operators == FULL.operators


def test_one_bad_part_does_not_stop_the_rest(tmp_path: Path) -> None:
    with bench() as made:
        found = measure(made, Request(("stages", "prices"), picture=tmp_path / "absent.png", **SMALL))
    assert [part for part, _ in found.problems] == ["stages"]
    assert found.parts.prices is not None
    assert found.plain()["problems"] == [
        {"part": "stages", "message": str(found.problems[0][1]), "code": InputError.exit_code}
    ]


def test_an_engine_that_cannot_run_at_all() -> None:
    with bench(fail_at=0) as made, pytest.raises(EngineError, match="as it was told to"):
        measure(made, Request(**SMALL))


# -- the document


def test_the_document_is_json_and_can_be_compared(full: Profile, tmp_path: Path) -> None:
    text = json.dumps(full.plain(), allow_nan=False)
    plain = json.loads(text)
    assert list(plain) == ["profile", "edgelift", "machine", "model", "device", "reference", "parts", "problems"]
    assert list(plain["parts"]) == list(PARTS)
    (tmp_path / "p.json").write_text(text)
    found = read_profile(tmp_path / "p.json")
    assert (found.model, found.device) == (full.model, full.device)
    assert (found.height, found.width) == (16, 24)
    assert found.seconds == full.reference.timing.seconds


def test_the_document_holds_what_follows_from_the_figures(full: Profile) -> None:
    parts = full.plain()["parts"]
    assert parts["stages"]["rest"] == pytest.approx(0.01)
    assert parts["operators"]["nodes"][0]["rate"] == pytest.approx(2e9)
    assert parts["operators"]["kinds"][0] == {"kind": "Conv", "count": 1, "seconds": 0.004, "macs": 8_000_000}
    assert [row["ratio"] for row in parts["nodes"]["rows"]] == [1.0, 0.5, None, None]
    assert parts["curve"]["points"][1]["price"] == pytest.approx(0.008 / 256)
    assert parts["prices"]["rows"][0]["shape"] == "1×3×8×8"


# -- tables


def test_tables(full: Profile) -> None:
    found = {table.title: table for _, tables in tables_of(full.parts) for table in tables}
    assert list(found) == [
        "Stages", "Operators by kind", "Operators", "Single operators", "Resolutions", "Tile prices",
    ]  # fmt: skip
    assert found["Stages"].rows == (
        ("decode", "20.00", "20.0%", "25.00", "read rows"),
        ("inference", "70.00", "70.0%", "–", "the engine's calls"),
        ("postprocess", "(inference)", "–", "–", "clip and round: part of the graph"),
        ("not accounted for", "10.00", "10.0%", "–", ""),
        ("whole", "100.0", "100.0%", "–", "file to file"),
    )
    assert found["Operators"].rows == (
        ("conv", "Conv + Relu", "4.000", "80.0%", "8.0", "2.0 GMAC/s", ""),
        ("re\\x1border", "Reorder", "1.000", "20.0%", "–", "–", ""),
    )
    assert found["Single operators"].rows == (
        ("convolution 3×3", "2.000", "±10%", "1.00", "1.000", "1.00", "10.0 GMAC/s"),
        ("add", "1.000", "±10%", "0.50", "–", "–", "4.0 GB/s"),
        ("ReLU", "in the noise", "±10%", "–", "–", "–", "–"),
        ("sigmoid", "cannot run", "", "", "", "", ""),
    )
    assert found["Single operators"].notes[-1] == "sigmoid: no kernel"
    assert found["Resolutions"].rows[1] == ("16×16", "256", "8.000", "±10%", "31250.0", "step")
    assert found["Resolutions"].notes[-1] == "no memory for 32×32 and more"
    assert found["Tile prices"].rows[1] == ("0.00310", "2×3×8×8", "8.073e-06")
    assert "busy" in found["Tile prices"].notes[-1]
    assert all(len(row) == len(table.columns) for table in found.values() for row in table.rows)


def test_nothing_measured_gives_no_tables() -> None:
    assert tables_of(Parts()) == []


# -- pages


def test_the_page_holds_every_table(full: Profile) -> None:
    page = profile_page(full).render()
    for words in ("boat.png", "Conv + Relu", "convolution 3×3", "31250.0", "8.073e-06", "is no picture", "abacus"):
        assert words in page
    assert page.count("<table>") == 6
    assert page.count("data:image/svg+xml") == (5 if plots.available() else 0)  # two of the curve, none of prices


def test_a_page_without_matplotlib_says_so(full: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "available", lambda: False)
    page = profile_page(full).render()
    assert "pip install &#x27;edgelift[report]&#x27;" in page
    assert "data:image/svg+xml" not in page


def test_every_part_has_its_json_form_and_its_tables() -> None:
    from edgelift.evaluate.profile import tables

    assert tuple(document.PLAIN) == tuple(tables.TABLES) == PARTS
