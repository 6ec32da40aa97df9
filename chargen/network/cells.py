"""One step of each recurrent cell, as Keras computes it.

Sizes: B sequences that advance together, I inputs, U units, G gates (LSTM 4, GRU 3, RNN 1).

A cell holds weights. `cell.state(B, ...)` is what it remembers of B sequences besides h, together
with the scratch arrays of a step, so that a step allocates nothing and several threads can run one
cell.

A step takes inputs that are already projected, x = input W + b of shape (B, G U). The weights are
rearranged once, when they are loaded. Since sigmoid(x) = (1 + tanh(x / 2)) / 2, the columns of the
sigmoid gates are halved, so that one `tanh` serves all gates of an LSTM, and all sigmoid gates of a
GRU; and these columns come first, so that one operation on one block completes the formula.

NumPy's functions are called by their bare names, with the output as the last positional argument: a
step of one sequence is a dozen calls of a third of a microsecond each, so looking up `np.` and
parsing `out=` would take a noticeable share.
"""

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy import add, maximum, multiply, subtract, tanh
from numpy.typing import NDArray

from chargen.config import LEAKY_RELU_SLOPE, ModelConfig

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Cell",
    "CellState",
    "Floats",
    "aligned",
    "aligned_copy",
    "make_cell",
]

Floats = NDArray[np.float32]

CACHE_LINE_BYTES = 64

# A zero-dimensional array: converting a Python number takes NumPy a third of a microsecond.
_HALF = np.array(0.5, dtype=np.float32)


