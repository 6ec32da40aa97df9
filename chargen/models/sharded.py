"""A `Sequential` that learns from a batch in shards, one for each core, side by side.

TensorFlow spreads each operation over the cores, and on networks this small the cores then wait
for each other more than they compute. Here each core takes some of the batch's rows through the
whole model, forwards and backwards, in one function that XLA compiles; gradients meet once a step.
"""

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

__all__ = ["Sharded"]

EXPLODED = 10
"""Times the loss of guessing, all characters being alike: weights that do worse have run away."""

Tensor: TypeAlias = Any  # TensorFlow ships no types that mypy can use
Block = tuple[Tensor, Tensor, Tensor]


class Sharded(keras.Sequential):
    """Trained with `compile(optimizer=...)` and `fit` on blocks of batches; see `train_step`.

    The loss is the mean cross-entropy of the targets in nats; the metrics are it and the accuracy.
    Stateful layers hold the states of one shard, B / shards rows, while it is computed; between
    steps `carried` holds those of all.

    Args:
        layers: from int32 ids to float32 logits.
        shards: how many.
        compiled: whether XLA compiles a shard's pass, which the layers must then allow.
        average: weight of the past, a step, in the running average of the weights that is what
            was learned in the end; 0 averages nothing.
    """

    def __init__(
        self, layers: list[Any], *, shards: int, compiled: bool, average: float = 0.0
    ) -> None:
        super().__init__(layers)
        self.shards = shards
        self.average = average
        self._averages = [
            self.add_weight(shape=v.shape, initializer="zeros", trainable=False, name="average")
            for v in (self.trainable_variables if average else ())
        ]
        self._states = [
            variable for layer in self.layers for variable in getattr(layer, "states", None) or ()
        ]
        self.carried = [
            [
                self.add_weight(shape=v.shape, initializer="zeros", trainable=False, name="carried")
                for v in self._states
            ]
            for _ in range(shards)
        ]
        # What else changes in the layers: of each dropout a seed and a counter of its draws.
        known = {id(variable) for variable in self._states}
        self._counters = [
            variable
            for layer in self.layers
            for variable in layer.non_trainable_variables
            if id(variable) not in known
        ]
        self._means = [keras.metrics.Mean(name=name) for name in ("loss", "accuracy")]
        self._learn = tf.function(self._pass, jit_compile=compiled, autograph=False)
        self._apply = tf.function(self._update, jit_compile=compiled, autograph=False)

    @property
    def metrics(self) -> list[Any]:
        """The means since the last `reset_metrics`: Keras resets them each epoch."""
        return self._means

    def learned(self) -> list[NDArray[np.float32]]:
        """The weights to keep, in the order of `trainable_variables`."""
        averaged = self._averages and int(self.optimizer.iterations.value) > 0
        variables = self._averages if averaged else self.trainable_variables
        return [keras.ops.convert_to_numpy(variable) for variable in variables]

    def reset_states(self) -> None:
        """Forget what was read."""
        for states in self.carried:
            for state in states:
                state.assign(tf.zeros(state.shape))

    def train_step(self, data: Block) -> dict[str, Tensor]:
        """Called by Keras: learn from a block of K batches, one after the other.

        Args:
            data: int32 ids (K, B, T), targets, and the learning rate of each step, float32 (K,).

        Returns:
            The running means, and "diverged": 1 where the last step that was taken came to a loss
            or a gradient that is no number, or to a loss `EXPLODED` times that of guessing.
        """
        inputs, targets, rates = data

        def step(index: Tensor, healthy: Tensor) -> tuple[Tensor, Tensor]:
            self.optimizer.learning_rate = rates[index]
            return index + 1, self._step(inputs[index], targets[index])

        _, healthy = tf.while_loop(
            lambda index, healthy: (index < tf.size(rates)) & healthy,
            step,
            (0, True),
            parallel_iterations=1,
        )
        logs = {mean.name: mean.result() for mean in self._means}
        return logs | {"diverged": 1 - tf.cast(healthy, tf.int32)}

    def _step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        weights = [variable.value for variable in self.trainable_variables]
        counters = [variable.value for variable in self._counters]
        outcomes = []
        for index, rows in enumerate(self._rows(inputs)):
            states = [variable.value for variable in self.carried[index]]
            # Each shard drops others: it has seeds of its own.
            seeds = [counter + tf.constant([index, 0], counter.dtype) for counter in counters]
            outcomes.append(self._learn(inputs[rows], targets[rows], weights, states, seeds))
        for states, outcome in zip(self.carried, outcomes, strict=True):
            for variable, state in zip(states, outcome[1], strict=True):
                variable.assign(state)
        for variable, counter in zip(self._counters, outcomes[0][2], strict=True):
            variable.assign(counter)
        return self._apply([outcome[0] for outcome in outcomes], tf.size(targets))

    def _rows(self, inputs: Tensor) -> Iterator[slice]:
        size = inputs.shape[0] or tf.shape(inputs)[0]
        for index in range(self.shards):
            yield slice(index * size // self.shards, (index + 1) * size // self.shards)

    def _pass(
        self,
        inputs: Tensor,
        targets: Tensor,
        weights: list[Tensor],
        states: list[Tensor],
        counters: list[Tensor],
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """One shard: sums of gradients, loss and hits; states and counters after it."""
        mapping = [
            *zip(self.trainable_variables, weights, strict=True),
            *zip(self._states, states, strict=True),
            *zip(self._counters, counters, strict=True),
        ]
        with tf.GradientTape() as tape:
            tape.watch(weights)
            with keras.StatelessScope(mapping) as scope:
                logits = inputs
                for layer in self.layers:
                    logits = layer(logits, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            loss = tf.reduce_sum(losses)
        hits = tf.equal(tf.argmax(logits, -1, output_type=tf.int32), targets)
        return (
            [*tape.gradient(loss, weights), loss, tf.reduce_sum(tf.cast(hits, tf.float32))],
            [tf.convert_to_tensor(scope.get_current_value(v)) for v in self._states],
            [tf.convert_to_tensor(scope.get_current_value(v)) for v in self._counters],
        )

    def _update(self, sums: list[list[Tensor]], size: Tensor) -> Tensor:
        """Add the shards' sums up, take the optimizer's step, count loss and hits.

        Returns:
            Whether what came to it was in order.
        """
        count = tf.cast(size, tf.float32)
        *gradients, loss, hits = [tf.add_n(parts) / count for parts in zip(*sums, strict=True)]
        guessing = math.log(self.output_shape[-1])
        healthy = (loss < EXPLODED * guessing) & tf.math.is_finite(tf.linalg.global_norm(gradients))
        self.optimizer.apply(gradients, self.trainable_variables)
        if self._averages:
            steps = tf.cast(self.optimizer.iterations.value, tf.float32)
            # Early on the average forgets faster, or it would be of the initial weights.
            past = tf.minimum(self.average, (steps - 1) / (steps + 9))
            for average, variable in zip(self._averages, self.trainable_variables, strict=True):
                average.assign(past * average.value + (1 - past) * variable.value)
        for mean, value in zip(self._means, (loss, hits), strict=True):
            mean.update_state(value, sample_weight=count)
        return healthy
