"""A text as a page shows it, one element per character, and the numbers that its script needs."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from chargen.analysis.predictions import Expected
from chargen.data.vocabulary import Vocabulary
from chargen.network.cells import Floats
from chargen.scoring.surprise import LEVELS

__all__ = [
    "MOST_SHOWN",
    "ShownCharacter",
    "activation_classes",
    "encoded",
    "name_of",
    "pack_activations",
    "pack_expected",
    "shown_characters",
    "surprise_classes",
]

MOST_SHOWN = 10_000
"""The most characters shown. With `LIKELIEST` predictions for each, fewer than 65,535 different
ones occur, so that sixteen bits can number them."""
UNSCORED = "unscored"
"""The class of a character that the model does not know, or has nothing to predict from."""
DIVERGING = 4
"""Colours on each side of the middle, for activations."""
NOTHING = 0xFFFF
"""Stands for a number that is not there, among numbers of sixteen bits."""
HUNDREDTHS = 100
"""Bits are sent to the page as whole hundredths."""
ACTIVATION_STEPS = 127
"""Activations are sent to the page as whole numbers from -127 to 127."""
SYMBOLS = {"\n": "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}", "\t": "\N{RIGHTWARDS ARROW TO BAR}"}
"""What marks the place of characters that show nothing themselves."""
PLAIN_NAMES = {" ": "space", "\n": "new line", "\t": "tab", "\r": "carriage return"}
CONTROL_PICTURES = 0x2400
"""The first code point of the pictures of control characters, that of NUL."""


@dataclass(frozen=True)
class ShownCharacter:
    """One character of a text, ready for a template.

    Attributes:
        html: the character, escaped.
        symbol: what a page shows beside it, if it shows nothing itself.
        control: whether it could change how the text around it is shown.
    """

    html: Markup
    symbol: str
    control: bool


def shown_characters(text: str) -> list[ShownCharacter]:
    """Return each character of a text as a page shows it."""
    known: dict[str, ShownCharacter] = {}
    return [known.get(c) or known.setdefault(c, _shown(c)) for c in text]


def _shown(character: str) -> ShownCharacter:
    control = not character.isprintable() and character not in SYMBOLS
    html = Markup.escape(character)
    if character == "\r":  # which HTML would take for a newline
        html = Markup("&#13;")
    if character == "\0":  # which no page of HTML can hold
        html = Markup("")
    symbol = SYMBOLS.get(character, "")
    if control:
        point = ord(character)
        symbol = chr(CONTROL_PICTURES + point) if point < ord(" ") else "\N{MIDDLE DOT}"
    return ShownCharacter(html, symbol, control)


def surprise_classes(bits: Floats) -> list[str]:
    """Return the class of each character by its bits (T,), which are NaN where there are none."""
    levels = np.searchsorted([level.least for level in LEVELS[1:]], bits, side="right")
    return [
        UNSCORED if np.isnan(each) else f"s{level}"
        for each, level in zip(bits, levels, strict=True)
    ]


def activation_classes(packed: NDArray[np.int8]) -> list[str]:
    """Return the class of each character by a unit's activation (T,)."""
    steps = np.rint(packed.astype(float) / ACTIVATION_STEPS * DIVERGING).astype(int) + DIVERGING
    return [f"u{step}" for step in steps.tolist()]


def pack_activations(values: Floats) -> tuple[float, NDArray[np.int8]]:
    """Return the largest size of activations (T,), and the activations as shares of it.

    The page multiplies them again.
    """
    scale = float(np.abs(values).max(initial=0)) or 1.0
    return scale, np.rint(values / scale * ACTIVATION_STEPS).astype(np.int8)


def pack_expected(text: str, expected: Expected, vocabulary: Vocabulary) -> dict[str, Any]:
    """Return what a page needs to show the predictions of a text, ready for JSON.

    `names` is a table of characters in words, to which `characters` (T) and `likeliest` (T times
    `count`) refer; `bits` (T) are in hundredths, and `probabilities` (T times `count`) in parts of
    65,534. All are unsigned numbers of sixteen bits in base64, lowest byte first.
    """
    likely = [vocabulary.characters[index] for index in np.unique(expected.likeliest) if index >= 0]
    table = list(dict.fromkeys([*text, *likely]))
    number = {character: place for place, character in enumerate(table)}
    numbers = np.array([number.get(c, NOTHING) for c in vocabulary.characters] + [NOTHING])
    bits = np.minimum(np.rint(expected.bits * HUNDREDTHS), NOTHING - 1)
    return {
        "names": [name_of(character) for character in table],
        "count": expected.likeliest.shape[1],
        "characters": encoded([number[character] for character in text], "<u2"),
        "bits": encoded(np.where(np.isnan(bits), NOTHING, bits), "<u2"),
        "likeliest": encoded(numbers[expected.likeliest], "<u2"),
        "probabilities": encoded(np.rint(expected.probabilities * (NOTHING - 1)), "<u2"),
    }


def encoded(values: NDArray[Any] | Sequence[int], dtype: str) -> str:
    """Return numbers in base64."""
    return base64.b64encode(np.asarray(values).astype(dtype).tobytes()).decode()


def name_of(character: str) -> str:
    """Return a character, or a word for one that would show nothing."""
    if name := PLAIN_NAMES.get(character):
        return name
    return character if character.isprintable() else f"U+{ord(character):04X}"
