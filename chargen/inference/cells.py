"""One step of each recurrent cell, as Keras computes it.

B streams advance together; U is the number of units, G the gates (LSTM 4, GRU 3, RNN 1). A cell
gets its input already projected, z = x W + b of shape (B, G U), adds the recurrent part and turns
the states into the next ones, in place.

Two rearrangements are made once, at load. Since sigmoid(x) = (1 + tanh(x / 2)) / 2, the columns of
the sigmoid gates are halved, so that one `tanh` serves all gates; and they are moved to the front,
so that what undoes the halving is one operation on one block.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chargen.config import ModelConfig

__all__ = ["GRU", "LSTM", "RNN", "Cell", "Floats", "States", "make_cell"]

Floats = NDArray[np.float32]
States = tuple[Floats, ...]
"""(h,) for RNN and GRU, (h, c) for LSTM; each float32 (B, U), changed in place by a step."""


class Cell(Protocol):
    """A recurrent cell with its weights."""

    units: int
    state_count: int
    kernel: Floats
    """(inputs, G U): projects an input, `x @ kernel + bias`."""
    bias: Floats
    """(G U,)"""

    def step(self, z: Floats, states: States) -> None:
        """Advance the states by one character.

        Args:
            z: (B, G U), the projected input; used as scratch.
            states: replaced by the next ones.
        """
        ...


class RNN:
    """h' = activation(z + h U)."""

    state_count = 1

    def __init__(
        self, kernel: Floats, recurrent_kernel: Floats, bias: Floats, activation: str
    ) -> None:
        self.units = len(recurrent_kernel)
        self.kernel, self.recurrent_kernel, self.bias = kernel, recurrent_kernel, bias
        self._activate = _ACTIVATIONS[activation]

    def step(self, z: Floats, states: States) -> None:
        """Advance (h,)."""
        (h,) = states
        z += h @ self.recurrent_kernel
        h[:] = self._activate(z)


class LSTM:
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers, Schmidhuber, Cummins 2000.

    i, f, o = sigmoid(...), g = tanh(...); c' = f c + i g; h' = o tanh(c').
    Keras keeps the columns as i, f, g, o; here they are i, f, o, g.
    """

    state_count = 2

    def __init__(self, kernel: Floats, recurrent_kernel: Floats, bias: Floats) -> None:
        units = self.units = len(recurrent_kernel)

        def rearrange(columns: Floats) -> Floats:
            i, f, g, o = np.split(columns, 4, axis=-1)
            return np.concatenate([i / 2, f / 2, o / 2, g], axis=-1)

        self.kernel = rearrange(kernel)
        self.recurrent_kernel = rearrange(recurrent_kernel)
        self.bias = rearrange(bias)
        self._slices = [slice(k * units, (k + 1) * units) for k in range(4)]
        self._sigmoid = slice(0, 3 * units)

    def step(self, z: Floats, states: States) -> None:
        """Advance (h, c)."""
        h, c = states
        z += h @ self.recurrent_kernel
        np.tanh(z, out=z)
        gates = z[:, self._sigmoid]
        gates *= 0.5
        gates += 0.5
        i, f, o, g = (z[:, columns] for columns in self._slices)
        c *= f
        i *= g
        c += i
        np.tanh(c, out=h)
        h *= o


class GRU:
    """Cho et al. 2014 in the form with the reset gate after the product (Keras' `reset_after`).

    z, r = sigmoid(...); g = tanh(x W_g + b_g + r (h U_g + d_g)); h' = z h + (1 - z) g, where row 0
    of Keras' bias is b and row 1 is d.
    """

    state_count = 1

    def __init__(self, kernel: Floats, recurrent_kernel: Floats, bias: Floats) -> None:
        units = self.units = len(recurrent_kernel)

        def halve(columns: Floats) -> Floats:
            halved = columns.copy()
            halved[..., : 2 * units] /= 2
            return halved

        self.kernel, self.recurrent_kernel = halve(kernel), halve(recurrent_kernel)
        both = halve(bias)
        # The recurrent bias of z and r is added with the input's; the candidate's is scaled by r.
        self.bias = both[0] + np.concatenate([both[1, : 2 * units], np.zeros_like(both[1, :units])])
        self._candidate_bias = both[1, 2 * units :]
        self._sigmoid, self._candidate = slice(0, 2 * units), slice(2 * units, None)

    def step(self, z: Floats, states: States) -> None:
        """Advance (h,)."""
        (h,) = states
        recurrent = h @ self.recurrent_kernel
        gates = z[:, self._sigmoid]
        gates += recurrent[:, self._sigmoid]
        np.tanh(gates, out=gates)
        gates *= 0.5
        gates += 0.5
        update, reset = gates[:, : self.units], gates[:, self.units :]
        inner = recurrent[:, self._candidate]
        inner += self._candidate_bias
        inner *= reset
        candidate = z[:, self._candidate]
        candidate += inner
        np.tanh(candidate, out=candidate)
        h -= candidate
        h *= update
        h += candidate


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


def _tanh(x: Floats) -> Floats:
    np.tanh(x, out=x)
    return x


def _relu(x: Floats) -> Floats:
    np.maximum(x, 0, out=x)
    return x


def _sigmoid(x: Floats) -> Floats:
    x *= 0.5
    np.tanh(x, out=x)
    x *= 0.5
    x += 0.5
    return x


def _leaky_relu(x: Floats) -> Floats:
    np.maximum(x, np.float32(0.2) * x, out=x)  # 0.2 is Keras' slope
    return x


_ACTIVATIONS = {"tanh": _tanh, "relu": _relu, "sigmoid": _sigmoid, "leaky_relu": _leaky_relu}
