"""How well a model predicts a text: bits per character.

A text is read as it is sampled: as if after a line end, with state carried from its first
character to its last. Where the vocabulary has no line end, the first character is given and not
scored. Characters that the model does not know are counted, left out of the mean, and, unless it
knows U+FFFD, left out of what it reads.

A long text is cut into streams that are read side by side, each warmed up on the text before it,
and it is scored a part at a time, so that memory does not grow with it.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import pairwise
from threading import Event
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chargen.data.vocabulary import Vocabulary
from chargen.inference.cells import Floats
from chargen.inference.decoding import check_finite
from chargen.inference.generate import start_of_text
from chargen.inference.network import Network
from chargen.inference.streams import CHUNK, Streams
from chargen.inference.threads import blas_threads, side_by_side, thread_count

__all__ = ["CharacterScores", "Score", "Scorer", "Tally", "score_ids"]

Ids = NDArray[np.integer]

PART = 1 << 22
"""Characters scored at a time: 4 million, for which the streams' warm-up is a small share."""
WARM_UP = 128
"""Characters read before each stream's own, to build up the state it would have been handed."""
MOST_STREAMS = 256
"""Streams that a thread reads side by side; more make the matrix products no faster."""
STEP_COST = 40
"""What a step costs beside its streams, in streams: mostly, bringing the weights in order for a
matrix product."""
FEWEST_CHARACTERS = 16 * WARM_UP
"""A shorter text is read as one stream: its warm-ups would cost more than they save."""


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
            nats_per_character=mean,
            bits_per_character=mean / math.log(2),
            perplexity=math.inf if mean > 700 else math.exp(mean),  # exp overflows above 709
            accuracy=self.correct / self.scored if self.scored else math.nan,
            seconds=self.seconds,
            characters_per_second=self.characters / self.seconds if self.seconds else math.nan,
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


class Scorer:
    """Scores one text, part by part: each part is read on from the one before.

    Args:
        network: the model.
        vocabulary: its characters.
        threads: to compute with; None for as many as suit.
    """

    def __init__(
        self, network: Network, vocabulary: Vocabulary, threads: int | None = None
    ) -> None:
        self._vocabulary = vocabulary
        read = _Carried if network.config.predict == "all" else _Windowed
        self._reader = read(network, threads)
        # What the next character is predicted from is not read before that character is there.
        self._unread: Ids = np.array(start_of_text(vocabulary), dtype=np.intp)

    def score(self, ids: Ids) -> CharacterScores:
        """Score each character of the next part.

        Args:
            ids: (N,), from `vocabulary.encode`.

        Raises:
            NumericalError: the network's outputs are no numbers.
        """
        begun = time.perf_counter()
        unknown = np.asarray(ids == self._vocabulary.unknown)
        left_out = self._vocabulary.replacement is None and bool(unknown.any())
        read = ids[~unknown] if left_out else ids
        # After the line end, where there is one, each character is predicted from those before it.
        path = np.concatenate([self._unread.astype(ids.dtype), read])
        inputs, targets = path[:-1], path[1:]
        nats = np.zeros(len(targets), dtype=np.float32)
        correct = np.zeros(len(targets), dtype=np.bool_)
        if len(targets):
            self._reader.score(inputs, targets, nats, correct)
        self._unread = path[-1:]
        predicted = ~unknown if left_out else np.ones(len(ids), dtype=np.bool_)
        if len(targets) < len(read):
            predicted[np.argmax(predicted)] = False  # the first is given
        if len(targets) < len(ids):
            nats, correct = _spread(nats, predicted), _spread(correct, predicted)
        scored = predicted & ~unknown
        return CharacterScores(nats, correct, scored, unknown, time.perf_counter() - begun)


def score_ids(
    network: Network, vocabulary: Vocabulary, ids: Ids, threads: int | None = None
) -> Score:
    """The figures of a text of ids (N,), from `vocabulary.encode`; the rest as for `Scorer`.

    Raises:
        NumericalError: the network's outputs are no numbers.
    """
    scorer = Scorer(network, vocabulary, threads)
    starts = range(0, len(ids), PART)
    return sum((scorer.score(ids[k : k + PART]).tally() for k in starts), Tally()).score()


