"""Read prompts, then write characters: one text, or many side by side.

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

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from threading import Event
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from chargen.config import SampleConfig, Unknown
from chargen.data.vocabulary import Vocabulary
from chargen.errors import VocabularyError
from chargen.network.cells import Floats
from chargen.network.language_model import LanguageModel
from chargen.network.reading import Reading, exact_threads_for, make_reading
from chargen.network.threads import Turns, computing, side_by_side, thread_count
from chargen.sampling.decoding import Decoder, Noise
from chargen.sampling.guards import CopyIndex, Guard

__all__ = ["MOST_TOGETHER", "Text", "Writer", "draw_random_seed", "write"]

CHUNK_SIZES_ALONE = (1, 64)
"""Characters written at a time, once a text is under way: what is done once for all of them then
costs nothing, and even the largest network passes text on several times a second."""
CHUNK_SIZES_TOGETHER = (32, 512)
"""The same for each of several texts, for which threads meet and part at each chunk."""
STOP_DIVISOR = 8
"""Chunks are so many times smaller where a stop string may come: what is past it is thrown away."""
NOISE_FLOATS = 1 << 21
"""Random numbers made at a time, at most: 8 MB."""
MOST_TOGETHER = 128
"""Texts written side by side; more make the matrix products little faster."""
FEWEST_TOGETHER = 6
"""Texts below which each is written alone, one after the other: it is faster."""
MOST_WRITERS = 2
"""Groups that texts are dealt to: more would wait for their turns, as a product takes about as long
as what lies between two."""
LONG_PRODUCT_BYTES = 3 << 18
"""Weights of a long product: 0.75 MB, an LSTM with 222 units."""
FEWEST_PER_WRITER = 64
"""Texts of each group: with fewer, waking each other costs two threads more than they gain."""
FEWEST_PER_WRITER_LONG = 8
"""The same where products are long: there only bringing the weights in order has to be repaid."""


class Text:
    """One text: its random numbers, what of it is written, and why it ended.

    Args:
        vocabulary: its characters.
        prompt_ids: what it begins with.
        config: how characters are drawn.
        random_seed: 0 or more.
        copies: passages that it must not copy, or None.

    Attributes:
        random_seed: as given.
        path: what is read before the first character is drawn. The text begins as if after a
            newline, where the vocabulary has one; where there is neither, the first character is
            drawn from what the network predicts with no input.
        noise: the random numbers of its characters.
        guard: what it must not continue with, or None where nothing is forbidden.
        stopped: why it ended: "stop" when the stop string appeared, "length" when it was long
            enough, None while it is being written.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        prompt_ids: Sequence[int],
        config: SampleConfig,
        random_seed: int,
        copies: CopyIndex | None = None,
    ) -> None:
        self.random_seed = random_seed
        self.path = [*vocabulary.start_of_text, *prompt_ids]
        self.noise = Noise(random_seed, len(vocabulary), config.temperature)
        self.guard: Guard | None = None
        if copies is not None or config.repetition_guard is not None:
            self.guard = Guard(len(vocabulary), copies, config.repetition_guard)
            for index in prompt_ids:
                self.guard.accept(index)
        self.stopped: Literal["length", "stop"] | None = None if config.length != 0 else "length"
        self._vocabulary = vocabulary
        self._stop, self._length = config.stop or "", config.length
        self._count = 0
        self._ready = ""  # certain, and not taken yet
        self._held = ""  # may be the beginning of the stop string
        self._nats = 0.0
        self._held_nats: list[float | None] = []
        self._scored = 0

    @property
    def bits_per_character(self) -> float | None:
        """What its characters cost the model, once it has ended; None where none was scored.

        Only texts that are written with their scores have one. A first character that no input
        led to is not scored.
        """
        return self._nats / math.log(2) / self._scored if self._scored else None

    def take(self) -> str:
        """What was written since the last call, as far as it is certain."""
        ready, self._ready = self._ready, ""
        return ready

    def at_most(self, count: int) -> int:
        """So many characters, or as many as are still to be written."""
        return count if self._length is None else min(count, self._length - self._count)

    def accept(self, ids: Sequence[int], nats: Sequence[float] = ()) -> None:
        """Add the next characters, and their nats where they are scored.

        Those past a stop string are dropped, as is the stop string itself.
        """
        if nats:
            # A character that nothing was read before is given, not predicted.
            is_given = not (self.path or self._count)
            self._held_nats += [None, *nats[1:]] if is_given else nats
        self._count += len(ids)
        self._held += self._vocabulary.decode(ids)
        end = self._held.find(self._stop) if self._stop else -1
        if end >= 0:
            self.stopped = "stop"
            self._held = self._held[:end]
        elif self._count == self._length:
            self.stopped = "length"
        waiting = 0 if self.stopped else _overlap(self._held, self._stop)
        ready = len(self._held) - waiting
        self._ready += self._held[:ready]
        self._held = self._held[ready:]
        scored = [nats for nats in self._held_nats[:ready] if nats is not None]
        self._nats += sum(scored)
        self._scored += len(scored)
        del self._held_nats[:ready]


