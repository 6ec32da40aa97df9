"""A trained network in NumPy: weights, states, stacked layers, batches.

Sizes: B streams, T characters each, V characters in the vocabulary, U units. Arrays over time are
time-major, (T, B, ...), so that a step works on one contiguous block.
"""

from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from chargen.architecture import describe
from chargen.checkpoint import Checkpoint
from chargen.config import ModelConfig
from chargen.inference.cells import Cell, Floats, States, make_cell

__all__ = ["Network", "Reader"]

Ids = NDArray[np.integer]
CHUNK_FLOATS = 1 << 22
"""Projected inputs held at a time: 16 MB, which a second-level cache's worth of rows amortises."""


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
        self._forward: list[Cell] = []
        self._backward: list[Cell] = []
        for _ in range(config.layers):
            self._forward.append(_next_cell(config, remaining))
            if config.bidirectional:
                self._backward.append(_next_cell(config, remaining))
        # The input product of a one-hot character is one row of the kernel; an embedding's rows
        # can be multiplied out beforehand, which makes it the same look-up.
        self._forward_rows = _rows(self._forward[0], embedding)
        self._backward_rows = _rows(self._backward[0], embedding) if self._backward else None
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
        return [_zeros(cell, batch_size) for cell in self._forward]

    def step(self, ids: Ids, states: list[States]) -> Floats:
        """Advance by one character a stream.

        Args:
            ids: (B,).
            states: from `zero_states`; changed in place.

        Returns:
            The top layer's h (B, U), a view of the states; `output` turns it into logits.
        """
        z = self._forward_rows[ids]
        for cell, layer_states in zip(self._forward, states, strict=True):
            if cell is not self._forward[0]:
                z = h @ cell.kernel  # noqa: F821 - bound by the pass before
                z += cell.bias
            cell.step(z, layer_states)
            h = layer_states[0]
        return h

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
        outputs = _unroll(self._forward[0], _look_up(self._forward_rows, ids), states[0])
        for cell, layer_states in zip(self._forward[1:], states[1:], strict=True):
            outputs = _unroll(cell, _project(cell, outputs), layer_states)
        return self.output(outputs)

    def run_windows(self, ids: Ids) -> Floats:
        """Read whole windows from the zero state: `predict="last"`.

        Args:
            ids: (B, T), a window a row.

        Returns:
            Logits (B, V) of the character after each window.
        """
        ids = np.ascontiguousarray(ids.T)
        outputs = self._windows_layer(0, _look_up(self._forward_rows, ids), ids)
        for index in range(1, self.config.layers):
            outputs = self._windows_layer(index, _project(self._forward[index], outputs), outputs)
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
        widest = max(cell.kernel.shape[1] for cell in self._forward)
        widest = max(widest, self.config.vocabulary_size)
        return min(max(1, CHUNK_FLOATS // (widest * batch_size)), 1024)

    def _windows_layer(
        self, index: int, z: Iterator[Floats], inputs: NDArray[np.generic]
    ) -> Floats:
        batch_size = inputs.shape[1]
        cell = self._forward[index]
        outputs = _unroll(cell, z, _zeros(cell, batch_size))
        if not self._backward:
            return outputs
        cell = self._backward[index]
        reverse = inputs[::-1]
        if self._backward_rows is not None and index == 0:
            z = _look_up(self._backward_rows, reverse)
        else:
            z = _project(cell, reverse)
        backward = _unroll(cell, z, _zeros(cell, batch_size))[::-1]
        return np.concatenate([outputs, backward], axis=-1)


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


def _next_cell(config: ModelConfig, arrays: Iterator[Floats]) -> Cell:
    return make_cell(config, next(arrays), next(arrays), next(arrays))


def _rows(cell: Cell, embedding: Floats | None) -> Floats:
    rows: Floats = cell.kernel if embedding is None else embedding @ cell.kernel
    return rows + cell.bias


def _zeros(cell: Cell, batch_size: int) -> States:
    shape = (batch_size, cell.units)
    return tuple(np.zeros(shape, np.float32) for _ in range(cell.state_count))


def _look_up(rows: Floats, ids: NDArray[np.generic]) -> Iterator[Floats]:
    return (rows[step] for step in ids)


def _project(cell: Cell, inputs: NDArray[np.generic]) -> Iterator[Floats]:
    z = inputs @ cell.kernel
    z += cell.bias
    return iter(z)


def _unroll(cell: Cell, z: Iterator[Floats], states: States) -> Floats:
    outputs = []
    for step in z:
        cell.step(step, states)
        outputs.append(states[0].copy())
    return np.stack(outputs)
