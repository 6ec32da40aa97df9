"""Prime a network with a seed, then stream characters."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from chargen.config import SampleConfig
from chargen.data.vocabulary import Vocabulary
from chargen.inference.decoding import choose
from chargen.inference.network import Network, Reader

__all__ = ["Generation", "draw_random_seed", "start_of_text"]


class Generation:
    """One text being written: iterate over it for the pieces, as they are made.

    The text begins as if after a line end, where the vocabulary has one, then reads the seed; what
    it yields is what follows the seed. Where there is neither, the first character is drawn from
    what the network predicts with no input.

    Each text has its own random numbers, from its own random seed, so that it does not depend on
    what else is written beside it.

    Args:
        network: the model.
        vocabulary: its characters.
        seed_ids: what the text begins with.
        config: how characters are drawn.
        random_seed: 0 or more.

    Attributes:
        stopped: why it ended: "stop" when the stop string appeared, else "length".
    """

    def __init__(
        self,
        network: Network,
        vocabulary: Vocabulary,
        seed_ids: Sequence[int],
        config: SampleConfig,
        random_seed: int,
    ) -> None:
        self._reader = Reader(network)
        self._vocabulary = vocabulary
        self._unread = [*start_of_text(vocabulary), *seed_ids]
        self._config = config
        self._rng = np.random.default_rng(random_seed)
        self.stopped: Literal["length", "stop"] = "length"

    def __iter__(self) -> Iterator[str]:
        """Yield pieces of text, one character each, later where a stop string may be beginning.

        The stop string itself is not yielded.
        """
        stop = self._config.stop or ""
        held = ""
        for character in self._characters():
            held += character
            if stop and held.endswith(stop):
                self.stopped = "stop"
                if held := held[: -len(stop)]:
                    yield held
                return
            ready = len(held) - _overlap(held, stop)
            if ready:
                yield held[:ready]
                held = held[ready:]
        if held:
            yield held

    def _characters(self) -> Iterator[str]:
        banned = self._vocabulary.replacement
        made = 0
        while self._config.length is None or made < self._config.length:
            with np.errstate(over="ignore", invalid="ignore"):  # `choose` checks the outcome
                logits = self._reader.read(self._unread)
            if banned is not None and len(self._vocabulary) > 1:
                logits[banned] = -np.inf
            index = choose(logits, self._config, self._rng)
            yield self._vocabulary.characters[index]
            self._unread = [index]
            made += 1


def start_of_text(vocabulary: Vocabulary) -> list[int]:
    """The ids that every text is read after: a line end, or none where there is none."""
    return [] if vocabulary.line_end is None else [vocabulary.line_end]


def draw_random_seed() -> int:
    """A random seed for when none is given: small enough to type in again."""
    return int(np.random.SeedSequence().generate_state(1)[0])


def _overlap(held: str, stop: str) -> int:
    """Length of the longest end of `held` that `stop` begins with, short of all of it."""
    longest = min(len(held), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(held[-n:])), 0)
