"""The weights that a run begins with: Keras draws them, and counts of the text change some."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from chargen.checkpoint.directory import Checkpoint
from chargen.checkpoint.sources import locate
from chargen.config import DRAWN, ModelConfig
from chargen.data.statistics import character_vectors, log_frequencies, perplexity
from chargen.data.vocabulary import Ids
from chargen.errors import TrainingError
from chargen.network.threads import computing
from chargen.training import runtime
from chargen.training.defaults import MANY_KINDS
from chargen.training.support import check_libraries

__all__ = ["Counts", "draw_weights", "initial_weights", "with_counts"]

Floats = NDArray[np.float32]

SPREAD = 0.87
"""The standard deviation of what a character adds to the input of a unit, in a network that begins
anew. Keras draws the weights for inputs that come all at once, while a character is a single one,
so that this would be 0.04 at 65 characters, and hundreds of steps pass before it makes a difference
which character was read. Twice as much does as well; half and four times as much do not
(benchmarks/STUDY.md)."""
SPREAD_ABOVE = 10_000
"""The length of a text above which it is spread so far. Shorter ones, which are read dozens of
times, came out worse for it, and so did texts of many kinds of characters."""


@dataclass(frozen=True)
class Counts:
    """What a text that is counted says of the weights to learn it from.

    Attributes:
        output_bias: float32 (V,), the logarithms of the characters' frequencies, so that the first
            guess is as good as they are.
        embeddings: float32 (V, D), with which an embedding starts; None if there is none. If D is
            less than the embedding's size, the rest of it is drawn.
        spread: the standard deviation of what a character adds to the input of a unit of the first
            recurrent layer; None leaves its weights as they are drawn.
    """

    output_bias: Floats
    embeddings: Floats | None
    spread: float | None

    @classmethod
    def of(cls, ids: Ids, frequencies: Floats, config: ModelConfig) -> Self:
        """Count what stands beside what in a text.

        Args:
            ids: (N,), the text to learn from.
            frequencies: float32 (V,), from `log_frequencies`; counting them reads all of the text.
            config: the architecture.
        """
        embeddings = None
        if config.embedding:
            with computing():  # with one thread, so that each number of threads finds the same
                embeddings = character_vectors(ids, config.vocabulary_size, config.embedding)
        spreads = len(ids) > SPREAD_ABOVE and perplexity(frequencies) <= MANY_KINDS
        return cls(frequencies, embeddings, SPREAD if spreads else None)


def with_counts(
    weights: Sequence[Floats], config: ModelConfig, counts: Counts | None
) -> list[Floats]:
    """Return drawn weights in which the counts of a text replace or scale what they can.

    Args:
        weights: in the order of `chargen.checkpoint.architecture.describe`.
        config: the architecture.
        counts: those of the text; None leaves the weights as they are.
    """
    started = list(weights)
    if counts is None:
        return started
    started[-1] = counts.output_bias
    if counts.embeddings is not None:
        drawn = weights[0][:, counts.embeddings.shape[1] :]
        started[0] = np.concatenate([counts.embeddings, drawn], axis=1)
    if counts.spread is not None:
        first, length = 0, 1.0  # the length of a one-hot vector
        if config.embedding:
            first, length = 1, np.sqrt(np.square(started[0]).sum(1).mean())
        # The arrays of a direction are an input kernel, a recurrent kernel and a bias.
        for index in (first, first + 3) if config.bidirectional else (first,):
            kernel = weights[index]
            started[index] = kernel * np.float32(counts.spread / (length * kernel.std()))
    return started


def draw_weights(
    config: ModelConfig, random_seed: int, counts: Counts | None = None
) -> list[Floats]:
    """Return the weights of a network that has learned nothing, as a run of `train` begins.

    Args:
        config: the architecture.
        random_seed: that of the run.
        counts: as for `with_counts`.

    Raises:
        TrainingError: Keras, which draws them, is not installed.
    """
    check_libraries(("tensorflow", "keras"), "drawing initial weights")
    runtime.start()
    from chargen.models.factory import build_model

    drawn = build_model(config, random_seed=random_seed).get_weights()
    return with_counts(drawn, config, counts)


def initial_weights(checkpoint: Checkpoint, train_ids: Ids | None) -> list[Floats]:
    """Return the weights that a checkpoint's run began with.

    They are drawn again from the random seed of the run, so they are the same only if Keras is.

    Args:
        checkpoint: the run's.
        train_ids: (N,), the text that it learned from; None if that is gone.

    Raises:
        TrainingError: they cannot be known, or Keras, which draws them, is not installed.
    """
    config, training = checkpoint.model, checkpoint.training
    if training.preset is not None:  # a recipe to the letter, which has nothing to count
        return draw_weights(config, training.random_seed)
    if training.init_from is None:
        raise TrainingError(
            f"the chargen that trained {checkpoint.path} did not record whether the run drew its "
            "weights or began with those of another checkpoint; train again to see them"
        )
    if training.init_from != DRAWN:
        raise TrainingError(
            f"the run in {checkpoint.path} began with the weights of another checkpoint, "
            f"{locate(checkpoint.path, training.init_from)}; name that one to see them"
        )
    if train_ids is None:
        raise TrainingError(
            f"the run in {checkpoint.path} began with the frequencies of the characters of its "
            "text, which is gone; put the text back to see its initial weights"
        )
    frequencies = log_frequencies(train_ids, config.vocabulary_size)
    return draw_weights(config, training.random_seed, Counts.of(train_ids, frequencies, config))
