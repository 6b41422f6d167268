"""The page: whole, harmless, and with what was put in."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import pyvips

from edgelift.core.errors import OutputError, RequestError
from edgelift.evaluate.html import Page, encode_picture

HOSTILE = "<script>alert(1)</script>\"'&\u202e\x00\udcff.png"
PICTURE = np.random.default_rng(1).integers(0, 256, (7, 9, 3), np.uint8)


class Elements(HTMLParser):
    """Every element with its attributes, and whether what was opened was closed."""

    EMPTY = frozenset({"meta", "img", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def full_page(words: str) -> Page:
    page = Page(words, {words: words})
    page.heading(words)
    page.text(words)
    page.facts({words: [words]})
    page.table([words, "n"], [[words, 1]], folded=words)
    page.plot("<svg xmlns='http://www.w3.org/2000/svg'></svg>", words)
    page.picture(PICTURE, words)
    page.pictures([(PICTURE, words)])
    page.slider(PICTURE, PICTURE, words, words)
    return page


def test_hostile_words_are_only_words() -> None:
    text = full_page(HOSTILE).render()
    text.encode()  # a name that is no UTF-8 can be written
    elements = Elements(text)
    assert elements.open == []
    assert [t for t, _ in elements.found] == [t for t, _ in Elements(full_page("plain").render()).found]
    assert not [a for _, attributes in elements.found for a in attributes if a.startswith("on")]
    assert "\u202e" not in text
    assert "\x00" not in text
    assert "\\u202e\\x00\\udcff.png" in text


def test_nothing_is_loaded_and_only_its_own_script_may_run() -> None:
    text = full_page("plain").render()
    elements = Elements(text)
    sources = [a["src"] for _, a in elements.found if "src" in a]
    assert len(sources) == 5
    assert all(source and source.startswith("data:image/") for source in sources)
    assert not elements.all("link")
    policy = next(str(a["content"]) for a in elements.all("meta") if a.get("http-equiv"))
    for tag in ("style", "script"):
        inside = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert inside is not None
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not [a for _, a in elements.found if "style" in a]  # which the policy would refuse


def test_language_letters_and_phones() -> None:
    elements = Elements(Page("t", {}).render())
    assert elements.all("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in elements.all("meta")
    assert any(a.get("name") == "viewport" for a in elements.all("meta"))


def test_every_picture_has_words_and_the_slider_can_be_used_by_keys() -> None:
    elements = Elements(full_page("seen").render())
    assert all("seen" in str(a["alt"]) for a in elements.all("img"))
    (slider,) = elements.all("input")
    assert slider["type"] == "range"
    assert "seen" in str(slider["aria-label"])


def test_the_best_cells_are_marked_as_they_are_shown() -> None:
    page = Page("t", {})
    page.table(
        ["m", "dB", "s"],
        [["a", "30.12", 0.5], ["b", "31.00", None], ["c", "31.00", float("nan")]],
        {1: "max", 2: "min"},
    )
    text = page.render()
    assert len(re.findall(r"class='number best'", text)) == 2  # one time only: nothing to compare it with
    assert text.count("<td class='number best'>31.00</td>") == 2
    assert text.count("–") == 2


@pytest.mark.parametrize(("sense", "marked"), [("max", "∞"), ("min", "1,200")])
def test_large_and_infinite_numbers_are_numbers(sense: str, marked: str) -> None:
    page = Page("t", {})
    page.table(["m", "n"], [["a", 1200], ["b", float("inf")], ["c", 1300.0]], {1: sense})
    assert f"<td class='number best'>{marked}</td>" in page.render()


def test_wrong_tables_and_pictures_are_refused() -> None:
    page = Page("t", {})
    with pytest.raises(RequestError, match="2 columns has a row of 1"):
        page.table(["a", "b"], [["x"]])
    with pytest.raises(RequestError, match="max or its min"):
        page.table(["a"], [["x"]], {0: "best"})
    with pytest.raises(RequestError, match="one shape"):
        page.slider(PICTURE, PICTURE[1:], "a", "b")
    with pytest.raises(RequestError, match="float64"):
        page.picture(PICTURE / 2, "c")  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize(("shape", "kind"), [((5, 6, 3), "webp"), ((1, 16_384, 3), "png")])
def test_pictures_are_kept_to_the_bit(shape: tuple[int, int, int], kind: str) -> None:
    array = np.random.default_rng(2).integers(0, 256, shape, np.uint8)
    head, _, data = encode_picture(array).partition(",")
    assert head == f"data:image/{kind};base64"
    image = pyvips.Image.new_from_buffer(base64.b64decode(data), "")
    np.testing.assert_array_equal(image.numpy(), array)


def test_the_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.html"
    path.write_text("old")

    def full(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(OutputError, match="No space left"):
            Page("t", {}).write(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    Page("t", {}).write(path)
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        Page("t", {}).write(tmp_path / "none" / "r.html")
    with pytest.raises(OutputError, match="is a folder"):
        Page("t", {}).write(tmp_path)
