"""Logits -> the next character's id.

A character is drawn by adding a random number to each logit and taking the highest sum (the
Gumbel-max trick): with g = -log(E), where E is exponentially distributed, the highest of
logits + temperature g is at a character with the probability that softmax(logits / temperature)
gives it. No normalised probabilities are needed, and the random numbers can be drawn many
characters ahead.

Source: Gumbel 1954; Maddison, Tarlow, Minka 2014.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chargen.config import SampleConfig
from chargen.network.cells import Floats
from chargen.network.network import check_finite

__all__ = ["Decoder", "Noise", "restrict"]

HIGHEST_TEMPERATURE = 1e30
"""A higher temperature would make no difference, and would overflow a float32."""
FIRST_SORTED = 128
"""How many of the most likely characters top-p sorts at first: those of a small vocabulary all."""
SMALLEST = float(np.finfo(np.float32).tiny)


class Noise:
    """A text's random numbers: for each character to be drawn, V numbers, one per candidate.

    They come from the text's own generator, in order, so that the k-th character of a text is drawn
    with the same numbers whatever is written beside it.

    Args:
        random_seed: 0 or more.
        size: V, the number of characters in the vocabulary.
        temperature: at 0 there is no noise, and no random numbers are drawn.
    """

    def __init__(self, random_seed: int, size: int, temperature: float) -> None:
        self._rng = np.random.default_rng(random_seed)
        self._size = size
        self._scale = min(temperature, HIGHEST_TEMPERATURE)

    def take(self, count: int) -> Floats:
        """Draw the noise of the next `count` characters, float32 (count, V)."""
        if not self._scale:
            return np.zeros((count, self._size), np.float32)
        # Drawn in float64, whose resolution lets even rare characters come as often as they should.
        # A zero, which occurs once in 2**53 times, would make a character certain.
        noise = self._rng.standard_exponential((count, self._size)).astype(np.float32)
        np.maximum(noise, SMALLEST, out=noise)
        np.log(noise, out=noise)
        np.multiply(noise, -self._scale, out=noise)
        return noise


class Decoder:
    """Chooses characters.

    Args:
        config: how characters are drawn.
        banned: an id that is never chosen, or None.
    """

    def __init__(self, config: SampleConfig, banned: int | None = None) -> None:
        self._config = config
        self._banned = banned
        options = (config.top_k, config.top_p, config.min_p)
        self._restricts = config.temperature > 0 and any(n is not None for n in options)

    def choose(self, logits: Floats, noise: Floats, banned: Sequence[int] = ()) -> int:
        """Choose the next id of one text.

        Args:
            logits: (1, V), overwritten.
            noise: (1, V), from `Noise`.
            banned: ids that must not be chosen now.

        Raises:
            NumericalError: the logits are not finite numbers.
        """
        if self._banned is not None:
            logits[:, self._banned] = -np.inf
        if banned:
            logits[:, banned] = -np.inf
        if self._restricts:
            restrict(logits, self._config)
        scores = np.add(logits, noise, logits)
        index = int(scores.argmax())
        if not math.isfinite(scores.item(index)):  # `argmax` returns a NaN if there is one
            check_finite(scores)
        return index

    def choose_each(
        self, logits: Floats, noise: Floats, banned: Sequence[Sequence[int]] = ()
    ) -> NDArray[np.intp]:
        """Choose the next id of each of several texts, as `choose` does for one.

        Args:
            logits: (B, V), overwritten.
            noise: (B, V), from each text's own `Noise`.
            banned: for each text the ids that must not be chosen now; empty to ban nothing.

        Returns:
            The ids (B,).

        Raises:
            NumericalError: the logits are not finite numbers.
        """
        if self._banned is not None:
            logits[:, self._banned] = -np.inf
        for row, indices in enumerate(banned):
            if indices:
                logits[row, indices] = -np.inf
        if self._restricts:
            restrict(logits, self._config)
        scores = np.add(logits, noise, logits)
        ids: NDArray[np.intp] = scores.argmax(axis=1)
        check_finite(scores[np.arange(len(scores)), ids])  # `argmax` returns a NaN if any
        return ids


def restrict(logits: Floats, config: SampleConfig) -> None:
    """Set the logits of characters that top-k, top-p or min-p exclude to -inf.

    The three are applied in that order to the probabilities softmax(logits / temperature), each to
    the characters that the one before left. Of equal logits, the lower id counts as more likely.

    Args:
        logits: (B, V), changed in place.
        config: how characters are drawn; its temperature is above 0.

    Sources:
        Top-k: Fan, Lewis, Dauphin 2018. Top-p: Holtzman et al. 2020. Min-p: Nguyen et al. 2024.
    """
    highest = logits.max(axis=1, keepdims=True)
    check_finite(highest)
    size = logits.shape[1]
    top_k = config.top_k if config.top_k is not None and config.top_k < size else None
    top_p = config.top_p if config.top_p is not None and config.top_p < 1 else None
    kept: NDArray[np.bool_] | None = None
    if top_k is not None or top_p is not None:
        ranks = _ranks(logits)
    if top_k is not None:
        kept = ranks >= np.partition(ranks, size - top_k, axis=1)[:, size - top_k, None]
    if top_p is not None or config.min_p is not None:
        # Subtracted before dividing: a temperature near 0 then gives -inf and never NaN.
        scaled = (logits - highest).astype(np.float64)
        with np.errstate(over="ignore"):
            scaled /= config.temperature
        p: NDArray[np.float64] = np.exp(scaled)
        if kept is not None:
            p *= kept
        if top_p is not None:
            p *= _reaching(top_p, p, ranks)
        kept = p >= config.min_p if config.min_p else p > 0
    if kept is not None:
        logits[~kept] = -np.inf


def _ranks(logits: Floats) -> NDArray[np.int64]:
    """Return a number for each logit (B, V), greater for the more likely, all different in a row.

    The upper half is the logit, whose bits as an integer are ordered as the numbers are, if all but
    the sign are inverted in negative ones. The lower half puts the lower of two equals first.
    """
    bits = (logits + np.float32(0)).view(np.int32)  # + 0 makes -0 the same as 0
    ordered = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    return (ordered << 32) - np.arange(logits.shape[1])


def _reaching(share: float, p: NDArray[np.float64], ranks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which are the fewest characters (B, V) that reach a share of the probability.

    A few characters usually have most of it, so only as many as that takes are sorted.

    Args:
        share: above 0 and below 1.
        p: (B, V), not normalised.
        ranks: (B, V).
    """
    wanted = share * p.sum(axis=1, keepdims=True)
    size, count = p.shape[1], FIRST_SORTED
    while True:
        count = min(count, size)
        if count == size:
            likeliest = ranks.argsort(axis=1)[:, ::-1]
        else:
            chosen = np.argpartition(ranks, size - count, axis=1)[:, size - count :]
            order = np.take_along_axis(ranks, chosen, axis=1).argsort(axis=1)[:, ::-1]
            likeliest = np.take_along_axis(chosen, order, axis=1)
        rows = np.arange(len(p))[:, None]
        reached = p[rows, likeliest].cumsum(axis=1)
        below = (reached < wanted).sum(axis=1)
        if count == size or (below < count).all():
            last = likeliest[rows[:, 0], np.minimum(below, count - 1)]
            return np.asarray(ranks >= ranks[rows[:, 0], last][:, None])
        count *= 8