def write(
    model: LanguageModel,
    prompts: Iterable[str],
    config: SampleConfig,
    random_seed: int,
    unknown: Unknown = "error",
    copies: CopyIndex | None = None,
    *,
    scored: bool = False,
) -> Iterator[tuple[Text, Iterator[str]]]:
    """Write a text for each prompt, several side by side, a step of many being one matrix product.

    Args:
        model: the model.
        prompts: may be endless: only as many are taken at a time as are written side by side.
        config: how characters are drawn, the same for all.
        random_seed: text i is drawn with the random numbers of `random_seed` + i.
        unknown: "error", "skip" or "replace" characters of a prompt that the model never saw.
        copies: passages that must not be copied, or None.
        scored: also score what is written, for `Text.bits_per_character`.

    Yields:
        Each text, in order, and the pieces of it as they are written: a character first, then more
        at a time. Where a stop string may be beginning, its characters wait; it is not a part of
        the text.

    Raises:
        VocabularyError: once the texts before it are handed out, a prompt holds a character that
            the model never saw.
        NumericalError: the network's outputs are no numbers.
    """
    encoded = (model.vocabulary.encode_prompt(prompt, unknown) for prompt in prompts)
    threads = thread_count(model.threads)
    refused: VocabularyError | None = None
    while refused is None:
        texts: list[Text] = []
        try:
            for prompt_ids in islice(encoded, MOST_TOGETHER):
                texts.append(Text(model.vocabulary, prompt_ids, config, random_seed, copies))
                random_seed += 1
        except VocabularyError as error:
            refused = error
        if not texts:
            break
        alone = len(texts) < FEWEST_TOGETHER
        for group in [[text] for text in texts] if alone else [texts]:
            writers = _writers(model, config, group, scored=scored)
            for text in group:
                yield text, _pieces(text, writers, threads)
    if refused is not None:
        raise refused


def draw_random_seed() -> int:
    """A random seed for when none is given: small enough to type in again."""
    return int(np.random.SeedSequence().generate_state(1)[0])


def _writers(
    model: LanguageModel, config: SampleConfig, texts: Sequence[Text], *, scored: bool
) -> "list[Writer]":
    """Deal texts out to writers, by their number and never by that of threads."""
    weights = max(layer.cell.recurrent_kernel.nbytes for layer in model.network.forward)
    fewest = FEWEST_PER_WRITER_LONG if weights >= LONG_PRODUCT_BYTES else FEWEST_PER_WRITER
    count = MOST_WRITERS if len(texts) >= MOST_WRITERS * fewest else 1
    # Turns are for what is short between two products; whole windows are long.
    turns = Turns() if model.config.predict == "all" else None
    return [Writer(model, config, texts[k::count], turns, scored=scored) for k in range(count)]


def _pieces(text: Text, writers: "Sequence[Writer]", threads: int) -> Iterator[str]:
    """A text's pieces; all texts of its writers are written along with it."""
    while True:
        if piece := text.take():
            yield piece
        elif text.stopped:
            return
        else:
            unfinished = [writer.advance for writer in writers if writer.texts]
            side_by_side(unfinished, threads)


