"""How well a model predicts a text: bits per character.

A text is read as it is sampled: as if after a newline, with state carried from its first character
to its last. If the vocabulary has no newline, the first character is taken as given and not scored.
Characters that the model does not know are counted but left out of the mean, and the model does not
read them unless it knows U+FFFD.

A long text is cut into streams that are read side by side, each warmed up on the text before it.
The text is scored one part at a time, so memory does not grow with it. How it is cut depends only
on its length, never on the number of threads, so the figures do not depend on the threads either.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, pairwise
from threading import Event
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chargen.data.ids import in_blocks
from chargen.data.vocabulary import Ids, Vocabulary
from chargen.network.cells import Floats
from chargen.network.language_model import LanguageModel
from chargen.network.network import Network, check_finite
from chargen.network.reading import BLOCK_STEPS, BatchReading, OneReading, read_beginnings
from chargen.network.threads import computing, side_by_side, thread_count
from chargen.scoring.tally import CharacterScores, Score, Tally, join_scores

__all__ = ["LineScorer", "Measure", "Scorer", "score_each", "score_ids", "surprisal"]

PART = 1 << 22
"""Characters scored at a time: 4 million, of which the streams' warm-up is a small share."""
WARM_UP = 128
"""Characters read before each stream, to approximate the state that would have been carried."""
MOST_STREAMS = 256
"""The most streams of a group, or texts, that a thread reads side by side: more would make the
matrix products no faster."""
GROUPS = ((1 << 21, 8), (1 << 18, 4), (0, 2))
"""The fewest characters for which streams are divided into this many groups; a thread takes one
group at a time. More groups mean more warm-up and smaller products: by the formula of
`_count_streams`, a single thread takes up to a quarter longer than with one group, from 30,000
characters on."""
FEWEST_LINES = 32
"""The fewest texts in each of two batches: fewer texts are read as one batch, because the products
of two would be too small."""
STEP_COST = 40
"""The fixed cost of a step, in units of the cost of one stream: mostly packing the weights for a
matrix product."""
RAGGED_STEPS = 64
"""The most steps between two removals of the texts that have ended, in a batch of texts."""
FEWEST_CHARACTERS = 16 * WARM_UP
"""A shorter text is read as one stream: warm-ups would cost more than they save."""


class Measure(NamedTuple):
    """What is found out about each target.

    Attributes:
        figures: how many numbers that is, F.
        of: turns logits (..., V), which it may overwrite, and targets (...) into these numbers,
            float32 (F, ...): first the target's nats, then 1 if it was the most likely, else 0.
    """

    figures: int
    of: Callable[[Floats, Ids], Floats]


class Scorer:
    """Scores one text, part by part: reading continues from one part to the next.

    Args:
        model: the model.
        measure: what is found out about each character; by default its nats and whether it was the
            most likely.
    """

    def __init__(self, model: LanguageModel, measure: Measure | None = None) -> None:
        self._vocabulary = model.vocabulary
        scorer = _StatefulScorer if model.config.predict == "all" else _WindowScorer
        self._scorer = scorer(model.network, model.threads, measure or SURPRISAL)
        # The last character of a part is not read until the character that follows it has come.
        self._unread: Ids = np.array(model.vocabulary.start_of_text, dtype=np.intp)

    def score(self, ids: Ids) -> CharacterScores:
        """Score each character of the next part.

        Args:
            ids: (N,), from `vocabulary.encode`.

        Raises:
            NumericalError: the network's outputs are not finite.
        """
        started = time.perf_counter()
        aligned = _Alignment(self._vocabulary, self._unread, ids)
        figures = self._scorer.score(aligned.inputs, aligned.targets)
        self._unread = aligned.unread
        return aligned.scores(figures, time.perf_counter() - started)


