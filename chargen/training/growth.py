"""New characters for a trained network: more rows and columns, beside the old ones as they were.

Only the arrays that characters index grow: the embedding, or else the kernels that read one-hot
vectors, by a row for each new character; and the output layer by a column and a number of its bias.
So what the network predicts of the characters that it knew stays in proportion until it has read a
new one.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from chargen.config import ModelConfig
from chargen.data.statistics import log_frequencies
from chargen.data.vocabulary import Ids, Vocabulary
from chargen.network.network import Network, check_finite
from chargen.network.reading import predictions

__all__ = ["grow_weights"]

Floats = NDArray[np.float32]

READ = 2_048
"""How many characters of the text are read to see how likely new characters are to begin with: they
give the mean to a few hundredths of a nat, in a tenth of a second."""


def grow_weights(
    weights: Sequence[Floats],
    config: ModelConfig,
    old: Vocabulary,
    new: Vocabulary,
    train_ids: Ids,
) -> list[Floats]:
    """Return the weights of a network that knows more characters.

    The network reads a new character as it reads its relatives, and expects it where it expects
    them. How likely it is follows from how often it occurs in the text.

    Args:
        weights: those of the trained network, in the order of
            `chargen.checkpoint.architecture.describe`.
        config: the architecture of the trained network.
        old: the characters that it knows.
        new: those that it is to know, the old ones among them.
        train_ids: (N,), the text to learn from, as ids of `new`.

    Returns:
        Float32 arrays in the same order. Rows and columns of old characters are bit for bit what
        they were, at the places that `new` gives them.

    Raises:
        NumericalError: what the trained network predicts is not a finite number.
    """
    kept = new.encode("".join(old))
    added = np.setdiff1d(np.arange(len(new)), kept)
    relatives = [_relatives(new.characters[index], old) for index in added]
    grown = list(weights)
    for index in _read_by_characters(config):
        grown[index] = _grow(weights[index], kept, added, relatives)
    kernel, bias = weights[-2:]
    grown[-2] = np.ascontiguousarray(_grow(kernel.T, kept, added, relatives).T)
    grown[-1] = _grow(bias, kept, added, relatives)
    grown_config = replace(config, vocabulary_size=len(new))
    grown[-1][added] += _shortfall(Network(grown_config, grown), train_ids, kept, added)
    return grown


def _relatives(character: str, old: Vocabulary) -> Sequence[int]:
    """Return the ids of the old characters that a new one starts like.

    An accented or otherwise derived character starts like the one that Unicode derives it from, if
    that is known: é like e, and a space that does not break like a space. All others start like the
    mean of all. To start from the mean of the letters, of drawn numbers or of nothing made no
    difference beyond that of another random seed.
    """
    base = old.id_of(unicodedata.normalize("NFKD", character)[0])
    return range(len(old)) if base is None else [base]


def _read_by_characters(config: ModelConfig) -> list[int]:
    """Return the places of the arrays that have a row for each character that is read."""
    if config.embedding:
        return [0]
    # A layer has three arrays in each direction: kernel, recurrent kernel, bias.
    return [0, 3] if config.bidirectional else [0]


def _grow(rows: Floats, kept: Ids, added: Ids, relatives: Sequence[Sequence[int]]) -> Floats:
    """Return rows (V, ...) for old characters, and the means of their relatives for new ones."""
    grown = np.empty((len(kept) + len(added), *rows.shape[1:]), np.float32)
    grown[kept] = rows
    for index, like in zip(added, relatives, strict=True):
        grown[index] = rows[list(like)].mean(axis=0, dtype=np.float64)
    return grown


def _shortfall(network: Network, train_ids: Ids, kept: Ids, added: Ids) -> Floats:
    """Return what to add to the biases of new characters, so that they are as likely as frequent.

    The mean over the beginning of the text is meant, and beside the old characters: what a new one
    is given there makes the old ones less likely, all in proportion.

    Args:
        network: the grown one.
        train_ids: (N,), the text to learn from.
        kept: the ids of the old characters.
        added: the ids of the new ones.
    """
    frequencies = log_frequencies(train_ids, len(kept) + len(added)).astype(np.float64)
    logits = predictions(network, train_ids[:READ]).astype(np.float64)
    check_finite(logits)
    odds = logits[:, added] - _log_sum(logits[:, kept])[:, None]
    expected = _log_sum(odds.T) - np.log(len(odds))
    found = frequencies[added] - _log_sum(frequencies[None, kept])
    shortfall: Floats = (found - expected).astype(np.float32)
    return shortfall


def _log_sum(logarithms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of the sum of each row, of (n, V)."""
    largest = logarithms.max(axis=1)
    sums: NDArray[np.float64] = largest + np.log(np.exp(logarithms - largest[:, None]).sum(axis=1))
    return sums
