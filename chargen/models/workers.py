"""Processes that train one model together, each on some shards of every batch.

TensorFlow's collective runtime connects them, on one machine or on several. A collective is an
operation that all workers take part in: each gives a tensor of the same shape and type, and each
gets their sum. The sum is the same on all of them to the last bit.
"""

import zlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

__all__ = ["Workers"]

Tensor: TypeAlias = Any  # TensorFlow ships no types that mypy can use

GROUP = 1 << 20
"""The number by which TensorFlow knows the workers as a group. Its own groups have small ones."""
HOST_GROUP = GROUP + 1
"""The same workers with what lies in the memory of their processors, whatever else they use."""
HOST = "CPU:0"


class Workers:
    """This process among the workers of a run, connected to the others.

    Args:
        index: its number, from 0.
        count: how many workers there are.
    """

    def __init__(self, index: int, count: int) -> None:
        self.index, self.count = index, count

    def shards(self, number: int) -> range:
        """Return which of the shards of a batch this worker computes; there are `number` in all."""
        return range(self.index * number // self.count, (self.index + 1) * number // self.count)

    def sum(self, values: Tensor, group: int = GROUP) -> Tensor:
        """Return the sum of a tensor over all workers; it may be called while a graph is made.

        Args:
            values: float32, bfloat16 or int32, of a shape that is known.
            group: the number of the group.

        Raises:
            tf.errors.OpError: when it is computed, because another worker has stopped.
        """
        # Each type and shape is a collective of its own, which all workers must number alike.
        kind = f"{values.dtype.name} {values.shape}"
        return tf.raw_ops.CollectiveReduceV2(
            input=values,
            group_size=self.count,
            group_key=group,
            instance_key=zlib.crc32(kind.encode()) >> 1,  # int32
            ordering_token=[],
            merge_op="Add",
            final_op="Id",
            communication_hint="auto",
        )

    def sum_bits(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Return arrays of which only one worker has those that are not zero, as it has them.

        Args:
            arrays: of any types whose numbers take four or eight bytes; all workers give the same
                types and shapes. They are added as integers, so that no bit of them changes.

        Raises:
            tf.errors.OpError: another worker has stopped.
        """
        parts = [np.ascontiguousarray(array).reshape(-1).view(np.int32) for array in arrays]
        with tf.device(HOST):
            summed = self.sum(tf.constant(np.concatenate(parts)), HOST_GROUP).numpy()
        places = np.cumsum([len(part) for part in parts])[:-1]
        return [
            part.view(array.dtype).reshape(array.shape)
            for part, array in zip(np.split(summed, places), arrays, strict=True)
        ]
