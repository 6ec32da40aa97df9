"""How sure a network is, put right by a text that it has not learned from.

A network that has read a text many times is surer of each next character than it has reason to be.
One number that all logits are multiplied by puts that right, and changes neither their order nor
the network. It is the inverse of a temperature, and this is temperature scaling (Guo et al. 2017).

With r the factor and z the logits, the nats of a target t are log(sum(exp(r z))) - r z_t. Where r
is 1, their first derivative is the mean of the logits under the network's prediction less z_t, and
the second is the variance of the logits. So they are convex, and Newton's method finds the least.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from chargen.data.ids import in_blocks
from chargen.data.vocabulary import Ids
from chargen.network.cells import Floats
from chargen.network.language_model import LanguageModel
from chargen.scoring.score import PART, Measure, Scorer, surprisal
from chargen.scoring.tally import Score, Tally

__all__ = ["LEAST", "MOST", "Calibrated", "calibrate", "confidence", "scaled"]

LEAST, MOST = 0.75, 2.0
"""The limits of the factor. Below the first, the held-out text is so unlike what was learned that
its nats are no measure of what the network writes: that would become mush."""
WORTH = 2e-3
"""The gain, in nats per character, for which a text is scored once more. What is less is gained by
the next evaluation, which begins with the better factor."""
DIGITS = 4
"""The digits of a factor after the point: further ones make no difference, and are hard to read."""
MOST_SCORINGS = 4
"""How often a text is scored at most."""


class Calibrated(NamedTuple):
    """What came of a calibration.

    Attributes:
        model: the model with the factor.
        factor: what the logits were multiplied by.
        score: the figures of the text with it.
        better: the factor to begin with next time.
    """

    model: LanguageModel
    factor: float
    score: Score
    better: float


def scaled(weights: Sequence[Floats], factor: float) -> list[Floats]:
    """Return weights whose logits are those of the given ones times a factor.

    Args:
        weights: in the order of `chargen.checkpoint.architecture.describe`, which ends with the
            kernel and the bias of the output layer.
        factor: what the logits are multiplied by.
    """
    *below, kernel, bias = weights
    return [*below, *(array * np.float32(factor) for array in (kernel, bias))]


def calibrate(model_of: Callable[[float], LanguageModel], ids: Ids, factor: float) -> Calibrated:
    """Score a text with about the factor on the logits that makes it the most likely.

    Args:
        model_of: makes the model with a factor.
        ids: (N,), the text, from `vocabulary.encode`.
        factor: the one to begin with.

    Raises:
        NumericalError: the network's outputs are not finite.
    """
    model = model_of(factor)
    best = _Fit.of(model, ids)
    for _ in range(MOST_SCORINGS - 1):
        better = best.better(factor)
        if best.gain(better / factor) < WORTH:
            break
        other = model_of(better)
        fit = _Fit.of(other, ids)
        if fit.score.nats_per_character >= best.score.nats_per_character:
            break
        model, factor, best = other, better, fit
    return Calibrated(model, factor, best.score, best.better(factor))


@dataclass(frozen=True)
class _Fit:
    """How well a model fits a text, and what another factor would gain.

    Attributes:
        score: the figures of the text.
        slope: the first derivative of the mean nats by a factor on the logits, where that is 1.
        curvature: the second.
    """

    score: Score
    slope: float
    curvature: float

    @classmethod
    def of(cls, model: LanguageModel, ids: Ids) -> "_Fit":
        scorer, tally, sums = Scorer(model, CONFIDENCE), Tally(), np.zeros(2)
        for part in in_blocks(ids, PART):
            scores = scorer.score(part)
            tally += scores.tally()
            sums += [more.sum(dtype=np.float64, where=scores.scored) for more in scores.more]
        slope, curvature = (sums / max(1, tally.scored)).tolist()
        return cls(tally.score(), slope, curvature)

    def better(self, factor: float) -> float:
        """Return the factor that Newton's method goes to from the one that the model has."""
        if not 0 < self.curvature < math.inf:
            return factor  # nothing was scored, or logits are so far apart that they overflow
        step = min(max(1 - self.slope / self.curvature, 1 / 2), 2)
        return round(min(max(factor * step, LEAST), MOST), DIGITS)

    def gain(self, factor: float) -> float:
        """Return the nats per character that a factor gains, if their curve is a parabola."""
        change = factor - 1
        return -(self.slope * change + self.curvature * change**2 / 2)


@np.errstate(over="ignore", invalid="ignore")  # of the squares of logits that are far apart
def confidence(logits: Floats, targets: Ids) -> Floats:
    """Return what `surprisal` does, and two derivatives of the nats by a factor on the logits.

    Args:
        logits: (..., V), which are overwritten.
        targets: (...).

    Returns:
        float32 (4, ...): nats, 1 where the target was the most likely, and the first and the second
        derivative where the factor is 1.
    """
    flat = logits.reshape(-1, logits.shape[-1])
    heights = flat - flat.max(axis=1, keepdims=True)
    rows, wanted = np.arange(len(flat)), targets.reshape(-1)
    found = surprisal(flat, wanted)
    total = flat.sum(axis=1)
    mean = np.einsum("nv,nv->n", flat, heights) / total
    slopes = mean - heights[rows, wanted]
    np.square(heights, out=heights)
    variance = np.einsum("nv,nv->n", flat, heights) / total - mean**2
    return np.stack([*found, slopes, variance]).reshape(4, *targets.shape)


CONFIDENCE = Measure(4, confidence)
