"""The score of the tile contest (CCF BDCI 2023): how natural results look, over the seconds that a picture takes.

`measure` runs one combination of options over pictures; `score_report` takes the seconds from a run that is over.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from edgelift.core.errors import EdgeliftError, InputError, RequestError
from edgelift.core.image import Picture
from edgelift.evaluate.niqe import NotDefinedError, niqe, niqe_of_levels
from edgelift.evaluate.niqe_files import levels_of_file, picture_files
from edgelift.evaluate.niqe_model import NiqeModel
from edgelift.io.pictures import open_picture

__all__ = [
    "WORST",
    "PictureScore",
    "Report",
    "Row",
    "best_of",
    "contest_score",
    "measure",
    "read_report",
    "score_report",
]

WORST = 7.0
"""The NIQE from which on a result scores 0."""
MAX_REPORT_BYTES = 64 << 20


def contest_score(niqe: float, seconds: float) -> float:
    """sqrt(7 - NIQE) / seconds · 200; 0 where NIQE is 7 or worse. `seconds`: mean seconds a picture, above 0.

    Raises `RequestError` for seconds that are not above 0 and for values that are not finite.
    """
    if not (math.isfinite(niqe) and math.isfinite(seconds) and seconds > 0):
        raise RequestError(f"a score takes a finite NIQE and seconds above 0, got {niqe} and {seconds}")
    return math.sqrt(max(0.0, WORST - niqe)) / seconds * 200


@dataclass(frozen=True)
class PictureScore:
    """What became of one picture."""

    path: Path
    size: tuple[int, int] | None = None
    """Height and width before it was upscaled, where that is known."""
    seconds: float | None = None
    niqe: float | None = None
    error: EdgeliftError | None = None
    """Why a figure is missing."""


@dataclass(frozen=True)
class Row:
    """One combination over all pictures: a line of the contest's table."""

    pictures: tuple[PictureScore, ...]

    @property
    def measured(self) -> list[PictureScore]:
        """Those with both figures: only they count, since both means are to be of the same pictures."""
        return [p for p in self.pictures if p.seconds is not None and p.niqe is not None]

    @property
    def seconds(self) -> float | None:
        """Mean seconds a picture; None where none was measured."""
        return _mean(picture.seconds for picture in self.measured)

    @property
    def niqe(self) -> float | None:
        """Mean NIQE; None where none was measured."""
        return _mean(picture.niqe for picture in self.measured)

    @property
    def score(self) -> float | None:
        """`contest_score` of the two means; None where none was measured."""
        seconds, mean = self.seconds, self.niqe
        return None if seconds is None or mean is None else contest_score(mean, seconds)

    @property
    def errors(self) -> list[EdgeliftError]:
        """Why figures are missing, in the order of the pictures."""
        return [picture.error for picture in self.pictures if picture.error is not None]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def best_of(rows: Sequence[Row | None]) -> int | None:
    """The position of the row with the highest score above 0, the first of equals; None where no row has one."""
    scores = [(row.score if row else None) or 0.0 for row in rows]
    return scores.index(max(scores)) if any(scores) else None


# -- running


class Upscales(Protocol):
    """What `Upscaler` is here."""

    def __call__(self, picture: Picture) -> Picture:
        """The enlarged picture."""


def measure(
    upscaler: Upscales,
    files: Sequence[Path],
    model: NiqeModel,
    *,
    repeat: int = 1,
    clock: Callable[[], float] = time.perf_counter,
    heard: Callable[[PictureScore], None] = lambda picture: None,
) -> Row:
    """Upscale each of `files` from array to array and measure seconds and NIQE; `heard` is told of each.

    Decoding is left out, and so is a first run for each size of picture, which warms up. Seconds of a picture are the
    median of `repeat` runs. One picture is held at a time. A picture that fails is in the row with its error.
    """
    if repeat < 1:
        raise RequestError(f"repeat must be at least 1, got {repeat}")
    warm: set[tuple[int, ...]] = set()
    done = []
    for path in files:
        done.append(_measured(upscaler, path, model, repeat, clock, warm))
        heard(done[-1])
    return Row(tuple(done))


def _measured(
    upscaler: Upscales,
    path: Path,
    model: NiqeModel,
    repeat: int,
    clock: Callable[[], float],
    warm: set[tuple[int, ...]],
) -> PictureScore:
    try:
        with open_picture(path) as reader:
            picture = reader.rows(0, reader.height)[0]
        if (kind := (*picture.shape, picture.dtype.itemsize)) not in warm:
            upscaler(picture)
            warm.add(kind)
        seconds = []
        for _ in range(repeat):
            began = clock()
            result = upscaler(picture)
            seconds.append(clock() - began)
    except EdgeliftError as exc:
        return PictureScore(path, error=_of(path, exc))
    size = (picture.shape[0], picture.shape[1])
    return _judged(PictureScore(path, size, statistics.median(seconds)), lambda: niqe(result, model))


def _of(path: Path, error: EdgeliftError) -> EdgeliftError:
    """`error` with the picture's name in it."""
    return error if str(path) in str(error) else type(error)(f"{path}: {error}")