class LineScorer:
    """Scores each line of a text on its own, as if it were the whole text.

    Lines are read side by side. A line that the end of a part cuts is continued in the next part.

    Args:
        model: the model.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._unfinished: Scorer | None = None  # of the line that the last part ended in

    def score(self, text: str) -> CharacterScores:
        """Score each character of the next part; the newline belongs to its line.

        Raises:
            NumericalError: the network's outputs are not finite.
        """
        ids = self._model.vocabulary.encode(text)
        bounds = [0, *(place + 1 for place, c in enumerate(text) if c == "\n")]
        if bounds[-1] < len(text):
            bounds.append(len(text))
        lines = [ids[start:end] for start, end in pairwise(bounds)]
        scores = []
        if self._unfinished is not None and lines:
            scores.append(self._unfinished.score(lines.pop(0)))
        if lines and not text.endswith("\n"):
            self._unfinished = Scorer(self._model)
            last = self._unfinished.score(lines.pop())
            return join_scores([*scores, *self._each(lines), last])
        if text.endswith("\n"):
            self._unfinished = None
        return join_scores([*scores, *self._each(lines)])

    def _each(self, lines: Sequence[Ids]) -> list[CharacterScores]:
        return score_each(self._model, lines)


def score_each(model: LanguageModel, texts: Sequence[Ids]) -> list[CharacterScores]:
    """Score several texts side by side, each from its own beginning.

    Args:
        model: the model.
        texts: ids (N,) each, from `vocabulary.encode`.

    Raises:
        NumericalError: the network's outputs are not finite.
    """
    scores: list[CharacterScores] = [join_scores([])] * len(texts)
    short = [k for k, ids in enumerate(texts) if len(ids) < FEWEST_CHARACTERS]
    for k in set(range(len(texts))).difference(short):  # long enough to be cut into streams
        scores[k] = Scorer(model).score(texts[k])
    started = time.perf_counter()
    start: Ids = np.array(model.vocabulary.start_of_text, dtype=np.intp)
    aligned = {k: _Alignment(model.vocabulary, start, texts[k]) for k in short}
    # Texts of similar lengths are read together, so that few steps are wasted.
    order = sorted(short, key=lambda k: -len(aligned[k].targets))
    size = min(MOST_STREAMS, max(FEWEST_LINES, -(-len(order) // 2)))
    batches = [order[k : k + size] for k in range(0, len(order), size)]

    def score_batch(batch: Sequence[int], stop: Event) -> list[Floats]:
        return [] if stop.is_set() else _score_batch(model.network, [aligned[k] for k in batch])

    tasks = [partial(score_batch, batch) for batch in batches]
    found = dict(zip(order, chain(*side_by_side(tasks, thread_count(model.threads))), strict=True))
    characters = max(1, sum(len(texts[k]) for k in short))
    seconds = time.perf_counter() - started
    for k, alignment in aligned.items():
        scores[k] = alignment.scores(found[k], seconds * len(texts[k]) / characters)
    return scores


def score_ids(model: LanguageModel, ids: Ids) -> Score:
    """Return the figures of a text, ids (N,) from `vocabulary.encode`.

    Raises:
        NumericalError: the network's outputs are not finite.
    """
    scorer = Scorer(model)
    return sum((scorer.score(part).tally() for part in in_blocks(ids, PART)), Tally()).score()


class _StatefulScorer:
    """Scores with carried state."""

    def __init__(self, network: Network, threads: int | None, measure: Measure) -> None:
        self._network = network
        self._threads = thread_count(threads)
        self._measure = measure
        self._end = OneReading(network)  # the state after everything read so far

    def score(self, inputs: Ids, targets: Ids) -> Floats:
        """Return the figures (F, n) of the next targets (n,)."""
        figures = np.zeros((self._measure.figures, len(targets)), np.float32)
        groups, rows = _count_streams(len(inputs))
        count = groups * rows
        body = len(inputs) // count * count if count else 0
        if body:
            grid = _Grid(
                inputs[:body].reshape(count, -1),
                targets[:body].reshape(count, -1),
                figures[:, :body].reshape(len(figures), count, -1),
            )
            starts = range(0, count, rows)
            tasks = [partial(self._score_rows, grid, start, start + rows) for start in starts]
            ends = side_by_side(tasks, self._threads)[-1].arrays()
            for array, streams in zip(self._end.arrays(), ends, strict=True):
                array[0] = streams[-1]
        with computing():
            for start in range(body, len(inputs), BLOCK_STEPS):
                part = slice(start, start + BLOCK_STEPS)
                logits = self._end.run(inputs[part])
                figures[:, part] = self._measure.of(logits, targets[part])
        return figures

    def _score_rows(self, grid: "_Grid", first: int, end: int, stop: Event) -> BatchReading:
        """Score streams `first` to `end` of the grid; return them as they ended."""
        length = grid.inputs.shape[1]
        streams = BatchReading(self._network, end - first)
        with computing():
            before = np.arange(first, end) - 1  # the row that ends where each begins
            for start in range(length - WARM_UP, length, streams.block_steps):
                part = slice(start, start + streams.block_steps)
                streams.advance(grid.inputs[before, part].T)
            if first == 0:  # the state before the first row is known exactly
                for array, known in zip(streams.arrays(), self._end.arrays(), strict=True):
                    array[0] = known[0]
            rows = slice(first, end)
            for start in range(0, length, streams.block_steps):
                if stop.is_set():
                    break
                part = slice(start, start + streams.block_steps)
                logits = streams.run(grid.inputs[rows, part].T)
                figures = self._measure.of(logits, grid.targets[rows, part].T)
                grid.figures[:, rows, part] = figures.swapaxes(1, 2)
        return streams


def _count_streams(characters: int) -> tuple[int, int]:
    """Return how many groups of streams, and streams in each, score a text in the least time.

    More streams make larger products, but need more warm-up: S streams in G groups take
    G (characters / S + WARM_UP) steps, each of which costs S / G + STEP_COST. The number of streams
    chosen is where the derivative of the time is zero.
    """
    if characters < FEWEST_CHARACTERS:
        return 0, 0
    groups = next(groups for fewest, groups in GROUPS if characters >= fewest)
    best = math.isqrt(characters * STEP_COST * groups // WARM_UP)
    return groups, min(best, MOST_STREAMS * groups, characters // WARM_UP) // groups


class _Grid(NamedTuple):
    """A text cut into S streams of T characters, one per row: arrays (S, T) and (F, S, T)."""

    inputs: Ids
    targets: Ids
    figures: Floats


class _WindowScorer:
    """Scores each character from the window before it."""

    def __init__(self, network: Network, threads: int | None, measure: Measure) -> None:
        self._network = network
        self._threads = thread_count(threads)
        self._measure = measure
        self._context: Ids = np.zeros(0, np.uint8)  # the end of what was read so far

    def score(self, inputs: Ids, targets: Ids) -> Floats:
        """Return the figures (F, n) of the next targets (n,)."""
        figures = np.zeros((self._measure.figures, len(targets)), np.float32)
        network, known = self._network, len(self._context)
        before = network.config.window - 1  # so many characters complete a window with the next
        text = np.concatenate([self._context.astype(inputs.dtype), inputs])
        if known < before and len(targets):
            with computing():
                for steps, logits in read_beginnings(network, text[:before, None]):
                    old = min(len(logits), max(0, known - steps.start))  # scored before
                    first = steps.start + old - known
                    part = slice(first, first + len(logits) - old)
                    figures[:, part] = self._measure.of(logits[old:, 0], targets[part])
        batches, start = [], max(0, before - known)
        for windows in network.windows(text):
            batches.append((start, windows))
            start += len(windows)

        def score_batch(start: int, windows: Ids, stop: Event) -> None:
            if not stop.is_set():
                part = slice(start, start + len(windows))
                with computing():
                    logits = network.run_windows(windows)
                    figures[:, part] = self._measure.of(logits, targets[part])

        side_by_side([partial(score_batch, *batch) for batch in batches], self._threads)
        self._context = text[max(0, len(text) - before) :]
        return figures


class _Alignment:
    """Which characters of a text the model reads, which it predicts, and where the scores belong.

    Args:
        vocabulary: determines which characters are unknown; the model does not read them, unless it
            knows U+FFFD.
        unread: (1,), the character to be read before the text, or (0,) if there is none.
        ids: (N,), the text.

    Attributes:
        inputs: (n,), the characters to read.
        targets: (n,), the character that each input should predict.
        unread: (1,) or (0,), the last character, to be read before the next part of the text.
    """

    def __init__(self, vocabulary: Vocabulary, unread: Ids, ids: Ids) -> None:
        self._unknown = np.asarray(ids == vocabulary.unknown)
        left_out = vocabulary.replacement is None and bool(self._unknown.any())
        read = ids[~self._unknown] if left_out else ids
        text = np.concatenate([unread.astype(ids.dtype), read])
        self.inputs, self.targets, self.unread = text[:-1], text[1:], text[-1:]
        self._predicted = ~self._unknown if left_out else np.ones(len(ids), dtype=np.bool_)
        if len(self.targets) < len(read):
            self._predicted[np.argmax(self._predicted)] = False  # nothing predicts the first

    def scores(self, figures: Floats, seconds: float) -> CharacterScores:
        """Turn the figures of the targets (F, n) into the scores of the text's characters (N,)."""
        if len(self.targets) < len(self._unknown):
            targets, figures = figures, np.zeros((len(figures), len(self._unknown)), np.float32)
            figures[:, self._predicted] = targets
        nats, correct, *more = figures
        scored = self._predicted & ~self._unknown
        return CharacterScores(nats, correct > 0, scored, self._unknown, seconds, tuple(more))


