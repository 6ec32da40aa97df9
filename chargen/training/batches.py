"""Windows as Keras' `fit` takes them."""

import keras

from chargen.config import ModelConfig, TrainConfig
from chargen.data.windows import Batch, Ids, Sliding, Streams, Windows

__all__ = ["Batches", "make_windows"]


def make_windows(ids: Ids, model: ModelConfig, training: TrainConfig) -> Windows:
    """The windows that a model is trained on."""
    kind = Streams if model.predict == "all" else Sliding
    return kind(ids, training.batch_size, model.window, training.random_seed)


class Batches(keras.utils.PyDataset):
    """One epoch's batches; the epoch is set from outside as it begins.

    Args:
        windows: where they come from.
        first_step: the step of the epoch to begin with, when going on in its middle.
    """

    def __init__(self, windows: Windows, first_step: int = 0) -> None:
        super().__init__()
        self._windows = windows
        self.first_step = first_step
        self.epoch = 0

    def __len__(self) -> int:
        return self._windows.steps - self.first_step

    def __getitem__(self, index: int) -> Batch:
        return self._windows.batch(self.epoch, self.first_step + index)
