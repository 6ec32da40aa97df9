"""The figures of a text, and the sums that they are computed from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from chargen.network.cells import Floats
from chargen.plain import NATS_PER_BIT, figure

__all__ = ["CharacterScores", "Score", "Tally", "join_scores", "round_figure"]

FIGURE_DIGITS = 7
"""Significant digits of a figure. Figures are computed from float32 numbers, which hold seven;
further digits would differ with the CPU and with how a text is cut, and say nothing about the
model."""


def round_figure(value: float) -> float:
    """Round a figure to its significant digits."""
    return float(f"{value:.{FIGURE_DIGITS}g}")


@dataclass(frozen=True)
class Score:
    """The figures of one text, rounded by `round_figure`, named as in `chargen evaluate --json`.

    If there is nothing to score (no text, or only unknown characters) the means are NaN.
    """

    characters: int
    unknown_characters: int
    nats_per_character: float
    bits_per_character: float
    perplexity: float
    accuracy: float
    """The share of characters that the model considered the most likely."""
    seconds: float
    characters_per_second: float

    def __repr__(self) -> str:
        unknown = f", {self.unknown_characters:,} unknown" if self.unknown_characters else ""
        return (
            f"<Score {self.bits_per_character:.4f} bits per character, accuracy "
            f"{self.accuracy:.4f}, {self.characters:,} characters{unknown}>"
        )

    def _repr_html_(self) -> str:
        """Show the figures as a table in a notebook."""
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left">{name}</th>'
            f'<td style="text-align:right">{shown}</td></tr>'
            for name, shown in self.rows()
        )
        return f"<table><tbody>{rows}</tbody></table>"

    def rows(self) -> list[tuple[str, str]]:
        """Return the figures as people read them: a name and a number each."""
        rows = [("characters", figure(self.characters))]
        if self.unknown_characters:
            rows.append(("unknown characters", figure(self.unknown_characters)))
        return [
            *rows,
            ("nats per character", figure(self.nats_per_character)),
            ("bits per character", figure(self.bits_per_character)),
            ("perplexity", figure(self.perplexity)),
            ("accuracy", figure(self.accuracy)),
            ("characters per second", figure(self.characters_per_second, 0)),
        ]


@dataclass(frozen=True)
class Tally:
    """The sums behind a score; those of the parts of a text add up to those of the whole text."""

    characters: int = 0
    unknown: int = 0
    scored: int = 0
    correct: int = 0
    nats: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def score(self) -> Score:
        """Compute the means."""
        mean = self.nats / self.scored if self.scored else math.nan
        return Score(
            characters=self.characters,
            unknown_characters=self.unknown,
            nats_per_character=round_figure(mean),
            bits_per_character=round_figure(mean / NATS_PER_BIT),
            # `math.exp` overflows above 709.
            perplexity=math.inf if mean > 700 else round_figure(math.exp(mean)),
            accuracy=round_figure(self.correct / self.scored) if self.scored else math.nan,
            seconds=round_figure(self.seconds),
            characters_per_second=(
                round_figure(self.characters / self.seconds) if self.seconds else math.nan
            ),
        )


@dataclass(frozen=True)
class CharacterScores:
    """The score of each character, from which the figures of any part of the text follow.

    Attributes:
        nats: float32 (N,), minus the log-probability of the character.
        correct: bool (N,), whether the model considered the character the most likely.
        scored: bool (N,), whether the character counts; if not, the two above mean nothing.
        unknown: bool (N,), whether the model does not know the character.
        seconds: the time that scoring took.
        more: float32 (N,) each, what else a `Measure` found out about the character.
    """

    nats: Floats
    correct: NDArray[np.bool_]
    scored: NDArray[np.bool_]
    unknown: NDArray[np.bool_]
    seconds: float
    more: tuple[Floats, ...] = ()

    def bits(self) -> Floats:
        """Return what each character costs in bits: float32 (N,), NaN where it does not count."""
        return np.where(self.scored, self.nats / np.float32(NATS_PER_BIT), np.float32(np.nan))

    def tally(self, start: int = 0, end: int | None = None) -> Tally:
        """Sum characters `start` to `end`; their seconds are a proportional share of the total."""
        part = slice(start, end)
        nats, scored = self.nats[part], self.scored[part]
        return Tally(
            characters=len(nats),
            unknown=int(np.count_nonzero(self.unknown[part])),
            scored=int(np.count_nonzero(scored)),
            correct=int(np.count_nonzero(self.correct[part] & scored)),
            nats=float(nats.sum(dtype=np.float64, where=scored)),
            seconds=self.seconds * len(nats) / max(1, len(self.nats)),
        )


def join_scores(scores: Sequence[CharacterScores]) -> CharacterScores:
    """Join the scores of the parts of a text."""
    if not scores:
        nothing = np.zeros(0, np.bool_)
        return CharacterScores(np.zeros(0, np.float32), nothing, nothing, nothing, 0.0)
    return CharacterScores(
        nats=np.concatenate([part.nats for part in scores]),
        correct=np.concatenate([part.correct for part in scores]),
        scored=np.concatenate([part.scored for part in scores]),
        unknown=np.concatenate([part.unknown for part in scores]),
        seconds=sum(part.seconds for part in scores),
    )
