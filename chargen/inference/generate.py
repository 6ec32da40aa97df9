"""Prime a network with seeds, then write characters: one text, or many side by side.

Each text has its own random numbers, from its own random seed, so that it does not depend on what
is written beside it. Its rounding does: a product of matrices adds up in another order than that
of a vector and a matrix. So where a choice between characters is so close that rounding might turn
it, the text is read again alone, and that decides: it comes out as if it were written alone.
"""

from collections.abc import Iterator, Sequence
from threading import Event
from typing import Literal

import numpy as np

from chargen.config import SampleConfig
from chargen.data.vocabulary import Vocabulary
from chargen.inference.cells import Floats
from chargen.inference.decoding import Decoder, Noise
from chargen.inference.guards import CopyIndex, Guard
from chargen.inference.network import Network, Reading
from chargen.inference.threads import Turns, blas_threads, side_by_side, thread_count

__all__ = ["TOGETHER", "Generation", "draw_random_seed", "start_of_text", "write_together"]

CHUNK = 64
"""Characters written at a time, once a text is under way: what is done once for all of them then
costs nothing, and even the largest network passes text on several times a second."""
FIRST_CHUNK_TOGETHER, CHUNK_TOGETHER = 32, 512
"""The same for each of several texts, for which threads meet and part at each chunk."""
STOP_SHARE = 8
"""Chunks are so many times smaller where a stop string may come: what is past it is thrown away."""
NOISE_FLOATS = 1 << 21
"""Random numbers made at a time, at most: 8 MB."""
TOGETHER = 128
"""Texts written side by side; more make the matrix products little faster."""
FEWEST_TOGETHER = 6
"""Texts below which each is written alone, one after the other: it is faster."""
FEWEST_IN_TURNS = 32
"""Texts for each of several threads: with fewer, BLAS's own threads do better."""
MOST_IN_TURNS = 2
"""Threads that write in turns: more would wait for theirs, as a product takes about as long as
what lies between two."""
LONG_PRODUCT_BYTES = 3 << 18
"""Weights of a product (0.75 MB: LSTM with 222 units) that is long enough to take turns."""


class Generation:
    """One text being written: iterate over it for the pieces, as they are made.

    The text begins as if after a line end, where the vocabulary has one, then reads the seed; what
    it yields is what follows the seed. Where there is neither, the first character is drawn from
    what the network predicts with no input.

    Args:
        network: the model.
        vocabulary: its characters.
        seed_ids: what the text begins with.
        config: how characters are drawn.
        random_seed: 0 or more.
        threads: to compute with; None for those that suit the network.
        copies: passages that it must not copy, or None.

    Attributes:
        random_seed: as given.
        finished: whether the whole text is written.
        stopped: why it ended: "stop" when the stop string appeared, else "length".
        seed_ids: what is read before the first character is drawn.
        noise: the random numbers of its characters.
        guard: what it must not go on with, or None where nothing is forbidden.
    """

    def __init__(
        self,
        network: Network,
        vocabulary: Vocabulary,
        seed_ids: Sequence[int],
        config: SampleConfig,
        random_seed: int,
        threads: int | None = None,
        copies: CopyIndex | None = None,
    ) -> None:
        self.random_seed = random_seed
        self.finished = config.length == 0
        self.stopped: Literal["length", "stop"] = "length"
        self.seed_ids = [*start_of_text(vocabulary), *seed_ids]
        self.noise = Noise(random_seed, len(vocabulary), config.temperature)
        self.guard: Guard | None = None
        if copies is not None or config.repetition_guard is not None:
            self.guard = Guard(len(vocabulary), copies, config.repetition_guard)
            for index in seed_ids:
                self.guard.accept(index)
        self._vocabulary = vocabulary
        self._stop, self._length = config.stop or "", config.length
        self._made = 0
        self._ready = ""
        self._held = ""
        self._writer: _Alone | _Together = _Alone(network, vocabulary, config, self, threads)

    def __iter__(self) -> Iterator[str]:
        """Yield pieces of text: a character first, then more at a time.

        Where a stop string may be beginning, its characters wait. It itself is not yielded.
        """
        while True:
            if self._ready:
                piece, self._ready = self._ready, ""
                yield piece
            elif self.finished:
                return
            else:
                self._writer.advance()

    def at_most(self, count: int) -> int:
        """So many characters, or as many as are left to be written."""
        return count if self._length is None else min(count, self._length - self._made)

    def accept(self, ids: Sequence[int]) -> None:
        """Take the next characters; those past a stop string are dropped."""
        self._made += len(ids)
        self._held += self._vocabulary.decode(ids)
        end = self._held.find(self._stop) if self._stop else -1
        if end >= 0:
            self.stopped = "stop"
            self._held = self._held[:end]
        self.finished = end >= 0 or self._made == self._length
        waiting = 0 if self.finished else _overlap(self._held, self._stop)
        ready = len(self._held) - waiting
        self._ready += self._held[:ready]
        self._held = self._held[ready:]

    def write_with(self, writer: "_Together") -> None:
        """Be written by another writer from the beginning on."""
        self._writer = writer