def _score_batch(network: Network, texts: Sequence[_Alignment]) -> list[Floats]:
    """Return the figures (2, n) of texts that are read side by side; they come longest first."""
    lengths = np.array([len(text.targets) for text in texts])
    size = (int(lengths[0]), len(texts))  # (T, B)
    inputs, targets = np.zeros(size, texts[0].inputs.dtype), np.zeros(size, texts[0].inputs.dtype)
    for column, text in enumerate(texts):
        inputs[: lengths[column], column] = text.inputs
        targets[: lengths[column], column] = text.targets
    figures = np.zeros((SURPRISAL.figures, *size), np.float32)
    read = _read_streams if network.config.predict == "all" else _read_windows
    with computing():
        for where, logits in read(network, inputs, lengths):
            figures[:, *where] = SURPRISAL.of(logits, targets[where])
    return [figures[:, :end, k] for k, end in enumerate(lengths.tolist())]


def _read_streams(
    network: Network, inputs: Ids, lengths: NDArray[np.intp]
) -> Iterator[tuple[tuple[Any, Any], Floats]]:
    """Yield logits (t, b, V) for pieces of texts (T, B), each after its place in the grid."""
    streams = BatchReading(network, len(lengths))
    start, most = 0, min(streams.block_steps, RAGGED_STEPS)
    while start < len(inputs):
        left = int(np.count_nonzero(lengths > start))  # texts that have ended come last
        streams.keep(np.arange(left))
        where = slice(start, start + most), slice(0, left)
        yield where, streams.run(inputs[where])
        start += most


