"""Dropout from random bytes: a twentieth of the time of Keras' where XLA compiles it.

XLA draws Keras' uniform floats on a CPU one by one, which takes longer than the rest of the step.
A byte for each element decides here, so that rates come in steps of 1/256; what is left is scaled
by the rate that was used.
"""

from typing import Any

import keras
import tensorflow as tf

from chargen.models.products import compiled

__all__ = ["Dropout", "dropped"]


@keras.saving.register_keras_serializable("chargen")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` with `dropped` for its random numbers."""

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The inputs, some of them 0 while training."""
        if training and self.rate > 0:
            return dropped(inputs, self.rate, self.seed_generator)
        return inputs


def dropped(x: tf.Tensor, rate: float, seed_generator: keras.random.SeedGenerator) -> tf.Tensor:
    """Each element of x is 0 with the probability `rate`, else scaled so that the mean stays.

    Srivastava et al. 2014, in the inverted form.
    """
    limit = min(round(256 * rate), 255)
    mask = _bytes(tf.cast(seed_generator.next(), tf.int32), tf.shape(x)) >= limit
    return tf.where(mask, x * (256 / (256 - limit)), 0.0)


@compiled
def _bytes(seed: tf.Tensor, shape: tf.Tensor) -> Any:
    """uint8 of a shape, all values alike."""
    size = tf.reduce_prod(shape)
    words = tf.random.stateless_uniform(
        [(size + 3) // 4], seed, minval=None, maxval=None, dtype=tf.uint32, alg="threefry"
    )
    return tf.reshape(tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:size], shape)
