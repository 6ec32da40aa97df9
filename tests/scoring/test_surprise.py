"""The bits of each character are an array, and a page shows them as coloured text."""

import pickle
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import opened
from conftest import CLOSE, make_checkpoint
from hypothesis import given
from hypothesis import strategies as st

import chargen
from chargen.plain import harmless
from chargen.scoring.surprise import (
    LEVELS,
    MOST_SHOWN,
    NOT_SCORED,
    Colour,
    Surprise,
    clusters,
    coloured_text,
    legend,
    level_of,
)

HOSTILE = (
    "<script>document.title = 'changed'</script> &amp; </div></span><b title=\"x\">\n"
    "\t[bold]tag[/bold]  two spaces, 'quotes' \\ \x1b[31mred\x07 {{ 7 * 7 }}\n\n"
    "\u05e9\u05dc\u05d5\u05dd abc \u0645\u0631\u062d\u0628\u0627 \u202eoverride\n"
    "e\u0301 \U0001f600 \u6f22\u5b57 <!-- comment -->\n"
)


def bits_for(text: str) -> Any:
    """Bits of every level in turn, and some that are missing."""
    return np.resize(np.array([0.1, 0.7, 1.5, 3.0, 5.25, 12.0, np.nan], np.float32), len(text))


class Page(HTMLParser):
    """What a page is made of: its text, its tags in order, and the attributes of each."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.unclosed = "", list[str]()
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        self.unclosed.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        pytest.fail(f"the text became a comment: {data}")


@pytest.mark.numeric
def test_the_mean_of_the_surprise_is_the_score(checkpoint: Path):
    model = chargen.load(checkpoint)
    text = "abc\ndXef ghij" * 20
    bits = model.surprise(text)
    assert isinstance(bits, Surprise)
    assert bits.text == text
    assert bits.dtype == np.float32
    mean = np.nanmean(bits)
    assert type(mean) is np.float32
    assert mean == pytest.approx(model.evaluate(text).bits_per_character, **CLOSE)


def test_a_slice_is_of_that_part_of_the_text():
    bits = Surprise("abcdef", bits_for("abcdef"))
    for part in (slice(1, 4), slice(None), slice(4, 1, -1), slice(9, 12)):
        assert bits[part].text == "abcdef"[part]
        assert list(bits[part]) == list(np.asarray(bits)[part])
    assert "cd" in Page(bits[2:4]._repr_html_() or "").text
    assert bits[1:5][1:3].text == "cd"


def test_it_keeps_its_text_when_it_is_pickled():
    bits = Surprise("abcdef", bits_for("abcdef"))
    again = pickle.loads(pickle.dumps(bits))
    assert isinstance(again, Surprise)
    assert again.text == "abcdef"
    np.testing.assert_array_equal(again, bits)
    assert type(pickle.loads(pickle.dumps(bits * 2))) is np.ndarray


@pytest.mark.parametrize(
    "compute",
    [
        lambda bits: bits * 2,
        lambda bits: 2 - bits,
        lambda bits: bits + bits,
        lambda bits: bits > 1,
        np.isnan,
        np.sort,
        np.copy,
        lambda bits: bits[bits > 1],
        lambda bits: bits[[0, 2]],
        lambda bits: bits[None],
        lambda bits: bits.reshape(2, 3),
        lambda bits: bits.astype(float),
        lambda bits: bits[:0].cumsum(),
        lambda bits: np.concatenate([bits, bits]),
        lambda bits: np.nan_to_num(bits),
    ],
)
def test_what_is_computed_from_it_is_shown_as_an_array(compute: Any):
    """Its values are no longer the bits of the text, or not in this order."""
    bits = Surprise("abcdef", np.arange(6, dtype=np.float32))
    found = compute(bits)
    np.testing.assert_array_equal(found, compute(np.asarray(bits)))
    assert not isinstance(found, Surprise) or (found.text, found._repr_html_()) == (None, None)
    assert repr(found).startswith(("array(", "Surprise("))
    assert bits.text == "abcdef"


def test_numbers_that_are_computed_from_it_are_numbers():
    bits = Surprise("abc", np.array([1, 2, 6], np.float32))
    for found, expected in ((bits.mean(), 3), (bits.sum(), 9), (bits[1], 2), (np.max(bits), 6)):
        assert type(found) is np.float32
        assert found == expected
    assert [type(each) for each in bits] == [np.float32] * 3
    assert bits.argmax() == 2


def test_a_text_and_bits_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="found 2 characters and an array of \\(3,\\)"):
        Surprise("ab", np.zeros(3, np.float32))


def test_the_scale_has_an_order_that_is_seen_without_colour_vision():
    def luminance(colour: Colour) -> float:
        """As WCAG has it."""
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in (each / 255 for each in colour)
        ]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    def palette_colour(number: int) -> Colour:
        """In the cube of a terminal's 256 colours."""
        steps = (0, 95, 135, 175, 215, 255)
        return Colour(*(steps[(number - 16) // 6**k % 6] for k in (2, 1, 0)))

    for grounds in (
        [level.ground for level in LEVELS],
        [palette_colour(level.palette) for level in LEVELS],
    ):
        lights = [luminance(ground) for ground in grounds]
        ratios = [(a + 0.05) / (b + 0.05) for a, b in pairwise(lights)]
        assert min(ratios) > 1.2
        for ground, level in zip(lights, LEVELS, strict=True):
            darker, lighter = sorted([ground, luminance(level.ink)])
            assert (lighter + 0.05) / (darker + 0.05) > 4.5, "the text cannot be read"
    assert len({level.palette for level in LEVELS}) == len(LEVELS)


def test_a_level_begins_at_its_bound():
    assert level_of(float("nan")) is None
    assert level_of(float("inf")) == LEVELS[-1]
    assert level_of(0.0) == LEVELS[0]
    for below, level in pairwise(LEVELS):
        assert level_of(level.least) == level
        assert level_of(np.nextafter(level.least, 0)) == below


@given(st.text())
def test_clusters_are_the_text_and_all_of_its_bits(text: str):
    bits = np.arange(len(text), dtype=np.float32)
    found = list(clusters(text, bits))
    assert "".join(cluster for cluster, _ in found) == text
    assert sum(cost for _, cost in found) == bits.sum()
    assert all(cluster == "\n" or "\n" not in cluster[1:] for cluster, _ in found)


def test_marks_belong_to_their_letter():
    text = "e\u0301a\n\u0301\u0e01\u0e34b"
    bits = np.array([1, 2, 4, 8, 16, 32, np.nan, 64], np.float32)
    found = list(clusters(text, bits))
    assert [cluster for cluster, _ in found] == [
        "e\u0301",
        "a",
        "\n",
        "\u0301",
        "\u0e01\u0e34",
        "b",
    ]
    np.testing.assert_array_equal([cost for _, cost in found], [3, 4, 8, 16, np.nan, 64])


def test_the_page_holds_the_text_and_no_markup_of_it():
    made = coloured_text(HOSTILE, bits_for(HOSTILE))
    assert set(re.findall(r"<(/?\w*)", made)) == {"div", "/div", "span", "/span"}
    assert set(re.findall(r"&(\W?\w*;?)", made)) == {"lt;", "gt;", "amp;", "quot;", "#x27;"}
    page = Page(made)
    assert page.text == harmless(HOSTILE)
    assert not page.unclosed
    assert [tag for tag, _ in page.attributes if tag != "span"] == ["div"]
    assert {name for _, attributes in page.attributes for name in attributes} == {
        "dir",
        "style",
        "title",
    }


def test_each_character_has_its_colour_and_its_bits():
    page = Page(coloured_text("abc", np.array([0.25, 12.345, np.nan], np.float32)))
    (_, low), (_, high), (_, unknown) = page.attributes[1:]
    assert low["title"] == "0.25 bits"
    assert LEVELS[0].ground.css in str(low["style"])
    assert high["title"] == "12.35 bits" or high["title"] == "12.34 bits"
    assert LEVELS[-1].ground.css in str(high["style"])
    assert unknown["title"] == NOT_SCORED
    assert "underline" in str(unknown["style"])
    assert "background" not in str(unknown["style"])


def test_a_long_text_is_cut_and_that_is_said():
    text = "heron " * MOST_SHOWN
    shown = Surprise(text, bits_for(text))._repr_html_()
    assert shown is not None
    assert len(shown) < 1_000_000
    more = len(text) - MOST_SHOWN
    assert text[:MOST_SHOWN] + f"not shown: {more:,} more characters" in Page(shown).text
    whole = Surprise("heron", bits_for("heron"))._repr_html_()
    assert "not shown" not in str(whole)
    assert Surprise("", bits_for(""))._repr_html_() is not None


def test_a_score_is_shown_as_a_table(tmp_path: Path):
    model = chargen.load(make_checkpoint(tmp_path / "ck", "abc\n").path)
    score = model.evaluate("abcX" * 300)
    page = Page(score._repr_html_())
    assert not page.unclosed
    assert "unknown characters300" in page.text
    assert f"bits per character{score.bits_per_character:.4f}" in page.text
    assert "unknown" not in Page(model.evaluate("abc")._repr_html_()).text


@pytest.fixture(scope="module", params=["light", "dark"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A page like a notebook's, in which an element before and after the text has styles."""
    browser = request.getfixturevalue("browser")
    shown = Surprise(HOSTILE, bits_for(HOSTILE))._repr_html_()
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(
        "<!doctype html><meta charset=utf-8><title>notebook</title>"
        "<meta name=color-scheme content='light dark'>"
        f"<p id=before>before <span>this</span></p>{shown}<p id=after>after <span>it</span></p>",
        encoding="utf-8",
    )
    with opened(browser, file, color_scheme=request.param) as page:
        yield page


def test_a_browser_shows_the_text_exactly(page: Any):
    assert page.locator("div[dir=auto]").inner_text() == harmless(HOSTILE)
    assert page.title() == "notebook"
    assert page.locator("#after").inner_text() == "after it"
    for place in ("#before span", "#after span"):
        style = "element => getComputedStyle(element).backgroundColor"
        assert page.locator(place).evaluate(style) == "rgba(0, 0, 0, 0)"


def test_a_newline_is_as_wide_as_its_colour_and_lines_stay_apart(page: Any):
    ends = page.locator("div[dir=auto] > span").evaluate_all(
        """spans => spans.filter(span => span.textContent == "\\n").map(
            span => Array.from(span.getClientRects(), box => [box.width, box.top]))"""
    )
    assert len(ends) == HOSTILE.count("\n")
    assert all(max(width for width, _ in rects) > 4 for rects in ends)
    tops = [rects[0][1] for rects in ends]
    assert tops == sorted(set(tops))


def test_each_line_has_the_direction_of_its_script(page: Any):
    """The Hebrew line begins at the right, and leaves the lines around it where they are."""
    place = """element => {
        const box = element.getBoundingClientRect(), all = element.parentElement
            .getBoundingClientRect();
        return (box.left - all.left) / all.width;
    }"""
    spans = page.locator("div[dir=auto] > span")
    first = {
        character: spans.get_by_text(character, exact=True).first.evaluate(place)
        for character in ("<", "\u05e9", "\u6f22")
    }
    assert first["<"] < 0.1
    assert first["\u05e9"] > 0.9
    assert first["\u6f22"] < 0.1


def test_the_legend_names_every_level():
    page = Page(legend())
    assert page.text == f"bits: {' '.join(level.label for level in LEVELS)} {NOT_SCORED}"
    assert not page.unclosed
