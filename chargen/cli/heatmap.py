"""Writes a text with the bits that each character costs: as colours, or as digits below it."""

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from chargen.plain import columns_of, harmless

if TYPE_CHECKING:
    from chargen.network.cells import Floats
    from chargen.scoring.surprise import Level
    from chargen.scoring.tally import CharacterScores

__all__ = ["ColouredLines", "NumberedLines", "show_heatmap"]

SHOWN_TOGETHER = 1 << 14
"""Characters that are made ready together: a part of a text has millions, and they would take a
gigabyte."""
TAB = 8
"""Columns between two tab stops of a terminal."""
RESET, UNDERLINE = "\x1b[0m", "\x1b[0;4m"
PALETTE_BLACK, PALETTE_WHITE = 16, 231
"""Black and white in the part of the 256 colours that terminals do not let their themes change."""
MOST = 9
"""The most bits that one digit shows."""


def show_heatmap(scored: "Iterable[tuple[str, CharacterScores]]", *, quiet: bool) -> None:
    """Write each part of a text to standard output as soon as it is scored, and then a legend.

    Args:
        scored: the parts with their scores.
        quiet: leave out the legend.
    """
    terminal = sys.stdout.isatty()
    lines: ColouredLines | NumberedLines
    if _wants_colours(terminal):
        lines = ColouredLines(rgb=os.environ.get("COLORTERM") in ("truecolor", "24bit"))
    else:
        import shutil

        # A line that the terminal wrapped would part the digits from their characters.
        lines = NumberedLines(shutil.get_terminal_size().columns if terminal else None)
    is_empty = True
    for text, scores in scored:
        bits, is_empty = scores.bits(), is_empty and not text
        for start in range(0, len(text), SHOWN_TOGETHER):
            part = slice(start, start + SHOWN_TOGETHER)
            sys.stdout.write(lines.add(text[part], bits[part]))
        sys.stdout.flush()
    sys.stdout.write(lines.end())
    if not (quiet or is_empty):
        sys.stdout.write(f"\n{lines.legend()}\n")
    sys.stdout.flush()


def _wants_colours(terminal: bool) -> bool:
    """Return whether to write colours, as users tell programs in their environment."""
    if os.environ.get("NO_COLOR"):
        return False
    forced = (os.environ.get(name, "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))
    return any(value not in ("", "0") for value in forced) or (
        terminal and os.environ.get("TERM") != "dumb"
    )


class ColouredLines:
    """The text, with the colour of its bits behind each character.

    A newline is shown as one more coloured column, and a tab as the columns that it would skip,
    which terminals leave without colour.

    Args:
        rgb: the terminal shows any colour, and not only the 256 of its palette.
    """

    def __init__(self, *, rgb: bool) -> None:
        self._rgb = rgb
        self._column = 0

    def add(self, text: str, bits: "Floats") -> str:
        """Return what is to be written for the next part of the text, with bits (N,)."""
        from chargen.scoring.surprise import clusters, level_of

        written, colour = [], ""
        for cluster, cost in clusters(text, bits):
            wanted = self._colour(level_of(cost))
            if wanted != colour:
                written.append(wanted)
                colour = wanted
            if cluster == "\n":
                # Each line ends without colour: `less -R` shows lines by themselves.
                written.append(f" {RESET}\n")
                colour, self._column = "", 0
                continue
            shown = " " * _to_tab_stop(self._column) if cluster == "\t" else harmless(cluster)
            self._column += _columns(shown)
            written.append(shown)
        return "".join(written) + (RESET if colour else "")

    def end(self) -> str:
        """Return what ends the last line."""
        return "\n" if self._column else ""

    def legend(self) -> str:
        """Return a line that says what the colours mean."""
        from chargen.scoring.surprise import LEVELS, NOT_SCORED

        labels = [f"{self._colour(level)} {level.label} {RESET}" for level in LEVELS]
        return f"bits: {''.join(labels)} {self._colour(None)}{NOT_SCORED}{RESET}"

    def _colour(self, level: "Level | None") -> str:
        """Return the escape sequence for a level, which undoes the one before it."""
        if level is None:
            return UNDERLINE
        if self._rgb:
            ground, ink = (";".join(map(str, each)) for each in (level.ground, level.ink))
            return f"\x1b[0;38;2;{ink};48;2;{ground}m"
        palette_ink = PALETTE_WHITE if any(level.ink) else PALETTE_BLACK
        return f"\x1b[0;38;5;{palette_ink};48;5;{level.palette}m"


class NumberedLines:
    """The text, with a digit below each character: its bits, rounded.

    The last digit of a line is that of its newline.

    Args:
        width: the columns after which a line is continued below its digits; None for no end.
    """

    def __init__(self, width: int | None) -> None:
        self._width = width
        self._begun: list[tuple[str, Floats]] = []  # the line whose end has not come yet

    def add(self, text: str, bits: "Floats") -> str:
        """Return what is to be written for the next part of the text, with bits (N,)."""
        written, start = [], 0
        while end := text.find("\n", start) + 1:
            self._begun.append((text[start:end], bits[start:end]))
            written.append(self.end())
            start = end
        if start < len(text):
            self._begun.append((text[start:], bits[start:]))
        return "".join(written)

    def end(self) -> str:
        """Return the line that has begun, with its digits."""
        from chargen.scoring.surprise import clusters

        rows, shown, digits, column = [], "", "", 0
        for text, bits in _joined(self._begun):
            for cluster, cost in clusters(text, bits):
                columns = _width(cluster, column)
                if self._width is not None and column and column + columns > self._width:
                    rows.append(f"{shown}\n{digits.rstrip()}\n")
                    shown, digits, column = "", "", 0
                    columns = _width(cluster, column)
                shown += "" if cluster == "\n" else harmless(cluster)
                digits += _digit(cost).ljust(columns)[:columns]
                column += columns
        if shown or digits:
            rows.append(f"{shown}\n{digits.rstrip()}\n")
        self._begun = []
        return "".join(rows)

    def legend(self) -> str:
        """Return a line that says what the digits mean."""
        from chargen.scoring.surprise import NOT_SCORED

        return f"below each character its bits; + more than {MOST}, ? {NOT_SCORED}"


def _joined(parts: "list[tuple[str, Floats]]") -> "list[tuple[str, Floats]]":
    """Join the parts of a line, so that none ends between a letter and its mark."""
    import numpy as np

    if len(parts) < 2:
        return parts
    texts, bits = zip(*parts, strict=True)
    return [("".join(texts), np.concatenate(bits))]


def _digit(bits: float) -> str:
    if bits != bits:
        return "?"
    return "+" if bits > MOST + 0.5 else str(round(bits))


def _width(cluster: str, column: int) -> int:
    """Return the columns of what is shown for a cluster that begins at a column."""
    if cluster == "\n":
        return 1  # for its digit
    return _to_tab_stop(column) if cluster == "\t" else _columns(harmless(cluster))


def _columns(text: str) -> int:
    return sum(map(columns_of, text))


def _to_tab_stop(column: int) -> int:
    return TAB - column % TAB
