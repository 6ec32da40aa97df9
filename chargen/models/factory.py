"""The model factory: SimpleRNN, LSTM and GRU `Sequential` models from a `ModelConfig`.

    ids -> one-hot or Embedding -> [recurrent -> Dropout] x layers -> Dense: logits

The last layer gives logits; the softmax is part of the loss, where it is computed together with
the logarithm and so without loss of precision.
"""

from collections.abc import Iterator

import keras
import numpy as np

from chargen.config import ModelConfig

__all__ = ["build_model"]

_LAYERS: dict[str, type[keras.layers.RNN]] = {
    "rnn": keras.layers.SimpleRNN,
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
}


def build_model(
    config: ModelConfig, *, batch_size: int | None = None, random_seed: int = 0
) -> keras.Sequential:
    """Build the model that a configuration describes.

    Args:
        config: the architecture.
        batch_size: B for training: with `predict="all"` the recurrent layers are then stateful,
            row b of a batch going on where row b of the one before ended. None gives the
            model as it is saved: any batch, any length, no state kept.
        random_seed: of the initial weights and the dropout.

    Returns:
        Maps int32 ids (B, T) to float32 logits: (B, T, V) with `predict="all"`, else (B, V).
    """
    carried = batch_size is not None and config.predict == "all"
    # A stateful layer needs to know B and the compiler likes to know T; `last` batches vary.
    shape = (batch_size, config.window) if carried else (None, None)
    seeds = _seeds(random_seed)
    model = keras.Sequential([keras.Input(batch_shape=shape, dtype="int32")])
    if config.embedding:
        initializer = keras.initializers.RandomUniform(seed=next(seeds))
        model.add(
            keras.layers.Embedding(
                config.vocabulary_size, config.embedding, embeddings_initializer=initializer
            )
        )
    else:
        # CategoryEncoding drops a last axis of length 1, so that windows of one character would
        # lose their time axis; an axis of our own to drop keeps it.
        model.add(keras.layers.Reshape((-1, 1)))
        encoding = keras.layers.CategoryEncoding(
            num_tokens=config.vocabulary_size, output_mode="one_hot"
        )
        model.add(encoding)
    for index in range(config.layers):
        sequences = config.predict == "all" or index < config.layers - 1
        layer = _recurrent(config, seeds, return_sequences=sequences, stateful=carried)
        if config.bidirectional:
            backward = _recurrent(config, seeds, return_sequences=sequences, go_backwards=True)
            layer = keras.layers.Bidirectional(layer, backward_layer=backward)
        model.add(layer)
        if config.dropout:
            model.add(keras.layers.Dropout(config.dropout, seed=next(seeds)))
    model.add(
        keras.layers.Dense(
            config.vocabulary_size,
            kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
        )
    )
    return model


def _recurrent(config: ModelConfig, seeds: Iterator[int], **options: bool) -> keras.layers.RNN:
    activation = {"activation": config.activation} if config.cell == "rnn" else {}
    # Keras' defaults otherwise, with a seed: Glorot inputs, orthogonal recurrence, forget bias 1.
    return _LAYERS[config.cell](
        config.units,
        kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
        recurrent_initializer=keras.initializers.Orthogonal(seed=next(seeds)),
        seed=next(seeds),
        **activation,
        **options,
    )


def _seeds(random_seed: int) -> Iterator[int]:
    rng = np.random.default_rng(random_seed)
    while True:
        yield int(rng.integers(1 << 31))
