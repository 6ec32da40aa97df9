"""The bits that each character of a text costs, and how a page shows them.

A colour stands for a range of bits. The scale is declared here, for terminals, notebooks and pages
alike.
"""

import html
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from chargen.network.cells import Floats
from chargen.plain import columns_of, counted, harmless

__all__ = [
    "LEVELS",
    "NOT_SCORED",
    "Colour",
    "Level",
    "Surprise",
    "clusters",
    "coloured_text",
    "legend",
    "level_of",
]

MOST_SHOWN = 5_000
"""The most characters that a notebook shows: two screens of text, and a third of a megabyte in the
notebook's file."""
NOT_SCORED = "not scored"
"""What is said of a character that has no bits: the model does not know it, or had nothing to
predict it from."""
TEXT_STYLE = (
    "white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:plaintext;text-align:start;"
    "font-family:monospace;line-height:1.5"
)
"""Of a coloured text: white-space is kept, and each line has the direction of its own script."""
NEWLINE_STYLE = ";padding-left:1ch"
"""Of a newline, which has no width of its own on which to show its colour."""


class Colour(NamedTuple):
    """A colour in red, green and blue, from 0 to 255."""

    red: int
    green: int
    blue: int

    @property
    def css(self) -> str:
        """The colour as a style sheet has it."""
        return f"#{self.red:02x}{self.green:02x}{self.blue:02x}"


BLACK, WHITE = Colour(0, 0, 0), Colour(255, 255, 255)


class Level(NamedTuple):
    """A range of bits with one colour.

    Attributes:
        label: the range in words.
        least: the bits at which it begins; it ends where the next one begins.
        ground: the colour behind the character.
        ink: the colour of the character, black or white, whichever is the easier to read there.
        palette: the colour of a terminal with 256 of them that is nearest to the ground.
    """

    label: str
    least: float
    ground: Colour
    ink: Colour
    palette: int


# The bounds double, from half a bit, because most characters of a text cost little: in 1, the model
# gave the character a probability of 1/2, and in 8, of 1/256. The lightness falls evenly (0.98 to
# 0.36 in OKLCH), while the hue turns from yellow over red to purple, so that the order is seen
# without colour vision too. Ground and ink are both set, so that the text reads the same on a light
# and a dark page.
LEVELS = (
    Level("under 0.5", 0, Colour(252, 249, 234), BLACK, 230),
    Level("0.5 to 1", 0.5, Colour(246, 223, 168), BLACK, 223),
    Level("1 to 2", 1, Colour(248, 181, 100), BLACK, 215),
    Level("2 to 4", 2, Colour(237, 116, 41), BLACK, 202),
    Level("4 to 8", 4, Colour(190, 46, 49), WHITE, 160),
    Level("8 or more", 8, Colour(115, 5, 51), WHITE, 53),
)
"""The scale, from the fewest bits to the most."""
BOUNDS = [level.least for level in LEVELS[1:]]


def level_of(bits: float) -> Level | None:
    """Return the level of a character; None if it is NaN, as for a character without a score."""
    return None if bits != bits else LEVELS[bisect_right(BOUNDS, bits)]


def clusters(text: str, bits: Floats) -> Iterator[tuple[str, float]]:
    """Yield what is seen as one, with its bits: a character and those that take no room after it.

    These are the marks that are set on a letter, and characters that cannot be seen. Their bits are
    added to those of the character; if one of them is NaN, the sum is.

    Args:
        text: the text.
        bits: (N,), the bits of each of its characters.
    """
    cluster, total = "", 0.0
    for character, cost in zip(text, bits.tolist(), strict=True):
        if cluster and cluster != "\n" and not columns_of(character):
            cluster, total = cluster + character, total + cost
            continue
        if cluster:
            yield cluster, total
        cluster, total = character, cost
    if cluster:
        yield cluster, total


def coloured_text(text: str, bits: Floats) -> str:
    """Return a text as HTML: an element in which each character has the colour of its bits.

    The bits are shown when the pointer rests on a character. Whatever the text holds is shown and
    never interpreted; control characters are shown as escape sequences. All styles are within the
    element.

    Args:
        text: the text.
        bits: (N,), the bits of each of its characters; NaN for one without a score.
    """
    spans = "".join(_span(cluster, cost) for cluster, cost in clusters(text, bits))
    return f'<div dir="auto" style="{TEXT_STYLE}">{spans}</div>'


def legend() -> str:
    """Return what the colours mean, as HTML."""
    labels = " ".join(
        f'<span style="{_style(level)};padding:0 .5em">{level.label}</span>' for level in LEVELS
    )
    return f'<div>bits: {labels} <span style="{_style(None)}">{NOT_SCORED}</span></div>'


def _span(cluster: str, bits: float) -> str:
    level = level_of(bits)
    title = NOT_SCORED if level is None else f"{bits:.2f} bits"
    style = _style(level) + (NEWLINE_STYLE if cluster == "\n" else "")
    return f'<span style="{style}" title="{title}">{html.escape(harmless(cluster))}</span>'


def _style(level: Level | None) -> str:
    if level is None:
        return "text-decoration:underline"
    return f"background:{level.ground.css};color:{level.ink.css}"


class Surprise(np.ndarray[Any, np.dtype[np.float32]]):
    """The bits of each character: a float32 array (N,) that a notebook shows as coloured text.

    A slice is one too, of that part of the text. Anything else that is computed from it is an
    ordinary array or number.

    Args:
        text: the text, of N characters.
        bits: (N,), NaN for a character without a score.

    Attributes:
        text: the text; None in an array that is not the bits of a text any more.
    """

    text: str | None

    def __new__(cls, text: str, bits: Floats) -> Self:
        """Take the bits without a copy."""
        if bits.shape != (len(text),):
            raise ValueError(
                f"each character must have its bits; found {len(text)} characters and an array of "
                f"{bits.shape}"
            )
        surprise = np.asarray(bits, np.float32).view(cls)
        surprise.text = text
        return surprise

    def __array_finalize__(self, source: NDArray[Any] | None) -> None:
        self.text = None  # NumPy makes arrays of this kind whose values stand for something else

    def __reduce__(self) -> Any:
        # An array alone would lose its text on the way to another process.
        plain = np.asarray(self)
        return plain.__reduce__() if self.text is None else (Surprise, (self.text, plain))

    def __array_wrap__(
        self, array: NDArray[Any], context: Any = None, return_scalar: bool = False
    ) -> Any:
        plain = np.asarray(array)
        return plain if plain.ndim else plain[()]

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if isinstance(found, Surprise):
            if self.text is None or not isinstance(key, slice):
                return np.asarray(found)
            found.text = self.text[key]
        return found

    def _repr_html_(self) -> str | None:
        """Show the text in a notebook; None leaves it to `repr`."""
        if self.text is None:
            return None
        more = len(self) - MOST_SHOWN
        note = f"<div>not shown: {counted(more, 'more character')}</div>" if more > 0 else ""
        text = coloured_text(self.text[:MOST_SHOWN], np.asarray(self)[:MOST_SHOWN])
        return f"<div>{text}{note}{legend()}</div>"
