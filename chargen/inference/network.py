"""A trained network in NumPy: weights, states, stacked layers, batches.

Sizes: B streams, T characters each, V characters in the vocabulary, U units. Arrays over time are
time-major, (T, B, ...), so that a step works on one contiguous block.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from chargen.architecture import describe
from chargen.checkpoint import Checkpoint
from chargen.config import ModelConfig
from chargen.inference.cells import Cell, Floats, States, make_cell

__all__ = ["Network", "Reader"]

Ids = NDArray[np.integer]
CHUNK_FLOATS = 1 << 22
"""Floats that a chunk of a long text may take in one layer: 16 MB, so that memory is bounded."""


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
        self._forward: list[_Layer] = []
        self._backward: list[_Layer] = []
        for index in range(config.layers):
            for layers in (self._forward, self._backward)[: 2 if config.bidirectional else 1]:
                cell = make_cell(config, next(remaining), next(remaining), next(remaining))
                layers.append(_Layer(cell) if index else _FirstLayer(cell, embedding))
        self._dense_kernel, self.dense_bias = remaining

    @classmethod
    def load(cls, checkpoint: Checkpoint) -> Self:
        """The network of a checkpoint.

        Raises:
            CheckpointError: its weights cannot be read.
        """
        return cls(checkpoint.model, checkpoint.weights())

    def zero_states(self, batch_size: int) -> list[States]:
        """The states before any character, one entry a layer, for a model that carries state."""
        return [layer.zero_states(batch_size) for layer in self._forward]

    def step(self, ids: Ids, states: list[States]) -> Floats:
        """Advance by one character a stream.

        Args:
            ids: (B,).
            states: from `zero_states`; changed in place.

        Returns:
            The top layer's h (B, U), a view of the states; `output` turns it into logits.
        """
        inputs: NDArray[Any] = ids
        for layer, layer_states in zip(self._forward, states, strict=True):
            inputs = layer.step(inputs, layer_states)
        return inputs

    def output(self, h: Floats) -> Floats:
        """Logits (..., V) of top-layer outputs (..., U)."""
        logits: Floats = h @ self._dense_kernel
        logits += self.dense_bias
        return logits

    def run(self, ids: Ids, states: list[States]) -> Floats:
        """Advance by T characters a stream, carrying state: `predict="all"`.

        Args:
            ids: (T, B).
            states: from `zero_states`; changed in place.

        Returns:
            Logits (T, B, V): entry t is the prediction after reading character t.
        """
        outputs: NDArray[Any] = ids
        for layer, layer_states in zip(self._forward, states, strict=True):
            outputs = layer.run(outputs, layer_states)
        return self.output(outputs)

    def run_windows(self, ids: Ids) -> Floats:
        """Read whole windows from the zero state: `predict="last"`.

        Args:
            ids: (B, T), a window a row.

        Returns:
            Logits (B, V) of the character after each window.
        """
        outputs: NDArray[Any] = np.ascontiguousarray(ids.T)
        for index in range(self.config.layers):
            outputs = self._read_both_ways(index, outputs)
        if not self._backward:
            return self.output(outputs[-1])
        # Each direction's last output: forward at the window's end, backward at its start.
        units = self.config.units
        return self.output(np.concatenate([outputs[-1, :, :units], outputs[0, :, units:]], axis=-1))

    def logits(self, ids: Ids) -> Floats:
        """Predictions after each character of one text, read as the model was trained.

        Args:
            ids: (T,); the first is read from the zero state.

        Returns:
            float32 (T, V): row t is the prediction of the character after ids[t].
        """
        if self.config.predict == "all":
            states = self.zero_states(1)
            size = self.chunk_steps(1)
            pieces = [
                self.run(ids[k : k + size, None], states)[:, 0] for k in range(0, len(ids), size)
            ]
        else:
            pieces = list(self.sliding_logits(ids))
        if not pieces:
            return np.zeros((0, self.config.vocabulary_size), np.float32)
        return np.concatenate(pieces)

    def sliding_logits(self, ids: Ids) -> Iterator[Floats]:
        """`logits` of a `predict="last"` model in consecutive pieces (n, V).

        Each character is read with the `window - 1` before it, fewer at the text's start.
        """
        window = self.config.window
        for end in range(1, min(window, len(ids) + 1)):
            yield self.run_windows(ids[None, :end])
        if len(ids) < window:
            return
        windows = np.lib.stride_tricks.sliding_window_view(ids, window)
        size = max(1, self.chunk_steps(window))
        for start in range(0, len(windows), size):
            yield self.run_windows(windows[start : start + size])

    def chunk_steps(self, batch_size: int) -> int:
        """How many steps of `batch_size` streams to run at a time, so that memory is bounded."""
        widest = max(max(layer.width for layer in self._forward), self.config.vocabulary_size)
        return min(max(1, CHUNK_FLOATS // (widest * batch_size)), 1024)

    def _read_both_ways(self, index: int, inputs: NDArray[Any]) -> Floats:
        """One layer's outputs (T, B, U), or (T, B, 2 U) where it is bidirectional."""
        batch_size = inputs.shape[1]
        forward = self._forward[index]
        outputs = forward.run(inputs, forward.zero_states(batch_size))
        if not self._backward:
            return outputs
        backward = self._backward[index]
        reverse = backward.run(inputs[::-1], backward.zero_states(batch_size))[::-1]
        return np.concatenate([outputs, reverse], axis=-1)