def aligned(shape: tuple[int, ...]) -> Floats:
    """Return an uninitialised array that begins at a cache line.

    NumPy's own arrays begin at any multiple of 16 bytes. The product of a vector and a matrix whose
    rows straddle cache lines takes up to 40 % longer.
    """
    size = math.prod(shape)
    buffer = np.empty(size + CACHE_LINE_BYTES // 4, np.float32)
    start = -buffer.ctypes.data % CACHE_LINE_BYTES // 4
    return buffer[start : start + size].reshape(shape)


def aligned_copy(array: Floats) -> Floats:
    """Return a copy that begins at a cache line."""
    copy = aligned(array.shape)
    copy[...] = array
    return copy


class Cell(Protocol):
    """A recurrent cell's weights."""

    units: int
    kernel: Floats
    """(I, G U): projects inputs, `x = inputs @ kernel + bias`."""
    recurrent_kernel: Floats
    """(U, G U): multiplies the last output h."""
    bias: Floats
    """(1, G U): two-dimensional, because adding arrays of one shape is faster than broadcasting."""
    joinable: bool
    """Whether one product may multiply both: `[inputs, h] @ [kernel; recurrent_kernel]`."""

    def state(self, batch_size: int, recurrent_kernel: Floats) -> "CellState":
        """Return the zero state of B sequences.

        Args:
            batch_size: B.
            recurrent_kernel: the cell's own (U, G U), in either memory order, or the joined kernels
                (I + U, G U), `kernel` above it.
        """
        ...

    def arrays(self) -> tuple[Floats, Floats, Floats]:
        """Return a kernel, recurrent kernel and bias, as Keras stores them, for `make_cell`.

        The cell that is made of them is this one, bit for bit. They are for reading only, as they
        may be the cell's own.
        """
        ...


class CellState(Protocol):
    """What a cell remembers of B sequences besides h, and the scratch arrays of one step."""

    carried: tuple[Floats, ...]
    """(c,) with c of shape (B, U) for LSTM, () for GRU and RNN."""

    def step(self, h: Floats, x: Floats, out: Floats) -> None:
        """Advance by one character.

        Args:
            h: (B, U), the last output; with joined kernels (B, I + U), the inputs before it.
            x: (B, G U), the projected inputs; with joined kernels (1, G U), only the bias.
            out: (B, U), receives the next output; it may be the memory of the last one.
        """
        ...


class RNN:
    """h' = activation(x + h U)."""

    joinable = True

    def __init__(
        self, kernel: Floats, recurrent_kernel: Floats, bias: Floats, activation: str
    ) -> None:
        self.units = len(recurrent_kernel)
        self.kernel, self.recurrent_kernel = aligned_copy(kernel), aligned_copy(recurrent_kernel)
        self.bias = aligned_copy(bias[None])
        self.activate = _ACTIVATIONS[activation]

    def state(self, batch_size: int, recurrent_kernel: Floats) -> CellState:
        """Return the zero state of B sequences."""
        return _RNNState(self, batch_size, recurrent_kernel)

    def arrays(self) -> tuple[Floats, Floats, Floats]:
        """Return the arrays of which the cell was made."""
        return self.kernel, self.recurrent_kernel, self.bias[0]


class _RNNState:
    carried: tuple[Floats, ...] = ()

    def __init__(self, cell: RNN, batch_size: int, recurrent_kernel: Floats) -> None:
        self._kernel, self._activate = recurrent_kernel, cell.activate
        self._z = np.empty((batch_size, cell.units), np.float32)

    def step(self, h: Floats, x: Floats, out: Floats) -> None:
        z = self._z
        h.dot(self._kernel, z)
        add(z, x, z)
        self._activate(z, out)


class _Gates:
    """The gates of B sequences.

    A product is (B, G U). Operations on slices of its long rows take several times as long as on
    contiguous memory, so the S sigmoid gates are copied to (S, B, U).
    """

    def __init__(self, kernel: Floats, batch_size: int, units: int, sigmoids: int) -> None:
        self._kernel = kernel
        self._shape = (batch_size, kernel.shape[1] // units, units)
        self._z = aligned((batch_size, kernel.shape[1]))  # (B, G U)
        by_gate = self._by_gate(self._z)
        self._halves, self._candidate = by_gate[:sigmoids], by_gate[-1]  # (S, B, U), (B, U)
        # With one sequence, each gate is already contiguous.
        sliced = batch_size > 1
        self._sigmoid = np.empty_like(self._halves, order="C") if sliced else self._halves

    def _by_gate(self, x: Floats) -> Floats:
        """Return x (B, G U) as a view (G, B, U)."""
        return x.reshape(self._shape).swapaxes(0, 1)


class LSTM:
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers, Schmidhuber, Cummins 2000.

    i, f, o = sigmoid(...), g = tanh(...); c' = f c + i g; h' = o tanh(c').
    Keras orders the columns i, f, g, o; here the order is i, f, o, g.
    """

    joinable = True

    def __init__(self, kernel: Floats, recurrent_kernel: Floats, bias: Floats) -> None:
        self.units = len(recurrent_kernel)

        def rearrange(columns: Floats) -> Floats:
            i_and_f, g, o = np.split(columns, [2 * self.units, 3 * self.units], axis=-1)
            gates = aligned(columns.shape)
            return np.concatenate([i_and_f / 2, o / 2, g], axis=-1, out=gates)

        self.kernel = rearrange(kernel)
        self.recurrent_kernel = rearrange(recurrent_kernel)
        self.bias = rearrange(bias[None])

    def state(self, batch_size: int, recurrent_kernel: Floats) -> CellState:
        """Return the zero state of B sequences."""
        return _LSTMState(self, batch_size, recurrent_kernel)

    def arrays(self) -> tuple[Floats, Floats, Floats]:
        """Return the arrays of which the cell was made."""

        def rearrange(columns: Floats) -> Floats:
            i_and_f, o, g = np.split(columns, [2 * self.units, 3 * self.units], axis=-1)
            return np.concatenate([i_and_f * 2, g, o * 2], axis=-1)

        return rearrange(self.kernel), rearrange(self.recurrent_kernel), rearrange(self.bias[0])


class _LSTMState(_Gates):
    def __init__(self, cell: LSTM, batch_size: int, recurrent_kernel: Floats) -> None:
        super().__init__(recurrent_kernel, batch_size, cell.units, 3)
        self._c = np.zeros((batch_size, cell.units), np.float32)
        self.carried: tuple[Floats, ...] = (self._c,)
        self._i, self._f, self._o = self._sigmoid

    def step(self, h: Floats, x: Floats, out: Floats) -> None:
        z, sigmoid, c, i = self._z, self._sigmoid, self._c, self._i
        h.dot(self._kernel, z)
        add(z, x, z)
        tanh(z, z)
        multiply(self._halves, _HALF, sigmoid)
        add(sigmoid, _HALF, sigmoid)
        multiply(c, self._f, c)
        multiply(i, self._candidate, i)
        add(c, i, c)
        tanh(c, out)
        multiply(out, self._o, out)


class GRU:
    """Cho et al. 2014, with the reset gate applied after the product (Keras' `reset_after`).

    z, r = sigmoid(...); g = tanh(x W_g + b_g + r (h U_g + d_g)); h' = z h + (1 - z) g, where b is
    row 0 of Keras' bias and d is row 1.
    """

    joinable = False  # the reset gate scales only one of the candidate's two products

    def __init__(self, kernel: Floats, recurrent_kernel: Floats, bias: Floats) -> None:
        units = self.units = len(recurrent_kernel)

        def halve(columns: Floats) -> Floats:
            halved = aligned_copy(columns)
            halved[..., : 2 * units] /= 2
            return halved

        self.kernel, self.recurrent_kernel = halve(kernel), halve(recurrent_kernel)
        self.bias, recurrent_bias = np.split(halve(bias), 2)
        # For z and r both biases are simply added; the candidate's recurrent bias is scaled by r.
        self.bias[:, : 2 * units] += recurrent_bias[:, : 2 * units]
        self.candidate_bias = recurrent_bias[:, 2 * units :]

    def state(self, batch_size: int, recurrent_kernel: Floats) -> CellState:
        """Return the zero state of B sequences."""
        return _GRUState(self, batch_size, recurrent_kernel)

    def arrays(self) -> tuple[Floats, Floats, Floats]:
        """Return arrays of which the same cell is made: for z and r, both biases are their mean."""
        sigmoids = 2 * self.units

        def double(columns: Floats) -> Floats:
            doubled = columns.copy()
            doubled[:, :sigmoids] *= 2
            return doubled

        bias = np.concatenate([self.bias, self.bias])
        bias[1:, sigmoids:] = self.candidate_bias
        return double(self.kernel), double(self.recurrent_kernel), bias


class _GRUState(_Gates):
    carried: tuple[Floats, ...] = ()

    def __init__(self, cell: GRU, batch_size: int, recurrent_kernel: Floats) -> None:
        super().__init__(recurrent_kernel, batch_size, cell.units, 2)
        self._candidate_bias = cell.candidate_bias
        self._update, self._reset = self._sigmoid
        self._g = np.empty((batch_size, cell.units), np.float32)

    def step(self, h: Floats, x: Floats, out: Floats) -> None:
        sigmoid, g, x = self._sigmoid, self._g, self._by_gate(x)
        h.dot(self._kernel, self._z)
        add(self._halves, x[:2], sigmoid)
        tanh(sigmoid, sigmoid)
        multiply(sigmoid, _HALF, sigmoid)
        add(sigmoid, _HALF, sigmoid)
        add(self._candidate, self._candidate_bias, g)
        multiply(g, self._reset, g)
        add(g, x[2], g)
        tanh(g, g)
        subtract(h, g, out)
        multiply(out, self._update, out)
        add(out, g, out)


def make_cell(config: ModelConfig, kernel: Floats, recurrent_kernel: Floats, bias: Floats) -> Cell:
    """Make the configured cell from its arrays as Keras stores them.

    Args:
        config: names the cell.
        kernel: (I, G U).
        recurrent_kernel: (U, G U).
        bias: (G U,), or (2, G U) for GRU.
    """
    match config.cell:
        case "lstm":
            return LSTM(kernel, recurrent_kernel, bias)
        case "gru":
            return GRU(kernel, recurrent_kernel, bias)
        case "rnn":
            return RNN(kernel, recurrent_kernel, bias, config.activation)


def _tanh(z: Floats, out: Floats) -> None:
    tanh(z, out)


def _relu(z: Floats, out: Floats) -> None:
    maximum(z, 0, out=out)


def _sigmoid(z: Floats, out: Floats) -> None:
    multiply(z, _HALF, out)
    tanh(out, out)
    multiply(out, _HALF, out)
    add(out, _HALF, out)


def _leaky_relu(z: Floats, out: Floats) -> None:
    multiply(z, _LEAK, out)
    maximum(z, out, out=out)


_LEAK = np.array(LEAKY_RELU_SLOPE, dtype=np.float32)
_ACTIVATIONS: dict[str, Callable[[Floats, Floats], None]] = {
    "tanh": _tanh,
    "relu": _relu,
    "sigmoid": _sigmoid,
    "leaky_relu": _leaky_relu,
}
