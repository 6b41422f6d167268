from __future__ import annotations

import base64
import io
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image, ImageOps

import edgelift.io.codecs
from edgelift.core.errors import EdgeliftError, InputError, OutputError, RequestError
from edgelift.io.formats import FORMATS, format_of_bytes
from edgelift.io.pictures import check_encoding, create_picture, open_picture

HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAA"
    "AAAERAAAEAAQAAAAABoAABAAAAAAAAADIAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/GlwcnAA"
    "AADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkA"
    "AAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAA"
    "AChjbGFwAAAACAAAAAEAAAAIAAAAAf///8gAAAAC////yAAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAOm"
    "1kYXQAAAAuKAGvEyFiY0D1JyL//166f/Ie5/2b2WFncrrBW/L6wPZkm8DzqpGegIdppzAVeA=="
)
"""8 × 8 pixels of one colour, by x265."""


def waves(height: int = 40, width: int = 50, channels: int = 3) -> NDArray[np.uint8]:
    """Smooth colours, which lossy formats keep well; alpha too has no hard edges."""
    y, x, c = np.mgrid[:height, :width, :channels]
    return np.asarray(128 + 100 * np.sin(x / (9 + 2 * c)) * np.cos(y / (7 + c))).astype(np.uint8)


def store(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    deep = pixels.dtype == np.uint16
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="rgb16" if deep else "srgb")
    image.write_to_file(str(path), **options)
    return path


def stored(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = pyvips.Image.new_from_file(str(path)).numpy()
    return array


def transfer(source: Path, target: Path, **options: Any) -> Path:
    with (
        open_picture(source) as reader,
        create_picture(target, reader.height, reader.width, reader, **options) as writer,
    ):
        for start in range(0, reader.height, 16):
            writer.write(*reader.rows(start, min(start + 16, reader.height)))
    return target


def message(error: pytest.ExceptionInfo[EdgeliftError]) -> str:
    text = str(error.value)
    assert len(text.splitlines()) == 1
    return text


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return store(tmp_path / "source.png", waves())


# -- the table ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1miafMA1Bavif", "AVIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp41", None),
        (b"GIF87a" + bytes(99), "GIF"),
        (b"BM" + bytes(12) + b"\x28\0\0\0" + bytes(50), "BMP"),
        (b"BMW, a car maker of Munich in Bavaria", None),
        (b"RIFF1234WEBPVP8 ", "WebP"),
        (b"RIFF1234WAVEfmt ", None),
    ],
)
def test_format_is_known_by_content(head: bytes, name: str | None) -> None:
    kind = format_of_bytes(head)
    assert (kind.name if kind else None) == name


def test_suffixes_are_unique() -> None:
    suffixes = [suffix for row in FORMATS for suffix in row.suffixes]
    assert len(set(suffixes)) == len(suffixes)


# -- AVIF --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [3, 4])
def test_avif_round_trip(tmp_path: Path, channels: int) -> None:
    pixels = waves(channels=channels)
    out = transfer(store(tmp_path / "a.png", pixels), tmp_path / "a.avif")
    difference = np.abs(stored(out).astype(int) - pixels)
    assert difference.mean() < 2
    assert difference.max() < 12
    back = transfer(out, tmp_path / "b.png")
    np.testing.assert_array_equal(stored(back)[..., :3], stored(out)[..., :3])


@pytest.mark.parametrize("depth", [10, 12])
def test_avif_of_more_bits(tmp_path: Path, depth: int) -> None:
    most = (1 << depth) - 1
    values = (np.random.default_rng(0).integers(0, most + 1, (24, 32, 3)) << (16 - depth)).astype(np.uint16)
    values[0, 0] = most << (16 - depth)
    source = store(tmp_path / "a.avif", values, bitdepth=depth, lossless=True, compression="av1")
    np.testing.assert_array_equal(stored(source), values)
    with open_picture(source) as reader:
        assert (reader.depth, reader.dtype) == (depth, np.uint16)
        assert reader.rows(0, 1)[0][0, 0].tolist() == [65535] * 3  # white stays white in 16 bits
    png = transfer(source, tmp_path / "a.png")
    exact = (values >> (16 - depth)) * (65535 / most)
    assert np.abs(stored(png) - exact).max() < 65536 / most**1.5 + 1
    again = transfer(source, tmp_path / "b.avif", lossless=True)
    np.testing.assert_array_equal(stored(again), values)
    with pytest.raises(
        RequestError, match=f"JPEG holds 8 bits a channel and .* has {depth}; choose .png or .tif or .avif"
    ):
        transfer(source, tmp_path / "b.jpg")


