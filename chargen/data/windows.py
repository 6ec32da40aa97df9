"""Ids -> batches of windows, for both ways of predicting.

`Streams` (predict all) reads the text as parallel streams, window after window, so that state can
be carried from one to the next: truncated backpropagation through time. `Sliding` (predict last)
gives every window of the text once an epoch, in a shuffled order, each with the character after
it. Both are pure functions of (epoch, step), so a resumed run sees the same batches.

Nothing here holds more than a block of batches: windows are views or gathers of the ids, and the
shuffled order is computed, not stored.
"""

from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from chargen.config import ModelConfig, Predict, TrainConfig

__all__ = [
    "Permutation",
    "Sliding",
    "Streams",
    "Windows",
    "epoch_size",
    "make_windows",
    "one_hot",
    "sliding_windows",
]

Ids = NDArray[np.unsignedinteger]
Batch = tuple[NDArray[np.int32], NDArray[np.int32]]


class Windows(Protocol):
    """Batches of training windows."""

    steps: int
    """Batches in an epoch."""
    targets_per_epoch: int
    """Characters predicted in an epoch."""

    def block(self, epoch: int, step: int, count: int) -> Batch:
        """Inputs (K, B, T) and targets (K, B, T) or (K, B), int32, of steps of one epoch.

        Args:
            epoch: which.
            step: the first step of the block in that epoch.
            count: K at most; a block ends before a batch of another size.
        """
        ...

    def batch(self, epoch: int, step: int) -> Batch:
        """Inputs (B, T) and targets of one step."""
        inputs, targets = self.block(epoch, step, 1)
        return inputs[0], targets[0]


def make_windows(ids: Ids, model: ModelConfig, training: TrainConfig) -> Windows:
    """The windows that a model is trained on."""
    if model.predict == "all":
        return Streams(ids, training.batch_size, model.window, training.random_seed)
    return Sliding(ids, training.batch_size, model.window, training.random_seed)