def _judged(picture: PictureScore, judge: Callable[[], float]) -> PictureScore:
    try:
        return replace(picture, niqe=judge())
    except NotDefinedError as exc:
        return replace(picture, error=NotDefinedError(f"{picture.path}: {exc}"))
    except EdgeliftError as exc:
        return replace(picture, error=_of(picture.path, exc))


# -- a run that is over


@dataclass(frozen=True)
class Report:
    """What a run says of itself."""

    pictures: tuple[tuple[str, float | None], ...]
    """Path or name of each result, and its seconds; None where that picture failed."""
    facts: Mapping[str, str]
    """Model, filter and the like, where the report names them."""
    with_files: bool
    """Whether the seconds span decoding and encoding, as those of `edgelift upscale` do."""


def read_report(path: Path) -> Report:
    """A report of `edgelift upscale --json`, or of the contest: {"A": [{"images": [{"img_name", "runtime"}]}]}.

    A list of such pictures, and {name: seconds}, will do as well. Raises `InputError` for what is none of these.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_REPORT_BYTES + 1)
    except OSError as exc:
        raise InputError(f"{path}: cannot be read ({exc.strerror or exc}); check the name") from exc
    if len(data) > MAX_REPORT_BYTES:
        raise InputError(f"{path}: reports of at most {MAX_REPORT_BYTES} bytes are read")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise InputError(f"{path}: is not JSON; name the file that 'edgelift upscale --json FILE' wrote") from exc
    try:
        return _report(found)
    except (ValueError, OverflowError) as exc:
        raise InputError(
            f"{path}: is not a report of pictures and their seconds ({exc}); name the file that "
            "'edgelift upscale --json FILE' wrote, or give {\"NAME\": SECONDS, …}"
        ) from exc


def _report(found: Any) -> Report:
    if isinstance(found, dict) and "pictures" in found:
        facts = {key: str(found[key]) for key in ("model", "scale", "runs_on") if found.get(key) is not None}
        rows = [row for row in _rows(found["pictures"]) if row.get("status") != "skipped"]
        return Report(tuple((_name_of(row), _seconds_of(row)) for row in rows), facts, True)
    if isinstance(found, dict) and isinstance(found.get("A"), list):
        found = [row for part in _rows(found["A"]) for row in _rows(part.get("images"))]
    if isinstance(found, dict):
        return Report(tuple((name, _number(value)) for name, value in found.items()), {}, False)
    return Report(tuple((_name_of(row), _seconds_of(row)) for row in _rows(found)), {}, False)


def _rows(found: Any) -> list[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise ValueError(f"expected a list of pictures, got {str(found)[:80]}")
    return found


def _seconds_of(row: Mapping[str, Any]) -> float | None:
    return None if row.get("status") == "failed" else _number(row.get("runtime", row.get("seconds")))


def _name_of(row: Mapping[str, Any]) -> str:
    for key in ("img_name", "output", "name"):
        if isinstance(row.get(key), str):
            return str(row[key])
    raise ValueError(f"a picture without img_name or output: {str(row)[:80]}")


def _number(value: object) -> float:
    """The contest writes numbers as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"seconds are a number, got {str(value)[:80]}")
    seconds = float(value)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"seconds are above 0, got {str(value)[:80]}")
    return seconds


def score_report(
    folder: Path, report: Report, model: NiqeModel, *, heard: Callable[[PictureScore], None] = lambda picture: None
) -> Row:
    """Seconds from `report`, NIQE of the results in `folder`, found by their file names; `heard` is told of each.

    A result that failed, is not there, or cannot be told from another one of its name is in the row with its error.
    Raises `InputError` for a folder without pictures and for a report without any.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; name the one that holds the run's results")
    files = picture_files([folder])
    if not report.pictures:
        raise InputError("the report names no pictures that were upscaled; make one by 'edgelift upscale --json FILE'")
    done = []
    for name, seconds in report.pictures:
        done.append(_finished(folder, files, name, seconds, model))
        heard(done[-1])
    return Row(tuple(done))


def _finished(folder: Path, files: Sequence[Path], name: str, seconds: float | None, model: NiqeModel) -> PictureScore:
    if seconds is None:
        return PictureScore(Path(name), error=InputError(f"{name}: failed, as the report says; upscale it again"))
    matching = _matching(folder, files, Path(name.replace("\\", "/")))
    if len(matching) != 1:
        many = f"{len(matching)} pictures in {folder} could be it" if matching else f"there is no such file in {folder}"
        return PictureScore(
            Path(name), error=InputError(f"{name}: {many}; the report and the folder are to be of one run")
        )
    path = matching[0]
    return _judged(PictureScore(path, seconds=seconds), lambda: niqe_of_levels(levels_of_file(path), model))


def _matching(folder: Path, files: Sequence[Path], name: Path) -> list[Path]:
    """Results of that file name, or of that stem; of several, the one whose place below the folder agrees most."""
    found = [path for path in files if path.name == name.name] or [path for path in files if path.stem == name.name]
    if len(found) < 2:
        return found
    above = {path: path.relative_to(folder).parts[:-1] for path in found}
    at_home = [path for path in found if not above[path] or name.parts[:-1][-len(above[path]) :] == above[path]]
    longest = max((len(above[path]) for path in at_home), default=0)
    return [path for path in at_home if len(above[path]) == longest] or found
