"""Animations, pipes and unusual pictures from file to file, by interpolation: no network is needed."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image

from edgelift.cli.app import run
from edgelift.core.errors import InputError, OutputError, RequestError
from edgelift.io.pictures import open_picture
from edgelift.runtime.files import Job, jobs, upscale_file
from edgelift.runtime.rows import Source, Target
from edgelift.runtime.upscaler import Upscaler

DELAYS = [40, 120, 70]


@pytest.fixture(scope="module")
def bicubic() -> Upscaler:
    return Upscaler("bicubic", scale=2)


def noise(height: int = 14, width: int = 11, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def frames(channels: int = 3) -> list[NDArray[np.uint8]]:
    made = [noise(channels=channels, seed=k) for k in range(3)]
    for k, picture in enumerate(made):
        if channels == 4:
            picture[..., 3] = 255
            picture[:5, k : k + 4, 3] = 0 if k != 1 else 255  # the second hides nothing
    return made


def store(path: Path, pictures: list[NDArray[np.uint8]]) -> Path:
    images = [Image.fromarray(picture) for picture in pictures]
    options: dict[str, Any] = {"lossless": True, "exact": True} if path.suffix == ".webp" else {"disposal": 2}
    images[0].save(path, save_all=True, append_images=images[1:], duration=DELAYS, loop=0, **options)
    return path


def loaded(path: Path, **options: Any) -> pyvips.Image:
    return pyvips.Image.new_from_file(str(path), **options)


def visible(picture: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(picture * (picture[..., 3:] > 0)) if picture.shape[2] == 4 else picture


# -- animations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [3, 4])
def test_each_frame_is_upscaled_by_itself(tmp_path: Path, bicubic: Upscaler, channels: int) -> None:
    source = store(tmp_path / "a.webp", frames(channels))
    result = upscale_file(bicubic, Job(source, tmp_path / "b.webp"), lossless=True)
    assert (result.frames, result.size_in, result.size_out) == (3, (14, 11), (28, 22))
    out = loaded(tmp_path / "b.webp", n=-1)
    assert (out.get("n-pages"), out.get("page-height"), out.get("loop")) == (3, 28, 0)
    assert out.get("delay") == DELAYS
    for k, picture in enumerate(frames(channels)):
        Image.fromarray(picture).save(tmp_path / f"{k}.png")
        upscale_file(bicubic, Job(tmp_path / f"{k}.png", tmp_path / f"{k}-alone.png"))
        alone = loaded(tmp_path / f"{k}-alone.png").numpy()
        np.testing.assert_array_equal(visible(out.numpy()[28 * k : 28 * (k + 1)]), visible(alone))


@pytest.mark.parametrize("target", ["b.gif", "b.webp"])
def test_gif_is_upscaled(tmp_path: Path, bicubic: Upscaler, target: str) -> None:
    flat = [np.full((14, 11, 3), 60 * k + 20, np.uint8) for k in range(3)]
    upscale_file(bicubic, Job(store(tmp_path / "a.gif", flat), tmp_path / target))
    out = loaded(tmp_path / target, n=-1)
    assert out.get("delay") == DELAYS
    for k in range(3):
        assert np.abs(out.numpy()[28 * k : 28 * (k + 1), :, :3].astype(int) - (60 * k + 20)).max() <= 3


class _Watched:
    """An upscaler that notes what it is given."""

    def __init__(self, inner: Upscaler) -> None:
        self.inner, self.size = inner, inner.size
        self.seen: list[tuple[int, int, int]] = []

    def run(self, source: Source, target: Target, report: Callable[[float], None] = lambda done: None) -> None:
        self.seen.append((source.height, source.width, source.layers))
        self.inner.run(source, target, report)


def test_opaque_frames_cost_no_layer_of_alpha(tmp_path: Path, bicubic: Upscaler) -> None:
    watched = _Watched(bicubic)
    upscale_file(watched, Job(store(tmp_path / "a.webp", frames(4)), tmp_path / "b.webp"))
    assert watched.seen == [(14, 11, 2), (14, 11, 1), (14, 11, 2)]


def test_progress_follows_all_frames(tmp_path: Path, bicubic: Upscaler) -> None:
    done: list[float] = []
    upscale_file(bicubic, Job(store(tmp_path / "a.gif", frames()), tmp_path / "b.gif"), report=done.append)
    assert done == sorted(done)
    assert done[-1] == 1
    assert len(done) >= 3


def test_animation_to_a_still_format(tmp_path: Path, bicubic: Upscaler) -> None:
    source = store(tmp_path / "a.gif", frames())
    with pytest.raises(RequestError, match=r"PNG holds a single picture .* choose \.webp or \.gif"):
        upscale_file(bicubic, Job(source, tmp_path / "b.png"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.gif"]


def test_broken_frame_leaves_nothing(tmp_path: Path, bicubic: Upscaler) -> None:
    source = store(tmp_path / "a.webp", frames())
    data = source.read_bytes()
    last = data.rindex(b"VP8L")
    source.write_bytes(data[: last + 8] + b"\0\0\0" + data[last + 11 :])
    with pytest.raises(InputError, match="cannot be decoded"):
        upscale_file(bicubic, Job(source, tmp_path / "b.webp"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.webp"]


# -- standard input and output -----------------------------------------------------------------------------------------


@dataclass
class Said:
    code: int
    out: bytes
    err: str


def edgelift(*words: object, data: bytes | int = b"", out: int | None = None) -> Said:
    """The command in this process, with `data` in a pipe (or a descriptor) as standard input, and `out` as output.

    The first two descriptors of the process are really exchanged, so that nothing else may print there.
    """
    given = data if isinstance(data, int) else _pipe(data)
    with tempfile.TemporaryFile() as file, contextlib.redirect_stderr(io.StringIO()) as err:
        kept = os.dup(0), os.dup(1)
        os.dup2(given, 0)
        os.dup2(file.fileno() if out is None else out, 1)
        try:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                code = run(["upscale", "-m", "bicubic", *map(str, words)])
        finally:
            for descriptor in (0, 1):
                os.dup2(kept[descriptor], descriptor)
                os.close(kept[descriptor])
            if not isinstance(data, int):
                os.close(given)
        assert printed.getvalue() == ""
        file.seek(0)
        return Said(code, file.read(), err.getvalue())


def _pipe(data: bytes) -> int:
    """The end to read from of a pipe that holds `data`, which has to be short, and ends."""
    end, into = os.pipe()
    assert len(data) < 60_000
    os.write(into, data)
    os.close(into)
    return end


def encoded(suffix: str = ".png", **options: Any) -> bytes:
    image = pyvips.Image.new_from_array(noise(60, 50)).copy(interpretation="srgb")
    data: bytes = image.write_to_buffer(suffix, **options)
    return data


def result(tmp_path: Path, bicubic: Upscaler, data: bytes, name: str) -> bytes:
    """What a run from file to file gives."""
    (tmp_path / "source").write_bytes(data)
    upscale_file(bicubic, Job(tmp_path / "source", tmp_path / name))
    return (tmp_path / name).read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pipe_to_pipe(tmp_path: Path, bicubic: Upscaler, suffix: str) -> None:
    data = encoded(suffix)
    done = edgelift("-", "-o", "-", "--format", suffix[1:], data=data)
    assert (done.code, done.err) == (0, "")
    assert done.out == result(tmp_path, bicubic, data, f"b{suffix}")


def test_pipe_to_pipe_in_a_process_of_its_own(tmp_path: Path, bicubic: Upscaler) -> None:
    command = [sys.executable, "-m", "edgelift", "upscale", "-", "-o", "-", "-f", "png", "-m", "bicubic"]
    done = subprocess.run(command, input=encoded(), capture_output=True, cwd=tmp_path, check=True)
    assert done.stderr == b""
    assert list(tmp_path.iterdir()) == []
    assert done.stdout == result(tmp_path, bicubic, encoded(), "b.png")


def test_redirected_file_to_file(tmp_path: Path, bicubic: Upscaler) -> None:
    """A turned picture, which is read from its end."""
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x112] = 6
    Image.fromarray(noise(60, 50)).save(turned, "jpeg", exif=exif)
    expected = result(tmp_path, bicubic, turned.getvalue(), "b.png")
    with (tmp_path / "source").open("rb") as source, (tmp_path / "out.png").open("wb") as out:
        done = edgelift("-", "-o", "-", "-f", "png", data=source.fileno(), out=out.fileno())
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "out.png").read_bytes() == expected
    assert edgelift("-", "-o", tmp_path / "again.png", data=turned.getvalue()).code == 0
    assert (tmp_path / "again.png").read_bytes() == expected


def test_animation_through_pipes(tmp_path: Path) -> None:
    data = store(tmp_path / "a.gif", frames()).read_bytes()
    done = edgelift("-", "-o", "-", "-f", "webp", data=data)
    assert done.code == 0
    assert pyvips.Image.new_from_buffer(done.out, "", n=-1).get("delay") == DELAYS


@pytest.mark.parametrize(
    ("words", "data", "code", "message"),
    [
        (["-o", "-"], encoded(), 2, "standard output has no suffix; say --format"),
        (["-o", "-", "-f", "png", "--json-events"], encoded(), 2, "use --json FILE"),
        (["-o", "-", "-f", "png"], b"", 3, "standard input: is empty"),
        (["-o", "-", "-f", "png"], b"no picture at all", 3, "standard input: is not a picture"),
        (["-o", "-", "-f", "png"], encoded()[:5000], 3, "standard input: cannot be decoded"),
        (["-o", "-", "-f", "jpg", "--lossless"], encoded(), 2, "standard output: JPEG has no lossless mode"),
        (["-o", "."], encoded(), 2, "is a folder, and what comes from standard input has no name there"),
        (["-", "-o", "out"], encoded(), 2, "- stands for one picture"),
    ],
)
def test_what_pipes_cannot_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], data: bytes, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = edgelift("-", *words, data=data)
    assert (done.code, done.out) == (code, b"")
    assert len(done.err.splitlines()) == 1
    assert message in done.err
    assert list(tmp_path.iterdir()) == []


def test_reader_that_stops_early(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded())
    inside, outside = os.pipe()
    os.close(inside)
    try:
        done = edgelift(tmp_path / "a.png", "-o", "-", "-f", "png", out=outside)
    finally:
        os.close(outside)
    assert done.code == 4
    assert done.err == "edgelift: standard output: what reads it stopped before the picture was complete\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_standard_output_that_is_full(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded())
    with open("/dev/full", "wb") as full:
        done = edgelift(tmp_path / "a.png", "-o", "-", "-f", "png", out=full.fileno())
    assert done.code == 4
    assert "standard output: cannot be written (No space left" in done.err


@pytest.mark.parametrize("end", ["stdin", "stdout"])
def test_terminals_are_refused(tmp_path: Path, end: str) -> None:
    pty = pytest.importorskip("pty")
    (tmp_path / "a.png").write_bytes(encoded())
    ours, theirs = pty.openpty()
    words = ["-", "-o", tmp_path / "b.png"] if end == "stdin" else [tmp_path / "a.png", "-o", "-", "-f", "png"]
    try:
        done = edgelift(*words, data=theirs) if end == "stdin" else edgelift(*words, out=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.code == 2
    assert f"standard {end[3:]}put is a terminal" in done.err


def test_pipes_are_one_job(tmp_path: Path) -> None:
    standard = Path("-")
    assert jobs([standard], tmp_path / "b.png", "2") == [Job(standard, tmp_path / "b.png")]
    assert jobs([standard], standard, "2", format="png") == [Job(standard, standard)]
    with pytest.raises(RequestError, match="one picture"):
        jobs([tmp_path], standard, "2", format="png")


# -- unusual pictures --------------------------------------------------------------------------------------------------


def test_a_strip_one_pixel_high(tmp_path: Path, bicubic: Upscaler) -> None:
    pixels = noise(1, 100_000)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    upscale_file(bicubic, Job(tmp_path / "a.png", tmp_path / "b.png"))
    out = loaded(tmp_path / "b.png").numpy()
    assert out.shape == (2, 200_000, 3)
    np.testing.assert_array_equal(out, bicubic(pixels))


def test_a_strip_one_pixel_wide(tmp_path: Path, bicubic: Upscaler) -> None:
    pixels = noise(100_000, 1)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    upscale_file(bicubic, Job(tmp_path / "a.png", tmp_path / "b.png"))
    np.testing.assert_array_equal(loaded(tmp_path / "b.png").numpy(), bicubic(pixels))


def test_sixteen_bits_stay(tmp_path: Path, bicubic: Upscaler) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (20, 30, 3)).astype(np.uint16)
    pyvips.Image.new_from_array(deep).copy(interpretation="rgb16").pngsave(str(tmp_path / "a.png"))
    for name in ("b.png", "b.tif"):
        upscale_file(bicubic, Job(tmp_path / "a.png", tmp_path / name))
        np.testing.assert_array_equal(loaded(tmp_path / name).numpy(), bicubic(deep))
    for name in ("b.avif", "b.jpg", "b.webp", "b.gif"):
        with pytest.raises(RequestError, match=r"bits a channel and .* has 16; choose \.png or \.tif"):
            upscale_file(bicubic, Job(tmp_path / "a.png", tmp_path / name))


def bomb(width: int, height: int) -> bytes:
    """The beginning of a PNG of one bit a pixel."""
    chunks = (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(10_000)))
    packed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def test_limit_of_pixels(tmp_path: Path, bicubic: Upscaler) -> None:
    """A small file that says it is a picture of 3 × 10⁹ pixels is refused by its header."""
    (tmp_path / "bomb.png").write_bytes(bomb(60_000, 50_000))
    with pytest.raises(InputError, match="60000×50000 = 3000000000 pixels, more than max_pixels = 2000000000"):
        upscale_file(bicubic, Job(tmp_path / "bomb.png", tmp_path / "b.png"))
    with open_picture(tmp_path / "bomb.png", max_pixels=3_000_000_000) as reader:
        assert reader.height == 50_000
    (tmp_path / "a.png").write_bytes(encoded())
    refused = edgelift(tmp_path / "a.png", "-o", tmp_path / "b.png", "--max-pixels", 2999)
    assert refused.code == 3
    assert "50×60 = 3000 pixels, more than max_pixels = 2999" in refused.err
    assert edgelift(tmp_path / "a.png", "-o", tmp_path / "b.png", "--max-pixels", 3000).code == 0


def test_links_in_a_circle(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    (inside / "deep").mkdir(parents=True)
    (inside / "a.png").write_bytes(encoded())
    (inside / "loop.png").symlink_to(inside / "loop.png")
    (inside / "deep" / "up").symlink_to(inside, target_is_directory=True)
    (inside / "out").symlink_to(inside / "out")
    assert [job.source.name for job in jobs([inside], tmp_path / "o", "2")] == ["a.png"]
    assert [job.source.name for job in jobs([inside], inside / "out", "2")] == ["a.png"]
    with pytest.raises(InputError, match="no such file"):
        jobs([inside / "loop.png"], tmp_path / "b.png", "2")


def test_the_file_behind_standard_input_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded())
    with (tmp_path / "a.png").open("rb") as source:
        done = edgelift("-", "-o", tmp_path / "a.png", "--overwrite", data=source.fileno())
    assert done.code == OutputError.exit_code
    assert "is the picture being read" in done.err
    assert (tmp_path / "a.png").read_bytes() == encoded()


def test_options_of_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded())
    sizes = []
    for name, *words in (
        ("1.jpg", "--file-quality", 30),
        ("2.jpg",),
        ("3.png", "--compression", 9),
        ("4.png", "--compression", 0),
    ):
        assert edgelift(tmp_path / "a.png", "-o", tmp_path / name, *words).code == 0
        sizes.append((tmp_path / name).stat().st_size)
    assert sizes == sorted(sizes)
    wrong = edgelift(tmp_path / "a.png", "-o", tmp_path / "b.png", "--file-quality", 90)
    assert wrong.code == 2
    assert "PNG has no quality; leave it out, or choose .jpg or .webp or .avif" in wrong.err