def epoch_size(predict: Predict, length: int, batch_size: int, window: int) -> tuple[int, int]:
    """The steps of an epoch, and the characters predicted in it.

    Args:
        predict: as the model does.
        length: characters of the text.
        batch_size: B.
        window: T.
    """
    if predict == "all":
        steps = (length - _offsets(length, batch_size, window)) // batch_size // window
        return steps, steps * batch_size * window
    labels = length - window
    return -(-labels // batch_size), labels


def _offsets(length: int, batch_size: int, window: int) -> int:
    """How many offsets streams may begin at.

    One may cost at most a window of each stream, and none where there is none to spare.
    """
    return min(window, length - batch_size * window)


class Streams(Windows):
    """Predict all: B parallel streams of the text, in windows of T characters.

    The text from a fresh random offset on is cut into B streams of equal length, one a row of the
    batch; window k of each stream follows window k - 1 of the same stream. Less than a window at
    the end of each stream is left out, another part each epoch because of the offset.

    Args:
        ids: (N,), N > B * T.
        batch_size: B.
        window: T.
        random_seed: with the epoch, the key of the offset.
    """

    def __init__(self, ids: Ids, batch_size: int, window: int, random_seed: int) -> None:
        spare = len(ids) - 1 - batch_size * window
        if spare < 0:
            raise ValueError(
                f"{batch_size} streams of {window} need {batch_size * window + 1} ids; "
                f"found {len(ids)}"
            )
        self._ids = ids
        self._batch_size = batch_size
        self._window = window
        self._random_seed = random_seed
        self._offsets = _offsets(len(ids), batch_size, window)
        self._stride = (len(ids) - self._offsets) // batch_size
        self.steps, self.targets_per_epoch = epoch_size("all", len(ids), batch_size, window)

    def block(self, epoch: int, step: int, count: int) -> Batch:
        """Inputs and the same shifted by one as targets: int32 (K, B, T) each."""
        rng = np.random.default_rng((self._random_seed, epoch))
        steps = np.arange(step, min(step + count, self.steps))
        starts = int(rng.integers(self._offsets)) + steps * self._window
        rows = starts[:, None] + self._stride * np.arange(self._batch_size)
        windows = self._ids[rows[:, :, None] + np.arange(self._window + 1)].astype(np.int32)
        return windows[:, :, :-1], windows[:, :, 1:]


class Sliding(Windows):
    """Predict last: every window of T characters, shuffled, with the character after it.

    Args:
        ids: (N,), N > T.
        batch_size: windows a batch; the last batch of an epoch may hold fewer.
        window: T.
        random_seed: with the epoch, the key of the order.
    """

    def __init__(self, ids: Ids, batch_size: int, window: int, random_seed: int) -> None:
        self._inputs, self._labels = sliding_windows(ids, window)
        self._batch_size = batch_size
        self._random_seed = random_seed
        self.steps, self.targets_per_epoch = epoch_size("last", len(ids), batch_size, window)

    def block(self, epoch: int, step: int, count: int) -> Batch:
        """Inputs int32 (K, B, T) and labels int32 (K, B)."""
        order = Permutation(len(self._labels), (self._random_seed, epoch))
        start = step * self._batch_size
        left = len(self._labels) - start
        batches = max(1, min(count, left // self._batch_size))
        rows = order(np.arange(start, start + min(left, batches * self._batch_size)))
        rows = rows.reshape(batches, -1)
        return self._inputs[rows].astype(np.int32), self._labels[rows].astype(np.int32)


class Permutation:
    """A random order of 0 .. size - 1 that is computed where it is asked for, not stored.

    A Feistel network permutes the smallest even number of bits that holds `size`; what lands
    outside is sent round again until it lands inside (cycle walking; Black and Rogaway 2002).
    Shuffling a billion windows takes a few words of memory.

    Args:
        size: how many, at least 1.
        key: the same key gives the same order.
    """

    ROUNDS = 6  # four give a permutation no cheap test tells from random; two more cost little

    def __init__(self, size: int, key: tuple[int, ...]) -> None:
        self._size = size
        self._half_bits = np.uint64(max(1, -(-(size - 1).bit_length() // 2)))
        self._mask = np.uint64((1 << int(self._half_bits)) - 1)
        rng = np.random.default_rng(key)
        self._keys = rng.integers(0, 1 << 63, size=self.ROUNDS, dtype=np.uint64)

    def __call__(self, positions: NDArray[np.integer]) -> NDArray[np.int64]:
        """What stands at each position of the order."""
        values = self._encipher(positions.astype(np.uint64))
        while (outside := values >= self._size).any():
            values[outside] = self._encipher(values[outside])
        return values.astype(np.int64)

    def _encipher(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = values >> self._half_bits, values & self._mask
        for key in self._keys:
            # Multiply and fold: a 64-bit mixing step (constants of Steele, Lea, Flood 2014).
            mixed = (right + key) * np.uint64(0xBF58476D1CE4E5B9)
            mixed ^= mixed >> np.uint64(31)
            mixed *= np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(29)
            left, right = right, left ^ (mixed & self._mask)
        return (left << self._half_bits) | right


def sliding_windows(ids: Ids, window: int) -> tuple[Ids, Ids]:
    """All windows (N - T, T) and the character after each (N - T,), as views of the ids."""
    if len(ids) <= window:
        raise ValueError(f"a window of {window} needs {window + 1} ids; found {len(ids)}")
    return sliding_window_view(ids[:-1], window), ids[window:]


def one_hot(ids: NDArray[np.integer], vocabulary_size: int) -> NDArray[np.float32]:
    """float32 (..., V) with a single 1 at each id: what the model makes of a batch itself.

    Training never calls this, since a batch becomes one-hot inside the model; it is here for
    whoever wants to see or use the arrays. Hand it a batch, not a corpus.
    """
    encoded = np.zeros((*ids.shape, vocabulary_size), dtype=np.float32)
    np.put_along_axis(encoded, ids[..., None].astype(np.intp), 1, axis=-1)
    return encoded
