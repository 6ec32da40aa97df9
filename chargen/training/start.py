"""The weights that a run begins with: Keras draws them, and counts of the text replace some."""

from collections.abc import Sequence

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

__all__ = ["count_embeddings", "draw_weights", "initial_weights", "with_counts"]

Floats = NDArray[np.float32]


def count_embeddings(ids: Ids, config: ModelConfig) -> Floats | None:
    """Return the vectors that an embedding starts with, float32 (V, D), or None if there is none.

    Args:
        ids: (N,), the text to learn from.
        config: the architecture.
    """
    if not config.embedding:
        return None
    with computing():  # with one thread, so that each number of threads finds the same
        return character_vectors(ids, config.vocabulary_size, config.embedding)


def with_counts(
    weights: Sequence[Floats], output_bias: Floats | None, embeddings: Floats | None
) -> list[Floats]:
    """Return drawn weights in which the counts of a text replace what they can.

    Args:
        weights: in the order of `chargen.checkpoint.architecture.describe`.
        output_bias: float32 (V,), the bias of the output layer; None leaves it as it is.
        embeddings: float32 (V, D), the first D columns of the embedding, which is the first layer;
            None leaves it as it is.
    """
    table, *others, bias = weights
    if embeddings is not None:
        table = np.concatenate([embeddings, table[:, embeddings.shape[1] :]], axis=1)
    return [table, *others, bias if output_bias is None else output_bias]


def draw_weights(
    config: ModelConfig,
    random_seed: int,
    output_bias: Floats | None = None,
    embeddings: Floats | None = None,
) -> list[Floats]:
    """Return the weights of a network that has learned nothing, as a run of `train` begins.

    Args:
        config: the architecture.
        random_seed: that of the run.
        output_bias: as for `with_counts`.
        embeddings: as for `with_counts`.

    Raises:
        TrainingError: Keras, which draws them, is not installed.
    """
    check_libraries(("tensorflow", "keras"), "drawing initial weights")
    runtime.start()
    from chargen.models.factory import build_model

    drawn = build_model(config, random_seed=random_seed).get_weights()
    return with_counts(drawn, output_bias, embeddings)


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
    return draw_weights(
        config,
        training.random_seed,
        log_frequencies(train_ids, config.vocabulary_size),
        count_embeddings(train_ids, config),
    )