class _Carried:
    """Reads with carried state."""

    def __init__(self, network: Network, threads: int | None) -> None:
        self._network = network
        self._threads = thread_count(threads)
        self._blas_threads = threads
        self._end = network.stream()  # after all that was read

    def score(self, inputs: Ids, targets: Ids, nats: Floats, correct: NDArray[np.bool_]) -> None:
        count = self._stream_count(len(inputs))
        body = len(inputs) // count * count if count > 1 else 0
        if body:
            grid = _Grid(
                inputs[:body].reshape(count, -1),
                targets[:body].reshape(count, -1),
                nats[:body].reshape(count, -1),
                correct[:body].reshape(count, -1),
            )
            bounds = np.linspace(0, count, min(self._threads, count) + 1).astype(int).tolist()
            tasks = [partial(self._score_rows, grid, *rows) for rows in pairwise(bounds)]
            with blas_threads(1):
                ends = side_by_side(tasks)[-1].arrays()
            for array, streams in zip(self._end.arrays(), ends, strict=True):
                array[0] = streams[-1]
        with blas_threads(self._blas_threads), np.errstate(over="ignore", invalid="ignore"):
            for start in range(body, len(inputs), CHUNK):
                part = slice(start, start + CHUNK)
                logits = self._end.run(inputs[part])
                nats[part], correct[part] = _surprise(logits, targets[part])

    def _stream_count(self, characters: int) -> int:
        """The streams that take least time: more make larger products, but have more to warm up.

        S streams take (characters / S + WARM_UP) steps, each of a cost in proportion to
        S + STEP_COST for each thread; this is where the derivative is zero.
        """
        if characters < FEWEST_CHARACTERS:
            return 1
        best = math.isqrt(characters * STEP_COST * self._threads // WARM_UP)
        return min(best, MOST_STREAMS * self._threads, characters // WARM_UP)

    def _score_rows(self, grid: "_Grid", first: int, end: int, stop: Event) -> Streams:
        """Score the streams first to end of the grid; the streams as they ended."""
        length = grid.inputs.shape[1]
        streams = self._network.streams(end - first)
        # What overflows is found by `_surprise`.
        with np.errstate(over="ignore", invalid="ignore"):
            before = np.arange(first, end) - 1  # the row that ends where this one begins
            for start in range(length - WARM_UP, length, streams.chunk_steps):
                part = slice(start, start + streams.chunk_steps)
                streams.advance(grid.inputs[before, part].T)
            if first == 0:  # what was read before the first row is known exactly
                for array, known in zip(streams.arrays(), self._end.arrays(), strict=True):
                    array[0] = known[0]
            rows = slice(first, end)
            for start in range(0, length, streams.chunk_steps):
                if stop.is_set():
                    break
                part = slice(start, start + streams.chunk_steps)
                logits = streams.run(grid.inputs[rows, part].T)
                nats, correct = _surprise(logits, grid.targets[rows, part].T)
                grid.nats[rows, part], grid.correct[rows, part] = nats.T, correct.T
        return streams


class _Grid(NamedTuple):
    """A text laid out as streams, one below the other: arrays (S, T)."""

    inputs: Ids
    targets: Ids
    nats: Floats
    correct: NDArray[np.bool_]


class _Windowed:
    """Reads a window before each character."""

    def __init__(self, network: Network, threads: int | None) -> None:
        self._network = network
        self._threads = thread_count(threads)
        self._context: Ids = np.zeros(0, np.uint8)  # the end of what was read

    def score(self, inputs: Ids, targets: Ids, nats: Floats, correct: NDArray[np.bool_]) -> None:
        path = np.concatenate([self._context.astype(inputs.dtype), inputs])
        batches, start = [], 0
        for windows in self._network.windows(path, len(self._context)):
            batches.append((start, windows))
            start += len(windows)

        def score_batches(batches: Sequence[tuple[int, Ids]], stop: Event) -> None:
            with np.errstate(over="ignore", invalid="ignore"):
                for start, windows in batches:
                    if stop.is_set():
                        break
                    part = slice(start, start + len(windows))
                    logits = self._network.run_windows(windows)
                    nats[part], correct[part] = _surprise(logits, targets[part])

        count = min(self._threads, len(batches))
        with blas_threads(1):
            side_by_side([partial(score_batches, batches[k::count]) for k in range(count)])
        self._context = path[max(0, len(path) - self._network.config.window + 1) :]


def _spread(values: NDArray[Any], where: NDArray[np.bool_]) -> NDArray[Any]:
    """Put values, in order, where the mask says; zeros elsewhere."""
    spread = np.zeros(len(where), dtype=values.dtype)
    spread[where] = values
    return spread


def _surprise(logits: Floats, targets: Ids) -> tuple[Floats, NDArray[np.bool_]]:
    """Nats (...) of the targets (...) under logits (..., V), and whether each was the first choice.

    The logits are written over.
    """
    flat = logits.reshape(-1, logits.shape[-1])
    rows, wanted = np.arange(len(flat)), targets.reshape(-1)
    first_choice = flat.argmax(axis=1)
    chosen, highest = flat[rows, wanted], flat[rows, first_choice]
    flat -= highest[:, None]
    np.exp(flat, out=flat)
    nats = flat.sum(axis=1)
    np.log(nats, out=nats)
    nats += highest
    nats -= chosen
    check_finite(nats)
    return nats.reshape(targets.shape), (first_choice == wanted).reshape(targets.shape)
