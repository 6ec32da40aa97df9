"""One step of each recurrent cell, as Keras computes it.

B streams advance together; U is the number of units, G the gates (LSTM 4, GRU 3, RNN 1). A cell
is weights; `cell.state(B)` is what it remembers of B streams beside h, with the scratch that a
step works in, so that a step allocates nothing and several threads can run one cell.

A step takes the inputs already projected, x = input W + b of shape (B, G U). Two rearrangements
are made once, at load. Since sigmoid(x) = (1 + tanh(x / 2)) / 2, the columns of the sigmoid gates
are halved, so that one `tanh` serves all gates; and they are moved to the front, so that what
undoes the halving is one operation on one block.

NumPy's functions are called by their bare names with the output last: a step of one stream is a
dozen calls of a third of a microsecond each, where looking up `np.` and reading `out=` would show.
"""

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy import add, maximum, multiply, subtract, tanh
from numpy.typing import NDArray

from chargen.config import ModelConfig

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Cell",
    "CellState",
    "Dot",
    "Floats",
    "aligned",
    "aligned_copy",
    "make_cell",
]

Floats = NDArray[np.float32]
Dot = Callable[[Floats, Floats, Floats], object]
"""Called as `dot(a, b, out)`; out = a b."""

CACHE_LINE_BYTES = 64

# An array of no dimensions: NumPy takes a third of a microsecond to make one of a Python number.
_HALF = np.array(0.5, dtype=np.float32)


