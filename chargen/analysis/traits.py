"""What can be said of each character of a text: inside quotes, position in the line, and so on.

Units of a network are compared with these traits. A trait is computed at the character that was
just read, from the text alone.
"""

import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chargen.network.cells import Floats

__all__ = ["LINE_END_AHEAD", "Trait", "traits_of"]

LINE_END_AHEAD = 10
"""How far ahead the end of a line is soon, in characters: about two words of most languages."""
QUOTES = {
    '"': '"',
    "\N{LEFT DOUBLE QUOTATION MARK}": "\N{RIGHT DOUBLE QUOTATION MARK}",
    # German ends with the mark that English begins with, though some end with the English one.
    "\N{DOUBLE LOW-9 QUOTATION MARK}": (
        "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}"
    ),
    "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}": (
        "\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}"
    ),
    "\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}": (
        "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}"
    ),
    "\N{LEFT CORNER BRACKET}": "\N{RIGHT CORNER BRACKET}",
    "\N{LEFT WHITE CORNER BRACKET}": "\N{RIGHT WHITE CORNER BRACKET}",
}
"""Marks that begin a quotation, and those that end it. Single marks are left out, because they are
apostrophes too."""
BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"), ("<", ">"))
SENTENCE_ENDS = ".!?\N{IDEOGRAPHIC FULL STOP}\N{FULLWIDTH EXCLAMATION MARK}\
\N{FULLWIDTH QUESTION MARK}\N{DEVANAGARI DANDA}\N{ARABIC QUESTION MARK}"
VOWELS = "aeiouæœøıαεηιουωаеёиоуыэюяіїє"  # noqa: RUF001
"""Of the Latin, Greek and Cyrillic scripts, without accents."""
SCRIPT_SHARE = 0.01
"""The least share of a text's letters for a script to be a trait of the text, unless it is the only
one."""


class Trait(NamedTuple):
    """One number for each character of a text.

    Attributes:
        name: what it is, in words that can follow "this unit follows:".
        values: float32 (T,), 1 and 0 if the name says what may be true of a character.
    """

    name: str
    values: Floats


def traits_of(text: str) -> list[Trait]:
    """Return the traits that are not the same everywhere in a text.

    Args:
        text: T characters. It is taken to begin at the start of a line.
    """
    named = {name: np.asarray(values, np.float32) for name, values in _traits(text)}
    return [Trait(name, values) for name, values in named.items() if len(values) and np.ptp(values)]


def _traits(text: str) -> Iterator[tuple[str, NDArray[np.generic]]]:
    newlines = _each(text, "\n")
    letters = np.array([character.isalpha() for character in text], np.bool_)
    digits = np.array([character.isdigit() for character in text], np.bool_)
    marks = np.array([unicodedata.category(c).startswith("M") for c in text], np.bool_)
    words = letters | digits | marks
    spaces = _each(text, " \t")
    blank = newlines & np.append(True, newlines[:-1])[: len(text)]

    yield "inside quotation marks", _inside_quotes(text)
    yield from _inside_brackets(text)
    if newlines.any():
        in_line = _since(newlines)
        before_text = newlines | (spaces & _leading(newlines, spaces))
        yield "position in the line", in_line
        yield "indentation of the line", _at_last(before_text, in_line)
        yield f"the line ends within {LINE_END_AHEAD} characters", _is_near(newlines)
    if blank.any():
        yield "line number in the paragraph", _counted_since(blank, newlines)
    yield "inside a word", words
    yield "position in the word", _since(~words)
    between = _last(_each(text, SENTENCE_ENDS)) > _last(words)
    if between.any():
        yield "between two sentences", between
        yield "position in the sentence", _since(between | blank)
    yield "capital letter", np.array([character.isupper() for character in text], np.bool_)
    yield "digit", digits
    yield "vowel", np.array([_without_accent(c) in VOWELS for c in text], np.bool_)
    yield "space", spaces
    yield "punctuation", ~(words | spaces | newlines)
    yield from _scripts(text, letters)


def _each(text: str, characters: str) -> NDArray[np.bool_]:
    return np.array([character in characters for character in text], np.bool_)


def _last(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the place up to each place where the mask was last true; before that -1."""
    return np.maximum.accumulate(np.where(mask, np.arange(len(mask)), -1))


def _since(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return how many characters ago the mask was true; the text is taken to begin after one."""
    return np.arange(len(mask)) - _last(mask)


def _at_last(mask: NDArray[np.bool_], values: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the values where the mask was last true; before that 0."""
    places = _last(mask)
    return np.where(places >= 0, values[places], 0)


def _leading(newlines: NDArray[np.bool_], spaces: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where nothing but spaces has come since the line began."""
    return _last(~(newlines | spaces)) <= _last(newlines)


def _counted_since(starts: NDArray[np.bool_], counted: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Return how many places of one mask there have been since the other was true."""
    numbers = np.cumsum(counted, dtype=np.intp)
    return numbers - _at_last(starts, numbers)


def _is_near(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether the mask is true at one of the next places."""
    counts = np.append(0, np.cumsum(mask))
    places = np.arange(1, len(mask) + 1)
    return counts[np.minimum(places + LINE_END_AHEAD, len(mask))] > counts[places]


def _inside_quotes(text: str) -> NDArray[np.bool_]:
    """Return where a quotation goes on, from the mark that begins it until that which ends it.

    A blank line ends it too, so that one mark too many turns no more than a paragraph inside out.
    """
    inside = np.zeros(len(text), np.bool_)
    ends = before = ""
    for place, character in enumerate(text):
        if ends and (character in ends or (character == before == "\n")):
            ends = ""
        elif not ends:
            ends = QUOTES.get(character, "")
        inside[place] = bool(ends)
        before = character
    return inside


def _inside_brackets(text: str) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Yield where there are brackets of each kind that are closed further on, and how deep.

    Those that are never closed do not count: many a text has half a bracket in a face or a list.
    """
    depth = np.zeros(len(text), np.intp)
    for opening, closing in BRACKETS:
        steps = np.zeros(len(text), np.intp)
        open_places: list[int] = []
        for place, character in enumerate(text):
            if character == opening:
                open_places.append(place)
            elif character == closing and open_places:
                steps[open_places.pop()] += 1
                steps[place] -= 1
            elif character == "\n" and opening == "<":  # a sign of comparison, and no tag
                open_places.clear()
        inside = np.cumsum(steps)
        depth += inside
        yield f"inside {opening} {closing}", np.minimum(inside, 1)
    if depth.max(initial=0) > 1:
        yield "depth of brackets", depth


def _without_accent(character: str) -> str:
    return unicodedata.normalize("NFD", character.lower())[:1]


def _scripts(text: str, letters: NDArray[np.bool_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield where the letters of each script are, if there are several."""
    scripts = np.array([_script(c) if c.isalpha() else "" for c in text], np.str_)
    names, counts = np.unique(scripts[letters], return_counts=True)
    for name, count in zip(names.tolist(), counts.tolist(), strict=True):
        if SCRIPT_SHARE * letters.sum() <= count < letters.sum():
            yield f"letter of the {name} script", scripts == name


def _script(character: str) -> str:
    """Return the first word of a character's name, which for letters is the script."""
    name = unicodedata.name(character, "").partition(" ")[0]
    return name if name == "CJK" else name.capitalize()
