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
from edgelift.runtime.look.faults import CLEAN
from edgelift.runtime.look.sample import Sample, sample_of
from edgelift.runtime.look.traits import traits_of
from edgelift.runtime.look.wanted import bundled_estimator

__all__ = ["Look", "look_at_array", "look_at_file"]

SURE = 0.9
"""Probability from which a picture counts as drawn: a photograph that a network for drawings runs loses more (0.3 dB) than a
drawing that one for photographs runs (`python -m benchmarks.degraded`)."""
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
    wanted: float
    """Weight, 0 … 1, of a network that removes faults at which the blend with one that does not comes nearest to the truth."""

    @property
    def content(self) -> str:
        """`drawn` or `photo`."""
        return "drawn" if self.drawn > SURE else "photo"

    @property
    def denoise(self) -> float:
        """How much of a network that removes faults it asks for: 0, 0.25 … 1."""
        return round(self.wanted * STEPS) / STEPS

    @property
    def words(self) -> str:
        """On part of a line."""
        traces = f"JPEG of quality {self.jpeg}" if self.jpeg < CLEAN else "no traces of JPEG"
        return f"{self.content}, noise {self.noise:.1f}, {traces}"


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
    if len(sample.patches) == 0 or np.ptp(sample.patches) == 0:  # too small, or of one level
        return Look(drawn, 0.0, CLEAN, 0.0)
    faults, traits = traits_of(sample.patches)
    return Look(drawn, faults.noise, faults.jpeg, float(bundled_estimator().wanted(traits)))
