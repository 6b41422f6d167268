"""What a picture is, and what that asks for. It is looked at once, before it is run; the result depends on its samples, and
of a JPEG file on what its headers state, alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.image import Picture
from edgelift.io.jpeg import jpeg_quality
from edgelift.io.pictures import DEFAULT_MAX_PIXELS, open_picture
from edgelift.runtime.look.content import bundled_classifier, features_of
from edgelift.runtime.look.faults import CLEAN, faults_of
from edgelift.runtime.look.sample import Sample, sample_of

__all__ = ["Look", "look_at_array", "look_at_file", "wanted_denoise"]

BY_QUALITY = ((30, 0.85), (50, 0.7), (70, 0.57), (80, 0.47), (90, 0.27), (95, 0.14), (CLEAN, 0.0))
"""(quality of JPEG, weight of the network that removes its traces) at which the blend of abpn-x4 and photo-x4 is nearest to the
truth, in the median over pictures: `python -m benchmarks.faults --data DIR`."""
BY_NOISE = ((1.0, 0.0), (2.2, 0.05), (4.3, 0.2), (8.2, 0.57), (16.0, 0.92), (20.0, 1.0))
"""(standard deviation of noise, weight), likewise."""
STEPS = 4
"""Weights are rounded to so many parts of 1: each is a pair of engines of its own."""


@dataclass(frozen=True)
class Look:
    """What was seen."""

    drawn: float
    """Probability that it is drawn, not photographed."""
    noise: float
    """Standard deviation of its noise in levels of 255, about."""
    jpeg: int
    """Quality of JPEG whose traces it bears; 100 for none."""

    @property
    def content(self) -> str:
        """`drawn` or `photo`."""
        return "drawn" if self.drawn > 0.5 else "photo"

    @property
    def denoise(self) -> float:
        """How much of a network that removes noise and traces of compression it asks for: 0, 0.25 … 1."""
        return round(wanted_denoise(self.noise, self.jpeg) * STEPS) / STEPS

    @property
    def words(self) -> str:
        """On part of a line."""
        traces = f"JPEG of quality {self.jpeg}" if self.jpeg < CLEAN else "no traces of JPEG"
        return f"{self.content}, noise {self.noise:.1f}, {traces}"


def wanted_denoise(noise: float, jpeg: float) -> float:
    """The weight, 0 … 1, for noise of that standard deviation and JPEG of that quality; each takes its share of what is left."""
    by_quality, by_noise = (
        float(np.interp(value, [at for at, _ in table], [weight for _, weight in table]))
        for value, table in ((jpeg, BY_QUALITY), (noise, BY_NOISE))
    )  # fmt: skip
    return 1 - (1 - by_quality) * (1 - by_noise)


def look_at_array(picture: Picture) -> Look:
    """Look at an H × W × 3 array of uint8, uint16 or float32 (0 … 255)."""
    return _seen(sample_of(lambda start, stop: picture[start:stop], *picture.shape[:2]))


def look_at_file(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Look:
    """Look at a picture file, of an animation at the first frame; it is decoded once, in strips.

    Raises `InputError` for what cannot be read.
    """
    with open_picture(path, max_pixels=max_pixels, animated=True) as reader:

        def rows(start: int, stop: int) -> NDArray[Any]:
            return reader.rows(start, stop)[0]

        found = _seen(sample_of(rows, reader.height, reader.width))
    stated = jpeg_quality(path)
    return found if stated is None else replace(found, jpeg=min(found.jpeg, stated))


def _seen(sample: Sample) -> Look:
    drawn = float(bundled_classifier().drawn(features_of(sample.small)))
    faults = faults_of(sample.patches)
    return Look(drawn, faults.noise, faults.jpeg)
