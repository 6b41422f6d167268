"""Many pictures: order, failures, resuming, stopping."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pyvips

from edgelift.core.errors import InputError, RequestError
from edgelift.io.places import place_for
from edgelift.runtime.anytime.run import Terms
from edgelift.runtime.batch import clear_leftovers, run_jobs
from edgelift.runtime.files import Job, jobs, upscale_file
from edgelift.runtime.rows import Source, Target
from edgelift.runtime.upscaler import Upscaler


def save(path: Path, height: int = 8, width: int = 9) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).integers(0, 256, (height, width, 3), np.uint8)
    pyvips.Image.new_from_array(noise).pngsave(str(path))
    return path


@pytest.fixture
def bicubic() -> Upscaler:
    return Upscaler("bicubic", scale=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "deep/é ñ.png", "deep/c.png"):
        save(tmp_path / "in" / name)
    (tmp_path / "in" / "bad.png").write_text("no picture")
    (tmp_path / "in" / "notes.txt").write_text("left alone")
    (tmp_path / "in" / ".hidden.png").write_text("left alone")
    return tmp_path / "in"


def test_names_in_folders(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = {str(job.target.relative_to(out)) for job in jobs([folder], out, "2")}
    assert made == {"a_x2.png", "b_x2.png", "bad_x2.png", "deep/é ñ_x2.png", "deep/c_x2.png"}


def test_results_below_the_input_are_not_inputs(folder: Path) -> None:
    out = folder / "larger"
    save(out / "a_x2.png")
    assert all("larger" not in str(job.source) for job in jobs([folder], out, "2"))


def test_a_folder_whose_results_go_above_it(folder: Path, tmp_path: Path) -> None:
    for output in (tmp_path, tmp_path / "in" / ".."):
        assert len(jobs([folder], output, "2")) == 5


def test_hidden_folders_are_left_alone(folder: Path, tmp_path: Path) -> None:
    before = jobs([folder], tmp_path / "out", "2")
    save(folder / ".thumbs" / "a.png")
    save(folder / "deep" / ".thumbs" / "more" / "a.png")
    assert jobs([folder], tmp_path / "out", "2") == before
    assert len(jobs([folder / ".thumbs"], tmp_path / "out", "2")) == 1


def test_results_to_other_scales_and_formats_are_not_inputs(folder: Path) -> None:
    first = jobs([folder], folder, "3")
    for name in ("a_x2.png", "a_x1.7.webp", "a_x2_x4.jpg", "a_x40x30.png", "deep/c_x90w.png", "deep/c_x1e-05.png"):
        save(folder / name)
    assert jobs([folder], folder, "3") == first
    save(folder / "a_xl.png")
    save(folder / "a_x2b.png")
    save(folder / "d_x2.png")
    assert {job.source.stem for job in jobs([folder], folder, "3")} - {job.source.stem for job in first} == {
        "a_xl",
        "a_x2b",
        "d_x2",
    }


def test_names_that_end_in_numbers_are_no_results(folder: Path) -> None:
    before = len(jobs([folder], folder, "3", suffix="{scale}"))
    for name in ("a1.png", "a12.png"):
        save(folder / name)
    assert len(jobs([folder], folder, "3", suffix="{scale}")) == before + 2


def test_results_beside_their_sources_are_not_inputs(folder: Path, bicubic: Upscaler) -> None:
    first = jobs([folder], folder, "2")
    assert all(outcome.error is None or outcome.job.source.stem == "bad" for outcome in run_jobs(bicubic, first))
    again = jobs([folder], folder, "2")
    assert again == first
    save(folder / "a_x2_x2.png")
    assert jobs([folder], folder, "2") == first


def test_a_picture_that_is_named_is_no_result(folder: Path) -> None:
    save(folder / "a_x2.png")
    with pytest.raises(RequestError, match=r"a_x2\.png is to be read, and .*a\.png would become it"):
        jobs([folder / "a.png", folder / "a_x2.png"], folder, "2")
    assert len(jobs([folder / "a.png", folder / "a_x2.png"], folder, "3")) == 2


def test_a_result_that_is_a_link_to_a_source(folder: Path, tmp_path: Path) -> None:
    for output in (tmp_path / "out", folder):
        output.mkdir(exist_ok=True)
        (output / "a_x2.png").symlink_to(folder / "b.png")
        with pytest.raises(RequestError, match=r"a_x2\.png: is a link to a picture that is to be read"):
            jobs([folder], output, "2")
    elsewhere = save(tmp_path / "elsewhere.png")
    (folder / "a_x2.png").unlink()
    (folder / "a_x2.png").symlink_to(elsewhere)
    assert len(jobs([folder], folder, "2")) == 5


def test_one_file_goes_to_the_file_named(folder: Path, tmp_path: Path) -> None:
    assert jobs([folder / "a.png"], tmp_path / "x.jpg", "2") == [Job(folder / "a.png", tmp_path / "x.jpg")]


def test_format_and_suffix(folder: Path, tmp_path: Path) -> None:
    (job,) = jobs([folder / "a.png"], tmp_path, "1.7", suffix="-{scale}", format="webp")
    assert job.target == tmp_path / "a-1.7.webp"


def test_two_sources_with_one_target(tmp_path: Path) -> None:
    one, two = save(tmp_path / "1" / "a.png"), save(tmp_path / "2" / "a.png")
    with pytest.raises(RequestError, match="both become"):
        jobs([one, two], tmp_path / "out", "2")


def test_missing_and_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        jobs([tmp_path / "nothing"], tmp_path / "o.png", "2")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        jobs([tmp_path / "empty"], tmp_path / "o", "2")


def test_what_cannot_be_read_among_several_inputs_stops_no_others(
    folder: Path, tmp_path: Path, bicubic: Upscaler
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "loose.png").symlink_to(tmp_path / "gone.png")
    absent = [tmp_path / "missing.png", tmp_path / "empty", tmp_path / "loose.png"]
    work = jobs([*absent, folder / "a.png"], tmp_path / "out", "2")
    outcomes = sorted(run_jobs(bicubic, work), key=lambda outcome: outcome.number)
    errors = [str(outcome.error) for outcome in outcomes[:3]]
    assert all(isinstance(outcome.error, InputError) for outcome in outcomes[:3])
    assert [error.startswith(f"{path}: no ") for error, path in zip(errors, absent, strict=True)] == [True] * 3
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a_x2.png"]
    assert all(outcome.error for outcome in run_jobs(bicubic, work[:3], resume=True))


def test_folders_that_cannot_be_read_are_told(
    folder: Path, tmp_path: Path, bicubic: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.scandir

    def closed(place: str) -> object:
        if Path(place).name in hidden:
            raise PermissionError(13, "Permission denied", place)
        return listed(place)

    monkeypatch.setattr(os, "scandir", closed)  # root may read every folder
    hidden = {"deep"}
    work = jobs([folder], tmp_path / "out", "2")
    assert [job.source.name for job in work if job.problem] == ["deep"]
    errors = [str(outcome.error) for outcome in run_jobs(bicubic, work) if outcome.job.source == folder / "deep"]
    assert errors == [f"{folder / 'deep'}: the folder cannot be read (Permission denied); check its permissions"]
    hidden = {"in"}
    with pytest.raises(InputError, match="in: the folder cannot be read"):
        jobs([folder], tmp_path / "out", "2")


@pytest.mark.parametrize("suffix", ["{model}", "{scale.real}", "{scale[a]}", "{", "{}"])
def test_suffix_with_other_braces(folder: Path, tmp_path: Path, suffix: str) -> None:
    with pytest.raises(RequestError, match="may hold"):
        jobs([folder], tmp_path / "o", "2", suffix=suffix)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_bad_file_stops_nothing(folder: Path, tmp_path: Path, bicubic: Upscaler, workers: int) -> None:
    done: list[float] = []
    outcomes = list(run_jobs(bicubic, jobs([folder], tmp_path / "out", "2"), workers=workers, report=done.append))
    failed = [o.job.source.name for o in outcomes if o.error is not None]
    assert failed == ["bad.png"]
    assert sum(o.result is not None for o in outcomes) == 4
    assert len(list((tmp_path / "out").rglob("*.png"))) == 4


def test_resume_gives_what_one_run_gives(folder: Path, tmp_path: Path, bicubic: Upscaler) -> None:
    whole, twice = jobs([folder], tmp_path / "whole", "2"), jobs([folder], tmp_path / "twice", "2")
    list(run_jobs(bicubic, whole))
    list(run_jobs(bicubic, twice[:2]))
    (twice[0].target.parent / ".b_x2.png.edgelift-00ff.tmp").write_bytes(b"half")  # as kill -9 leaves it
    assert clear_leftovers(twice) == 1
    outcomes = list(run_jobs(bicubic, twice, resume=True))
    assert sum(o.skipped for o in outcomes) == 2
    for a, b in zip(whole, twice, strict=True):
        assert a.target.exists() == b.target.exists()
        assert not a.target.exists() or a.target.read_bytes() == b.target.read_bytes()
    assert {p.name for p in (tmp_path / "twice").iterdir()} == {p.name for p in (tmp_path / "whole").iterdir()}


@pytest.mark.skipif(sys.platform == "win32", reason="files that are open cannot be removed there")
def test_leftovers_of_a_run_that_goes_on_are_left(folder: Path, tmp_path: Path) -> None:
    work = jobs([folder], tmp_path / "out", "2")
    work[0].target.parent.mkdir()
    place = place_for(work[0].target, None, overwrite=False)
    written = os.dup(place.open())
    assert clear_leftovers(work) == 0
    os.close(written)
    place.keep()
    assert work[0].target.exists()


def test_stopping_gives_up_what_is_under_way(tmp_path: Path, bicubic: Upscaler) -> None:
    work = [Job(save(tmp_path / f"{k}.png"), tmp_path / "out" / f"{k}.png") for k in range(8)]
    run = run_jobs(bicubic, work, workers=2)
    next(run)
    run.close()
    left = list((tmp_path / "out").iterdir())
    assert len(left) < 8
    assert all(not p.name.startswith(".") for p in left)


class _Touching:
    """An upscaler in whose middle the source file changes."""

    def __init__(self, inner: Upscaler, path: Path) -> None:
        self.inner, self.path, self.size = inner, path, inner.size

    def run(self, source: Source, target: Target, report: Callable[[float], None], terms: Terms) -> None:
        self.inner.run(source, target, report, terms)
        self.path.write_bytes(self.path.read_bytes() + b" ")


def test_a_source_that_changes_meanwhile(tmp_path: Path, bicubic: Upscaler) -> None:
    source = save(tmp_path / "a.png")
    with pytest.raises(InputError, match="changed while"):
        upscale_file(_Touching(bicubic, source), Job(source, tmp_path / "b.png"))  # type: ignore[arg-type]
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
