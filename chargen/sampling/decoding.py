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
    check_finite(logits.max(axis=1))
    # Each option keeps the most likely characters up to some rank.
    order = np.argsort(-logits, axis=1, kind="stable")
    ranked = np.take_along_axis(logits, order, axis=1)
    excluded = np.arange(logits.shape[1]) >= _kept(ranked, config)[:, None]
    np.put_along_axis(logits, order, np.where(excluded, -np.inf, ranked), axis=1)


def _kept(ranked: Floats, config: SampleConfig) -> NDArray[np.intp]:
    """Return how many of the most likely characters are kept, (B,), at least one.

    Args:
        ranked: (B, V), the logits from the highest to the lowest.
        config: how characters are drawn.
    """
    size = ranked.shape[1]
    kept: NDArray[np.intp] = np.full(len(ranked), min(config.top_k or size, size))
    if config.top_p is None and config.min_p is None:
        return kept
    # Subtracted before dividing: a temperature near 0 then gives -inf and never NaN.
    scaled = (ranked - ranked[:, :1]).astype(np.float64)
    with np.errstate(over="ignore"):
        scaled /= config.temperature
    p: NDArray[np.float64] = np.exp(scaled)
    p[np.arange(size) >= kept[:, None]] = 0
    if config.top_p is not None and config.top_p < 1:
        reached = np.cumsum(p, axis=1)
        below = (reached < config.top_p * reached[:, -1:]).sum(axis=1)
        kept = np.minimum(kept, below + 1)
    if config.min_p is not None:
        kept = np.minimum(kept, (p >= config.min_p).sum(axis=1))
    return np.asarray(np.maximum(kept, 1))
