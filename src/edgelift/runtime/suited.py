"""For each picture the networks that suit it: it is looked at, and its content, noise and traces of JPEG choose."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from edgelift.core.errors import EngineError
from edgelift.core.image import Picture, check_image
from edgelift.io.pictures import DEFAULT_MAX_PIXELS
from edgelift.runtime.look.look import Look, look_at_array, look_at_file
from edgelift.runtime.sizes import Goal, SizedUpscaler, open_upscaler
from edgelift.runtime.upscaler import Upscaler, log_warning, refuse_choice
from edgelift.runtime.windows import Warn

__all__ = ["SuitedUpscaler", "Taken"]

ANY = Goal()
"""The networks' least scale."""


@dataclass(frozen=True)
class Taken:
    """What was seen in a picture, and taken for it."""

    look: Look
    denoise: float
    model: str

    @property
    def words(self) -> str:
        """On part of a line."""
        return f"{self.look.words}: denoise {self.denoise:g}, {self.model}"

    def as_plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "content": self.look.content, "drawn": round(self.look.drawn, 3), "noise": round(self.look.noise, 2),
            "jpeg": self.look.jpeg, "denoise": self.denoise, "model": self.model,
        }  # fmt: skip


class SuitedUpscaler:
    """Upscalers for `goal`, one for each choice that pictures lead to; each is opened when it is first needed.

    `denoise` replaces what would be estimated. `options` are those of `Upscaler`; `model`, `blend` and `budget` are refused. The
    same picture leads to the same choice.
    """

    name = "auto"
    spec = None

    def __init__(
        self,
        goal: Goal = ANY,
        model: str | Path | None = None,
        *,
        denoise: float | None = None,
        warn: Warn = log_warning,
        **options: Any,
    ) -> None:
        refuse_choice(model, options.get("blend"), options.get("budget"))
        self.goal, self._denoise = goal, denoise
        self._options = {**options, "warn": _once(warn)}
        self._opened: dict[tuple[str, float], Upscaler | SizedUpscaler] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._first = self._open("photo", 0.0 if denoise is None else denoise)  # so that what cannot run is known now

    @property
    def scale(self) -> float | None:
        """The factor; None where a size in pixels was asked for."""
        return self._first.scale

    @property
    def runs_on(self) -> str:
        """Engine, device and precision of the networks used so far."""
        return ", ".join(sorted({upscaler.runs_on for upscaler in self._opened.values()}))

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The result's (height, width)."""
        return self._first.size(height, width)

    def for_file(self, path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> tuple[Upscaler | SizedUpscaler, Taken]:
        """What suits a picture file, and why. Raises what `look_at_file` does."""
        return self._suited(look_at_file(path, max_pixels=max_pixels))

    def for_array(self, picture: Picture) -> tuple[Upscaler | SizedUpscaler, Taken]:
        """What suits an H × W × 3 array, and why."""
        return self._suited(look_at_array(check_image(picture)))

    def __call__(self, picture: Picture) -> Picture:
        """The enlarged picture; see `Upscaler.__call__`."""
        return self.for_array(picture)[0](picture)

    def _suited(self, look: Look) -> tuple[Upscaler | SizedUpscaler, Taken]:
        denoise = look.denoise if self._denoise is None else self._denoise
        upscaler = self._open(look.content, denoise)
        return upscaler, Taken(look, denoise, upscaler.name)

    def _open(self, content: str, denoise: float) -> Upscaler | SizedUpscaler:
        with self._lock:
            if self._closed:
                raise EngineError("this upscaler has been closed; make another")
            if (content, denoise) not in self._opened:
                options = {**self._options, "content": content, "denoise": denoise}
                self._opened[content, denoise] = open_upscaler(None, self.goal, **options)
            return self._opened[content, denoise]

    def close(self) -> None:
        """Release the engines."""
        with self._lock:
            for upscaler in self._opened.values():
                upscaler.close()
            self._opened.clear()
            self._closed = True

    def __enter__(self) -> SuitedUpscaler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _once(warn: Warn) -> Warn:
    """`warn`, but each text one time only."""
    said: set[str] = set()

    def say(text: str) -> None:
        if text not in said:
            said.add(text)
            warn(text)

    return say