def test_sixteen_bits_do_not_become_twelve(tmp_path: Path) -> None:
    path = store(tmp_path / "a.png", waves().astype(np.uint16) * 257)
    with pytest.raises(RequestError) as caught:
        transfer(path, tmp_path / "b.avif")
    assert "AVIF holds 12 bits a channel and" in message(caught)
    assert "has 16; choose .png or .tif" in message(caught)


@pytest.mark.parametrize("orientation", [1, 2, 3, 6, 8])
def test_avif_is_turned_once(tmp_path: Path, orientation: int) -> None:
    exif, path = Image.Exif(), tmp_path / "a.avif"
    exif[0x112] = orientation
    Image.fromarray(waves(20, 34)).save(path, exif=exif, quality=100, subsampling="4:4:4")
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)
    out = stored(transfer(path, tmp_path / "b.png"))
    assert out.shape == expected.shape
    assert np.abs(out - expected).max() <= 3


def test_exif_and_xmp_do_not_turn_avif_again(tmp_path: Path) -> None:
    """libvips turns the picture, and leaves what else says how it lies."""
    exif, stored_exif = Image.Exif(), io.BytesIO()
    exif[0x112] = 6
    Image.fromarray(waves(20, 34)).save(stored_exif, "jpeg", exif=exif)
    turned = pyvips.Image.new_from_buffer(stored_exif.getvalue(), "").copy()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:D xmlns:r="r" xmlns:tiff="t" tiff:Orientation="6"/></x:xmpmeta>'
    turned.set_type(pyvips.GValue.blob_type, "xmp-data", xmp)
    turned.heifsave(str(tmp_path / "a.avif"), compression="av1")
    with Image.open(transfer(tmp_path / "a.avif", tmp_path / "b.jpg")) as out:
        assert out.size == (20, 34)
        assert out.getexif()[0x112] == 1
        assert b'Orientation="1"' in out.info["xmp"]


def test_metadata_goes_through_avif(tmp_path: Path) -> None:
    exif, profile = Image.Exif(), bytes(pyvips.Operation.call("profile_load", "p3"))
    exif[0x10F] = "Maker"
    Image.fromarray(waves()).save(tmp_path / "a.jpg", exif=exif, icc_profile=profile)
    back = transfer(transfer(tmp_path / "a.jpg", tmp_path / "b.avif"), tmp_path / "c.jpg")
    with Image.open(back) as image:
        assert image.getexif()[0x10F] == "Maker"
        assert image.info["icc_profile"] == profile


def test_animated_avif_is_refused(tmp_path: Path) -> None:
    first, second = (Image.fromarray(waves() + k) for k in range(2))
    first.save(tmp_path / "a.avif", save_all=True, append_images=[second])
    with pytest.raises(InputError, match="several pages or frames"):
        open_picture(tmp_path / "a.avif", animated=True)


# -- formats that depend on how libvips was built ----------------------------------------------------------------------


def can(what: Callable[[], Any]) -> bool:
    """Whether libvips by itself does that."""
    try:
        what()
    except pyvips.Error:
        return False
    return True


