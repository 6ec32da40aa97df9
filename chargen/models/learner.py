"""The learner: a `Sequential` and its optimizer, which divide each batch into shards.

TensorFlow spreads each operation over the cores, which in networks this small then spend more time
waiting for each other than computing. Here each core takes a shard, some rows of the batch, through
the whole model forwards and backwards, in one function that XLA compiles. The gradients are added
up once per step. Each GPU of a machine takes a shard in the same way, and so do other workers.

In shapes, K is the number of steps in a block, B the batch size and T the window.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from chargen.config import NumberFormat, TrainConfig
from chargen.models.loss import cross_entropy
from chargen.models.workers import Workers

__all__ = ["EXPLODED", "BlockResult", "Learner", "make_optimizer"]

EXPLODED = 10
"""How many times the loss of a uniform guess a loss may be before the run counts as diverged."""
SGD_MOMENTUM = 0.9
"""The usual value."""

Tensor: TypeAlias = Any  # TensorFlow ships no types that mypy can use
Int32Ids = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class BlockResult:
    """The result of a block of steps.

    Attributes:
        losses: the loss of each step that was taken, in nats per character, float32 (steps,).
        accuracies: the accuracy of each of these steps, from 0 to 1, float32 (steps,).
        gradient_norms: the norm of the gradient of all weights at each of these steps, before it is
            clipped, float32 (steps,).
        diverged: whether the loss or the gradient of the last step is not a finite number, or the
            loss is `EXPLODED` times that of a uniform guess or more.
    """

    losses: Floats
    accuracies: Floats
    gradient_norms: Floats
    diverged: bool


class Learner:
    """Learns from blocks of batches.

    The loss is the mean cross-entropy of the targets in nats. While a shard is computed, stateful
    layers hold the states of its B / shards rows; between steps `carried` holds the states of all.

    Args:
        layers: an input and layers, from int32 ids to float32 logits; the last one is Keras'
            `Dense`, and is computed together with the loss.
        optimizer: the optimizer, not yet built.
        precision: the number format of the operands of the output layer's products.
        shards: how many shards a batch is divided into.
        compiled: whether XLA compiles the pass of a shard; the layers must then allow it.
        ema: the decay, at each step, of the exponential moving average (EMA) of the weights, which
            is then what is kept; 0 keeps the weights themselves.
        devices: the names of the devices that compute the shards, in turn; with none, TensorFlow
            chooses.
        workers: the processes that compute them, each its own; None if this one computes all.

    Attributes:
        model: the layers as a `Sequential`.
        optimizer: the same optimizer, built.
        averages: the EMA of each weight; empty if `ema` is 0.
        shards: how many there are.
        carried: the recurrent states of each shard.
        own_shards: the shards that are computed here; the states of others are those of when they
            were last passed on.
    """

    def __init__(
        self,
        layers: list[Any],
        optimizer: keras.Optimizer,
        *,
        precision: NumberFormat,
        shards: int,
        compiled: bool,
        ema: float = 0.0,
        devices: Sequence[str] = (),
        workers: Workers | None = None,
    ) -> None:
        self.model = keras.Sequential(layers)
        self.optimizer = optimizer
        self._precision: NumberFormat = precision
        self.shards = shards
        self.own_shards = workers.shards(shards) if workers else range(shards)
        self._ema = ema
        self._devices = devices
        self._workers = workers
        self._weights = self.model.trainable_variables
        # This creates its variables, which a resumed run restores.
        optimizer.build(self._weights)
        self.averages = [_zeros(v.shape) for v in (self._weights if ema else ())]
        self._states = [
            variable
            for layer in self.model.layers
            for variable in getattr(layer, "states", None) or ()
        ]
        self.carried = []
        for index in range(shards):
            with self._device(index):
                self.carried.append([_zeros(v.shape) for v in self._states])
        # Each dropout has a seed and a counter of its draws.
        states = {id(variable) for variable in self._states}
        self._counters = [v for v in self.model.non_trainable_variables if id(v) not in states]
        self._pass_shard = tf.function(self._pass, jit_compile=compiled, autograph=False)
        self._join = tf.function(self._joined, jit_compile=compiled, autograph=False)
        self._apply = tf.function(self._update, jit_compile=compiled, autograph=False)
        self._apply_joined = tf.function(self._update_joined, jit_compile=compiled, autograph=False)
        (rows, window), places = self.model.input_shape, self.model.output_shape[1:-1]
        rows = rows and rows * shards  # None if batches vary in size
        signature = [
            tf.TensorSpec((None, rows, window), tf.int32),
            tf.TensorSpec((None, rows, *places), tf.int32),
            tf.TensorSpec((None,), tf.float32),
        ]
        self._learn = tf.function(self._take_steps, signature, autograph=False)

    @property
    def steps(self) -> int:
        """The number of steps taken in all."""
        return int(self.optimizer.iterations.value)

    @property
    def variables(self) -> dict[str, Any]:
        """All variables that learning changes, by kind and position, to be read.

        They are not called by Keras' names for them, which differ from run to run.
        """
        kinds = {
            "weight": self._weights,
            "average": self.averages,
            "state": [state for states in self.carried for state in states],
            "counter": self._counters,
            "optimizer": self.optimizer.variables,
        }
        return {
            f"{kind}{index}": variable
            for kind, variables in kinds.items()
            for index, variable in enumerate(variables)
        }

    def weights_to_keep(self) -> list[Floats]:
        """Return the weights to keep, or their EMA, in the order of `model.trainable_variables`."""
        variables = self.averages if self.averages and self.steps else self._weights
        return [keras.ops.convert_to_numpy(variable) for variable in variables]

    def assign(self, weights: Sequence[Floats]) -> None:
        """Replace the weights by arrays in the order of `weights_to_keep`."""
        for variable, array in zip(self._weights, weights, strict=True):
            variable.assign(array)

    def begin_again(self, weights: Sequence[Floats]) -> None:
        """Replace the weights, and forget all that was gathered while there were others.

        That is their EMA, the recurrent states, and the moments and the steps of the optimizer.

        Args:
            weights: in the order of `weights_to_keep`.
        """
        self.assign(weights)
        for variable in (*self.averages, *self.optimizer.variables):
            variable.assign(tf.zeros(variable.shape, variable.dtype))
        self.reset_states()

    def set_variables(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Replace all variables by arrays under the names that `variables` has for them."""
        for name, variable in self.variables.items():
            variable.assign(arrays[name])

    def reset_states(self) -> None:
        """Set all recurrent states to zero."""
        for states in self.carried:
            for state in states:
                state.assign(tf.zeros(state.shape))

    def learn(self, inputs: Int32Ids, targets: Int32Ids, rates: Floats) -> BlockResult:
        """Learn from K batches, one after the other, and stop at a step that diverges.

        Args:
            inputs: int32 ids (K, B, T).
            targets: int32 ids of the next characters: (K, B, T), or with `predict="last"` (K, B).
            rates: the learning rate of each step, float32 (K,).
        """
        steps, figures, healthy = self._learn(
            tf.constant(inputs), tf.constant(targets), tf.constant(rates)
        )
        losses, accuracies, norms = figures.numpy()[: int(steps)].T
        return BlockResult(losses, accuracies, norms, diverged=not bool(healthy))

    def _take_steps(
        self, inputs: Tensor, targets: Tensor, rates: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take up to K steps; return their number, their figures, and whether all were healthy.

        The figures (steps, 3) are the loss, the accuracy and the norm of the gradient.

        The loop runs inside TensorFlow, because a millisecond of Python between steps would be a
        fifth of the time of a step of a small network.
        """
        size = tf.size(rates)
        blank = tf.TensorArray(tf.float32, size, element_shape=(3,))

        def step(index: Tensor, figures: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            self.optimizer.learning_rate = rates[index]
            found, healthy = self._step(inputs[index], targets[index])
            return index + 1, figures.write(index, found), healthy

        steps, figures, healthy = tf.while_loop(
            lambda index, figures, healthy: (index < size) & healthy,
            step,
            (0, blank, True),
            parallel_iterations=1,
        )
        return steps, figures.stack(), healthy

    def _step(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Take a step on one batch; return its figures (3,), and whether it was healthy."""
        weights = [variable.value for variable in self._weights]
        counters = [variable.value for variable in self._counters]
        outcomes = []
        for index, rows in self._rows(inputs):
            states = [variable.value for variable in self.carried[index]]
            # Each shard has seeds of its own, so that it drops other outputs and weights.
            seeds = [counter + tf.constant([index, 0], counter.dtype) for counter in counters]
            with self._device(index):
                outcomes.append(
                    self._pass_shard(inputs[rows], targets[rows], weights, states, seeds)
                )
        for index, outcome in zip(self.own_shards, outcomes, strict=True):
            for variable, state in zip(self.carried[index], outcome[1], strict=True):
                variable.assign(state)
        first = self.own_shards.start
        for variable, counter in zip(self._counters, outcomes[0][2], strict=True):
            variable.assign(counter - tf.constant([first, 0], counter.dtype))
        sums, size = [outcome[0] for outcome in outcomes], tf.size(targets)
        results: tuple[Tensor, Tensor]
        if self._workers is None:
            results = self._apply(sums, size)
        else:
            gradients, figures = map(self._workers.sum, self._join(sums))
            results = self._apply_joined(gradients, figures, size)
        return results

    def _rows(self, inputs: Tensor) -> Iterator[tuple[int, slice]]:
        """Yield each shard that is computed here, and its rows of the batch."""
        size = inputs.shape[0] or tf.shape(inputs)[0]
        for index in self.own_shards:
            yield index, slice(index * size // self.shards, (index + 1) * size // self.shards)

    def _device(self, index: int) -> AbstractContextManager[None]:
        """Return a context in which a shard is computed on its device."""
        devices = self._devices
        name = devices[(index - self.own_shards.start) % len(devices)] if devices else None
        context: AbstractContextManager[None] = tf.device(name)
        return context

    def _joined(self, sums: list[list[Tensor]]) -> tuple[Tensor, Tensor]:
        """Add up the sums of the shards of this worker, for the exchange with the others.

        Returns:
            All gradients as one vector, so that they go in one message, in the number format of the
            products: bfloat16 halves what is sent. The sums of the loss and of the hits, float32.
        """
        *gradients, loss, hits = [tf.add_n(parts) for parts in zip(*sums, strict=True)]
        vector = tf.concat([tf.reshape(part, [-1]) for part in gradients], 0)
        return tf.cast(vector, self._precision), tf.stack([loss, hits])

    def _update_joined(
        self, gradients: Tensor, figures: Tensor, size: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Do what `_update` does with what `_joined` has returned, summed over all workers."""
        shapes = [variable.shape for variable in self._weights]
        vector = tf.cast(gradients, tf.float32)
        parts = tf.split(vector, [shape.num_elements() for shape in shapes])
        split = [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
        return self._update([[*split, *tf.unstack(figures)]], size)

    def _pass(
        self,
        inputs: Tensor,
        targets: Tensor,
        weights: list[Tensor],
        states: list[Tensor],
        counters: list[Tensor],
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Compute a shard; return sums of gradients, loss and hits, and new states and counters."""
        mapping = [
            *zip(self._weights, weights, strict=True),
            *zip(self._states, states, strict=True),
            *zip(self._counters, counters, strict=True),
        ]
        with tf.GradientTape() as tape:
            tape.watch(weights)
            with keras.StatelessScope(mapping) as scope:
                *layers, output = self.model.layers
                outputs = inputs
                for layer in layers:
                    outputs = layer(outputs, training=True)
                kernel, bias = map(tf.convert_to_tensor, (output.kernel, output.bias))
            loss, hits = cross_entropy(outputs, kernel, bias, targets, self._precision)
        return (
            [*tape.gradient(loss, weights), loss, hits],
            [tf.convert_to_tensor(scope.get_current_value(v)) for v in self._states],
            [tf.convert_to_tensor(scope.get_current_value(v)) for v in self._counters],
        )

    def _update(self, sums: list[list[Tensor]], size: Tensor) -> tuple[Tensor, Tensor]:
        """Add up the sums of the shards and take the optimizer's step; return what `_step` does."""
        count = tf.cast(size, tf.float32)
        *gradients, loss, accuracy = [tf.add_n(parts) / count for parts in zip(*sums, strict=True)]
        uniform_nats = math.log(self.model.output_shape[-1])
        norm = tf.linalg.global_norm(gradients)
        healthy = (loss < EXPLODED * uniform_nats) & tf.math.is_finite(norm)
        self.optimizer.apply(gradients, self._weights)
        if self.averages:
            steps = tf.cast(self.optimizer.iterations.value, tf.float32)
            # The EMA forgets faster at first, or the initial weights would dominate it for long:
            # the first step replaces them, and then it covers 1 / (1 - past) = (steps + 9) / 10
            # steps, about the last tenth.
            past = tf.minimum(self._ema, (steps - 1) / (steps + 9))
            for average, variable in zip(self.averages, self._weights, strict=True):
                average.assign(past * average.value + (1 - past) * variable.value)
        return tf.stack([loss, accuracy, norm]), healthy


def make_optimizer(training: TrainConfig) -> keras.Optimizer:
    """Return the optimizer of Keras that a configuration describes."""
    options: dict[str, Any] = {
        "learning_rate": training.learning_rate,
        "global_clipnorm": training.clip_norm or None,
        # AdamW needs a number; with None the others save a multiplication of every weight.
        "weight_decay": training.weight_decay or (0.0 if training.optimizer == "adamw" else None),
    }
    match training.optimizer:
        case "adam":
            return keras.optimizers.Adam(beta_2=training.beta_2, **options)
        case "adamw":
            return keras.optimizers.AdamW(beta_2=training.beta_2, **options)
        case "rmsprop":
            return keras.optimizers.RMSprop(**options)
        case "sgd":
            return keras.optimizers.SGD(momentum=SGD_MOMENTUM, **options)


def _zeros(shape: Sequence[int]) -> keras.Variable:
    return keras.Variable(np.zeros(shape, np.float32), trainable=False)
