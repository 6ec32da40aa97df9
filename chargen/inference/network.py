"""A trained network in NumPy: weights, stacked layers, streams of text running through them.

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
from chargen.inference.cells import Dot, Floats, make_cell
from chargen.inference.layers import FirstLayer, Layer, LayerStreams, one_stream

__all__ = ["CHUNK", "Network", "Reader", "Reading", "Staggered", "Stream", "Streams", "Windows"]

Ids = NDArray[np.integer]
CHUNK = 1024
"""Steps run at a time, at most."""
CHUNK_FLOATS = 1 << 18
"""Outputs of a layer held at a time when a text is run through: 1 MB, which fits a core's cache."""
WINDOWS = 256
"""Windows read at a time: from there on, more rows make a matrix product no faster."""
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
        self._dense_kernel, self.dense_bias = (array.copy() for array in remaining)
        self._dense_bias_row = self.dense_bias[None]

    @classmethod
    def load(cls, checkpoint: Checkpoint) -> Self:
        """The network of a checkpoint.

        Raises:
            CheckpointError: its weights cannot be read.
        """
        return cls(checkpoint.model, checkpoint.weights())

    @property
    def recurrent_bytes(self) -> int:
        """The size of a recurrent kernel."""
        return self._forward[0].cell.recurrent_kernel.nbytes

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

    def stream(self) -> "Stream":
        """One text to be read with carried state."""
        return Stream(self, self._forward)

    def streams(self, batch_size: int, dot: Dot = np.ndarray.dot) -> "Streams":
        """B texts to be read with carried state; `dot` multiplies by the recurrent kernels."""
        return Streams(self, [LayerStreams(layer, batch_size, dot) for layer in self._forward])

    def output(self, h: Floats, out: Floats | None = None) -> Floats:
        """Logits (..., V) of top-layer outputs (..., U)."""
        # The bias as a row, because adding arrays of the same shape is faster than broadcasting.
        logits: Floats = h.dot(self._dense_kernel, out)
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
        """Go on with these texts and drop the others."""
        ...


class Stream:
    """One text read with carried state: `predict="all"`.

    The outputs of all layers lie in one row, h_0 h_1 ..., so that a layer's input and its own last
    output are neighbours and can be multiplied by both kernels in one product.
    """

    def __init__(self, network: Network, layers: Sequence[Layer]) -> None:
        self._network = network
        U = network.config.units
        row = np.zeros((1, U * len(layers)), np.float32)
        self._outputs = [row[:, k * U : (k + 1) * U] for k in range(len(layers))]
        self._top = self._outputs[-1]
        self._logits = np.empty((1, network.config.vocabulary_size), np.float32)
        self._layers = [
            one_stream(layer, row[:, max(0, k - 1) * U : (k + 1) * U])
            for k, layer in enumerate(layers)
        ]

    def extend(self, paths: Sequence[Sequence[int]]) -> None:
        """Read several characters: one path."""
        for index in paths[0]:
            self._step(index)

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character: ids (1,)."""
        self._step(int(ids[0]))

    def _step(self, index: int) -> None:
        for layer in self._layers:
            layer.step(index)

    def logits(self) -> Floats:
        """Predictions (1, V) of the next character; before any, the output layer's bias."""
        return self._network.output(self._top, self._logits)

    def run(self, ids: Ids) -> Floats:
        """Read T characters, ids (T,): logits (T, V), the predictions after each."""
        outputs = np.empty((len(ids), self._top.shape[1]), np.float32)
        for index, output in zip(ids.tolist(), outputs, strict=True):
            self._step(index)
            output[:] = self._top[0]
        return self._network.output(outputs)

    def keep(self, rows: Ids) -> None:
        """Go on with it, rows [0], or drop it."""

    def arrays(self) -> list[Floats]:
        """All that is remembered of the text: arrays (1, U), written to by the next step."""
        layers = zip(self._outputs, self._layers, strict=True)
        return [array for h, layer in layers for array in (h, *layer.state.carried)]


class Streams:
    """B texts read with carried state: `predict="all"`."""

    def __init__(self, network: Network, layers: list[LayerStreams]) -> None:
        self._network = network
        self._layers = layers
        size = (len(layers[-1].h), network.config.vocabulary_size)
        self._logits = np.empty(size, np.float32)

    @property
    def h(self) -> Floats:
        """The top layer's output, (B, U)."""
        return self._layers[-1].h

    @property
    def chunk_steps(self) -> int:
        """How many steps to `run` at a time, so that memory is bounded."""
        widest = max(self._network.config.units, self._network.config.vocabulary_size)
        return min(max(1, CHUNK_FLOATS // (widest * len(self._logits))), CHUNK)

    def extend(self, paths: Sequence[Sequence[int]]) -> None:
        """Read several characters of each text; all end together, so the shorter begin later."""
        for left in range(max(map(len, paths)), 0, -1):
            waiting = [row for row, path in enumerate(paths) if len(path) < left]
            self.step([path[-left] if len(path) >= left else 0 for path in paths])
            for array in self.arrays():
                array[waiting] = 0

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character of each text: ids (B,)."""
        inputs: Any = ids
        for layer in self._layers:
            inputs = layer.step(inputs)

    def logits(self) -> Floats:
        """Predictions (B, V) of the next characters; before any, the output layer's bias."""
        return self._network.output(self.h, self._logits)

    def advance(self, ids: Ids) -> Floats:
        """Read T characters of each text, ids (T, B); the top layer's outputs (T, B, U)."""
        outputs: NDArray[Any] = ids
        for layer in self._layers:
            outputs = layer.run(outputs)
        return outputs

    def run(self, ids: Ids) -> Floats:
        """Read T characters of each text.

        Args:
            ids: (T, B).

        Returns:
            Logits (T, B, V): entry t is the prediction after reading character t.
        """
        outputs = self.advance(ids)
        # One product of two dimensions: NumPy would go through three a step at a time.
        logits = self._network.output(outputs.reshape(-1, outputs.shape[-1]))
        return logits.reshape(*ids.shape, -1)

    def keep(self, rows: Ids) -> None:
        """Go on with these texts and drop the others."""
        self._logits = np.empty((len(rows), self._logits.shape[1]), np.float32)
        for layer in self._layers:
            layer.keep(rows)

    def arrays(self) -> list[Floats]:
        """All that is remembered of the texts: arrays (B, U), written to by the next step."""
        return [array for layer in self._layers for array in (layer.h, *layer.state.carried)]


class Staggered:
    """One text, each character predicted from the window before it alone: `predict="last"`.

    The windows that are open, one for each of the last `window` characters, read on side by side:
    one product for all, where reading each whole would take `window` of them, one after the other.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._windows = network.streams(network.config.window)
        self._read = 0

    def extend(self, paths: Sequence[Sequence[int]]) -> None:
        """Read several characters: one path."""
        (path,) = paths
        window = self._network.config.window
        if len(path) > window:  # what lies before is out of sight
            path = path[-window:]
            self._read = 0
        for index in path:
            self.step((index,))

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character: ids (1,)."""
        window = self._network.config.window
        for array in self._windows.arrays():
            array[self._read % window] = 0  # that window is over, and another one begins
        self._windows.step(np.repeat(ids, window))
        self._read += 1

    def logits(self) -> Floats:
        """Predictions (1, V) of the next character; before any, the output layer's bias."""
        if not self._read:
            return self._network.dense_bias[None].copy()
        window = self._network.config.window
        oldest = max(0, self._read - window) % window
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
        self._contexts = [self._contexts[row] for row in rows]


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
        self._reading.extend([ids])
        logits: Floats = self._reading.logits()[0].copy()
        return logits
