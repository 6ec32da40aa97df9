"""What an exported file says: the names of its tensors, and its metadata.

Programs that do not use chargen read these names, so they change only together with
`FORMAT_VERSION`. Sizes: V characters, E the size of the embedding, U units, I inputs of a layer, G
gates; all tensors are float32. I is V or E in the first layer, and in the others U, or 2 U in a
bidirectional model.

    embedding.weight                      (V, E), only in a model with an embedding
    layers.N.kernel                       (I, G U), with N from 0
    layers.N.recurrent_kernel             (U, G U)
    layers.N.bias                         (G U,); (2, G U) for GRU
    layers.N.backward.kernel, ...         of the layer that reads the other way, if there is one
    output.kernel                         (U, V); (2 U, V) in a bidirectional model
    output.bias                           (V,)

The gates are blocks of U columns, in the order that `architecture.GATES` has. With x the input, h
the last output (zero at first), K, R and b the layer's tensors, and K_i the columns of gate i:

    rnn    h' = activation(x K + h R + b)
    lstm   i, f, o = sigmoid(x K + h R + b) and c = tanh(x K + h R + b), each with its columns;
           s' = f s + i c, where s is the cell's second state; h' = o tanh(s')
    gru    z, r = sigmoid(x K + b0 + h R + b1), where b0 and b1 are the rows of b;
           g = tanh(x K_h + b0_h + r (h R_h + b1_h)); h' = z h + (1 - z) g

The input of the first layer is a one-hot vector of the character's id, or its row of the embedding;
the input of the next layer is h'. The logits are h' of the last layer times `output.kernel` plus
`output.bias`. With `predict` "all" in the model's configuration, there are logits after each
character, and h and s are carried on. With "last", each prediction is made from the zero state over
the last `window` characters. A bidirectional layer hands on its two outputs for each character one
beside the other, that of the forward layer first; the output layer has those with which the two
layers ended.
"""

import json

import numpy as np
from numpy.typing import NDArray

from chargen import __version__
from chargen.checkpoint.directory import Checkpoint
from chargen.config import ModelConfig
from chargen.plain import visible

__all__ = ["FORMAT_VERSION", "metadata", "named_weights"]

FORMAT_VERSION = 1


def named_weights(checkpoint: Checkpoint) -> dict[str, NDArray[np.float32]]:
    """Read the weights of a checkpoint, by the names above.

    Raises:
        CheckpointError: `model.keras` is missing or damaged.
    """
    return dict(zip(_names(checkpoint.model), checkpoint.weights(), strict=True))


def _names(config: ModelConfig) -> list[str]:
    """Return the names in the order of `architecture.describe`."""
    names = ["embedding.weight"] if config.embedding else []
    for index in range(config.layers):
        for direction in ("", "backward.")[: 2 if config.bidirectional else 1]:
            layer = f"layers.{index}.{direction}"
            names += [layer + array for array in ("kernel", "recurrent_kernel", "bias")]
    return [*names, "output.kernel", "output.bias"]


def metadata(checkpoint: Checkpoint) -> dict[str, str]:
    """Return what a program must know to use a model, and nothing about where it was trained.

    Returns:
        `format` and `format_version`; `model`, the configuration as a JSON object; `vocabulary`,
        the characters in the order of their ids as a JSON array; `begins_after`, the character
        that is read before every text, and `never_written`, the one that is never chosen, each
        empty if there is none; `corpus_sha256`, the fingerprint of the text as in `config.json`;
        and `chargen_version`, the version that exported the model.
    """
    vocabulary = checkpoint.vocabulary
    unwritten = vocabulary.never_written
    return {
        "format": "chargen",
        "format_version": str(FORMAT_VERSION),
        "model": json.dumps(checkpoint.model.to_json()),
        "vocabulary": json.dumps(list(vocabulary), ensure_ascii=False),
        "begins_after": vocabulary.decode(vocabulary.start_of_text),
        "never_written": "" if unwritten is None else vocabulary.decode([unwritten]),
        # In a checkpoint from a stranger it may be any text, lone surrogates included.
        "corpus_sha256": visible(checkpoint.corpus.sha256),
        "chargen_version": __version__,
    }
