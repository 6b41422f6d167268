from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image

import edgelift.io.write
from edgelift.core.errors import InputError, OutputError, RequestError
from edgelift.io.metadata import Timing
from edgelift.io.pictures import create_picture, open_picture

HEIGHT, WIDTH = 20, 30
DELAYS = [40, 120, 200, 70]


def frames(channels: int = 3, count: int = 4) -> list[NDArray[np.uint8]]:
    """Blocks of few colours that differ from frame to frame; alpha is 0 or 255 and differs too."""
    made = []
    for k in range(count):
        pixels = np.zeros((HEIGHT, WIDTH, channels), np.uint8)
        pixels[..., :3] = [20 + 50 * k, 200 - 40 * k, 90]
        pixels[2 + k : 9 + k, 3 * k : 3 * k + 8, :3] = [250, 250 - 60 * k, 10]
        if channels == 4:
            pixels[..., 3] = 255
            pixels[10 + k :, : 4 + 5 * k, 3] = 0
        made.append(pixels)
    return made


def store(path: Path, pictures: Sequence[NDArray[Any]], delays: Sequence[int] = DELAYS, loop: int = 0) -> Path:
    """An animation, by Pillow, which composes GIF frames over each other; WebP is lossless."""
    images = [Image.fromarray(picture) for picture in pictures]
    options: dict[str, Any] = {"lossless": True} if path.suffix == ".webp" else {"disposal": 2}
    if path.suffix == ".gif" and loop == 1:  # the block of repetitions is left out
        images[0].save(path, save_all=True, append_images=images[1:], duration=list(delays), **options)
        return path
    loops = loop if path.suffix == ".webp" or loop == 0 else loop - 1  # GIF counts repetitions
    images[0].save(path, save_all=True, append_images=images[1:], duration=list(delays), loop=loops, **options)
    return path


def read(path: Path) -> tuple[list[NDArray[Any]], Timing | None]:
    """All frames, with alpha where there is some, and their timing."""
    found = []
    with open_picture(path, animated=True) as reader:
        for k in range(reader.frames):
            colour, alpha = reader.rows(k * reader.height, (k + 1) * reader.height)
            found.append(colour if alpha is None else np.dstack([colour, alpha]))
        return found, reader.timing


def transfer(source: Path, target: Path, strip: int = 7, **options: Any) -> Path:
    with (
        open_picture(source, animated=True) as reader,
        create_picture(target, reader.height, reader.width, reader, **options) as writer,
    ):
        for k in range(reader.frames):
            for start in range(0, reader.height, strip):
                stop = min(start + strip, reader.height)
                writer.write(*reader.rows(k * reader.height + start, k * reader.height + stop))
    return target


def visible(picture: NDArray[Any]) -> NDArray[Any]:
    """Black where nothing is to be seen, so that only what is seen is compared; always with alpha."""
    if picture.shape[2] == 3:
        picture = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    return np.asarray(picture * (picture[..., 3:] > 0))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_frames_come_composed(tmp_path: Path, suffix: str, channels: int) -> None:
    found, timing = read(store(tmp_path / f"a{suffix}", frames(channels), loop=3))
    assert timing == Timing(tuple(DELAYS), 3)
    assert len(found) == 4
    for got, expected in zip(found, frames(channels), strict=True):
        np.testing.assert_array_equal(visible(got), visible(expected))


@pytest.mark.parametrize("loop", [0, 1, 2, 5])
@pytest.mark.parametrize("target", [".gif", ".webp"])
@pytest.mark.parametrize("source", [".gif", ".webp"])
def test_animation_comes_back(tmp_path: Path, source: str, target: str, loop: int) -> None:
    path = store(tmp_path / f"a{source}", frames(4), loop=loop)
    out = transfer(path, tmp_path / f"b{target}", **({"lossless": True} if target == ".webp" else {}))
    found, timing = read(out)
    assert timing == Timing(tuple(DELAYS), loop)
    for got, expected in zip(found, frames(4), strict=True):
        assert np.abs(visible(got).astype(int) - visible(expected)).max() <= 1
    with Image.open(out) as image:  # another program sees the same
        assert getattr(image, "n_frames") == 4  # noqa: B009  # Pillow's stubs do not know it
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, out.name]


