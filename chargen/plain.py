"""Results as plain text: figures, tables, and characters that a terminal would act on."""

import json
import math
import unicodedata
from collections.abc import Mapping, Sequence

__all__ = [
    "NATS_PER_BIT",
    "clock",
    "columns_of",
    "counted",
    "figure",
    "harmless",
    "json_line",
    "table",
    "visible",
]

NATS_PER_BIT = math.log(2)

CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"
}
"""What a terminal acts on: it could change the title, the clipboard or the command line."""


SYMBOLS = {"\n": "\N{RETURN SYMBOL}"}
SOFT_HYPHEN = "\xad"
"""Which terminals show, unlike the others of its category."""
NO_ROOM = ("Mn", "Me", "Cf")
"""Unicode's categories of marks that are set on a letter, and of characters that are not seen."""


def harmless(text: str) -> str:
    """Return text for a terminal, with control characters as escape sequences.

    Newlines and tabs stay as they are.
    """
    return text.translate(CONTROLS)


def visible(text: str) -> str:
    """Return text on one line, with newlines as a symbol and control characters escaped."""
    if text.isprintable():
        return text
    return "".join(
        SYMBOLS.get(c) or (c if c.isprintable() else c.encode("unicode_escape").decode())
        for c in text
    )


def columns_of(character: str) -> int:
    """Return how many columns of a terminal a character takes: 0, 1 or 2.

    A control character, which is to be escaped first, counts as 1.
    """
    if character.isascii() or character == SOFT_HYPHEN:
        return 1
    # The second and third part of a Korean syllable are written into the first.
    if unicodedata.category(character) in NO_ROOM or "\u1160" <= character <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def json_line(record: Mapping[str, object]) -> str:
    """Return a record as JSON on one line.

    A command line may hold bytes that are not text, which Python turns into lone surrogates; JSON
    has escapes for these, while UTF-8 has nothing.
    """
    line = json.dumps(record, ensure_ascii=False)
    return line.encode(errors="backslashreplace").decode()


def clock(seconds: float) -> str:
    """Return a time as a clock shows it, such as 1:05 or 1:00:05; "-" if it is not known."""
    if not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 epoch" or "1,200 steps"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def figure(value: float | None, digits: int = 4) -> str:
    """Return a number with thousands separated by commas, or "-" if there is none."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.{digits}f}" if math.isfinite(value) else "-"


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Return rows as lines of text, in columns two spaces apart.

    Args:
        rows: the cells; the first row may be a heading.
        right: the columns to align to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = (
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
