"""Keras' recurrent layers, fused for training on a CPU.

These layers have the weights, configuration, state and results of the stock layers, and compute
the results in another way. On a CPU, Keras runs the recurrence as a loop of some forty TensorFlow
operations per time step, including the product of the input, and differentiates each. Here

- the products of all inputs are one product before the loop; if the inputs are one-hot, there is no
  product, because the rows of the input kernel are looked up,
- a time step is one product of the state and a few fused loops over its gates,
- the forward pass keeps the slopes that the backward pass will multiply by instead of the gates, so
  a step of the backward pass is one product and one multiplication,
- the gradients of all weights are one product over all time steps after the loop (two for a GRU),
- XLA compiles the loops, so no operation is dispatched inside them, and
- products may be computed in bfloat16 (see `products`); weights, states, gates and slopes stay
  float32.

The layers support the default gates. Masks, dropout inside the cell and activations that are not in
`SLOPES` are left to Keras' own layers.

Shapes: T time steps, B rows, D inputs, U units; time-major inside the layers. g is the gradient of
the loss with respect to the gates before their activation.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from chargen.config import LEAKY_RELU_SLOPE, NumberFormat
from chargen.models.dropout import dropped
from chargen.models.products import (
    compiled,
    in_pieces,
    product,
    product_of_pieces,
    round_operand,
    transposed,
)

__all__ = ["SLOPES", "FusedGRU", "FusedLSTM", "FusedSimpleRNN", "gpus", "on_gpu"]

Tensor: TypeAlias = Any  # TensorFlow ships no types that mypy can use
Tensors = tuple[Tensor, ...]

SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda y: 1 - y * y,
    "sigmoid": lambda y: y * (1 - y),
    "relu": lambda y: tf.cast(y > 0, y.dtype),
    "leaky_relu": lambda y: tf.where(y > 0, 1.0, LEAKY_RELU_SLOPE),
}
"""For each activation, its derivative as a function of its output y."""


def gpus() -> list[str]:
    """Return the names of the GPUs that TensorFlow computes on."""
    return [f"GPU:{index}" for index in range(len(tf.config.list_physical_devices("GPU")))]


def on_gpu() -> bool:
    """Return whether TensorFlow computes on a GPU."""
    return bool(gpus())


def _array(values: Tensor) -> tf.TensorArray:
    """Put values (T, ...) into an array that is read and overwritten one time step at a time."""
    steps, *shape = values.shape
    array = tf.TensorArray(values.dtype, steps, element_shape=shape, clear_after_read=False)
    return array.unstack(values)


def _room(arrays: int, inputs: Tensor, width: int) -> list[tf.TensorArray]:
    """Return arrays that have room for (B, width) at each time step of inputs (T, B, ...)."""
    zeros = tf.zeros((inputs.shape[0], tf.shape(inputs)[1], width))
    return [_array(zeros) for _ in range(arrays)]


def _loop(steps: int, step: Callable[..., Any], *carried: Any) -> Any:
    """Run `step(t, *carried)` for t = 0 .. steps - 1; return what the last step carries out."""
    return tf.while_loop(
        lambda t, *_: t < steps,
        lambda t, *values: (t + 1, *step(t, *values)),
        (0, *carried),
        maximum_iterations=steps,
    )[1:]


def _flat(values: Tensor) -> Tensor:
    """Reshape (T, B, width) to (T * B, width)."""
    return tf.reshape(values, (-1, values.shape[2]))


def _project(
    x: Tensor, kernel: Tensor, bias: Tensor, precision: NumberFormat
) -> tuple[tf.TensorArray, Callable[[Tensor, tf.TensorArray], Tensor]]:
    """Prepare x W + b for each time step.

    Inputs (T, B, D) are multiplied all at once. Ids (T, B) stand for one-hot inputs, whose products
    are rows of W. These are looked up in the loop, which saves writing and reading them for all
    time steps: with 512 units and 64 steps of 32 rows that would be 16 MB.

    Returns:
        An array with room for (B, gates) at each time step, and a function that returns x W + b of
        a time step from it. The step may then overwrite its place in the array.
    """
    width = kernel.shape[1]
    if x.dtype.is_integer:
        rows = kernel + bias
        (room,) = _room(1, x, width)
        return room, lambda t, _: tf.gather(rows, x[t])
    flat = product(round_operand(_flat(x), precision), round_operand(kernel, precision)) + bias
    projected = tf.reshape(flat, (x.shape[0], -1, width))
    return _array(projected), lambda t, array: array.read(t)


def _ids(one_hot: Tensor) -> Tensor:
    """Return the ids (B, T) of one-hot vectors (B, T, V).

    They are computed by a sum, which is faster in XLA than `argmax`.
    """
    places = tf.range(one_hot.shape[-1], dtype=one_hot.dtype)
    return tf.cast(tf.reduce_sum(one_hot * places, -1), tf.int32)


def _before(outputs: Tensor, first: Tensor) -> Tensor:
    """Return the output before each time step, (T, B, U)."""
    return tf.concat([first[None], outputs[:-1]], 0)


def _weight_gradients(
    operands: list[Tensor], width: int, g: Tensor, precision: NumberFormat
) -> tuple[Tensor, ...]:
    """Return the gradients of the bias and of each operand's kernel, by one product for all.

    Args:
        operands: inputs (T, B, D), or ids (T, B) of one-hot inputs; outputs (T, B, U).
        width: the size of one-hot inputs.
        g: (T, B, gates).
        precision: the number format of the product's operands.
    """
    columns = [_columns(operand, width, precision) for operand in operands]
    # A row of ones sums the gradients, which gives that of the bias.
    joined = tf.concat([*columns, tf.ones_like(columns[0][:1])], 0)
    gradients = product(joined, round_operand(_flat(g), precision))
    *kernels, bias = tf.split(gradients, [*(each.shape[0] for each in columns), 1], 0)
    return (bias[0], *kernels)


def _columns(operand: Tensor, width: int, precision: NumberFormat) -> Tensor:
    """Return vectors (T, B, width), or those that ids (T, B) stand for, as (width, T * B)."""
    if operand.dtype.is_integer:
        return tf.one_hot(tf.reshape(operand, [-1]), width, axis=0, dtype=tf.as_dtype(precision))
    return transposed(round_operand(_flat(operand), precision))


def _input_gradient(g: Tensor, kernel: Tensor, precision: NumberFormat) -> Tensor:
    """Return the gradient of inputs (T, B, D); that of ids is never used, and XLA omits it."""
    dx = product(round_operand(_flat(g), precision), transposed(round_operand(kernel, precision)))
    return tf.reshape(dx, (g.shape[0], -1, kernel.shape[0]))


@compiled
def _lstm(
    x: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor, h: Tensor, c: Tensor, precision: Any
) -> tuple[Tensor, Tensor, Tensor, Tensors]:
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000; gates i, f, c, o.

    Returns:
        Outputs (T, B, U), the last h and c, and what the backward pass needs.
    """
    u = round_operand(recurrent, precision)

    def step(
        t: Tensor, h: Tensor, c: Tensor, gates: Any, outputs: Any, to_cell: Any, forget: Any
    ) -> Any:
        z = product(round_operand(h, precision), u) + projected(t, gates)
        i, f, candidate, o = tf.split(z, 4, 1)
        i, f, o = tf.sigmoid(i), tf.sigmoid(f), tf.sigmoid(o)
        candidate = tf.tanh(candidate)
        before, c = c, f * c + i * candidate
        seen = tf.tanh(c)
        h = o * seen
        slopes = [
            candidate * i * (1 - i),
            before * f * (1 - f),
            i * (1 - candidate * candidate),
            h * (1 - o),
        ]
        return (
            h,
            c,
            gates.write(t, tf.concat(slopes, 1)),  # over the projected inputs, now used up
            outputs.write(t, h),
            to_cell.write(t, o * (1 - seen * seen)),
            forget.write(t, f),
        )

    gates, projected = _project(x, kernel, bias, precision)
    last_h, last_c, *arrays = _loop(x.shape[0], step, h, c, gates, *_room(3, x, h.shape[1]))
    slopes, outputs, to_cell, forget = (array.stack() for array in arrays)
    return outputs, last_h, last_c, (slopes, outputs, to_cell, forget)


