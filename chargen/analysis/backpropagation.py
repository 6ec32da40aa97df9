"""Backpropagation through time, in NumPy: the derivative of a loss by every state and every weight.

A `ForwardPass` reads texts and keeps what the way back needs. Its `backward` then takes the same
steps in the opposite order. At each of them, the derivative of the loss with respect to a state is
what comes from above, from this step's output, and what comes from the step after it, through the
recurrent kernel. That second part is multiplied at every step, which is why it vanishes or
explodes.

Sizes: B texts side by side, T steps, V characters, I inputs of a layer, U units, G gates (LSTM 4,
GRU 3, RNN 1). Arrays are time-major, (T, B, ...). A name such as `d_h` is the derivative of the
loss with respect to `h`, and has its shape.

The weights are as Keras stores them, and everything is computed in their own type. The cells of
`chargen.network` compute the same, but they are arranged for speed and keep nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chargen.config import LEAKY_RELU_SLOPE, ModelConfig
from chargen.data.vocabulary import Ids

__all__ = ["GRU", "LSTM", "RNN", "Floats", "ForwardPass", "Layer", "cross_entropy"]

Floats = NDArray[np.floating[Any]]
"""float32 or float64, as the weights are."""


class ForwardPass:
    """A network that has read B texts, and what its backward pass needs.

    Args:
        config: the architecture.
        weights: arrays in the order of `chargen.checkpoint.architecture.describe`, of one type.
        ids: (T, B), what to read.
        before: a pass over the characters before these, whose last states this one begins with; no
            derivative reaches into it. None begins with the zero state.
        last: predict only the character after the last step, as `predict="last"` always does.

    Attributes:
        layers: each layer's directions, from the characters up: one, or two if the network is
            bidirectional, the second of which reads from the end to the beginning.
        logits: (T, B, V), the prediction after each step; with `last`, (B, V).
    """

    def __init__(
        self,
        config: ModelConfig,
        weights: Sequence[Floats],
        ids: Ids,
        *,
        before: "ForwardPass | None" = None,
        last: bool = False,
    ) -> None:
        remaining = iter(weights)
        self._ids = ids
        self._table = next(remaining) if config.embedding else None  # (V, I)
        self._last = last or config.predict == "last"
        self.layers: list[list[Layer]] = []
        inputs: NDArray[Any] = ids if self._table is None else self._table[ids]
        for index in range(config.layers):
            earlier = before.layers[index] if before else [None, None]
            directions: list[Layer] = []
            for ordered in _directions(inputs, config.bidirectional):
                arrays = (next(remaining), next(remaining), next(remaining))
                layer = _CELLS[config.cell](
                    arrays, ordered, earlier[len(directions)], config.activation
                )
                directions.append(layer)
            self.layers.append(directions)
            inputs = np.concatenate(_in_time([each.h[1:] for each in directions]), axis=-1)
        self._kernel, self._bias = remaining  # (U, V) or (2 U, V), and (V,)
        # Each direction has read everything at its own last step.
        ends = [each.h[-1] for each in self.layers[-1]]
        self._top = np.concatenate(ends, axis=-1) if self._last else inputs
        self.logits = _product(self._top, self._kernel) + self._bias

    def backward(self, d_logits: Floats) -> None:
        """Find the derivatives of the loss with respect to all states: `d_h` of each layer.

        Args:
            d_logits: the derivative of the loss with respect to `logits`.
        """
        self._d_logits = d_logits
        d_outputs = _product(d_logits, self._kernel.T)
        for index, directions in reversed(list(enumerate(self.layers))):
            parts = np.split(d_outputs, len(directions), axis=-1)
            if self._last and index == len(self.layers) - 1:
                for layer, part in zip(directions, parts, strict=True):
                    layer.backward(np.concatenate([np.zeros_like(layer.h[2:]), part[None]]))
            else:
                for layer, part in zip(directions, _in_time(parts), strict=True):
                    layer.backward(part)
            if index or self._table is not None:
                d_inputs = _in_time([_product(each.d_x, each.kernel.T) for each in directions])
                d_outputs = np.sum(d_inputs, axis=0)
        self._d_table_rows = d_outputs  # only if there is a table

    def weight_gradients(self) -> list[Floats]:
        """Return the derivatives with respect to the weights, in their order, after `backward`."""
        found: list[Floats] = []
        if self._table is not None:
            found.append(_sum_rows(self._d_table_rows, self._ids, len(self._table)))
        for directions in self.layers:
            for layer in directions:
                found += layer.weight_gradients()
        found.append(_product_over_steps(self._top, self._d_logits))
        found.append(self._d_logits.sum(axis=tuple(range(self._d_logits.ndim - 1))))
        return found


class Layer:
    """A recurrent layer that has read B sequences; the cells below say what one step is.

    Args:
        arrays: the kernel (I, G U), the recurrent kernel (U, G U), and the bias (G U,), which is
            (2, G U) in a GRU.
        inputs: (T, B, I), or ids (T, B) of one-hot vectors, in the order in which they are read.
        before: what has read the steps before these, whose state is continued.
        activation: of an RNN.

    Attributes:
        h: (T + 1, B, U), the outputs; h[0] is the state before the first step.
        d_h: (T, B, U), the derivatives with respect to h[1:], after `backward`.
        d_x: (T, B, G U), those with respect to the projected inputs, `inputs @ kernel + bias`.
        d_u: (T, B, G U), those with respect to the recurrent product, `h @ recurrent_kernel`.
    """

    def __init__(
        self,
        arrays: tuple[Floats, Floats, Floats],
        inputs: NDArray[Any],
        before: "Layer | None",
        activation: str,
    ) -> None:
        self.kernel, self.recurrent_kernel, self.bias = arrays
        self._inputs, self._activation = inputs, activation
        self._steps, rows, units = *inputs.shape[:2], len(self.recurrent_kernel)
        self.h = self._states(rows, units)
        if before:
            self.h[0] = before.h[-1]
        self._begin(before)
        # The product of a one-hot vector and the kernel is one row of the kernel.
        x = self.kernel[inputs] if inputs.ndim == 2 else _product(inputs, self.kernel)
        x += self.bias if self.bias.ndim == 1 else self.bias[0]
        for t in range(self._steps):
            self.h[t + 1] = self._step(t, x[t], self.h[t])

    def backward(self, d_outputs: Floats) -> None:
        """Find `d_h`, `d_x` and `d_u`.

        Args:
            d_outputs: (T, B, U), the derivatives that come from above, from each step's output.
        """
        self.d_h = np.empty_like(d_outputs)
        self.d_x = np.empty((*d_outputs.shape[:2], self.kernel.shape[1]), d_outputs.dtype)
        self.d_u = self.d_x  # but for a GRU
        self._begin_backward()
        from_after = np.zeros_like(d_outputs[0])  # nothing comes after the last step
        for t in reversed(range(self._steps)):
            self.d_h[t] = d_outputs[t] + from_after
            past_product = self._step_back(t, self.d_h[t])
            from_after = past_product + self.d_u[t] @ self.recurrent_kernel.T

    def weight_gradients(self) -> list[Floats]:
        """Return the derivatives with respect to kernel, recurrent kernel and bias."""
        if self._inputs.ndim == 2:
            d_kernel = _sum_rows(self.d_x, self._inputs, len(self.kernel))
        else:
            d_kernel = _product_over_steps(self._inputs, self.d_x)
        d_bias = self.d_x.sum(axis=(0, 1))
        if self.bias.ndim == 2:
            d_bias = np.stack([d_bias, self.d_u.sum(axis=(0, 1))])
        return [d_kernel, _product_over_steps(self.h[:-1], self.d_u), d_bias]

    def _states(self, rows: int, units: int) -> Floats:
        """Return room for a state before the first step, which is zero, and one after each."""
        return np.zeros((self._steps + 1, rows, units), self.kernel.dtype)

    def _begin(self, before: Any) -> None:
        """Make room for what the way back needs besides h."""

    def _begin_backward(self) -> None:
        """Make room for derivatives besides those that all cells have."""

    def _step(self, t: int, x: Floats, h: Floats) -> Floats:
        """Return the next h (B, U), from the projected inputs x (B, G U) and the last h."""
        raise NotImplementedError

    def _step_back(self, t: int, d_h: Floats) -> Floats | float:
        """Write d_x and d_u of a step; return what reaches the last h (B, U) past the product."""
        raise NotImplementedError


class RNN(Layer):
    """h' = activation(x + h U)."""

    def _step(self, t: int, x: Floats, h: Floats) -> Floats:
        z: Floats = x + h @ self.recurrent_kernel
        match self._activation:
            case "relu":
                return np.maximum(z, 0)
            case "leaky_relu":
                return np.where(z > 0, z, LEAKY_RELU_SLOPE * z)
            case "sigmoid":
                return _sigmoid(z)
        return np.tanh(z)

    def _step_back(self, t: int, d_h: Floats) -> float:
        np.multiply(d_h, self._slope(self.h[t + 1]), out=self.d_x[t])
        return 0.0

    def _slope(self, h: Floats) -> Any:
        """Return the activation's derivative, from what it returned."""
        match self._activation:
            case "relu":
                return h > 0
            case "leaky_relu":
                return np.where(h > 0, 1, LEAKY_RELU_SLOPE).astype(h.dtype)
            case "sigmoid":
                return h * (1 - h)
        return 1 - h**2


