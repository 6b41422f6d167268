"""Whether a GIF is all there.

libvips takes a GIF that was cut short for one with fewer frames, or with a frame that is empty below; GIF has no check
sums and no count of frames. What it has is an order of blocks from the header to a trailer, and that is followed here.
"""

from __future__ import annotations

from io import FileIO

__all__ = ["is_whole_gif"]

_TRAILER, _EXTENSION, _FRAME = 0x3B, 0x21, 0x2C
_COLOURS, _COLOUR_BITS = 0x80, 0x07  # of a descriptor: whether a table of colours follows, and its size


def is_whole_gif(file: FileIO) -> bool:
    """Whether the blocks of `file` follow each other to the trailer; `file` is a GIF open for reading."""
    file.seek(0)
    data = file.read()
    try:
        position = 13 + _table(data[10])
        while data[position] != _TRAILER:
            position = _after(data, position)
    except (IndexError, ValueError):
        return False
    return True


def _table(packed: int) -> int:
    """The bytes of the table of colours that a descriptor with these flags brings."""
    return 3 << (packed & _COLOUR_BITS) + 1 if packed & _COLOURS else 0


def _after(data: bytes, position: int) -> int:
    """The offset after the block at `position`; `ValueError` where none begins there."""
    if data[position] == _FRAME:
        position += 11 + _table(data[position + 9])  # with the size of LZW codes
    elif data[position] == _EXTENSION:
        position += 2
    elif data[position] == 0:
        return position + 1  # which some writers leave between blocks
    else:
        raise ValueError(f"no block of GIF begins with {data[position]}")
    while data[position]:  # sub-blocks, each behind its length; one of length 0 ends them
        position += 1 + data[position]
    return position + 1
