"""Ids -> batches of windows, for both ways of predicting.

`StreamWindows` (predict all) reads the text as parallel streams, window after window, so that state
can be carried from each window to the next: truncated backpropagation through time.
`SlidingWindows` (predict last) yields every window of the text once per epoch, in a shuffled order,
each with the character that follows it. Both are pure functions of (epoch, step), so a resumed run
sees the same batches.

Nothing here holds more than a block of batches: windows are views of the ids or gathered from them,
the shuffled order is computed rather than stored, and what was read of ids in a file is given back.
"""

from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from chargen.config import ModelConfig, Predict, TrainConfig
from chargen.data.ids import give_back
from chargen.data.vocabulary import Ids

__all__ = [
    "Permutation",
    "SlidingWindows",
    "StreamWindows",
    "Windows",
    "epoch_size",
    "make_windows",
    "one_hot",
    "sliding_windows",
]

Batch = tuple[NDArray[np.int32], NDArray[np.int32]]


class Windows(Protocol):
    """Batches of training windows."""

    steps: int
    """Batches per epoch."""
    targets_per_epoch: int
    """Characters predicted per epoch."""

    def block(self, epoch: int, step: int, count: int) -> Batch:
        """Return a block of K batches, int32: inputs (K, B, T) and targets (K, B, T) or (K, B).

        Args:
            epoch: the epoch they are part of.
            step: the first one's place in that epoch.
            count: how many, at most; a block ends before a batch of another size.
        """
        ...

    def batch(self, epoch: int, step: int) -> Batch:
        """Return one step's inputs (B, T) and targets, (B, T) or (B,), both int32."""
        inputs, targets = self.block(epoch, step, 1)
        return inputs[0], targets[0]


def make_windows(ids: Ids, model: ModelConfig, training: TrainConfig) -> Windows:
    """Return the windows that a model is trained on."""
    if model.predict == "all":
        return StreamWindows(ids, training.batch_size, model.window, training.random_seed)
    return SlidingWindows(ids, training.batch_size, model.window, training.random_seed)


def epoch_size(predict: Predict, length: int, batch_size: int, window: int) -> tuple[int, int]:
    """Return the steps of an epoch, and how many characters are predicted in it.

    Args:
        predict: what the model predicts.
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
    """Return how many offsets the streams may start at.

    The offset costs each stream one window at most, and none if there is none to spare.
    """
    return min(window, length - batch_size * window)


class StreamWindows(Windows):
    """B parallel streams of the text, in windows of T characters, for `predict="all"`.

    Each epoch starts at a new random offset and cuts the rest of the text into B streams of equal
    length, one per row of the batch. Window k of a stream follows window k - 1 of the same stream.
    Less than one window at the end of each stream is left out; because of the offset, it is a
    different part in each epoch.

    Args:
        ids: (N,), N > B * T.
        batch_size: B.
        window: T.
        random_seed: determines the offset, together with the epoch.
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
        """Return inputs, and as targets the same shifted by one: int32 (K, B, T) each."""
        rng = np.random.default_rng((self._random_seed, epoch))
        steps = np.arange(step, min(step + count, self.steps))
        starts = int(rng.integers(self._offsets)) + steps * self._window
        rows = starts[:, None] + self._stride * np.arange(self._batch_size)
        windows = self._ids[rows[:, :, None] + np.arange(self._window + 1)].astype(np.int32)
        give_back(self._ids)
        return windows[:, :, :-1], windows[:, :, 1:]


class SlidingWindows(Windows):
    """Every window of T characters, shuffled, and the next character, for `predict="last"`.

    Args:
        ids: (N,), N > T.
        batch_size: B, the windows per batch; the last batch of an epoch may hold fewer.
        window: T.
        random_seed: determines the order, together with the epoch.
    """

    def __init__(self, ids: Ids, batch_size: int, window: int, random_seed: int) -> None:
        self._inputs, self._labels = sliding_windows(ids, window)
        self._batch_size = batch_size
        self._random_seed = random_seed
        self.steps, self.targets_per_epoch = epoch_size("last", len(ids), batch_size, window)

    def block(self, epoch: int, step: int, count: int) -> Batch:
        """Return inputs int32 (K, B, T) and labels int32 (K, B)."""
        order = Permutation(len(self._labels), (self._random_seed, epoch))
        start = step * self._batch_size
        left = len(self._labels) - start
        batches = max(1, min(count, left // self._batch_size))
        rows = order(np.arange(start, start + min(left, batches * self._batch_size)))
        rows = rows.reshape(batches, -1)
        inputs, labels = self._inputs[rows].astype(np.int32), self._labels[rows].astype(np.int32)
        give_back(self._labels)
        return inputs, labels


class Permutation:
    """A random order of 0 .. size - 1 that is computed on demand, not stored.

    A Feistel network permutes all numbers of the smallest even number of bits that holds `size`. A
    number that falls outside the range is permuted again until it falls inside (cycle walking;
    Black and Rogaway 2002). Shuffling a billion windows takes a few words of memory.

    Args:
        size: how many numbers, at least 1.
        key: the same key gives the same order.
    """

    ROUNDS = 6  # four already pass every cheap test for randomness; two more cost little

    def __init__(self, size: int, key: tuple[int, ...]) -> None:
        self._size = size
        self._half_bits = np.uint64(max(1, -(-(size - 1).bit_length() // 2)))
        self._mask = np.uint64((1 << int(self._half_bits)) - 1)
        rng = np.random.default_rng(key)
        self._keys = rng.integers(0, 1 << 63, size=self.ROUNDS, dtype=np.uint64)

    def __call__(self, positions: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the number at each position of the order."""
        values = self._encipher(positions.astype(np.uint64))
        while (outside := values >= self._size).any():
            values[outside] = self._encipher(values[outside])
        return values.astype(np.int64)

    def _encipher(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = values >> self._half_bits, values & self._mask
        for key in self._keys:
            # Multiply and fold: a 64-bit mixing step, with constants of Steele, Lea, Flood 2014.
            mixed = (right + key) * np.uint64(0xBF58476D1CE4E5B9)
            mixed ^= mixed >> np.uint64(31)
            mixed *= np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(29)
            left, right = right, left ^ (mixed & self._mask)
        return (left << self._half_bits) | right


def sliding_windows(ids: Ids, window: int) -> tuple[Ids, Ids]:
    """Return all windows (N - T, T) and the character after each (N - T,), as views of the ids."""
    if len(ids) <= window:
        raise ValueError(f"a window of {window} needs {window + 1} ids; found {len(ids)}")
    return sliding_window_view(ids[:-1], window), ids[window:]


def one_hot(ids: NDArray[np.integer], vocabulary_size: int) -> NDArray[np.float32]:
    """Return float32 (..., V) with a single 1 at each id.

    Training never calls this, because the model itself turns a batch into one-hot vectors. It is
    here for anyone who wants to see or use the arrays. Give it a batch, not a whole corpus.
    """
    encoded = np.zeros((*ids.shape, vocabulary_size), dtype=np.float32)
    np.put_along_axis(encoded, ids[..., None].astype(np.intp), 1, axis=-1)
    return encoded
