"""The output layer and the loss in one: logits, cross-entropy, hits and gradients.

Logits are the largest array of a step: of 1,024 characters and a vocabulary of 5,000 they take 20
MB, which no core's cache holds. So they are touched as few times as possible. What the gradients
are made from is known as soon as the loss is, so they are computed together with it, and the
logits' own gradient is written once, in the precision of the products that it goes into. Whether a
target is the most likely character is seen from its logit, without looking for the highest one.

Sizes: N characters, D inputs, V characters in the vocabulary.
"""

from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from chargen.config import NumberFormat
from chargen.models.products import compiled, product, round_operand, transposed

__all__ = ["cross_entropy"]

LANES = 16
"""How many float32 numbers a processor's widest registers hold. Products and rows of a multiple of
these are faster: those of 65 characters by a sixth, of 5,387 by a twelfth."""

Tensor: TypeAlias = Any  # TensorFlow ships no types that mypy can use


def cross_entropy(
    inputs: Tensor, kernel: Tensor, bias: Tensor, targets: Tensor, precision: NumberFormat
) -> tuple[Tensor, Tensor]:
    """Return the sum of the targets' nats, and how many of them are the most likely character.

    Args:
        inputs: float32 (..., D), what the output layer reads.
        kernel: float32 (D, V).
        bias: float32 (V,).
        targets: int32 (...).
        precision: the number format of the products' operands.

    Returns:
        float32 () each; the first can be differentiated.
    """

    def compute(rows: Tensor, kernel: Tensor, bias: Tensor) -> Any:
        arguments = map(tf.stop_gradient, (rows, kernel, bias))
        nats, hits, *gradients = _compute(*arguments, tf.reshape(targets, [-1]), precision)

        def gradient(above: Tensor, _: Tensor) -> list[Tensor]:
            return [above * each for each in gradients]

        return (nats, hits), gradient

    result: tuple[Tensor, Tensor] = tf.custom_gradient(compute)(
        tf.reshape(inputs, (-1, kernel.shape[0])), kernel, bias
    )
    return result


@compiled
def _compute(
    inputs: Tensor, kernel: Tensor, bias: Tensor, targets: Tensor, precision: NumberFormat
) -> tuple[Tensor, ...]:
    """Return nats and hits of inputs (N, D), and the gradients of inputs, kernel and bias."""
    size = kernel.shape[1]
    padding = -size % LANES  # characters that do not exist, of probability 0
    kernel = tf.pad(kernel, [[0, 0], [0, padding]])
    bias = tf.pad(bias, [[0, padding]], constant_values=-np.inf)
    rows, columns = round_operand(inputs, precision), round_operand(kernel, precision)
    logits = product(rows, columns) + bias
    highest = tf.reduce_max(logits, -1, keepdims=True)
    total = tf.reduce_sum(tf.exp(logits - highest), -1, keepdims=True)
    target_logits = tf.gather(logits, targets, batch_dims=1)[:, None]
    nats = tf.reduce_sum(tf.math.log(total) + highest - target_logits)
    hits = tf.reduce_sum(tf.cast(target_logits >= highest, tf.float32))
    d_logits = tf.exp(logits - highest) / total - tf.one_hot(targets, size + padding)
    rounded = round_operand(d_logits, precision)
    d_inputs = product(rounded, transposed(columns))
    d_kernel = product(transposed(rows), rounded)
    return nats, hits, d_inputs, d_kernel[:, :size], tf.reduce_sum(d_logits, 0)[:size]
