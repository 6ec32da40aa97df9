"""Notice a run that has diverged although all of its numbers are finite.

Once the recurrent weights are so large that the gradients explode, clipping keeps each step short,
but its direction is as good as random. Such a run only gets worse, and would do so until it ends.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

__all__ = ["MOST_STRAYED", "Limits"]

MOST_STRAYED = 20
"""How many steps in a row may be beyond both limits. A text with odd passages has a few of them."""
LOSS_FACTOR = 2
"""The limit of the loss, as a multiple of what it was when the best weights were found."""
UNIFORM_SHARE = 0.5
"""The same as a share of the loss of a uniform guess, which it has to pass too: where a text is
known by heart, the loss may double and fall again."""
NORM_FACTOR = 10
"""The limit of the gradient's norm, as a multiple of what it was when the best weights were found.
Log files of 150,000 characters, learned with the defaults, went from 0.1 to 10,000 within thirty
steps (benchmarks/STUDY.md)."""


@dataclass(frozen=True)
class Limits:
    """What a step of a healthy run stays within.

    Attributes:
        nats: the limit of its loss, in nats per character.
        gradient_norm: the limit of the norm of its gradient, before it is clipped.
    """

    nats: float
    gradient_norm: float

    @classmethod
    def of(cls, best: Mapping[str, Any] | None, vocabulary_size: int) -> Self:
        """Return the limits that follow from a run's history.

        Args:
            best: the line of the history at which the best weights were found. Without one, and
                without its figures, there are no limits.
            vocabulary_size: how many distinct characters there are.
        """
        nats, norm = (best or {}).get("train_nats"), (best or {}).get("gradient_norm")
        if nats is None or norm is None:
            return cls(math.inf, math.inf)
        uniform = math.log(vocabulary_size)
        return cls(max(LOSS_FACTOR * nats, UNIFORM_SHARE * uniform), NORM_FACTOR * norm)

    def are_passed(self, nats: float, gradient_norm: float) -> bool:
        """Return whether a step is beyond both limits."""
        return nats > self.nats and gradient_norm > self.gradient_norm
