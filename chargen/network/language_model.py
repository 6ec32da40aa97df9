"""A network that can be sampled and scored, as `chargen.sampling` and `chargen.scoring` use it."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from chargen.config import ModelConfig
from chargen.data.vocabulary import Ids, Vocabulary
from chargen.network.cells import Floats
from chargen.network.network import Network
from chargen.network.reading import predictions

__all__ = ["LanguageModel"]


class LanguageModel:
    """A trained network, the characters it knows, and the threads it computes with.

    Args:
        network: the weights.
        vocabulary: the characters, one for each of the network's outputs.
        threads: how many threads to compute with; None uses as many as suit the model and the work.
    """

    def __init__(
        self, network: Network, vocabulary: Vocabulary, threads: int | None = None
    ) -> None:
        self.network = network
        self.vocabulary = vocabulary
        self.threads = threads

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.network, self.vocabulary, self.threads)

    def __copy__(self) -> Self:
        # The weights are shared, as nothing changes them.
        copied = object.__new__(type(self))
        vars(copied).update(vars(self))
        return copied

    @property
    def config(self) -> ModelConfig:
        """The architecture of the network."""
        return self.network.config

    def logits(self, ids: Sequence[int] | Ids) -> Floats:
        """Return the prediction after each character of one text, read from the zero state.

        Args:
            ids: (T,), each below `len(vocabulary)`, from `vocabulary.encode`.

        Returns:
            Logits float32 (T, V): row t predicts the character after ids[t].

        Raises:
            ValueError: the ids are not whole numbers, or not those of one text.
        """
        array = np.asarray(ids)
        if array.size == 0:
            array = array.astype(np.int64)
        if not np.issubdtype(array.dtype, np.integer):
            raise ValueError(f"ids must be whole numbers; found {array.dtype}")
        if array.ndim != 1:
            raise ValueError(f"ids must be one text, (T,); found the shape {array.shape}")
        if len(array) and not (array.min() >= 0 and array.max() < len(self.vocabulary)):
            raise ValueError(f"ids must be from 0 to {len(self.vocabulary) - 1}")
        return predictions(self.network, array)