@compiled
def _lstm_gradient(
    x: Tensor, kernel: Tensor, recurrent: Tensor, h: Tensor, kept: Tensors, upstream: Tensors,
    precision: Any,
) -> Tensors:  # fmt: skip
    """Return the gradients of x, kernel, recurrent, bias, h and c from those of the results."""
    slopes, outputs, to_cell, forget = kept
    d_outputs, dh, dc = upstream
    u = in_pieces(transposed(round_operand(recurrent, precision)))
    steps = x.shape[0]

    def step(k: Tensor, dh: Tensor, dc: Tensor, gates: Any) -> Any:
        t = steps - 1 - k
        dh = dh + d_outputs[t]
        dc = dc + dh * to_cell[t]
        g = tf.concat([dc, dc, dc, dh], 1) * slopes[t]
        dh = product_of_pieces(round_operand(g, precision), u)
        return dh, dc * forget[t], gates.write(t, g)

    dh, dc, gates = _loop(steps, step, dh, dc, *_room(1, x, slopes.shape[2]))
    g = gates.stack()
    db, dw, du = _weight_gradients([x, _before(outputs, h)], kernel.shape[0], g, precision)
    return _input_gradient(g, kernel, precision), dw, du, db, dh, dc


@compiled
def _gru(
    x: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor, h: Tensor, precision: Any
) -> tuple[Tensor, Tensor, Tensors]:
    """Cho et al. 2014 with the reset gate after the product, as in cuDNN; gates z, r, candidate.

    Returns:
        Outputs (T, B, U), the last h, and what the backward pass needs.
    """
    u = round_operand(recurrent, precision)

    def step(t: Tensor, h: Tensor, gates: Any, outputs: Any, to_candidate: Any, keep: Any) -> Any:
        z_x, r_x, candidate_x = tf.split(projected(t, gates), 3, 1)
        z_h, r_h, candidate_h = tf.split(product(round_operand(h, precision), u) + bias[1], 3, 1)
        z, r = tf.sigmoid(z_x + z_h), tf.sigmoid(r_x + r_h)
        candidate = tf.tanh(candidate_x + r * candidate_h)
        slope = (1 - z) * (1 - candidate * candidate)
        slopes = [(h - candidate) * z * (1 - z), slope * candidate_h * r * (1 - r), slope * r]
        h = z * h + (1 - z) * candidate
        return (
            h,
            gates.write(t, tf.concat(slopes, 1)),
            outputs.write(t, h),
            to_candidate.write(t, slope),
            keep.write(t, z),
        )

    gates, projected = _project(x, kernel, bias[0], precision)
    last, *arrays = _loop(x.shape[0], step, h, gates, *_room(3, x, h.shape[1]))
    slopes, outputs, to_candidate, keep = (array.stack() for array in arrays)
    return outputs, last, (slopes, outputs, to_candidate, keep)


