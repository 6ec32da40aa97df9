"""A text is shown as it is, and its numbers come out of the page as they went in."""

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.analysis.predictions import Expected
from chargen.data.vocabulary import Vocabulary
from chargen.report.excerpt import (
    NOTHING,
    activation_classes,
    name_of,
    pack_activations,
    pack_expected,
    shown_characters,
    surprise_classes,
)
from chargen.scoring.surprise import LEVELS, level_of


def unpacked(text: str, dtype: str = "<u2") -> list[int]:
    return np.frombuffer(base64.b64decode(text), dtype).tolist()


def test_characters_are_escaped_and_what_shows_nothing_has_a_mark():
    shown = shown_characters("a<\n\t \x1b\r\u202e漢")
    assert [str(each.html) for each in shown] == [
        "a", "&lt;", "\n", "\t", " ", "\x1b", "&#13;", "\u202e", "漢",
    ]  # fmt: skip
    assert [each.symbol for each in shown] == ["", "", "↵", "⇥", "", "␛", "␍", "·", ""]
    assert [each.control for each in shown] == [False] * 5 + [True] * 3 + [False]


def test_surprise_is_coloured_by_the_scale_of_all_of_chargen():
    bits = np.array([0, 0.49, 0.5, 1.5, 2.5, 5, 8, 99, np.nan], np.float32)
    found = surprise_classes(bits)
    assert found == ["s0", "s0", "s1", "s2", "s3", "s4", "s5", "s5", "unscored"]
    levels = [level_of(float(each)) for each in bits]
    assert found[:-1] == [f"s{LEVELS.index(each)}" for each in levels if each is not None]


def test_activations_are_coloured_by_their_share_of_the_largest():
    scale, packed = pack_activations(np.array([-0.5, -0.2, 0, 0.2, 0.5], np.float32))
    assert scale == 0.5
    assert packed.tolist() == [-127, -51, 0, 51, 127]
    assert activation_classes(packed) == ["u0", "u2", "u4", "u6", "u8"]
    scale, packed = pack_activations(np.zeros(3, np.float32))
    assert (scale, packed.tolist()) == (1.0, [0, 0, 0])


def test_predictions_are_packed_with_a_table_of_characters():
    vocabulary = Vocabulary(["\n", "a", "b"])
    bits = np.array([np.nan, 1.234, 1000], np.float32)
    likeliest = np.array([[-1, -1], [2, 1], [0, 2]])
    probabilities = np.array([[0, 0], [0.75, 0.25], [1, 0]], np.float32)
    packed = pack_expected("a?\n", Expected(bits, likeliest, probabilities), vocabulary)
    assert packed["names"] == ["a", "?", "new line", "b"]
    assert packed["count"] == 2
    assert unpacked(packed["characters"]) == [0, 1, 2]
    assert unpacked(packed["bits"]) == [NOTHING, 123, NOTHING - 1]
    assert unpacked(packed["likeliest"]) == [NOTHING, NOTHING, 3, 0, 2, 3]
    assert unpacked(packed["probabilities"]) == [0, 0, 49150, 16384, 65534, 0]


@pytest.mark.parametrize(
    ("character", "name"), [(" ", "space"), ("\x1b", "U+001B"), ("\u200b", "U+200B"), ("é", "é")]
)
def test_characters_that_show_nothing_have_a_name(character: str, name: str):
    assert name_of(character) == name


@given(st.text(max_size=50))
def test_any_text_has_one_element_for_each_character(text: str):
    shown = shown_characters(text)
    assert len(shown) == len(text)
    html = "".join(str(each.html) for each in shown)
    assert "<" not in html
    assert '"' not in html
    assert all(each.symbol for each, c in zip(shown, text, strict=True) if not c.isprintable())
