"""The weights that a run begins with: Keras draws them, and counts of the text change some."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from chargen.checkpoint.directory import Checkpoint
from chargen.checkpoint.sources import locate
from chargen.config import DRAWN, ModelConfig
from chargen.data.statistics import character_vectors, log_frequencies
from chargen.data.vocabulary import Ids
from chargen.errors import TrainingError
from chargen.network.threads import computing
from chargen.training import runtime
from chargen.training.support import check_libraries

__all__ = ["Counts", "draw_weights", "initial_weights", "with_counts"]

Floats = NDArray[np.float32]

SPREAD = 1.5
"""The largest weight of a one-hot character in a network that begins anew. Keras draws these for
inputs that come all at once, so that with one input none is above 0.1, and hundreds of steps pass
before a character makes a difference. From 0.75 to 3 the loss after one epoch was the lowest."""
SPREAD_ABOVE = 10_000
"""The length of a text above which they are spread so far. Shorter ones, which are read dozens of
times, came out worse for it."""


@dataclass(frozen=True)
class Counts:
    """What a text that is counted says of the weights to learn it from.

    Attributes:
        output_bias: float32 (V,), the logarithms of the characters' frequencies, so that the first
            guess is as good as they are.
        embeddings: float32 (V, D), with which an embedding starts; None if there is none. If D is
            less than the embedding's size, the rest of it is drawn.
        spread: the largest weight that the recurrent layer has for a character, if that is
            one-hot; None leaves them as they are drawn.
    """

    output_bias: Floats
    embeddings: Floats | None
    spread: float | None

    @classmethod
    def of(cls, ids: Ids, config: ModelConfig) -> Self:
        """Count a text.

        Args:
            ids: (N,), the text to learn from.
            config: the architecture.
        """
        output_bias, embeddings = log_frequencies(ids, config.vocabulary_size), None
        if config.embedding:
            with computing():  # with one thread, so that each number of threads finds the same
                embeddings = character_vectors(ids, config.vocabulary_size, config.embedding)
        spreads = not config.embedding and len(ids) > SPREAD_ABOVE
        return cls(output_bias, embeddings, SPREAD if spreads else None)


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
        # The arrays of a direction are an input kernel, a recurrent kernel and a bias.
        for index in (0, 3) if config.bidirectional else (0,):
            kernel = weights[index]
            started[index] = kernel * np.float32(counts.spread / np.abs(kernel).max())
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
    return draw_weights(config, training.random_seed, Counts.of(train_ids, config))
