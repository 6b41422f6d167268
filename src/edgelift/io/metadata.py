"""What a picture says beside its pixels, taken from one picture and put on another of the same content."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pyvips

from edgelift.io.vips import Image

__all__ = ["CONVERTED", "Metadata", "describe", "metadata_of"]

CONVERTED = ("cmyk", "labs", "labq")
"""libvips' names of the colour spaces that become sRGB, so that their ICC profile no longer holds."""

_KEPT = re.compile(r"(icc-profile|exif|xmp|iptc)-data|png-comment-.*|resolution-unit|image-description")
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

    def has(self, name: str) -> bool:
        """Whether a field of that name is kept."""
        return any(name == field for field, _, _ in self.fields)


def metadata_of(image: Image, turned: bool) -> Metadata:
    """What `image` says before its colours are converted; `turned` where its orientation was applied."""
    fields = {name: image.get(name) for name in image.get_fields() if _KEPT.fullmatch(name)}
    if image.interpretation in CONVERTED:
        fields.pop("icc-profile-data", None)
    if turned and "xmp-data" in fields:  # where some readers look for it, as in EXIF
        fields["xmp-data"] = _XMP_ORIENTATION.sub(rb"\g<1>1", fields["xmp-data"])
    kept = tuple((name, image.get_typeof(name), value) for name, value in fields.items())
    silent = image.xres == _SILENT or (abs(image.xres - _SILENT_DPI) < 0.01 and "resolution-unit" not in fields)
    return Metadata(kept, None if silent else (image.xres, image.yres))


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
