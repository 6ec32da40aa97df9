"""Read prompts, then write characters: one text, or many side by side.

The same command writes the same bytes, whatever its number of threads, on all CPUs for which BLAS
uses the same kernel: which texts are written side by side depends only on their number and on the
network, and each thread takes one group of texts after another.

Each text has its own random numbers, from its own random seed. Its rounding depends on how many
rows a product has: a product of matrices is summed in another order than that of a vector and a
matrix. So a text is the same as when written alone, except where rounding decides between two
characters. That can happen if both are equally likely to within rounding, or if the network
magnifies rounding, as one does that never forgets. To use one order for both, a single text would
have to be written by products of matrices, which take two to six times as long.
"""

from collections.abc import Iterable, Iterator, Sequence
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
from chargen.network.threads import computing, side_by_side, thread_count
from chargen.plain import NATS_PER_BIT
from chargen.sampling.decoding import Decoder, Noise
from chargen.sampling.guards import CopyIndex, Guard

__all__ = ["MOST_TOGETHER", "Text", "Writer", "write"]

CHUNK_SIZES_ALONE = (1, 64)
"""Characters of a text written at a time, at first and at most, if it is written alone: with 64 the
work done once per chunk costs nothing, and even the largest network still passes text on several
times a second."""
CHUNK_SIZES_TOGETHER = (32, 512)
"""The same for each of several texts, whose threads have to wait for each other at each chunk."""
STOP_DIVISOR = 8
"""How many times smaller chunks are with a stop string: what is written after it is thrown away."""
NOISE_FLOATS = 1 << 21
"""The most random numbers drawn at a time: 8 MB."""
MOST_TOGETHER = 128
"""The most texts written side by side; more would make the matrix products hardly faster."""
FEWEST_TOGETHER = 6
"""The fewest texts written side by side; fewer are faster one after another."""
MOST_WRITERS = 2
"""The most writers that share texts: between two products a thread holds Python's interpreter
lock."""
WRITER_BYTES = 24 << 20
"""The least product of a recurrent kernel's bytes and the number of texts of each writer: with
less, two threads spend more time on waking each other, and on preparing the kernel twice, than they
gain."""
FEWEST_PER_WRITER, ENOUGH_PER_WRITER = 8, 64
"""A writer has at least the first number of texts, however large the kernel; the second is always
enough, however small it is."""


class Text:
    """One text: its random numbers, what has been written of it, and why it ended.

    Args:
        vocabulary: the model's characters.
        prompt_ids: the ids of the prompt, which the text continues.
        config: how characters are drawn.
        random_seed: 0 or more.
        copies: passages that the text must not copy, or None.

    Attributes:
        random_seed: as given.
        context: the ids that are read before the first character is drawn. The text begins as if
            after a newline, if the vocabulary has one. If there is neither that nor a prompt, the
            first character is drawn from what the network predicts without any input.
        noise: the random numbers of its characters.
        guard: what must not come next in it, or None if nothing is forbidden.
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
        self.context = [*vocabulary.start_of_text, *prompt_ids]
        self.noise = Noise(random_seed, len(vocabulary), config.temperature)
        self.guard: Guard | None = None
        if copies is not None or config.repetition_guard is not None:
            self.guard = Guard(
                len(vocabulary),
                vocabulary.never_written,
                copies=copies,
                repetition=config.repetition_guard,
            )
            for index in prompt_ids:
                self.guard.accept(index)
        self.stopped: Literal["length", "stop"] | None = None if config.length != 0 else "length"
        self._vocabulary = vocabulary
        self._stop, self._length = config.stop or "", config.length
        self._count = 0
        self._ready = ""  # certainly part of the text, and not taken yet
        self._held = ""  # possibly the beginning of the stop string
        self._nats = 0.0
        self._held_nats: list[float | None] = []
        self._scored = 0

    @property
    def bits_per_character(self) -> float | None:
        """What the text's characters cost the model, once it has ended; None if none was scored.

        Only texts that are written with `scored` have a value. A first character that the network
        predicted without any input is not scored.
        """
        return self._nats / NATS_PER_BIT / self._scored if self._scored else None

    def take(self) -> str:
        """Return what was written since the last call, as far as it is certain."""
        ready, self._ready = self._ready, ""
        return ready

    def at_most(self, count: int) -> int:
        """Return `count`, or the number of characters still to be written if that is less."""
        return count if self._length is None else min(count, self._length - self._count)

    def accept(self, ids: Sequence[int], nats: Sequence[float] = ()) -> None:
        """Add the next characters, and their nats if they are scored.

        The stop string and everything after it are dropped.
        """
        if nats:
            # A character before which nothing was read counts as given, not predicted.
            is_given = not (self.context or self._count)
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
    """Write a text for each prompt, several side by side, so that a step is one matrix product.

    Args:
        model: the model.
        prompts: the texts to continue, possibly endlessly many: only as many are taken at a time as
            are written side by side.
        config: how characters are drawn, the same for all texts.
        random_seed: text i is drawn with the random numbers of `random_seed` + i.
        unknown: "error", "skip" or "replace" characters of a prompt that the model never saw.
        copies: passages that must not be copied, or None.
        scored: whether to score what is written, for `Text.bits_per_character`.

    Yields:
        Each text, in order, and its pieces as they are written: first one character, then more at a
        time. Characters that may begin the stop string are held back; the stop string is not part
        of the text.

    Raises:
        VocabularyError: a prompt contains a character that the model never saw; the texts before it
            are yielded first.
        NumericalError: the network's outputs are not finite.
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