def test_heic_is_read_or_the_missing_codec_named(tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(HEIC)
    with open_picture(path) as reader:
        assert (reader.height, reader.width) == (8, 8)
        if can(lambda: stored(path)):
            assert np.abs(reader.rows(0, 8)[0].astype(int) - [200, 40, 10]).max() < 12
            return
        with pytest.raises(InputError) as caught:
            reader.rows(0, 8)
    assert "needs a codec that the libvips at hand lacks" in message(caught)
    assert "HEVC" in message(caught)


@pytest.mark.parametrize("name", ["a.heic", "a.bmp"])
def test_writing_what_libvips_may_lack(source: Path, name: str) -> None:
    target = source.parent / name
    if name == "a.heic" and can(lambda: store(source.parent / "b.heic", waves())):
        assert transfer(source, target).exists()
        return
    with pytest.raises(OutputError) as caught:
        transfer(source, target)
    assert "the libvips at hand does not write" in message(caught)
    assert "choose .png or .jpg or .webp or .tif or .avif" in message(caught)
    assert not target.exists()


def test_bmp_is_read_or_its_loader_missed(tmp_path: Path) -> None:
    Image.fromarray(waves()).save(tmp_path / "a.bmp")
    if pyvips.type_find("VipsOperation", "magickload_source"):
        np.testing.assert_array_equal(stored(transfer(tmp_path / "a.bmp", tmp_path / "b.png")), waves())
    else:
        with pytest.raises(InputError) as caught:
            open_picture(tmp_path / "a.bmp")
        assert "is BMP, which the libvips at hand does not read; convert it to PNG, JPEG" in message(caught)


def test_libvips_without_a_format(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edgelift.io.codecs, "_exists", lambda operation: "png" in operation)
    edgelift.io.codecs._encodes.cache_clear()
    try:
        with pytest.raises(OutputError, match=r"does not write AVIF; choose \.png$"):
            transfer(source, source.parent / "a.avif")
        store(source.parent / "a.jpg", waves())
        with pytest.raises(InputError, match=r"is JPEG, which the libvips at hand does not read; convert it to PNG$"):
            open_picture(source.parent / "a.jpg")
    finally:
        edgelift.io.codecs._encodes.cache_clear()


# -- GIF ---------------------------------------------------------------------------------------------------------------


def test_palette_is_read_as_its_colours(tmp_path: Path) -> None:
    indices = np.random.default_rng(0).integers(0, 7, (30, 40), np.uint8)
    palette = np.random.default_rng(1).integers(0, 256, (7, 3), np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "a.gif", optimize=False)
    with open_picture(tmp_path / "a.gif") as reader:
        assert not reader.alpha
        np.testing.assert_array_equal(reader.rows(0, 30)[0], palette[indices])


def test_gif_with_few_colours_is_exact(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).choice(np.array([0, 90, 255], np.uint8), (33, 21, 3))
    back = transfer(store(tmp_path / "a.png", pixels), tmp_path / "a.gif")
    with open_picture(back) as reader:
        assert not reader.alpha  # libvips names a transparent colour even where there is none
        assert np.abs(reader.rows(0, 33)[0].astype(int) - pixels).max() <= 1


def test_gif_holds_256_colours_and_two_alphas(tmp_path: Path) -> None:
    source = store(tmp_path / "a.png", waves(60, 70, 4))
    back = stored(transfer(source, tmp_path / "a.gif"))
    assert len(np.unique(back.reshape(-1, 4), axis=0)) <= 256
    assert set(np.unique(back[..., 3])) == {0, 255}
    seen = back[..., 3] == 255
    assert np.abs(back[seen].astype(int) - waves(60, 70, 4)[seen])[:, :3].mean() < 12


def test_profile_becomes_srgb_in_gif(tmp_path: Path) -> None:
    image = pyvips.Image.new_from_array(np.full((8, 8, 3), [0, 200, 0], np.uint8)).copy(interpretation="srgb")
    profile = bytes(pyvips.Operation.call("profile_load", "p3"))
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    image.pngsave(str(tmp_path / "a.png"))
    expected = image.icc_transform("srgb", embedded=True).numpy()
    out = stored(transfer(tmp_path / "a.png", tmp_path / "a.gif"))[..., :3].astype(int)
    assert np.abs(out - expected).max() <= 2
    assert np.abs(out - [0, 200, 0]).max() > 2


# -- quality, compression, lossless ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_quality(source: Path, suffix: str) -> None:
    sizes = []
    for quality in (20, 60, None, 100):
        out = transfer(source, source.parent / f"{quality}{suffix}", quality=quality)
        sizes.append(out.stat().st_size)
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_compression(tmp_path: Path, suffix: str) -> None:
    source = store(tmp_path / "source.png", waves(300, 400))
    sizes = [transfer(source, tmp_path / f"{c}{suffix}", compression=c).stat().st_size for c in (0, 1, 9)]
    assert sizes[0] > 300 * 400 * 3 > sizes[1] > sizes[2]
    for level in (0, 1, 9):
        np.testing.assert_array_equal(stored(tmp_path / f"{level}{suffix}"), waves(300, 400))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".avif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_lossless(tmp_path: Path, suffix: str, channels: int) -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (30, 40, channels), np.uint8)
    out = transfer(store(tmp_path / "source.png", pixels), tmp_path / f"a{suffix}", lossless=True)
    np.testing.assert_array_equal(stored(out), pixels)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.png", {"quality": 90}, "PNG has no quality; leave it out, or choose .jpg or .webp or .avif"),
        ("a.tif", {"quality": 90}, "TIFF has no quality"),
        ("a.gif", {"quality": 90}, "GIF has no quality"),
        ("a.jpg", {"compression": 5}, "JPEG has no compression level; leave it out, or choose .png or .tif"),
        ("a.webp", {"compression": 5}, "WebP has no compression level"),
        (
            "a.jpg",
            {"lossless": True},
            "JPEG has no lossless mode; leave it out, or choose .png or .webp or .tif or .avif",
        ),
        ("a.gif", {"lossless": True}, "GIF has no lossless mode"),
        ("a.webp", {"lossless": True, "quality": 5}, "a lossless picture has no quality to choose"),
        ("a.png", {"compression": 10}, "compression must be 0 to 9, got 10"),
        ("a.png", {"compression": -1}, "compression must be 0 to 9, got -1"),
        ("a.avif", {"quality": 101}, "quality must be 1 to 100, got 101"),
        ("a.xcf", {}, "cannot write the suffix '.xcf'"),
        ("-", {}, "standard output has no suffix; say --format"),
    ],
)
def test_what_a_format_lacks(source: Path, name: str, options: dict[str, Any], words: str) -> None:
    target = Path(name) if name == "-" else source.parent / name
    for ask in (lambda: transfer(source, target, **options), lambda: check_encoding(target, **options)):
        with pytest.raises(RequestError) as caught:
            ask()
        assert words in message(caught)
    assert [path.name for path in source.parent.iterdir()] == ["source.png"]


