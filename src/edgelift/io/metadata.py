"""What a picture says beside its pixels, taken from one picture and put on another of the same content."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pyvips

from edgelift.io.vips import Image

__all__ = ["CONVERTED", "TEXT", "Metadata", "Timing", "animate", "describe", "metadata_of", "timing_of"]

CONVERTED = ("cmyk", "labs", "labq")
"""libvips' names of the colour spaces that become sRGB, so that their ICC profile no longer holds."""

TEXT = "png-comment-"
"""How libvips' names of fields for the texts of a PNG begin."""

_KEPT = ("icc-profile-data", "exif-data", "xmp-data", "iptc-data", "resolution-unit", "image-description")
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:=[\"']|>))[2-8]")
_SILENT, _SILENT_DPI = 1.0, 72 / 25.4
"""What libvips fills in, by format, where a file says no resolution."""


@dataclass(frozen=True)
class Metadata:
    """What is kept; the orientation is not, since it was applied."""

    fields: tuple[tuple[str, int, Any], ...]
    """Name, GType and value of libvips fields: ICC profile, EXIF, XMP, IPTC, texts."""
    resolution: tuple[float, float] | None
    """Pixels per millimetre, across and down; None where the picture does not say, or in EXIF only."""
    texts: bytes = b""
    """Chunks of a PNG with texts that libvips would damage."""

    def has(self, name: str) -> bool:
        """Whether a field of that name is kept."""
        return any(name == field for field, _, _ in self.fields)


@dataclass(frozen=True)
class Timing:
    """How an animation is played."""

    delays: tuple[int, ...]
    """Milliseconds that each frame is shown."""
    loop: int
    """How often all frames are played; 0 is without end."""


def metadata_of(image: Image, turned: bool) -> Metadata:
    """What `image` says before its colours are converted; `turned` where its orientation was applied."""
    fields = {name: image.get(name) for name in _kept(image)}
    profile = _profile(fields.pop("icc-profile-data", b""))
    if profile is not None and image.interpretation not in CONVERTED:
        fields["icc-profile-data"] = profile
    if turned and "xmp-data" in fields:  # where some readers look for it, as in EXIF
        fields["xmp-data"] = _XMP_ORIENTATION.sub(rb"\g<1>1", fields["xmp-data"])
    kept = tuple((name, image.get_typeof(name), value) for name, value in fields.items())
    silent = image.xres == _SILENT or (abs(image.xres - _SILENT_DPI) < 0.01 and "resolution-unit" not in fields)
    return Metadata(kept, None if silent else (image.xres, image.yres))


def _kept(image: Image) -> list[str]:
    """Names of what is kept of `image`."""
    try:
        return [name for name in image.get_fields() if name in _KEPT or name.startswith(TEXT)]
    except UnicodeDecodeError:  # PNG calls a text so, and pyvips cannot list them
        return [name for name in _KEPT if image.get_typeof(name)]


def _profile(data: bytes) -> bytes | None:
    """An ICC profile without what stands behind its end; None for what is none or is cut short.

    Encoders refuse the whole picture for such a profile, or drop it. Damage further inside is theirs to find.
    """
    size = int.from_bytes(data[:4], "big")
    whole = 128 < size <= len(data) and data[36:40] == b"acsp"
    return data[:size] if whole else None


def timing_of(image: Image, frames: int) -> Timing:
    """How `image`, loaded with that many frames, is played; a delay that is not said is 0."""
    delays = list(image.get("delay")) if image.get_typeof("delay") else []
    loop = int(image.get("loop")) if image.get_typeof("loop") else 0
    return Timing(tuple((delays + [0] * frames)[:frames]), loop)


def animate(image: Image, timing: Timing) -> Image:
    """`image`, whose frames lie below each other, as an animation with that timing."""
    image = image.copy()
    image.set_type(pyvips.GValue.gint_type, "page-height", image.height // len(timing.delays))
    image.set_type(pyvips.GValue.array_int_type, "delay", list(timing.delays))
    image.set_type(pyvips.GValue.gint_type, "loop", timing.loop)
    return image


def describe(image: Image, metadata: Metadata) -> Image:
    """`image` with that metadata and orientation 1. The EXIF thumbnail, which is of the picture before, is left out."""
    image = image.copy()
    for name, kind, value in metadata.fields:
        image.set_type(kind, name, value)
    for name in image.get_fields():
        if name.startswith("exif-ifd1-") or name == "jpeg-thumbnail-data":
            image.remove(name)
    # EXIF, as it was set, has set the orientation too, and the resolution where it says one.
    image.set_type(pyvips.GValue.gint_type, "orientation", 1)
    across, down = metadata.resolution or (image.xres, image.yres)
    if across == _SILENT:
        across = down = _SILENT_DPI
    return image.copy(xres=across, yres=down)