class LSTM(Layer):
    """i, f, o = sigmoid(...), g = tanh(...); c' = f c + i g; h' = o tanh(c').

    Attributes:
        c: (T + 1, B, U), the cell states; c[0] is the one before the first step.
        d_c: (T, B, U), the derivatives with respect to c[1:], through h and through the next c.
    """

    def _begin(self, before: "LSTM | None") -> None:
        _, rows, units = self.h.shape
        self.c = self._states(rows, units)
        if before:
            self.c[0] = before.c[-1]
        self._gates = np.empty((self._steps, 4, rows, units), self.h.dtype)  # i, f, g, o
        self._tanh_c = np.empty_like(self.h[1:])

    def _step(self, t: int, x: Floats, h: Floats) -> Floats:
        z_i, z_f, z_g, z_o = np.split(x + h @ self.recurrent_kernel, 4, axis=-1)
        i, f, g, o = _sigmoid(z_i), _sigmoid(z_f), np.tanh(z_g), _sigmoid(z_o)
        self._gates[t] = i, f, g, o
        self.c[t + 1] = f * self.c[t] + i * g
        self._tanh_c[t] = np.tanh(self.c[t + 1])
        out: Floats = o * self._tanh_c[t]
        return out

    def _begin_backward(self) -> None:
        self.d_c = np.zeros_like(self.c[1:])

    def _step_back(self, t: int, d_h: Floats) -> float:
        i, f, g, o = self._gates[t]
        d_c, tanh_c = self.d_c[t], self._tanh_c[t]  # d_c has what the step after this one gave it
        d_c += d_h * o * (1 - tanh_c**2)
        if t:
            self.d_c[t - 1] = d_c * f
        d_z = self.d_x[t].reshape(len(d_h), 4, -1)
        d_z[:, 0] = d_c * g * i * (1 - i)
        d_z[:, 1] = d_c * self.c[t] * f * (1 - f)
        d_z[:, 2] = d_c * i * (1 - g**2)
        d_z[:, 3] = d_h * tanh_c * o * (1 - o)
        return 0.0


