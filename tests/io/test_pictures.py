from __future__ import annotations

import io
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin

from edgelift.io.pictures import SUFFIXES, PictureReader, create_picture, open_picture
from edgelift.io.strips import HIDDEN_RADIUS, fill_hidden

ORIENTATION, MAKER = 0x112, 0x10F
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:D xmlns:r="r" xmlns:tiff="t" tiff:Orientation="%d"/></x:xmpmeta>'


def samples(height: int, width: int, channels: int, dtype: Any = np.uint8) -> NDArray[Any]:
    """Waves with a little noise; alpha, as the last of 2 or 4 channels, has no zeros."""
    y, x, c = np.mgrid[:height, :width, :channels]
    noise = np.random.default_rng(0).uniform(-3, 3, (height, width, channels))
    waves = 120 + 90 * np.sin(x / (9 + 2 * c)) * np.cos(y / (7 + c)) + noise
    return np.asarray(waves * (np.iinfo(dtype).max / 255)).astype(dtype)


def store(path: Path, pixels: NDArray[Any]) -> Path:
    """Save `pixels` in the format of the suffix, without loss where the format has such a mode."""
    deep = pixels.dtype == np.uint16
    space = ("grey16" if deep else "b-w") if pixels.shape[2] < 3 else ("rgb16" if deep else "srgb")
    lossless: dict[str, dict[str, Any]] = {".webp": {"lossless": True}, ".jpg": {"Q": 95, "subsample_mode": "off"}}
    pyvips.Image.new_from_array(pixels).copy(interpretation=space).write_to_file(
        str(path), **lossless.get(path.suffix, {})
    )
    return path


