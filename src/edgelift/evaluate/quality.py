"""Models against the truth and the clock, side by side: PSNR, SSIM, NIQE and seconds for each picture.

PSNR and SSIM are those of the published super-resolution tables: on Y of MATLAB's `rgb2ycbcr`, not rounded, `scale`
pixels of each border cut away, and the same on RGB (SSIM as the mean over its channels). A reference of one channel is
compared on that channel as it is. What is compared are the samples that `edgelift upscale` would write. NIQE is of the
whole result. 16-bit pictures are compared on the scale of 8 bits.

Seconds are from the array of the small picture to the array of the result: decoding, encoding and the making of the
engine are left out. The first run of a model on each shape is not counted, since some engines compile for it; of those
after it the median is taken, since some go on compiling in the background. For each picture the models take turns, so
that a busy spell of the machine meets all of them.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgelift.core.errors import EdgeliftError, EngineError, OutputError, RequestError
from edgelift.core.image import Picture
from edgelift.core.spec import ModelSpec
from edgelift.evaluate.files import file_name, write_png
from edgelift.evaluate.likeness import Likeness, compare
from edgelift.evaluate.niqe import NotDefinedError, niqe
from edgelift.evaluate.niqe_model import NiqeModel, load_model
from edgelift.evaluate.pairs import Loaded, Pair, find_pairs, load_pair
from edgelift.io.places import make_folder
from edgelift.runtime.models import MAX_INTERPOLATION
from edgelift.runtime.named import open_named, scale_of_named
from edgelift.runtime.suited import SuitedUpscaler
from edgelift.runtime.upscaler import Upscaler

__all__ = ["ROUNDS", "Evaluation", "Problem", "Row", "Score", "Seen", "evaluate"]

ROUNDS = 3
"""Timed runs of a picture where no other number is asked for."""
PAUSE = 0.05
"""Seconds before a timed run: threads of some engines keep spinning for a while after a call, at the cost of the next."""


@dataclass(frozen=True)
class Row:
    """One model on one picture."""

    picture: str
    """The reference's stem."""
    size: tuple[int, int]
    """Height and width of the result."""
    likeness: Likeness
    niqe: float | None
    """None where the picture has none, or none was asked for."""
    seconds: float | None
    """The median of the rounds; None where none was asked for."""

    def value(self, measure: str) -> float | None:
        """A field of `Likeness`, `niqe` or `seconds`."""
        found: float | None = getattr(self.likeness if hasattr(self.likeness, measure) else self, measure)
        return found


@dataclass(frozen=True)
class Score:
    """One model on all pictures that it could be measured on."""

    name: str
    """Unlike that of any other model of the evaluation."""
    given: str
    """The model as it was asked for."""
    runs_on: str
    """Engine, device and precision."""
    spec: ModelSpec | None
    """None for an interpolation."""
    rows: tuple[Row, ...]

    def mean(self, measure: str) -> float | None:
        """The mean over pictures of a field of `Likeness`, of `niqe` or of `seconds`; None where there is no value."""
        values = [value for row in self.rows if (value := row.value(measure)) is not None]
        return float(np.mean(values)) if values else None

    @property
    def seconds_per_megapixel(self) -> float | None:
        """Seconds for a million pixels of results: all seconds by all pixels."""
        timed = [row for row in self.rows if row.seconds is not None]
        pixels = sum(row.size[0] * row.size[1] for row in timed)
        return sum(row.seconds or 0.0 for row in timed) / pixels * 1e6 if timed else None