def write_together(
    network: Network,
    vocabulary: Vocabulary,
    seeds: Sequence[Sequence[int]],
    config: SampleConfig,
    random_seed: int,
    threads: int | None = None,
    copies: CopyIndex | None = None,
) -> list[Generation]:
    """Texts that are written side by side, a step of all of them being one matrix product.

    Iterating over any of them writes at all; those that are finished leave the batch. A few texts
    are written one after the other.

    Args:
        network: the model.
        vocabulary: its characters.
        seeds: the ids that each text begins with.
        config: how characters are drawn.
        random_seed: text i is drawn with `random_seed` + i, and comes out as a `Generation` alone
            would with that.
        threads: to compute with; None for as many as suit.
        copies: passages that they must not copy, or None.
    """
    texts = [
        Generation(network, vocabulary, seed_ids, config, random_seed + index, threads, copies)
        for index, seed_ids in enumerate(seeds)
    ]
    if len(texts) >= FEWEST_TOGETHER:
        writer = _Together(network, vocabulary, config, texts, threads)
        for text in texts:
            text.write_with(writer)
    return texts


def start_of_text(vocabulary: Vocabulary) -> list[int]:
    """The ids that every text is read after: a line end, or none where there is none."""
    return [] if vocabulary.line_end is None else [vocabulary.line_end]


def draw_random_seed() -> int:
    """A random seed for when none is given: small enough to type in again."""
    return int(np.random.SeedSequence().generate_state(1)[0])


class _Alone:
    """Writes one text."""

    def __init__(
        self,
        network: Network,
        vocabulary: Vocabulary,
        config: SampleConfig,
        text: Generation,
        threads: int | None,
    ) -> None:
        self._network, self._text = network, text
        self._decoder = _decoder(config, vocabulary)
        self._threads = threads
        self._reading: Reading | None = None
        self._chunks = _chunks(config, 1, CHUNK)

    def advance(self) -> None:
        ids: list[int] = []
        guard = self._text.guard
        # What overflows is found by `choose`.
        with np.errstate(over="ignore", invalid="ignore"), blas_threads(self._threads):
            if self._reading is None:
                self._reading = self._network.read(1)
                self._reading.extend([self._text.seed_ids])
            reading = self._reading
            for noise in self._text.noise.take(self._text.at_most(next(self._chunks)))[:, None]:
                if guard is None:
                    index = self._decoder.choose(reading.logits(), noise)
                else:
                    index = self._decoder.choose(reading.logits(), noise, guard.banned())
                    guard.accept(index)
                reading.step((index,))
                ids.append(index)
        self._text.accept(ids)


