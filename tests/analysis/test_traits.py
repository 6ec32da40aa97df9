"""Traits say of each character what the text says of it."""

import numpy as np
import pytest
from conftest import FABLES
from hypothesis import given
from hypothesis import strategies as st

from chargen.analysis.traits import LINE_END_AHEAD, traits_of


def trait(text: str, name: str) -> list[float]:
    """The numbers of a trait, which the text must have."""
    (found,) = (each.values.tolist() for each in traits_of(text) if each.name == name)
    return found


def marked(text: str, name: str) -> str:
    """The characters of which a trait is not 0, and dots for the others."""
    pairs = zip(text, trait(text, name), strict=True)
    return "".join(character if value else "." for character, value in pairs)


def names(text: str) -> set[str]:
    return {each.name for each in traits_of(text)}


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ('say "no no" now', '...."no no.....'),
        ("say “no no” now", "....“no no....."),
        ("sage „nein“ nun", ".....„nein....."),
        ("dis «non» la", "....«non...."),
        ("»nej« sa", "»nej...."),
        ("言う「はい」と", "..「はい.."),
        ('"a\n\nb "c" d', '"a\n..."c...'),  # a blank line ends what was never closed
        ('"a\nb" c', '"a\nb...'),
    ],
)
def test_quotations_begin_and_end_with_their_marks(text: str, inside: str):
    assert marked(text, "inside quotation marks") == inside


def test_brackets_are_inside_until_they_are_closed():
    text = "a (b [c] (d)) e"
    assert marked(text, "inside ( )") == "..(b [c] (d)..."
    assert marked(text, "inside [ ]") == ".....[c........"
    assert trait(text, "depth of brackets") == [0, 0, 1, 1, 1, 2, 2, 1, 1, 2, 2, 1, 0, 0, 0]


def test_brackets_that_nothing_closes_are_no_brackets():
    assert "inside ( )" not in names("a) well :( then")
    assert marked("well :( then (so) a", "inside ( )") == ".............(so..."
    assert "inside < >" not in names("1 < 2\n3 > 2")
    assert marked("1 < 2\n<b>x", "inside < >") == "......<b.."


def test_places_are_counted_from_where_a_line_a_word_and_a_sentence_begin():
    text = "ab c.\n De"
    assert trait(text, "position in the line") == [1, 2, 3, 4, 5, 0, 1, 2, 3]
    assert trait(text, "position in the word") == [1, 2, 0, 1, 0, 0, 0, 1, 2]
    assert trait(text, "position in the sentence") == [1, 2, 3, 4, 0, 0, 0, 1, 2]
    assert trait(text, "between two sentences") == [0, 0, 0, 0, 1, 1, 1, 0, 0]
    assert marked(text, "inside a word") == "ab.c...De"


def test_the_indentation_is_that_of_the_line_so_far():
    text = "a\n  b c\n d"
    assert trait(text, "indentation of the line") == [0, 0, 1, 2, 2, 2, 2, 0, 1, 1]


def test_lines_are_counted_from_the_last_blank_one():
    text = "a\nb\n\nc\nd"
    assert trait(text, "line number in the paragraph") == [0, 1, 1, 2, 0, 0, 1, 1]


def test_the_end_of_a_line_is_foreseen_from_so_far():
    text = "x" * 30 + "\n" + "y" * 5
    near = trait(text, f"the line ends within {LINE_END_AHEAD} characters")
    assert near == [0] * (30 - LINE_END_AHEAD) + [1] * LINE_END_AHEAD + [0] * 6


def test_characters_are_told_apart_by_what_they_are():
    text = "É, a1\tß?"
    assert marked(text, "capital letter") == "É......."
    assert marked(text, "digit") == "....1..."
    assert marked(text, "vowel") == "É..a...."
    assert marked(text, "space") == ".. ..\t.."
    assert marked(text, "punctuation") == ".,.....?"


def test_letters_of_several_scripts_are_told_apart():
    text = "Ruby は 宝石"
    assert marked(text, "letter of the CJK script") == ".......宝石"
    assert marked(text, "letter of the Hiragana script") == ".....は..."
    assert not {name for name in names("only one") if "script" in name}


def test_only_what_varies_is_a_trait():
    assert names("") == set()
    assert names("aaaa") == {"position in the word"}
    assert "digit" not in names(FABLES[:2000])
    assert "inside quotation marks" in names(FABLES[:2000])


@given(st.text())
def test_any_text_has_one_finite_number_for_each_character(text: str):
    found = traits_of(text)
    assert len({each.name for each in found}) == len(found)
    for each in found:
        assert each.values.shape == (len(text),)
        assert each.values.dtype == np.float32
        assert np.isfinite(each.values).all()
        assert each.values.min() >= 0
        assert np.ptp(each.values) > 0