def _writers(
    model: LanguageModel, config: SampleConfig, texts: Sequence[Text], *, scored: bool
) -> "list[Writer]":
    """Deal texts out to writers, whose number depends on the texts and never on the threads."""
    weights = max(layer.cell.recurrent_kernel.nbytes for layer in model.network.forward)
    fewest = min(max(FEWEST_PER_WRITER, WRITER_BYTES // weights), ENOUGH_PER_WRITER)
    count = MOST_WRITERS if len(texts) >= MOST_WRITERS * fewest else 1
    return [Writer(model, config, texts[k::count], scored=scored) for k in range(count)]


def _pieces(text: Text, writers: "Sequence[Writer]", threads: int) -> Iterator[str]:
    """Yield the pieces of a text; all texts of its writers are written along with it."""
    while True:
        if piece := text.take():
            yield piece
        elif text.stopped:
            return
        else:
            unfinished = [writer.advance for writer in writers if writer.texts]
            side_by_side(unfinished, threads)


class Writer:
    """Writes texts in step, in one thread: each text is one row of a matrix product.

    Args:
        model: the model.
        config: how characters are drawn.
        texts: one or more texts, of which nothing is written yet.
        scored: whether to score what is written.

    Attributes:
        texts: the texts that have not ended.
    """

    def __init__(
        self,
        model: LanguageModel,
        config: SampleConfig,
        texts: Sequence[Text],
        *,
        scored: bool = False,
    ) -> None:
        self._decoder = Decoder(config, model.vocabulary.never_written)
        self.texts = list(texts)
        self._network, self._threads = model.network, thread_count(model.threads)
        self._scored = scored
        self._blas_threads = 1
        self._reading: Reading | None = None
        self._alone = len(texts) == 1
        sizes = CHUNK_SIZES_ALONE if self._alone else CHUNK_SIZES_TOGETHER
        self._chunks = _chunks(config, *sizes)

    def advance(self, stop: Event) -> None:
        """Write a chunk of each text, then drop the texts that ended."""
        texts = self.texts
        noise = self._noise()
        if self._reading is None and self._alone:
            self._blas_threads = exact_threads_for(self._network, self._threads)
        with computing(self._blas_threads):
            if self._reading is None:
                self._reading = make_reading(self._network, len(texts))
                self._reading.extend([text.context for text in texts])
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
        """Draw the random numbers of the next chunk of T characters of B texts: (T, B, V)."""
        size = (len(self.texts), self._network.config.vocabulary_size)
        most = max(1, NOISE_FLOATS // (size[0] * size[1]))
        count = self.texts[0].at_most(min(next(self._chunks), most))  # all are equally long
        noise = np.empty((count, *size), np.float32)
        for row, text in enumerate(self.texts):
            noise[:, row] = text.noise.take(count)
        return noise

    def _draw_one(
        self, reading: Reading, noise: Floats, seen: Floats | None, _: Event
    ) -> NDArray[np.intp]:
        """Draw the next ids (T, 1) of a single text: what `_draw_each` does, but faster."""
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
        """Draw the next ids (T, B) of each text, and put the logits (T, B, V) into `seen`.

        There are fewer than T if the work should `stop`.
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
            for guard, index in zip(
                guards, ids.tolist(), strict=False
            ):  # all texts have guards, or none
                guard.accept(index)
            drawn[k] = ids
            reading.step(ids)
        return drawn

    def _nats(self, seen: Floats, drawn: NDArray[np.intp]) -> Floats:
        """Return the nats (T, B) of the characters drawn, under the model without restrictions."""
        from chargen.scoring.score import surprisal  # here, so that `sample` starts without it

        found: Floats = surprisal(seen[: len(drawn)], drawn)[0]
        return found


def _chunks(config: SampleConfig, first: int, most: int) -> Iterator[int]:
    """Yield the sizes of chunks in characters: small at first, so that the beginning comes soon."""
    if config.stop:
        first, most = max(1, first // STOP_DIVISOR), most // STOP_DIVISOR
    size = min(first, most)
    while True:
        yield size
        size = min(4 * size, most)


def _overlap(held: str, stop: str) -> int:
    """Return the length of the longest end of `held` with which `stop` begins, but not ends."""
    longest = min(len(held), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(held[-n:])), 0)