class _Layer:
    """A cell run over time, on the outputs of the layer below."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self.width = len(cell.bias)

    def zero_states(self, batch_size: int) -> States:
        shape = (batch_size, self._cell.units)
        return tuple(np.zeros(shape, np.float32) for _ in range(self._cell.state_count))

    def step(self, inputs: NDArray[Any], states: States) -> Floats:
        """Inputs (B, I) -> h (B, U), a view of the states."""
        self._cell.step(self._project(inputs), states)
        return states[0]

    def run(self, inputs: NDArray[Any], states: States) -> Floats:
        """Inputs (T, B, I) -> outputs (T, B, U)."""
        outputs = np.empty((*inputs.shape[:2], self._cell.units), np.float32)
        for z, output in zip(self._project_all(inputs), outputs, strict=True):
            self._cell.step(z, states)
            output[:] = states[0]
        return outputs

    def _project(self, inputs: NDArray[Any]) -> Floats:
        z: Floats = inputs @ self._cell.kernel
        z += self._cell.bias
        return z

    def _project_all(self, inputs: NDArray[Any]) -> Iterable[Floats]:
        return self._project(inputs)  # one product for all steps


class _FirstLayer(_Layer):
    """A cell run over time, on characters: ids (B,) or (T, B).

    The input product of a one-hot character is one row of the kernel; an embedding's rows are
    multiplied out beforehand, which makes it the same look-up.
    """

    def __init__(self, cell: Cell, embedding: Floats | None) -> None:
        super().__init__(cell)
        rows = cell.kernel if embedding is None else embedding @ cell.kernel
        self._rows: Floats = rows + cell.bias

    def _project(self, inputs: NDArray[Any]) -> Floats:
        z: Floats = self._rows[inputs]
        return z

    def _project_all(self, inputs: NDArray[Any]) -> Iterable[Floats]:
        return map(self._project, inputs)  # a step at a time: looking up gains nothing from more


class Reader:
    """One text being read: characters in, the prediction of the next one out."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._states = network.zero_states(1) if network.config.predict == "all" else []
        self._context: list[int] = []

    def read(self, ids: Sequence[int]) -> Floats:
        """Read characters and predict the next.

        Args:
            ids: in order; none at all before the first gives what the network predicts with no
                input, the bias of its output layer.

        Returns:
            Logits (V,).
        """
        network = self._network
        if network.config.predict == "last":
            self._context = [*self._context, *ids][-network.config.window :]
            if not self._context:
                return network.dense_bias.copy()
            logits: Floats = network.run_windows(np.array([self._context]))[0]
            return logits
        for index in ids:
            network.step(np.array([index]), self._states)
        return network.output(self._states[-1][0])[0] if ids else network.dense_bias.copy()
