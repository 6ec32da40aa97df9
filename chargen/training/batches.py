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
        blocks = iter(self)
        shapes = (self._windows.input_shape, self._windows.target_shape, ())

        def next_block(_: tf.Tensor) -> tuple[tf.Tensor, ...]:
            # Not `from_generator`: that resets what runtime.start has told the C library.
            kinds = (tf.int32, tf.int32, tf.float32)
            arrays = tf.numpy_function(lambda: next(blocks), [], kinds)
            return tuple(
                tf.ensure_shape(array, (None, *shape))
                for array, shape in zip(arrays, shapes, strict=True)
            )

        options = tf.data.Options()
        # There is nothing to tune, and its thread keeps the process from ending for seconds.
        options.autotune.enabled = False
        endless = tf.data.Dataset.from_tensors(0).repeat().map(next_block)
        return endless.prefetch(1).with_options(options)

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
