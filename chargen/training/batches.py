"""Windows as Keras' `fit` takes them: a `tf.data.Dataset`."""

from collections.abc import Iterator

import tensorflow as tf

from chargen.data.windows import Batch, Windows

__all__ = ["Batches"]


class Batches:
    """One epoch's batches; `epoch` is set from outside as it begins.

    Args:
        windows: where they come from.
        first_step: the step of the epoch to begin with, when going on in its middle.
    """

    def __init__(self, windows: Windows, first_step: int = 0) -> None:
        self._windows = windows
        self.first_step = first_step
        self.epoch = 0

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.first_step, self._windows.steps):
            yield self._windows.batch(self.epoch, step)

    def dataset(self) -> tf.data.Dataset:
        """The batches of the current epoch, another time each time it is iterated over.

        Shapes are static where they can be: a stateful layer with a batch of one needs that.
        """
        signature = (
            tf.TensorSpec(self._windows.input_shape, tf.int32),
            tf.TensorSpec(self._windows.target_shape, tf.int32),
        )
        dataset = tf.data.Dataset.from_generator(self.__iter__, output_signature=signature)
        count = self._windows.steps - self.first_step
        return dataset.apply(tf.data.experimental.assert_cardinality(count)).prefetch(2)
