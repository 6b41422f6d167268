"""Pictures as strips: PNG, JPEG, WebP, TIFF, AVIF and GIF, read from the top down and written as rows come.

HEIC and BMP too, where libvips was built with HEVC and ImageMagick.

    with open_picture(source) as reader, create_picture(target, reader.height, reader.width, reader) as writer:
        for start in range(0, reader.height, 64):
            writer.write(*reader.rows(start, min(start + 64, reader.height)))

Alpha, ICC profiles, EXIF, XMP, resolution, 16 bits a channel and the timing of animations pass through, where the format
has room for them; else it is refused, or `create_picture` says what becomes of them. Memory depends on the strip and the
width, not on the area, for PNG, JPEG and TIFF; see `read` and `write`. The same picture gives the same file.
"""

from edgelift.io.encoding import check_encoding
from edgelift.io.formats import SUFFIXES, PictureFormat
from edgelift.io.read import DEFAULT_MAX_PIXELS, PictureReader, open_picture
from edgelift.io.standard import STANDARD
from edgelift.io.write import PictureWriter, check_picture, create_picture

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "STANDARD",
    "SUFFIXES",
    "PictureFormat",
    "PictureReader",
    "PictureWriter",
    "check_encoding",
    "check_picture",
    "create_picture",
    "open_picture",
]
