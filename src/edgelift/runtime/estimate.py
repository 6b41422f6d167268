"""What a picture is going to take: time, memory and disk, known before it is run. All of it is 'about'.

- seconds: those of the engine from measured prices where there are any (`prices`), else from multiply-adds and an assumed
  rate; those of interpolation and of the encoder from rates of one core. They are added up, as on a machine whose cores
  are all busy with the engine. A budget in seconds is the most that is taken, another a share of the engine's.
- memory: see `footprint`.
- disk: at most the samples as they are, without compression; typically the share of them that the format needs for an
  enlarged photograph.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgelift.core.errors import EdgeliftError, OutputError
from edgelift.io.formats import PictureFormat, format_of_suffix
from edgelift.io.pictures import DEFAULT_MAX_PIXELS, PictureReader, open_picture
from edgelift.io.standard import STANDARD
from edgelift.runtime.anytime.budget import Budget
from edgelift.runtime.anytime.pace import KNEE_SHARE
from edgelift.runtime.files import Job
from edgelift.runtime.footprint import resident_bytes, show_size
from edgelift.runtime.pipeline import STRIP_PIXELS
from edgelift.runtime.sizes import SizedUpscaler
from edgelift.runtime.suited import SuitedUpscaler
from edgelift.runtime.upscaler import Upscaler
from edgelift.tiling.choose import Choice

__all__ = [
    "Estimate",
    "Facts",
    "encoder_seconds",
    "estimate",
    "estimate_file",
    "facts_of",
    "raw_bytes",
    "require_disk",
    "stages",
    "typical_bytes",
]

INTERPOLATION = 2e-8
"""Seconds for a pixel of an interpolated result, or of the picture where that is larger: bicubic on one core of an EPYC;
Lanczos takes a fifth more."""
INTERPOLATION_STRIPS = 8
"""Copies of a strip, in its own type, that interpolating holds: of the result twice, and of a reduction what is read, what is
read ahead, a part of it in floats and what the first of the two axes left."""


@dataclass(frozen=True)
class _Encoder:
    """What a format needs for enlarged photographs, as shares of the samples without compression."""

    by_quality: tuple[tuple[int, float], ...]
    """(quality, share), rising; one row, of any quality, where the format has none."""
    deep: float
    """The share where samples have more than 8 bits."""
    seconds: float
    """Of one core, for a byte of samples."""


ENCODERS = {
    "PNG": _Encoder(((95, 0.45),), 0.86, 1.9e-8),
    "JPEG": _Encoder(((50, 0.039), (75, 0.055), (85, 0.073), (90, 0.090), (95, 0.13), (100, 0.30)), 1.0, 1.0e-8),
    "WebP": _Encoder(((50, 0.020), (75, 0.027), (90, 0.045), (95, 0.073), (100, 0.11)), 1.0, 5.6e-8),
    "TIFF": _Encoder(((95, 0.45),), 0.84, 3.7e-8),
    "AVIF": _Encoder(((50, 0.019), (75, 0.037), (90, 0.065), (95, 0.10), (100, 0.29)), 0.1, 2e-7),
    "GIF": _Encoder(((95, 0.25),), 0.25, 1e-7),
}
"""Medians over results of abpn-x3 on a tenth of BSD100, Set14, photographs and drawings. Single ones lie between half and
one and a half times as much; the seconds of AVIF and GIF are guesses."""
OTHER = _Encoder(((95, 0.5),), 0.9, 5e-8)
"""For formats that were not measured, and lossless pictures of lossy formats: rather more than they take."""


@dataclass(frozen=True)
class Facts:
    """Of a picture, all that an estimate needs."""

    height: int
    width: int
    channels: int = 3
    """As they are stored: 1 … 4."""
    dtype: str = "uint8"
    frames: int = 1
    """More than one for animations."""

    @property
    def layers(self) -> int:
        """Pictures of three channels that are run: transparency is one of its own."""
        return 2 if self.channels in (2, 4) else 1


@dataclass(frozen=True)
class Estimate:
    """What upscaling one picture takes, about."""

    size_in: tuple[int, int]
    """Height and width."""
    size_out: tuple[int, int]
    seconds: float
    measured: bool
    """Whether the engine's part comes from measured prices."""
    busy: bool
    """Whether those were measured while the machine did other things as well."""
    memory: int
    """Bytes that the process holds at its highest point."""
    disk: int
    """Typical bytes of the result."""
    disk_most: int
    """Bytes of the result without compression."""
    tiles: tuple[Choice, ...]
    """Of each network that runs, in order."""


def facts_of(reader: PictureReader) -> Facts:
    """Those of an open picture."""
    channels = (1 if reader.grey else 3) + reader.alpha
    return Facts(reader.height, reader.width, channels, reader.dtype.name, reader.frames)


def estimate(
    upscaler: Upscaler | SizedUpscaler,
    facts: Facts,
    target: Path,
    *,
    format: str | None = None,
    quality: int | None = None,
    lossless: bool = False,
    measure: bool = False,
) -> Estimate:
    """What `upscaler` takes for a picture like `facts` and its result at `target`; nothing is read, run or written.

    Prices that are missing are measured with `measure`, and else where the picture takes long; see `planner`. Raises
    `RequestError` where no tile fits the memory allowed, and for unknown formats.
    """
    size = upscaler.size(facts.height, facts.width)
    raw = raw_bytes(upscaler, facts)
    kind = format_of_suffix(target, format)
    run = _run(upscaler, facts, size, measure)
    seconds = min(run.seconds * facts.frames + raw * encoder_seconds(kind), run.limit * facts.frames)
    disk = typical_bytes(raw, kind, quality, facts.dtype, lossless=lossless)
    return Estimate(
        (facts.height, facts.width), size, seconds, run.measured, run.busy, run.memory, disk, raw, tuple(run.tiles)
    )