class Writer:
    """Writes texts in step, in one thread: a step is one row of a product for each.

    Args:
        model: the model.
        config: how characters are drawn.
        texts: one or more, of which nothing is written yet.
        turns: taken with other writers, or None.
        scored: whether to score what is written.

    Attributes:
        texts: those that have not ended.
    """

    def __init__(
        self,
        model: LanguageModel,
        config: SampleConfig,
        texts: Sequence[Text],
        turns: Turns | None = None,
        *,
        scored: bool = False,
    ) -> None:
        self._decoder = Decoder(config, model.vocabulary.never_written)
        self.texts = list(texts)
        self._network, self._threads = model.network, thread_count(model.threads)
        self._turns, self._scored = turns, scored
        self._blas_threads = 1
        self._reading: Reading | None = None
        self._alone = len(texts) == 1
        sizes = CHUNK_SIZES_ALONE if self._alone else CHUNK_SIZES_TOGETHER
        self._chunks = _chunks(config, *sizes)

    def advance(self, stop: Event) -> None:
        """Write a chunk of each text; where some end with it, continue without them."""
        texts = self.texts
        noise = self._noise()
        if self._reading is None and self._alone:
            self._blas_threads = exact_threads_for(self._network, self._threads)
        with computing(self._blas_threads), self._turns or nullcontext():
            if self._reading is None:
                dot = self._turns.dot if self._turns else np.ndarray.dot
                self._reading = make_reading(self._network, len(texts), dot)
                self._reading.extend([text.path for text in texts])
            seen = np.empty_like(noise) if self._scored else None
            draw = self._draw_one if self._alone else self._draw_each
            drawn = draw(self._reading, noise, seen, stop)
            nats = self._nats(seen, drawn) if seen is not None else None
            for row, text in enumerate(texts):
                text.accept(drawn[:, row].tolist(), [] if nats is None else nats[:, row].tolist())
            unfinished = [row for row, text in enumerate(texts) if not text.stopped]
            if len(unfinished) < len(texts):
                self.texts = [texts[row] for row in unfinished]
                self._reading.keep(np.array(unfinished, dtype=np.intp))

    def _noise(self) -> Floats:
        """The random numbers of a chunk: (characters, texts, V)."""
        size = (len(self.texts), self._network.config.vocabulary_size)
        most = max(1, NOISE_FLOATS // (size[0] * size[1]))
        count = self.texts[0].at_most(min(next(self._chunks), most))  # all are equally far
        noise = np.empty((count, *size), np.float32)
        for row, text in enumerate(self.texts):
            noise[:, row] = text.noise.take(count)
        return noise

    def _draw_one(
        self, reading: Reading, noise: Floats, seen: Floats | None, _: Event
    ) -> NDArray[np.intp]:
        """The next ids (characters, 1) of a single text: what `_draw_each` does, but faster."""
        guard, choose = self.texts[0].guard, self._decoder.choose
        ids: list[int] = []
        for row in noise:
            logits = reading.logits()
            if seen is not None:
                seen[len(ids)] = logits
            if guard is None:
                index = choose(logits, row)
            else:
                index = choose(logits, row, guard.banned())
                guard.accept(index)
            reading.step((index,))
            ids.append(index)
        return np.array(ids, np.intp)[:, None]

    def _draw_each(
        self, reading: Reading, noise: Floats, seen: Floats | None, stop: Event
    ) -> NDArray[np.intp]:
        """The next ids of each text, (characters, texts), and the logits (..., V) in `seen`.

        Fewer characters where all must stop.
        """
        guards = [text.guard for text in self.texts if text.guard is not None]
        drawn = np.empty(noise.shape[:2], np.intp)
        for k, rows in enumerate(noise):
            if stop.is_set():
                return drawn[:k]
            logits = reading.logits()
            if seen is not None:
                seen[k] = logits
            banned = [guard.banned() for guard in guards]
            ids = self._decoder.choose_each(logits, rows, banned)
            for guard, index in zip(guards, ids.tolist(), strict=False):  # none, or all
                guard.accept(index)
            drawn[k] = ids
            reading.step(ids)
        return drawn

    def _nats(self, seen: Floats, drawn: NDArray[np.intp]) -> Floats:
        """Of the characters that were drawn, under the model itself: (characters, texts)."""
        from chargen.scoring.score import surprisal  # here, so that `sample` starts without it

        nats, _ = surprisal(seen[: len(drawn)], drawn)
        return nats


def _chunks(config: SampleConfig, first: int, most: int) -> Iterator[int]:
    """How many characters to write at each time: few at first, so that the beginning comes soon."""
    if config.stop:
        first, most = max(1, first // STOP_DIVISOR), most // STOP_DIVISOR
    size = min(first, most)
    while True:
        yield size
        size = min(4 * size, most)


def _overlap(held: str, stop: str) -> int:
    """Length of the longest end of `held` that `stop` begins with, short of all of it."""
    longest = min(len(held), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(held[-n:])), 0)