def _read_windows(
    network: Network, inputs: Ids, lengths: NDArray[np.intp]
) -> Iterator[tuple[tuple[Any, Any], Floats]]:
    """Yield the same for windows from the zero state: logits (n, V), after their places."""
    window = network.config.window
    for steps, logits in read_beginnings(network, inputs[: window - 1]):
        yield (steps, slice(None)), logits  # of texts that have ended too, which is not looked at
    if len(inputs) < window:
        return
    windows = np.lib.stride_tricks.sliding_window_view(inputs, window, axis=0)
    starts, rows = np.nonzero(np.arange(len(windows))[:, None] <= lengths - window)
    for first in range(0, len(rows), MOST_STREAMS):
        part = slice(first, first + MOST_STREAMS)
        yield (
            (starts[part] + window - 1, rows[part]),
            network.run_windows(windows[starts[part], rows[part]]),
        )


def surprisal(logits: Floats, targets: Ids) -> Floats:
    """Return the nats of targets (...) under logits (..., V), and 1 where they were most likely.

    The result is (2, ...). The logits become their exponentials, each as a share of its row's
    highest.
    """
    flat = logits.reshape(-1, logits.shape[-1])
    rows, wanted = np.arange(len(flat)), targets.reshape(-1)
    likeliest = flat.argmax(axis=1)
    target_logits, highest = flat[rows, wanted], flat[rows, likeliest]
    flat -= highest[:, None]
    np.exp(flat, out=flat)
    nats = flat.sum(axis=1)
    np.log(nats, out=nats)
    nats += highest
    nats -= target_logits
    check_finite(nats)
    return np.stack([nats, likeliest == wanted]).reshape(2, *targets.shape)


SURPRISAL = Measure(2, surprisal)