class GRU(Layer):
    """z, r = sigmoid(...), g = tanh(x_g + r u_g); h' = z h + (1 - z) g, where u = h U + bias[1].

    The reset gate r is applied after the product, as Keras' `reset_after` has it.
    """

    def _begin(self, before: Any) -> None:
        _, rows, units = self.h.shape
        self._gates = np.empty((self._steps, 4, rows, units), self.h.dtype)  # z, r, g, u_g

    def _step(self, t: int, x: Floats, h: Floats) -> Floats:
        x_z, x_r, x_g = np.split(x, 3, axis=-1)
        u_z, u_r, u_g = np.split(h @ self.recurrent_kernel + self.bias[1], 3, axis=-1)
        z, r = _sigmoid(x_z + u_z), _sigmoid(x_r + u_r)
        g = np.tanh(x_g + r * u_g)
        self._gates[t] = z, r, g, u_g
        out: Floats = z * h + (1 - z) * g
        return out

    def _begin_backward(self) -> None:
        self.d_u = np.empty_like(self.d_x)

    def _step_back(self, t: int, d_h: Floats) -> Floats:
        z, r, g, u_g = self._gates[t]
        d_g = d_h * (1 - z) * (1 - g**2)  # with respect to what tanh was taken of
        d_x, d_u = (array[t].reshape(len(d_h), 3, -1) for array in (self.d_x, self.d_u))
        d_x[:, 0] = d_u[:, 0] = d_h * (self.h[t] - g) * z * (1 - z)
        d_x[:, 1] = d_u[:, 1] = d_g * u_g * r * (1 - r)
        d_x[:, 2], d_u[:, 2] = d_g, d_g * r
        kept: Floats = d_h * z
        return kept