@compiled
def _gru_gradient(
    x: Tensor, kernel: Tensor, recurrent: Tensor, h: Tensor, kept: Tensors, upstream: Tensors,
    precision: Any,
) -> Tensors:  # fmt: skip
    """Return the gradients of x, kernel, recurrent, bias and h from those of the results."""
    slopes, outputs, to_candidate, keep = kept
    d_outputs, dh = upstream
    u = in_pieces(transposed(round_operand(recurrent, precision)))
    steps, units = x.shape[0], h.shape[1]

    def gates(dh: Tensor, slopes: Tensor) -> Tensor:
        return tf.concat([dh, dh, dh], -1) * slopes

    def step(k: Tensor, dh: Tensor, all_dh: Any) -> Any:
        t = steps - 1 - k
        dh = dh + d_outputs[t]
        g = round_operand(gates(dh, slopes[t]), precision)
        return product_of_pieces(g, u) + dh * keep[t], all_dh.write(t, dh)

    dh, array = _loop(steps, step, dh, *_room(1, x, h.shape[1]))
    all_dh = array.stack()
    # The reset gate separates the candidate's two products, so they have different gradients.
    g_h = gates(all_dh, slopes)
    g_x = tf.concat([g_h[..., : 2 * units], all_dh * to_candidate], -1)
    db_x, dw = _weight_gradients([x], kernel.shape[0], g_x, precision)
    db_h, du = _weight_gradients([_before(outputs, h)], units, g_h, precision)
    return _input_gradient(g_x, kernel, precision), dw, du, tf.stack([db_x, db_h]), dh


