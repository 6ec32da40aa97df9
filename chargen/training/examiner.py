"""How good the model is now, in the words of `evaluate` and `sample`."""

import math

import numpy as np

from chargen.checkpoint.directory import Checkpoint
from chargen.config import SampleConfig
from chargen.data.corpus import Ids
from chargen.errors import NumericalError
from chargen.models.sharded import Sharded
from chargen.network.language_model import LanguageModel
from chargen.network.network import Network
from chargen.sampling.generate import write
from chargen.scoring.score import score_ids
from chargen.scoring.tally import Score

__all__ = ["Examiner"]

SAMPLE_LENGTH = 100
"""Characters written at each evaluation: a line of a terminal."""


class Examiner:
    """Scores the held-out text and writes a sample, as `evaluate` and `sample` would.

    It is the same code on the same weights, so that the figures agree.

    Args:
        checkpoint: of the run.
        validation_ids: (N,), nothing where nothing is held out.
    """

    def __init__(self, checkpoint: Checkpoint, validation_ids: Ids) -> None:
        self._config = checkpoint.model
        self._random_seed = checkpoint.training.random_seed
        self._vocabulary = checkpoint.vocabulary
        self._validation_ids = validation_ids

    def examine(self, model: Sharded, step: int) -> tuple[Score | None, str]:
        """The held-out text's score, None where nothing in it can be scored, and a short text.

        Raises:
            NumericalError: the weights, or what they make of the text, are no numbers.
        """
        weights = model.learned()
        if not all(np.isfinite(array).all() for array in weights):
            raise NumericalError("the weights are no longer numbers")
        trained = LanguageModel(Network(self._config, weights), self._vocabulary)
        sampling = SampleConfig(length=SAMPLE_LENGTH)
        seed = self._random_seed + step  # another text each time, the same in the same run
        ((_, pieces),) = write(trained, [""], sampling, seed)
        sample = "".join(pieces)
        score = score_ids(trained, self._validation_ids)
        return (None if math.isnan(score.nats_per_character) else score), sample
