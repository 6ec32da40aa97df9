"""A trained model as Python code uses it: sample, stream, evaluate, logits."""

from collections.abc import Iterator, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from chargen.checkpoint.directory import Checkpoint
from chargen.config import (
    SampleConfig,
    Unknown,
    check_max_copy,
    check_random_seed,
    check_threads,
)
from chargen.errors import OptionError
from chargen.network.language_model import LanguageModel
from chargen.network.network import Network
from chargen.sampling.generate import draw_random_seed, write
from chargen.sampling.guards import CopyIndex

if TYPE_CHECKING:
    from chargen.scoring.score import LineScorer, Scorer
    from chargen.scoring.tally import Score

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
    if not fspath(path):
        raise OptionError("the path of a checkpoint must not be empty")
    return Model(Checkpoint.open(Path(path)), threads)


class Model(LanguageModel):
    """A trained character model. Make one with `chargen.load`.

    Attributes:
        checkpoint: what it was read from.
    """

    def __init__(self, checkpoint: Checkpoint, threads: int | None = None) -> None:
        network = Network(checkpoint.model, checkpoint.weights())
        super().__init__(network, checkpoint.vocabulary, threads)
        self.checkpoint = checkpoint

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
        check_random_seed(random_seed)
        ((_, pieces),) = write(self, [seed], config, random_seed, unknown, copies)
        return pieces

    def copy_index(
        self, texts: str | PathLike[str] | Sequence[str], max_copy: int, encoding: str = "utf-8"
    ) -> CopyIndex:
        """Read the texts that must not be copied, `max_copy` characters or more in a row.

        Raises:
            CorpusError: a text cannot be read.
            OptionError: `max_copy` is below 2.
        """
        from chargen.data.corpus import read_ids

        check_max_copy(max_copy)  # before the texts are read
        sources = [fspath(texts)] if isinstance(texts, str | PathLike) else texts
        return CopyIndex(read_ids(sources, self.vocabulary, encoding), max_copy)

    def evaluate(self, text: str) -> "Score":
        """Score a text: how well the model predicts it, in bits per character."""
        from chargen.scoring.score import score_ids  # here, so that `sample` starts without it

        return score_ids(self, self.vocabulary.encode(text))

    def scorer(self) -> "Scorer":
        """For the score of each character, or of a text that comes in parts."""
        from chargen.scoring.score import Scorer

        return Scorer(self)

    def line_scorer(self) -> "LineScorer":
        """For the score of each line by itself, of a text that comes in parts."""
        from chargen.scoring.score import LineScorer

        return LineScorer(self)