# -- broken profiles ---------------------------------------------------------------------------------------------------


def broken_profiles() -> dict[str, bytes]:
    whole = bytes(pyvips.Operation.call("profile_load", "p3"))
    flipped = whole[:132] + bytes(255 - b for b in whole[132:300]) + whole[300:]
    return {"words": b"not a profile " * 20, "cut": whole[:200], "short": b"ab", "flipped": flipped}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif", ".gif"])
def test_broken_profile_is_dropped(tmp_path: Path, suffix: str) -> None:
    for name, profile in broken_profiles().items():
        path = tmp_path / f"{name}.jpg"
        Image.fromarray(waves()).save(path, icc_profile=profile)
        with Image.open(transfer(path, tmp_path / f"{name}-out{suffix}")) as image:
            # Of the last the header is whole: what is inside is not looked at.
            assert image.info.get("icc_profile") in ([None, profile] if name == "flipped" else [None])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
def test_what_stands_behind_a_profile_is_dropped(tmp_path: Path, suffix: str) -> None:
    profile = bytes(pyvips.Operation.call("profile_load", "p3"))
    Image.fromarray(waves()).save(tmp_path / "a.jpg", icc_profile=profile + bytes(100))
    with Image.open(transfer(tmp_path / "a.jpg", tmp_path / f"b{suffix}")) as image:
        assert image.info["icc_profile"] == profile


def test_cmyk_with_a_broken_profile(tmp_path: Path) -> None:
    Image.fromarray(waves()).convert("CMYK").save(tmp_path / "a.jpg", icc_profile=b"broken" * 50)
    assert stored(transfer(tmp_path / "a.jpg", tmp_path / "b.png")).shape == (40, 50, 3)


def test_broken_profile_in_png(tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.fromarray(waves()).save(data, "PNG", icc_profile=b"broken" * 50)
    (tmp_path / "a.png").write_bytes(data.getvalue())
    np.testing.assert_array_equal(stored(transfer(tmp_path / "a.png", tmp_path / "b.png")), waves())


# -- a full disk -------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, which only root can make."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount, release = shutil.which("mount"), shutil.which("umount")
    if mount is None or release is None:
        pytest.skip("no mount here")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"cannot mount a small disk: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run([release, str(folder)], check=True)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif", ".gif"])
def test_disk_that_fills_up(tmp_path: Path, small_disk: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    source = store(tmp_path / "a.png", noise)
    with pytest.raises(OutputError) as caught:
        transfer(source, small_disk / f"a{suffix}")
    assert "cannot be written" in message(caught)
    assert list(small_disk.iterdir()) == []