def test_equal_frames_are_kept_in_gif(tmp_path: Path) -> None:
    first, second = frames()[:2]
    path = store(tmp_path / "a.webp", [first, second, first, second])
    found, timing = read(transfer(path, tmp_path / "a.gif"))
    again, timing_again = read(transfer(tmp_path / "a.gif", tmp_path / "b.gif"))
    assert len(found) == len(again) == 4
    assert timing == timing_again == Timing(tuple(DELAYS), 0)


def test_short_delays(tmp_path: Path) -> None:
    """GIF keeps them, in hundredths of a second; libvips writes WebP as browsers show it."""
    path = store(tmp_path / "a.gif", frames(), [0, 10, 20, 30])
    assert read(transfer(path, tmp_path / "b.gif"))[1] == Timing((0, 10, 20, 30), 0)
    assert read(transfer(path, tmp_path / "b.webp"))[1] == Timing((100, 100, 20, 30), 0)
    odd = store(tmp_path / "a.webp", frames(), [33, 34, 36, 47])
    assert read(transfer(odd, tmp_path / "c.webp"))[1] == Timing((33, 34, 36, 47), 0)
    assert read(transfer(odd, tmp_path / "c.gif"))[1] == Timing((30, 30, 40, 50), 0)


def test_hidden_colour_comes_from_its_own_frame(tmp_path: Path) -> None:
    """What is hidden at the top of a frame takes no colour from the bottom of the frame before."""
    one, two = (np.full((HEIGHT, WIDTH, 4), value, np.uint8) for value in (200, 60))
    two[:3, :, 3] = 0
    one[..., 3] = two[3:, :, 3] = 255
    path = store(tmp_path / "a.webp", [one, two], DELAYS[:2])
    found, _ = read(path)
    assert np.abs(found[1][:3, :, :3].astype(int) - 60).max() <= 1
    strips = read(transfer(path, tmp_path / "b.webp", strip=2, lossless=True))[0]
    np.testing.assert_array_equal(visible(strips[1]), visible(two))


def test_rows_of_two_frames(tmp_path: Path) -> None:
    with (
        open_picture(store(tmp_path / "a.gif", frames()), animated=True) as reader,
        pytest.raises(RequestError, match="rows 19 to 21 are of two frames"),
    ):
        reader.rows(HEIGHT - 1, HEIGHT + 1)


def test_animations_have_to_be_asked_for(tmp_path: Path) -> None:
    for name in ("a.gif", "a.webp"):
        with pytest.raises(InputError, match="several pages or frames"):
            open_picture(store(tmp_path / name, frames()))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_animations_that_libvips_cannot_read(tmp_path: Path, name: str) -> None:
    images = [Image.fromarray(picture) for picture in frames()]
    images[0].save(tmp_path / name, save_all=True, append_images=images[1:])
    with pytest.raises(InputError, match="only single pictures can be read, or animated GIF and WebP"):
        open_picture(tmp_path / name, animated=True)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".avif"])
def test_still_formats_take_no_animation(tmp_path: Path, suffix: str) -> None:
    path = store(tmp_path / "a.gif", frames())
    with pytest.raises(RequestError, match=r"is an animation of 4 frames; choose \.webp or \.gif, by name or --format"):
        transfer(path, tmp_path / f"b{suffix}")
    assert [p.name for p in tmp_path.iterdir()] == ["a.gif"]


def test_one_frame_is_a_still_picture(tmp_path: Path) -> None:
    for name in ("a.gif", "a.webp"):
        with open_picture(store(tmp_path / name, frames(count=1), DELAYS[:1]), animated=True) as reader:
            assert reader.timing is None
            assert reader.frames == 1


