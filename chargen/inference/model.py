"""A trained model as Python code uses it: sample, stream, evaluate, logits."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chargen.checkpoint import Checkpoint
from chargen.config import FEWEST_GUARDED, ModelConfig, SampleConfig, Unknown, check_threads
from chargen.data.vocabulary import Vocabulary
from chargen.errors import OptionError, VocabularyError
from chargen.inference.generate import (
    TOGETHER,
    Generation,
    draw_random_seed,
    write_together,
)
from chargen.inference.guards import CopyIndex
from chargen.inference.network import Network

if TYPE_CHECKING:
    from chargen.inference.score import LineScorer, Scorer
    from chargen.inference.tally import Score

__all__ = ["Model", "load"]


def load(path: str | PathLike[str], *, threads: int | None = None) -> "Model":
    """Open a checkpoint directory for sampling and scoring; Keras is not needed.

    Args:
        path: the directory.
        threads: to compute with; None for as many as suit the model and the work.

    Raises:
        CheckpointError: there is none, or it is damaged or of another format.
        OptionError: `threads` is out of range.
    """
    check_threads(threads)
    return Model(Checkpoint.open(Path(path)), threads)


class Model:
    """A trained character model. Make one with `chargen.load`."""

    def __init__(self, checkpoint: Checkpoint, threads: int | None = None) -> None:
        self.checkpoint = checkpoint
        self.network = Network.load(checkpoint)
        self.threads = threads

    @property
    def vocabulary(self) -> Vocabulary:
        """The characters it knows."""
        return self.checkpoint.vocabulary

    @cached_property
    def config(self) -> ModelConfig:
        """The architecture."""
        return self.checkpoint.model

    def sample(
        self,
        seed: str = "",
        *,
        length: int = 500,
        temperature: float = SampleConfig.temperature,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        stop: str | None = None,
        repetition_guard: int | None = None,
        copies: CopyIndex | None = None,
        random_seed: int | None = None,
        unknown: Unknown = "error",
    ) -> str:
        """Write text that goes on from a seed; the seed is not part of what is returned.

        Args:
            seed: what the text begins with; empty begins a new line.
            length: characters to write.
            temperature: 0 is greedy, 1 the model's own distribution.
            top_k: draw from the k most likely characters.
            top_p: draw from the most likely ones that together have this probability.
            min_p: draw from those at least this share as likely as the most likely one.
            stop: end before this string.
            repetition_guard: so many characters in a row never come a second time.
            copies: passages that must not be copied, from `copy_index`.
            random_seed: the same one gives the same text; None draws one.
            unknown: "error", "skip" or "replace" characters of the seed the model never saw.

        Raises:
            VocabularyError: the seed holds a character the model never saw.
            OptionError: an option is out of range.
        """
        pieces = self.stream(
            seed,
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            stop=stop,
            repetition_guard=repetition_guard,
            copies=copies,
            random_seed=random_seed,
            unknown=unknown,
        )
        return "".join(pieces)

    def stream(
        self,
        seed: str = "",
        *,
        length: int | None = 500,
        temperature: float = SampleConfig.temperature,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        stop: str | None = None,
        repetition_guard: int | None = None,
        copies: CopyIndex | None = None,
        random_seed: int | None = None,
        unknown: Unknown = "error",
    ) -> Iterator[str]:
        """As `sample`, yielding pieces as they are written; `length=None` goes on for ever."""
        config = SampleConfig(
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            stop=stop,
            repetition_guard=repetition_guard,
        )
        if random_seed is None:
            random_seed = draw_random_seed()
        return iter(self.generate(seed, config, random_seed, unknown, copies))

    def copy_index(
        self, texts: str | PathLike[str] | Sequence[str], max_copy: int, encoding: str = "utf-8"
    ) -> CopyIndex:
        """Read the texts that must not be copied, `max_copy` characters or more in a row.

        Raises:
            CorpusError: a text cannot be read.
            OptionError: `max_copy` is below 2.
        """
        from chargen.data.corpus import read_ids

        if max_copy < FEWEST_GUARDED:
            raise OptionError(f"--max-copy must be {FEWEST_GUARDED} or more; found {max_copy}")
        sources = [fspath(texts)] if isinstance(texts, str | PathLike) else texts
        return CopyIndex(read_ids(sources, self.vocabulary, encoding), max_copy)

    def generate(
        self,
        seed: str,
        config: SampleConfig,
        random_seed: int,
        unknown: Unknown = "error",
        copies: CopyIndex | None = None,
    ) -> Generation:
        """As `stream`, for callers that hold a `SampleConfig` or ask why a text stopped."""
        seed_ids = self.vocabulary.encode_seed(seed, unknown)
        return Generation(
            self.network, self.vocabulary, seed_ids, config, random_seed, self.threads, copies
        )

    def generate_many(
        self,
        seeds: Iterable[str],
        config: SampleConfig,
        random_seed: int,
        unknown: Unknown = "error",
        copies: CopyIndex | None = None,
    ) -> Iterator[Generation]:
        """A text for each seed, in order, written side by side; faster than one after another.

        Args:
            seeds: may be endless: so many are taken at a time as are written together.
            config: how characters are drawn, the same for all.
            random_seed: text i is drawn with `random_seed` + i, and is the text that `generate`
                would make of that.
            unknown: as for `sample`.
            copies: as for `sample`.

        Raises:
            VocabularyError: once the texts before it are handed out, a seed holds a character the
                model never saw.
        """
        encoded = (self.vocabulary.encode_seed(seed, unknown) for seed in seeds)
        refused: VocabularyError | None = None
        while refused is None:
            together: list[list[int]] = []
            try:
                for seed_ids in islice(encoded, TOGETHER):
                    together.append(seed_ids)
            except VocabularyError as error:
                refused = error
            if not together:
                break
            yield from write_together(
                self.network, self.vocabulary, together, config, random_seed, self.threads, copies
            )
            random_seed += len(together)
        if refused is not None:
            raise refused

    def evaluate(self, text: str) -> "Score":
        """Score a text: how well the model predicts it, in bits per character."""
        from chargen.inference.score import score_ids  # here, so that `sample` starts without it

        ids = self.vocabulary.encode(text)
        return score_ids(self.network, self.vocabulary, ids, self.threads)

    def scorer(self) -> "Scorer":
        """For the score of each character, or of a text that comes in parts."""
        from chargen.inference.score import Scorer

        return Scorer(self.network, self.vocabulary, self.threads)

    def line_scorer(self) -> "LineScorer":
        """For the score of each line by itself, of a text that comes in parts."""
        from chargen.inference.score import LineScorer

        return LineScorer(self.network, self.vocabulary, self.threads)

    def logits(self, ids: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float32]:
        """Predictions after each character of one text, the first read from the zero state.

        Args:
            ids: (T,), each below `len(vocabulary)`; `vocabulary.encode` makes them.

        Returns:
            float32 (T, V): row t is the prediction of the character after ids[t].
        """
        array = np.asarray(ids, dtype=np.int64)
        if array.ndim != 1:
            raise ValueError(f"ids should be one text, (T,); found shape {array.shape}")
        if len(array) and not (array.min() >= 0 and array.max() < len(self.vocabulary)):
            raise ValueError(f"ids should be from 0 to {len(self.vocabulary) - 1}")
        return self.network.logits(array)
