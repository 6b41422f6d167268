from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image

import edgelift.io.write
from edgelift.core.errors import EdgeliftError, InputError, OutputError, RequestError
from edgelift.io.feed import Feed
from edgelift.io.formats import format_of_suffix
from edgelift.io.pictures import SUFFIXES, create_picture, open_picture

HEIGHT, WIDTH = 80, 64
WRITTEN = [suffix for suffix, row in SUFFIXES.items() if row.saver and row.usual]


def store(path: Path, channels: int = 3, dtype: Any = np.uint8, **options: Any) -> Path:
    """Save noise of 80 × 64 in the format of the suffix."""
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (HEIGHT, WIDTH, channels), dtype)
    space = {1: "b-w", 3: "srgb"}[channels - (channels + 1) % 2] if dtype == np.uint8 else "rgb16"
    pyvips.Image.new_from_array(pixels).copy(interpretation=space).write_to_file(str(path), **options)
    return path


def message(error: pytest.ExceptionInfo[EdgeliftError]) -> str:
    """The message, which has to be one line."""
    text = str(error.value)
    assert len(text.splitlines()) == 1
    assert text.count("vips") == 0
    return text


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return store(tmp_path / "source.png")


@pytest.fixture(autouse=True)
def _quiet_and_stopped(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing may be printed, and no encoder may be left running."""
    yield
    assert capfd.readouterr().err == ""
    assert not [thread for thread in threading.enumerate() if thread.name == "edgelift-encoder"]


# -- reading -----------------------------------------------------------------------------------------------------------


def read(path: Path, **options: Any) -> NDArray[Any]:
    with open_picture(path, **options) as reader:
        return np.concatenate([reader.rows(y, min(y + 16, reader.height))[0] for y in range(0, reader.height, 16)])


def of_bytes(data: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "bad.png").write_bytes(data)
        return folder / "bad.png"

    return make


def frames(folder: Path, name: str) -> Path:
    first = Image.new("RGB", (8, 8))
    first.save(folder / name, save_all=True, append_images=[Image.new("RGB", (8, 8), (255, 0, 0))])
    return folder / name


def of_type(kind: str) -> Callable[[Path], Path]:
    return lambda folder: (pyvips.Image.black(8, 8).cast(kind).tiffsave(str(folder / "a.tif")), folder / "a.tif")[1]


def five_channels(folder: Path) -> Path:
    pyvips.Image.black(8, 8, bands=5).tiffsave(str(folder / "a.tif"))
    return folder / "a.tif"


BAD_INPUTS: list[tuple[str, Callable[[Path], Path], str]] = [
    ("missing", lambda folder: folder / "none.png", "No such file"),
    ("folder", lambda folder: folder, "is a folder"),
    ("text", of_bytes(b"hello, this is text\n" * 9), "not a picture that can be read (starts with b'hello, t')"),
    ("svg", of_bytes(b"<svg" + bytes(99)), "use one of PNG, JPEG, WebP, TIFF, AVIF, GIF"),
    ("empty", of_bytes(b""), "is empty (0 bytes)"),
    ("only magic", of_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50)), "cannot be decoded"),
    ("animated PNG", lambda folder: frames(folder, "a.png"), "several pages or frames"),
    ("animated WebP", lambda folder: frames(folder, "a.webp"), "several pages or frames"),
    ("pages", lambda folder: frames(folder, "a.tif"), "several pages or frames"),
    ("float", of_type("float"), "holds float samples"),
    ("32 bit", of_type("uint"), "holds uint samples"),
    ("signed", of_type("short"), "holds short samples"),
    ("channels", five_channels, "holds 5 channels"),
]


@pytest.mark.parametrize(("make", "words"), [row[1:] for row in BAD_INPUTS], ids=[row[0] for row in BAD_INPUTS])
def test_input_that_cannot_be_read(tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    with pytest.raises(InputError) as caught:
        read(make(tmp_path))
    assert words in message(caught)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match="not a regular file"):
        open_picture(tmp_path / "pipe.png")


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.995])
def test_file_cut_short(tmp_path: Path, suffix: str, share: float) -> None:
    data = store(tmp_path / f"whole{suffix}").read_bytes()
    path = tmp_path / f"part{suffix}"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError) as caught:
        read(path)
    assert "cannot be decoded" in message(caught)


@pytest.mark.parametrize(("suffix", "options"), [(".png", {}), (".tif", {"compression": "deflate"})])
def test_damage_in_the_middle(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    path = store(tmp_path / f"a{suffix}", **options)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read(path)
    assert "cannot be decoded" in message(caught)


def test_limit_of_pixels_is_named(source: Path) -> None:
    assert read(source, max_pixels=HEIGHT * WIDTH).shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(InputError) as caught:
        open_picture(source, max_pixels=HEIGHT * WIDTH - 1)
    assert f"64×80 = 5120 pixels, more than max_pixels = {5119}" in message(caught)


@pytest.mark.parametrize("asked", [(0, 0), (-1, 5), (5, 81), (3, 30), (20, 21)])
def test_rows_are_asked_for_from_the_top(source: Path, asked: tuple[int, int]) -> None:
    with open_picture(source) as reader:
        reader.rows(4, 30)
        with pytest.raises(RequestError, match="ask from the top down"):
            reader.rows(*asked)


def test_closed_reader(source: Path) -> None:
    reader = open_picture(source)
    reader.close()
    reader.close()
    with pytest.raises(RequestError, match="closed"):
        reader.rows(0, 1)


def test_rows_are_read_only(source: Path) -> None:
    with open_picture(source) as reader, pytest.raises(ValueError, match="read-only"):
        reader.rows(0, 1)[0][:] = 0


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files cannot be counted here")
def test_kept_errors_keep_no_file_open(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a run over many pictures, whose errors are told of at the end."""
    bad = of_bytes(source.read_bytes()[:3000])(source.parent)
    monkeypatch.setattr(Feed, "image", lambda self: pyvips.Image.black(1, 1, bands=5))  # PNG has no 5 channels
    errors, before = [], len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(InputError) as caught:
            read(bad)
        errors.append(caught)
        with pytest.raises(OutputError) as caught_too:
            copy(source, source.parent / "a.webp")
        errors.append(caught_too)
    gc.collect()  # the descriptors of other tests may end at any time: fewer is no fault
    assert len(os.listdir("/proc/self/fd")) <= before


# -- asking for a file -------------------------------------------------------------------------------------------------


def ask(source: Path, target: Path, height: int = HEIGHT, width: int = WIDTH, **options: Any) -> None:
    with open_picture(source) as reader:
        create_picture(target, height, width, reader, **options)


@pytest.mark.parametrize(
    ("name", "words"), [("a.xcf", "'.xcf'"), ("a", "a name without a suffix"), (".png", "without")]
)
def test_unknown_suffix(source: Path, name: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        ask(source, source.parent / name)
    assert words in message(caught)
    assert "choose one of .png, .jpg, .jpeg, .webp, .tif, .tiff, .avif, .gif" in message(caught)


def test_format_beats_suffix() -> None:
    assert format_of_suffix(Path("a.PNG")).name == "PNG"
    assert format_of_suffix(Path("a.part"), "webp") is format_of_suffix(Path("a.png"), ".WebP") is SUFFIXES[".webp"]


@pytest.mark.parametrize(
    ("suffix", "channels", "dtype", "words"),
    [
        (".jpg", 3, np.uint16, "JPEG holds 8 bits a channel and {} has 16; choose .png or .tif"),
        (".webp", 3, np.uint16, "WebP holds 8 bits a channel and {} has 16; choose .png or .tif"),
        (".jpeg", 4, np.uint8, "JPEG holds no transparency and {} has some; choose .png or .webp or .tif or .avif"),
    ],
)
def test_what_a_format_cannot_hold(tmp_path: Path, suffix: str, channels: int, dtype: Any, words: str) -> None:
    path = store(tmp_path / "a.png", channels, dtype)
    with pytest.raises(RequestError) as caught:
        ask(path, tmp_path / f"b{suffix}")
    assert message(caught).endswith(f"{words.format(path)}, by name or --format (format=)")


def test_grey_profile_and_webp(tmp_path: Path) -> None:
    profile = (132).to_bytes(4, "big") + b"of grey".ljust(32) + b"acsp" + bytes(92)
    Image.new("L", (8, 8)).save(tmp_path / "a.jpg", icc_profile=profile)
    with pytest.raises(RequestError, match=r"holds no grey .*; choose \.png or \.jpg or \.tif"):
        ask(tmp_path / "a.jpg", tmp_path / "b.webp")


@pytest.mark.parametrize("quality", [0, 101, -5])
def test_quality_out_of_range(source: Path, quality: int) -> None:
    with pytest.raises(RequestError, match=f"quality must be 1 to 100, got {quality}"):
        ask(source, source.parent / "a.jpg", quality=quality)


@pytest.mark.parametrize(
    ("name", "height", "width", "words"),
    [
        ("a.jpg", 65_501, 5, "JPEG holds 1 to 65500 pixels a side, not 5×65501; choose .png or .tif"),
        ("a.webp", 5, 16_384, "WebP holds 1 to 16383 pixels a side, not 16384×5; choose .png or .jpg or .tif or .avif"),
        ("a.tif", 5, 10_000_001, "choose another size"),
        ("a.png", 0, 5, "choose another size"),
    ],
)
def test_size_beyond_the_format(source: Path, name: str, height: int, width: int, words: str) -> None:
    with pytest.raises(OutputError) as caught:
        ask(source, source.parent / name, height, width)
    assert words in message(caught)


@pytest.mark.parametrize(("suffix", "side"), [(".jpg", 65_500), (".webp", 16_383)])
def test_largest_side_of_the_format_is_written(source: Path, suffix: str, side: int) -> None:
    with open_picture(source) as reader, create_picture(source.parent / f"a{suffix}", 1, side, reader) as writer:
        writer.write(np.zeros((1, side, 3), np.uint8), None)
    assert pyvips.Image.new_from_file(str(writer.path)).width == side


def test_places_that_cannot_be_written(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = source.parent
    with pytest.raises(OutputError, match="does not exist; create it"):
        ask(source, folder / "none" / "a.png")
    (folder / "d.png").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        ask(source, folder / "d.png", overwrite=True)
    store(folder / "old.png")
    with pytest.raises(OutputError, match="exists already"):
        ask(source, folder / "old.png")
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    with pytest.raises(OutputError, match="exists already"):
        ask(source, folder / "dangling.png")
    monkeypatch.setattr(os, "access", lambda *_: False)  # as root, every folder is writable
    with pytest.raises(OutputError, match="cannot be written to"):
        ask(source, folder / "a.png")


@pytest.mark.parametrize("link", ["itself", "symlink_to", "hardlink_to"])
def test_the_input_is_never_the_target(source: Path, link: str) -> None:
    target, before = source, source.read_bytes()
    if link != "itself":
        target = source.parent / "link.png"
        getattr(target, link)(source)
    with pytest.raises(OutputError, match="is the picture being read"):
        ask(source, target, overwrite=True)
    assert source.read_bytes() == before


# -- writing -----------------------------------------------------------------------------------------------------------


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def copy(
    source: Path, target: Path, rows: int = HEIGHT, then: Callable[[], object] = lambda: None, **options: Any
) -> None:
    """Copy the first `rows` rows in strips of 8, then do something inside the block."""
    with open_picture(source) as reader, create_picture(target, HEIGHT, WIDTH, reader, **options) as writer:
        for start in range(0, rows, 8):
            writer.write(*reader.rows(start, min(start + 8, rows)))
        then()


def test_overwriting_replaces_the_file(source: Path) -> None:
    target = source.parent / "a.png"
    target.write_bytes(b"old")
    copy(source, target, overwrite=True)
    np.testing.assert_array_equal(read(target), read(source))
    assert names(source.parent) == ["a.png", "source.png"]


@pytest.mark.skipif(os.name == "nt", reason="permissions and links are those of POSIX")
def test_overwriting_keeps_permissions_and_links(source: Path) -> None:
    (source.parent / "far").mkdir()
    target, link = source.parent / "far" / "a.png", source.parent / "link.png"
    target.write_bytes(b"old")
    target.chmod(0o600)
    link.symlink_to(target)
    copy(source, link, overwrite=True)
    assert link.is_symlink()
    np.testing.assert_array_equal(read(target), read(source))
    assert target.stat().st_mode & 0o777 == 0o600
    assert names(target.parent) == ["a.png"]


def test_target_that_appears_meanwhile_is_kept(source: Path) -> None:
    target = source.parent / "a.png"
    with pytest.raises(OutputError, match="exists already"):
        copy(source, target, then=lambda: target.write_bytes(b"mine"))
    assert target.read_bytes() == b"mine"
    assert names(source.parent) == ["a.png", "source.png"]


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("rows", [0, 1, 79])
def test_missing_rows(source: Path, suffix: str, rows: int) -> None:
    with pytest.raises(OutputError) as caught:
        copy(source, source.parent / f"a{suffix}", rows)
    assert f"got {rows} of 80 rows" in message(caught)
    assert names(source.parent) == ["source.png"]


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("rows", [0, 40, 80])
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_error_of_the_producer_leaves_nothing(source: Path, suffix: str, rows: int, error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    before = (source.parent / f"a{suffix}").write_bytes(b"old") and source.read_bytes()
    with pytest.raises(error):
        copy(source, source.parent / f"a{suffix}", rows, fail, overwrite=True)
    assert names(source.parent) == [f"a{suffix}", "source.png"]
    assert (source.parent / f"a{suffix}").read_bytes() == b"old"
    assert source.read_bytes() == before


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_full_disk(source: Path, suffix: str) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(OutputError) as caught:
            copy(source, source.parent / f"a{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot be written" in message(caught)
    assert names(source.parent) == ["source.png"]


def test_encoder_that_fails_does_not_block_the_producer(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Feed, "image", lambda self: 1 / 0)
    with pytest.raises(OutputError, match="ZeroDivisionError"):
        copy(source, source.parent / "a.png")
    assert names(source.parent) == ["source.png"]


def test_folder_that_vanishes(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = source.parent / "folder"
    folder.mkdir()
    with open_picture(source) as reader:
        writer = create_picture(folder / "a.png", HEIGHT, WIDTH, reader)
        folder.rmdir()
        with pytest.raises(OutputError, match="No such file"):
            writer.__enter__()


def test_arrays_that_do_not_fit(tmp_path: Path) -> None:
    with open_picture(store(tmp_path / "a.png", 4)) as reader:
        colour, alpha = reader.rows(0, 8)
        assert alpha is not None
        bad: list[tuple[NDArray[Any], NDArray[Any] | None]] = [
            (colour[:, 1:], alpha),
            (colour[..., 0], alpha),
            (colour.astype(np.uint16), alpha),
            (colour, None),
            (colour, alpha[1:]),
            (colour, alpha.astype(np.float32)),
            (np.zeros((81, WIDTH, 3), np.uint8), np.zeros((81, WIDTH), np.uint8)),
        ]
        for arrays in bad:
            with pytest.raises(RequestError), create_picture(tmp_path / "b.png", HEIGHT, WIDTH, reader) as writer:
                writer.write(*arrays)
    assert names(tmp_path) == ["a.png"]


def test_large_tiff_is_a_bigtiff(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy(source, source.parent / "small.tif")
    monkeypatch.setattr(edgelift.io.write, "HUGE_BYTES", HEIGHT * WIDTH * 3)
    copy(source, source.parent / "large.tif")
    assert [(source.parent / name).read_bytes()[:3] for name in ("small.tif", "large.tif")] == [b"II*", b"II+"]
    np.testing.assert_array_equal(read(source.parent / "large.tif"), read(source))


def test_long_and_odd_names(source: Path) -> None:
    for name in ("ü" * 120 + ".png", "a[1]%d,b.png", os.fsdecode(b"\xff.png")):
        copy(source, source.parent / name)
        np.testing.assert_array_equal(read(source.parent / name), read(source))