@dataclass(frozen=True)
class Problem:
    """Something that could not be measured."""

    error: EdgeliftError
    """What is wrong and what to do; its `exit_code` is what a command returns."""
    model: str | None = None
    """Where it concerns one model only."""
    picture: str | None = None
    """Where it concerns one picture only."""


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found."""

    scale: int
    scores: tuple[Score, ...]
    """In the order of the models, without those that could not be opened."""
    pictures: int
    """Pairs that were found."""
    niqe_of_truth: float | None
    """The mean over the references, as they are compared; None where none has one or none was asked for."""
    niqe_model: str
    """The name of the pristine model that NIQE refers to; empty where none was asked for."""
    problems: tuple[Problem, ...]

    @property
    def best(self) -> Score | None:
        """The score of the highest mean PSNR-Y, the first of equal ones; None where nothing was measured."""
        measured = [score for score in self.scores if score.rows]
        return max(measured, key=lambda score: score.mean("psnr_y") or -math.inf, default=None)


@dataclass(frozen=True)
class Seen:
    """One picture and what the models made of it, for those who want to look."""

    number: int
    """From 0."""
    total: int
    loaded: Loaded
    results: dict[str, Picture]
    """Name of a model -> its result, as large as `loaded.truth`; without those that failed."""
    networks: frozenset[str]
    """The names of models that are no interpolations."""


def evaluate(
    models: Sequence[str | Path],
    truth: Path,
    small: Path | None = None,
    *,
    scale: int | None = None,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    tile: str | tuple[int, int] = "auto",
    threads: int = 0,
    rounds: int = ROUNDS,
    with_niqe: bool = True,
    niqe_model: Path | None = None,
    save: Path | None = None,
    hear: Callable[[Problem], None] = lambda problem: None,
    see: Callable[[Seen], None] = lambda seen: None,
    progress: Callable[[str, float], None] = lambda words, done: None,
) -> Evaluation:
    """Measure `models` (bundled names, bundle files, interpolations, and all else of `runtime.named`) on the pictures of `truth`.

    `small`: the low-resolution partners, matched by name; None makes them (see `pairs`). `scale`: None takes the one that
    all networks have. `engine`, `device`, `precision`, `tile` and `threads` are those of `Upscaler`, for the networks.
    `rounds`: timed runs a picture, 0 for none. `niqe_model`: a pristine model's file, else the bundled one. `save`:
    results go there, as MODEL/PICTURE_xN.png; those there are replaced.

    One picture is held at a time. What cannot be measured is handed to `hear` as it turns up, listed in the result, and
    left out of the means, and the rest is measured. `see` gets each picture with the results; `progress` gets words and
    the part that is done, below 1.

    Raises `RequestError` where no scale follows, `InputError` for folders without pictures and for a bad `niqe_model`,
    and `OutputError` where `save` cannot be made, or a result would replace one of the pictures.
    """
    if rounds < 0:
        raise RequestError(f"rounds are at least 0, got {rounds}")
    scales, unread = _scales(models)
    factor = _common(scales, scale, unread)
    pairs, unpaired = find_pairs(truth, small, factor)
    run = _Run(factor, rounds, load_model(niqe_model) if with_niqe else None, save, hear)
    for problem in (*unread, *(Problem(error) for error in unpaired)):
        run.tell(problem)
    with ExitStack() as stack:
        options: dict[str, Any] = {
            "engine": engine,
            "device": device,
            "precision": precision,
            "tile": tile,
            "threads": threads,
        }
        run.open(stack, list(scales), options)
        run.require_places(pairs)
        for number, pair in enumerate(pairs if run.entrants else []):
            progress(pair.name, number / len(pairs))
            if (loaded := run.load(pair)) is not None:
                see(Seen(number, len(pairs), loaded, run.measure(loaded), run.networks))
        return run.result(len(pairs))


def _scales(models: Sequence[str | Path]) -> tuple[dict[str, int | None], list[Problem]]:
    """Each model with its own scale, None for interpolations, and what is wrong with those that cannot be read."""
    scales: dict[str, int | None] = {}
    problems = []
    for given in map(str, models):
        try:
            scales[given] = scale_of_named(given)
        except EdgeliftError as exc:
            problems.append(Problem(exc, model=given))
    return scales, problems


def _common(scales: dict[str, int | None], asked: int | None, unread: list[Problem]) -> int:
    """The scale to measure at."""
    if asked is not None and not 1 <= asked <= MAX_INTERPOLATION:
        raise RequestError(f"a scale must be a whole number from 1 to {MAX_INTERPOLATION:g}, got {asked}")
    own = {name: scale for name, scale in scales.items() if scale is not None}
    if asked is None and len(set(own.values())) == 1:
        return next(iter(own.values()))
    if asked is not None and (scales or unread):
        return asked
    if not scales:
        raise unread[0].error if unread else RequestError("there is no model to measure; name one, such as bicubic")
    several = ", ".join(f"{name} ×{scale}" for name, scale in own.items())
    why = f"the models have several scales ({several})" if own else "interpolations have no scale of their own"
    raise RequestError(f"{why}; say which to measure (--scale)")


@dataclass
class _Entrant:
    """A model that is being measured."""

    name: str
    given: str
    upscaler: Upscaler | SuitedUpscaler
    rows: list[Row] = field(default_factory=list)
    warm: set[tuple[int, ...]] = field(default_factory=set)
    """Kinds of pictures that it has run on."""


class _Run:
    """What one evaluation holds while it runs."""

    def __init__(
        self, scale: int, rounds: int, niqe_model: NiqeModel | None, save: Path | None, hear: Callable[[Problem], None]
    ) -> None:
        self.entrants: list[_Entrant] = []
        self._scale, self._rounds, self._niqe_model, self._save, self._hear = scale, rounds, niqe_model, save, hear
        self._problems: list[Problem] = []
        self._niqe_of_truth: list[float] = []

    @property
    def networks(self) -> frozenset[str]:
        return frozenset(entrant.name for entrant in self.entrants if entrant.upscaler.spec is not None)

    def tell(self, problem: Problem) -> None:
        self._problems.append(problem)
        self._hear(problem)

    def open(self, stack: ExitStack, models: Sequence[str], options: dict[str, Any]) -> None:
        """Open the models, until `stack` ends; those that cannot run are problems. May raise `OutputError`."""
        for given in models:
            try:
                made = open_named(given, self._scale, **options)
            except EdgeliftError as exc:
                self.tell(Problem(exc, model=given))
                continue
            stack.callback(made.close)
            self.entrants.append(_Entrant(self._free_name(made.name, given), given, made))
        for entrant in self.entrants if self._save is not None else []:
            make_folder(self._folder(entrant))

    def require_places(self, pairs: Sequence[Pair]) -> None:
        """Raise `OutputError` where a result would be written over one of the pictures."""
        read = {os.path.realpath(path) for pair in pairs for path in (pair.truth, pair.small) if path is not None}
        for entrant in self.entrants if self._save is not None else []:
            for pair in pairs:
                if os.path.realpath(place := self._place(entrant, pair)) in read:
                    raise OutputError(f"{place}: is a picture being read, which is never overwritten; save elsewhere")

    def _free_name(self, name: str, given: str) -> str:
        """`name`, or where a model is called so already, one that says which it is."""
        taken = {file_name(entrant.name).casefold() for entrant in self.entrants}
        candidates = [name, given, *(f"{name} ({k})" for k in range(2, len(taken) + 3))]
        return next(each for each in candidates if file_name(each).casefold() not in taken)

    def load(self, pair: Pair) -> Loaded | None:
        """The pictures, or None where that is a problem."""
        try:
            loaded = load_pair(pair, self._scale)
        except EdgeliftError as exc:
            self.tell(Problem(exc, picture=pair.name))
            return None
        if (value := self._niqe(loaded.truth)) is not None:
            self._niqe_of_truth.append(value)
        return loaded

    def measure(self, loaded: Loaded) -> dict[str, Picture]:
        """All models on one picture: name -> result."""
        results = {}
        for entrant in self.entrants:
            try:
                result, seconds = self._upscale(entrant, loaded.small)
                row = self._row(result, loaded, seconds)
                if self._save is not None:
                    write_png(result[..., 1] if loaded.grey else result, self._place(entrant, loaded.pair))
            except EdgeliftError as exc:
                self.tell(Problem(exc, model=entrant.name, picture=loaded.pair.name))
            else:
                entrant.rows.append(row)
                results[entrant.name] = result
        return results

    def _folder(self, entrant: _Entrant) -> Path:
        assert self._save is not None
        return self._save / file_name(entrant.name)

    def _place(self, entrant: _Entrant, pair: Pair) -> Path:
        return self._folder(entrant) / f"{pair.name}_x{self._scale}.png"

    def _upscale(self, entrant: _Entrant, small: Picture) -> tuple[Picture, float | None]:
        """The result, and the median seconds of the rounds."""
        kind, seconds = (*small.shape, small.dtype.itemsize), []
        result = None if kind in entrant.warm and self._rounds else entrant.upscaler(small)
        entrant.warm.add(kind)
        for _ in range(self._rounds):
            time.sleep(PAUSE)
            began = time.perf_counter()
            result = entrant.upscaler(small)
            seconds.append(time.perf_counter() - began)
        assert result is not None
        return result, statistics.median(seconds) if seconds else None

    def _row(self, result: Picture, loaded: Loaded, seconds: float | None) -> Row:
        if not np.isfinite(result).all():
            raise EngineError(
                f"{loaded.pair.truth.name}: the result holds NaN or infinite samples; try --precision f32"
            )
        likeness = compare(result, loaded.truth, self._scale, grey=loaded.grey)
        return Row(loaded.pair.name, (result.shape[0], result.shape[1]), likeness, self._niqe(result), seconds)

    def _niqe(self, picture: Picture) -> float | None:
        if self._niqe_model is None:
            return None
        try:
            return niqe(picture, self._niqe_model)
        except NotDefinedError:
            return None

    def result(self, pictures: int) -> Evaluation:
        """All that was found; the models must still be open."""
        scores = tuple(
            Score(e.name, e.given, e.upscaler.runs_on, e.upscaler.spec, tuple(e.rows)) for e in self.entrants
        )
        truth = float(np.mean(self._niqe_of_truth)) if self._niqe_of_truth else None
        name = self._niqe_model.name if self._niqe_model else ""
        return Evaluation(self._scale, scores, pictures, truth, name, tuple(self._problems))
