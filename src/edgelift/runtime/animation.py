"""Animations: frame after frame through one upscaler into one file, as if each frame were a picture of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from edgelift.io.pictures import PictureReader, PictureWriter
from edgelift.runtime.pipeline import Report
from edgelift.runtime.rows import CallbackTarget, Rows, Source, Target

__all__ = ["FrameSource", "upscale_frames"]

T = TypeVar("T")


class FrameSource:
    """Frame `number` of an animation: all its rows, which the decoder holds at once anyway.

    Where it hides nothing it has no layer of alpha, even if other frames have one.
    """

    def __init__(self, reader: PictureReader, number: int) -> None:
        self.height, self.width, self.dtype = reader.height, reader.width, reader.dtype
        colour, alpha = reader.rows(number * self.height, (number + 1) * self.height)
        self._colour = colour
        self._alpha = None if alpha is None or alpha.min() == 255 else alpha
        self.layers = 1 if self._alpha is None else 2

    def rows(self, start: int, stop: int) -> Rows:
        """Rows `start` … `stop` - 1 of the frame."""
        colour = self._colour[start:stop]
        if self._alpha is None:
            return colour[None]
        return np.stack([colour, np.repeat(self._alpha[start:stop, :, None], 3, axis=2)])


def upscale_frames(
    run: Callable[[Source, Target, Report], T],
    reader: PictureReader,
    writer: PictureWriter,
    report: Report = lambda done: None,
) -> list[T]:
    """Let `run` upscale each frame of `reader` into `writer`, and return what it gave; `report` follows all of them.

    One frame is held of the picture that is read, and strips of the one that is written.
    """
    found = []
    for number in range(reader.frames):
        source = FrameSource(reader, number)
        target = CallbackTarget(source.layers, writer.width, source.dtype, _append_to(writer, reader.alpha))
        found.append(run(source, target, _share(report, number, reader.frames)))
    return found


def _append_to(writer: PictureWriter, alpha: bool) -> Callable[[Rows], None]:
    def take(strip: Rows) -> None:
        opaque = np.full(strip.shape[1:3], 255, strip.dtype) if alpha else None
        writer.write(strip[0], strip[1, :, :, 1] if len(strip) > 1 else opaque)

    return take


def _share(report: Report, number: int, frames: int) -> Report:
    return lambda done: report((number + done) / frames)
