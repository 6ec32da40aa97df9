"""Windows as Keras' `fit` takes them: a `tf.data.Dataset` of blocks of steps.

What Keras does around each batch, callbacks and bookkeeping, takes a millisecond, a fifth of a step
of a small network. So what `fit` calls a batch is a block of K steps here, and `Sharded` takes
them one after the other without leaving TensorFlow.
"""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from chargen.data.windows import Windows

__all__ = ["Batches"]

LONGEST_BLOCK = 64

Block = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]


class Batches:
    """The blocks of a run, epoch after epoch.

    Args:
        windows: where the steps come from.
        rate: the learning rate of a step, counted from the run's start.
        boundary: the step that a block begun at another must not go beyond; none goes beyond its
            epoch's end.
        first_step: the step to begin with.
    """

    def __init__(
        self,
        windows: Windows,
        rate: Callable[[int], float],
        boundary: Callable[[int], int],
        first_step: int = 0,
    ) -> None:
        self._windows = windows
        self._rate = rate
        self._boundary = boundary
        self._first_step = first_step
        self.block = 1
        """Steps in the next block, at most."""

    def __iter__(self) -> Iterator[Block]:
        step = self._first_step
        while True:
            block = self._block(step)
            yield block
            step += len(block[2])

    def dataset(self) -> tf.data.Dataset:
        """The blocks, without end.

        Elements are inputs (K, B, T) and targets, int32, and rates (K,), float32. Shapes are
        static where they can be: stateful layers need that.
        """
        signature = (
            tf.TensorSpec((None, *self._windows.input_shape), tf.int32),
            tf.TensorSpec((None, *self._windows.target_shape), tf.int32),
            tf.TensorSpec((None,), tf.float32),
        )
        return tf.data.Dataset.from_generator(self.__iter__, output_signature=signature).prefetch(1)

    def _block(self, first: int) -> Block:
        epoch, within = divmod(first, self._windows.steps)
        steps = min(self.block, LONGEST_BLOCK, self._boundary(first) - first)
        inputs: list[NDArray[np.int32]] = []
        targets: list[NDArray[np.int32]] = []
        for step in range(within, within + steps):
            x, y = self._windows.batch(epoch, step)
            if inputs and x.shape != inputs[0].shape:
                break  # the last batch of an epoch may be smaller, and is a block of its own
            inputs.append(x)
            targets.append(y)
        rates = [self._rate(first + index) for index in range(len(inputs))]
        return np.stack(inputs), np.stack(targets), np.asarray(rates, np.float32)
