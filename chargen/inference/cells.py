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

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy import add, maximum, multiply, subtract, tanh
from numpy.typing import NDArray

from chargen.config import ModelConfig

__all__ = ["GRU", "LSTM", "RNN", "Cell", "CellState", "Floats", "make_cell"]

Floats = NDArray[np.float32]

# An array of no dimensions: NumPy takes a third of a microsecond to make one of a Python number.
_HALF = np.array(0.5, dtype=np.float32)


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

    def state(self, batch_size: int, recurrent_kernel: Floats | None = None) -> "CellState":
        """The zero state of B streams.

        Args:
            batch_size: B.
            recurrent_kernel: the cell's own in another memory order, or joined to `kernel`.
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
        self.kernel, self.recurrent_kernel, self.bias = kernel, recurrent_kernel, bias[None]
        self.activate = _ACTIVATIONS[activation]

    def state(self, batch_size: int, recurrent_kernel: Floats | None = None) -> CellState:
        """The zero state of B streams."""
        kernel = self.recurrent_kernel if recurrent_kernel is None else recurrent_kernel
        return _RNNState(self, batch_size, kernel)


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


class LSTM:
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers, Schmidhuber, Cummins 2000.

    i, f, o = sigmoid(...), g = tanh(...); c' = f c + i g; h' = o tanh(c').
    Keras keeps the columns as i, f, g, o; here they are i, f, o, g.
    """

    joinable = True

    def __init__(self, kernel: Floats, recurrent_kernel: Floats, bias: Floats) -> None:
        self.units = len(recurrent_kernel)

        def rearrange(columns: Floats) -> Floats:
            i, f, g, o = np.split(columns, 4, axis=-1)
            return np.concatenate([i / 2, f / 2, o / 2, g], axis=-1)

        self.kernel = rearrange(kernel)
        self.recurrent_kernel = rearrange(recurrent_kernel)
        self.bias = rearrange(bias[None])

    def state(self, batch_size: int, recurrent_kernel: Floats | None = None) -> CellState:
        """The zero state of B streams."""
        kernel = self.recurrent_kernel if recurrent_kernel is None else recurrent_kernel
        return _LSTMState(self, batch_size, kernel)


class _LSTMState:
    def __init__(self, cell: LSTM, batch_size: int, recurrent_kernel: Floats) -> None:
        U = cell.units
        self._kernel = recurrent_kernel
        self._c = np.zeros((batch_size, U), np.float32)
        self.carried: tuple[Floats, ...] = (self._c,)
        self._z = z = np.empty((batch_size, 4 * U), np.float32)
        self._sigmoid = z[:, : 3 * U]
        self._i, self._f, self._o, self._g = (z[:, k * U : (k + 1) * U] for k in range(4))

    def step(self, h: Floats, x: Floats, out: Floats) -> None:
        z, sigmoid, c, i = self._z, self._sigmoid, self._c, self._i
        h.dot(self._kernel, z)
        add(z, x, z)
        tanh(z, z)
        multiply(sigmoid, _HALF, sigmoid)
        add(sigmoid, _HALF, sigmoid)
        multiply(c, self._f, c)
        multiply(i, self._g, i)
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
            halved = columns.copy()
            halved[..., : 2 * units] /= 2
            return halved

        self.kernel, self.recurrent_kernel = halve(kernel), halve(recurrent_kernel)
        self.bias, recurrent_bias = np.split(halve(bias), 2)
        # The recurrent bias of z and r is added with the input's; the candidate's is scaled by r.
        self.bias[:, : 2 * units] += recurrent_bias[:, : 2 * units]
        self.candidate_bias = recurrent_bias[:, 2 * units :]

    def state(self, batch_size: int, recurrent_kernel: Floats | None = None) -> CellState:
        """The zero state of B streams."""
        kernel = self.recurrent_kernel if recurrent_kernel is None else recurrent_kernel
        return _GRUState(self, batch_size, kernel)


class _GRUState:
    carried: tuple[Floats, ...] = ()

    def __init__(self, cell: GRU, batch_size: int, recurrent_kernel: Floats) -> None:
        U = cell.units
        self._kernel, self._candidate_bias = recurrent_kernel, cell.candidate_bias
        self._split = 2 * U
        self._z = z = np.empty((batch_size, 3 * U), np.float32)
        self._sigmoid, self._candidate = z[:, : 2 * U], z[:, 2 * U :]
        self._update, self._reset = z[:, :U], z[:, U : 2 * U]

    def step(self, h: Floats, x: Floats, out: Floats) -> None:
        sigmoid, candidate, split = self._sigmoid, self._candidate, self._split
        h.dot(self._kernel, self._z)
        add(sigmoid, x[:, :split], sigmoid)
        tanh(sigmoid, sigmoid)
        multiply(sigmoid, _HALF, sigmoid)
        add(sigmoid, _HALF, sigmoid)
        add(candidate, self._candidate_bias, candidate)
        multiply(candidate, self._reset, candidate)
        add(candidate, x[:, split:], candidate)
        tanh(candidate, candidate)
        subtract(h, candidate, out)
        multiply(out, self._update, out)
        add(out, candidate, out)


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
