"""A trained model as Python code uses it: sample, stream, evaluate, logits."""

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from chargen.checkpoint.architecture import title
from chargen.checkpoint.directory import Checkpoint
from chargen.config import (
    SAMPLE_OPTIONS,
    SampleConfig,
    SampleOptions,
    Unknown,
    check_max_copy,
    check_random_seed,
    check_threads,
    draw_random_seed,
)
from chargen.errors import CheckpointError, OptionError
from chargen.fields import takes
from chargen.network.language_model import LanguageModel
from chargen.network.network import Network
from chargen.sampling.generate import write
from chargen.sampling.guards import CopyIndex

if TYPE_CHECKING:
    from chargen.scoring.score import LineScorer, Scorer
    from chargen.scoring.surprise import Surprise
    from chargen.scoring.tally import Score

__all__ = ["Model", "load"]


def load(path: str | PathLike[str], *, threads: int | None = None) -> "Model":
    """Open a checkpoint directory for sampling and scoring; Keras is not needed.

    Args:
        path: the directory.
        threads: how many to compute with; None for as many as suit the model and the work.

    Raises:
        CheckpointError: there is none, or it is damaged or of another format.
        OptionError: `threads` is out of range.
    """
    threads = check_threads(threads)
    if not fspath(path):
        raise OptionError("the path of a checkpoint must not be empty; name its directory")
    return Model(Checkpoint.open(Path(path)), threads)


class Model(LanguageModel):
    """A trained character model. Make one with `chargen.load`.

    Several threads may use a model at once. It can be pickled: that takes the bytes of its float32
    weights and a few thousand more, for the configuration, the vocabulary and `threads`. Another
    process computes with it the same, bit for bit, and needs no file, except for `history`.
    `copy.copy` makes a model that shares the weights and has its own `threads`; `copy.deepcopy`
    makes one that shares nothing.

    Attributes:
        checkpoint: the checkpoint that it was read from.
        threads: how many threads it computes with; None for as many as suit the model and the work.
    """

    def __init__(
        self, checkpoint: Checkpoint, threads: int | None = None, network: Network | None = None
    ) -> None:
        if network is None:
            network = Network(checkpoint.model, checkpoint.weights())
        super().__init__(network, checkpoint.vocabulary, threads)
        self.checkpoint = checkpoint

    def __reduce__(self) -> tuple[Any, ...]:
        return Model, (self.checkpoint, self.threads, self.network)

    def __repr__(self) -> str:
        name, characters = title(self.checkpoint.model), len(self.vocabulary)
        return f"<Model {self.checkpoint.path}: {name}, {characters:,} characters>"

    @property
    def history(self) -> list[dict[str, Any]]:
        """The evaluations of its run, oldest first: the lines of `history.jsonl`.

        Raises:
            CheckpointError: the file is damaged or missing, as where a model was sent to another
                machine.
        """
        path = self.checkpoint.path
        if not path.exists():
            raise CheckpointError(
                f"the history of this model is a file in {path}, and that is not on this machine; "
                "copy the checkpoint there, or ask where it is"
            )
        return self.checkpoint.history()

    @takes(SAMPLE_OPTIONS)
    def sample(
        self,
        seed: str = "",
        *,
        copies: CopyIndex | None = None,
        random_seed: int | None = None,
        unknown: Unknown = "error",
        **options: Unpack[SampleOptions],
    ) -> str:
        """Write text that continues a prompt; the prompt is not part of what is returned.

        Args:
            seed: The prompt; an empty one begins a new line.
            copies: Passages that must not be copied, from `copy_index`.
            random_seed: Seed of the random number generator: the same number gives the same text,
                and None draws one.
            unknown: "error", "skip" or "replace" characters of the prompt that the model never saw.
            **options: one entry for each field of `SampleConfig`; `takes` fills them in here.

        Raises:
            VocabularyError: the prompt holds a character that the model never saw.
            OptionError: an option is out of range.
        """
        if options.get("length", 0) is None:
            raise OptionError(
                "--length must be a number here; found None, and a text without end is never "
                "returned; use `stream`"
            )
        pieces = self.stream(
            seed, copies=copies, random_seed=random_seed, unknown=unknown, **options
        )
        return "".join(pieces)

    @takes(SAMPLE_OPTIONS)
    def stream(
        self,
        seed: str = "",
        *,
        copies: CopyIndex | None = None,
        random_seed: int | None = None,
        unknown: Unknown = "error",
        **options: Unpack[SampleOptions],
    ) -> Iterator[str]:
        """Write as `sample` does, yielding pieces of text as they are written.

        With `length=None` the text never ends.
        """
        config = SampleConfig(**options)
        random_seed = draw_random_seed() if random_seed is None else check_random_seed(random_seed)
        ((_, pieces),) = write(self, [seed], config, random_seed, unknown, copies)
        return pieces

    def copy_index(
        self, texts: str | PathLike[str] | Sequence[str], max_copy: int, encoding: str = "utf-8"
    ) -> CopyIndex:
        """Read the texts that must not be copied, `max_copy` characters or more in a row.

        Their newlines are treated as those of the text that the model learned from were.

        Raises:
            CorpusError: a text cannot be read.
            OptionError: `max_copy` is below 2.
        """
        from chargen.data.corpus import read_ids
        from chargen.data.text import TextFormat

        max_copy = check_max_copy(max_copy)  # before the texts are read
        sources = [fspath(texts)] if isinstance(texts, str | PathLike) else texts
        text_format = TextFormat(encoding, self.checkpoint.newlines)
        ids = read_ids(sources, self.vocabulary, text_format)
        return CopyIndex(ids, max_copy, len(self.vocabulary))

    def evaluate(self, text: str) -> "Score":
        """Score a text: how well the model predicts it, in bits per character."""
        from chargen.scoring.score import score_ids  # here, so that `sample` starts without it

        return score_ids(self, self.vocabulary.encode(text))

    def evaluate_each(self, texts: Iterable[str]) -> list["Score"]:
        """Score several texts side by side, each by itself; this is faster than one by one.

        The figures are those of `evaluate`, except that rounding may change their last digits.

        Raises:
            OptionError: `texts` is one text, whose characters would be scored each by itself.
        """
        from chargen.scoring.score import score_each

        if isinstance(texts, str):
            raise OptionError(
                "the texts to score must be several; found one; use `evaluate`, or a list of it"
            )
        ids = [self.vocabulary.encode(text) for text in texts]
        return [scores.tally().score() for scores in score_each(self, ids)]

    def surprise(self, text: str) -> "Surprise":
        """Return the bits that each character of a text costs: float32 (N,).

        They are NaN for characters that the model does not know, and for a first one that it has
        nothing to predict from, as the vocabulary has no newline. The mean of the others is the
        `bits_per_character` of `evaluate`. A notebook shows the array, and each slice of it, as the
        text, coloured by the bits.
        """
        from chargen.scoring.surprise import Surprise

        return Surprise(text, self.scorer().score(self.vocabulary.encode(text)).bits())

    def scorer(self) -> "Scorer":
        """Return a scorer of each character, or of a text that comes in parts."""
        from chargen.scoring.score import Scorer

        return Scorer(self)

    def line_scorer(self) -> "LineScorer":
        """Return a scorer of each line by itself, of a text that comes in parts."""
        from chargen.scoring.score import LineScorer

        return LineScorer(self)
