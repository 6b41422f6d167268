"""Samples of 10 and 12 bits: they lie at the top of 16 bits in libvips, and fill the whole range in this program."""

from __future__ import annotations

from edgelift.io.vips import Image

__all__ = ["narrow", "widen"]


def widen(image: Image, depth: int) -> Image:
    """From `depth` bits at the top of 16, as libvips reads them, to 0 … 65535, so that white is white."""
    return image | (image >> depth)


def narrow(image: Image, depth: int) -> Image:
    """From 0 … 65535 to the nearest of `depth` bits, at the top of 16, where libvips cuts them off."""
    most = (1 << depth) - 1
    return (image * (most / 65535)).rint().cast("ushort") << (16 - depth)
