"""Logits -> the next character's id."""

import numpy as np
from numpy.typing import NDArray

from chargen.config import SampleConfig
from chargen.errors import NumericalError
from chargen.inference.cells import Floats

__all__ = ["check_finite", "choose", "probabilities"]


def probabilities(logits: Floats, config: SampleConfig) -> NDArray[np.float64]:
    """The distribution that a character is drawn from: float64 (V,), summing to 1.

    Temperature, top-k, top-p and min-p are applied in that order, each to what the one before
    left. Temperature 0 leaves the most likely character alone, the lowest id of equals.

    Args:
        logits: (V,); -inf for what must not be drawn.
        config: the options.

    Sources:
        Top-k: Fan, Lewis, Dauphin 2018. Top-p: Holtzman et al. 2020. Min-p: Nguyen et al. 2024.
    """
    if config.temperature == 0:
        greedy = np.zeros(len(logits))
        greedy[np.argmax(logits)] = 1
        return greedy
    scaled = logits.astype(np.float64)
    scaled -= scaled.max()
    # Divided after the shift: a temperature near 0 sends the rest to -inf and not to a NaN.
    with np.errstate(over="ignore"):
        scaled /= config.temperature
    p: NDArray[np.float64] = np.exp(scaled)
    p /= p.sum()
    if config.top_k is not None and config.top_k < len(p):
        p[_ranking(p)[config.top_k :]] = 0
    if config.top_p is not None and config.top_p < 1:
        order = _ranking(p)
        reached = np.cumsum(p[order]) >= config.top_p * p.sum()
        p[order[int(np.argmax(reached)) + 1 :]] = 0
    if config.min_p is not None:
        p[p < config.min_p * p.max()] = 0
    p /= p.sum()
    return p


def choose(logits: Floats, config: SampleConfig, rng: np.random.Generator) -> int:
    """Draw the next id.

    Args:
        logits: (V,).
        config: the options.
        rng: gives one number for a draw, and none at temperature 0.

    Raises:
        NumericalError: the logits are no numbers.
    """
    check_finite(logits.max())
    if config.temperature == 0:
        return int(np.argmax(logits))
    cumulative = np.cumsum(probabilities(logits, config))
    # Scaled by the last sum, which rounding leaves beside 1; the first id whose sum exceeds the
    # number can have no probability of 0.
    return int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))


def check_finite(values: NDArray[np.floating] | np.floating) -> None:
    """Refuse outputs that overflowed, before a choice or a mean is made of them.

    Raises:
        NumericalError: one is infinite or NaN.
    """
    if not np.isfinite(values).all():
        raise NumericalError(
            "the network's outputs are no longer numbers: its weights exploded in training; train "
            "again with a lower --learning-rate, a smaller --clip-norm, or --cell lstm"
        )


def _ranking(p: NDArray[np.float64]) -> NDArray[np.intp]:
    """Ids from the most to the least likely, the lower id first of equals."""
    return np.argsort(-p, kind="stable")
