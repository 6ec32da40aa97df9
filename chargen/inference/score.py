"""How well a model predicts a text: bits per character.

A text is read as it is sampled: as if after a line end, with state carried from its first
character to its last. Where the vocabulary has no line end, the first character is given and not
scored. Characters that the model does not know are counted, left out of the mean, and, unless it
knows U+FFFD, left out of what it reads.
"""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chargen.data.vocabulary import Vocabulary
from chargen.inference.cells import Floats
from chargen.inference.decoding import check_finite
from chargen.inference.generate import start_of_text
from chargen.inference.network import Network

__all__ = ["CharacterScores", "Score", "score_ids"]

Ids = NDArray[np.integer]

STREAMS = 64
"""Streams that a long text is read in; more make the matrix products little faster."""
WARM_UP = 512
"""Characters read before each stream's own, to build up the state it would have been handed."""


@dataclass(frozen=True)
class Score:
    """The figures of one text; the names are those of `chargen evaluate --json`.

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

    def total(self, start: int = 0, end: int | None = None) -> Score:
        """The score of characters start to end; its seconds are its share of the whole's."""
        part = slice(start, end)
        nats, scored = self.nats[part], self.scored[part]
        count = int(scored.sum())
        mean = float(nats.sum(dtype=np.float64, where=scored) / count) if count else math.nan
        rate = len(self.nats) / self.seconds if len(self.nats) else math.nan
        return Score(
            characters=len(nats),
            unknown_characters=int(self.unknown[part].sum()),
            nats_per_character=mean,
            bits_per_character=mean / math.log(2),
            perplexity=math.inf if mean > 700 else math.exp(mean),  # exp overflows above 709
            accuracy=float(self.correct[part].mean(where=scored)) if count else math.nan,
            seconds=len(nats) / rate if len(nats) else 0.0,
            characters_per_second=rate,
        )


def score_ids(network: Network, vocabulary: Vocabulary, ids: Ids) -> CharacterScores:
    """Score each character of a text.

    Args:
        network: the model.
        vocabulary: its characters.
        ids: (N,), from `vocabulary.encode`.

    Raises:
        NumericalError: the network's outputs are no numbers.
    """
    started = time.perf_counter()
    unknown = np.asarray(ids == vocabulary.unknown)
    left_out = vocabulary.replacement is None and bool(unknown.any())
    read = ids[~unknown] if left_out else ids
    # After the line end, where there is one, each character is predicted from those before it.
    path = np.concatenate([np.array(start_of_text(vocabulary), dtype=ids.dtype), read])
    inputs, targets = path[:-1], path[1:]
    nats = np.zeros(len(targets), dtype=np.float32)
    correct = np.zeros(len(targets), dtype=np.bool_)
    if len(targets):
        walk = _score_carried if network.config.predict == "all" else _score_windows
        with np.errstate(over="ignore", invalid="ignore"):  # what they lead to is checked
            walk(network, inputs, targets, nats, correct)
    predicted = ~unknown if left_out else np.ones(len(ids), dtype=np.bool_)
    if len(targets) < len(read):
        predicted[np.argmax(predicted)] = False  # the first is given
    if len(targets) < len(ids):
        nats, correct = _spread(nats, predicted), _spread(correct, predicted)
    scored = predicted & ~unknown
    return CharacterScores(nats, correct, scored, unknown, time.perf_counter() - started)


def _spread(values: NDArray[Any], where: NDArray[np.bool_]) -> NDArray[Any]:
    """Put values, in order, where the mask says; zeros elsewhere."""
    spread = np.zeros(len(where), dtype=values.dtype)
    spread[where] = values
    return spread


def _score_carried(
    network: Network, inputs: Ids, targets: Ids, nats: Floats, correct: NDArray[np.bool_]
) -> None:
    """Read the text as parallel streams, each warmed up on the text before it."""
    # A stream shorter than a few warm-ups would cost more than it saves.
    streams = max(1, min(STREAMS, len(targets) // (4 * WARM_UP)))
    length = -(-len(targets) // streams)
    starts = length * np.arange(streams)
    last = len(inputs) - 1
    states = network.zero_states(streams)
    size = network.chunk_steps(streams)
    if streams > 1:
        for step in range(-WARM_UP, 0, size):
            steps = np.arange(step, min(step + size, 0))[:, None]
            network.run(inputs[np.maximum(starts + steps, 0)], states)
        for layer_states in states:
            for state in layer_states:
                state[0] = 0  # the first stream has no text before it
    for step in range(0, length, size):
        positions = starts + np.arange(step, min(step + size, length))[:, None]
        logits = network.run(inputs[np.minimum(positions, last)], states)
        # Streams are as long as the first, so that only the last can run past the text's end.
        inside = positions <= last
        where = positions[inside]
        nats[where], correct[where] = _surprise(logits[inside], targets[where])


def _score_windows(
    network: Network, inputs: Ids, targets: Ids, nats: Floats, correct: NDArray[np.bool_]
) -> None:
    end = 0
    for logits in network.sliding_logits(inputs):
        start, end = end, end + len(logits)
        nats[start:end], correct[start:end] = _surprise(logits, targets[start:end])


def _surprise(logits: Floats, targets: Ids) -> tuple[Floats, NDArray[np.bool_]]:
    """Nats (N,) of the targets under logits (N, V), and whether each was the first choice."""
    rows = np.arange(len(targets))
    highest = logits.max(axis=-1)
    chosen = logits[rows, targets]
    correct = logits.argmax(axis=-1) == targets
    logits = logits - highest[:, None]
    np.exp(logits, out=logits)
    nats = np.log(logits.sum(axis=-1)) + highest - chosen
    check_finite(nats)
    return nats, correct
