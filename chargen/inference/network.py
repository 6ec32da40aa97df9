"""A trained network in NumPy: its weights, and texts being read with it.

Sizes: B streams, T characters each, V characters in the vocabulary, U units, G gates. Arrays over
time are time-major, (T, B, ...), so that a step works on one contiguous block.

A network is weights and never changes, so that threads can share it; what changes is in the
`Reading` that goes on with it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from chargen.architecture import describe
from chargen.checkpoint import Checkpoint
from chargen.config import ModelConfig
from chargen.inference.cells import Dot, Floats, aligned_copy, make_cell
from chargen.inference.layers import FirstLayer, Layer, LayerStreams
from chargen.inference.streams import CHUNK, Stream, Streams
from chargen.inference.threads import computing, exact_threads

__all__ = ["Network", "Reader", "Reading", "Staggered", "Windows"]

Ids = NDArray[np.integer]
WINDOWS = 256
"""Windows read at a time: from there on, more rows make a matrix product no faster."""
FIRST_ROWS = 16
"""Windows that may be open at the beginning of a text that is read a character at a time."""
WINDOW_FLOATS = 1 << 22
"""Outputs of a layer on those windows, at most: 16 MB."""


class Network:
    """The weights of a model, ready to run.

    Args:
        config: the architecture.
        weights: float32 arrays in the order of `chargen.architecture.describe`, which is that of
            Keras' `model.trainable_weights`.
    """

    def __init__(self, config: ModelConfig, weights: Sequence[Floats]) -> None:
        expected = [array.shape for layer in describe(config) for array in layer.arrays]
        if [array.shape for array in weights] != expected:
            raise ValueError(f"weights should have the shapes {expected}")
        self.config = config
        remaining = iter(weights)
        embedding = next(remaining) if config.embedding else None
        self._forward: list[Layer] = []
        self._backward: list[Layer] = []
        for index in range(config.layers):
            for layers in (self._forward, self._backward)[: 2 if config.bidirectional else 1]:
                cell = make_cell(config, next(remaining), next(remaining), next(remaining))
                layers.append(Layer(cell) if index else FirstLayer(cell, embedding))
        # Copies, as views would keep the whole file in memory beside the rearranged cells.
        self.dense_kernel, self.dense_bias = map(aligned_copy, remaining)
        self._dense_bias_row = self.dense_bias[None]

    @classmethod
    def load(cls, checkpoint: Checkpoint) -> Self:
        """The network of a checkpoint.

        Raises:
            CheckpointError: its weights cannot be read.
        """
        return cls(checkpoint.model, checkpoint.weights())

    def threads_for_one(self, most: int) -> int:
        """The most BLAS threads, up to so many, that read one text as one of them does."""
        # The windows of `predict="last"` are rows of a matrix, for which BLAS does not split alike.
        exact = self.config.predict == "all" and most > 1
        return exact_threads(self.stream().matrices, most) if exact else 1

    def read(self, batch_size: int, dot: Dot = np.ndarray.dot) -> "Reading":
        """B texts to be read from their beginnings, as the model was trained to read.

        Args:
            batch_size: B.
            dot: what multiplies by the recurrent kernels of many streams.
        """
        if self.config.predict == "last":
            staggered = batch_size == 1 and not self.config.bidirectional
            return Staggered(self) if staggered else Windows(self, batch_size)
        return self.stream() if batch_size == 1 else self.streams(batch_size, dot)

    def stream(self) -> Stream:
        """One text to be read with carried state."""
        return Stream(self, self._forward)

    def streams(self, batch_size: int, dot: Dot = np.ndarray.dot) -> Streams:
        """B texts to be read with carried state; `dot` multiplies by the recurrent kernels."""
        return Streams(self, [LayerStreams(layer, batch_size, dot) for layer in self._forward])

    def output(self, h: Floats, out: Floats | None = None) -> Floats:
        """Logits (..., V) of top-layer outputs (..., U)."""
        # The bias as a row, because adding arrays of the same shape is faster than broadcasting.
        logits: Floats = h.dot(self.dense_kernel, out)
        np.add(logits, self._dense_bias_row, logits)
        return logits

    def run_windows(self, ids: Ids) -> Floats:
        """Read whole windows from the zero state: `predict="last"`.

        Args:
            ids: (B, T), a window a row.

        Returns:
            Logits (B, V) of the character after each window.
        """
        outputs: NDArray[Any] = np.ascontiguousarray(ids.T)
        last = self.config.layers - 1
        for index, forward in enumerate(self._forward):
            # The top layer's output is needed where its direction ends, and nowhere else.
            directions = [forward.run(outputs, whole=index < last)]
            if self._backward:
                reverse = self._backward[index].run(outputs[::-1], whole=index < last)
                directions.append(reverse[::-1])
            outputs = np.concatenate(directions, axis=-1) if self._backward else directions[0]
        return self.output(outputs[0])

    def logits(self, ids: Ids) -> Floats:
        """Predictions after each character of one text, read as the model was trained.

        Args:
            ids: (T,); the first is read from the zero state.

        Returns:
            float32 (T, V): row t is the prediction of the character after ids[t].
        """
        with computing():
            if self.config.predict == "all":
                stream = self.stream()
                pieces = [stream.run(ids[k : k + CHUNK]) for k in range(0, len(ids), CHUNK)]
            else:
                pieces = [self.run_windows(windows) for windows in self.windows(ids)]
        if not pieces:
            return np.zeros((0, self.config.vocabulary_size), np.float32)
        return np.concatenate(pieces)

    def windows(self, ids: Ids, start: int = 0) -> Iterator[Ids]:
        """The windows to be read at each place of one text, from `start` on, several at a time.

        Args:
            ids: (T,).
            start: the first place.

        Yields:
            (n, window) windows that end at the next n places, views of `ids`; before the text is
            that long (1, t), all that there is.
        """
        window = self.config.window
        for end in range(start + 1, min(window, len(ids) + 1)):
            yield ids[None, :end]
        if len(ids) < window:
            return
        windows = np.lib.stride_tricks.sliding_window_view(ids, window)
        size = max(1, min(WINDOWS, WINDOW_FLOATS // (window * self.config.units)))
        for first in range(max(0, start + 1 - window), len(windows), size):
            yield windows[first : first + size]


class Reading(Protocol):
    """B texts being read side by side, characters in, predictions out."""

    def extend(self, paths: Sequence[Sequence[int]]) -> None:
        """Read several characters of each text; unequally many only where nothing was read yet."""
        ...

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character of each text: ids (B,)."""
        ...

    def logits(self) -> Floats:
        """Predictions (B, V) of the next characters; the next call may write over them."""
        ...

    def keep(self, rows: Ids) -> None:
        """Go on with these texts, the same one several times if it is named so, without others."""
        ...


