"""The model factory: SimpleRNN, LSTM and GRU `Sequential` models from a `ModelConfig`.

    ids -> one-hot or Embedding -> [recurrent -> Dropout] x layers -> Dense: logits

The last layer returns logits. The softmax is part of the loss, which computes it together with the
logarithm and so without loss of precision.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from chargen.config import ModelConfig, TrainConfig
from chargen.models.dropout import Dropout
from chargen.models.learner import Learner, make_optimizer
from chargen.models.recurrent import FusedGRU, FusedLSTM, FusedSimpleRNN, gpus, on_gpu
from chargen.models.workers import Workers

__all__ = ["build_learner", "build_model"]

EMBEDDING_RANGE = (-0.5, 0.5)
"""What an embedding's numbers are drawn from. Keras' own range is a tenth of it, so that a network
hardly felt its inputs at first: text in Chinese was learned later and less well."""

_STOCK: dict[str, type[keras.layers.Layer]] = {
    "rnn": keras.layers.SimpleRNN,
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
    "dropout": keras.layers.Dropout,
}
_FUSED: dict[str, type[keras.layers.Layer]] = {
    "rnn": FusedSimpleRNN,
    "lstm": FusedLSTM,
    "gru": FusedGRU,
    "dropout": Dropout,
}


def build_model(config: ModelConfig, *, random_seed: int = 0) -> keras.Sequential:
    """Build the model that a configuration describes from Keras' own layers, as it is saved.

    Args:
        config: the architecture.
        random_seed: determines the initial weights.

    Returns:
        A model that maps int32 ids (B, T), for any B and T, to float32 logits: (B, T, V) with
        `predict="all"`, otherwise (B, V). It keeps no state.
    """
    layers = _layers(config, _STOCK, (None, None), random_seed, {})
    return keras.Sequential(layers, name="chargen")


def build_learner(
    config: ModelConfig, training: TrainConfig, workers: Workers | None = None
) -> Learner:
    """Build the same model, with the same initial weights, from layers that train faster.

    With `predict="all"`, row b of a batch continues where row b of the previous batch ended.

    Args:
        config: the architecture.
        training: how to train it; with `predict="all"`, the batch size must be a multiple of the
            number of shards.
        workers: the processes that train it together; None if this one does so alone.

    Returns:
        A learner for batches of int32 ids (B, T), where T is the window. B is the batch size with
        `predict="all"`, otherwise it may vary.

    Raises:
        ValueError: the precision is still "auto".
    """
    if training.precision == "auto":
        raise ValueError("the precision must be settled before a model is built for it")
    carried = config.predict == "all"
    # A stateful layer must know how many rows it has; with `predict="last"` the number varies.
    shape = (training.batch_size // training.shards if carried else None, config.window)
    recurrent = {
        "precision": training.precision,
        "stateful": carried,
        "weight_drop": training.weight_drop,
    }
    layers = _layers(config, _FUSED, shape, training.random_seed, recurrent)
    return Learner(
        layers,
        make_optimizer(training),
        precision=training.precision,
        shards=training.shards,
        compiled=not on_gpu(),
        ema=training.average,
        devices=gpus(),
        workers=workers,
    )


def _layers(
    config: ModelConfig,
    kinds: Mapping[str, type[keras.layers.Layer]],
    shape: tuple[int | None, int | None],
    random_seed: int,
    recurrent_options: Mapping[str, Any],
) -> list[Any]:
    """Return the input and the layers, whose initial weights follow from the random seed.

    Every layer is named here, because Keras would otherwise number its names across all models that
    the process has built.
    """
    seeds = _seeds(random_seed)
    layers: list[Any] = [keras.Input(batch_shape=shape, dtype="int32", name="characters")]
    if config.embedding:
        initializer = keras.initializers.RandomUniform(*EMBEDDING_RANGE, seed=next(seeds))
        layers.append(
            keras.layers.Embedding(
                config.vocabulary_size,
                config.embedding,
                embeddings_initializer=initializer,
                name="embedding",
            )
        )
    else:
        # CategoryEncoding drops a last axis of length 1, so windows of one character would lose
        # their time axis. They keep it if there is another axis to drop.
        layers.append(keras.layers.Reshape((-1, 1), name="one_place"))
        layers.append(
            keras.layers.CategoryEncoding(
                num_tokens=config.vocabulary_size, output_mode="one_hot", name="one_hot"
            )
        )
    for index in range(config.layers):
        sequences = config.predict == "all" or index < config.layers - 1
        options: dict[str, Any] = {"return_sequences": sequences}
        options |= recurrent_options
        if kinds is _FUSED and not (index or config.embedding):
            options["one_hot"] = True
        name = f"{config.cell}_{index}"
        layer = _recurrent(config, kinds, seeds, name=name, **options)
        if config.bidirectional:
            options |= {"go_backwards": True, "name": f"{name}_backward"}
            backward = _recurrent(config, kinds, seeds, **options)
            name = f"bidirectional_{index}"
            layer = keras.layers.Bidirectional(layer, backward_layer=backward, name=name)
        layers.append(layer)
        if config.dropout:
            name = f"dropout_{index}"
            layers.append(kinds["dropout"](config.dropout, seed=next(seeds), name=name))
    initializer = keras.initializers.GlorotUniform(seed=next(seeds))
    layers.append(
        keras.layers.Dense(config.vocabulary_size, kernel_initializer=initializer, name="logits")
    )
    return layers


def _recurrent(
    config: ModelConfig,
    kinds: Mapping[str, type[keras.layers.Layer]],
    seeds: Iterator[int],
    **options: Any,
) -> keras.layers.Layer:
    activation = {"activation": config.activation} if config.cell == "rnn" else {}
    # These are Keras' defaults, with seeds; another default is that the forget gate's bias is 1.
    return kinds[config.cell](
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