_CELLS: dict[str, type[Layer]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


def cross_entropy(logits: Floats, targets: Ids) -> tuple[float, Floats]:
    """Return the sum of the targets' nats, and its derivative with respect to the logits.

    Args:
        logits: (..., V).
        targets: (...), the character that came at each place.
    """
    index = targets[..., None].astype(np.intp)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = exponentials.sum(axis=-1, keepdims=True)
    nats = np.log(totals) - np.take_along_axis(shifted, index, axis=-1)
    d_logits = exponentials / totals  # the probabilities
    np.put_along_axis(d_logits, index, np.take_along_axis(d_logits, index, axis=-1) - 1, axis=-1)
    return float(nats.sum()), d_logits


def _sigmoid(z: Floats) -> Floats:
    """Return 1 / (1 + exp(-z)), in a form that cannot overflow."""
    out: Floats = 0.5 + 0.5 * np.tanh(0.5 * z)
    return out


def _directions(inputs: NDArray[Any], bidirectional: bool) -> Iterator[NDArray[Any]]:
    """Yield a layer's inputs as each direction reads them."""
    yield inputs
    if bidirectional:
        yield inputs[::-1]


def _in_time(arrays: Sequence[Floats]) -> list[Floats]:
    """Return what belongs to each direction with the second turned from its order to that of time.

    The same turns it back.
    """
    forward, *backward = arrays
    return [forward, *(array[::-1] for array in backward)]


def _product(array: Floats, matrix: Floats) -> Floats:
    """Return `array @ matrix` of (..., I) and (I, O), as one product of matrices."""
    out: Floats = array.reshape(-1, array.shape[-1]) @ matrix
    return out.reshape(*array.shape[:-1], -1)


def _product_over_steps(inputs: Floats, d_outputs: Floats) -> Floats:
    """Return the derivative (I, O) by a matrix that multiplied (..., I) and gave (..., O)."""
    rows, d_rows = (array.reshape(-1, array.shape[-1]) for array in (inputs, d_outputs))
    out: Floats = rows.T @ d_rows
    return out


def _sum_rows(rows: Floats, ids: Ids, size: int) -> Floats:
    """Return (size, W), in which row i is the sum of those rows (T, B, W) whose id (T, B) is i."""
    flat = ids.ravel()
    order = np.argsort(flat, kind="stable")
    found, starts = np.unique(flat[order], return_index=True)
    out = np.zeros((size, rows.shape[-1]), rows.dtype)
    out[found] = np.add.reduceat(rows.reshape(len(flat), -1)[order], starts, axis=0)
    return out