def test_limit_of_pixels_counts_all_frames(tmp_path: Path) -> None:
    path = store(tmp_path / "a.gif", frames())
    assert open_picture(path, animated=True, max_pixels=4 * HEIGHT * WIDTH).frames == 4
    with pytest.raises(InputError, match=r"30×20×4 frames = 2400 pixels, more than max_pixels = 2399"):
        open_picture(path, animated=True, max_pixels=4 * HEIGHT * WIDTH - 1)


def test_frames_beyond_what_libvips_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store(tmp_path / "a.gif", frames())
    monkeypatch.setattr(edgelift.io.write, "COORDINATE_LIMIT", 4 * HEIGHT)
    with open_picture(path, animated=True) as reader, pytest.raises(OutputError, match="4 frames of 21 rows are more"):
        create_picture(tmp_path / "b.gif", HEIGHT + 1, WIDTH, reader)
    transfer(path, tmp_path / "b.gif")


# -- damage ------------------------------------------------------------------------------------------------------------


def broken_gif(data: bytes, number: int) -> bytes:
    """The GIF with a code in frame `number` that stands for nothing yet."""
    place = -1
    for _ in range(number + 1):
        place = data.index(b"\x2c", data.index(b"\x21\xf9\x04", place + 1))
    table = data[place + 9]
    start = place + 10 + (3 << (table & 7) + 1 if table & 0x80 else 0)
    return data[: start + 3] + b"\xff\xff\xff\xff" + data[start + 7 :]


def broken_webp(data: bytes, number: int) -> bytes:
    """The WebP with a bad signature at the lossless pixels of frame `number`."""
    place = -1
    for _ in range(number + 1):
        place = data.index(b"VP8L", place + 1)
    return data[: place + 8] + b"\0\0\0" + data[place + 11 :]


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize(("suffix", "damage"), [(".gif", broken_gif), (".webp", broken_webp)])
def test_one_broken_frame(tmp_path: Path, suffix: str, damage: Any, number: int) -> None:
    noise = [np.random.default_rng(k).integers(0, 2, (HEIGHT, WIDTH, 3), np.uint8) * 255 for k in range(4)]
    path = store(tmp_path / f"a{suffix}", noise)
    path.write_bytes(damage(path.read_bytes(), number))
    with pytest.raises(InputError, match="cannot be decoded"):
        transfer(path, tmp_path / "b.webp")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animation_cut_short(tmp_path: Path, suffix: str) -> None:
    data = store(tmp_path / f"a{suffix}", frames()).read_bytes()
    for size in (len(data) - 1, len(data) - 20, len(data) // 2, len(data) // 5):
        (tmp_path / f"a{suffix}").write_bytes(data[:size])
        with pytest.raises(InputError, match="cannot be decoded"):
            transfer(tmp_path / f"a{suffix}", tmp_path / "b.gif")
    assert [p.name for p in tmp_path.iterdir()] == [f"a{suffix}"]


def test_zeros_between_blocks_of_gif(tmp_path: Path) -> None:
    data = store(tmp_path / "a.gif", frames()).read_bytes()
    (tmp_path / "a.gif").write_bytes(data[:-1] + b"\0\0\0" + data[-1:] + b"garbage behind the end")
    assert len(read(tmp_path / "a.gif")[0]) == 4


def test_frames_are_decoded_one_by_one(tmp_path: Path) -> None:
    path = store(tmp_path / "a.webp", frames())
    with open_picture(path, animated=True) as reader:
        decoded: list[int] = []
        decode = reader._rows._produce
        reader._rows._produce = lambda start, stop: (decoded.extend(range(start, stop)), decode(start, stop))[1]
        for k in range(4):
            reader.rows(k * HEIGHT, (k + 1) * HEIGHT)
            assert decoded == list(range((k + 1) * HEIGHT))


def test_metadata_of_an_animation(tmp_path: Path) -> None:
    images = [Image.fromarray(picture) for picture in frames()]
    profile = bytes(pyvips.Operation.call("profile_load", "p3"))
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], icc_profile=profile, duration=50)
    with Image.open(transfer(tmp_path / "a.webp", tmp_path / "b.webp")) as image:
        assert image.info["icc_profile"] == profile
