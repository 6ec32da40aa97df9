"""ModelConfig -> the layers and arrays of the Keras model it stands for, without Keras.

This is the one description of where each weight is in a `.keras` file and what shape it has. The
checked reader asks for exactly these arrays, the NumPy network is built from them, `info` prints
them, and a test compares them with the model that the factory builds.
"""

import math
from collections import Counter
from dataclasses import dataclass

from chargen.config import ModelConfig

__all__ = ["GATES", "Array", "LayerDescription", "describe", "parameter_count", "title"]

GATES = {"rnn": ("h",), "gru": ("z", "r", "h"), "lstm": ("i", "f", "c", "o")}
"""The gates of each cell, by the letters that ONNX uses too: each has a block of `units` columns in
the cell's kernels, in this order."""

_CLASS_NAMES = {"rnn": "SimpleRNN", "gru": "GRU", "lstm": "LSTM"}
_GROUP_NAMES = {"rnn": "simple_rnn", "gru": "gru", "lstm": "lstm"}


@dataclass(frozen=True)
class Array:
    """One float32 array of weights: its dataset in `model.weights.h5` and its shape."""

    path: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """The size of its values."""
        return 4 * math.prod(self.shape)


@dataclass(frozen=True)
class LayerDescription:
    """One layer as Keras' summary shows it; `arrays` are in the order of `layer.get_weights()`."""

    class_name: str
    output_shape: tuple[int | None, ...]
    arrays: tuple[Array, ...] = ()

    @property
    def parameters(self) -> int:
        """The number of weights in the layer."""
        return sum(math.prod(array.shape) for array in self.arrays)


def describe(config: ModelConfig) -> tuple[LayerDescription, ...]:
    """Return the layers, first to last; None in an output shape is the batch size or the time."""
    layers = _input_layers(config)
    width = config.embedding or config.vocabulary_size
    seen: Counter[str] = Counter()
    for index in range(config.layers):
        sequences = config.predict == "all" or index < config.layers - 1
        arrays = _recurrent_arrays(config, width, seen)
        width = config.units * (2 if config.bidirectional else 1)
        shape: tuple[int | None, ...] = (None, None, width) if sequences else (None, width)
        name = "Bidirectional" if config.bidirectional else _CLASS_NAMES[config.cell]
        layers.append(LayerDescription(name, shape, arrays))
        if config.dropout:
            layers.append(LayerDescription("Dropout", shape))
    vocabulary_size = config.vocabulary_size
    dense = (
        Array("layers/dense/vars/0", (width, vocabulary_size)),
        Array("layers/dense/vars/1", (vocabulary_size,)),
    )
    shape = (*layers[-1].output_shape[:-1], vocabulary_size)
    layers.append(LayerDescription("Dense", shape, dense))
    return tuple(layers)


def parameter_count(config: ModelConfig) -> int:
    """Return the number of weights in the whole model."""
    return sum(layer.parameters for layer in describe(config))


def title(config: ModelConfig) -> str:
    """Describe a model in a few words, such as "LSTM 1x256, one-hot"."""
    words = [f"{_CLASS_NAMES[config.cell]} {config.layers}x{config.units}"]
    if config.cell == "rnn":
        words.append(config.activation)
    if config.bidirectional:
        words.append("bidirectional")
    words.append(f"embedding {config.embedding}" if config.embedding else "one-hot")
    if config.predict == "last":
        words.append(f"predicts the last of {config.window}")
    return ", ".join(words)


def _input_layers(config: ModelConfig) -> list[LayerDescription]:
    if config.embedding:
        table = Array("layers/embedding/vars/0", (config.vocabulary_size, config.embedding))
        return [LayerDescription("Embedding", (None, None, config.embedding), (table,))]
    return [
        LayerDescription("Reshape", (None, None, 1)),
        LayerDescription("CategoryEncoding", (None, None, config.vocabulary_size)),
    ]


def _recurrent_arrays(config: ModelConfig, width: int, seen: Counter[str]) -> tuple[Array, ...]:
    # Keras numbers the groups of each class in the order of the model, whatever the layer names.
    group = "bidirectional" if config.bidirectional else _GROUP_NAMES[config.cell]
    suffix = f"_{seen[group]}" if seen[group] else ""
    seen[group] += 1
    halves = ("/forward_layer", "/backward_layer") if config.bidirectional else ("",)
    columns = len(GATES[config.cell]) * config.units
    bias = (2, columns) if config.cell == "gru" else (columns,)
    return tuple(
        Array(f"layers/{group}{suffix}{half}/cell/vars/{index}", shape)
        for half in halves
        for index, shape in enumerate([(width, columns), (config.units, columns), bias])
    )