class Staggered:
    """One text, each character predicted from the window before it alone: `predict="last"`.

    The windows that are open, one for each of the last `window` characters, read on side by side:
    one product for all, where reading each whole would take `window` of them, one after the other.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._window = network.config.window
        # More rows as more windows are open: most texts may be shorter than a long window.
        self._rows = min(FIRST_ROWS, self._window)
        self._windows = network.streams(self._rows)
        self._read = 0

    def extend(self, paths: Sequence[Sequence[int]]) -> None:
        """Read several characters: one path."""
        (path,) = paths
        if len(path) > self._window:  # what lies before is out of sight
            path = path[-self._window :]
            self._read = 0
        for index in path:
            self.step((index,))

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character: ids (1,)."""
        if self._rows <= self._read < self._window:
            rows, self._rows = self._rows, min(2 * self._rows, self._window)
            self._windows.keep(np.arange(self._rows) % rows)
        for array in self._windows.arrays():
            array[self._read % self._window] = 0  # that window is over, and another one begins
        self._windows.step(np.repeat(ids, self._rows))
        self._read += 1

    def logits(self) -> Floats:
        """Predictions (1, V) of the next character; before any, the output layer's bias."""
        if not self._read:
            return self._network.dense_bias[None].copy()
        oldest = max(0, self._read - self._window) % self._window
        return self._network.output(self._windows.h[oldest : oldest + 1])

    def keep(self, rows: Ids) -> None:
        """Go on with it, rows [0], or drop it."""


class Windows:
    """B texts, or one that is read both ways, by whole windows: `predict="last"`."""

    def __init__(self, network: Network, batch_size: int) -> None:
        self._network = network
        self._contexts: list[list[int]] = [[] for _ in range(batch_size)]

    def extend(self, paths: Sequence[Sequence[int]]) -> None:
        """Read several characters of each text."""
        window = self._network.config.window
        for context, path in zip(self._contexts, paths, strict=True):
            context.extend(path)
            del context[:-window]

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character of each text: ids (B,)."""
        self.extend([[int(index)] for index in ids])

    def logits(self) -> Floats:
        """Predictions (B, V) of the next characters; before any, the output layer's bias."""
        network = self._network
        lengths = np.array([len(context) for context in self._contexts])
        logits = np.tile(network.dense_bias, (len(lengths), 1))
        for length in set(lengths.tolist()) - {0}:
            rows = np.flatnonzero(lengths == length)
            logits[rows] = network.run_windows(np.array([self._contexts[row] for row in rows]))
        return logits

    def keep(self, rows: Ids) -> None:
        """Go on with these texts and drop the others."""
        self._contexts = [list(self._contexts[row]) for row in rows]


class Reader:
    """One text being read: characters in, the prediction of the next one out."""

    def __init__(self, network: Network) -> None:
        self._reading = network.read(1)

    def read(self, ids: Sequence[int]) -> Floats:
        """Read characters and predict the next.

        Args:
            ids: in order; none at all before the first gives what the network predicts with no
                input, the bias of its output layer.

        Returns:
            Logits (V,).
        """
        with computing():
            self._reading.extend([ids])
            logits: Floats = self._reading.logits()[0].copy()
        return logits