def raw_bytes(upscaler: Upscaler | SizedUpscaler | SuitedUpscaler, facts: Facts) -> int:
    """Bytes of the result's samples."""
    height, width = upscaler.size(facts.height, facts.width)
    return height * width * facts.channels * facts.frames * np.dtype(facts.dtype).itemsize


def encoder_seconds(kind: PictureFormat) -> float:
    """Of one core, for a byte of samples in that format, about."""
    return ENCODERS.get(kind.name, OTHER).seconds


def typical_bytes(
    raw: int, kind: PictureFormat, quality: int | None = None, dtype: str = "uint8", *, lossless: bool = False
) -> int:
    """Bytes in that format of an enlarged photograph with `raw` bytes of samples."""
    encoder = OTHER if lossless and kind.quality is not None else ENCODERS.get(kind.name, OTHER)
    if dtype != "uint8":
        return round(raw * encoder.deep)
    qualities, shares = zip(*encoder.by_quality, strict=True)
    return round(raw * float(np.exp(np.interp(quality or kind.quality or 95, qualities, np.log(shares)))))


@dataclass
class _Run:
    """Of all steps from the picture to the result's samples, without reading and writing files."""

    memory: int
    seconds: float = 0.0
    measured: bool = False
    busy: bool = False
    limit: float = math.inf
    """Seconds that a budget allows."""
    tiles: list[Choice] = field(default_factory=list)


def stages(upscaler: Upscaler | SizedUpscaler, height: int, width: int) -> list[tuple[Upscaler, int, int]]:
    """The networks that run for a picture of that size, each with the height and width of what it is given."""
    networks = upscaler.networks(height, width) if isinstance(upscaler, SizedUpscaler) else [upscaler]
    found = []
    for network in networks:
        if network.spec is not None:
            found.append((network, height, width))
            height, width = network.size(height, width)
    return found


def _run(upscaler: Upscaler | SizedUpscaler, facts: Facts, size: tuple[int, int], measure: bool) -> _Run:
    run, last, measured = _Run(resident_bytes()), (facts.height, facts.width), []
    kind: dict[str, Any] = {"layers": facts.layers, "dtype": np.dtype(facts.dtype)}
    for k, (network, height, width) in enumerate(stages(upscaler, facts.height, facts.width)):
        planner = network.planner(kind["dtype"])
        measured.append(planner.known(measure=measure) is not None)
        run.busy |= not planner.steady
        choice = network.choice(height, width, **kind)
        run.tiles.append(choice)
        run.seconds += choice.seconds * facts.layers * _share(network.budget)
        if network.budget is not None and network.budget.seconds is not None:
            run.limit = network.budget.seconds
        run.memory = (run.memory if k else planner.resident) + choice.memory - planner.resident
        last = network.size(height, width)
    run.measured = bool(measured) and all(measured)
    if last != size:
        run.seconds += INTERPOLATION * max(math.prod(size), math.prod(last)) * facts.layers
        strip = max(STRIP_PIXELS, size[1], last[1] * -(-last[0] // size[0]))
        run.memory += INTERPOLATION_STRIPS * 3 * kind["dtype"].itemsize * facts.layers * strip
    return run


def _share(budget: Budget | None) -> float:
    """Of the widest variant's seconds, what a budget allows at most."""
    if budget is None or budget.seconds is not None:
        return 1.0
    return KNEE_SHARE if budget.share is None else min(budget.share, 1.0)


def estimate_file(
    upscaler: Upscaler | SizedUpscaler | SuitedUpscaler,
    job: Job,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    **options: Any,
) -> Estimate:
    """`estimate` for a picture file, of which only the header is read, unless its content is to choose. Also raises
    `InputError`."""
    if isinstance(upscaler, SuitedUpscaler):
        upscaler = upscaler.for_file(job.source, max_pixels=max_pixels)[0]
    with open_picture(job.source, max_pixels=max_pixels, animated=True) as reader:
        return estimate(upscaler, facts_of(reader), job.target, **options)


def require_disk(
    upscaler: Upscaler | SizedUpscaler | SuitedUpscaler,
    jobs: Iterable[Job],
    *,
    format: str | None = None,
    quality: int | None = None,
    lossless: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
) -> None:
    """Raise `OutputError` where the results of `jobs` would not fit the disk, by what is typical for their format.

    Only headers are read. Pictures that cannot be read are left out: their turn will come, and an error of their own.
    Those of standard input or output are, too.
    """
    needed: dict[Path, int] = {}
    for job in jobs:
        if STANDARD in (job.source, job.target):
            continue
        with contextlib.suppress(EdgeliftError):
            with open_picture(job.source, max_pixels=max_pixels, animated=True) as reader:
                facts, kind = facts_of(reader), format_of_suffix(job.target, format)
            size = typical_bytes(raw_bytes(upscaler, facts), kind, quality, facts.dtype, lossless=lossless)
            folder = next(path for path in job.target.absolute().parents if os.path.isdir(path))
            needed[folder] = needed.get(folder, 0) + size
    for folder, size in _by_disk(needed).items():
        if size > (there := free(folder)):
            raise OutputError(
                f"{folder}: the results need about {show_size(size)} and the disk has {show_size(there)} free; make room, "
                "choose a format that takes less such as jpg, or another folder"
            )


def _by_disk(needed: dict[Path, int]) -> dict[Path, int]:
    """The sums of folders on one disk, under the first of them."""
    first: dict[int, Path] = {}
    sums: dict[Path, int] = {}
    for folder, size in needed.items():
        name = first.setdefault(folder.stat().st_dev, folder)
        sums[name] = sums.get(name, 0) + size
    return sums
