"""`edgelift targets`, `quantize`, `compile` and `parity`, and the files they make in `upscale`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgelift.evaluate.profile.synthetic import scene, write_png
from edgelift.runtime.engines import availability
from edgelift.targets.base import TARGETS, load_target
from edgelift.targets.portability import ACCELERATORS

HERE = [found.engine for found in availability() if not found.problem]
pytestmark = pytest.mark.skipif("onnxruntime" not in HERE, reason="calibration runs on ONNX Runtime")
WITH_LITERT = pytest.mark.skipif("litert" not in HERE, reason="LiteRT is not installed")


@pytest.fixture(scope="module")
def eight(plain_bundle: Path, calibration: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgelift.cli.app import run

    path = tmp_path_factory.mktemp("eight") / "plain-int8.onnx"
    words = ["quantize", plain_bundle, "--calibration", calibration, "--bits", "int8", "-o", path, "--force"]
    assert run([str(word) for word in words]) == 0
    return path


def test_targets_are_listed_with_what_is_missing(edgelift: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said = edgelift("targets")
    assert (said.code, said.err) == (0, "")
    assert [line.split()[0] for line in said.out.splitlines()] == list(TARGETS)
    monkeypatch.setattr(
        load_target("litert"), "missing", classmethod(lambda cls: "LiteRT is not installed; pip install it")
    )
    assert "litert  cannot be made here: LiteRT is not installed; pip install it" in edgelift("targets").out


def test_quantize_says_what_it_tried_and_what_it_costs(
    edgelift: Any, plain_bundle: Path, calibration: Path, tmp_path: Path
) -> None:
    path = tmp_path / "q.onnx"
    said = edgelift("quantize", plain_bundle, "--calibration", calibration, "--count", 8, "-o", path, "--force")
    assert said.code == 0
    assert said.err.count(" dB from float\n") == 15
    assert said.out.startswith(f"{path}: plain-int8, ")
    assert "from its parent: " in said.out
    assert " times as long" in said.out
    assert (tmp_path / "q.onnx.json").exists()


@WITH_LITERT
def test_a_bundle_becomes_a_litert_file_that_upscale_runs(edgelift: Any, eight: Path, tmp_path: Path) -> None:
    path, picture = tmp_path / "m.tflite", tmp_path / "p.png"
    write_png(scene(50, 60), picture)
    said = edgelift("compile", eight, "--target", "litert", "-o", path, "--size", "32x32")
    assert (said.code, said.err) == (0, "")
    assert "XNNPACK runs all of it" in said.out
    results = []
    for number, tile in enumerate(("50x60", "20x17")):
        out = tmp_path / f"{number}.png"
        assert edgelift("upscale", picture, "-m", path, "-o", out, "--tile", tile).code == 0
        results.append(out.read_bytes())
    assert results[0] == results[1], "tile by tile it is what it is in one piece"
    shown = edgelift("models", "show", path).out
    assert "name: plain-int8" in shown
    assert "target: litert" in shown


def test_parity_compares_and_draws(edgelift: Any, eight: Path, plain_bundle: Path, tmp_path: Path) -> None:
    said = edgelift("parity", eight, plain_bundle, "--maps", tmp_path / "maps")
    assert said.code == 0
    assert "4 maps in" in said.out
    assert len(list((tmp_path / "maps").iterdir())) == 4
    write_png(scene(90, 100), tmp_path / "one.png")
    said = edgelift("parity", eight, plain_bundle, "--pictures", tmp_path, "--json")
    found = json.loads(said.out)["parity"]
    assert (found["tiles"], found["precision"], found["pictures"]) == (1, "int8", tmp_path.name)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (
            ("quantize", "MODEL", "-o", "x.onnx"),
            2,
            "int8 needs pictures that ranges are taken from (--calibration DIR)",
        ),
        (
            ("quantize", "MODEL", "--bits", "int4", "-o", "x.onnx"),
            2,
            "bits must be one of int8, int16x8, fp16, got 'int4'",
        ),
        (("quantize", "MODEL", "--calibration", "absent", "-o", "x.onnx"), 3, "absent: is no folder"),
        (("quantize", "MODEL", "--bits", "fp16", "-o", "x.tflite"), 2, "files of onnx end in .onnx"),
        (("compile", "MODEL", "--target", "toaster", "-o", "x"), 2, "no target is called 'toaster'; choose from onnx,"),
        (("compile", "MODEL", "--target", "onnx", "--size", "4", "-o", "x.onnx"), 2, "a size is HEIGHTxWIDTH"),
        (
            ("compile", "MODEL", "--target", "onnx", "--variant", "w9", "-o", "x.onnx"),
            2,
            "has no variant 'w9'; it has full",
        ),
        (
            ("compile", "MODEL", "--target", "onnx", "-o", "MODEL"),
            4,
            "is the file being read, which is never overwritten",
        ),
        (("compile", "absent", "--target", "onnx", "-o", "x.onnx"), 2, "no model is called 'absent'"),
        (("parity", "MODEL", "abpn-x3"), 2, "compare models of one scale"),
        (("parity", "MODEL", "MODEL", "--pictures", "EMPTY"), 3, "no pictures in this folder"),
        (
            ("parity", "MODEL", "MODEL", "--pictures", "EMPTY", "--maps", "EMPTY"),
            4,
            "maps there would replace the pictures",
        ),
    ],
)
def test_bad_requests(
    edgelift: Any, plain_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...], code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    given = {"MODEL": plain_bundle, "EMPTY": tmp_path}
    said = edgelift(*(given.get(word, word) for word in words))
    assert said.code == code
    assert says in said.err
    assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@WITH_LITERT
@pytest.mark.parametrize("form", [{}, {"ends": "uint8", "scale": 3}, {"planes": True, "fixed": True}])
def test_files_of_other_tools_run_and_are_imported(
    edgelift: Any, others: Any, tmp_path: Path, form: dict[str, Any]
) -> None:
    picture, path, ours = tmp_path / "p.png", tmp_path / "theirs.tflite", tmp_path / "ours.tflite"
    write_png(scene(50, 60), picture)
    path.write_bytes(others.theirs(**form))
    said = edgelift("import", path, "-o", ours, "--licence", "MIT")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"{ours}: foreign ×{form.get('scale', 2)}, from LiteRT; ")
    assert "white is 1; the halo is that of its operators" in said.out
    results = []
    for number, (model, more) in enumerate(
        ((path, ()), (ours, ()), (ours, () if "fixed" in form else ("--tile", "20x17")))
    ):
        out = tmp_path / f"{number}.png"
        said = edgelift("upscale", picture, "-m", model, "-o", out, *more)
        assert (said.code, said.err) == (0, "")
        results.append(out.read_bytes())
    assert results[0] == results[1] == results[2], "tile by tile as in one piece, with facts as without"
    if "fixed" in form:
        said = edgelift("upscale", picture, "-m", ours, "-o", tmp_path / "x.png", "--tile", "10x10")
        assert said.code == 2
        assert "ours runs windows of 20×24 only, not of 10×10; leave the tile out" in said.err
        assert not (tmp_path / "x.png").exists()
        said = edgelift("parity", ours, path, "--json")
        assert json.loads(said.out)["parity"]["tile"] == [20, 24]


@WITH_LITERT
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (
            ("import", "THEIRS", "--scale", "2", "-o", "x.tflite"),
            2,
            "--scale is for weights alone: a .tflite file enlarges as it does",
        ),
        (("import", "THEIRS", "--white", "7", "-o", "x.tflite"), 2, "--white must be 1 or 255, got 7"),
        (("import", "THEIRS"), 2, "would be replaced by its bundle; name another by --output"),
        (("import", "THEIRS", "-o", "x.onnx"), 2, "x.onnx: a .tflite stays one"),
        (("import", "absent.tflite", "-o", "x.tflite"), 5, "absent.tflite: cannot be read"),
        (("import", "DAMAGED", "-o", "x.tflite"), 5, "not a .tflite file, or a damaged one"),
        (("compile", "THEIRS", "--target", "onnx", "-o", "x.onnx"), 5, "this needs the ONNX bundle"),
        (("upscale", "p.png", "-m", "DAMAGED", "-o", "o.png"), 5, "not a .tflite file, or a damaged one"),
    ],
)
def test_bad_requests_about_files_of_other_tools(
    edgelift: Any,
    others: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    theirs, damaged = tmp_path / "theirs.tflite", tmp_path / "damaged.tflite"
    theirs.write_bytes(others.theirs())
    damaged.write_bytes(b"nothing")
    write_png(scene(9, 9), tmp_path / "p.png")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    said = edgelift(*({"THEIRS": "theirs.tflite", "DAMAGED": "damaged.tflite"}.get(word, word) for word in words))
    assert (said.code, said.err.count("\n")) == (code, 1)
    assert says in said.err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_check_names_what_falls_back(edgelift: Any, plain_bundle: Path) -> None:
    said = edgelift("check", plain_bundle, "--target", "onnx-nnapi")
    assert (said.code, said.err) == (0, "")
    assert "1 Round  falls back to the CPU: not in the table; it is outside the network proper" in said.out
    assert "2 Conv  runs" in said.out
    found = json.loads(edgelift("check", plain_bundle, "--json").out)
    assert list(found["accelerators"]) == list(ACCELERATORS)
    assert found["accelerators"]["onnx-coreml"]["read"]
    assert found["accelerators"]["bm1684x"]["operators"][0]["verdicts"]["float"]["word"]
    said = edgelift("check", plain_bundle, "--target", "abacus")
    assert (said.code, said.err.count("\n")) == (2, 1)


def test_check_of_whole_numbers_is_of_their_precision(edgelift: Any, eight: Path) -> None:
    rows = json.loads(edgelift("check", eight, "--target", "onnx", "--json").out)["accelerators"]
    assert all(set(each["verdicts"]) == {"int8"} for each in rows["onnx-nnapi"]["operators"])
    assert rows["onnx-coreml"]["problem"] == "onnx-coreml has no int8; it has float, fp16"


@WITH_LITERT
def test_check_reads_files_of_other_tools(edgelift: Any, others: Any, tmp_path: Path) -> None:
    path = tmp_path / "theirs.tflite"
    path.write_bytes(others.theirs(spelt=True))
    said = edgelift("check", path, "--target", "litert")
    assert said.code == 0
    assert "1 TRANSPOSE  falls back to the CPU: not in the table" in said.out
    assert "runs ONNX, not .tflite files" in edgelift("check", path, "--target", "onnx").out


def test_check_rewrites(edgelift: Any, plain_bundle: Path, tmp_path: Path) -> None:
    path, picture = tmp_path / "r.onnx", tmp_path / "p.png"
    said = edgelift("check", plain_bundle, "--target", "litert-mediatek", "--rewrite", "-o", path)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("1 × shuffle-as-transposed: a pixel shuffle as a transposed convolution")
    assert f"{path}: the same function; on random pictures it differs by at most 0 of 255" in said.out
    write_png(scene(40, 50), picture)
    for model, out in ((plain_bundle, "a.png"), (path, "b.png")):
        assert edgelift("upscale", picture, "-m", model, "-o", tmp_path / out, "--engine", "onnxruntime").code == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--rewrite",), 2, "--rewrite and -o FILE.onnx belong together"),
        (("-o", "x.onnx"), 2, "--rewrite and -o FILE.onnx belong together"),
        (("--overwrite",), 2, "--overwrite replaces what --rewrite writes"),
        (("--rewrite", "-o", "x.onnx", "--resize-conv", "--json"), 2, "leave --target and --json out"),
        (("--target", "onnx-coreml", "--rewrite", "-o", "x.onnx"), 2, "no exact rewrite helps on onnx-coreml"),
        (("--target", "onnx-nnapi", "--rewrite", "-o", "x.tflite"), 2, "x.tflite: a bundle's name ends in .onnx"),
        (
            ("--target", "litert-gpu", "--rewrite", "-o", "MODEL"),
            4,
            "is the file being read, which is never overwritten",
        ),
    ],
)
def test_bad_rewrites(
    edgelift: Any,
    plain_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = edgelift("check", plain_bundle, *(plain_bundle if word == "MODEL" else word for word in words))
    assert (said.code, said.err.count("\n")) == (code, 1)
    assert says in said.err
    assert list(tmp_path.iterdir()) == []
