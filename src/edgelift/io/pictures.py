"""Pictures as strips: PNG, JPEG, WebP and TIFF, read from the top down and written as rows come.

    with open_picture(source) as reader, create_picture(target, reader.height, reader.width, reader) as writer:
        for start in range(0, reader.height, 64):
            writer.write(*reader.rows(start, min(start + 64, reader.height)))

Alpha, ICC profiles, EXIF, XMP, resolution and 16 bits a channel pass through. Memory depends on the strip and the
width, not on the area. The same picture gives the same file.
"""

from edgelift.io.formats import SUFFIXES, PictureFormat
from edgelift.io.read import DEFAULT_MAX_PIXELS, PictureReader, open_picture
from edgelift.io.write import PictureWriter, create_picture

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "SUFFIXES",
    "PictureFormat",
    "PictureReader",
    "PictureWriter",
    "create_picture",
    "open_picture",
]
