"""What learns: a `Sequential` and its optimizer, a batch being divided into shards.

TensorFlow spreads each operation over the cores, and on networks this small the cores then wait
for each other more than they compute. Here each core takes some of the batch's rows through the
whole model, forwards and backwards, in one function that XLA compiles; the gradients meet once a
step.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from chargen.config import TrainConfig

__all__ = ["EXPLODED", "Learned", "Learner", "make_optimizer"]

EXPLODED = 10
"""Times the loss of a uniform guess: weights that do worse than this have run away."""
SGD_MOMENTUM = 0.9

Tensor: TypeAlias = Any  # TensorFlow ships no types that mypy can use
Ids = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Learned:
    """What a block of steps came to.

    Attributes:
        losses: of each step that was taken, in nats per character, float32.
        accuracies: of each step, from 0 to 1, float32.
        diverged: whether the last of these steps came to a loss or a gradient that is not a
            number, or to a loss `EXPLODED` times that of a uniform guess.
    """

    losses: Floats
    accuracies: Floats
    diverged: bool


class Learner:
    """Learns from blocks of batches.

    The loss is the mean cross-entropy of the targets in nats. Stateful layers hold the states of
    one shard, B / shards rows, while it is computed; between steps `carried` holds those of all.

    Args:
        layers: an input and layers, from int32 ids to float32 logits.
        optimizer: takes the steps.
        shards: into how many parts a batch is divided.
        compiled: whether XLA compiles a shard's pass, which the layers must then allow.
        ema: the weight of the past, at each step, in the exponential moving average of the
            weights that replaces them in what was learned; 0 keeps no average.

    Attributes:
        model: the layers as a `Sequential`.
        optimizer: as given, built.
        averages: the EMA of each weight; empty without one.
        carried: the recurrent states of each shard.
    """

    def __init__(
        self,
        layers: list[Any],
        optimizer: keras.Optimizer,
        *,
        shards: int,
        compiled: bool,
        ema: float = 0.0,
    ) -> None:
        self.model = keras.Sequential(layers)
        self.optimizer = optimizer
        self._shards = shards
        self._ema = ema
        self._weights = self.model.trainable_variables
        # Its variables are created now, so that a resumed run has something to restore into.
        optimizer.build(self._weights)
        self.averages = [_zeros(v.shape) for v in (self._weights if ema else ())]
        self._states = [
            variable
            for layer in self.model.layers
            for variable in getattr(layer, "states", None) or ()
        ]
        self.carried = [[_zeros(v.shape) for v in self._states] for _ in range(shards)]
        # Each dropout has a seed and a counter of its draws.
        states = {id(variable) for variable in self._states}
        self._counters = [v for v in self.model.non_trainable_variables if id(v) not in states]
        self._pass_shard = tf.function(self._pass, jit_compile=compiled, autograph=False)
        self._apply = tf.function(self._update, jit_compile=compiled, autograph=False)
        (rows, window), places = self.model.input_shape, self.model.output_shape[1:-1]
        rows = rows and rows * shards  # None where batches differ
        signature = [
            tf.TensorSpec((None, rows, window), tf.int32),
            tf.TensorSpec((None, rows, *places), tf.int32),
            tf.TensorSpec((None,), tf.float32),
        ]
        self._learn = tf.function(self._take_steps, signature, autograph=False)

    @property
    def steps(self) -> int:
        """The steps that were taken in all."""
        return int(self.optimizer.iterations.value)

    @property
    def variables(self) -> dict[str, Any]:
        """All that changes in learning, by kind and position.

        Keras gives the variables of different runs different names, so positions tell them apart.
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

    def learned(self) -> list[Floats]:
        """The weights to keep, in the order of `model.trainable_variables`."""
        variables = self.averages if self.averages and self.steps else self._weights
        return [keras.ops.convert_to_numpy(variable) for variable in variables]

    def assign(self, weights: Sequence[Floats]) -> None:
        """Replace the weights, given in the order of `learned`."""
        for variable, array in zip(self._weights, weights, strict=True):
            variable.assign(array)

    def reset_states(self) -> None:
        """Forget what was read."""
        for states in self.carried:
            for state in states:
                state.assign(tf.zeros(state.shape))

    def learn(self, inputs: Ids, targets: Ids, rates: Floats) -> Learned:
        """Learn from K batches, one after the other, and stop where a step diverges.

        Args:
            inputs: ids (K, B, T).
            targets: ids (K, B, T), or (K, B) where only the last character is predicted.
            rates: the learning rate of each step, (K,).
        """
        steps, losses, accuracies, healthy = self._learn(
            tf.constant(inputs), tf.constant(targets), tf.constant(rates)
        )
        taken = slice(int(steps))
        return Learned(losses.numpy()[taken], accuracies.numpy()[taken], not bool(healthy))

    def _take_steps(
        self, inputs: Tensor, targets: Tensor, rates: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The steps that were taken, their losses and accuracies, whether all of them were healthy.

        The loop stays inside TensorFlow: a millisecond of Python around each step would be a fifth
        of that of a small network.
        """
        size = tf.size(rates)
        blank = tf.TensorArray(tf.float32, size, element_shape=())

        def step(
            index: Tensor, losses: Tensor, accuracies: Tensor, _: Tensor
        ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            self.optimizer.learning_rate = rates[index]
            loss, accuracy, healthy = self._step(inputs[index], targets[index])
            return index + 1, losses.write(index, loss), accuracies.write(index, accuracy), healthy

        steps, losses, accuracies, healthy = tf.while_loop(
            lambda index, losses, accuracies, healthy: (index < size) & healthy,
            step,
            (0, blank, blank, True),
            parallel_iterations=1,
        )
        return steps, losses.stack(), accuracies.stack(), healthy

    def _step(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Take a step on one batch; its loss, its accuracy, and whether both were in order."""
        weights = [variable.value for variable in self._weights]
        counters = [variable.value for variable in self._counters]
        outcomes = []
        for index, rows in enumerate(self._rows(inputs)):
            states = [variable.value for variable in self.carried[index]]
            # Each shard drops others: it has seeds of its own.
            seeds = [counter + tf.constant([index, 0], counter.dtype) for counter in counters]
            outcomes.append(self._pass_shard(inputs[rows], targets[rows], weights, states, seeds))
        for states, outcome in zip(self.carried, outcomes, strict=True):
            for variable, state in zip(states, outcome[1], strict=True):
                variable.assign(state)
        for variable, counter in zip(self._counters, outcomes[0][2], strict=True):
            variable.assign(counter)
        results: tuple[Tensor, Tensor, Tensor] = self._apply(
            [outcome[0] for outcome in outcomes], tf.size(targets)
        )
        return results

    def _rows(self, inputs: Tensor) -> Iterator[slice]:
        size = inputs.shape[0] or tf.shape(inputs)[0]
        for index in range(self._shards):
            yield slice(index * size // self._shards, (index + 1) * size // self._shards)

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
            *zip(self._weights, weights, strict=True),
            *zip(self._states, states, strict=True),
            *zip(self._counters, counters, strict=True),
        ]
        with tf.GradientTape() as tape:
            tape.watch(weights)
            with keras.StatelessScope(mapping) as scope:
                logits = inputs
                for layer in self.model.layers:
                    logits = layer(logits, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            loss = tf.reduce_sum(losses)
        hits = tf.equal(tf.argmax(logits, -1, output_type=tf.int32), targets)
        return (
            [*tape.gradient(loss, weights), loss, tf.reduce_sum(tf.cast(hits, tf.float32))],
            [tf.convert_to_tensor(scope.get_current_value(v)) for v in self._states],
            [tf.convert_to_tensor(scope.get_current_value(v)) for v in self._counters],
        )

    def _update(self, sums: list[list[Tensor]], size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Add the shards' sums up and take the optimizer's step; as `_step`."""
        count = tf.cast(size, tf.float32)
        *gradients, loss, accuracy = [tf.add_n(parts) / count for parts in zip(*sums, strict=True)]
        guessing = math.log(self.model.output_shape[-1])
        healthy = (loss < EXPLODED * guessing) & tf.math.is_finite(tf.linalg.global_norm(gradients))
        self.optimizer.apply(gradients, self._weights)
        if self.averages:
            steps = tf.cast(self.optimizer.iterations.value, tf.float32)
            # Early on the average forgets faster, or it would be of the initial weights.
            past = tf.minimum(self._ema, (steps - 1) / (steps + 9))
            for average, variable in zip(self.averages, self._weights, strict=True):
                average.assign(past * average.value + (1 - past) * variable.value)
        return loss, accuracy, healthy


def make_optimizer(training: TrainConfig) -> keras.Optimizer:
    """Keras' optimizer, as configured."""
    options: dict[str, Any] = {
        "learning_rate": training.learning_rate,
        "global_clipnorm": training.clip_norm or None,
        # AdamW wants a number; the others skip a product with every weight when it is None.
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