@compiled
def _rnn(
    x: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor, h: Tensor, precision: Any,
    activation: str,
) -> tuple[Tensor, Tensor, Tensors]:  # fmt: skip
    """Elman 1990: h = activation(x W + h U + b).

    Returns:
        Outputs (T, B, U), the last h, and what the backward pass needs.
    """
    u = round_operand(recurrent, precision)
    activate = keras.activations.get(activation)

    def step(t: Tensor, h: Tensor, outputs: Any) -> Any:
        h = activate(product(round_operand(h, precision), u) + projected(t, outputs))
        return h, outputs.write(t, h)

    outputs, projected = _project(x, kernel, bias, precision)
    last, array = _loop(x.shape[0], step, h, outputs)
    outputs = array.stack()
    return outputs, last, (outputs,)


@compiled
def _rnn_gradient(
    x: Tensor, kernel: Tensor, recurrent: Tensor, h: Tensor, kept: Tensors, upstream: Tensors,
    precision: Any, activation: str,
) -> Tensors:  # fmt: skip
    """Return the gradients of x, kernel, recurrent, bias and h from those of the results."""
    (outputs,) = kept
    d_outputs, dh = upstream
    u = in_pieces(transposed(round_operand(recurrent, precision)))
    steps, slope = x.shape[0], SLOPES[activation]

    def step(k: Tensor, dh: Tensor, all_dh: Any) -> Any:
        t = steps - 1 - k
        dh = dh + d_outputs[t]
        g = round_operand(dh * slope(outputs[t]), precision)
        return product_of_pieces(g, u), all_dh.write(t, dh)

    dh, array = _loop(steps, step, dh, *_room(1, x, h.shape[1]))
    g = array.stack() * slope(outputs)
    db, dw, du = _weight_gradients([x, _before(outputs, h)], kernel.shape[0], g, precision)
    return _input_gradient(g, kernel, precision), dw, du, db, dh


def _differentiable(
    forward: Callable[..., Any], backward: Callable[..., Any], arguments: Tensors, *how: Any
) -> list[Tensor]:
    """Return outputs and last states, with `backward` as their gradient."""

    def recur(*arguments: Tensor) -> Any:
        # TensorFlow would otherwise prepare to differentiate the compiled passes themselves.
        x, kernel, recurrent, bias, *states = map(tf.stop_gradient, arguments)
        *results, kept = forward(x, kernel, recurrent, bias, *states, *how)

        def gradient(*upstream: Tensor) -> Tensors:
            d: Tensors = backward(x, kernel, recurrent, states[0], kept, upstream, *how)
            return d

        return results, gradient

    results: list[Tensor] = tf.custom_gradient(recur)(*arguments)
    return results


@contextmanager
def _replaced(cell: Any, **arrays: Tensor) -> Iterator[None]:
    """Let Keras' own loop use other arrays than the cell's variables."""
    kept = {name: vars(cell)[name] for name in arrays}
    vars(cell).update(arrays)  # past Keras' tracking of attributes
    try:
        yield
    finally:
        vars(cell).update(kept)


