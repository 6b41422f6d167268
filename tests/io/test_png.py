"""What a PNG says of its colours without a profile."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from edgelift.core.errors import InputError
from edgelift.io.pictures import create_picture, open_picture
from edgelift.io.png import colours_of_png

SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3 = (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
STEPS = np.arange(0, 256, 5)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def gamma(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(100_000 * value)))


def primaries(*values: float) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in values)))


def png(pixels: NDArray[Any], *chunks: bytes) -> bytes:
    """A PNG of h × w × 3 or h × w bytes with these chunks before the picture."""
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def copied(folder: Path, data: bytes, suffix: str = ".png") -> Path:
    """The file as reading and writing leave it."""
    (folder / "in.png").write_bytes(data)
    target = folder / f"out{suffix}"
    with (
        open_picture(folder / "in.png") as reader,
        create_picture(target, reader.height, reader.width, reader) as writer,
    ):
        writer.write(*reader.rows(0, reader.height))
    return target


def opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
        return picture


def shown(profile: bytes, colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What sRGB shows for n × 3 colours of a profile."""
    space = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    picture = Image.fromarray(colours[:, None])
    made = ImageCms.profileToProfile(
        picture, space, ImageCms.createProfile("sRGB"), renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    assert made is not None
    return np.asarray(made)[:, 0]


@pytest.mark.parametrize("value", [1.0, 1 / 1.8, 1 / 1.4])
@pytest.mark.parametrize("chunks", [(), (primaries(*SRGB),)])
def test_a_gamma_becomes_a_profile_of_that_meaning(tmp_path: Path, value: float, chunks: tuple[bytes, ...]) -> None:
    pixels = np.repeat(STEPS.astype(np.uint8)[:, None, None], 3, 2)
    made = opened(copied(tmp_path, png(pixels, gamma(value), *chunks)))
    assert np.array_equal(np.asarray(made), pixels)
    light = (STEPS / 255) ** (1 / value)
    wanted = 255 * np.where(light < 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(shown(made.info["icc_profile"], pixels[:, 0]) - wanted[:, None]).max() < 1


def test_primaries_become_a_profile_of_that_meaning(tmp_path: Path) -> None:
    colours = np.array([[60, 200, 40], [220, 30, 20], [128, 128, 128]], np.uint8)
    made = opened(copied(tmp_path, png(colours[None], gamma(1 / 2.2), primaries(*P3))))
    linear = (colours / 255) ** 2.2
    to_srgb = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])  # of linear P3
    inside = np.clip(linear @ to_srgb.T, 0, 1)
    wanted = 255 * np.where(inside < 0.0031308, 12.92 * inside, 1.055 * inside ** (1 / 2.4) - 0.055)
    assert np.abs(shown(made.info["icc_profile"], colours) - wanted).max() < 2


@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (gamma(0.45455),),
        (gamma(0.45455), primaries(*SRGB)),
        (gamma(1.0), chunk(b"sRGB", b"\0")),
        (gamma(0.0),),
        (chunk(b"gAMA", b""),),
        (chunk(b"cICP", bytes([1, 13, 0, 1])), gamma(1.0)),
    ],
)
def test_what_is_shown_as_srgb_gets_no_profile(tmp_path: Path, chunks: tuple[bytes, ...]) -> None:
    assert "icc_profile" not in opened(copied(tmp_path, png(np.zeros((4, 5, 3), np.uint8), *chunks))).info


def test_a_profile_in_the_file_wins(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    own = chunk(b"iCCP", b"own\0\0" + zlib.compress(profile))
    made = opened(copied(tmp_path, png(np.zeros((4, 5, 3), np.uint8), gamma(1.0), own)))
    assert made.info["icc_profile"] == profile


def test_grey(tmp_path: Path) -> None:
    with Image.open(copied(tmp_path, png(np.full((4, 5), 95, np.uint8), gamma(1.0)))) as made:
        assert made.mode == "L"
        assert made.info["icc_profile"][16:20] == b"GRAY"
    there = pyvips.Image.new_from_file(str(tmp_path / "out.png")).icc_transform("srgb", embedded=True)
    assert there(0, 0)[0] == pytest.approx(164, abs=1)  # 0.3725 of the light


def test_formats_without_profiles_get_srgb(tmp_path: Path) -> None:
    with Image.open(copied(tmp_path, png(np.full((4, 5, 3), 95, np.uint8), gamma(1.0)), ".gif")) as made:
        assert np.asarray(made.convert("L"))[0, 0] == pytest.approx(164, abs=1)


def test_codes_that_cannot_be_kept_are_refused(tmp_path: Path) -> None:
    (tmp_path / "hdr.png").write_bytes(png(np.zeros((4, 5, 3), np.uint8), chunk(b"cICP", bytes([9, 16, 0, 1]))))
    with pytest.raises(InputError, match=r"hdr\.png: states its colours by code .cICP: primaries 9, transfer 16"):
        open_picture(tmp_path / "hdr.png")


def test_texts_are_kept_unless_their_names_cannot_be_read(tmp_path: Path) -> None:
    pixels = np.zeros((4, 5, 3), np.uint8)
    assert opened(copied(tmp_path, png(pixels, chunk(b"tEXt", b"Author\0me")))).info["Author"] == "me"
    (tmp_path / "out.png").unlink()
    resolution = chunk(b"pHYs", struct.pack(">IIB", 5000, 5000, 1))
    made = opened(copied(tmp_path, png(pixels, resolution, chunk(b"tEXt", b"Gr\xf6\xdfe\0x"))))
    assert made.info["dpi"][0] == pytest.approx(127)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 120_000), min_size=8, max_size=8), st.binary(max_size=40))
def test_any_chunks_give_a_profile_or_none(value: int, points: list[int], rest: bytes) -> None:
    head = png(
        np.zeros((1, 1, 3), np.uint8),
        chunk(b"gAMA", struct.pack(">I", value)),
        chunk(b"cHRM", struct.pack(">8I", *points)),
    )
    for grey in (False, True):
        made = colours_of_png("any", head, grey)
        assert made is None or int.from_bytes(made[:4], "big") == len(made)
    colours_of_png("any", head[:8] + rest, grey=False)
