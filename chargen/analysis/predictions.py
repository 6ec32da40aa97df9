"""What a network expects at each character of a text, beside what comes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chargen.network.cells import Floats
from chargen.network.language_model import LanguageModel
from chargen.network.network import check_finite
from chargen.network.reading import prediction_blocks
from chargen.network.threads import computing

__all__ = ["Expected", "expected"]


@dataclass(frozen=True)
class Expected:
    """The predictions of a text's T characters, each from those before it.

    Attributes:
        bits: float32 (T,), what each character costs; NaN for those that the model does not know,
            and for a first one that it has nothing to predict from. As in `Model.surprise`.
        likeliest: (T, n), the ids of the characters that were most likely there, the most likely
            first; -1 for a first one that there is nothing to predict from.
        probabilities: float32 (T, n), of these characters.
    """

    bits: Floats
    likeliest: NDArray[np.intp]
    probabilities: Floats


def expected(model: LanguageModel, text: str, count: int) -> Expected:
    """Read a text as it is scored: as if after a newline, if the model knows newlines.

    Args:
        model: the model.
        text: T characters.
        count: how many likely characters to return for each; n is this or V, if that is less.

    Raises:
        NumericalError: the network's outputs are not finite.
    """
    vocabulary = model.vocabulary
    ids = vocabulary.encode(text)
    unknown = np.asarray(ids == vocabulary.unknown)
    read = ids < len(vocabulary)
    start = np.array(vocabulary.start_of_text, np.intp)
    inputs = np.concatenate([start, ids[read].astype(np.intp)])
    # How many characters were read before each one: its prediction is the row after the last.
    rows = len(start) + np.cumsum(read) - read - 1
    count = min(count, len(vocabulary))
    bits = np.full(len(ids), np.nan, np.float32)
    likeliest = np.full((len(ids), count), -1, np.intp)
    probabilities = np.zeros((len(ids), count), np.float32)
    first = 0  # the first row of the block
    blocks = prediction_blocks(model.network, inputs)
    with computing():
        for logits in blocks:
            places = np.flatnonzero((rows >= first) & (rows < first + len(logits)))
            of_place = _probabilities(logits)[rows[places] - first]
            best = np.argpartition(-of_place, count - 1, axis=1)[:, :count]
            shares = np.take_along_axis(of_place, best, axis=1)
            order = np.argsort(-shares, axis=1, kind="stable")
            likeliest[places] = np.take_along_axis(best, order, axis=1)
            probabilities[places] = np.take_along_axis(shares, order, axis=1)
            scored = ~unknown[places]
            targets = ids[places[scored]].astype(np.intp)
            bits[places[scored]] = -np.log2(of_place[np.flatnonzero(scored), targets])
            first += len(logits)
    return Expected(bits, likeliest, probabilities)


def _probabilities(logits: Floats) -> NDArray[np.float64]:
    """Return the probabilities (n, V), in float64, so that the smallest are not 0."""
    check_finite(logits)
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=1, keepdims=True)
    return shifted
