"""The one-call form of the program."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from edgelift.core.errors import RequestError
from edgelift.core.image import Picture
from edgelift.io.pictures import open_picture
from edgelift.runtime.choice import AUTO
from edgelift.runtime.files import Job, upscale_file
from edgelift.runtime.sizes import Goal
from edgelift.runtime.suited import SuitedUpscaler
from edgelift.runtime.upscaler import Upscaler, log_warning

__all__ = ["upscale"]


def upscale(
    picture: str | PathLike[str] | Picture | Any,
    output: str | PathLike[str] | None = None,
    *,
    scale: float | None = None,
    model: str | Path | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Picture | Path:
    """Enlarge one picture: the array of the result, or, with `output`, the path of the written file.

    `picture`: a path, an H × W × 3 array (see `Upscaler`), or anything with a `convert("RGB")` such as a Pillow image.
    `options` are those of `Upscaler`; `content="auto"` goes by the picture. Alpha, ICC profile and metadata are kept from file
    to file; an array has neither.
    """
    if options.get("content") == AUTO:
        made: Upscaler | SuitedUpscaler = SuitedUpscaler(Goal(scale), model=model, **{**options, "content": None})
    else:
        made = Upscaler(model, scale=scale, **options)
    with made as upscaler:
        if not isinstance(picture, str | PathLike):
            if output is not None:
                raise RequestError("only a file can be upscaled to a file; leave `output` out and save the array")
            array = picture if isinstance(picture, np.ndarray) else _from_foreign(picture)
            return upscaler(array)
        if output is None:
            able = upscaler.for_file(Path(picture))[0] if isinstance(upscaler, SuitedUpscaler) else upscaler
            with open_picture(Path(picture)) as reader:
                return able(reader.rows(0, reader.height)[0])
        job = Job(Path(picture), Path(output))
        upscale_file(upscaler, job, overwrite=overwrite, warn=options.get("warn", log_warning))
        return job.target


def _from_foreign(picture: Any) -> Picture:
    if not hasattr(picture, "convert"):
        raise RequestError(f"expected a path, an array or a Pillow image, got {type(picture).__name__}")
    return np.asarray(picture.convert("RGB"))