def aligned(shape: tuple[int, ...]) -> Floats:
    """An array, uninitialised, that begins with a cache line.

    NumPy's own begin anywhere at a multiple of 16 bytes. The product of a vector and a matrix whose
    rows straddle cache lines takes up to 40 % longer.
    """
    size = math.prod(shape)
    buffer = np.empty(size + CACHE_LINE_BYTES // 4, np.float32)
    start = -buffer.ctypes.data % CACHE_LINE_BYTES // 4
    return buffer[start : start + size].reshape(shape)


def aligned_copy(array: Floats) -> Floats:
    """A copy that begins with a cache line."""
    copy = aligned(array.shape)
    copy[...] = array
    return copy


class Cell(Protocol):
    """A recurrent cell's weights."""

    units: int
    kernel: Floats
    """(I, G U): projects an input, `x = input @ kernel + bias`."""
    recurrent_kernel: Floats
    """(U, G U)"""
    bias: Floats
    """(1, G U), a row, because adding arrays of one shape is faster than broadcasting."""
    joinable: bool
    """Whether input and h may be multiplied in one product, `[input, h] @ [kernel; recurrent]`."""

    def state(
        self, batch_size: int, recurrent_kernel: Floats, dot: Dot = np.ndarray.dot
    ) -> "CellState":
        """The zero state of B streams.

        Args:
            batch_size: B.
            recurrent_kernel: the cell's own, in either memory order, or below `kernel`, joined.
            dot: what multiplies by it.
        """
        ...


class CellState(Protocol):
    """What a cell remembers of B streams beside h, and the scratch of one step."""

    carried: tuple[Floats, ...]
    """(c,) of shape (B, U) for LSTM, nothing for GRU and RNN."""

    def step(self, h: Floats, x: Floats, out: Floats) -> None:
        """Advance by one character.

        Args:
            h: (B, U), the last output; (B, I + U), behind the input, with a joined kernel.
            x: (B, G U), the projected input; the bias alone with a joined kernel.
            out: (B, U), takes the next output; may be where the last one is.
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

    def state(
        self, batch_size: int, recurrent_kernel: Floats, dot: Dot = np.ndarray.dot
    ) -> CellState:
        """The zero state of B streams."""
        return _RNNState(self, batch_size, recurrent_kernel, dot)


class _Gates:
    """The gates of B streams.

    Products are rows (B, G U). Operations on pieces of long rows take several times as long as on
    what lies together, so the sigmoid gates, S of them, go on as (S, B, U).
    """

    def __init__(
        self, kernel: Floats, batch_size: int, units: int, sigmoids: int, dot: Dot
    ) -> None:
        self._kernel, self._dot = kernel, dot
        self._shape = (batch_size, kernel.shape[1] // units, units)
        self._z = aligned((batch_size, kernel.shape[1]))
        by_gate = self._by_gate(self._z)
        self._halves, self._candidate = by_gate[:sigmoids], by_gate[-1]
        # One stream's gates lie together as they are.
        apart = batch_size > 1
        self._sigmoid = np.empty_like(self._halves, order="C") if apart else self._halves

    def _by_gate(self, x: Floats) -> Floats:
        """A view of x (B, G U) as (G, B, U)."""
        return x.reshape(self._shape).swapaxes(0, 1)


class _RNNState:
    carried: tuple[Floats, ...] = ()

    def __init__(self, cell: RNN, batch_size: int, recurrent_kernel: Floats, dot: Dot) -> None:
        self._kernel, self._dot, self._activate = recurrent_kernel, dot, cell.activate
        self._z = np.empty((batch_size, cell.units), np.float32)

    def step(self, h: Floats, x: Floats, out: Floats) -> None:
        z = self._z
        self._dot(h, self._kernel, z)
        add(z, x, z)
        self._activate(z, out)


class LSTM:
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers, Schmidhuber, Cummins 2000.

    i, f, o = sigmoid(...), g = tanh(...); c' = f c + i g; h' = o tanh(c').
    Keras keeps the columns as i, f, g, o; here they are i, f, o, g.
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

    def state(
        self, batch_size: int, recurrent_kernel: Floats, dot: Dot = np.ndarray.dot
    ) -> CellState:
        """The zero state of B streams."""
        return _LSTMState(self, batch_size, recurrent_kernel, dot)


class _LSTMState(_Gates):
    def __init__(self, cell: LSTM, batch_size: int, recurrent_kernel: Floats, dot: Dot) -> None:
        super().__init__(recurrent_kernel, batch_size, cell.units, 3, dot)
        self._c = np.zeros((batch_size, cell.units), np.float32)
        self.carried: tuple[Floats, ...] = (self._c,)
        self._i, self._f, self._o = self._sigmoid

    def step(self, h: Floats, x: Floats, out: Floats) -> None:
        z, sigmoid, c, i = self._z, self._sigmoid, self._c, self._i
        self._dot(h, self._kernel, z)
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
    """Cho et al. 2014 in the form with the reset gate after the product (Keras' `reset_after`).

    z, r = sigmoid(...); g = tanh(x W_g + b_g + r (h U_g + d_g)); h' = z h + (1 - z) g, where row 0
    of Keras' bias is b and row 1 is d.
    """

    joinable = False  # the reset gate comes between the products of the candidate

    def __init__(self, kernel: Floats, recurrent_kernel: Floats, bias: Floats) -> None:
        units = self.units = len(recurrent_kernel)

        def halve(columns: Floats) -> Floats:
            halved = aligned_copy(columns)
            halved[..., : 2 * units] /= 2
            return halved

        self.kernel, self.recurrent_kernel = halve(kernel), halve(recurrent_kernel)
        self.bias, recurrent_bias = np.split(halve(bias), 2)
        # The recurrent bias of z and r is added with the input's; the candidate's is scaled by r.
        self.bias[:, : 2 * units] += recurrent_bias[:, : 2 * units]
        self.candidate_bias = recurrent_bias[:, 2 * units :]

    def state(
        self, batch_size: int, recurrent_kernel: Floats, dot: Dot = np.ndarray.dot
    ) -> CellState:
        """The zero state of B streams."""
        return _GRUState(self, batch_size, recurrent_kernel, dot)


class _GRUState(_Gates):
    carried: tuple[Floats, ...] = ()

    def __init__(self, cell: GRU, batch_size: int, recurrent_kernel: Floats, dot: Dot) -> None:
        super().__init__(recurrent_kernel, batch_size, cell.units, 2, dot)
        self._candidate_bias = cell.candidate_bias
        self._update, self._reset = self._sigmoid
        self._g = np.empty((batch_size, cell.units), np.float32)

    def step(self, h: Floats, x: Floats, out: Floats) -> None:
        sigmoid, g, x = self._sigmoid, self._g, self._by_gate(x)
        self._dot(h, self._kernel, self._z)
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
    """The configured cell from its arrays as Keras keeps them.

    Args:
        config: says which cell.
        kernel: (inputs, G U).
        recurrent_kernel: (U, G U).
        bias: (G U,), for GRU (2, G U).
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


_LEAK = np.array(0.2, dtype=np.float32)  # Keras' slope
_ACTIVATIONS: dict[str, Callable[[Floats, Floats], None]] = {
    "tanh": _tanh,
    "relu": _relu,
    "sigmoid": _sigmoid,
    "leaky_relu": _leaky_relu,
}
