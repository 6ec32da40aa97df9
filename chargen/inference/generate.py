"""Prime a network with seeds, then write characters: one text, or many side by side.

The same command writes the same bytes, whatever its number of threads, on CPUs for which BLAS takes
the same kernel: which texts are written side by side follows from how many there are and from the
network, and threads take these groups in turn.

Each text has its own random numbers, from its own random seed. Its rounding depends on how many
rows a product has: products of matrices add up in another order than that of a vector and a matrix.
So a text comes out as it would by itself except where rounding decides between two characters,
which can happen where two are equally likely to within rounding, or where the network magnifies
rounding, as one does that never forgets. One order for both would have to write one text by
products of matrices, which take two to six times as long.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from threading import Event
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from chargen.config import SampleConfig
from chargen.data.vocabulary import Vocabulary
from chargen.inference.cells import Floats
from chargen.inference.decoding import Decoder, Noise
from chargen.inference.guards import CopyIndex, Guard
from chargen.inference.network import Network, Reading
from chargen.inference.threads import Turns, computing, side_by_side, thread_count

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
GROUPS = 2
"""Groups that texts are dealt to: more would wait for their turns, as a product takes about as long
as what lies between two."""
FEWEST_IN_GROUP = 32
"""Texts of each group: with fewer, bringing the weights in order for a product costs more than
a second thread gains."""
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
        threads: to compute with; None for as many as there are cores.
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
        self._writer = _Writer(network, vocabulary, config, [self], threads)

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

    def write_with(self, writer: "_Writer") -> None:
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
    """Texts that are written side by side, a step of many of them being one matrix product.

    Iterating over any of them writes at all; those that are finished leave their group. A few texts
    are written one after the other.

    Args:
        network: the model.
        vocabulary: its characters.
        seeds: the ids that each text begins with.
        config: how characters are drawn.
        random_seed: text i is drawn with the random numbers of `random_seed` + i.
        threads: to compute with; None for as many as there are cores.
        copies: passages that they must not copy, or None.
    """
    texts = [
        Generation(network, vocabulary, seed_ids, config, random_seed + index, threads, copies)
        for index, seed_ids in enumerate(seeds)
    ]
    if len(texts) >= FEWEST_TOGETHER:
        writer = _Writer(network, vocabulary, config, texts, threads)
        for text in texts:
            text.write_with(writer)
    return texts


def start_of_text(vocabulary: Vocabulary) -> list[int]:
    """The ids that every text is read after: a line end, or none where there is none."""
    return [] if vocabulary.line_end is None else [vocabulary.line_end]


def draw_random_seed() -> int:
    """A random seed for when none is given: small enough to type in again."""
    return int(np.random.SeedSequence().generate_state(1)[0])


class _Writer:
    """Writes texts: in groups, which threads take in turn."""

    def __init__(
        self,
        network: Network,
        vocabulary: Vocabulary,
        config: SampleConfig,
        texts: Sequence[Generation],
        threads: int | None,
    ) -> None:
        # U+FFFD is never written: it stands for characters and is none.
        decoder = Decoder(config, vocabulary.replacement if len(vocabulary) > 1 else None)
        self._threads = thread_count(threads)
        count = GROUPS if len(texts) >= GROUPS * FEWEST_IN_GROUP else 1
        # Turns are for what is short between two products; whole windows are long.
        turns = Turns() if network.config.predict == "all" else None
        self._groups = [
            _Group(network, decoder, config, texts[k::count], self._threads, turns)
            for k in range(count)
        ]

    def advance(self) -> None:
        """Write a chunk of each text."""
        groups = [group for group in self._groups if group.texts]
        side_by_side([group.advance for group in groups], self._threads)


class _Group:
    """Texts that are written in step by one thread: each step is a row of each text."""

    def __init__(
        self,
        network: Network,
        decoder: Decoder,
        config: SampleConfig,
        texts: Sequence[Generation],
        threads: int,
        turns: Turns | None,
    ) -> None:
        self.texts = list(texts)
        self._network, self._decoder = network, decoder
        self._threads, self._turns = threads, turns
        self._blas_threads = 1
        self._reading: Reading | None = None
        self._alone = len(texts) == 1
        sizes = (1, CHUNK) if self._alone else (FIRST_CHUNK_TOGETHER, CHUNK_TOGETHER)
        self._chunks = _chunks(config, *sizes)

    def advance(self, stop: Event) -> None:
        """Write a chunk of each text; where some are finished by it, go on without them."""
        texts = self.texts
        noise = self._noise()
        if self._reading is None and self._alone:
            self._blas_threads = self._network.threads_for_one(self._threads)
        with computing(self._blas_threads), self._turns or nullcontext():
            if self._reading is None:
                dot = self._turns.dot if self._turns else np.ndarray.dot
                self._reading = self._network.read(len(texts), dot)
                self._reading.extend([text.seed_ids for text in texts])
            draw = self._draw_one if self._alone else self._draw_each
            drawn = draw(self._reading, noise, stop)
            for row, text in enumerate(texts):
                text.accept(drawn[:, row].tolist())
            going_on = [row for row, text in enumerate(texts) if not text.finished]
            if len(going_on) < len(texts):
                self.texts = [texts[row] for row in going_on]
                self._reading.keep(np.array(going_on, dtype=np.intp))

    def _noise(self) -> Floats:
        """The random numbers of a chunk: (characters, texts, V)."""
        size = (len(self.texts), self._network.config.vocabulary_size)
        most = max(1, NOISE_FLOATS // (size[0] * size[1]))
        count = self.texts[0].at_most(min(next(self._chunks), most))  # all are equally far
        noise = np.empty((count, *size), np.float32)
        for row, text in enumerate(self.texts):
            noise[:, row] = text.noise.take(count)
        return noise

    def _draw_one(self, reading: Reading, noise: Floats, _: Event) -> NDArray[np.intp]:
        """The next ids (characters, 1) of a single text: what `_draw_each` does, but faster."""
        guard, choose = self.texts[0].guard, self._decoder.choose
        ids = []
        for row in noise:
            if guard is None:
                index = choose(reading.logits(), row)
            else:
                index = choose(reading.logits(), row, guard.banned())
                guard.accept(index)
            reading.step((index,))
            ids.append(index)
        return np.array(ids, np.intp)[:, None]

    def _draw_each(self, reading: Reading, noise: Floats, stop: Event) -> NDArray[np.intp]:
        """The next ids of each text: (characters, texts), fewer characters where all must stop."""
        guards = [text.guard for text in self.texts if text.guard is not None]
        drawn = np.empty(noise.shape[:2], np.intp)
        for k, rows in enumerate(noise):
            if stop.is_set():
                return drawn[:k]
            banned = [guard.banned() for guard in guards]
            ids = self._decoder.choose_each(reading.logits(), rows, banned)
            for guard, index in zip(guards, ids.tolist(), strict=False):  # none, or all
                guard.accept(index)
            drawn[k] = ids
            reading.step(ids)
        return drawn


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
