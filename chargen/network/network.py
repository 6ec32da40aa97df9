"""A trained network in NumPy: its weights.

Sizes: B sequences of T characters each, V characters in the vocabulary, U units. Arrays with a time
axis are time-major, (T, B, ...), so that a step works on one contiguous block.

A network holds weights and never changes, so threads can share it. The state that changes is in a
`chargen.network.reading.Reading`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chargen.checkpoint.architecture import describe
from chargen.config import ModelConfig
from chargen.data.vocabulary import Ids
from chargen.errors import NumericalError
from chargen.network.cells import Floats, aligned_copy, make_cell
from chargen.network.layers import FirstLayer, Layer, LayerState

__all__ = ["Network", "check_finite"]

WINDOWS = 256
"""The most windows read at a time: more rows would make a matrix product no faster."""
WINDOW_FLOATS = 1 << 24
"""The most numbers that stacked layers hand on for all steps of the windows read at a time, outputs
and projections together: 64 MB."""


class Network:
    """The weights of a model, ready to run.

    Args:
        config: the architecture.
        weights: float32 arrays in the order of `chargen.checkpoint.architecture.describe`, which is
            that of Keras' `model.trainable_weights`.

    Attributes:
        forward: the recurrent layers, from the characters up.
        backward: the layers that read the other way; empty unless the network is bidirectional.
        dense_kernel: the output layer's (U, V), or (2 U, V) if the network is bidirectional.
        dense_bias: (V,).
    """

    @np.errstate(all="ignore")  # weights may overflow here; `check_finite` looks at the outputs
    def __init__(self, config: ModelConfig, weights: Sequence[Floats]) -> None:
        expected = [array.shape for layer in describe(config) for array in layer.arrays]
        if [array.shape for array in weights] != expected:
            raise ValueError(f"weights should have the shapes {expected}")
        self.config = config
        remaining = iter(weights)
        embedding = next(remaining).copy() if config.embedding else None
        self._embedding = embedding
        self.forward: list[Layer] = []
        self.backward: list[Layer] = []
        for index in range(config.layers):
            for layers in (self.forward, self.backward)[: 2 if config.bidirectional else 1]:
                cell = make_cell(config, next(remaining), next(remaining), next(remaining))
                layers.append(Layer(cell) if index else FirstLayer(cell, embedding))
        # Views would keep the whole file in memory, beside the rearranged weights of the cells.
        self.dense_kernel, self.dense_bias = map(aligned_copy, remaining)
        # (1, V), because adding arrays of the same shape is faster than broadcasting.
        self._dense_bias_row = self.dense_bias[None]

    def __reduce__(self) -> tuple[Any, ...]:
        # What is derived from the weights is made again: a pickle takes hardly more than they do.
        return Network, (self.config, self.weights())

    def weights(self) -> list[Floats]:
        """Return arrays of which this very network can be made, bit for bit.

        They are in the order and the shapes of those that were given, and equal to them, except for
        the biases that a GRU adds up: of each two they are the mean. They are for reading only, as
        some are the network's own.
        """
        below = [] if self._embedding is None else [self._embedding]
        directions = [self.forward, self.backward] if self.backward else [self.forward]
        cells = [layer.cell for level in zip(*directions, strict=True) for layer in level]
        arrays = [array for cell in cells for array in cell.arrays()]
        return [*below, *arrays, self.dense_kernel, self.dense_bias]

    def output(self, h: Floats, out: Floats | None = None) -> Floats:
        """Return the logits (n, V) of the top layer's outputs (n, U)."""
        logits: Floats = h.dot(self.dense_kernel, out)
        np.add(logits, self._dense_bias_row, logits)
        return logits

    def run_windows(self, ids: Ids) -> Floats:
        """Read whole windows from the zero state, for `predict="last"`.

        Args:
            ids: (B, T), one window per row.

        Returns:
            Logits (B, V) of the character after each window.
        """
        size = self.windows_together(ids.shape[1])
        if len(ids) > size:
            starts = range(0, len(ids), size)
            return np.concatenate([self.run_windows(ids[k : k + size]) for k in starts])
        directions = 2 if self.backward else 1
        outputs = [state.h for state in self.read_windows(ids)[-directions:]]
        return self.output(np.concatenate(outputs, axis=-1) if self.backward else outputs[0])

    def read_windows(self, ids: Ids) -> list[LayerState]:
        """Read a few whole windows from the zero state, for `predict="last"`.

        Args:
            ids: (B, T), one window per row, at most `windows_together(T)`.

        Returns:
            The state in which each layer leaves the windows, from the characters up; if the network
            is bidirectional, the layer that reads backward after the one that reads forward.
        """
        states: list[LayerState] = []
        outputs: NDArray[Any] = np.ascontiguousarray(ids.T)
        last = self.config.layers - 1
        for index, forward in enumerate(self.forward):
            # Of the top layer only the output at the end of each direction is needed.
            whole = index < last
            states.append(LayerState(forward, len(ids)))
            directions = [states[-1].run(outputs, whole=whole)]
            if self.backward:
                states.append(LayerState(self.backward[index], len(ids)))
                directions.append(states[-1].run(outputs[::-1], whole=whole)[::-1])
            outputs = np.concatenate(directions, axis=-1) if self.backward else directions[0]
        return states

    def windows_together(self, steps: int) -> int:
        """Return how many windows of so many steps to read at a time."""
        if self.config.layers == 1:
            return WINDOWS  # nothing is handed on, and of a step only the state is kept
        cell = self.forward[0].cell
        floats: int = steps * (cell.units + cell.bias.shape[1])
        return max(1, min(WINDOWS, WINDOW_FLOATS // floats))

    def windows(self, ids: Ids) -> Iterator[Ids]:
        """Yield all whole windows of one text, ids (T,), many at a time: views (n, window)."""
        if len(ids) < self.config.window:
            return
        windows = np.lib.stride_tricks.sliding_window_view(ids, self.config.window)
        for first in range(0, len(windows), WINDOWS):
            yield windows[first : first + WINDOWS]


def check_finite(values: NDArray[np.floating] | np.floating) -> None:
    """Refuse outputs that overflowed, before a character or a score is computed from them.

    Raises:
        NumericalError: a value is infinite or NaN.
    """
    if not np.isfinite(values).all():
        raise NumericalError(
            "the network's outputs are not finite numbers: its weights exploded in training; train "
            "again with a lower --learning-rate, a smaller --clip-norm, or --cell lstm"
        )
