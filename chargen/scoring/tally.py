"""The figures of a text, and what they are made of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from chargen.network.cells import Floats

__all__ = ["CharacterScores", "Score", "Tally", "join_scores", "rounded"]

FIGURE_DIGITS = 7
"""Significant digits of a figure. It is made of float32 numbers, which hold seven; what would
follow differs with the CPU and with how a text is cut, and says nothing of the model."""


def rounded(value: float) -> float:
    """A figure with the digits that mean something."""
    return float(f"{value:.{FIGURE_DIGITS}g}")


@dataclass(frozen=True)
class Score:
    """The figures of one text, `rounded`; the names are those of `chargen evaluate --json`.

    With nothing to score (no text, or only unknown characters) the means are NaN.
    """

    characters: int
    unknown_characters: int
    nats_per_character: float
    bits_per_character: float
    perplexity: float
    accuracy: float
    """Share of characters that were the model's first choice."""
    seconds: float
    characters_per_second: float


@dataclass(frozen=True)
class Tally:
    """What a score is made of; those of the parts of a text add up to that of the whole."""

    characters: int = 0
    unknown: int = 0
    scored: int = 0
    correct: int = 0
    nats: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def score(self) -> Score:
        """The means."""
        mean = self.nats / self.scored if self.scored else math.nan
        return Score(
            characters=self.characters,
            unknown_characters=self.unknown,
            nats_per_character=rounded(mean),
            bits_per_character=rounded(mean / math.log(2)),
            # exp overflows above 709.
            perplexity=math.inf if mean > 700 else rounded(math.exp(mean)),
            accuracy=rounded(self.correct / self.scored) if self.scored else math.nan,
            seconds=rounded(self.seconds),
            characters_per_second=(
                rounded(self.characters / self.seconds) if self.seconds else math.nan
            ),
        )


@dataclass(frozen=True)
class CharacterScores:
    """Each character's score; what the figures of any part of the text are made of.

    Attributes:
        nats: float32 (N,), minus the log-probability.
        correct: bool (N,), whether it was the model's first choice.
        scored: bool (N,), whether it counts; the two above mean nothing where it does not.
        unknown: bool (N,), whether the model does not know the character.
        seconds: the time it took.
    """

    nats: Floats
    correct: NDArray[np.bool_]
    scored: NDArray[np.bool_]
    unknown: NDArray[np.bool_]
    seconds: float

    def tally(self, start: int = 0, end: int | None = None) -> Tally:
        """The sums of characters start to end; their seconds are their share of the whole's."""
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
    """The scores of a text from those of its parts."""
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