def stored(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = pyvips.Image.new_from_file(str(path)).numpy()
    return array if array.ndim == 3 else array[..., None]


def transfer(source: Path, target: Path, strip: int = 16, **options: Any) -> Path:
    """Read `source` and write it to `target` in strips."""
    with (
        open_picture(source) as reader,
        create_picture(target, reader.height, reader.width, reader, **options) as writer,
    ):
        for start in range(0, reader.height, strip):
            writer.write(*reader.rows(start, min(start + strip, reader.height)))
    return target


def whole(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    with open_picture(path) as reader:
        return reader.rows(0, reader.height)


WRITTEN = [suffix for suffix, row in SUFFIXES.items() if row.saver and row.usual]
KINDS = [
    (suffix, dtype, channels)
    for suffix, row in SUFFIXES.items()
    if suffix in WRITTEN and row.full_colour
    for dtype in ([np.uint8, np.uint16] if row.depth == 16 else [np.uint8])
    for channels in ([1, 2, 3, 4] if row.alpha else [1, 3])
]


@pytest.mark.parametrize(("suffix", "dtype", "channels"), KINDS)
def test_picture_comes_back(tmp_path: Path, suffix: str, dtype: Any, channels: int) -> None:
    row = SUFFIXES[suffix]
    pixels = samples(53, 41, channels, dtype)
    source = store(tmp_path / "source.png", pixels)
    target = transfer(source, tmp_path / f"target{suffix}")
    back = stored(target)
    if row.quality is None:
        np.testing.assert_array_equal(back, pixels)
    else:
        expected = pixels if row.grey or channels > 2 else pixels[..., [0, 0, 0, *range(1, channels)]]
        assert back.shape == expected.shape
        assert np.abs(back.astype(int) - expected).mean() < 3
    with open_picture(target) as reader:
        assert (reader.height, reader.width, reader.dtype) == (53, 41, dtype)
        assert (reader.grey, reader.alpha) == (channels < 3 and row.grey, channels in (2, 4))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.png", target.name]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_reader_gives_what_is_stored(tmp_path: Path, suffix: str) -> None:
    path = store(tmp_path / f"a{suffix}", samples(37, 29, 3))
    colour, alpha = whole(path)
    assert alpha is None
    np.testing.assert_array_equal(colour, stored(path))


def test_grey_is_replicated_and_green_is_written(tmp_path: Path) -> None:
    pixels = samples(9, 8, 1)
    with open_picture(store(tmp_path / "a.png", pixels)) as reader:
        colour, _ = reader.rows(0, 9)
        np.testing.assert_array_equal(colour, pixels.repeat(3, axis=2))
        with create_picture(tmp_path / "b.png", 9, 8, reader) as writer:
            writer.write(np.dstack([colour[..., 0] * 0, colour[..., 1], colour[..., 2] * 0]), None)
    np.testing.assert_array_equal(stored(tmp_path / "b.png"), pixels)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_smallest_and_larger_sizes(tmp_path: Path, suffix: str) -> None:
    with open_picture(store(tmp_path / "a.png", samples(1, 1, 3))) as reader:
        for height, width in ((1, 1), (1, 70), (70, 1)):
            target = tmp_path / f"{height}x{width}{suffix}"
            with create_picture(target, height, width, reader) as writer:
                writer.write(np.full((height, width, 3), 77, np.uint8), None)
            np.testing.assert_allclose(stored(target)[..., :3], 77, atol=2)


def test_same_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    source = store(tmp_path / "a.png", samples(90, 80, 3))
    for suffix in WRITTEN:
        first, second = transfer(source, tmp_path / f"b{suffix}"), transfer(source, tmp_path / f"c{suffix}", strip=7)
        assert first.read_bytes() == second.read_bytes()


def test_writer_copies_what_it_is_given(tmp_path: Path) -> None:
    pixels = samples(64, 16, 3)
    with (
        open_picture(store(tmp_path / "a.png", pixels)) as reader,
        create_picture(tmp_path / "b.png", 64, 16, reader) as writer,
    ):
        buffer = np.empty((8, 16, 3), np.uint8)
        for start in range(0, 64, 8):
            buffer[:] = pixels[start : start + 8]
            writer.write(buffer, None)
            buffer[:] = 0
    np.testing.assert_array_equal(stored(tmp_path / "b.png"), pixels)


# -- strips ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tall(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A picture of 211 × 23 with hidden pixels, in formats with different decoders."""
    folder = tmp_path_factory.mktemp("tall")
    pixels = samples(211, 23, 4)
    pixels[np.random.default_rng(1).random((211, 23)) < 0.6, 3] = 0
    pixels[40:90, :, 3] = 0
    names = {name: store(folder / name, pixels) for name in ("a.png", "a.webp", "a.tif")}
    pyvips.Image.new_from_array(pixels).tiffsave(str(folder / "tiles.tif"), tile=True, tile_width=16, tile_height=16)
    return names | {"tiles.tif": folder / "tiles.tif"}


@settings(max_examples=40)
@given(data=st.data(), name=st.sampled_from(["a.png", "a.webp", "a.tif", "tiles.tif"]))
def test_overlapping_rows_are_the_rows_of_the_whole(data: st.DataObject, name: str, tall: dict[str, Path]) -> None:
    colour, alpha = whole(tall[name])
    assert alpha is not None
    bounds = st.lists(st.integers(0, 211), min_size=1, max_size=12)
    starts, stops = sorted(data.draw(bounds)), sorted(data.draw(bounds))
    with open_picture(tall[name]) as reader:
        for start, stop in zip(starts, stops, strict=False):
            if start < stop:
                part, part_alpha = reader.rows(start, stop)
                np.testing.assert_array_equal(part, colour[start:stop])
                np.testing.assert_array_equal(part_alpha, alpha[start:stop])


def test_each_row_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    decode = PictureReader._decode

    def noted(self: PictureReader, start: int, stop: int) -> NDArray[Any]:
        decoded.extend(range(start, stop))
        return decode(self, start, stop)

    monkeypatch.setattr(PictureReader, "_decode", noted)
    with open_picture(store(tmp_path / "a.png", samples(64, 8, 3))) as reader:
        for start in range(0, 64, 16):
            reader.rows(max(0, start - 9), min(64, start + 25))
    assert decoded == list(range(64))


def test_strips_may_be_read_and_written_in_other_threads(tmp_path: Path) -> None:
    pixels = samples(64, 16, 4)
    with (
        open_picture(store(tmp_path / "a.png", pixels)) as reader,
        create_picture(tmp_path / "b.png", 64, 16, reader) as writer,
    ):
        for start in range(0, 64, 16):
            with ThreadPoolExecutor(1) as pool:
                rows = pool.submit(reader.rows, start, start + 16).result()
            with ThreadPoolExecutor(1) as pool:
                pool.submit(writer.write, *rows).result()
    np.testing.assert_array_equal(stored(tmp_path / "b.png"), pixels)


def test_memory_does_not_grow_with_the_area(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path; from edgelift.io.pictures import *\n"
        "source, target = Path(sys.argv[1]), Path(sys.argv[2])\n"
        "with open_picture(source) as reader, create_picture(target, reader.height, reader.width, reader) as writer:\n"
        "    for y in range(0, reader.height, 64): writer.write(*reader.rows(y, min(y + 64, reader.height)))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    for read, written in ((".png", ".tif"), (".tif", ".jpg"), (".jpg", ".png")):
        peaks = []
        for height in (512, 9216):
            source = tmp_path / f"{height}{read}"
            ramp = pyvips.Image.xyz(1500, height)[0].cast("uchar")
            ramp.bandjoin([ramp, ramp]).copy(interpretation="srgb").write_to_file(str(source))
            command = [sys.executable, "-c", script, str(source), str(tmp_path / f"{height}-out{written}")]
            peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        assert peaks[1] < 1.2 * peaks[0]  # whole, it would be 38 MiB more, of about 70


def test_import_is_light() -> None:
    script = "import sys, edgelift.io.pictures; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "PIL", "onnxruntime", "openvino", "onnx"} & set(loaded)


# -- what stands beside the pixels -------------------------------------------------------------------------------------


def profile(name: str) -> bytes:
    return bytes(pyvips.Operation.call("profile_load", name))


def save_with(path: Path, exif: Image.Exif, xmp: bytes, **options: Any) -> None:
    """A picture of 20 × 33 with these blocks, each where its format has them."""
    if path.suffix == ".png":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    elif path.suffix == ".tif":
        exif[700] = xmp
    else:
        options |= {"xmp": xmp, "lossless": True}
    Image.fromarray(samples(20, 33, 3)).save(path, exif=exif, **options)


def fields(path: Path) -> tuple[Any, ...]:
    """ICC profile, XMP and resolution (dpi) as libvips reads them; the last from EXIF for WebP, which it does not."""
    image = pyvips.Image.new_from_file(str(path))
    found = [image.get(name) if image.get_typeof(name) else None for name in ("icc-profile-data", "xmp-data")]
    if path.suffix != ".webp":
        return (*found, round(image.xres * 25.4), round(image.yres * 25.4))
    with Image.open(path) as saved:
        return (*found, *(round(saved.getexif()[tag]) for tag in (0x11A, 0x11B)))


@pytest.mark.parametrize("target", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("source", [".png", ".jpg", ".webp", ".tif"])
def test_metadata_is_kept(tmp_path: Path, source: str, target: str) -> None:
    exif = Image.Exif()
    exif[MAKER] = "Maker"
    exif[0x11A] = exif[0x11B] = 300.0
    exif[0x128] = 2
    path = tmp_path / f"a{source}"
    save_with(path, exif, XMP % 1, icc_profile=profile("p3"), dpi=(300, 300))
    out = transfer(path, tmp_path / f"b{target}")
    assert fields(out) == (profile("p3"), XMP % 1, 300, 300)
    if ".tif" not in (source, target):  # libvips neither reads nor writes EXIF there
        with Image.open(out) as saved:
            assert saved.getexif()[MAKER] == "Maker"


def grey_profile() -> bytes:
    """The least ICC profile of grey that libpng accepts: gamma 2.2."""
    white = struct.pack(">iii", 63190, 65536, 54061)
    tags = {
        b"desc": b"desc" + struct.pack(">II", 0, 5) + b"Grey\0" + bytes(79),
        b"cprt": b"text" + bytes(4) + b"none\0\0\0\0",
        b"wtpt": b"XYZ " + bytes(4) + white,
        b"kTRC": b"curv" + struct.pack(">IIHH", 0, 1, 563, 0),
    }
    start = 132 + 12 * len(tags)
    sizes = [len(tag) for tag in tags.values()]
    entries = [struct.pack(">4sII", name, start + sum(sizes[:i]), sizes[i]) for i, name in enumerate(tags)]
    names = struct.pack(">4sI4s4s4s12x4s", b"none", 0x02100000, b"mntr", b"GRAY", b"XYZ ", b"acsp")
    head = struct.pack(">I", start + sum(sizes)) + names + bytes(28) + white + bytes(48)
    return head + struct.pack(">I", len(tags)) + b"".join([*entries, *tags.values()])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_profile_of_grey_stays_with_grey(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(samples(20, 30, 1)[..., 0]).save(tmp_path / "a.png", icc_profile=grey_profile())
    assert fields(transfer(tmp_path / "a.png", tmp_path / f"b{suffix}"))[0] == grey_profile()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_no_exif_is_made_up(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(samples(20, 30, 3)).save(path)
    with Image.open(transfer(path, tmp_path / f"b{suffix}")) as saved:
        assert not saved.getexif()


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [
        (".png", ["PNG holds no IPTC"]),
        (".webp", ["WebP holds no IPTC"]),
        (".avif", ["AVIF holds no IPTC"]),
        (".tif", ["TIFF holds no EXIF"]),
        (".gif", ["GIF holds no EXIF", "GIF holds no XMP", "GIF holds no IPTC"]),
        (".jpg", []),
    ],
)
def test_metadata_that_is_left_out_is_told(tmp_path: Path, suffix: str, expected: list[str]) -> None:
    blocks = {"xmp-data": XMP % 1, "iptc-data": b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\x0a\x1c\2\x69\0\5hello"}
    image = pyvips.Image.new_from_array(samples(9, 9, 3)).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Make", "edgelift (edgelift, ASCII, 9 components, 9 bytes)")
    for name, data in blocks.items():
        image.set_type(pyvips.GValue.blob_type, name, data)
    image.jpegsave(str(tmp_path / "source.jpg"))
    texts, target = [], tmp_path / f"target{suffix}"
    with (
        open_picture(tmp_path / "source.jpg") as reader,
        create_picture(target, 9, 9, reader, warn=texts.append) as writer,
    ):
        writer.write(*reader.rows(0, 9))
    assert [text.partition(", ")[0] for text in texts] == expected
    found = pyvips.Image.new_from_file(str(target))
    words = {"EXIF": "exif-data", "XMP": "xmp-data", "IPTC": "iptc-data"}
    kept = {word for word, name in words.items() if found.get_typeof(name)}
    assert kept == words.keys() - {text.split()[3].rstrip(",") for text in texts}
    assert all(".jpg" in text for text in texts)


@pytest.mark.parametrize("longer", [0, 1])
def test_metadata_that_is_too_long_is_told(tmp_path: Path, longer: int) -> None:
    image = pyvips.Image.new_from_array(samples(9, 9, 3)).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.blob_type, "xmp-data", (XMP % 1).ljust(60_000 + longer))
    image.pngsave(str(tmp_path / "source.png"))
    texts, target = [], tmp_path / "target.jpg"
    with (
        open_picture(tmp_path / "source.png") as reader,
        create_picture(target, 9, 9, reader, warn=texts.append) as writer,
    ):
        writer.write(*reader.rows(0, 9))
    assert bool(pyvips.Image.new_from_file(str(target)).get_typeof("xmp-data")) == (not longer)
    assert [text.partition(",")[0] for text in texts] == ["JPEG holds at most 60000 bytes of XMP"] * longer


def test_resolution_without_exif_reaches_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(samples(20, 30, 3)).save(path, dpi=(150, 150))
    assert fields(transfer(path, tmp_path / "b.jpg"))[2:] == (150, 150)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_orientation_is_applied_and_reset(tmp_path: Path, suffix: str, orientation: int) -> None:
    path, exif = tmp_path / f"a{suffix}", Image.Exif()
    exif[ORIENTATION] = orientation
    save_with(path, exif, XMP % orientation)
    with Image.open(path) as saved:
        expected = np.asarray(ImageOps.exif_transpose(saved))
    out = transfer(path, tmp_path / "b.png", strip=5)
    np.testing.assert_allclose(stored(out).astype(int), expected, atol=2 if suffix == ".jpg" else 0)
    with Image.open(out) as saved:
        assert saved.getexif().get(ORIENTATION, 1) == 1
    assert fields(out)[1] == XMP % 1


def test_exif_thumbnail_is_left_out(tmp_path: Path) -> None:
    thumbnail = io.BytesIO()
    Image.new("RGB", (16, 12), (200, 0, 0)).save(thumbnail, "jpeg")
    source, data = pyvips.Image.new_from_array(samples(20, 30, 3)), thumbnail.getvalue()
    image = source.copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Make", "Maker")
    image.set_type(pyvips.GValue.blob_type, "jpeg-thumbnail-data", data)
    image.jpegsave(str(tmp_path / "a.jpg"))
    assert data in (tmp_path / "a.jpg").read_bytes()
    assert data not in transfer(tmp_path / "a.jpg", tmp_path / "b.jpg").read_bytes()


# -- other colours -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_becomes_srgb(tmp_path: Path, suffix: str) -> None:
    pixels = np.full((16, 32, 3), (200, 120, 90), np.uint8)
    pixels[:, 16:] = (60, 140, 80)
    cmyk = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb").icc_transform("cmyk", input_profile="srgb")
    cmyk.write_to_file(str(tmp_path / f"a{suffix}"))
    colour, alpha = whole(tmp_path / f"a{suffix}")
    assert alpha is None
    np.testing.assert_allclose(colour.astype(int), pixels, atol=12)
    assert fields(transfer(tmp_path / f"a{suffix}", tmp_path / "b.png"))[0] is None


def test_lab_becomes_srgb(tmp_path: Path) -> None:
    pixels = samples(16, 32, 3)
    lab = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb").colourspace("labs")
    lab.tiffsave(str(tmp_path / "a.tif"))
    colour, _ = whole(tmp_path / "a.tif")
    assert colour.dtype == np.uint16
    np.testing.assert_allclose(colour / 257.0, pixels, atol=2)


def test_palette_and_two_levels_are_expanded(tmp_path: Path) -> None:
    picture = Image.fromarray(samples(20, 30, 3))
    for name, made, grey in (("p.png", picture.quantize(16), False), ("1.png", picture.convert("1"), True)):
        made.save(tmp_path / name)
        with open_picture(tmp_path / name) as reader:
            assert (reader.grey, reader.alpha, reader.dtype.name) == (grey, False, "uint8")
            np.testing.assert_array_equal(reader.rows(0, 20)[0], np.asarray(made.convert("RGB")))


def test_premultiplied_tiff_comes_straight(tmp_path: Path) -> None:
    pixels = samples(20, 30, 4)
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    image.tiffsave(str(tmp_path / "a.tif"), premultiply=True)
    colour, alpha = whole(tmp_path / "a.tif")
    np.testing.assert_array_equal(alpha, pixels[..., 3])
    visible = pixels[..., 3] > 100
    np.testing.assert_allclose(colour[visible].astype(int), pixels[..., :3][visible], atol=3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_hidden_colour_comes_from_visible_neighbours(dtype: Any) -> None:
    top = np.iinfo(dtype).max
    pixels = np.zeros((30, 40, 4), dtype)
    pixels[:, :10] = (top, top // 2, 3, top)
    before = pixels.copy()
    filled = fill_hidden(pixels)
    np.testing.assert_array_equal(pixels, before)
    reach = 10 + HIDDEN_RADIUS
    np.testing.assert_array_equal(filled[:, :reach, :3], np.broadcast_to(pixels[0, 0, :3], (30, reach, 3)))
    np.testing.assert_array_equal(filled[:, reach:], pixels[:, reach:])
    np.testing.assert_array_equal(filled[..., 3], pixels[..., 3])


def test_hidden_colour_weighs_with_alpha_and_keeps_the_visible() -> None:
    pixels = np.zeros((1, 5, 2), np.uint8)
    pixels[0] = [(200, 255), (9, 0), (9, 0), (9, 0), (100, 1)]
    filled = fill_hidden(pixels)[0, :, 0]
    assert (filled[0], filled[4]) == (200, 100)
    assert (filled[1:4] > 190).all()  # the nearly invisible one hardly counts