class _Together:
    """Writes several texts, dealt out to threads where that pays."""

    def __init__(
        self,
        network: Network,
        vocabulary: Vocabulary,
        config: SampleConfig,
        texts: Sequence[Generation],
        threads: int | None,
    ) -> None:
        count = 1
        if network.config.predict == "all" and network.recurrent_bytes >= LONG_PRODUCT_BYTES:
            most = min(thread_count(threads), MOST_IN_TURNS)
            count = max(1, min(most, len(texts) // FEWEST_IN_TURNS))
        self._blas_threads = threads if count == 1 else 1
        decoder, turns = _decoder(config, vocabulary), Turns()
        self._batches = [
            _Batch(network, decoder, config, texts[k::count], turns) for k in range(count)
        ]

    def advance(self) -> None:
        """Write a chunk of each text."""
        batches = [batch for batch in self._batches if batch.lanes]
        with blas_threads(self._blas_threads):
            side_by_side([batch.advance for batch in batches])


class _Batch:
    """The texts of one thread, written in step."""

    def __init__(
        self,
        network: Network,
        decoder: Decoder,
        config: SampleConfig,
        texts: Sequence[Generation],
        turns: Turns,
    ) -> None:
        self.lanes = [_Lane(text) for text in texts]
        self._network, self._decoder, self._turns = network, decoder, turns
        self._chunks = _chunks(config, FIRST_CHUNK_TOGETHER, CHUNK_TOGETHER)
        self._reading: Reading | None = None

    def advance(self, stop: Event) -> None:
        """Write a chunk of each text; where some are finished by it, go on without them."""
        lanes = self.lanes
        size = (len(lanes), self._network.config.vocabulary_size)
        most = max(1, NOISE_FLOATS // (size[0] * size[1]))
        count = lanes[0].text.at_most(min(next(self._chunks), most))  # all are equally far
        noise = np.empty((count, *size), np.float32)
        for row, lane in enumerate(lanes):
            noise[:, row] = lane.text.noise.take(count)
        drawn = np.empty((count, size[0]), np.intp)
        guards = [lane.text.guard for lane in lanes if lane.text.guard is not None]
        # What overflows is found by `choose_each`.
        with self._turns, np.errstate(over="ignore", invalid="ignore"):
            if self._reading is None:
                self._reading = self._network.read(len(lanes), self._turns.dot)
                self._reading.extend([lane.path for lane in lanes])
            for k in range(count):
                if stop.is_set():
                    return
                banned = [guard.banned() for guard in guards]
                logits = self._reading.logits()
                ids, doubtful = self._decoder.choose_each(logits, noise[k], banned)
                if doubtful.any():
                    for row in np.flatnonzero(doubtful).tolist():
                        logits = lanes[row].read_alone(self._network, drawn[:k, row].tolist())
                        forbidden = banned[row] if banned else ()
                        ids[row] = self._decoder.choose(logits, noise[k, row : row + 1], forbidden)
                for guard, index in zip(guards, ids.tolist(), strict=False):  # none, or all
                    guard.accept(index)
                drawn[k] = ids
                self._reading.step(ids)
            for row, lane in enumerate(lanes):
                lane.accept(drawn[:, row].tolist())
            going_on = [row for row, lane in enumerate(lanes) if not lane.text.finished]
            if len(going_on) < len(lanes):
                self.lanes = [lanes[row] for row in going_on]
                self._reading.keep(np.array(going_on, dtype=np.intp))


class _Lane:
    """A text in a batch, with what it takes to read it again alone."""

    def __init__(self, text: Generation) -> None:
        self.text = text
        self.path = list(text.seed_ids)
        self._alone: Reading | None = None
        self._read = 0

    def accept(self, ids: Sequence[int]) -> None:
        """Take the characters of a chunk."""
        self.path += ids
        self.text.accept(ids)

    def read_alone(self, network: Network, drawn: Sequence[int]) -> Floats:
        """Logits (1, V) of the next character, by the products that a text alone is made with.

        Args:
            network: the model.
            drawn: what was drawn of a chunk so far.
        """
        if self._alone is None:
            self._alone = network.read(1)
        path = [*self.path, *drawn]
        self._alone.extend([path[self._read :]])
        self._read = len(path)
        return self._alone.logits()


def _decoder(config: SampleConfig, vocabulary: Vocabulary) -> Decoder:
    """Never writes U+FFFD, which stands for characters and is none."""
    return Decoder(config, vocabulary.replacement if len(vocabulary) > 1 else None)


def _chunks(config: SampleConfig, first: int, most: int) -> Iterator[int]:
    """How many characters to write at each time: few at first, so that the beginning comes soon."""
    if config.stop:
        first, most = max(1, first // STOP_SHARE), most // STOP_SHARE
    size = min(first, most)
    while True:
        yield size
        size = min(4 * size, most)


def _overlap(held: str, stop: str) -> int:
    """Length of the longest end of `held` that `stop` begins with, short of all of it."""
    longest = min(len(held), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(held[-n:])), 0)