class _Fused:
    """What the three layers share; it comes before Keras' layer in the order of bases.

    Args:
        units: U.
        precision: the number format of the products' operands.
        weight_drop: the share of the recurrent kernel that is dropped in training, with one mask
            for all time steps (Merity, Keskar, Socher 2017).
        one_hot: whether the inputs are one-hot: rows of the kernel are then looked up instead of
            multiplied, and the inputs have no gradient.
        **options: the options of Keras' layer.
    """

    def __init__(
        self,
        units: int,
        precision: NumberFormat = "float32",
        weight_drop: float = 0.0,
        one_hot: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(units, **options)  # type: ignore[call-arg]
        self.precision: NumberFormat = precision
        self.weight_drop = weight_drop
        self.one_hot = one_hot
        if weight_drop:
            self.weight_drop_seed = keras.random.SeedGenerator(options.get("seed"))

    cell: Any
    go_backwards: bool
    _passes: tuple[Callable[..., Any], Callable[..., Any]]
    """The forward and the backward pass of the cell."""

    def get_config(self) -> dict[str, Any]:
        """Return what Keras needs to rebuild the layer."""
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        ours = ("precision", "weight_drop", "one_hot")
        return config | {name: getattr(self, name) for name in ours}

    def inner_loop(
        self, sequences: Tensor, initial_state: Any, mask: Any, training: bool = False
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Run all time steps of inputs (B, T, D); Keras' layer calls this.

        Returns:
            The last output (B, U), all outputs (B, T, U), and the last states.
        """
        recurrent = tf.convert_to_tensor(self.cell.recurrent_kernel)
        if self.weight_drop and training:
            recurrent = dropped(recurrent, self.weight_drop, self.weight_drop_seed)
        if not self._applies(mask, sequences):
            with _replaced(self.cell, recurrent_kernel=recurrent):
                stock: Any = super()
                outcome: tuple[Tensor, Tensor, list[Tensor]] = stock.inner_loop(
                    sequences, initial_state, mask, training=training
                )
            return outcome
        states = list(initial_state) if isinstance(initial_state, list | tuple) else [initial_state]
        x = _ids(sequences) if self.one_hot else sequences
        x = tf.transpose(x, (1, 0, *range(2, x.shape.rank)))
        if self.go_backwards:
            x = tf.reverse(x, [0])
        outputs, *states = self._recur(
            x,
            tf.convert_to_tensor(self.cell.kernel),
            recurrent,
            tf.convert_to_tensor(self.cell.bias),
            *(tf.convert_to_tensor(state) for state in states),
        )
        return outputs[-1], tf.transpose(outputs, (1, 0, 2)), states

    def _applies(self, mask: Any, sequences: Tensor) -> bool:
        cell = self.cell
        return (
            not on_gpu()  # where Keras' layer has cuDNN
            and mask is None
            and sequences.shape[1] is not None
            and cell.use_bias
            and not (cell.dropout or cell.recurrent_dropout)
            and self._has_known_activations()
        )

    def _has_known_activations(self) -> bool:
        gates = self.cell.recurrent_activation.__name__
        return (self.cell.activation.__name__, gates) == ("tanh", "sigmoid")

    def _recur(self, *arguments: Tensor) -> list[Tensor]:
        return _differentiable(*self._passes, arguments, self.precision)


@keras.saving.register_keras_serializable("chargen")
class FusedLSTM(_Fused, keras.layers.LSTM):
    """`keras.layers.LSTM`, computed as this module describes."""

    _passes = (_lstm, _lstm_gradient)


@keras.saving.register_keras_serializable("chargen")
class FusedGRU(_Fused, keras.layers.GRU):
    """`keras.layers.GRU`, computed as this module describes if `reset_after` is true."""

    _passes = (_gru, _gru_gradient)

    def _has_known_activations(self) -> bool:
        return bool(self.cell.reset_after) and super()._has_known_activations()


@keras.saving.register_keras_serializable("chargen")
class FusedSimpleRNN(_Fused, keras.layers.SimpleRNN):
    """`keras.layers.SimpleRNN`, computed as this module describes for activations in `SLOPES`."""

    _passes = (_rnn, _rnn_gradient)

    def _recur(self, *arguments: Tensor) -> list[Tensor]:
        activation = self.cell.activation.__name__
        return _differentiable(*self._passes, arguments, self.precision, activation)

    def _has_known_activations(self) -> bool:
        return self.cell.activation.__name__ in SLOPES
